"""What a control plane can say that an agent must not believe: {id: (change, words of the agent)}.

A change gets `lie`, with .manifest (a right one, for the good version), .victim, .app (its one entry) and .keep (its one bundle), and alters it, or
returns the raw bytes to send instead.
"""
import time


def app(**fields):
    def change(lie):
        for name, value in fields.items():
            setattr(lie.app, name, value)

    return change


def keep(**fields):
    def change(lie):
        for name, value in fields.items():
            setattr(lie.keep, name, value)

    return change


def manifest(**fields):
    def change(lie):
        for name, value in fields.items():
            setattr(lie.manifest, name, value)

    return change


def another_app(lie, **fields):
    other = lie.manifest.apps.add()
    other.CopyFrom(lie.app)
    other.app_id = lie.victim.new_id("app")
    for name, value in fields.items():
        setattr(other, name, value)


def same_slug(lie):
    another_app(lie)


def same_app(lie):
    another_app(lie, app_id=lie.app.app_id, slug="other")


def removed_and_wanted(lie):
    lie.manifest.removed.append(lie.app.app_id)


def keep_twice(lie):
    lie.app.keep.add().CopyFrom(lie.keep)


def activate_without_keep(lie):
    del lie.app.keep[:]


def activate_what_is_not_kept(lie):
    lie.app.activate = lie.victim.new_id("ver")


def same_sequence(lie):
    lie.manifest.sequence = lie.victim.accepted
    lie.app.name = "another body"


def no_expiry(lie):
    lie.manifest.ClearField("expires_at")


def expired(lie):
    lie.manifest.expires_at.seconds = int(time.time()) - 3600


def expired_before_1970(lie):
    lie.manifest.expires_at.seconds = -1


def expiry_overflows(lie):
    lie.manifest.expires_at.seconds = (1 << 63) - 1


def is_signed(lie):
    return lie.victim.plane.envelope(lie.manifest, signature=b"\1" * 64)


def garbage(lie):
    return lie.victim.plane.envelope(b"\xff" * 1000)


def cut(lie):
    return lie.victim.plane.envelope(lie.manifest.SerializeToString()[:-3])


def empty(lie):
    return lie.victim.plane.envelope(b"")


def replayed(lie):
    return lie.victim.first_envelope


def twenty_thousand_apps(lie):
    for _ in range(20000):
        another_app(lie, slug="../" + "x" * 40)


REFUSED = {
    # --- names that become folders
    "slug-dot-dot": (app(slug=".."), "slug '..' must be a name"),
    "slug-dot": (app(slug="."), "slug '.' must be a name"),
    "slug-empty": (app(slug=""), "slug '' must be a name"),
    "slug-with-slash": (app(slug="a/b"), "slug 'a/b' must be a name"),
    "slug-climbing": (app(slug="../../outside/srv"), "must be a name"),
    "slug-absolute": (app(slug="/etc"), "slug '/etc' must be a name"),
    "slug-upper": (app(slug="Shop"), "must be a name"),
    "slug-hidden": (app(slug=".shop"), "must be a name"),
    "slug-option": (app(slug="-rf"), "must be a name"),
    "slug-51": (app(slug="a" * 51), "must be a name"),
    "slug-newline": (app(slug="a\nb"), "must be a name"),
    "slug-not-ascii": (app(slug="sh\u00f6p"), "must be a name"),
    "version-climbing": (keep(version="../../../outside/x"), "must be a version name"),
    "version-slash": (keep(version="a/b"), "must be a version name"),
    "version-dot-dot": (keep(version=".."), "must be a version name"),
    "version-inner-dots": (keep(version="a..b"), "must be a version name"),
    "version-hidden": (keep(version=".x"), "must be a version name"),
    "version-26": (keep(version="v" * 26), "must be a version name"),
    "version-empty": (keep(version=""), "must be a version name"),
    "repository-climbing": (keep(repository_id="../../outside/srv"), "repository_id"),
    "repository-empty": (keep(repository_id=""), "repository_id"),
    "repository-other-kind": (keep(repository_id="ver_aaaaaaaaaaaaaaaaaaaa"), "repository_id"),
    "app-climbing": (app(app_id="../../../../outside"), "app_id"),
    "app-empty": (app(app_id=""), "app_id"),
    "version-id-climbing": (keep(version_id="ver_../../../outside/xx"), "version_id"),
    "environment-climbing": (manifest(environment="../x"), "environment"),
    # --- what is to be fetched
    "commit-short": (keep(commit="abc"), "40 hex digits"),
    "commit-upper": (keep(commit="A" * 40), "40 hex digits"),
    "commit-option": (keep(commit="--upload-pack=touch owned".ljust(40, "x")), "40 hex digits"),
    "commit-empty": (keep(commit=""), "40 hex digits"),
    "tree-empty": (keep(tree=""), "40 hex digits"),
    "digest-31": (keep(digest=b"\1" * 31), "of 32 bytes"),
    "digest-33": (keep(digest=b"\1" * 33), "of 32 bytes"),
    "digest-empty": (keep(digest=b""), "of 32 bytes"),
    # --- what contradicts itself
    "same-slug": (same_slug, "two apps have the slug"),
    "same-app": (same_app, "named twice"),
    "removed-and-wanted": (removed_and_wanted, "named twice"),
    "keep-twice": (keep_twice, "named once"),
    "activate-without-keep": (activate_without_keep, "must be in keep"),
    "activate-what-is-not-kept": (activate_what_is_not_kept, "must be in keep"),
    # --- wrong software, rollback, freeze
    "another-instance": (manifest(instance_id="ins_zzzzzzzzzzzzzzzzzzzz"), "is for instance"),
    "instance-climbing": (manifest(instance_id="../../x"), "instance_id"),
    "instance-empty": (manifest(instance_id=""), "instance_id"),
    "older": (manifest(sequence=1), "was accepted before"),
    "sequence-zero": (manifest(sequence=0), "was accepted before"),
    "same-sequence-other-body": (same_sequence, "with another body"),
    "replayed": (replayed, "was accepted before"),
    "no-expiry": (no_expiry, "no expires_at"),
    "expired": (expired, "expired"),
    "expired-before-1970": (expired_before_1970, "no expires_at"),
    "expiry-overflows": (expiry_overflows, "no expires_at"),
    "later-key-epoch": (manifest(key_epoch=1), "key epoch"),
    "last-key-epoch": (manifest(key_epoch=(1 << 32) - 1), "key epoch"),
    "signed-by-nobody-known": (is_signed, "signed"),
    # --- what is no manifest
    "garbage": (garbage, "are not a manifest"),
    "cut": (cut, "are not a manifest"),
    "empty": (empty, "instance_id"),
    "twenty-thousand-apps": (twenty_thousand_apps, "must be a name"),
}

# Well-formed, and fetched in vain: {id: (fields of the bundle, again?, words)}.
FETCHED = {
    "digest-of-another": ({"digest": b"\7" * 32}, False, "DIGEST_MISMATCH"),
    "tree-of-another": ({"tree": "7" * 40}, False, "DIGEST_MISMATCH"),
    "commit-of-nobody": ({"commit": "7" * 40}, False, "COMMIT_GONE"),
    "path-of-nobody": ({"path": "no/such"}, False, "PATH_NOT_FOUND"),
    "path-is-a-file": ({"path": "index.html"}, False, "PATH_NOT_A_FOLDER"),
    "path-inside": ({"path": "css"}, False, "DIGEST_MISMATCH"),
    "path-climbing": ({"path": "../.."}, False, "path"),
    "path-absolute": ({"path": "/etc"}, False, "path"),
    "path-git": ({"path": ".git/hooks"}, False, "path"),
    "path-double-slash": ({"path": "css//x"}, False, "path"),
    "path-long": ({"path": "a/" * 600}, False, "path"),
    "ref-climbing": ({"ref": "refs/tags/../../outside"}, False, "ref"),
    "ref-option": ({"ref": "--upload-pack=touch owned"}, False, "ref"),
    "ref-spec": ({"ref": "refs/heads/main:refs/heads/owned"}, False, "ref"),
    "ref-forced": ({"ref": "+refs/heads/main"}, False, "ref"),
    "ref-all": ({"ref": "refs/*"}, False, "ref"),
    "ref-without-refs": ({"ref": "main"}, False, "ref"),
    "ref-newline": ({"ref": "refs/heads/a\nb"}, False, "ref"),
    "ref-lock": ({"ref": "refs/heads/main.lock"}, False, "ref"),
    "ref-long": ({"ref": "refs/heads/" + "a" * 300}, False, "ref"),
    "more-bytes-than-any-disk": ({"bytes": (1 << 64) - 1}, True, "disk full"),
    "half-of-all-bytes": ({"bytes": 1 << 62}, True, "disk full"),
    "url-option": ({"url": "--upload-pack=touch owned"}, False, "url"),
    "url-ext": ({"url": "ext::sh -c touch% owned"}, False, "url"),
    "url-folder": ({"url": "/etc"}, False, "url"),
    "url-scheme": ({"url": "ftp://127.0.0.1/x"}, False, "url"),
    "url-upper-scheme": ({"url": "HTTP://127.0.0.1/x"}, False, "url"),
    "url-password": ({"url": "http://eve:secret@127.0.0.1/x"}, False, "password"),
    "url-ssh-option": ({"url": "ssh://-oProxyCommand=touch/x"}, False, "url"),
    "url-user-option": ({"url": "ssh://-l@127.0.0.1/x"}, False, "url"),
    "url-backslash": ({"url": "http://good.example\\@127.0.0.1/x"}, False, "url"),
    "url-newline": ({"url": "http://127.0.0.1/x\nHost: y"}, False, "url"),
    "url-fragment": ({"url": "http://127.0.0.1/x#y"}, False, "url"),
    "url-port": ({"url": "http://127.0.0.1:99999/x"}, False, "port"),
    "url-empty": ({"url": ""}, False, "url"),
    "url-long": ({"url": "http://127.0.0.1/" + "a" * 2000}, False, "url"),
    "url-file-relative": ({"url": "file://etc/x"}, False, "url"),
    "url-file-escaped": ({"url": "file:///tmp/%2e%2e/x"}, False, "url"),
}

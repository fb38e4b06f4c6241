"""What a Git host can do instead of answering: {id: (host, server's reason, agent's words, tried again?)}.

A host is a function of (raw_git.Objects with the good bundle, its commit, the trap's port) that returns a hostile_host.Hosted.
"""
import hashlib
import struct
import zlib

import raw_git
from hostile_host import Hosted, line

MAIN = "refs/heads/main"
AWAY = "REPOSITORY_UNREACHABLE"


def packed(change):
    """The good repository, its pack altered by change(objects, commit) -> bytes."""
    return lambda objects, commit, trap: Hosted(objects, {MAIN: commit}, pack=line(b"NAK\n") + change(objects, commit))


def flipped(at):
    def change(objects, _):
        data = bytearray(raw_git.pack(objects.all))
        data[at] ^= 0x41
        return bytes(data)

    return packed(change)


def without(kind):
    """A pack that is sound and lacks every object of one kind but the last."""

    def change(objects, _):
        left = dict(objects.all)
        victim = [oid for oid, (k, _) in left.items() if k == kind][-1]
        del left[victim]
        return raw_git.pack(left)

    return packed(change)


def rewritten(objects, commit):
    """Says the good commit and sends another, whole, history."""
    evil = raw_git.Objects()
    evil.commit(evil.folder({"index.html": b"<h1>owned</h1>\n"}))
    return raw_git.pack(evil.all)


def delta_bomb(objects, commit):
    entries = raw_git.delta_bomb(16)
    whole = [raw_git.entry(kind, data) for kind, data in objects.all.values()]
    return raw_git.seal(len(whole) + len(entries), whole + entries)


def delta_of_nobody(objects, commit):
    whole = [raw_git.entry(kind, data) for kind, data in objects.all.values()]
    return raw_git.seal(len(whole) + 1, whole + [raw_git.ref_delta("9" * 40, raw_git.copy_all(10, 1))])


def delta_beyond_its_base(objects, commit):
    base = next(oid for oid, (kind, _) in objects.all.items() if kind == "blob")
    size = len(objects.all[base][1])
    delta = raw_git.varint(size) + raw_git.varint(64) + b"\x91\xff\x40"
    whole = [raw_git.entry(kind, data) for kind, data in objects.all.values()]
    return raw_git.seal(len(whole) + 1, whole + [raw_git.ref_delta(base, delta)])


def declared(size):
    """The bundle's file says that it has `size` bytes, and has five; its id is that of what it says."""

    def host(objects, commit, trap):
        data = b"small"
        oid = hashlib.sha1(b"blob %d\0" % size + data).hexdigest()
        lying = raw_git.Objects()
        tree = lying.add("tree", raw_git.tree_bytes([("100644", b"index.html", oid)]))
        top = lying.commit(tree)
        whole = [raw_git.entry(kind, d) for kind, d in lying.all.values()] + [raw_git.entry("blob", data, size)]
        return Hosted(objects, {MAIN: top}, tree=tree, pack=line(b"NAK\n") + raw_git.seal(len(whole), whole))

    return host


def pointing(make):
    """main points at what make(objects, commit) adds."""
    return lambda objects, commit, trap: Hosted(objects, {MAIN: make(objects, commit)})


def tag_chain(length):
    def make(objects, commit):
        target, kind = commit, "commit"
        for _ in range(length):
            target, kind = objects.tag(target, kind), "tag"
        return target

    return make


def a_tree(objects, commit):
    return objects.folder({"index.html": b"x\n"})


def a_blob(objects, commit):
    return objects.blob(b"x\n")


def commit_without_tree(objects, commit):
    return objects.add("commit", b"author a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nm\n")


def commit_of_garbage(objects, commit):
    return objects.add("commit", b"\xff\0" * 100)


def tag_of_another_kind(objects, commit):
    return objects.tag(objects.blob(b"x\n"), "commit")


def redirect(where):
    def host(objects, commit, trap):
        return Hosted(objects, {MAIN: commit}, status=302, headers={"Location": where.format(trap=trap)})

    return host


def says(**behaviour):
    return lambda objects, commit, trap: Hosted(objects, {MAIN: commit}, **behaviour)


def advertised(text):
    return says(advertise=text)


def parts(count, make):
    """Parts beside main, number i of which is what make(objects, commit, the one before) gives."""

    def host(objects, commit, trap):
        refs, before = {MAIN: commit}, None
        for number in range(1, count + 1):
            refs[f"{MAIN}.part-{number:02}-of-{count:02}"] = before = make(objects, commit, before)
        return Hosted(objects, refs)

    return host


def of_nothing(objects, commit, before):
    return objects.commit(objects.folder({"evil.html": b"<h1>owned</h1>\n"}), [before] if before else [])


HEAD = line(b"# service=git-upload-pack\n") + b"0000"
SAYS_ERR = HEAD + line(b"ERR \x1b]0;owned\x07 access\r\ndenied\n")

HOSTS = {
    # --- packs
    "pack-flipped-head": (flipped(1), AWAY, AWAY, True),
    "pack-flipped-count": (flipped(9), "REPOSITORY_UNREACHABLE|BUNDLE_TOO_BIG", "REPOSITORY_UNREACHABLE|BUNDLE_TOO_BIG", None),
    "pack-flipped-body": (flipped(40), AWAY, AWAY, True),
    "pack-flipped-sum": (flipped(-1), AWAY, AWAY, True),
    "pack-cut": (packed(lambda o, c: raw_git.pack(o.all)[:-30]), AWAY, AWAY, True),
    "pack-empty": (packed(lambda o, c: b""), AWAY, AWAY, True),
    "pack-of-nothing": (packed(lambda o, c: raw_git.seal(0, [])), AWAY, "COMMIT_GONE|MIRROR_CORRUPT|REPOSITORY_UNREACHABLE", None),
    "pack-version-99": (packed(lambda o, c: raw_git.seal(0, [], 99)), AWAY, AWAY, True),
    "pack-of-4-billion": (packed(lambda o, c: b"PACK" + struct.pack(">II", 2, 0xFFFFFFFF) + b"x" * 100), "BUNDLE_TOO_BIG", "BUNDLE_TOO_BIG", False),
    "pack-is-html": (packed(lambda o, c: b"<html>owned</html>"), AWAY, AWAY, True),
    "pack-delta-of-nobody": (packed(delta_of_nobody), AWAY, AWAY, True),
    "pack-delta-beyond-base": (packed(delta_beyond_its_base), AWAY, AWAY, True),
    "pack-delta-bomb": (packed(delta_bomb), "REPOSITORY_UNREACHABLE|BUNDLE_TOO_BIG", "REPOSITORY_UNREACHABLE|BUNDLE_TOO_BIG|WORKER_FAILED", None),
    "pack-declares-10-gb": (declared(10 << 30), "BUNDLE_TOO_BIG", "BUNDLE_TOO_BIG", False),
    "pack-declares-900-mb": (declared(900 << 20), AWAY, "MIRROR_CORRUPT", True),
    "pack-declares-too-little": (declared(1), AWAY, "MIRROR_CORRUPT", True),
    "pack-zlib-garbage": (packed(lambda o, c: raw_git.seal(1, [raw_git.entry_head(3, 5) + b"\xff" * 20])), AWAY, AWAY, True),
    "pack-lacks-a-blob": (without("blob"), AWAY, "MIRROR_CORRUPT", True),
    "pack-lacks-a-tree": (without("tree"), AWAY, "MIRROR_CORRUPT", True),
    "pack-lacks-the-commit": (without("commit"), AWAY, "MIRROR_CORRUPT|COMMIT_GONE|REPOSITORY_UNREACHABLE", None),
    "host-rewrites": (packed(rewritten), AWAY, "MIRROR_CORRUPT|COMMIT_GONE|REPOSITORY_UNREACHABLE", None),
    # --- refs
    "ref-is-a-tree": (pointing(a_tree), "REVISION_NOT_FOUND", "REVISION_NOT_FOUND", False),
    "ref-is-a-blob": (pointing(a_blob), "REVISION_NOT_FOUND", "REVISION_NOT_FOUND", False),
    "ref-is-a-commit-without-tree": (pointing(commit_without_tree), AWAY, "MIRROR_CORRUPT|REPOSITORY_UNREACHABLE", True),
    "ref-is-a-commit-of-garbage": (pointing(commit_of_garbage), AWAY, "MIRROR_CORRUPT|REPOSITORY_UNREACHABLE", True),
    "ref-is-a-tag-that-lies": (pointing(tag_of_another_kind), "REVISION_NOT_FOUND|REPOSITORY_UNREACHABLE", "", None),
    "refs-none": (says(advertise=HEAD + b"0000"), "REPOSITORY_EMPTY|REPOSITORY_UNREACHABLE", "COMMIT_GONE|REPOSITORY_UNREACHABLE", None),
    # --- answers
    "answers-404": (says(status=404), AWAY, AWAY, True),
    "answers-500": (says(status=500), AWAY, AWAY, True),
    "answers-401": (says(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}), "LOGIN_REFUSED", "LOGIN_REFUSED", False),
    "answers-403": (says(status=403), "LOGIN_REFUSED", "LOGIN_REFUSED", False),
    "answers-html": (says(type="text/html"), AWAY, AWAY, True),
    "answers-garbage": (advertised(b"\xff" * 1000), AWAY, AWAY, True),
    "answers-huge-line": (advertised(b"ffff" + b"x" * 70000), AWAY, AWAY, True),
    "answers-cut-line": (advertised(HEAD + b"00ff"), AWAY, AWAY, True),
    "answers-nothing": (advertised(b""), AWAY, AWAY, True),
    "answers-with-escapes": (advertised(SAYS_ERR), AWAY, AWAY, True),
    "redirect-to-port": (redirect("http://127.0.0.1:{trap}/x.git/info/refs?service=git-upload-pack"), "REPOSITORY_MOVED", "REPOSITORY_MOVED", False),
    "redirect-to-host": (redirect("http://localhost:{trap}/x.git/info/refs?service=git-upload-pack"), "REPOSITORY_MOVED", "REPOSITORY_MOVED", False),
    "redirect-to-file": (redirect("file:///etc/passwd"), "REPOSITORY_MOVED|REPOSITORY_UNREACHABLE", "REPOSITORY_MOVED|REPOSITORY_UNREACHABLE", None),
    "redirect-to-ssh": (redirect("ssh://127.0.0.1:{trap}/x"), "REPOSITORY_MOVED|REPOSITORY_UNREACHABLE", "REPOSITORY_MOVED|REPOSITORY_UNREACHABLE", None),
    # --- time: ended at --git-deadline
    "hangs": (says(hang=True), AWAY, AWAY, True),
    "drips": (says(drip=0.3), AWAY, AWAY, True),
    "endless-refs": (says(advertise=HEAD + line(b"1" * 40 + b" HEAD\0ofs-delta\n"), endless_refs=line(b"1" * 40 + b" refs/heads/x\n") * 1000), AWAY, AWAY, True),
    "endless-words": (says(pack=line(b"NAK\n"), endless=line(b"\x02owned\n") * 1000), AWAY, AWAY, True),
    "endless-pack": (says(pack=line(b"NAK\n") + b"PACK" + struct.pack(">II", 2, 1) + raw_git.entry_head(3, 1 << 30) + zlib.compress(b"x")[:2],
                          endless=b"\0" * 65536), AWAY, AWAY, True),
}

# Odd, and what it leads to is the good commit all the same.
FINE = {
    "tag-chain-of-1000": pointing(tag_chain(1000)),
    "refs-with-climbing-names": lambda objects, commit, trap: Hosted(objects, {MAIN: commit, "refs/heads/../../../owned": commit, "refs/tags/a\\b": commit,
                                                                               "../../config": commit}),
    "parts-that-are-all-the-same": parts(31, lambda objects, commit, before: commit),
    "parts-that-lead-to-another": parts(12, of_nothing),
    "ten-thousand-refs": lambda objects, commit, trap: Hosted(objects, {MAIN: commit, **{f"refs/tags/t{i}": commit for i in range(10000)}}),
}

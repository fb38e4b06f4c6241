"""A folder pushed into Git: one commit, which the draft takes; on top of others' work, and never over it unasked."""
import os
import subprocess

import pytest
import harness

Refused = harness.Refused
FILES = {"apps/shop/index.html": "one\n", "apps/shop/deep/a.txt": "a\n", "README": "not an app\n"}
NEW = {"index.html": "two\n", "deep/a.txt": "a\n", "start.sh": "#!/bin/sh\n"}


@pytest.fixture
def shop(world):
    """A server, and app `shop` with a READY v1 in repository `apps` behind git daemon; nothing is owed."""
    repository = world.repository()
    repository.commit(FILES, "by hand")
    server = world.server()
    client = server.client()
    client.CreateRepository(name="apps", url=world.git_host("git").url(repository))
    client.CreateApp(name="shop", repository="apps", no_commit=True)
    harness.wait_content(client, "shop", "v1")
    return server, client, repository


def upload(client, files):
    return client.UploadContent(app="shop", data=harness.archive(files), last=True).upload


def upload_pieces(client, files, size=2_000_000):
    whole, name = harness.archive(files), ""
    for at in range(0, len(whole), size):
        name = client.UploadContent(app="shop", upload=name, offset=at, data=whole[at:at + size], last=at + size >= len(whole)).upload
    return name


def push(client, files, message="more", version="v1", **fields):
    return client.PushVersion(app="shop", version=version, upload=upload(client, files), message=message, **fields).version


def uploads(server):
    return os.listdir(os.path.join(server.folder, "uploads"))


def test_a_folder_becomes_one_commit_that_the_draft_takes(shop):
    server, client, repository = shop
    made = push(client, NEW, "New cart")
    assert made.content.state == 1  # RESOLVING
    content = harness.wait_content(client, "shop", "v1")
    assert repository.log() == ["by hand", "Version v1 of shop : New cart"]
    assert content.commit == repository.refs()["refs/heads/main"] and content.files == 3
    assert content.subject == "Version v1 of shop : New cart" and content.author.startswith(made.created_by + " <")
    modes = {line.split("\t")[1]: line[:6] for line in harness.git("ls-tree", "-r", "main", cwd=repository.bare).splitlines()}
    app = client.GetApp(app="shop").app
    assert modes == {f".sluice/apps/{app.id}.json": "100644", "README": "100644", "apps/shop/deep/a.txt": "100644",
                     "apps/shop/index.html": "100644", "apps/shop/start.sh": "100755"}
    assert "Sluice-Operation: opr_" in harness.git("log", "-1", "--format=%B", "main", cwd=repository.bare)
    harness.until(lambda: uploads(server) == [], 60, "the upload is gone")
    # What a look at the branch finds is the same.
    client.CreateVersion(app="shop", name="v2", no_commit=True)
    assert harness.wait_content(client, "shop", "v2").digest == content.digest
    # The same again is no commit.
    push(client, NEW, "Again")
    assert harness.wait_content(client, "shop", "v1").commit == content.commit
    assert len(repository.log()) == 2


def test_the_same_request_is_one_commit(shop):
    _, client, repository = shop
    write, sent = {"request_id": "push-1"}, upload(client, NEW)
    first = client.PushVersion(app="shop", version="v1", upload=sent, message="more", write=write)
    harness.wait_content(client, "shop", "v1")
    again = client.PushVersion(app="shop", version="v1", upload=sent, message="more", write=write)
    assert again.result.replayed and again.result.revision == first.result.revision
    harness.wait_content(client, "shop", "v1")
    assert len(repository.log()) == 2


def test_what_others_changed_in_other_files_stays(shop):
    _, client, repository = shop
    repository.commit({"apps/shop/theirs.txt": "theirs\n", "README": "changed\n"}, "somebody")
    push(client, NEW)
    content = harness.wait_content(client, "shop", "v1")
    assert (repository.show("apps/shop/theirs.txt"), repository.show("apps/shop/index.html"), repository.show("README")) == ("theirs", "two", "changed")
    assert content.files == 4 and len(repository.log()) == 3


def test_a_conflict_lists_the_commits_and_changes_nothing(shop):
    _, client, repository = shop
    repository.commit({"README": "changed\n"}, "not of the app")
    theirs = repository.commit({"apps/shop/index.html": "theirs\n"}, "somebody's page")
    push(client, NEW)
    content = harness.wait_content(client, "shop", "v1", "FAILED")
    assert content.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[content.reason].name == "CONTENT_REASON_CONFLICT"
    assert "index.html" in content.text
    assert [(c.commit, c.author, c.message, c.files) for c in content.conflicts] == [(theirs, "Ada <ada@example.org>", "somebody's page", 1)]
    assert content.conflicts[0].at.seconds > 0
    assert repository.log()[-1] == "somebody's page" and list(client.ListOwed(repository="apps").items) == []
    # A second try meets the same, also after the failure; theirs first, then it is fine.
    push(client, NEW)
    harness.wait_content(client, "shop", "v1", "FAILED")
    push(client, {**NEW, "deep/a.txt": "b\n"}, onto=True)
    harness.wait_content(client, "shop", "v1")
    assert repository.show("apps/shop/index.html") == "two" and repository.log()[-1] == "Version v1 of shop : more"


def test_what_may_not_be_pushed(world, shop):
    server, client, repository = shop
    for files, reason, rule in (
            ({"../out": "x"}, "BUNDLE_REFUSED", "NAME_DOT_DOT"), ({".git/config": "x"}, "BUNDLE_REFUSED", "NAME_DOT_GIT"),
            ({"a": "x", "A": "y"}, "BUNDLE_REFUSED", "NAME_TWIN"), ({}, "BUNDLE_EMPTY", "")):
        push(client, files)
        content = harness.wait_content(client, "shop", "v1", "FAILED")
        assert content.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[content.reason].name == "CONTENT_REASON_" + reason, content.text
        assert content.rule == rule
    client.PushVersion(app="shop", version="v1", upload="upl_aaaaaaaaaaaaaaaaaaaa", message="nothing there")
    assert "push again" in harness.wait_content(client, "shop", "v1", "FAILED").text
    assert repository.log() == ["by hand"]
    harness.until(lambda: uploads(server) == [], 60, "no upload is left")
    for fields, reason in (({"upload": "upl_../../x"}, "MALFORMED"), ({"message": ""}, "MALFORMED"), ({"message": "two\nlines"}, "MALFORMED")):
        with pytest.raises(Refused) as refused:
            client.PushVersion(**{"app": "shop", "version": "v1", "upload": "upl_aaaaaaaaaaaaaaaaaaaa", "message": "m", **fields})
        assert refused.value.reason == reason
    push(client, NEW)
    harness.wait_content(client, "shop", "v1")
    client.SealVersion(app="shop", version="v1")
    with pytest.raises(Refused) as refused:
        push(client, FILES)
    assert refused.value.reason == "VERSION_SEALED"
    other = world.repository("readonly")
    other.commit({"apps/blog/index.html": "blog\n"})
    client.CreateRepository(name="readonly", url="file://" + other.bare, publish=2)
    client.CreateApp(name="blog", repository="readonly")
    with pytest.raises(Refused) as refused:
        client.PushVersion(app="blog", version="v1", upload=upload(client, NEW), message="m")
    assert refused.value.reason == "REPOSITORY_READ_ONLY"


def test_an_upload_comes_in_pieces(shop):
    _, client, _ = shop
    whole = harness.archive({**NEW, "big": "x" * 3_000_000})
    at, name = 0, ""
    while at < len(whole):
        piece = whole[at:at + 900_000]
        for _ in range(2):  # one that is sent again is as it was
            answer = client.UploadContent(app="shop", upload=name, offset=at, data=piece, last=at + len(piece) == len(whole))
            assert answer.bytes == at + len(piece)
            name = answer.upload
            if at == 0:
                break
        at += len(piece)
    with pytest.raises(Refused) as refused:
        client.UploadContent(app="shop", upload=name, offset=len(whole) + 1, data=b"x")
    assert refused.value.reason == "MALFORMED"
    client.PushVersion(app="shop", version="v1", upload=name, message="big")
    assert harness.wait_content(client, "shop", "v1").bytes > 3_000_000


def test_what_is_asked_for_later_counts(shop):
    """Other content while a push waits for its host: the push is never made."""
    _, client, repository = shop
    slow = repository.hook("pre-receive", "sleep 1\nexit 1\n")
    push(client, NEW)
    client.SetVersionContent(app="shop", version="v1")
    assert list(client.ListOwed(repository="apps").items) == []
    harness.wait_content(client, "shop", "v1")
    os.unlink(slow)
    assert repository.log() == ["by hand"]
    repository.hook("pre-receive", "exit 1\n")
    push(client, NEW)
    content = harness.wait_content(client, "shop", "v1", "FAILED")
    assert content.reason == 15 and list(client.ListOwed(repository="apps").items) == []  # REF_PROTECTED: said, and over


@pytest.mark.parametrize("hook,after", [("pre-receive", "exit 1"), ("pre-receive", "exit 0"), ("post-receive", "exit 0")])
def test_killed_at_each_step_there_is_exactly_one_commit(shop, world, hook, after):
    server, client, repository = shop
    mark = world.path("killed")
    repository.hook(hook, f"[ -e {mark} ] && exit 0\ntouch {mark}\nkill -9 {server.program.process.pid}\nsleep 0.3\n{after}\n")
    push(client, NEW)
    server.program.wait(60)
    server.program.end()
    server.verify()
    server.start()
    client = server.client()
    content = harness.wait_content(client, "shop", "v1")
    assert repository.log() == ["by hand", "Version v1 of shop : more"]
    assert content.commit == repository.refs()["refs/heads/main"]
    assert server.stop() == 0
    server.verify()


def test_nobody_who_pushes_meanwhile_is_overwritten_in_a_local_repository(world):
    """Somebody's push lands after Sluice has looked at the branch and before it sets it: while the objects are being copied."""
    repository = world.repository()
    repository.commit(FILES, "by hand")
    client = world.server().client()
    client.CreateRepository(name="apps", url=world.git_host("file").url(repository))
    client.CreateApp(name="shop", repository="apps", no_commit=True)
    harness.wait_content(client, "shop", "v1")
    packs = os.path.join(repository.bare, "objects", "pack")
    for turn in range(10):  # the moment may be missed
        before = set(os.listdir(packs))
        sent = upload_pieces(client, {**NEW, "big": os.urandom(100_000_000)})
        client.PushVersion(app="shop", version="v1", upload=sent, message=f"big {turn}")
        harness.until(lambda: set(os.listdir(packs)) - before, what="objects on their way")
        repository.commit({"README": f"changed meanwhile {turn}\n"}, f"somebody's {turn}")
        content = harness.wait_content(client, "shop", "v1", timeout=120)
        last = repository.log()[1 + 2 * turn:]
        assert sorted(last) == [f"Version v1 of shop : big {turn}", f"somebody's {turn}"] and content.commit in repository.log("%H")
        if last[0].startswith("somebody's"):
            break
    assert last[0].startswith("somebody's")
    assert content.commit == repository.refs()["refs/heads/main"] and not [ref for ref in repository.refs() if "incoming" in ref]
    harness.git("fsck", "--strict", cwd=repository.bare)


# --- the command ---------------------------------------------------------------------------


def sluice(server, *argv):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    env.update({"SLUICE_SERVER": f"127.0.0.1:{server.port}", "HOME": server.folder, "NO_COLOR": "1"})
    return subprocess.run([harness.CLI] + list(argv), capture_output=True, text=True, env=env, timeout=60)


def test_the_command_pushes_a_folder(shop, world):
    server, client, repository = shop
    folder = world.path("build")
    os.makedirs(folder + "/deep")
    os.makedirs(folder + "/.git")  # a work tree of its own: not of the app
    for path, text in NEW.items():
        with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
            file.write(text)
    with open(folder + "/big", "wb") as file:
        file.write(os.urandom(2_500_000))
    os.chmod(folder + "/start.sh", 0o755)
    done = sluice(server, "push", folder, "--app", "shop", "-m", "New cart")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version v1 of shop" in done.stdout
    content = client.GetVersion(app="shop", version="v1").version.content
    assert (content.files, content.subject) == (4, "Version v1 of shop : New cart")
    with open(folder + "/big", "rb") as file:
        assert subprocess.run(["git", "show", "main:apps/shop/big"], cwd=repository.bare, capture_output=True, check=True).stdout == file.read()
    harness.git("pull", "-q", "--rebase", repository.bare, "main", cwd=repository.work)
    theirs = repository.commit({"apps/shop/index.html": "theirs\n"}, "somebody's page")
    with open(folder + "/index.html", "w", encoding="utf-8") as file:
        file.write("three\n")
    done = sluice(server, "push", folder, "--app", "shop", "-m", "Third")
    assert done.returncode != 0 and theirs[:12] in done.stderr and "somebody's page" in done.stderr and "--onto" in done.stderr
    done = sluice(server, "push", folder, "--app", "shop", "-m", "Third", "--onto")
    assert done.returncode == 0, done.stderr
    assert repository.show("apps/shop/index.html") == "three"
    os.symlink("/etc/passwd", folder + "/link")
    done = sluice(server, "push", folder, "--app", "shop", "-m", "A link")
    assert done.returncode != 0 and "'link' is a link" in done.stderr
    client.SealVersion(app="shop", version="v1")
    done = sluice(server, "push", folder, "--app", "shop", "-m", "No draft")
    assert done.returncode != 0 and "no draft" in done.stderr

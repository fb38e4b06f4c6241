"""The Git host is away, refuses, comes back; publish = NONE; what the content gate says."""
import os

import grpc
import pytest
import harness


def test_an_unreachable_host_is_tried_again_until_it_is_back(world):
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"})
    host = world.git_host("git")
    host.stop()
    client = world.server().client()
    client.CreateApp(name="shop", repository_url=host.url(repository))
    content = harness.until(lambda: (lambda c: c if c.reason == 1 else None)(client.GetVersion(app="shop", version="v1").version.content), 60, "unreachable")
    assert content.text
    host.start()
    harness.wait_content(client, "shop", "v1", timeout=60)


def test_an_owed_tag_blocks_the_second_step_and_is_published_when_the_host_is_back(world):
    server, client, _, host = world.shop("git")
    host.stop()
    client.Promote(app="shop", version="v1", **{"from": "development"})  # the first step needs READY only
    with pytest.raises(harness.Refused) as refused:
        client.Promote(app="shop", version="v1", **{"from": "staging"})
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GATE_BLOCKED")
    gates = {gate.id: gate for gate in client.Plan(action=1, app="shop", version="v1").plan.gates}
    assert gates["content"].state in (3, 4) and gates["content"].reason
    server.kill()  # the outbox survives
    server.start()
    client = server.client()
    host.start()
    client.RefreshRepository(repository=client.ListRepositories().repositories[0].name)
    harness.wait_published(client, "shop", "v1", 60)
    client.Promote(app="shop", version="v1", **{"from": "staging"})


def test_failures_are_told_by_reason(world):
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n", "apps/file": "x\n", "apps/evil/a": "x\n"})
    os.symlink("/etc/passwd", os.path.join(repository.work, "apps/evil/link"))
    repository.commit({"apps/empty/.gitkeep": ""})
    empty = world.repository("empty")
    host = world.git_host("file")
    client = world.server().client()
    url = host.url(repository)
    client.CreateRepository(name="apps", url=url)
    client.CreateRepository(name="nobranch", url=url, branch="nope")
    client.CreateRepository(name="void", url=host.url(empty))
    for app, fields, reason in (
        ("nopath", {"repository": "apps"}, 7),
        ("file", {"repository": "apps", "path": "apps/file"}, 8),
        ("norev", {"repository": "apps", "path": "apps/shop", "commit": "no-such-branch"}, 5),
        ("nobranch", {"repository": "nobranch", "path": "apps/shop"}, 4),
        ("void", {"repository": "void"}, 3),
        ("evil", {"repository": "apps", "path": "apps/evil"}, 10),
    ):
        client.CreateApp(name=app, **fields)
        content = harness.wait_content(client, app, "v1", "FAILED")
        assert content.reason == reason, (app, content)
        assert content.text
        gates = {gate.id: gate for gate in client.Plan(action=1, app=app, version="v1").plan.gates}
        assert gates["content"].state == 4
    assert client.GetVersion(app="evil", version="v1").version.content.rule == "LINK"


def test_a_tag_that_is_there_with_other_content_is_parked(world):
    _, client, repository, _ = world.shop()
    content = client.GetVersion(app="shop", version="v1").version.content
    ref = f"refs/tags/sluice/shop/v1-{content.digest.hex()[:12]}"
    harness.git("update-ref", ref, content.commit, cwd=repository.bare)
    client.SealVersion(app="shop", version="v1")
    publication = harness.until(lambda: (lambda p: p if p.state == 4 else None)(client.GetVersion(app="shop", version="v1").version.publication), 60, "parked")
    assert publication.reason == 12 and publication.ref == ref
    harness.git("update-ref", "-d", ref, cwd=repository.bare)
    client.RefreshRepository(repository=client.ListRepositories().repositories[0].name)
    harness.wait_published(client, "shop", "v1")


def test_publish_none_fetches_the_commit_itself(world):
    repository = world.repository()
    commit = repository.commit({"apps/shop/index.html": "one\n"})
    host = world.git_host("git")
    server = world.server()
    client = server.client()
    client.RegisterInstance(name="stage-1", environment="staging")
    agent = world.agent(server, "stage-1")
    client.CreateRepository(name="mirror", url=host.url(repository), publish=2)
    client.CreateApp(name="shop", repository="mirror")
    harness.wait_content(client, "shop", "v1")
    client.Promote(app="shop", version="v1", **{"from": "development"})
    version = client.GetVersion(app="shop", version="v1").version
    assert version.publication.state == 3 and version.publication.commit == commit
    harness.until(lambda: agent.serves("shop") == {"index.html": "one\n"}, 60, "stage-1")
    assert not [ref for ref in repository.refs() if "sluice" in ref]


def test_diff_names_what_changed(world):
    repository = world.repository()
    repository.commit({"apps/shop/a": "1\n", "apps/shop/b": "1\n"})
    client = world.server().client()
    client.CreateApp(name="shop", repository_url=world.git_host().url(repository))
    harness.wait_content(client, "shop", "v1")
    repository.commit({"apps/shop/b": "22\n", "apps/shop/c": "3\n"}, remove=["apps/shop/a"])
    client.CreateVersion(app="shop", name="v2")
    harness.wait_content(client, "shop", "v2")
    diff = client.DiffVersions(app="shop", version="v2")
    assert [(f.change, f.path, f.old_bytes, f.new_bytes) for f in diff.files] == [(3, "a", 2, 0), (2, "b", 2, 3), (1, "c", 0, 2)]
    assert (diff.to.name, getattr(diff, "from").name) == ("v2", "v1")


def test_the_first_contact_with_a_repository_comes_by_itself(world):
    """Also when no app needs it yet; RefreshRepository asks again."""
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"})
    host = world.git_host("git")
    client = world.server().client()

    def contact(name, wanted):
        def look():
            found = client.GetRepository(repository=name).repository.contact
            return found if found.HasField("at") and wanted(found) else None

        return harness.until(look, 60, f"contact with {name}")

    client.CreateRepository(name="good", url=host.url(repository))
    assert contact("good", lambda c: c.reachable).failure == ""
    client.CreateRepository(name="typo", url=host.url(repository).replace("apps.git", "oops.git"))
    assert contact("typo", lambda c: c.failure).text
    host.stop()
    client.RefreshRepository(repository="good")
    away = contact("good", lambda c: not c.reachable)
    assert away.failure == "REPOSITORY_UNREACHABLE" and away.text
    host.start()
    client.RefreshRepository(repository="good")
    contact("good", lambda c: c.reachable)
    client.DeleteRepository(repository="good")


def hook(repository, name, text):
    path = os.path.join(repository.bare, "hooks", name)
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def test_killed_between_push_and_record_it_makes_the_same_commit_and_counts_as_published(world):
    server, client, repository, _ = world.shop("git")
    # The tag is there, the host's answer is not: the server dies in between.
    pushed, dead = world.path("pushed"), world.path("dead")
    path = hook(repository, "reference-transaction",
                f'if [ "$1" = committed ] && grep -q refs/tags/sluice; then touch {pushed}; while [ ! -e {dead} ]; do sleep 0.1; done; fi\n')
    client.SealVersion(app="shop", version="v1")
    harness.until(lambda: os.path.exists(pushed), 60, "the push")
    server.kill()
    open(dead, "w", encoding="ascii").close()
    tags = {ref: commit for ref, commit in repository.refs().items() if "sluice" in ref}
    assert len(tags) == 1
    os.unlink(path)
    server.start()
    client = server.client()
    harness.wait_published(client, "shop", "v1", 60)
    publication = client.GetVersion(app="shop", version="v1").version.publication
    assert {publication.ref: publication.commit} == tags
    assert {ref: commit for ref, commit in repository.refs().items() if "sluice" in ref} == tags
    assert server.stop() == 0
    server.verify()


def test_a_push_that_the_host_refuses_is_parked_and_lets_others_pass(world):
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n", "apps/blog/index.html": "two\n"})
    path = hook(repository, "update", 'case "$1" in refs/tags/sluice/shop/*) echo "tags of shop are protected"; exit 1;; esac\n')
    host = world.git_host("git")
    client = world.server().client()
    client.CreateRepository(name="apps", url=host.url(repository))
    for app in ("shop", "blog"):
        client.CreateApp(name=app, repository="apps")
        harness.wait_content(client, app, "v1")
    client.SealVersion(app="shop", version="v1")
    refused = harness.until(lambda: (lambda p: p if p.state == 4 else None)(client.GetVersion(app="shop", version="v1").version.publication), 60, "parked")
    assert refused.reason == 15 and refused.text  # REF_PROTECTED
    client.SealVersion(app="blog", version="v1")
    harness.wait_published(client, "blog", "v1")
    contact = client.GetRepository(repository="apps").repository.contact
    assert (contact.owed, contact.parked) == (1, 1)
    os.unlink(path)
    client.RefreshRepository(repository="apps")
    harness.wait_published(client, "shop", "v1")
    contact = client.GetRepository(repository="apps").repository.contact
    assert (contact.owed, contact.parked) == (0, 0)


def test_git_work_never_holds_up_a_call(world):
    """A host that takes connections and says nothing: calls go on, and SIGTERM does not wait for it."""
    import socket
    import time

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/apps.git"
        server = world.server(["--git-jobs", "1", "--git-deadline", "20s"])
        client = server.client()
        slowest = 0.0
        for i in range(40):
            start = time.monotonic()
            client.CreateApp(name=f"a{i}", repository_url=url, path=f"apps/{i}")
            client.GetApp(app=f"a{i}")
            slowest = max(slowest, time.monotonic() - start)
        assert slowest < 10, slowest  # half of what one of them waits for the host
        content = harness.until(lambda: (lambda c: c if c.reason == 1 else None)(client.GetVersion(app="a0", version="v1").version.content), 90, "its deadline")
        assert content.text
        start = time.monotonic()
        assert server.stop() == 0 and time.monotonic() - start < 15

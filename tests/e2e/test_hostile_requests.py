"""What a caller can ask a server for that must be refused at once, named, and leave nothing behind; and hosts that move what was published."""
import os

import grpc
import pytest
import harness
import hostile_host
import hostile_world
import raw_git

import requests

host = hostile_world.host


@pytest.fixture(scope="module")
def world(services):
    made = harness.World(services)
    yield made
    made.end()


@pytest.fixture(scope="module")
def client(world, host):
    objects = raw_git.Objects()
    commit = objects.commit(objects.folder({"apps/shop/index.html": b"x\n"}))
    client = world.server().client()
    client.CreateRepository(name="good", url=host.host("good", hostile_host.Hosted(objects, {"refs/heads/main": commit})), publish=2)
    client.CreateApp(name="shop", repository="good")
    harness.wait_content(client, "shop", "v1")
    return client


def refused(call, reasons, **fields):
    with pytest.raises(harness.Refused) as error:
        call(**fields)
    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT and error.value.reason in reasons, error.value
    assert all(c in "\n\t" or ord(c) >= 32 and ord(c) != 127 for c in error.value.text), error.value.text
    assert "secret" not in error.value.text and len(error.value.text) < 1000


def head(client):
    return client.ListApps().page.revision


@pytest.mark.parametrize("case", requests.URLS)
def test_a_url_is_refused(client, case):
    before = head(client)
    refused(client.CreateRepository, ("URL_NOT_ALLOWED", "MALFORMED"), name="evil", url=requests.URLS[case])
    refused(client.CreateApp, ("URL_NOT_ALLOWED", "MALFORMED"), name="evil", repository_url=requests.URLS[case] or "x")
    assert head(client) == before


@pytest.mark.parametrize("path", requests.PATHS)
def test_a_path_is_refused(client, path):
    before = head(client)
    refused(client.CreateApp, ("MALFORMED", "NAME_INVALID", "PATH_INVALID"), name="evil", repository="good", path=path)
    assert head(client) == before


@pytest.mark.parametrize("name", requests.NAMES)
def test_a_name_is_refused(client, name):
    before = head(client)
    for call, fields in ((client.CreateApp, {"repository": "good"}), (client.CreateRepository, {"url": "https://example.org/x"}),
                         (client.RegisterInstance, {"environment": "staging"}), (client.CreateWorkspace, {})):
        refused(call, ("NAME_INVALID", "MALFORMED"), name=name, **fields)
    assert head(client) == before


@pytest.mark.parametrize("name", requests.VERSION_NAMES)
def test_a_version_name_is_refused(client, name):
    before = head(client)
    refused(client.CreateVersion, ("NAME_INVALID", "MALFORMED"), app="shop", name=name)
    assert head(client) == before


def test_a_revision_is_never_more_than_a_name(client):
    made = {}
    for number, revision in enumerate(requests.REVISIONS):
        try:
            client.CreateVersion(app="shop", name=f"r{number}", commit=revision)
            made[f"r{number}"] = revision
        except harness.Refused as error:
            assert error.code == grpc.StatusCode.INVALID_ARGUMENT, error
    for name, revision in made.items():
        content = harness.wait_content(client, "shop", name, "FAILED")
        assert content.reason in (4, 5, 6) and content.asked == revision, content


def test_a_tag_that_moved_on_does_not_matter_and_a_commit_that_is_withheld_does(services):
    world = harness.World(services)
    victim = hostile_world.Victim(services, world.path("victim"))
    try:
        victim.start()
        for kept in (True, False):
            files = {"index.html": b"<h1>%d</h1>\n" % kept}
            mine, theirs = raw_git.Objects(), raw_git.Objects()
            root = mine.folder(files)
            commit = mine.commit(root)
            evil = theirs.commit(theirs.folder({"index.html": b"<h1>owned</h1>\n"}))
            theirs.all.update(mine.all if kept else {})
            refs = {"refs/heads/main": evil, "refs/tags/sluice/shop/v2": evil, **({"refs/heads/old": commit} if kept else {})}
            bundle = victim.bundle(victim.host.host(f"moved-{kept}", hostile_host.Hosted(theirs, refs)), commit, root, raw_git.digest_of(files),
                                   ref="refs/tags/sluice/shop/v2")
            victim.offer(bundle)
            if kept:
                victim.report(bundle, [hostile_world.HEALTHY])
                victim.assert_serving(files)
                victim.plane.tell([victim.entry([victim.good])])
                harness.until(lambda: victim.agent.serves("shop") == {k: v.decode() for k, v in hostile_world.GOOD.items()}, 60, "good again")
            else:
                report = victim.report(bundle, error_class=hostile_world.PERMANENT)
                assert report.error.startswith("COMMIT_GONE"), report
                victim.assert_serving()
    finally:
        victim.end()
        world.end()


def test_the_server_lives_at_the_end(client, world):
    assert client.GetApp(app="shop").app.slug == "shop"
    assert not os.path.exists(world.path("server/owned"))

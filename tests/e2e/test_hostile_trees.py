"""Bundles of the hostile corpus: refused by the server with the rule's name, refused by an agent whose server let them through."""
import os

import pytest
import harness
import hostile_host
import hostile_world
import raw_git

import trees

TOO_BIG = ("TOO_MANY_FILES", "TOO_MANY_BYTES", "FILE_TOO_BIG")

host = hostile_world.host
victim = hostile_world.victim("victim")


@pytest.fixture(scope="module")
def server(services, short_folder):
    made = harness.Server(services, os.path.join(short_folder, "server"), ["--git-jobs", "4"])
    hostile_world.make_outside(os.path.join(short_folder, "outside"))
    yield made.start()
    made.end()


@pytest.fixture(scope="module")
def client(server, host):
    """All apps are made at once, so that the server works on many together."""
    client = server.client()
    makes = {case: row[0] for case, row in {**trees.REFUSED, **trees.BROKEN}.items()}
    makes.update({case: bundle_of(files) for case, files in trees.FINE.items()})
    for case, make in makes.items():
        client.CreateRepository(name=case, url=hosted(host, case, make)[0], publish=2)
        client.CreateApp(name=case, repository=case, path=".")
    return client


def bundle_of(files):
    return lambda objects: objects.folder(files)


def hosted(host, case, make):
    """The case's repository: (url, commit, root tree)."""
    objects = raw_git.Objects()
    root = make(objects)
    commit = objects.commit(root)
    return host.host(case, hostile_host.Hosted(objects, {"refs/heads/main": commit})), commit, root


def content_of(client, case, state):
    return harness.wait_content(client, case, "v1", state, timeout=60)


def reason(content):
    return content.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[content.reason].name.replace("CONTENT_REASON_", "")


@pytest.mark.parametrize("case", trees.REFUSED)
def test_the_server_refuses(client, server, short_folder, case):
    make, rule = trees.REFUSED[case]
    before = hostile_world.tree_hash(short_folder, ["server", "victim"])
    content = content_of(client, case, "FAILED")
    assert (reason(content), content.rule) == ("BUNDLE_TOO_BIG" if rule in TOO_BIG else "BUNDLE_REFUSED", rule), content.text
    assert rule in content.text and all(ord(c) >= 32 and not 127 <= ord(c) < 160 for c in content.text)
    assert hostile_world.tree_hash(short_folder, ["server", "victim"]) == before
    assert server.program.running


@pytest.mark.parametrize("case", trees.BROKEN)
def test_the_server_says_what_is_broken(client, case):
    make, want, _ = trees.BROKEN[case]
    content = content_of(client, case, "FAILED")
    assert reason(content) == want, content.text


@pytest.mark.parametrize("case", trees.FINE)
def test_the_server_takes_what_is_only_odd(client, case):
    files = trees.FINE[case]
    content = content_of(client, case, "READY")
    assert (content.files, content.bytes) == (len(files), sum(len(data) for data in files.values()))
    assert content.digest == raw_git.digest_of(files)


def fails(victim, case, make, words, error_class=hostile_world.PERMANENT):
    url, commit, root = hosted(victim.host, case, make)
    bundle = victim.bundle(url, commit, root)
    before = victim.outside(bundle)
    victim.offer(bundle)
    report = victim.report(bundle, error_class=error_class)
    assert any(report.error.startswith(word) for word in words), report.error
    assert report.active_version_id == victim.good.version_id
    assert victim.outside(bundle) == before
    victim.assert_serving()


@pytest.mark.parametrize("case", trees.REFUSED)
def test_the_agent_refuses(victim, case):
    make, rule = trees.REFUSED[case]
    fails(victim, case, make, [f"{'BUNDLE_TOO_BIG' if rule in TOO_BIG else 'BUNDLE_REFUSED'} {rule}:"])


@pytest.mark.parametrize("case", trees.BROKEN)
def test_the_agent_says_what_is_broken(victim, case):
    make, _, words = trees.BROKEN[case]
    fails(victim, case, make, words.split("|"), hostile_world.PERMANENT if words == "BUNDLE_EMPTY" else hostile_world.TRANSIENT)


@pytest.mark.parametrize("case", trees.FINE)
def test_the_agent_serves_what_is_only_odd_byte_by_byte(victim, case):
    files = trees.FINE[case]
    url, commit, root = hosted(victim.host, case, bundle_of(files))
    bundle = victim.bundle(url, commit, root, raw_git.digest_of(files), bytes=sum(map(len, files.values())))
    victim.offer(bundle)
    victim.report(bundle, [hostile_world.HEALTHY])
    victim.assert_serving(files)
    top = os.path.realpath(victim.agent.current("shop"))
    for folder, folders, names in os.walk(top):
        assert all(os.lstat(os.path.join(folder, name)).st_mode & 0o7777 == 0o444 for name in names)
        assert all(os.lstat(os.path.join(folder, name)).st_mode & 0o7777 == 0o555 for name in folders)
    since = len(victim.plane.reports)
    victim.plane.tell([victim.entry([victim.good])])
    victim.report(victim.good, [hostile_world.HEALTHY], since=since)
    victim.assert_serving()


def test_both_live_and_answer_at_the_end(victim, client):
    victim.assert_answers()
    assert client.ListApps(page={"page_size": 1}).apps

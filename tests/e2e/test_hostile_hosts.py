"""A Git host that lies, stalls or floods, against server and agent: an error by name, in bounded time, and nothing else happens."""
import os

import pytest
import harness
import hostile_host
import hostile_world
import raw_git

import hosts

# For those that never end.
DEADLINE = ["--git-deadline", "3s"]

host = hostile_world.host
victim = hostile_world.victim("victim", DEADLINE)
odd_victim = hostile_world.victim("odd-victim")


@pytest.fixture(scope="module")
def trap():
    made = hostile_host.Trap()
    yield made
    made.end()


@pytest.fixture(scope="module")
def server(services, short_folder):
    hostile_world.make_outside(os.path.join(short_folder, "outside"))
    made = harness.Server(services, os.path.join(short_folder, "server"), ["--git-jobs", "8"] + DEADLINE)
    yield made.start()
    made.end()


def create(client, host, trap, cases):
    for case, make in cases.items():
        client.CreateRepository(name=case, url=host.host(case, repository(make, trap)[0]), publish=2)
        client.CreateApp(name=case, repository=case, path=".")
    return client


@pytest.fixture(scope="module")
def contents(server, host, trap):
    """All apps at once, so that the hosts that stall do it together."""
    return create(server.client(), host, trap, {case: row[0] for case, row in hosts.HOSTS.items()})


@pytest.fixture(scope="module")
def odd_contents(services, short_folder, host, trap):
    """What is only odd has the time that it takes: ten thousand refs, on a busy machine."""
    made = harness.Server(services, os.path.join(short_folder, "odd-server")).start()
    yield create(made.client(), host, trap, hosts.FINE)
    made.end()


def repository(make, trap):
    objects = raw_git.Objects()
    root = objects.folder({"index.html": b"<h1>new</h1>\n"})
    commit = objects.commit(root)
    return make(objects, commit, trap.port), commit, root


def named(client, case):
    """The content with a reason that fits. On a busy machine the deadline may be over first: it is tried again."""
    content = client.GetVersion(app=case, version="v1").version.content
    return content if reason(content) in hosts.HOSTS[case][1].split("|") else None


def reason(content):
    return content.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[content.reason].name.replace("CONTENT_REASON_", "")


def is_clean(text):
    return all(ord(c) >= 32 and not 127 <= ord(c) < 160 for c in text)


@pytest.mark.parametrize("case", hosts.HOSTS)
def test_the_server_names_it(contents, server, trap, short_folder, case):
    content = harness.until(lambda: named(contents, case), 120, f"{hosts.HOSTS[case][1]} of {case}")
    assert content.text and is_clean(content.text) and not content.digest
    assert not trap.caught and server.program.running


@pytest.mark.parametrize("case", hosts.FINE)
def test_the_server_takes_what_is_only_odd(odd_contents, case):
    harness.wait_content(odd_contents, case, "v1", timeout=60)


def offered(victim, trap, case, make):
    made, commit, root = repository(make, trap)
    if "tree" in made.behaviour:  # the bundle itself is the lie
        commit, root = made.refs[hosts.MAIN], made.behaviour["tree"]
    return victim.bundle(victim.host.host(case, made), commit, root, raw_git.digest_of({"index.html": b"<h1>new</h1>\n"}), repository=None)


@pytest.mark.parametrize("case", hosts.HOSTS)
def test_the_agent_names_it(victim, trap, case):
    make, _, words, again = hosts.HOSTS[case]
    bundle = offered(victim, trap, case, make)
    if case.startswith("ref-is"):
        bundle.commit = "5" * 40
        words, again = "COMMIT_GONE|MIRROR_CORRUPT|REPOSITORY_UNREACHABLE|REVISION_NOT_FOUND", None
    before = victim.outside(bundle)
    victim.offer(bundle)
    named_so = lambda report: report.version_id == bundle.version_id and report.error and any(report.error.startswith(word) for word in words.split("|"))
    report = victim.plane._wait(lambda: next((r for r in victim.plane.reports if named_so(r)), None), 60, f"{words} of {case}")
    if again is not None:
        assert report.error_class == (hostile_world.TRANSIENT if again else hostile_world.PERMANENT), report
    assert report.active_version_id == victim.good.version_id and is_clean(report.error) and not trap.caught
    victim.assert_serving()
    victim.assert_answers()  # the bundle is no longer wanted
    assert victim.outside(bundle) == before


@pytest.mark.parametrize("case", hosts.FINE)
def test_the_agent_serves_what_is_only_odd(odd_victim, trap, case):
    bundle = offered(odd_victim, trap, case, hosts.FINE[case])
    odd_victim.offer(bundle)
    odd_victim.report(bundle, [hostile_world.HEALTHY])
    odd_victim.assert_serving({"index.html": b"<h1>new</h1>\n"})
    since = len(odd_victim.plane.reports)
    odd_victim.plane.tell([odd_victim.entry([odd_victim.good])])
    odd_victim.report(odd_victim.good, [hostile_world.HEALTHY], since=since)

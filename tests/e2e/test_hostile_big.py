"""Bundles whose size is the attack, at full size: slow, so apart. See tests/data/hostile/trees.py."""
import resource

import pytest
import harness
import hostile_host
import hostile_world
import raw_git

import trees


def zeros(objects):
    """A file of 1.1 GB in a pack of one MB."""
    return objects.tree([trees.INDEX, (trees.FILE, b"zeros", b"\0" * (1100 << 20))])


BIG = {
    "a-hundred-thousand-levels": (trees.chain(100000), "BUNDLE_REFUSED", "TOO_DEEP"),
    "a-million-files": (trees.fan(10, 6), "BUNDLE_TOO_BIG", "TOO_MANY_FILES"),
    "a-million-names-in-one-folder": (trees.wide(1000000), "BUNDLE_TOO_BIG", "TOO_MANY_FILES"),
    "a-file-of-a-gigabyte": (zeros, "BUNDLE_TOO_BIG", "FILE_TOO_BIG"),
}


@pytest.mark.parametrize("case", BIG)
def test_a_bundle_that_is_too_much_is_refused_by_both(services, case):
    make, reason, rule = BIG[case]
    world = harness.World(services)
    victim = hostile_world.Victim(services, world.path("victim"))
    try:
        victim.start()
        objects = raw_git.Objects()
        root = make(objects)
        commit = objects.commit(root)
        url = victim.host.host(case, hostile_host.Hosted(objects, {"refs/heads/main": commit}))
        victim.host.server.repositories[case].behaviour["pack"] = hostile_host.line(b"NAK\n") + raw_git.pack(objects.all)
        server = world.server()
        client = server.client()
        client.CreateRepository(name="big", url=url, publish=2)
        client.CreateApp(name="big", repository="big", path=".")
        bundle = victim.bundle(url, commit, root)
        before = victim.outside(bundle)
        victim.offer(bundle)
        content = harness.wait_content(client, "big", "v1", "FAILED", timeout=120)
        assert (harness_reason(content), content.rule) == (reason, rule), content
        report = victim.report(bundle, error_class=hostile_world.PERMANENT, timeout=120)
        assert report.error.startswith(f"{reason} {rule}:"), report
        assert victim.outside(bundle) == before
        victim.assert_serving()
        for program in (server.program, victim.agent.program):
            assert memory_of(program) < 128 << 20, "the work is the child's"
    finally:
        victim.end()
        world.end()


def harness_reason(content):
    return content.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[content.reason].name.replace("CONTENT_REASON_", "")


def memory_of(program):
    with open(f"/proc/{program.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

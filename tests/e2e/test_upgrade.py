"""Upgrade: the server first, agents later, in any order; agents of other versions work; a store of a newer server is refused and left alone."""
import hashlib
import os
import queue
import subprocess

import grpc
import pytest

import harness
import hostile_world

MANIFEST_TIMEOUT = 60
# Field 1000 of a later version.
LATER = bytes([0xc2, 0x3e, 20]) + b"from a later version"


def content(folder):
    """The store itself; locks are made by whoever looks."""
    with open(os.path.join(folder, "data.mdb"), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def make_newer(folder):
    """The store as a server of the next format would leave it."""
    dump = subprocess.run(["mdb_dump", "-s", "store/meta", folder], check=True, capture_output=True, text=True).stdout.splitlines()
    key = " " + b"store/format".hex()
    at = dump.index(key)
    newer = f" {int(dump[at + 1].strip(), 16) + 1:08x}"
    head = dump[:dump.index("HEADER=END") + 1]
    subprocess.run(["mdb_load", folder], input="\n".join(head + [key, newer, "DATA=END", ""]), check=True, capture_output=True, text=True)


def test_a_store_of_a_newer_server_is_refused_and_left_as_it_is(world):
    server = world.server()
    server.client().RegisterInstance(name="prod-1", environment="production")
    assert server.stop() == 0
    make_newer(server.folder)
    before = content(server.folder)
    for argv, code in ((["serve", "--insecure", "--listen", "127.0.0.1:0", "--data", server.folder], 1), (["verify", server.folder], 3)):
        done = subprocess.run([harness.SLUICED] + argv, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
        assert "its format is 4 and this program knows formats up to 3; use a newer program" in done.stderr
        assert content(server.folder) == before


class AgentOfAnotherVersion:
    """Speaks AgentService.Sync as bytes, so that it can say what this version does not know."""

    def __init__(self, server):
        from sluice.v1 import agent_pb2

        self.pb, self._out = agent_pb2, queue.Queue()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        call = self._channel.stream_stream("/sluice.v1.AgentService/Sync", request_serializer=lambda raw: raw,
                                           response_deserializer=agent_pb2.SyncResponse.FromString)
        self._answers = call(iter(self._out.get, None), timeout=MANIFEST_TIMEOUT)

    def say(self, later=b"", **message):
        """`later` is in the message and in its envelope."""
        (kind, inner), = message.items()
        envelope = self.pb.SyncRequest()
        getattr(envelope, kind).MergeFromString(inner.SerializeToString() + later)
        self._out.put(envelope.SerializeToString() + later)

    def hear(self, kind):
        for answer in self._answers:
            if answer.WhichOneof("message") == kind:
                return getattr(answer, kind)
        raise AssertionError(f"no {kind}")

    def end(self):
        self._out.put(None)
        self._channel.close()


@pytest.mark.parametrize("protocol, version, later", [(0, "0.0.9", b""), (1, "0.1.0", b""), (3, "0.3.0", LATER)])
def test_agents_of_other_versions_are_told_and_heard(world, protocol, version, later):
    server = world.server()
    client = server.client()
    client.RegisterInstance(name="prod-1", environment="production")
    agent = world.add(AgentOfAnotherVersion(server))
    agent.say(later, hello=agent.pb.AgentHello(workspace="default", instance="prod-1", agent_version=version, protocol=protocol))
    pace = agent.hear("pace")
    assert pace.protocol == 1 and pace.instance_id
    manifest = agent.pb.Manifest.FromString(agent.hear("manifest").body)
    agent.say(later, heartbeat=agent.pb.AgentHeartbeat(sequence=manifest.sequence))
    harness.until(lambda: client.GetInstance(instance="prod-1").instance.agent.sequence == manifest.sequence, 60, "the heartbeat")
    view = client.GetInstance(instance="prod-1").instance.agent
    assert view.agent_version == version and view.liveness == 2
    assert server.stop() == 0


def test_an_agent_works_under_a_later_server(world, services, tmp_path):
    victim = world.add(hostile_world.Victim(services, world.path("victim")))
    victim.start()
    victim.plane.say(victim.plane.pace(protocol=3) + LATER)
    tree = {"index.html": b"two\n"}
    root = victim.objects.folder(tree)
    commit = victim.objects.commit(root)
    url = victim.host.host("next", hostile_world.hostile_host.Hosted(victim.objects, {"refs/heads/main": commit}))
    bundle = victim.bundle(url, commit, root, hostile_world.raw_git.digest_of(tree), version="next", files=1, bytes=4)
    bundle.MergeFromString(LATER)
    entry = victim.entry([victim.good, bundle])
    entry.MergeFromString(LATER)
    manifest = victim.plane.manifest([entry])
    victim.plane.say(victim.plane.envelope(manifest.SerializeToString() + LATER))
    victim.plane.wait_report(bundle.version_id, [hostile_world.HEALTHY])
    victim.assert_serving(tree)

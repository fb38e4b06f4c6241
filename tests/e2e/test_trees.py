"""Manifests that one signature vouches for: the attacks of test_trust with such a signature, against a real agent; and a real server with agents
that take them and some that do not. What is signed is computed and checked by an implementation of its own (lib/signer.py)."""
import base64
import os
import time

import fake_plane
import harness
import pytest
import signer
from test_trust import Trusting, sluiced, taken_down
from test_upgrade import AgentOfAnotherVersion

FORGED = "signature is not that of the manifest key"
SIZES = [(1, 0), (2, 1), (3, 2), (5, 4), (6, 0), (7, 5), (64, 33), (100, 99), (256, 255)]


def other_instance(victim, body, number):
    manifest = victim.plane.pb.Manifest.FromString(body)
    manifest.instance_id = fake_plane.an_id("ins", 10 + number)
    return manifest.SerializeToString()


def right(victim, **fields):
    """The body of a manifest that nothing is wrong with, but for what `fields` say."""
    return victim.plane.manifest([victim.entry([victim.good])], **fields).SerializeToString()


class Tree:
    """Manifests signed together: the one at `index` is `body`, the others are other instances'."""

    def __init__(self, victim, body, size=7, index=5, by=None):
        self.victim, self.index, self.size = victim, index, size
        self.bodies = [other_instance(victim, body, number) for number in range(size)]
        self.bodies[index] = body
        self.salts = [os.urandom(16) for _ in range(size)]
        self.leaves = [signer.leaf(salt, one) for salt, one in zip(self.salts, self.bodies)]
        self.signature = (by or victim.key).tree(size, signer.root(self.leaves))

    def path_of(self, number):
        return self.victim.plane.pb.ManifestPath(salt=self.salts[number], index=number, size=self.size, hashes=signer.path(self.leaves, number))

    def path(self, **fields):
        path = self.path_of(self.index)
        for name, value in fields.items():
            setattr(path, name, value)
        return path

    def envelope(self, **fields):
        """As a server says it to the victim, but for `fields`."""
        return self.victim.plane.envelope(self.bodies[self.index], **{"signature": self.signature, "path": self.path(), **fields})


@pytest.fixture(scope="module")
def victim(services, short_folder):
    made = Trusting(services, os.path.join(short_folder, "trees"))
    try:
        made.start()
        yield made
    finally:
        made.end()


def accepts(victim, raw):
    """The last manifest that was made is in `raw`."""
    victim.plane.say(raw)
    victim.agent.program.wait_line(f" manifest .*sequence={victim.plane.sequence} |event=manifest .*sequence={victim.plane.sequence} |"
                                   f"manifest sequence={victim.plane.sequence} ")


@pytest.mark.parametrize("size, index", SIZES)
def test_an_agent_takes_trees_of_every_size(victim, size, index):
    assert victim.plane.hellos[-1].manifest_trees
    accepts(victim, Tree(victim, right(victim), size, index).envelope())


def test_arbitrary_installation_by_another_key(victim):
    for by in (victim.stranger, victim.recovery):
        victim.refuses(Tree(victim, taken_down(victim).SerializeToString(), by=by).envelope(), FORGED)
    victim.assert_answers()


def test_arbitrary_installation_without_a_signature(victim):
    victim.refuses(Tree(victim, taken_down(victim).SerializeToString()).envelope(signature=b""), "manifest is not signed")
    victim.assert_answers()


def test_arbitrary_installation_under_another_body_or_way(victim):
    tree, evil = Tree(victim, right(victim)), taken_down(victim).SerializeToString()
    victim.refuses(victim.plane.envelope(evil, signature=tree.signature, path=tree.path()), FORGED)
    for fields in ({"index": 4}, {"index": 7}, {"index": 2**32 - 1}, {"size": 8}, {"size": 0}, {"size": 2**32 - 1}, {"salt": b""}, {"salt": bytes(16)},
                   {"hashes": b""}, {"hashes": tree.path().hashes[:-1]}, {"hashes": tree.path().hashes + bytes(32)}, {"hashes": tree.path().hashes[32:]}):
        victim.refuses(tree.envelope(path=tree.path(**fields)), FORGED)
    victim.assert_answers()


def test_a_signature_of_one_kind_is_none_of_the_other(victim):
    body = right(victim)
    victim.refuses(Tree(victim, body).envelope(signature=victim.key.manifest(body)), FORGED)
    alone = Tree(victim, body, 1, 0)
    victim.refuses(victim.plane.envelope(body, signature=alone.signature), FORGED)
    victim.refuses(victim.plane.envelope(victim.key.public, signature=victim.key.tree(1, signer.root(alone.leaves))), FORGED)
    victim.assert_answers()


def test_wrong_software_of_another_instance_of_the_tree(victim):
    tree = Tree(victim, right(victim))
    victim.refuses(victim.plane.envelope(tree.bodies[2], signature=tree.signature, path=tree.path_of(2)), "belongs to")
    victim.refuses(victim.plane.envelope(tree.bodies[2], signature=tree.signature, path=tree.path()), FORGED)
    victim.refuses(tree.envelope(path=tree.path_of(2)), FORGED)
    victim.assert_answers()


def test_rollback_and_replay(victim):
    older, newer = Tree(victim, right(victim)).envelope(), Tree(victim, right(victim)).envelope()
    accepts(victim, newer)
    victim.refuses(older, "was accepted before")
    victim.assert_answers()
    victim.refuses(newer, "was accepted before")


def test_freeze_by_an_expired_manifest_and_another_epoch(victim):
    victim.refuses(Tree(victim, right(victim, expires_s=int(time.time()) - 5)).envelope(), "expired")
    victim.refuses(Tree(victim, right(victim, key_epoch=2)).envelope(), "key epoch 2")
    victim.assert_answers()


def test_mix_and_match_of_a_manifest_and_another_tree(victim):
    """Rightly signed, but the digest is not that of what the host gives."""
    bundle = victim.bundle(victim.good_url, victim.good.commit, victim.good.tree, os.urandom(32))
    body = victim.plane.manifest([victim.entry([victim.good, bundle])]).SerializeToString()
    victim.plane.say(Tree(victim, body).envelope())
    assert "digest" in victim.report(bundle).error
    victim.assert_serving()
    victim.assert_answers()


# --- with a real server ---------------------------------------------------------------------------


def key_of(text):
    """Of base 32 over epoch, key and check."""
    raw = text.strip().split(":")[1].replace("-", "").upper()
    return base64.b32decode(raw + "=" * (-len(raw) % 8))[4:36]


class Listener(AgentOfAnotherVersion):
    """An agent's stream that checks what it is told, by the server's public key."""

    def __init__(self, server, client, public, name, takes_trees):
        super().__init__(server)
        client.RegisterInstance(name=name, environment="development")
        self.public, self.paths = public, []
        self.say(hello=self.pb.AgentHello(instance=name, agent_version="0.1.0", protocol=1, manifest_trees=takes_trees))
        self.instance_id = self.hear("pace").instance_id

    def next(self):
        envelope = self.hear("manifest")
        manifest = self.pb.Manifest.FromString(envelope.body)
        assert manifest.instance_id == self.instance_id and manifest.key_epoch == 1
        path = envelope.path if envelope.HasField("path") else None
        self.paths.append(path)
        if path is None:
            assert signer.is_signed(self.public, "sluice manifest v1", envelope.body, envelope.signature)
        else:
            top = signer.root_by(signer.leaf(path.salt, envelope.body), path.index, path.size, path.hashes)
            assert len(path.salt) == 16 and path.index < path.size
            assert signer.is_signed(self.public, "sluice manifest tree v1", path.size.to_bytes(4, "big") + top, envelope.signature)
        return manifest

    def until_active(self):
        manifest = self.next()
        while not (manifest.apps and manifest.apps[0].activate):
            manifest = self.next()
        return self.paths[-1]


def test_a_step_is_told_with_one_signature_and_old_agents_have_their_own(world, services):
    data, pin = world.path("signing"), world.path("manifest.pub")
    sluiced("init", "--data", data)
    text = sluiced("keys", "show-manifest", "--data", data)
    with open(pin, "w", encoding="ascii") as file:
        file.write(text)
    public = key_of(text)
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"})
    host = world.git_host("file")
    server = world.add(harness.Server(services, data, ["--heartbeat", "2s"])).start()
    client = server.client()
    agents = []
    for number in range(3):
        client.RegisterInstance(name=f"dev-{number}", environment="development")
        agents.append(world.add(harness.Agent(server, world.path(f"agent-{number}"), f"dev-{number}", ["--manifest-key", pin])).start())
    listeners = [world.add(Listener(server, client, public, f"{name}-1", name == "new")) for name in ("new", "old")]
    for agent in agents:
        agent.program.wait_line(" manifest sequence=", 60)
    for listener in listeners:
        assert not listener.next().apps and listener.paths == [None]  # told alone, as it came
    client.CreateApp(name="shop", repository_url=host.url(repository))
    new, old = (listener.until_active() for listener in listeners)
    assert new.size == len(agents) + 1  # the old one is not among them
    assert old is None and set(listeners[1].paths) == {None}
    harness.until(lambda: all((agent.serves("shop") or {}).get("index.html") == "one\n" for agent in agents), 60, "all serve it")
    seen = [client.GetInstance(instance=f"dev-{number}").instance.agent for number in range(3)]
    assert all(agent.refusals == 0 and not agent.last_error for agent in seen), seen

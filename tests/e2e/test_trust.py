"""The attacks on update systems, each against a real agent that has pinned a manifest key: it refuses, says so to its server, and goes on
serving; and the ways in which honest keys change, with a real server."""
import os
import subprocess
import time

import fake_plane
import harness
import hostile_world
import pytest
import signer

MANIFEST_REFUSED, RELEASE_UNSIGNED, NOT_READY, HEALTHY, STAGED = 3, 4, 7, 6, 4


class Trusting(hostile_world.Victim):
    """A victim that has pinned key and recovery key; its plane signs with `key`."""

    def __init__(self, services, folder, release=None):
        self.key, self.recovery, self.stranger = signer.Signer(), signer.Signer(), signer.Signer()
        super().__init__(services, folder, signer.pin_files(os.path.join(folder, "pins"), 1, self.key, self.recovery, release))
        self.plane.signer, self.plane.epoch = self.key, 1

    def refuses(self, raw, words):
        """The agent refuses it with these words, tells its server, and serves on."""
        since = len(self.plane.refusals)
        self.plane.say(raw)
        refusal = self.plane.wait_refusal(words, since)
        assert refusal.error_class == MANIFEST_REFUSED and refusal.count > 0
        self.assert_serving()
        time.sleep(1.05)  # it tells of one refusal a second


@pytest.fixture(scope="module")
def victim(services, short_folder):
    made = Trusting(services, os.path.join(short_folder, "trusting"))
    try:
        made.start()
        made.first = made.plane.envelope(made.plane.manifest([made.entry([made.good])]))
        made.plane.say(made.first)
        made.assert_answers()
        yield made
    finally:
        made.end()


def signed(victim, by=None, **fields):
    manifest = victim.plane.manifest([victim.entry([victim.good])], **fields)
    return victim.plane.envelope(manifest, **({"signature": by.manifest(manifest.SerializeToString())} if by else {}))


def taken_down(victim, **fields):
    """What an attacker wants: the app goes."""
    return victim.plane.manifest([victim.entry([victim.good], activate="", take_down=True)], **fields)


def test_arbitrary_installation_without_a_signature(victim):
    victim.refuses(victim.plane.envelope(taken_down(victim), signature=b""), "manifest is not signed")
    victim.refuses(victim.plane.envelope(taken_down(victim, key_epoch=0), signature=b""), "manifest is not signed")
    victim.assert_answers()


def test_arbitrary_installation_by_another_key(victim):
    body = taken_down(victim).SerializeToString()
    for by in (victim.stranger, victim.recovery):
        victim.refuses(victim.plane.envelope(body, signature=by.manifest(body)), "signature is not that of the manifest key")
    victim.assert_answers()


def test_a_changed_bit(victim):
    body = bytearray(victim.plane.manifest([victim.entry([victim.good])]).SerializeToString())
    signature = victim.key.manifest(bytes(body))
    body[len(body) // 2] ^= 1
    victim.refuses(victim.plane.envelope(bytes(body), signature=signature), "signature is not that of the manifest key")
    victim.assert_answers()


def test_rollback_to_an_older_manifest(victim):
    victim.refuses(victim.first, "was accepted before")
    victim.assert_answers()


def test_freeze_by_an_expired_manifest(victim):
    victim.refuses(signed(victim, expires_s=int(time.time()) - 5), "expired")
    victim.assert_answers()


def test_wrong_software_of_another_instance(victim):
    victim.refuses(signed(victim, instance_id=fake_plane.an_id("ins", 9)), "belongs to")
    victim.assert_answers()


def test_wrong_software_of_another_epoch(victim):
    victim.refuses(signed(victim, key_epoch=2), "key epoch 2")
    victim.assert_answers()


def test_mix_and_match_of_a_manifest_and_another_tree(victim):
    """A signed manifest whose digest is not that of what the host gives."""
    bundle = victim.bundle(victim.good_url, victim.good.commit, victim.good.tree, os.urandom(32))
    victim.offer(bundle)
    report = victim.report(bundle)
    assert "digest" in report.error
    victim.assert_serving()
    victim.assert_answers()


def refresh(victim, by, body, **fields):
    values = {"key_epoch": victim.plane.epoch, "sequence": victim.plane.sequence + 1, "expires_s": int(time.time()) + 6 * 86400, **fields}
    message = victim.plane.pb.NotModified(sequence=values["sequence"], key_epoch=values["key_epoch"], manifest_digest=signer.digest(body))
    message.expires_at.seconds = values["expires_s"]
    if by is not None:
        message.signature = by.refresh(values["key_epoch"], values["sequence"], values["expires_s"], signer.digest(body))
    return victim.plane.pb.SyncResponse(not_modified=message).SerializeToString()


def test_freeze_by_a_forged_refresh(victim):
    manifest = victim.plane.manifest([victim.entry([victim.good])])
    body = manifest.SerializeToString()
    victim.plane.say(victim.plane.envelope(manifest))
    victim.refuses(refresh(victim, None, body), "not signed by the manifest key")
    victim.refuses(refresh(victim, victim.stranger, body), "not signed by the manifest key")
    victim.refuses(refresh(victim, victim.key, b"another"), "another one than this agent holds")
    bare = victim.plane.pb.NotModified(sequence=2**63)
    bare.expires_at.seconds = int(time.time()) + 10**9
    victim.refuses(victim.plane.pb.SyncResponse(not_modified=bare).SerializeToString(), "refresh of a manifest")
    victim.plane.say(refresh(victim, victim.key, body))
    victim.plane.sequence += 1  # the agent takes this sequence as accepted
    victim.assert_answers()


def test_announcements_that_are_forged_or_skip_one(victim):
    key, plane = signer.Signer(), victim.plane
    victim.refuses(plane.keys((2, key, victim.stranger)), "announcement of the manifest key of epoch 2")
    victim.refuses(plane.keys((2, key, key)), "announcement of the manifest key of epoch 2")
    victim.refuses(plane.keys((2, key, None)), "announcement of the manifest key of epoch 2")
    victim.refuses(plane.keys((3, key, victim.key)), "announcement of the manifest key of epoch 3")
    victim.assert_answers()  # the pinned key is still the one


def test_keys_follow_each_other_and_none_comes_back(services, short_folder):
    victim = Trusting(services, os.path.join(short_folder, "keys"))
    second, third, plane = signer.Signer(), signer.Signer(), victim.plane
    try:
        victim.start()
        plane.say(plane.keys((2, second, victim.key)))
        old = signed(victim)
        victim.refuses(old, "signature is not that of the manifest key of epoch 2")  # an old epoch's key
        plane.signer, plane.epoch, plane.sequence = second, 2, 5  # order begins anew
        victim.assert_answers()
        plane.say(plane.keys((3, third, second)))
        plane.signer, plane.epoch = third, 3
        victim.assert_answers()
        victim.refuses(plane.keys((2, second, victim.key)), "announcement of the manifest key of epoch 2")  # replayed
        victim.agent.kill()
        victim.agent.start()  # it knows after a restart, though its flag still names the first
        assert plane.wait_hello(2).key_epoch == 3
        victim.assert_answers()
    finally:
        victim.end()


def test_a_stolen_key_fast_forwards_and_recovery_leads_back(services, short_folder):
    victim = Trusting(services, os.path.join(short_folder, "stolen"))
    plane, honest = victim.plane, signer.Signer()
    try:
        victim.start()
        plane.say(plane.keys((2, victim.stranger, victim.key), (3, victim.stranger, victim.stranger)))
        plane.signer, plane.epoch, plane.sequence = victim.stranger, 3, 2**64 - 3
        victim.assert_answers()  # whoever has the key is believed
        plane.say(plane.keys((2, honest, victim.recovery)))
        stranger = signed(victim)
        victim.refuses(stranger, "signature is not that of the manifest key of epoch 2")
        plane.signer, plane.epoch, plane.sequence = honest, 2, 2000
        victim.assert_answers()
        victim.refuses(plane.keys((2, victim.stranger, victim.recovery)), "announcement")  # it has spoken for epoch 2
        victim.refuses(plane.keys((4, victim.stranger, victim.stranger)), "announcement")
        victim.assert_answers()
    finally:
        victim.end()


def test_freeze_with_a_clock_that_is_set_back(services, short_folder):
    """A manifest that was withheld until it expired, and a server that says it is earlier than signed words have proven."""
    victim = Trusting(services, os.path.join(short_folder, "clock"))
    plane = victim.plane
    try:
        victim.start()
        withheld = taken_down(victim)
        withheld.sequence += 100
        withheld = plane.envelope(withheld)
        plane.clock_s = 30 * 86400  # a month goes by, and the agent hears of it
        plane.say(plane.pace())
        victim.assert_answers()
        plane.clock_s = 0
        plane.say(plane.pace())
        victim.refuses(withheld, "expired")
        victim.agent.kill()
        victim.agent.start()
        plane.wait_hello(2)
        victim.refuses(withheld, "expired")  # also after a restart
    finally:
        victim.end()


def test_a_state_folder_that_was_removed_believes_its_pins_only(services, short_folder):
    victim = Trusting(services, os.path.join(short_folder, "removed"))
    plane = victim.plane
    try:
        victim.start()
        victim.agent.kill()
        os.remove(os.path.join(victim.agent.folder, "state"))
        victim.agent.start()
        hello = plane.wait_hello(2)
        assert hello.key_epoch == 1 and hello.manifest_key == victim.key.public and hello.sequence == 0
        victim.refuses(plane.envelope(taken_down(victim), signature=b""), "manifest is not signed")
        victim.assert_answers()
        victim.agent.kill()
        os.remove(os.path.join(victim.agent.folder, "state"))
        victim.agent.flags = [flag for flag in victim.agent.flags if "pins" not in flag and not flag.endswith("-key")]
        victim.agent.start()  # nobody is believed that it was never told of
        plane.wait_hello(3)
        victim.refuses(signed(victim), "pinned no key")
    finally:
        victim.end()


def test_production_can_demand_an_offline_release_key(services, short_folder):
    release = signer.Signer()
    victim = Trusting(services, os.path.join(short_folder, "release"), release)
    plane, good = victim.plane, victim.good
    try:
        good.release_signature = release.release(victim.app, good.version_id, good.digest)
        victim.start()
        other = victim.bundle(victim.good_url, good.commit, good.tree, good.digest, version="v2")
        for by in (None, victim.key, victim.stranger):
            other.release_signature = by.release(victim.app, other.version_id, other.digest) if by else b""
            victim.offer(other)
            report = plane.wait_report(other.version_id, [NOT_READY])
            assert report.error_class == RELEASE_UNSIGNED and "release key" in report.error
            assert report.active_version_id == good.version_id
            victim.assert_serving()
        other.release_signature = release.release(victim.app, other.version_id, other.digest)
        plane.tell([victim.entry([good, other])], environment="development")  # what it says of itself does not matter
        plane.wait_report(other.version_id, [HEALTHY])
    finally:
        victim.end()


# --- with a real server ---------------------------------------------------------------------------


def sluiced(*argv, stdin=None):
    done = subprocess.run([harness.SLUICED] + list(argv), input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def signing(services, world):
    """A server with keys, and one agent that has pinned them."""
    data = os.path.join(world.folder, "signing")
    shown = sluiced("init", "--data", data)
    recovery = next(line.strip() for line in shown.splitlines() if line.strip().startswith("recovery-key:"))
    pin = os.path.join(world.folder, "manifest.pub")
    with open(pin, "w", encoding="ascii") as file:
        file.write(sluiced("keys", "show-manifest", "--data", data))
    server = harness.Server(services, data, ["--heartbeat", "2s"]).start()
    client = server.client()
    client.RegisterInstance(name="dev-1", environment="development")
    agent = harness.Agent(server, os.path.join(world.folder, "agent"), "dev-1",
                          ["--manifest-key", pin, "--recovery-key", os.path.join(data, "keys", "recovery.pub")]).start()
    yield data, recovery, server, client, agent
    agent.end()
    server.end()


def epoch_of(client):
    return client.GetInstance(instance="dev-1").instance.agent.key_epoch


def refusals_of(client):
    return client.GetInstance(instance="dev-1").instance.agent.refusals


def test_rotation_reaches_agents_that_are_connected_and_those_that_were_away(signing):
    data, _, server, client, agent = signing
    agent.program.wait_line(" manifest sequence=", 60)
    sluiced("keys", "rotate-manifest", "--data", data)
    agent.program.wait_line("manifest-key epoch=2", 60)
    harness.until(lambda: epoch_of(client) == 2, 60, "the agent at epoch 2")
    agent.kill()
    sluiced("keys", "rotate-manifest", "--data", data)
    sluiced("keys", "rotate-manifest", "--data", data)
    agent.start()
    agent.program.wait_line("manifest-key epoch=4", 60)
    agent.program.wait_line(" manifest sequence=", 60)
    harness.until(lambda: epoch_of(client) == 4, 60, "the agent at epoch 4")
    server.kill()
    server.start()  # it goes on with the newest key
    harness.until(lambda: epoch_of(client) == 4, 60, "the agent after a restart of the server")
    assert refusals_of(client) == 0


def test_a_lost_key_is_replaced_by_the_recovery_key(signing):
    data, recovery, server, client, agent = signing
    agent.program.wait_line(" manifest sequence=", 60)
    os.remove(os.path.join(data, "keys", "manifest.key"))
    wrong = subprocess.run([harness.SLUICED, "keys", "recover-manifest", "--data", data], input="recovery-key:aaaa\n", capture_output=True, text=True)
    assert wrong.returncode == 3 and "aaaa" not in wrong.stderr
    sluiced("keys", "recover-manifest", "--data", data, stdin=recovery + "\n")
    agent.program.wait_line("manifest-key epoch=2", 60)
    harness.until(lambda: epoch_of(client) == 2, 60, "the agent at epoch 2")
    assert refusals_of(client) == 0
    server.kill()
    server.start()
    harness.until(lambda: epoch_of(client) == 2, 60, "the agent after a restart of the server")


def test_a_lying_server_is_seen_at_the_true_one(signing, services):
    """Another server in its place, with keys of its own: the agent refuses; `sluice instance show` of it would say so."""
    data, _, server, client, agent = signing
    agent.program.wait_line(" manifest sequence=", 60)
    other = data + "-other"
    sluiced("init", "--data", other)
    agent.kill()
    liar = harness.Server(services, other, ["--heartbeat", "2s"]).start()
    try:
        liar.client().RegisterInstance(name="dev-1", environment="development")
        os.remove(os.path.join(agent.folder, "state"))  # or it would see that the instance is another
        agent.server = liar
        agent.start()
        agent.program.wait_line("manifest-refused", 60)
        harness.until(lambda: refusals_of(liar.client()) > 0, 60, "the refusal in AgentView")
        shown = liar.client().GetInstance(instance="dev-1").instance.agent
        assert shown.error_class == MANIFEST_REFUSED and "manifest" in shown.last_error
        # It shows without being asked for, and as why nothing new is served.
        concern, = liar.client().GetStatus().concerns
        assert (concern.instance, concern.refused) == ("dev-1", shown.last_error) and concern.refusals > 0 and not concern.alerts
        status = subprocess.run([harness.CLI, "--server", f"127.0.0.1:{liar.port}", "status"], capture_output=True, text=True, check=True).stdout
        assert "! dev-1 (development) its agent does not believe the server" in status and "SECURITY.md" in status
    finally:
        liar.end()

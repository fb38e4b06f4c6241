"""Agents come in with a join file, renew by themselves, and are turned out: real programs over TLS."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request

import grpc
import harness
import pytest
import secure
from harness import Program, Repository
from secure import SecureServer

FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") or [None])[0]


def wait(look, timeout, what):
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {timeout} s"
        time.sleep(0.1)  # between two looks


class World:
    def __init__(self, services, folder, flags=()):
        self.folder = folder
        self.server = SecureServer(services, os.path.join(folder, "server"), flags=["--heartbeat", "5s"] + list(flags)).start()
        self.admin, reply = self.server.login(os.path.join(folder, "admin"))
        with open(os.path.join(folder, "admin/cert.pem"), "w", encoding="ascii") as file:
            file.write(reply.certificate)
        os.chmod(os.path.join(folder, "admin/key.pem"), 0o600)
        self.agents = []

    def invite(self, name):
        return self.server.invite(self.admin, name, os.path.join(self.folder, f"{name}-{time.monotonic_ns()}.json"))

    def enroll(self, join, state, env=None):
        return subprocess.run([harness.AGENT, "enroll", "--join", join, "--state", state], capture_output=True, text=True,
                              env={**os.environ, **(env or {})})

    def enrolled(self, name="prod-1", environment="production"):
        """The state folder of a new instance's agent."""
        self.admin.RegisterInstance(name=name, environment=environment)
        state = os.path.join(self.folder, name)
        done = self.enroll(self.invite(name), state)
        assert done.returncode == 0, done.stderr
        return state

    def run(self, state, env=None, flags=("--allow-local-repos",), **kwargs):
        program = Program([harness.AGENT, "run", "--state", state, *flags], env=env, **kwargs)
        self.agents.append(program)
        return program

    def instance(self, name="prod-1"):
        return self.admin.GetInstance(instance=name).instance

    def is_online(self, name="prod-1"):
        return self.instance(name).agent.liveness == 2

    def sluice(self, *words):
        """The command line as the admin."""
        me = os.path.join(self.folder, "admin")
        done = subprocess.run([harness.CLI, "--server", f"127.0.0.1:{self.server.port}", "--tls-ca", f"{self.server.folder}/keys/ca.pem", "--tls-cert",
                               f"{me}/cert.pem", "--tls-key", f"{me}/key.pem", *words], capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)
        return done

    def end(self):
        for program in self.agents:
            program.end()
        self.server.end()


@pytest.fixture
def make_world(services, tmp_path):
    made = []

    def make(*flags):
        made.append(World(services, str(tmp_path), flags))
        return made[-1]

    yield make
    for world in made:
        world.end()


def stop(program):
    program.kill(signal.SIGTERM)
    program.wait(60)


def test_an_instance_is_enrolled_and_serves_an_app(make_world):
    world = make_world()
    state = world.enrolled("dev-1", "development")
    assert os.stat(os.path.join(state, "identity")).st_mode & 0o777 == 0o600
    world.run(state)
    repository = Repository(world.folder)
    repository.commit({"apps/shop/index.html": "one"})
    world.admin.CreateRepository(name="apps", url="file://" + repository.bare)
    world.admin.CreateApp(name="shop", repository="apps")
    page = os.path.join(state, "apps/shop/current/index.html")
    wait(lambda: os.path.exists(page) and open(page, encoding="ascii").read() == "one", 60, "the app")
    identity = world.instance("dev-1").identity
    assert identity.id.startswith("idn_") and identity.enrolled_from.startswith("ipv4:127.0.0.1:")


def test_local_repositories_have_to_be_allowed_on_the_agent(make_world):
    world = make_world()
    state = world.enrolled("dev-1", "development")
    agent = world.run(state, flags=())
    repository = Repository(world.folder)
    repository.commit({"apps/shop/index.html": "one"})
    world.admin.CreateRepository(name="apps", url="file://" + repository.bare)  # the server may
    world.admin.CreateApp(name="shop", repository="apps")
    status = lambda: world.admin.GetStatus(app="shop", with_instances=True).instances[0]
    wait(lambda: "--allow-local-repos" in status().error, 60, "the agent's refusal")
    assert not os.path.exists(os.path.join(state, "apps/shop/current"))
    stop(agent)
    world.run(state)
    world.admin.RetryInstance(instance="dev-1")
    wait(lambda: os.path.exists(os.path.join(state, "apps/shop/current/index.html")), 60, "the app")


def test_a_token_is_good_once_and_a_second_use_names_the_first(make_world):
    world = make_world()
    world.admin.RegisterInstance(name="prod-1", environment="production")
    join = world.invite("prod-1")
    assert world.enroll(join, os.path.join(world.folder, "first")).returncode == 0
    first = world.instance().identity
    done = world.enroll(join, os.path.join(world.folder, "second"))
    assert done.returncode == 3 and "unknown, used, expired or revoked" in done.stderr and "sluice instance rejoin" in done.stderr
    assert not os.path.exists(os.path.join(world.folder, "second/identity"))
    alerts = world.instance().alerts
    assert [a.kind for a in alerts] == [1]
    assert first.id in alerts[0].text and first.enrolled_from in alerts[0].text
    # It shows without being asked for.
    concern, = world.admin.GetStatus().concerns
    assert (concern.instance, concern.environment, [a.text for a in concern.alerts]) == ("prod-1", "production", [alerts[0].text])
    assert not world.admin.GetStatus(environment="staging").concerns
    assert alarms(world)["token_reused"] == 1
    shown = world.sluice("status").stdout
    assert "! prod-1 (production)" in shown and first.id in shown and "sluice instance clear prod-1" in shown
    assert json.loads(world.sluice("-o", "json", "status").stdout)["concerns"][0]["instance"] == "prod-1"
    assert "has alerts" in explained(world)
    world.admin.ClearInstanceAlerts(instance="prod-1")
    assert not world.instance().alerts
    harness.until(lambda: not world.admin.GetStatus().concerns, what="the end of it")
    assert alarms(world)["token_reused"] == 0 and "!" not in world.sluice("status").stdout


def alarms(world):
    """The metric, by kind."""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.server.metrics_port}/metrics", timeout=60) as page:
        return {kind: int(n) for kind, n in re.findall(r'sluice_instance_alerts{kind="(\w+)"} (\d+)', page.read().decode())}


def explained(world):
    world.admin.CreateApp(name="shop", repository_url="file:///nowhere/at/all", path="apps/shop")
    return world.admin.Explain(instance="prod-1", app="shop").steps[0].text


def test_an_unused_token_is_void_when_another_is_made(make_world):
    world = make_world()
    world.admin.RegisterInstance(name="prod-1", environment="production")
    old, new = world.invite("prod-1"), world.invite("prod-1")
    assert world.enroll(old, os.path.join(world.folder, "a")).returncode == 3
    assert world.enroll(new, os.path.join(world.folder, "a")).returncode == 0
    assert not world.instance().alerts


def test_a_repeated_invitation_shows_no_secret(make_world):
    world = make_world()
    world.admin.RegisterInstance(name="prod-1", environment="production")
    first = world.admin.InviteInstance(instance="prod-1", write={"request_id": "once"})
    again = world.admin.InviteInstance(instance="prod-1", write={"request_id": "once"})
    assert first.secret and again.result.replayed and not again.secret
    assert not world.admin.InviteInstance(instance="prod-1", write={"validate_only": True}).secret


def test_certificates_are_renewed_in_use_without_a_gap(make_world):
    world = make_world("--agent-cert-life", "14s")
    state = world.enrolled()
    agent = world.run(state)
    wait(world.is_online, 60, "the agent")
    began = world.instance().identity

    def renewed_twice():
        assert world.is_online()
        return world.instance().identity.renewals >= began.renewals + 2

    wait(renewed_twice, 120, "two renewals")
    assert world.instance().identity.certificate_expires_at.seconds > began.certificate_expires_at.seconds
    audited = {(r.entry.principal, r.entry.method) for r in world.admin.ListAuditRecords(in_workspace="default").records}
    assert {("agent:prod-1", "Enroll"), ("admin", "Login"), ("agent:prod-1", "RenewCertificate")} <= audited, audited
    assert not [line for line in agent.lines if "disconnected" in line], agent.lines


def test_revoking_ends_the_stream_and_lasts_over_a_restart(make_world):
    world = make_world()
    state = world.enrolled()
    agent = world.run(state)
    wait(world.is_online, 60, "the agent")
    world.admin.RevokeInstance(instance="prod-1", write={"reason": "stolen"})
    agent.wait_line(r"disconnected .*IDENTITY_REVOKED", 60)
    world.server.stop()
    world.server.start()
    time.sleep(3)  # it does not come back meanwhile
    assert not world.is_online()
    assert world.instance().identity.revoked_by == "admin"
    # A new invitation gives it a new identity, and the folder goes on.
    stop(agent)
    before = world.instance().identity.id
    assert world.enroll(world.invite("prod-1"), state).returncode == 0
    assert world.instance().identity.id != before
    world.run(state)
    wait(world.is_online, 60, "the agent after rejoining")


def test_a_copied_folder_is_found_by_its_renewals(make_world):
    world = make_world("--agent-cert-life", "20s")
    state = world.enrolled()
    copy = os.path.join(world.folder, "copy")
    shutil.copytree(state, copy)
    world.run(state)
    wait(lambda: world.instance().identity.renewals >= 1, 60, "a renewal")
    thief = world.run(copy)
    thief.wait_line(r"not-renewed .*RENEWAL_REFUSED", 60)
    alerts = world.instance().alerts
    assert [a.kind for a in alerts] == [2] and "copy" in alerts[0].text
    assert [(c.instance, [a.kind for a in c.alerts]) for c in world.admin.GetStatus().concerns] == [("prod-1", [2])]
    assert alarms(world)["folder_copied"] == 1


def test_a_certificate_that_ran_out_is_renewed_at_the_door(make_world):
    world = make_world("--agent-cert-life", "2s")
    state = world.enrolled()
    time.sleep(3)  # its life is two seconds
    agent = world.run(state)
    agent.wait_line(r"certificate-over", 60)
    agent.wait_line(r"renewed .*late=1", 60)
    wait(world.is_online, 60, "the agent")


def test_one_that_ran_out_too_long_ago_is_told_what_to_do(make_world):
    world = make_world("--agent-cert-life", "2s", "--renew-late", "1s")
    state = world.enrolled()
    time.sleep(4)  # its life is two seconds, and one more at the door
    agent = world.run(state)
    agent.wait_line(r"not-renewed .*too long ago.*sluice instance rejoin", 60)
    assert agent.process.poll() is None  # what it serves stays


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not there")
@pytest.mark.skipif(harness.is_sanitized(), reason="a sanitizer wants to be the first library, libfaketime as well")
def test_a_fleet_that_was_off_for_a_month_comes_back_by_itself(make_world):
    world = make_world()
    state = world.enrolled()
    world.server.stop()
    later = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+31d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    world.server.env = later
    world.server.start()
    agent = world.run(state, env=later)
    agent.wait_line(r"certificate-over", 60)
    agent.wait_line(r"renewed .*late=1", 60)
    agent.wait_line(r"connected server=", 60)


def checked(state):
    """What `sluice-agent check` says: lines of (verdict, subject, text), those that FAIL, and its exit code."""
    done = subprocess.run([harness.AGENT, "check", "--state", state], capture_output=True, text=True, timeout=60)
    lines = [re.match(r"(\w+) +(\w+) +(.*)", line).groups() for line in done.stdout.splitlines()]
    failed = [(what, text) for verdict, what, text in lines if verdict == "FAIL"]
    assert (done.returncode == 3) == (bool(failed) or not lines), (done.stdout, done.stderr)
    return {what: (verdict, text) for verdict, what, text in lines}, failed, done.stderr


def test_check_says_what_is_wrong_with_an_identity(make_world):
    world = make_world()
    state, other = world.enrolled("prod-1"), world.enrolled("prod-2")
    path = os.path.join(state, "identity")
    with open(path, encoding="utf-8") as file:
        good = json.load(file)
    with open(os.path.join(other, "identity"), encoding="utf-8") as file:
        theirs = json.load(file)

    def write(mode=0o600, **changes):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({key: value for key, value in {**good, **changes}.items() if value is not None}, file)
        os.chmod(path, mode)

    said, failed, _ = checked(state)  # it has not run yet
    assert said["identity"][0] == "ok" and "prod-1 (production)" in said["identity"][1] and "certificate until 20" in said["identity"][1]
    assert said["pins"] == ("ok", "manifest key of epoch 1, recovery key")
    assert said["server"][0] == "ok" and said["agent"][0] == "warn" and not failed
    faults = (
        ({"mode": 0o644}, "identity", "has mode 0644: others can reach the key, it must be 0600"),
        ({"key": theirs["key"]}, "identity", "the certificate is of another key"),
        ({"certificate": "nonsense"}, "identity", "certificate"),
        ({"ca": theirs["certificate"]}, "identity", "'"),
        ({"key": None}, "identity", "its keys are missing"),
        ({"server": None}, "identity", "'server' is missing"),
        ({"box_key": "00"}, "identity", "'box_key' must be 32 bytes"),
        ({"manifest_key": None, "key_epoch": None}, "pins", "no manifest key is pinned"),
    )
    for changes, what, words in faults:
        write(**changes)
        _, failed, _ = checked(state)
        assert any(subject == what and words in text for subject, text in failed), (changes, failed)
    write(recovery_key=None)
    said, failed, _ = checked(state)
    assert said["pins"][0] == "warn" and not failed
    os.remove(path)
    assert "no agent has run here yet" in checked(state)[2]
    os.symlink(os.path.join(other, "identity"), path)
    assert "is no file of its own" in dict(checked(state)[1])["identity"]
    agent = world.run(other)
    wait(lambda: world.is_online("prod-2"), 60, "the agent")
    said, failed, _ = checked(other)
    assert said["agent"] == ("ok", "running") and said["identity"][0] == "ok" and not failed
    stop(agent)


def test_check_says_that_a_certificate_is_over(make_world):
    world = make_world("--agent-cert-life", "2s")
    state = world.enrolled()
    time.sleep(3)  # its life is two seconds
    text = dict(checked(state)[1])["identity"]
    assert "ended at" in text and "sluice instance rejoin prod-1" in text


def test_an_agent_speaks_for_its_own_instance_only(make_world):
    world = make_world()
    world.enrolled("prod-2")
    other = world.instance("prod-2")
    client, _ = as_agent(world, world.enrolled("prod-1"))
    from sluice.v1 import agent_pb2

    sync = client.channel.stream_stream("/sluice.v1.AgentService/Sync", request_serializer=lambda m: m.SerializeToString(),
                                        response_deserializer=lambda raw: raw)
    for claim in ({"instance": "prod-2"}, {"instance": other.id}, {"instance": "prod-1", "instance_id": other.id},
                  {"instance": "prod-1", "workspace": "other"}, {"instance": "no-such", "instance_id": other.id}):
        with pytest.raises(grpc.RpcError) as refused:
            list(sync(iter([agent_pb2.SyncRequest(hello=agent_pb2.AgentHello(protocol=1, **claim))]), timeout=60))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND, claim
    for claim in ({"instance": "prod-2"}, {"instance": other.id}, {"instance": "prod-1", "workspace": "other"}):
        with pytest.raises(grpc.RpcError) as refused:
            list(client.stream("FetchBundle", app_id="app_aaaaaaaaaaaaaaaaaaaa", version_id="ver_aaaaaaaaaaaaaaaaaaaa", digest=bytes(32), **claim))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND, claim
    for stream in (client.watch(), client.stream("Backup"), client.stream("ExportBundle", app="shop", version="v1")):
        with pytest.raises(grpc.RpcError) as refused:
            list(stream)
        assert harness.Refused(refused.value).reason == "RIGHT_MISSING"
    with pytest.raises(harness.Refused) as refused:
        client.ListInstances()
    assert refused.value.reason == "RIGHT_MISSING"
    # Nothing has become of the other one, and all of it is on record.
    assert not world.is_online("prod-2")
    seen = lambda: {(r.entry.method, r.entry.refusal.reason) for r in world.admin.ListAuditRecords(denied=True, principal="agent:prod-1").records}
    expected = {("Sync", "INSTANCE_NOT_FOUND"), ("Sync", "WORKSPACE_NOT_FOUND"), ("FetchBundle", "INSTANCE_NOT_FOUND"),
                ("FetchBundle", "WORKSPACE_NOT_FOUND"), ("ExportBundle", "RIGHT_MISSING"), ("Watch", "RIGHT_MISSING"), ("Backup", "RIGHT_MISSING"),
                ("ListInstances", "RIGHT_MISSING")}
    wait(lambda: seen() == expected, 60, "every attempt on record")


def test_an_agent_renews_its_own_certificate_only(make_world):
    world = make_world()
    other_state = world.enrolled("prod-2")
    client, _ = as_agent(world, world.enrolled("prod-1"))
    before = world.instance("prod-2").identity
    # With a key of its own making, and with the key of the other one's folder.
    stranger, _ = secure.make_key(os.path.join(world.folder, "stranger"))
    keys = {"stranger": stranger, "other": json.load(open(os.path.join(other_state, "identity"), encoding="utf-8"))["key"].encode()}
    for name, key in keys.items():
        with pytest.raises(harness.Refused) as refused:
            client.RenewCertificate(certificate_request=secure.request_of(os.path.join(world.folder, name), key), counter=1, nonce=bytes(16))
        assert refused.value.reason == "CSR_REFUSED", (name, refused.value)
    assert world.instance("prod-2").identity == before and world.instance("prod-1").identity.renewals == 0
    with pytest.raises(harness.Refused) as refused:
        world.admin.RenewCertificate(certificate_request=secure.request_of(os.path.join(world.folder, "other"), keys["other"]), counter=1, nonce=bytes(16))
    assert refused.value.reason in ("CSR_REFUSED", "RENEWAL_REFUSED")


def as_agent(world, state):
    """A client with the certificate of the agent that enrolled there, and that identity."""
    with open(os.path.join(state, "identity"), encoding="utf-8") as file:
        identity = json.load(file)
    return world.server.admitted(identity["key"].encode(), identity["certificate"]), identity


def test_the_command_line_prints_join_files_and_turns_agents_out(make_world):
    world = make_world()
    me = os.path.join(world.folder, "me")
    _, reply = world.server.login(me)
    for name, text in (("cert.pem", reply.certificate), ("ca.pem", reply.ca)):
        with open(os.path.join(me, name), "w", encoding="ascii") as file:
            file.write(text)
    os.chmod(os.path.join(me, "key.pem"), 0o600)

    def sluice(*words):
        return subprocess.run([harness.CLI, "--server", f"127.0.0.1:{world.server.port}", "--tls-ca", f"{me}/ca.pem", "--tls-cert",
                               f"{me}/cert.pem", "--tls-key", f"{me}/key.pem", *words], capture_output=True, text=True)

    added = sluice("instance", "add", "prod-1", "--env", "production")
    assert added.returncode == 0, added.stderr
    join = os.path.join(world.folder, "join.json")
    with open(join, "w", encoding="utf-8") as file:
        file.write(added.stdout)
    state = os.path.join(world.folder, "state")
    assert world.enroll(join, state).returncode == 0
    world.run(state)
    wait(world.is_online, 60, "the agent")
    shown = sluice("instance", "show", "prod-1").stdout
    assert world.instance().identity.id in shown
    assert sluice("instance", "revoke", "prod-1", "--yes").returncode == 0
    wait(lambda: not world.is_online(), 60, "the end of its stream")
    again = sluice("instance", "rejoin", "prod-1", "--ttl", "2m")
    assert json.loads(again.stdout)["token"].startswith("jtk_") and again.returncode == 0

"""Repositories that want credentials: set from files, used by the server, given sealed to agents, and found nowhere else; keys that change."""
import json
import os
import random
import shutil
import subprocess
import time

import harness
import pytest
from harness import Program, Repository
from login_hosts import SshHost, TlsHost
from rotation import PLACES, killed_rotation, read, refuses, rotate
from secure import SecureServer

PUSH, PULL = "push-marker-5gk2v9xq", "pull-marker-8wd4m1zt"


class World:
    def __init__(self, services, folder):
        self.folder = folder
        self.things = []
        os.makedirs(self.path("git"))
        self.repository = Repository(self.path("git"))
        self.repository.commit({"apps/shop/index.html": "one"})
        self.server = SecureServer(services, self.path("server"), flags=["--heartbeat", "2s"]).start()
        self.admin, reply = self.server.login(self.path("admin"))
        self.file("admin/cert.pem", reply.certificate)
        self.said = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def file(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def add(self, thing):
        self.things.append(thing)
        return thing.start()

    def cli(self, *argv, code=0):
        tls = ["--tls-ca", self.path("server/keys/ca.pem"), "--tls-cert", self.path("admin/cert.pem"), "--tls-key", self.path("admin/key.pem")]
        done = subprocess.run([harness.CLI, "--server", f"127.0.0.1:{self.server.port}", *tls, *argv], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (argv, done.returncode, done.stdout, done.stderr)
        self.said.append(done.stdout + done.stderr)
        return done.stdout

    def checks(self, *argv, code=0):
        """{step: state or failure} of `repo test`."""
        reply = json.loads(self.cli("repo", "test", "apps", "-o", "json", *argv, code=code))
        return {c["name"]: c.get("failure") or c["state"].rsplit("_", 1)[1] for c in reply["checks"]}

    def agent(self, name="dev-1", environment="development"):
        self.admin.RegisterInstance(name=name, environment=environment)
        reply = self.admin.InviteInstance(instance=name)
        join = self.file(f"{name}.json", json.dumps({"server": f"127.0.0.1:{self.server.port}", "door": f"127.0.0.1:{reply.door_port}", "ca": reply.ca,
                                                     "workspace": "default", "instance": name, "token": reply.secret}))
        done = subprocess.run([harness.AGENT, "enroll", "--join", join, "--state", self.path(name)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        program = Program([harness.AGENT, "run", "--state", self.path(name), "--allow-local-repos", "--work-every", "200ms"])
        self.things.append(program)
        return program

    def wait_page(self, text, name="dev-1"):
        page = self.path(f"{name}/apps/shop/current/index.html")
        harness.until(lambda: os.path.exists(page) and open(page, encoding="ascii").read() == text, 60, f"the page '{text}'")

    def end(self):
        for thing in reversed(self.things):
            thing.end()
        self.server.end()


@pytest.fixture
def world(services, tmp_path):
    made = World(services, str(tmp_path))
    yield made
    made.end()


def tls_host(world):
    host = world.add(TlsHost(world.path("git"), PUSH, PULL))
    push, pull = world.file("push.token", PUSH + "\n"), world.file("pull.token", PULL + "\n")
    world.cli("repo", "add", "apps", host.url(world.repository), "--push-token-file", push, "--push-user", "writer", "--pull-token-file", pull,
              "--pull-user", "reader", "--ca", host.ca)
    return host


def test_tokens_over_https_reach_server_and_agent_and_are_found_nowhere(world):
    tls_host(world)
    assert world.checks() == {step: "OK" for step in ("reach", "host", "login", "read", "branch", "write")}
    program = world.agent()
    world.admin.CreateApp(name="shop", repository="apps")
    harness.wait_content(world.admin, "shop", "v1")
    world.wait_page("one")
    world.admin.SealVersion(app="shop", version="v1")
    harness.wait_published(world.admin, "shop", "v1")
    shown = str(world.admin.GetRepository(repository="apps")) + str(world.admin.ListRepositories()) + str(world.admin.ListAuditRecords())
    logs = "\n".join(world.server.program.lines + program.lines + world.said)
    assert not [marker for marker in (PUSH, PULL) if marker in shown or marker in logs]
    assert harness.holding(world.path("server"), (PUSH, PULL)) == [] and harness.holding(world.path("dev-1"), (PUSH, PULL)) == []
    assert world.server.stop() == 0
    world.server.verify()


def test_each_refusal_has_its_name(world):
    host = tls_host(world)
    wrong = world.file("wrong.token", "wrong-marker-77\n")
    world.cli("repo", "set", "apps", "--pull-token-file", wrong, "--pull-user", "reader")
    assert world.checks(code=2)["login"] == "LOGIN_REFUSED"
    world.cli("repo", "set", "apps", "--pull-token-file", world.path("pull.token"), "--pull-user", "reader")
    world.cli("repo", "set", "apps", "--push-token-file", world.path("pull.token"), "--push-user", "reader")
    assert world.checks(code=2) == {"reach": "OK", "host": "OK", "login": "OK", "read": "OK", "branch": "OK", "write": "WRITE_REFUSED"}
    world.cli("repo", "set", "apps", "--forget-ca")
    assert world.checks(code=2)["host"] == "CERTIFICATE_REFUSED"
    # Another host gets nothing of it.
    world.cli("repo", "set", "apps", host.url(world.repository).replace("127.0.0.1", "localhost"), "--ca", host.ca)
    shown = world.admin.GetRepository(repository="apps").repository
    assert not shown.HasField("push") and not shown.HasField("pull")
    with pytest.raises(harness.Refused) as refused:
        world.admin.SetRepository(repository="apps", url="https://a-token@127.0.0.1/apps.git")
    assert refused.value.reason == "URL_NOT_ALLOWED" and "a-token" not in str(refused.value)
    os.chmod(world.path("pull.token"), 0o644)
    world.cli("repo", "set", "apps", "--pull-token-file", world.path("pull.token"), code=64)


def test_keys_over_ssh_are_made_here_and_rotated(world):
    host = world.add(SshHost(world.path("ssh")))
    world.cli("repo", "add", "apps", host.url(world.repository))
    assert world.checks(code=2)["host"] == "HOST_KEY_UNKNOWN"
    world.cli("repo", "set", "apps", "--known-hosts", host.known_hosts)
    push = world.cli("repo", "keygen", "apps", "--push").strip()
    assert push.startswith("ssh-ed25519 ")
    assert world.checks(code=2)["login"] == "LOGIN_REFUSED"
    host.allow(push)
    assert world.checks()["write"] == "OK"
    pull = world.cli("repo", "keygen", "apps", "--pull").strip()
    host.allow(pull, write=False)
    world.agent()
    world.admin.CreateApp(name="shop", repository="apps")
    world.wait_page("one")
    # The next key waits until the host knows it.
    following = world.cli("repo", "keygen", "apps", "--pull").strip()
    assert following != pull
    world.cli("repo", "rotate", "apps", "--pull", code=2)
    host.allow(following, write=False)
    world.cli("repo", "rotate", "apps", "--pull")
    with open(host.authorized, encoding="ascii") as file:
        lines = file.readlines()
    with open(host.authorized, "w", encoding="ascii") as file:
        file.writelines(line for line in lines if pull not in line)
    commit = world.repository.commit({"apps/shop/index.html": "two"})
    world.admin.SetVersionContent(app="shop", version="v1", commit=commit)
    world.wait_page("two")
    rsa = world.path("rsa")
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "rsa", "-b", "2048", "-f", rsa], check=True)
    world.cli("repo", "set", "apps", "--push-key", rsa, code=64)
    assert "SHA-1" in world.said[-1]


def owed(world):
    return list(world.admin.ListOwed(repository="apps").items)


@pytest.mark.parametrize("scheme", ["https", "ssh"])
def test_commits_of_its_own_are_made_with_the_credentials_to_push(world, scheme):
    """Every kind of automatic commit; none with credentials that only read: it is parked, and made when they may write."""
    if scheme == "https":
        tls_host(world)
        may_write = lambda: world.cli("repo", "set", "apps", "--push-token-file", world.path("push.token"), "--push-user", "writer")  # noqa: E731
        world.cli("repo", "set", "apps", "--push-token-file", world.path("pull.token"), "--push-user", "reader")
    else:
        host = world.add(SshHost(world.path("ssh")))
        world.cli("repo", "add", "apps", host.url(world.repository), "--known-hosts", host.known_hosts)
        push = world.cli("repo", "keygen", "apps", "--push").strip()
        host.allow(push, write=False)

        def may_write():
            os.unlink(host.authorized)
            host.allow(push)
    world.admin.CreateApp(name="shop", repository="apps")
    parked = harness.until(lambda: [item for item in owed(world) if item.parked], 60, "a parked commit")
    assert [item.failure for item in parked] == ["WRITE_REFUSED"] and world.repository.log() == ["change"], parked
    may_write()
    world.admin.RetryOwed(repository="apps", owed=parked[0].id)
    harness.until(lambda: not owed(world), 60, "an empty outbox")
    world.admin.CreateVersion(app="shop", name="v2")
    world.admin.UpdateVersion(app="shop", version="v2", new_name="v2-beta")
    world.admin.RenameApp(app="shop", new_name="store")
    harness.until(lambda: not owed(world), 60, "an empty outbox")
    lines = [line.split("|") for line in world.repository.log("%s|%an|%cn")]
    assert [line[0] for line in lines[1:]] == ["App shop created", "Version v2 of shop created", "Version v2-beta of shop: Version v2 is renamed to v2-beta",
                                               "Version v2-beta of store: App shop is renamed to store"]
    assert {(line[1], line[2]) for line in lines[1:]} == {("admin", "sluice")}
    assert world.admin.GetApp(app="store").app.path == "apps/store"
    for marker in (PUSH, PULL):
        assert marker not in "\n".join(world.server.program.lines) and marker not in world.repository.log("%B%an%ae")


@pytest.mark.parametrize("scheme", ["https", "ssh"])
def test_an_instance_pushes_with_credentials_that_it_is_given_for_the_push(world, scheme):
    if scheme == "https":
        tls_host(world)
    else:
        host = world.add(SshHost(world.path("ssh")))
        world.cli("repo", "add", "apps", host.url(world.repository), "--known-hosts", host.known_hosts)
        host.allow(world.cli("repo", "keygen", "apps", "--push").strip())
        host.allow(world.cli("repo", "keygen", "apps", "--pull").strip(), write=False)
    program = world.agent()
    world.admin.CreateApp(name="shop", repository="apps", no_commit=True)
    copy = world.path("dev-1/apps/shop/work/index.html")
    harness.until(lambda: os.path.exists(copy), 60, "a working copy")
    with open(copy, "w", encoding="ascii") as file:
        file.write("two")
    harness.until(lambda: world.admin.GetStatus(app="shop", with_instances=True).instances[0].working_copy.edited == 1, 60, "a copy that is told of")
    assert world.admin.PushWorkingCopy(app="shop", instance="dev-1", message="from there").lease.by == "admin"
    content = harness.wait_content(world.admin, "shop", "v1", timeout=60)
    assert world.repository.log("%s|%an|%cn") == ["change|Ada|Ada", "Version v1 of shop : from there|admin|sluice"]
    assert content.commit == world.repository.refs()["refs/heads/main"] and program.running
    world.wait_page("two")
    marks, logs = (PUSH, PULL, "OPENSSH PRIVATE"), "\n".join(program.lines + world.server.program.lines)
    assert harness.holding(world.path("dev-1"), marks) == [] and not [mark for mark in marks if mark in logs]


def test_the_master_key_changes_while_serving_and_over_kill_9(world):
    tls_host(world)
    key = world.path("server/keys/master.key")
    seen = [read(key)]
    done = rotate(world.server)
    assert done.returncode == 0, done.stderr
    seen.append(read(key))
    assert world.checks()["login"] == "OK"
    dice = random.Random(11)
    for _ in range(6):
        command = Program([harness.SLUICED, "keys", "rotate-master", "--data", world.path("server")])
        time.sleep(dice.random() * 0.8)  # any moment
        world.server.kill()
        if dice.random() < 0.5:
            command.kill()
        command.end()
        world.server.start()
        harness.until(lambda: not os.path.exists(key + ".next"), 60, "the end of the rotation")
        assert world.checks()["login"] == "OK"
        seen.append(read(key))
    assert len(set(seen)) >= 3
    world.cli("workspace", "rekey")
    assert world.checks()["login"] == "OK"
    assert world.server.stop() == 0
    world.server.verify()
    # Without a server the command does it alone.
    assert rotate(world.server).returncode == 0
    # Nothing opens with an older one: the server says so and does not start.
    for old in seen:
        refuses(world.server, old)
    world.server.start()
    assert world.checks()["login"] == "OK"


@pytest.mark.parametrize("serving", [False, True], ids=["stopped", "serving"])
@pytest.mark.parametrize("place", PLACES)
def test_a_rotation_killed_at_each_step_goes_on(world, place, serving):
    tls_host(world)
    killed_rotation(world.server, place, serving, lambda: world.checks()["login"] == "OK" or pytest.fail("the login does not open"))


def test_a_lost_master_key_costs_the_credentials_and_nothing_else(world):
    tls_host(world)
    world.admin.CreateApp(name="shop", repository="apps")
    harness.wait_content(world.admin, "shop", "v1")
    assert world.server.stop() == 0
    os.unlink(world.path("server/keys/master.key"))
    world.server.start()
    world.server.program.wait_line("master-key file=.*/master.key.*there is none")
    assert "no master key" in json.loads(world.cli("repo", "test", "apps", "-o", "json", code=2))["checks"][2]["text"]
    world.admin.SealVersion(app="shop", version="v1")
    with pytest.raises(harness.Refused) as refused:
        world.admin.SetRepository(repository="apps", push={"token": "x"})
    assert refused.value.reason == "VAULT_LOCKED"
    assert world.server.stop() == 0
    reset = [harness.SLUICED, "vault", "reset", "--data", world.path("server")]
    assert subprocess.run(reset, capture_output=True).returncode == 64
    done = subprocess.run(reset + ["--forget-values"], capture_output=True, text=True)
    assert done.returncode == 0 and "2 values" in done.stdout, done
    world.server.verify()
    shutil.copy(world.file("fresh", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), world.path("server/keys/master.key"))
    os.chmod(world.path("server/keys/master.key"), 0o600)
    world.server.start()
    assert world.admin.GetRepository(repository="apps").repository.push.kind == 2
    world.cli("repo", "set", "apps", "--push-token-file", world.path("push.token"), "--push-user", "writer", "--pull-token-file", world.path("pull.token"),
              "--pull-user", "reader")
    assert world.checks()["write"] == "OK"

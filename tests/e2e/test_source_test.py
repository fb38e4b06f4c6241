"""Data sources looked at from an instance: real PostgreSQL and Redis servers, certificates of every fault; who is asked, and what leaves the box."""
import os
import pwd
import queue
import shutil
import socket
import subprocess
import tempfile
import threading

import grpc
import harness
import pytest
from harness import Program, Refused
from people import Person, admin_of, make_server, server  # noqa: F401 (fixtures)
from secure import enroll, make_key
from test_config import watched

CERTS = os.path.join(harness.ROOT, "tests/lib/certs_tool")
POSTGRES = "/usr/lib/postgresql/15/bin/"
MARKS = ["marker-host-3kq9", "marker-user-8dx2", "marker-word-5vz7", "marker-base-1pf4", "marker-path-6hn0"]
# SourceTestFailure
FINE, NAME_NOT_FOUND, REFUSED, TIMED_OUT, CONNECTION_LOST, NO_TLS = 0, 1, 2, 4, 5, 6
UNTRUSTED, WRONG_NAME, EXPIRED = 8, 9, 10


def certs(*words):
    return subprocess.run([CERTS, *words], check=True, capture_output=True, text=True).stdout


class Authority:
    """Keys, and certificates by name: good, foreign (another name), old (expired); `other` is of another authority."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        for name in ("ca", "other"):
            self._put(name + ".key", certs("key"))
            self._put(name + ".pem", certs("issue", self.path(name + ".key"), "-", "-", "cn=Test CA", "ca=yes"))
        self._put("server.key", certs("key"))
        for name, words in (("good", ["dns=localhost", "ip=127.0.0.1"]), ("foreign", ["dns=elsewhere.example.org"]),
                            ("old", ["ip=127.0.0.1", "from=-7200", "until=-3600"])):
            self._put(name + ".pem", certs("issue", self.path("server.key"), self.path("ca.pem"), self.path("ca.key"), "cn=db", "eku=serverAuth", *words))

    def path(self, name):
        return os.path.join(self.folder, name)

    def _put(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read()


class Daemon:
    """A server in a folder of its own below /tmp, as `nobody` where the test is root."""

    def __init__(self, authority):
        self.authority, self.port, self.program = authority, harness.free_port(), None
        self.folder = tempfile.mkdtemp(prefix="sluice-source-", dir="/tmp")
        self.user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        prefix = ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
        self.prefix = prefix if os.getuid() == 0 else []

    def place(self, name, to):
        path = os.path.join(self.folder, to)
        shutil.copyfile(self.authority.path(name), path)
        os.chmod(path, 0o600)
        os.chown(path, self.user.pw_uid, self.user.pw_gid)
        return path

    def start(self, certificate=None):
        self.stop()
        if certificate:
            self.place(certificate + ".pem", "server.pem")
            self.place("server.key", "server.key")
            self.place("ca.pem", "ca.pem")
        self.program = Program(self.prefix + self.command(certificate), cwd=self.folder)
        harness.wait_port(self.port)
        return self

    def stop(self):
        if self.program is not None:
            self.program.end()
            self.program = None

    def end(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Daemon):
    def __init__(self, authority):
        super().__init__(authority)
        self.data = os.path.join(self.folder, "data")
        subprocess.run(self.prefix + [POSTGRES + "initdb", "-D", self.data, "-A", "reject", "-U", "nobody", "--no-sync", "--locale=C", "-E", "UTF8"],
                       check=True, capture_output=True, cwd=self.folder)

    def command(self, certificate):
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "shared_buffers": "1MB",
                    "ssl": "on" if certificate else "off", "ssl_cert_file": os.path.join(self.folder, "server.pem"),
                    "ssl_key_file": os.path.join(self.folder, "server.key")}
        return [POSTGRES + "postgres", "-D", self.data] + [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]


class Redis(Daemon):
    def command(self, certificate):
        words = ["--bind", "127.0.0.1", "--save", "", "--dir", self.folder]
        if not certificate:
            return ["redis-server", *words, "--port", str(self.port)]
        return ["redis-server", *words, "--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no",
                "--tls-cert-file", os.path.join(self.folder, "server.pem"), "--tls-key-file", os.path.join(self.folder, "server.key"),
                "--tls-ca-cert-file", os.path.join(self.folder, "ca.pem")]


@pytest.fixture
def authority(tmp_path):
    return Authority(str(tmp_path / "authority"))


@pytest.fixture
def run(authority):
    made = []

    def make(kind):
        made.append(kind(authority))
        return made[-1]

    yield make
    for daemon in made:
        daemon.end()


class Silent:
    """Accepts, and says nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.taken = self.listener.getsockname()[1], []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.taken.append(self.listener.accept()[0])
            except OSError:
                return

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for taken in self.taken:
            taken.close()


@pytest.fixture
def silent():
    made = Silent()
    yield made
    made.end()


class Fleet:
    """A server, its administrator by command line and by gRPC, and instances with agents."""

    def __init__(self, server, folder):
        self.server, self.folder, self.agents = server, folder, {}
        self.admin = admin_of(server, folder / "admin")
        self.client = server.login(str(folder / "first"))[0]

    def agent(self, name, environment):
        self.client.RegisterInstance(name=name, environment=environment)
        state = str(self.folder / name)
        join = self.server.invite(self.client, name, str(self.folder / f"{name}.json"))
        subprocess.run([harness.AGENT, "enroll", "--join", join, "--state", state], check=True, capture_output=True)
        return self.start(name)

    def start(self, name, *flags):
        self.agents[name] = Program([harness.AGENT, "run", "--state", str(self.folder / name), *flags])
        self.agents[name].wait_line(" connected ", timeout=60)
        return self.agents[name]

    def set(self, source, environment, **options):
        self.client.SetSource(source=source, environment=environment, options={key: str(value) for key, value in options.items()})

    def look(self, source="db", instance="stg-1", **fields):
        return self.client.TestSource(timeout=90, source=source, instance=instance, **fields).test

    def refused(self, client=None, **fields):
        with pytest.raises(Refused) as caught:
            (client or self.client).TestSource(timeout=90, **fields)
        return caught.value.code.name, caught.value.reason

    def asked(self, name):
        return sum(" source-test " in f" {line} " for line in self.agents[name].lines)

    def setting(self, source, environment):
        return next(s for s in self.client.GetSource(source=source).source.settings if s.environment == environment)


@pytest.fixture
def fleet(server, tmp_path):
    made = Fleet(server, tmp_path)
    yield made
    for agent in made.agents.values():
        agent.end()


# --- real servers -------------------------------------------------------------------------------


def test_postgres(fleet, run, authority):
    fleet.agent("stg-1", "staging")
    fleet.client.CreateSource(name="db", kind="postgres")
    postgres = run(Postgres)

    def look(mode, ca="ca"):
        fleet.set("db", "staging", host="127.0.0.1", port=postgres.port, database="shop", user="shop", sslmode=mode, ca=authority.read(ca + ".pem"))
        test = fleet.look()
        assert test.revision == fleet.setting("db", "staging").revision
        return test

    postgres.start()
    plain = look("disable")
    assert (plain.failure, plain.reached, plain.protocol) == (FINE, 2, "") and plain.resolve_us > 0 and plain.connect_us > 0 and plain.tls_us == 0
    assert (look("prefer").failure, look("require").failure, look("verify-full").failure) == (FINE, NO_TLS, NO_TLS)
    postgres.start("good")
    good = look("verify-full")
    cert = good.certificate
    assert (good.failure, good.reached, good.protocol, cert.verified, cert.verify_error) == (FINE, 3, "TLSv1.3", True, "") and good.tls_us > 0
    assert (cert.subject, cert.issuer, list(cert.names), cert.name_count) == ("CN=db", "CN=Test CA", ["localhost", "127.0.0.1"], 2)
    assert 0 < cert.not_after.seconds - cert.not_before.seconds < 86400
    assert (good.instance, good.by, good.instance_id[:4]) == ("stg-1", "admin", "ins_")
    assert [look(mode, "other").failure for mode in ("verify-full", "verify-ca", "require")] == [UNTRUSTED, UNTRUSTED, FINE]
    unverified = fleet.setting("db", "staging").test.certificate
    assert not unverified.verified and unverified.verify_error
    postgres.start("foreign")
    assert [look(mode).failure for mode in ("verify-full", "verify-ca")] == [WRONG_NAME, FINE]
    postgres.start("old")
    assert [look(mode).failure for mode in ("verify-full", "verify-ca", "prefer")] == [EXPIRED, EXPIRED, FINE]
    postgres.stop()
    down = look("verify-full")
    assert (down.failure, down.reached, down.text) == (REFUSED, 2, "Connection refused")


def test_redis(fleet, run, authority):
    fleet.agent("stg-1", "staging")
    fleet.client.CreateSource(name="cache", kind="redis")
    redis = run(Redis)

    def look(tls, ca="ca", host="127.0.0.1"):
        fleet.set("cache", "staging", host=host, port=redis.port, tls=tls, ca=authority.read(ca + ".pem"))
        return fleet.look("cache", timeout_ms=30000).failure

    redis.start()
    assert (look("false"), look("false", host="localhost")) == (FINE, FINE)
    # Redis waits for the end of a line in what is no command of its.
    assert look("true") in (NO_TLS, TIMED_OUT, CONNECTION_LOST)
    redis.start("good")
    assert (look("true"), look("true", host="localhost"), look("true", "other")) == (FINE, FINE, UNTRUSTED)
    redis.start("foreign")
    assert look("true") == WRONG_NAME
    redis.start("old")
    assert look("true") == EXPIRED
    redis.stop()
    assert look("true") == REFUSED


def test_at_the_terminal(fleet, run, authority):
    fleet.agent("stg-1", "staging")
    admin, redis = fleet.admin, run(Redis).start("good")
    admin("source", "add", "cache", "--kind", "redis")
    admin("source", "set", "cache", "--env", "staging", "host=127.0.0.1", f"port={redis.port}", "ca=" + authority.read("ca.pem"))
    said = admin("source", "test", "cache", "--instance", "stg-1").stdout
    for text in ("reached", "TLSv1.3", "CN=db", "CN=Test CA", "localhost", "127.0.0.1", "yes", " ms"):
        assert text in said
    assert admin.json("source", "test", "cache", "--instance", "stg-1")["test"]["certificate"]["verified"] is True
    shown = admin("source", "show", "cache").stdout
    assert "stg-1" in shown and "verified" in shown and "before it was set" not in shown
    told = {s["environment"]: s.get("test") for s in admin.json("source", "show", "cache")["source"]["settings"]}
    assert told["staging"]["instance"] == "stg-1" and told["development"] is told["production"] is None
    admin("source", "set", "cache", "--env", "staging", "database=1")
    assert "before it was set" in admin("source", "show", "cache").stdout
    redis.start("old")
    assert "CERTIFICATE_EXPIRED: certificate has expired" in admin("source", "test", "cache", "--instance", "stg-1", code=2).stdout
    assert admin.json("source", "show", "cache")["source"]["settings"][1]["test"]["failure"] == "SOURCE_TEST_FAILURE_CERTIFICATE_EXPIRED"
    admin("source", "test", "cache", code=64)
    assert "sluice source ls" in admin("source", "test", "nosuch", "--instance", "stg-1", code=3).stderr
    fleet.agents["stg-1"].end()
    assert fleet.server.stop() == 0
    fleet.server.verify()


# --- who is asked --------------------------------------------------------------------------------


def test_only_an_agent_of_the_environment_is_asked(fleet, silent):
    client = fleet.client
    fleet.agent("stg-1", "staging")
    fleet.agent("dev-1", "development")
    client.RegisterInstance(name="stg-2", environment="staging")
    client.CreateSource(name="db", kind="redis")
    assert fleet.refused(source="nosuch", instance="stg-1") == ("NOT_FOUND", "SOURCE_NOT_FOUND")
    assert fleet.refused(source="db", instance="nosuch") == ("NOT_FOUND", "INSTANCE_NOT_FOUND")
    assert fleet.refused(source="db", instance="stg-1") == ("FAILED_PRECONDITION", "CONFIG_NOT_FOUND")
    # What the options refer to is the environment's own.
    client.SetConfigValue(name="PORT", kind=1, environment="staging", value=str(silent.port))
    client.SetConfigValue(name="PORT", environment="development", value="1")
    client.SetConfigValue(name="HOST", kind=2, environment="staging", value="127.0.0.1")
    fleet.set("db", "staging", host="{{secrets.HOST}}", port="{{constants.PORT}}", tls="false")
    assert fleet.refused(source="db", instance="dev-1") == ("FAILED_PRECONDITION", "CONFIG_NOT_FOUND")
    assert fleet.look().failure == FINE
    fleet.set("db", "development", host="{{secrets.HOST}}", port="{{constants.PORT}}", tls="false")
    assert fleet.refused(source="db", instance="dev-1") == ("FAILED_PRECONDITION", "CONFIG_NOT_FOUND")
    client.SetConfigValue(name="HOST", environment="development", value="")
    assert fleet.refused(source="db", instance="dev-1")[0] == "FAILED_PRECONDITION"
    client.SetConfigValue(name="HOST", environment="development", value="no host")
    assert fleet.refused(source="db", instance="dev-1") == ("FAILED_PRECONDITION", "MALFORMED")
    assert (fleet.asked("stg-1"), fleet.asked("dev-1")) == (1, 0)
    # Nobody has enrolled; one that has is away.
    assert fleet.refused(source="db", instance="stg-2") == ("FAILED_PRECONDITION", "AGENT_OFFLINE")
    fleet.agents["stg-1"].end()
    harness.until(lambda: client.GetInstance(instance="stg-1").instance.agent.liveness != 2, what="an agent that is away")
    assert fleet.refused(source="db", instance="stg-1") == ("FAILED_PRECONDITION", "AGENT_OFFLINE")
    assert fleet.setting("db", "staging").test.failure == FINE and not fleet.setting("db", "development").HasField("test")


def test_who_may(fleet, silent):
    fleet.agent("stg-1", "staging")
    fleet.agent("dev-1", "development")
    fleet.client.CreateSource(name="db", kind="redis")
    for environment in ("staging", "development"):
        fleet.set("db", environment, host="127.0.0.1", port=silent.port, tls="false")
    fleet.admin("principal", "add", "dev")
    for right in ("view", "configure"):
        fleet.admin("grant", "dev", right, "--env", "development")
    fleet.admin("grant", "dev", "view", "--env", "staging")
    dev = Person(fleet.folder / "dev")
    dev("login", stdin=fleet.admin("token", "create", "dev", "--login").stdout)
    dev("source", "test", "db", "--instance", "dev-1")
    assert "right" in dev("source", "test", "db", "--instance", "stg-1", code=2).stderr
    assert (fleet.asked("stg-1"), fleet.asked("dev-1")) == (0, 1)
    shown = dev.json("source", "show", "db")["source"]["settings"]
    assert [("test" in setting) for setting in shown] == [True, False]


def test_a_request_that_is_repeated_asks_nobody_again(fleet, silent):
    client = fleet.client
    fleet.agent("stg-1", "staging")
    client.CreateSource(name="db", kind="redis")
    fleet.set("db", "staging", host="127.0.0.1", port=silent.port, tls="false")
    revision = fleet.setting("db", "staging").revision
    first = client.TestSource(source="db", instance="stg-1", write={"request_id": "a", "expected_revision": revision})
    again = client.TestSource(source="db", instance="stg-1", write={"request_id": "a", "expected_revision": revision})
    assert again.result.replayed and again.test == first.test and fleet.asked("stg-1") == 1
    assert fleet.setting("db", "staging").test == first.test
    tried = client.TestSource(source="db", instance="stg-1", write={"validate_only": True})
    assert tried.result.revision == 0 and tried.test.failure == FINE and fleet.setting("db", "staging").test == first.test
    assert fleet.refused(source="db", instance="stg-1", write={"expected_revision": 1 << 40}) == ("ABORTED", "STALE_REVISION")
    assert fleet.refused(source="db", instance="stg-1", timeout_ms=999)[1] == "MALFORMED"


# --- servers and agents that do not answer -------------------------------------------------------------


def begin(fleet, count, instance="stg-1", **fields):
    """What calls on threads of their own end with."""
    ends = []

    def call():
        try:
            ends.append(fleet.client.TestSource(timeout=90, source="db", instance=instance, **fields).test.failure)
        except Refused as refused:
            ends.append((refused.code.name, refused.reason))

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, ends


def test_what_does_not_answer(fleet, silent):
    agent = fleet.agent("stg-1", "staging")
    fleet.client.CreateSource(name="db", kind="redis")
    fleet.set("db", "staging", host="127.0.0.1", port=silent.port, tls="true")
    late = fleet.look(timeout_ms=24000)
    assert (late.failure, late.reached, late.text) == (TIMED_OUT, 3, "no answer within 8000 ms")
    # An agent is at four at once; meanwhile it does all else that it does.
    threads, ends = begin(fleet, 6, timeout_ms=60000)
    harness.until(lambda: len(ends) == 2, what="two that are too many")
    assert ends == [("RESOURCE_EXHAUSTED", "TOO_MANY")] * 2
    harness.until(lambda: len(silent.taken) >= 5, what="four looks under way")
    harness.until(lambda: fleet.client.GetInstance(instance="stg-1").instance.agent.liveness == 2, what="its heartbeat")
    children = subprocess.run(["ps", "-o", "args=", "--ppid", str(agent.process.pid)], capture_output=True, text=True).stdout.splitlines()
    assert children == ["sluice-agent reach-worker"] * 4
    # Its death is theirs, and who waits is told.
    agent.kill()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, ends)) == sorted(map(str, [("RESOURCE_EXHAUSTED", "TOO_MANY")] * 2 + [("UNAVAILABLE", "AGENT_OFFLINE")] * 4))
    agent.end()
    fleet.start("stg-1")
    assert fleet.look(timeout_ms=15000).failure == TIMED_OUT
    # So is the server's.
    threads, ends = begin(fleet, 1, timeout_ms=60000)
    harness.until(lambda: len(silent.taken) >= 7, what="a look under way")
    assert fleet.server.stop() == 0
    threads[0].join(60)
    assert ends[0][0] == "UNAVAILABLE"


# --- an agent that lies ---------------------------------------------------------------------------------


class Liar:
    """Speaks for an instance, and answers each order with what it is told to: a SyncRequest made of the order's id."""

    def __init__(self, fleet, name, answer):
        from sluice.v1 import agent_pb2

        fleet.client.RegisterInstance(name=name, environment="staging")
        folder = str(fleet.folder / name)
        key, request = make_key(folder)
        reply = enroll(fleet.server, folder, fleet.client.InviteInstance(instance=name).secret, request)
        channel = fleet.server.admitted(key, reply.certificate).channel
        self.asked, self.said = [], queue.Queue()
        self.said.put(agent_pb2.SyncRequest(hello=agent_pb2.AgentHello(protocol=1, instance=name)))
        self.stream = channel.stream_stream("/sluice.v1.AgentService/Sync", request_serializer=lambda m: m.SerializeToString(),
                                            response_deserializer=agent_pb2.SyncResponse.FromString)(iter(self.said.get, None))
        next(self.stream)
        threading.Thread(target=self._serve, args=(answer,), daemon=True).start()

    def _serve(self, answer):
        try:
            for message in self.stream:
                if message.HasField("source_test"):
                    self.asked.append(message.source_test)
                    self.said.put(answer(message.source_test.id))
        except grpc.RpcError:
            pass

    def end(self):
        self.said.put(None)
        self.stream.cancel()


def test_what_an_agent_says_is_cut_to_what_it_may_say(fleet):
    from sluice.v1 import agent_pb2, config_pb2

    client, answers = fleet.client, []
    client.CreateSource(name="db", kind="redis")
    fleet.set("db", "staging", host="127.0.0.1", port=1, tls="false")
    liar = Liar(fleet, "stg-9", lambda order: answers[0](order))
    tested = lambda order, **fields: agent_pb2.SyncRequest(source_tested=agent_pb2.AgentSourceTested(id=order, test=config_pb2.SourceTest(**fields)))

    def look(answer):
        answers[:] = [answer]
        return fleet.look(instance="stg-9", timeout_ms=60000)

    long = "a\n\x1b[31m\u00e4" + "x" * 5000
    cert = {"subject": long, "issuer": long, "names": [long] * 20, "name_count": 7, "not_after": {"seconds": 1 << 60}, "verify_error": long}
    told = look(lambda order: tested(order, reached=3, failure=6, text=long, protocol=long, certificate=cert, instance="other", by="root", revision=1 << 60,
                                     instance_id="ins_x", at={"seconds": 1}))
    assert told.text == ("a??[31m??" + "x" * 5000)[:200] == told.protocol == told.certificate.subject == told.certificate.verify_error
    assert len(told.certificate.names) == 10 and {len(name) for name in told.certificate.names} == {253}
    assert not told.certificate.HasField("not_after") and told.at.seconds > 1
    assert (told.instance, told.by, told.revision) == ("stg-9", "admin", fleet.setting("db", "staging").revision)
    # Answers that there are not, and a success that is none.
    for fields in ({}, {"reached": 1}, {"reached": 4}, {"reached": 3, "failure": 13}, {"reached": -1}, {"reached": 2, "failure": -1}):
        assert look(lambda order, fields=fields: tested(order, **fields)).text == "the agent's answer is none that it could give", fields
    answers[:] = [lambda order: agent_pb2.SyncRequest(source_tested=agent_pb2.AgentSourceTested(id=order))]
    assert fleet.refused(source="db", instance="stg-9") == ("UNAVAILABLE", "AGENT_OFFLINE")
    # Another's order is not its to answer.
    other = Liar(fleet, "stg-8", lambda order: tested("tst_unknown", reached=2))
    threads, ends = begin(fleet, 1, timeout_ms=5000, instance="stg-8")
    harness.until(lambda: other.asked, what="an order")
    liar.said.put(tested(other.asked[0].id, reached=2))
    threads[0].join(60)
    assert ends == [("DEADLINE_EXCEEDED", "WAIT_TIMEOUT")]
    # What it gets is sealed, and without credentials.
    assert b"127.0.0.1" not in liar.asked[0].box and len(liar.asked[0].box) < 100
    liar.end()
    other.end()


# --- what leaves the box ----------------------------------------------------------------------------------


def test_no_option_leaves_the_box(fleet, silent):
    client = fleet.client
    fleet.agent("stg-1", "staging").end()
    fleet.start("stg-1", "--log-level", "debug")
    host, user, word, base, path = MARKS
    client.SetConfigValue(name="HOST", kind=2, environment="staging", value=host + ".invalid")
    client.CreateSource(name="db", kind="postgres")
    client.CreateSource(name="api", kind="rest")
    said = []

    def look(source, secrets, **options):
        client.SetSource(source=source, environment="staging", options={k: str(v) for k, v in options.items()}, secrets=secrets)
        said.append(str(client.TestSource(timeout=90, source=source, instance="stg-1", timeout_ms=15000)))
        return client.GetSource(source=source)

    look("db", {"password": word}, host="{{secrets.HOST}}", user=user, database=base)
    look("db", {}, host="127.0.0.1", port=silent.port, ca=word)
    look("db", {}, sslmode="require", ca="")
    look("api", {"token": word}, url=f"http://{user}:{word}@127.0.0.1:{silent.port}/{path}?{base}")
    look("api", {}, url=f"https://{user}:{word}@{host}.invalid/{path}")
    with pytest.raises(Refused) as caught:
        look("db", {}, host=path + "/")
    said.append(str(caught.value) + str(vars(caught.value)))
    said += [str(client.ListAuditRecords(page={"page_size": 1000})), str(client.ExportAudit()), str(watched(client, from_revision=1))]
    said += fleet.server.program.lines + fleet.agents["stg-1"].lines
    assert len(said) > 20 and [text for text in said if any(mark in text for mark in MARKS)] == []
    fleet.agents["stg-1"].end()
    assert fleet.server.stop() == 0
    assert harness.holding(str(fleet.folder), MARKS) == []

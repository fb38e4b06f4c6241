"""The main port and strangers: who is refused in the handshake, before any HTTP/2; certificates that change while it serves; what init makes.

The clients here are Python's ssl and openssl s_client: nothing of ours, nor of gRPC's, stands between them and the server."""
import os
import re
import shutil
import ssl
import stat
import subprocess
import threading
import time

import grpc
import pytest

import harness
import tls_world

INSTANCE = "ins_aaaaaaaaaaaaaaaaaaaa"
IDENTITY = "idn_bbbbbbbbbbbbbbbbbbbb"
URI = f"spiffe://sluice/agent/{INSTANCE}/{IDENTITY}"

# A name, how the certificate is made; the CA of the server signs unless it says otherwise.
REFUSED = [
    ("for servers", ["uri={good}", "eku=serverAuth"]),
    ("for nothing", ["uri={good}"]),
    ("for something else", ["uri={good}", "eku=codeSigning"]),
    ("expired", ["uri={good}", "eku=clientAuth", "from=-60", "until=-2"]),
    ("not yet valid", ["uri={good}", "eku=clientAuth", "from=60", "until=600"]),
    ("two URIs", ["uri={good}", f"uri={URI}", "eku=clientAuth"]),
    ("the same URI twice", ["uri={good}", "uri={good}", "eku=clientAuth"]),
    ("no name", ["eku=clientAuth"]),
    ("a name of a host too", ["uri={good}", "dns=localhost", "eku=clientAuth"]),
    ("a host's name only", ["dns=localhost", "eku=clientAuth"]),
    ("a comma", ["uri={good},URI:" + URI, "eku=clientAuth"]),
    ("a CA", ["uri={good}", "eku=clientAuth", "ca=yes"]),
    ("of another kind", [f"uri=spiffe://sluice/server/{INSTANCE}/{IDENTITY}", "eku=clientAuth"]),
    ("an instance as a principal", [f"uri=spiffe://sluice/principal/{INSTANCE}/{IDENTITY}", "eku=clientAuth"]),
    ("more behind it", ["uri={good}/more", "eku=clientAuth"]),
    ("another host's", [f"uri=spiffe://elsewhere/agent/{INSTANCE}/{IDENTITY}", "eku=clientAuth"]),
    ("a wildcard", ["uri=spiffe://sluice/principal/*/*", "eku=clientAuth"]),
    ("a wildcard as a host", ["dns=*", "eku=clientAuth"]),
    ("upper case", ["uri={GOOD}", "eku=clientAuth"]),
]


@pytest.fixture
def served(world):
    """A server that runs, and somebody who may come in."""
    server = tls_world.TlsServer(world)
    admin = server.log_in()
    return server.start(), admin


def words_for(words, uri):
    return [word.replace("{good}", uri).replace("{GOOD}", uri.upper()) for word in words]


def test_certificates_that_are_wrong_in_one_way_are_refused_before_http2(world, served):
    server, admin = served
    forge = tls_world.Forge(world, server)
    assert tls_world.is_let_in(server.port, tls_world.context(server.ca, admin.pem, admin.key))
    # The forge's own hand is good: the same name, made as it should be, comes in.
    good = forge.cert("good", f"uri={admin.uri}", "eku=clientAuth")
    assert tls_world.is_let_in(server.port, tls_world.context(server.ca, good, forge.key))
    for what, words in REFUSED:
        pem = forge.cert("bad", *words_for(words, admin.uri))
        answer, _, _ = tls_world.first_bytes(server.port, tls_world.context(server.ca, pem, forge.key))
        assert answer == b"", what
    assert tls_world.is_let_in(server.port, tls_world.context(server.ca, admin.pem, admin.key))


def test_certificates_of_others_are_refused(world, served):
    server, admin = served
    forge = tls_world.Forge(world, server)
    words = [f"uri={admin.uri}", "eku=clientAuth"]
    # A CA of the same name: read from the real one.
    name = subprocess.run(["openssl", "x509", "-in", server.ca, "-noout", "-subject", "-nameopt", "RFC2253"], capture_output=True, text=True, check=True)
    twin_key = forge.key_new("twin")
    twin = forge.cert("twin", "cn=" + name.stdout.strip().split("CN=")[1], "ca=yes", issuer=("-", "-"), key=twin_key)
    of_twin = forge.cert("of_twin", *words, issuer=(twin, twin_key))
    itself = forge.cert("self", *words, issuer=("-", "-"))
    # A leaf of the real CA that signs, shown with what it signed.
    leaf_key = forge.key_new("leaf")
    leaf = forge.cert("leaf", *words, key=leaf_key)
    below = forge.cert("below", *words, issuer=(leaf, leaf_key))
    with open(below, "ab") as chain, open(leaf, "rb") as above:
        shutil.copyfileobj(above, chain)
    for what, pem in (("CA of the same name", of_twin), ("self-signed", itself), ("leaf used as CA", below)):
        assert tls_world.first_bytes(server.port, tls_world.context(server.ca, pem, forge.key))[0] == b"", what
    assert tls_world.first_bytes(server.port, tls_world.context(server.ca))[0] == b"", "no certificate"


def test_older_tls_and_no_tls_are_refused(served):
    server, admin = served
    older = tls_world.context(server.ca, admin.pem, admin.key)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not tls_world.is_let_in(server.port, older)
    with pytest.raises(harness.Refused) as refused:
        harness.Client(server.services, server.port).ListWorkspaces(wait_for_ready=False)
    assert refused.value.code == grpc.StatusCode.UNAVAILABLE
    said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-cert", admin.pem, "-key", admin.key],
                          input="", capture_output=True, text=True)
    assert "Cipher is (NONE)" in said.stdout and "TLSv1.3" not in said.stdout


def test_there_are_no_session_tickets(world, served):
    server, admin = served
    made = tls_world.context(server.ca, admin.pem, admin.key)
    answer, session, _ = tls_world.first_bytes(server.port, made)
    assert answer and not session.has_ticket
    _, _, reused = tls_world.first_bytes(server.port, made, session=session)
    assert not reused
    kept = world.path("session")
    program = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", server.ca, "-cert", admin.pem,
                                "-key", admin.key, "-sess_out", kept, "-alpn", "h2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    program.stdin.write(tls_world.PREFACE)
    program.stdin.flush()
    time.sleep(2)  # as long as it holds on, tickets would come
    said, _ = program.communicate(timeout=60)
    assert b"Verification: OK" in said and b"New Session Ticket" not in said
    assert not os.path.exists(kept)


def test_programs_of_ours_and_of_others_speak_with_it(served):
    server, admin = served
    client = server.client_of(admin)
    client.CreateWorkspace(name="other")
    tls = ["--server", f"127.0.0.1:{server.port}", "--tls-ca", server.ca, "--tls-cert", admin.pem, "--tls-key", admin.key]
    listed = subprocess.run([harness.CLI, "workspace", "ls", "-o", "name", *tls], capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert "other" in listed.stdout.split()
    os.chmod(admin.key, 0o640)
    refused = subprocess.run([harness.CLI, "workspace", "ls", *tls], capture_output=True, text=True)
    assert refused.returncode != 0 and "open to its owner only" in refused.stderr


def test_a_client_says_that_its_certificate_is_over(world):
    server = tls_world.TlsServer(world)
    admin = server.log_in(seconds=1)
    server.start()
    harness.until(lambda: not tls_world.is_let_in(server.port, tls_world.context(server.ca, admin.pem, admin.key)), 60, "the end of the certificate")
    said = subprocess.run([harness.CLI, "workspace", "ls", "--server", f"127.0.0.1:{server.port}", "--tls-ca", server.ca, "--tls-cert", admin.pem,
                           "--tls-key", admin.key], capture_output=True, text=True)
    assert said.returncode != 0 and "has expired" in said.stderr, said.stderr


class Load:
    """Connections and calls all the time, and a stream that stays."""

    def __init__(self, server, person):
        self.server, self.credentials = server, person.credentials(server.ca)
        self.ended, self.failed, self.calls = threading.Event(), [], 0
        self.threads = [threading.Thread(target=self._calls) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def _calls(self):
        while not self.ended.is_set():
            client = harness.Client(self.server.services, self.server.port, (), self.credentials)
            try:
                client.ListWorkspaces(wait_for_ready=False)
                self.calls += 1
            except harness.Refused as refused:
                self.failed.append(refused)
            client.close()

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def serial_of(port):
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True).stdout


def replace(path, content):
    with open(path + ".mine", "wb", opener=lambda p, f: os.open(p, f, 0o600)) as out:
        out.write(content)
    os.rename(path + ".mine", path)


def refusals(server):
    return sum("certificate-refused" in line for line in server.program.lines)


def test_certificates_are_replaced_under_load_without_a_failed_connection(world, served):
    server, admin = served
    forge = tls_world.Forge(world, server)
    stream = server.client_of(admin).watch()
    next(stream)
    load = Load(server, admin)
    for turn in range(3):
        before = serial_of(server.port)
        key = forge.key_new(f"server{turn}")
        cert = forge.cert(f"server{turn}", "ip=127.0.0.1", "eku=serverAuth", key=key)
        replace(server.key_file("server.key"), open(key, "rb").read())
        replace(server.key_file("server.pem"), open(cert, "rb").read())
        harness.until(lambda: serial_of(server.port) != before, 60, "the new certificate")
    # Broken in each of three ways: what is in use stays.
    good = serial_of(server.port)
    for name, content in (("server.pem", b"nonsense\n"), ("server.pem", open(admin.pem, "rb").read()), ("ca.pem", b"")):
        kept = open(server.key_file(name), "rb").read()
        said = refusals(server)
        replace(server.key_file(name), content)
        harness.until(lambda: refusals(server) > said, 60, "a word about broken files")
        assert serial_of(server.port) == good
        replace(server.key_file(name), kept)
    harness.until(lambda: load.calls > 20 or load.failed, what="load")
    load.end()
    assert not load.failed, load.failed[:3]
    assert stream.is_active()  # its connection has never noticed
    stream.cancel()
    assert server.stop() == 0


def test_the_server_renews_its_own_certificate(world):
    server = tls_world.TlsServer(world)
    forge = tls_world.Forge(world, server)
    admin = server.log_in()
    day = 24 * 3600
    old = forge.cert("old", "ip=127.0.0.1", "dns=sluice.example.org", "eku=serverAuth", f"from={-61 * day}", f"until={29 * day}",
                     key=server.key_file("server.key"))
    replace(server.key_file("server.pem"), open(old, "rb").read())
    server.start()
    server.program.wait_line("certificate-renewed file=server.pem")
    shown = ssl.get_server_certificate(("127.0.0.1", server.port))
    assert shown.strip() == open(server.key_file("server.pem")).read().strip()
    text = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName", "-checkend", str(89 * day)], input=shown, capture_output=True, text=True)
    assert "DNS:sluice.example.org" in text.stdout and "127.0.0.1" in text.stdout and text.returncode == 0, text.stdout
    assert stat.S_IMODE(os.stat(server.key_file("server.pem")).st_mode) == 0o600
    assert server.client_of(admin).ListWorkspaces().workspaces


def test_init_makes_everything_once_and_for_its_owner_only(world):
    server = tls_world.TlsServer(world, names=["sluice.example.org", "10.1.2.3"])
    keys = server.key_file("")
    assert stat.S_IMODE(os.stat(keys).st_mode) == 0o700
    names = sorted(os.listdir(keys))
    assert {"ca.key", "ca.pem", "door.key", "door.pem", "manifest.key", "master.key", "server.key", "server.pem", "token.key"} <= set(names)
    for name in names:
        assert stat.S_IMODE(os.stat(server.key_file(name)).st_mode) == 0o600, name
    before = {name: open(server.key_file(name), "rb").read() for name in names}
    again = subprocess.run([harness.SLUICED, "init", "--data", server.folder], capture_output=True, text=True)
    assert again.returncode == 3 and "there already" in again.stderr and again.stdout == ""
    assert before == {name: open(server.key_file(name), "rb").read() for name in os.listdir(keys)}
    # What is shown once is nowhere.
    recovery = re.search(r"recovery-key:(\S+)", server.printed).group(1)
    secrets = [server.token.rsplit("_", 1)[1].encode(), recovery.encode(), recovery.replace("-", "").encode()]
    for folder, _, files in os.walk(server.folder):
        for name in files:
            content = open(os.path.join(folder, name), "rb").read()
            assert not any(secret in content for secret in secrets), name
    tar = world.path("keys.tar")
    subprocess.run([harness.SLUICED, "keys", "export", tar, "--data", server.folder], check=True, capture_output=True)
    assert stat.S_IMODE(os.stat(tar).st_mode) == 0o600
    os.makedirs(world.path("back"))
    subprocess.run(["tar", "-xpf", tar, "-C", world.path("back")], check=True)
    assert stat.S_IMODE(os.stat(world.path("back/keys")).st_mode) == 0o700
    assert before == {name: open(world.path("back/keys/" + name), "rb").read() for name in os.listdir(world.path("back/keys"))}


def test_init_makes_no_master_key_where_there_is_one(world):
    import base64

    def init(folder, key, mode=0o600, variable="SLUICE_MASTER_KEY_FILE", name="elsewhere"):
        path = world.path(name)
        with open(path, "wb") as out:
            out.write(key)
        os.chmod(path, mode)
        value = path if variable == "SLUICE_MASTER_KEY_FILE" else os.path.dirname(path)
        return subprocess.run([harness.SLUICED, "init", "--data", world.path(folder)], env={**os.environ, variable: value}, capture_output=True, text=True)

    good = base64.b64encode(os.urandom(32))
    for folder, made in (("a", init("a", good)), ("b", init("b", good, variable="CREDENTIALS_DIRECTORY", name="sluice-master-key"))):
        assert made.returncode == 0, made.stderr
        assert not os.path.exists(world.path(folder + "/keys/master.key"))
        assert "The master key stays in" in made.stdout
    for key, mode in ((good, 0o640), (b"short", 0o600), (b"", 0o600)):
        made = init("c", key, mode)
        assert made.returncode == 3 and "master key" in made.stderr, made
        assert not os.path.exists(world.path("c/keys")) and not os.path.exists(world.path("c/keys.part"))


def test_serving_needs_keys_that_nobody_else_can_reach(world):
    def refusal(folder, port=0):
        program = world.add(harness.Program([harness.SLUICED, "serve", "--data", folder, "--listen", f"127.0.0.1:{port}", "--metrics-listen", "", "--door-listen", ""],
                                            env={"SLUICE_MAP_SIZE": "64M"}))
        assert program.wait(60) == 1
        return program.wait_line("start-failed error=(.*)").group(1)

    assert "sluiced init --data" in refusal(world.path("nothing"))
    server = tls_world.TlsServer(world)
    for name, mode in (("ca.key", 0o640), ("server.key", 0o604), ("", 0o750)):
        path = server.key_file(name)
        was = stat.S_IMODE(os.stat(path).st_mode)
        os.chmod(path, mode)
        assert "open to its owner only" in refusal(server.folder)
        os.chmod(path, was)
    server.start()
    assert "port is taken" in refusal(_other(world), server.port)
    with open(f"/proc/{server.program.process.pid}/limits", encoding="utf-8") as limits:
        core = [line for line in limits if line.startswith("Max core file size")]
    assert core[0].split()[4:6] == ["0", "0"]


def _other(world):
    folder = world.path("other")
    subprocess.run([harness.SLUICED, "init", "--data", folder], check=True, capture_output=True)
    return folder

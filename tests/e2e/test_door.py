"""The door: who shows a token comes in, strangers do not, and what strangers do to the door is the door's alone."""
import concurrent.futures
import os
import re
import selectors
import signal
import socket
import ssl
import subprocess
import threading
import time

import grpc
import h2
import harness
import pytest
from harness import Refused
from secure import SecureServer, make_key


@pytest.fixture
def server(services, tmp_path):
    server = SecureServer(services, str(tmp_path / "server"), flags=["--door-peer-rate", "1000", "--door-rate", "0"])
    server.start()
    yield server
    server.end()


def test_a_token_becomes_a_certificate_that_the_main_port_takes(server, tmp_path):
    client, reply = server.login(str(tmp_path / "me"))
    assert (reply.principal, reply.workspace) == ("admin", "default")
    assert [e.name for e in client.ListEnvironments().environments] == ["development", "staging", "production"]
    again, other = server.login(str(tmp_path / "me-too"))
    assert other.identity_id != reply.identity_id
    again.ListEnvironments()


def test_the_main_port_speaks_to_nobody_without_a_certificate(server):
    stranger = server.door().__class__(server.services, server.port, server.ca)
    with pytest.raises(Refused) as refused:
        stranger.ListEnvironments(wait_for_ready=False)
    assert refused.value.code == grpc.StatusCode.UNAVAILABLE
    stranger.close()


def test_whatever_is_wrong_with_a_token_sounds_alike(server, tmp_path):
    _, request = make_key(str(tmp_path / "k"))
    seen = set()
    for token in ("", "slc_", "x" * 5000, server.token[:-1], server.token[:-1] + ("a" if server.token[-1] != "a" else "b"),
                  "slc_" + "a" * 20 + "_" + "b" * 52, "jtk_" + "a" * 20 + "." + "b" * 52):
        with pytest.raises(Refused) as refused:
            server.door().Login(token=token, certificate_request=request)
        seen.add((refused.value.code, refused.value.reason, refused.value.text))
        with pytest.raises(Refused) as refused:
            server.door().Enroll(token=token, certificate_request=request, box_key=b"k" * 32, signature=b"s")
        seen.add((refused.value.code, refused.value.reason, refused.value.text))
    assert seen == {(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REFUSED", "the token is unknown, used, expired or revoked")}


@pytest.mark.parametrize("request_pem", ["", "no PEM", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "A" * 5000])
def test_a_good_token_with_a_bad_request_is_told_what_is_wrong(server, request_pem):
    with pytest.raises(Refused) as refused:
        server.door().Login(token=server.token, certificate_request=request_pem)
    assert refused.value.reason == "CSR_REFUSED"


def test_people_do_not_renew_at_the_door(server, tmp_path):
    """An agent that was off may; a login that ran out takes a token, so that a stolen one ends."""
    folder = str(tmp_path / "me")
    _, reply = server.login(folder)
    with open(os.path.join(folder, "request.pem"), encoding="ascii") as file:
        request = file.read()
    identity = re.search(r"idn_[a-z2-7]+", subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=reply.certificate, check=True,
                                                          capture_output=True, text=True).stdout).group(0)
    nonce, counter = b"n" * 16, 1
    text = b"sluice renew v1\0" + identity.encode() + b"\0" + counter.to_bytes(8, "big") + nonce
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", os.path.join(folder, "key.pem")], input=text, check=True, capture_output=True).stdout
    with pytest.raises(Refused) as refused:
        server.door().Renew(certificate=reply.certificate, certificate_request=request, counter=counter, nonce=nonce, signature=signature)
    assert refused.value.reason == "RENEWAL_REFUSED" and "sluice login" in refused.value.text


def test_the_door_speaks_of_nothing_else(server):
    for method in ("ListEnvironments", "GetStatus"):
        with pytest.raises(Refused) as refused:
            getattr(server.door(), method)()
        assert refused.value.code == grpc.StatusCode.UNIMPLEMENTED


def test_peers_are_slowed_down_and_then_let_in_again(services, tmp_path):
    server = SecureServer(services, str(tmp_path / "server"), flags=["--door-peer-rate", "1"]).start()
    try:
        _, request = make_key(str(tmp_path / "k"))
        door = server.door()

        def answer(token):
            try:
                return "let in" if door.Login(token=token, certificate_request=request).certificate else ""
            except Refused as refused:
                return refused.reason

        with concurrent.futures.ThreadPoolExecutor(16) as pool:  # at once: what comes slowly is not slowed down
            reasons = list(pool.map(answer, ["nonsense"] * 16))
        assert reasons.count("RATE_LIMITED") >= 6 and set(reasons) == {"RATE_LIMITED", "TOKEN_REFUSED"}
        harness.until(lambda: answer(server.token) == "let in", what="its turn")
    finally:
        server.end()


def confined(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file if ":" in line)
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        limits = {line[:26].strip(): line[26:].split() for line in file}
    return status["Seccomp"].strip(), status["NoNewPrivs"].strip(), limits


def test_the_child_is_confined_and_holds_no_file_of_the_server(server):
    pid = server.door_child()
    seccomp, no_new_privileges, limits = confined(pid)
    assert (seccomp, no_new_privileges) == ("0" if harness.is_sanitized() else "2", "1")
    assert limits["Max open files"][0] == "1024"
    assert limits["Max core file size"][0] == "0"
    held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert not [name for name in held if server.folder in name], held
    with open(f"/proc/{pid}/environ", encoding="ascii") as file:
        assert set(file.read().strip("\0").split("\0")) == {"MALLOC_ARENA_MAX=1", "HOME=/nonexistent", "PATH=/nonexistent", "LC_ALL=C"}


def test_a_door_that_is_crashed_in_a_loop_is_nobody_elses_trouble(server, tmp_path):
    client, _ = server.login(str(tmp_path / "me"))
    seen, ended = [], []

    def follow():
        try:
            for message in client.watch(from_revision=0):
                seen.append(message)
        except grpc.RpcError as error:
            ended.append(error)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    kills, pids = 8, [0]
    for kill in range(kills):
        pids.append(harness.until(lambda: (lambda pid: pid if pid not in pids else 0)(server.door_child()), what="the next child"))
        os.kill(pids[-1], signal.SIGSEGV if kill % 2 else signal.SIGKILL)
        client.CreateWorkspace(name=f"w{kill}")
    assert not ended and thread.is_alive()
    assert {w.name for w in client.ListWorkspaces().workspaces} >= {f"w{i}" for i in range(kills)}
    # Strangers wait no longer than a breath: the same port, and it lets in.
    again, _ = server.login(str(tmp_path / "later"))
    again.ListEnvironments()
    server.program.wait_line(r"door-ended pid=\d+ how=\"signal (9|11)\"")


def test_who_sends_rubbish_or_nothing_does_not_keep_others_out(server, tmp_path):
    silent = [socket.create_connection(("127.0.0.1", server.door_port)) for _ in range(40)]
    for s in silent[:20]:
        s.sendall(b"\x16\x03\x01\x02\x00" + b"\xff" * 100)
    context = ssl.create_default_context(cadata=server.ca.decode())
    context.set_alpn_protocols(["h2"])
    raw = context.wrap_socket(socket.create_connection(("127.0.0.1", server.door_port)), server_hostname="127.0.0.1")
    raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(4000))
    server.login(str(tmp_path / "me"))
    for s in silent + [raw]:
        s.close()


class Flood(threading.Thread):
    """A stranger with many connections, each of which has greeted as TLS wants it, says nothing more, and is dialled again as soon as it ends."""

    def __init__(self, server, source, count):
        super().__init__(daemon=True)
        context = ssl.create_default_context(cadata=server.ca.decode())
        context.set_alpn_protocols(["h2"])
        self.to, self.source, self.count, self.hello = ("127.0.0.1", server.door_port), (source, 0), count, h2.client_hello(context)
        self.over, self.dials, self.peers = threading.Event(), 0, selectors.DefaultSelector()

    def dial(self):
        peer = socket.socket()
        peer.setblocking(False)
        peer.bind(self.source)
        peer.connect_ex(self.to)
        self.peers.register(peer, selectors.EVENT_WRITE)
        self.dials += 1

    def turn(self, peer, events):
        try:
            if events & selectors.EVENT_WRITE:
                peer.sendall(self.hello)
                self.peers.modify(peer, selectors.EVENT_READ)
            elif not peer.recv(65536):
                raise ConnectionError
        except OSError:
            self.peers.unregister(peer)
            peer.close()
            self.dial()

    def run(self):
        for _ in range(self.count):
            self.dial()
        while not self.over.is_set():
            for key, events in self.peers.select(0.1):
                self.turn(key.fileobj, events)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(60)
        for key in list(self.peers.get_map().values()):
            key.fileobj.close()


def test_a_flood_of_strangers_does_not_keep_others_out(server, tmp_path):
    """More of them than there are places. Who comes from elsewhere is let in as if they were not there."""
    began = time.monotonic()
    server.login(str(tmp_path / "before"))
    alone = time.monotonic() - began
    with Flood(server, "127.0.0.2", 700) as flood:
        harness.until(lambda: flood.dials >= 800, what="a flood")
        took = []
        for i in range(5):
            began = time.monotonic()
            client, _ = server.login(str(tmp_path / f"during{i}"))
            took.append(time.monotonic() - began)
        assert sorted(took)[2] < 5 + 10 * alone, took
        client.ListEnvironments()
        assert flood.dials < 20000
    assert server.program.running


def test_the_child_ends_with_its_server(server):
    pid = server.door_child()
    server.kill()
    harness.until(lambda: not os.path.exists(f"/proc/{pid}"), what="its end")

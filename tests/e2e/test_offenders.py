"""Who was hung up on for what it sent (base/tls/frames.h) and dials again without end is refused in the handshake, and gets so many of those a second
and no more (server/rpc/porch.h). Others from the same address come in all the same, and who is in notices nothing."""
import concurrent.futures
import threading
import time

import h2
import pytest
import tls_world
from secure import SecureServer, TlsClient

PEERS, NEWCOMERS = 8, 6
PER_SECOND, AT_ONCE = 10, 2  # server/rpc/porch.c
LATE_S = 60
RESETS = b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.headers()) + h2.frame(h2.RST_STREAM, 0, stream, b"\0\0\0\x08") for stream in range(1, 401, 2))
PINGS = h2.frame(h2.PING, 0, 0, b"12345678") * 20000


@pytest.fixture
def server(world):
    return world.add(SecureServer(world.services, world.path("server"))).start()


class Offender:
    """Floods over some connections at a time, each dialled anew when it is hung up on."""

    def __init__(self, server, context):
        self.server, self.context, self.stopping = server, context, threading.Event()
        self.cut_off, self.shaken = threading.Event(), []

    def run(self):
        while not self.stopping.is_set():
            try:
                peer = h2.Peer(self.server.port, context=self.context)
            except OSError:
                continue  # it waited for longer than it liked
            self.shaken.append(time.monotonic())
            peer.send(PINGS)
            if peer.hung_up(5):
                self.cut_off.set()
            peer.close()


def mallory(server, admin, folder):
    """Somebody who may look and nothing else: for a peer by the byte."""
    admin.CreatePrincipal(name="mallory", kind="PRINCIPAL_KIND_BOT", grants=[{"role": "viewer"}])
    _, reply = server.login(folder, admin.CreateAccessToken(principal="mallory").secret)
    with open(folder + "/cert.pem", "w", encoding="ascii") as file:
        file.write(reply.certificate)
    return tls_world.context(server.folder + "/keys/ca.pem", folder + "/cert.pem", folder + "/key.pem")


def seconds_of(act):
    began = time.monotonic()
    act()
    return time.monotonic() - began


def newcomer(server, folder, reply):
    """How long somebody from the same address waits for a first answer."""
    with open(folder + "/key.pem", "rb") as file:
        client = TlsClient(server.services, server.port, server.ca, file.read(), reply.certificate.encode())
    try:
        return seconds_of(lambda: client.WhoAmI(timeout=LATE_S))
    finally:
        client.close()


def test_who_dials_again_without_end_keeps_nobody_out(server, world):
    admin, reply = server.login(world.path("admin"))
    offender = Offender(server, mallory(server, admin, world.path("mallory")))
    with concurrent.futures.ThreadPoolExecutor(PEERS) as pool:
        dialling = [pool.submit(offender.run) for _ in range(PEERS)]
        try:
            assert offender.cut_off.wait(30)
            first = len(offender.shaken)
            for _ in range(NEWCOMERS):
                assert newcomer(server, world.path("admin"), reply) < LATE_S
                admin.WhoAmI(timeout=LATE_S)  # over the connection that was there
        finally:
            offender.stopping.set()
        for each in dialling:
            each.result(60)
    seconds = offender.shaken[-1] - offender.shaken[0]
    assert len(offender.shaken) <= first + PEERS + AT_ONCE + PER_SECOND * (seconds + 1), (first, seconds)
    assert "peer-cut-off" in "\n".join(server.program.lines)


def test_who_was_out_comes_back_when_its_time_is_over(server, world):
    admin, _ = server.login(world.path("admin"))
    context = mallory(server, admin, world.path("mallory"))
    peer = h2.Peer(server.port, context=context, timeout=60)
    peer.send(PINGS)
    assert peer.hung_up(30)
    until = time.monotonic() + 60
    while h2.Peer(server.port, context=context, timeout=60).hung_up(0.5):
        assert time.monotonic() < until


def test_streams_opened_and_reset_count_over_all_connections_of_a_key(server, world):
    """Each of these connections does what one may; so may two of them."""
    admin, _ = server.login(world.path("admin"))
    context = mallory(server, admin, world.path("mallory"))
    first = [h2.Peer(server.port, context=context, timeout=60) for _ in range(2)]
    for peer in first:
        peer.send(RESETS)
    assert not any(peer.hung_up(1) for peer in first)
    more = [h2.Peer(server.port, context=context, timeout=60) for _ in range(4)]
    for peer in more:
        peer.send(RESETS)
    until = time.monotonic() + LATE_S
    while not any(peer.hung_up(0.05) for peer in more):  # of the others some may end only at their next word
        assert time.monotonic() < until
    assert h2.Peer(server.port, context=context, timeout=60).hung_up(LATE_S)  # the key is out
    assert admin.WhoAmI().principal
    for peer in first + more:
        peer.close()

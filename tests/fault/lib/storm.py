"""Thousands of simulated agents in one thread: each with an identity, a TLS connection and a Sync stream of its own, by the byte (h2.py). They dial as
agents do, with pauses that double and jitter, say Hello, and read what they are told."""
import os
import resource
import selectors
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import h2
import secure
import siege

SYNC = b"/sluice.v1.AgentService/Sync"
PAUSE_S, PAUSE_MAX_S = 0.5, 10
PATIENCE_S = 15  # for a handshake
MANIFEST = b"\x0a"  # field 1 of SyncResponse
THREADS = 8


class Enroller:
    """Makes identities at the door; they share a key, as what is measured is not how it is made."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        pem, self.request = secure.make_key(folder)
        self.key = serialization.load_pem_private_key(pem, None)

    def enroll(self, client, door, name):
        client.RegisterInstance(name=name, environment="production")
        token = client.InviteInstance(instance=name).secret
        vouched = b"sluice enroll v1\0" + token.split(".")[0].encode() + b"\0" + bytes(32)
        reply = door.Enroll(token=token, certificate_request=self.request, box_key=bytes(32), signature=self.key.sign(vouched, ec.ECDSA(hashes.SHA256())))
        path = os.path.join(self.folder, name + ".pem")
        with open(path, "w", encoding="ascii") as file:
            file.write(reply.certificate)
        return path

    def enroll_all(self, names):
        """{name: path of its certificate}."""
        client, door = self.server.client(), self.server.door()
        with ThreadPoolExecutor(THREADS) as pool:
            return dict(zip(names, pool.map(lambda name: self.enroll(client, door, name), names)))


class Agent:
    """Moves: IDLE -> CONNECTING -> SHAKING -> OPEN -> IDLE; greeted once a manifest came."""

    def __init__(self, storm, name, context, hello):
        self.storm, self.name, self.context, self.hello = storm, name, context, hello
        self.state, self.socket, self.data = "IDLE", None, b""
        self.greeted, self.heard, self.dials, self.failures = False, False, 0, 0
        self.at = 0.0          # when to dial, or when to give up
        self.greeted_at = self.ended_at = 0.0

    def dial(self, now):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", self.storm.port()))
        self.state, self.at, self.dials = "CONNECTING", now + PATIENCE_S, self.dials + 1
        self.storm.select.register(self.socket, selectors.EVENT_WRITE, self)

    def drop(self, now):
        try:
            self.storm.select.unregister(self.socket)
        except (KeyError, ValueError):
            pass
        self.socket.close()
        if self.greeted:
            self.greeted, self.ended_at, self.failures = False, now, 0
            self.storm.greeted -= self.name not in self.storm.unwanted
        self.failures += 1
        pause = min(PAUSE_S * 2 ** min(self.failures - 1, 10), PAUSE_MAX_S)
        self.state, self.at, self.data = "IDLE", now + pause * self.storm.random.uniform(0.8, 1.2), b""

    def wait_for(self, events):
        self.storm.select.modify(self.socket, events, self)

    def step(self, now):
        try:
            if self.state == "CONNECTING":
                error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "connect")
                self.storm.select.unregister(self.socket)
                self.socket = self.context.wrap_socket(self.socket, server_hostname="127.0.0.1", do_handshake_on_connect=False)
                self.storm.select.register(self.socket, selectors.EVENT_READ, self)
                self.state = "SHAKING"
            if self.state == "SHAKING":
                self.socket.do_handshake()
                # More than one record's worth is never said at once: it goes out whole.
                self.socket.send(h2.PREFACE + h2.frame(h2.SETTINGS) + h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.headers(SYNC)) + h2.frame(h2.DATA, 0, 1, self.hello))
                self.state = "OPEN"
                self.wait_for(selectors.EVENT_READ)
            while True:
                more = self.socket.recv(16384)
                if not more:
                    raise OSError("hung up")
                self.heard = True
                self.data += more
                self.read(now)
        except ssl.SSLWantReadError:
            self.wait_for(selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self.wait_for(selectors.EVENT_WRITE)
        except OSError:  # ssl.SSLError is one
            self.drop(now)

    def read(self, now):
        while len(self.data) >= 9 and len(self.data) >= 9 + int.from_bytes(self.data[:3], "big"):
            size, kind, flags = int.from_bytes(self.data[:3], "big"), self.data[3], self.data[4]
            payload, self.data = self.data[9:9 + size], self.data[9 + size:]
            if kind in (h2.SETTINGS, h2.PING) and not flags & 1:
                self.socket.send(h2.frame(kind, 1, 0, payload if kind == h2.PING else b""))
            if kind == h2.RST_STREAM or (kind == h2.HEADERS and flags & h2.END_STREAM):
                raise OSError("the stream has ended")
            if kind == h2.DATA and payload[5:6] == MANIFEST and not self.greeted:
                self.greeted, self.greeted_at = True, now
                self.storm.greeted += self.name not in self.storm.unwanted


class Storm:
    """All agents. `unwanted`: names of those that must not be let in; they keep trying like the others."""

    def __init__(self, server, random):
        self.server, self.random, self.select = server, random, selectors.DefaultSelector()
        self.agents, self.unwanted, self.greeted = {}, set(), 0
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def port(self):
        return self.server.port

    def add(self, certificates, key):
        from sluice.v1 import agent_pb2

        for name, path in certificates.items():
            message = agent_pb2.SyncRequest(hello=agent_pb2.AgentHello(instance=name, agent_version="storm", protocol=1)).SerializeToString()
            self.agents[name] = Agent(self, name, siege.context(self.server, path, key), b"\0" + len(message).to_bytes(4, "big") + message)

    @property
    def wanted(self):
        return len(self.agents) - len(self.unwanted)

    def run(self, until, most):
        """Until until() or for so many seconds; how long it took, None: it did not come."""
        began, look = time.monotonic(), 0.0
        while True:
            now = time.monotonic()
            if until():
                return now - began
            if now - began > most:
                return None
            if now >= look:  # twenty times a second: who is to dial, who to be given up
                look = now + 0.05
                for agent in self.agents.values():
                    if agent.state == "IDLE" and now >= agent.at:
                        agent.dial(now)
                    elif agent.state in ("CONNECTING", "SHAKING") and now >= agent.at:
                        agent.drop(now)
            for key, _ in self.select.select(0.05):
                key.data.step(now)

    def lose(self):
        """The server has just been killed: who was connected hears of it now."""
        now = time.monotonic()
        for agent in self.agents.values():
            if agent.state != "IDLE":
                agent.drop(now)

    def forget_heard(self):
        for agent in self.agents.values():
            agent.heard = False

    def end(self):
        for agent in self.agents.values():
            if agent.state != "IDLE":
                agent.socket.close()
        self.select.close()

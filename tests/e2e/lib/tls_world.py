"""A server with keys of its own, people with certificates of it, and certificates that are wrong in one way each."""
import os
import re
import signal
import socket
import ssl
import subprocess

import grpc

import harness

CERTS = os.path.join(harness.ROOT, "tests/lib/certs_tool")
LET_IN = os.path.join(harness.ROOT, "tests/lib/let_in")

# What an HTTP/2 client says first: preface, empty SETTINGS.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
SETTINGS = 4


class TlsServer(harness.Server):
    """`sluiced init`, then `sluiced serve` over TLS. log_in() before start()."""

    def __init__(self, world, flags=(), names=()):
        super().__init__(world.services, world.path("server"), flags)
        self.world = world
        argv = [harness.SLUICED, "init", "--data", self.folder]
        self.printed = subprocess.run(argv + [word for name in names for word in ("--name", name)], capture_output=True, text=True, check=True).stdout
        self.token = re.search(r"slc_\w+", self.printed).group(0)
        world.add(self)

    def key_file(self, name):
        return os.path.join(self.folder, "keys", name)

    @property
    def ca(self):
        return self.key_file("ca.pem")

    def log_in(self, name="admin", seconds=3600):
        """PATH.pem and PATH.key of the first admin; the server must not run."""
        path = self.world.path(name)
        person = Person(path, subprocess.run([LET_IN, self.folder, self.token, path, str(seconds)], capture_output=True, text=True, check=True).stdout.strip())
        return person

    def start(self):
        argv = [harness.SLUICED, "serve", "--data", self.folder, "--listen", f"127.0.0.1:{self.port}", "--metrics-listen", "127.0.0.1:0", "--door-listen", ""]
        self.program = harness.Program(self.prefix + argv + self.flags, env={"SLUICE_MAP_SIZE": "1G", "SLUICE_DISK_RESERVE": "1M"})
        found = self.program.wait_line(r"listening port=(\d+) metrics_port=(\d+)")
        self.port, self.metrics_port = int(found.group(1)), int(found.group(2))
        return self

    def client_of(self, person, options=()):
        client = harness.Client(self.services, self.port, options, person.credentials(self.ca))
        self._clients.append(client)
        return client


class Person:
    def __init__(self, path, uri):
        self.pem, self.key, self.uri = path + ".pem", path + ".key", uri

    def credentials(self, ca):
        return grpc.ssl_channel_credentials(*(open(name, "rb").read() for name in (ca, self.key, self.pem)))


class Forge:
    """Makes certificates with the CA's own key, so that each is wrong in what is said here and in nothing else."""

    def __init__(self, world, server):
        self.folder = world.path("forge")
        os.makedirs(self.folder)
        self.ca = (server.ca, server.key_file("ca.key"))
        self.key = self.key_new("client")

    def path(self, name):
        return os.path.join(self.folder, name)

    def _run(self, name, *argv):
        with open(self.path(name), "wb", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            subprocess.run([CERTS, *argv], stdout=out, check=True)
        return self.path(name)

    def key_new(self, name):
        return self._run(name + ".key", "key")

    def cert(self, name, *words, issuer=None, key=None):
        """issuer: (pem, key); ("-", "-"): itself."""
        return self._run(name + ".pem", "issue", key or self.key, *(issuer or self.ca), *words)


def context(ca, pem=None, key=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(ca)
    made.set_alpn_protocols(["h2"])
    if pem is not None:
        made.load_cert_chain(pem, key)
    return made


def first_bytes(port, made, timeout=60, session=None):
    """What the server sends in answer to the start of HTTP/2: b"" when it hangs up, in whatever way. And the session."""
    with socket.create_connection(("127.0.0.1", port), timeout) as bare:
        try:
            with made.wrap_socket(bare, server_hostname="127.0.0.1", session=session) as tls:
                tls.sendall(PREFACE)
                return tls.recv(9), tls.session, tls.session_reused
        except (ssl.SSLError, ConnectionError):
            return b"", None, False


def is_let_in(port, made):
    answer, _, _ = first_bytes(port, made)
    return len(answer) >= 4 and answer[3] == SETTINGS


def quiet_end(program):
    program.kill(signal.SIGTERM)
    return program.wait(60)

"""What faults by hostile peers share: how they connect, a caller that keeps time, the memory of a process, how soon somebody new is answered."""
import multiprocessing
import os
import re
import ssl
import time

import grpc
import harness
import secure

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../packaging/systemd/sluiced.service")
DOOR_CAP_KIB = 256 << 10  # what the door's child may map; server/door
BACK_S = 2                # so soon a server that was not killed answers somebody new
CALM_S = 1.5  # before each attack
APART = multiprocessing.get_context("spawn")


def memory_cap():
    """KiB that the unit gives the server."""
    with open(UNIT, encoding="utf-8") as file:
        number, unit = re.search(r"^MemoryMax=(\d+)([MG])$", file.read(), re.M).groups()
    return int(number) << {"M": 10, "G": 20}[unit]


def status(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field + ":"))


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Cost:
    """What a process pays from here on: peak and growth of its memory in KiB, seconds of CPU. Nothing: it has ended."""

    def __init__(self, pid):
        self.pid = pid
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the peak begins anew
        self.before, self.cpu = status(pid, "VmRSS"), cpu_s(pid)

    def read(self):
        try:
            peak = status(self.pid, "VmHWM")
            return peak, peak - self.before, cpu_s(self.pid) - self.cpu
        except (OSError, StopIteration):
            return 0, 0, 0


def pace(pipe, port, credentials):
    """What the process of Paced does: calls, and between two calls answers "lap", until it is told to end."""
    target = f"127.0.0.1:{port}"
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(*credentials)) if credentials else grpc.insecure_channel(target)
    call, took, asked = channel.unary_unary("/sluice.v1.EnvironmentService/ListEnvironments"), [], "lap"
    while asked != "end":
        began = time.monotonic()
        try:
            call(b"", timeout=60, wait_for_ready=True)
        except grpc.RpcError:
            pass  # the server that it called was killed: as long as it took
        seconds = time.monotonic() - began
        took.append(seconds * 1000)
        asked = pipe.recv() if pipe.poll(max(0, 0.01 - seconds)) else ""
        if asked == "lap":
            pipe.send(took)
            took = []


def p99(took):
    return sorted(took)[len(took) * 99 // 100]


class Paced:
    """Somebody else, who calls a hundred times a second over a connection of its own, in a process of its own: what keeps this one busy is not counted."""

    def __init__(self, server):
        self._pipe, there = APART.Pipe()
        credentials = (server.ca, *server.admin) if isinstance(server, secure.SecureServer) else None
        self._process = APART.Process(target=pace, args=(there, server.reach, credentials), daemon=True)
        self._process.start()
        self.lap()

    def lap(self):
        """How long each call took, in ms, since the last lap, with the one that is being waited for."""
        self._pipe.send("lap")
        return self._pipe.recv()

    def stop(self):
        self._pipe.send("end")
        self._process.join(60)


def context_of(ca, certificate=None, key=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=ca.decode())
    made.set_alpn_protocols(["h2"])
    if certificate is not None:
        made.load_cert_chain(certificate, key)
    return made


def context(server, certificate=None, key=None):
    """For h2.Peer. Without a certificate: a stranger's."""
    return context_of(server.ca, certificate, key)


def attacker_files(server, name="mallory"):
    """Somebody who may look and nothing else: certificate and key of a peer that was let in."""
    admin, folder = server.client(), f"{server.folder}-{name}"
    admin.CreatePrincipal(name=name, kind="PRINCIPAL_KIND_BOT", grants=[{"role": "viewer"}])
    _, request = secure.make_key(folder)
    reply = server.door().Login(token=admin.CreateAccessToken(principal=name).secret, certificate_request=request)
    path = os.path.join(folder, "cert.pem")
    with open(path, "w", encoding="ascii") as file:
        file.write(reply.certificate)
    return path, os.path.join(folder, "key.pem")


def attacker(server):
    return context(server, *attacker_files(server))


def answers_new(server):
    """Seconds until somebody who was not there before has an answer; None: not in 30 s."""
    began = time.monotonic()
    client = server.connect()
    try:
        client.ListEnvironments(timeout=30)
        return time.monotonic() - began
    except harness.Refused:
        return None
    finally:
        client.close()


def lets_in(server, request):
    """The same of the door, for somebody with a token."""
    began = time.monotonic()
    client = server.door()
    while time.monotonic() - began < 30:
        try:
            client.Login(timeout=30, token=server.token, certificate_request=request)
            return time.monotonic() - began
        except harness.Refused as refused:
            if refused.code.name != "UNAVAILABLE":
                raise  # its child has just ended: the next one answers
    return None


class Siege:
    """A server under attack, with what its verdict needs."""

    def __init__(self, run, server):
        self.run, self.server, self.tls = run, server, isinstance(server, secure.SecureServer)
        self.paced = Paced(server)
        self.request = secure.make_key(server.folder + "-again")[1] if self.tls else None
        self.calm, self.fared = [], []

    @property
    def name(self):
        return "over TLS" if self.tls else "in the clear"

    def attack(self, what, act, door=False):
        """act() until it returns; what it cost, how others fared, and that somebody new is answered."""
        pid = self.server.door_child() if door else self.server.program.process.pid
        self.paced.lap()
        time.sleep(CALM_S)
        self.calm += self.paced.lap()
        cost = Cost(pid)
        began = time.monotonic()
        told = act()
        took = time.monotonic() - began
        back = lets_in(self.server, self.request) if door else answers_new(self.server)
        peak, grown, cpu = cost.read()
        took_others = self.paced.lap()
        cap = DOOR_CAP_KIB if door else memory_cap()
        where = f"{what} at the {'door' if door else 'main port'} {self.name}"
        self.fared.append((p99(took_others), where))
        self.run.note(f"{where}: {told or 'done'} in {took:.1f} s; peak {peak >> 10} MiB (+{grown >> 10}) of {cap >> 10}, {cpu:.1f} s of CPU; "
                      f"others' p99 {p99(took_others):.1f} ms, longest {max(took_others):.0f}; somebody new after {'never' if back is None else f'{back:.2f} s'}")
        died = door and not os.path.exists(f"/proc/{pid}")
        require = self.run.report.require
        require(peak <= cap, "peers", f"{where}: {peak} KiB of {cap}")
        require(back is not None and back < BACK_S, "peers", f"{where}: somebody new was answered after {back} s")
        require(died or self.server.program.running, "peers", f"{where}: the server has ended")
        self.run.count("attacks")
        if died:
            self.run.count("times that the door's child had to be started again")

    def end(self):
        """Between attacks there was peace, as long as there were attacks."""
        self.paced.stop()
        if self.calm:
            peace, (worst, where) = p99(self.calm), max(self.fared)
            self.run.note(f"{self.name}: p99 of others in peace {peace:.1f} ms, longest {max(self.calm):.0f}; under attack at most {worst / peace:.1f} times that, by {where}")

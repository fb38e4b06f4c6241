"""A run of one fault: its seed, what it starts, its recording clients and watchers, the verdict at the end."""
import os
import random
import subprocess
import threading
import time

import grpc

import clients
import guard
import harness
import oracles
import report
import secure
import validators

CLIENTS = 8
KEPT = 0.9  # of a share, for rounds; the rest is for what comes after them


class Followed:
    """What makes a server one that clients follow over restarts. `reach` is where they find it: its own port, or that of a proxy before it."""

    generation, proxied = 0, None
    # The eight clients are one principal, and come back all at once.
    defaults = {**harness.Server.defaults, "SLUICE_ACCEPTS_PER_SECOND": "0", "SLUICE_CALLS_PER_SECOND": "0"}

    @property
    def reach(self):
        return self.proxied or self.port

    def start(self):
        super().start()
        self.generation += 1
        return self

    def kill(self):
        if self.prefix:  # what it runs under, and itself
            self.end_program()
        else:
            super().kill()

    def end_program(self):
        guard.kill_group(self.program.process.pid)
        self.program.wait()
        self.program.end()

    def exited(self, timeout):
        """Its exit code when it ends by itself within that time; None: it runs on."""
        try:
            return self.program.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def connect(self):
        """A client of the caller's own, over a connection of its own."""
        return harness.Client(self.services, self.reach)


class FaultServer(Followed, harness.Server):
    """In the clear."""


class SecureServer(Followed, secure.SecureServer):
    """With TLS and a door. What clients of the harness show is the first administrator's certificate."""

    admin = None  # key, certificate

    def start(self):
        super().start()
        if self.admin is None:
            key, request = secure.make_key(self.folder + "-admin")
            self.admin = key, self.door().Login(token=self.token, certificate_request=request).certificate.encode()
        return self

    def connect(self):
        return secure.TlsClient(self.services, self.reach, self.ca, *self.admin)

    def client(self, options=()):
        client = self.connect()
        self._clients.append(client)
        return client


class Observer(threading.Thread):
    """Looks without pause at what agents serve, and remembers each different sight. `stamps` judges the config beside."""

    def __init__(self, agents, slug, stamps=None):
        super().__init__(daemon=True)
        self.agents, self.slug, self.stamps, self.seen, self.looks = agents, slug, stamps, [], 0
        self.stopping = threading.Event()

    def stop(self):
        self.stopping.set()

    def look(self):
        for agent in self.agents:
            if self.stamps:
                self.stamps.look(agent, self.slug)
            target = link(agent.current(self.slug))
            files = agent.serves(self.slug)
            if link(agent.current(self.slug)) != target:
                continue  # it was flipped while we read
            self.looks += 1
            if not self.seen or (agent.instance, files) not in [(a, f) for a, f, _ in self.seen]:
                self.seen.append((agent.instance, files, time.monotonic()))

    def run(self):
        while not self.stopping.is_set():
            try:
                self.look()
            except OSError:
                pass  # removed while we read: an older version
            self.stopping.wait(0.02)


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


class Run:
    """What a fault is given. `rounds` is what was asked for; `share`: the seconds that it has for them and all else, None: as many as it needs;
    `random` repeats with the seed."""

    def __init__(self, services, name, rounds, seed, share=None):
        self.services, self.name, self.rounds, self.seed, self.share = services, name, rounds, seed, share
        self.random = random.Random(f"{seed}/{name}")
        self.world = harness.World(services)
        self.report = report.Report(name, rounds, seed)
        self.recorders, self.watchers, self.observers, self.ports = [], [], [], []
        self.first = 0

    def note(self, text):
        self.report.note(text)

    def count(self, what, number=1):
        self.report.count(what, number)

    def turns(self, part=1.0, least=1, step=1):
        """The numbers of the rounds, each `step`th: all that were asked for, but no more, with `least` done, than fit into the first `part` of the
        share; some of it is kept for the oracles. The longest so far says whether one more fits."""
        until = None if self.share is None else self.report.started + part * KEPT * self.share
        longest = 0
        for number in range(0, self.rounds, step):
            began = time.monotonic()
            if number >= least and until is not None and began + longest > until:
                return self.report.did(number)
            yield number
            longest = max(longest, time.monotonic() - began)
        return self.report.did(self.rounds)

    # --- starting -----------------------------------------------------------------

    def server(self, flags=(), folder=None, env=None, prefix=(), start=True, tls=False):
        """Over TLS, with certificates and a door, or in the clear."""
        made = (SecureServer if tls else FaultServer)(self.services, folder or self.world.path("server"), flags, env)
        made.prefix = list(prefix)
        self.world.add(made)
        return made.start() if start else made

    def agent(self, server, instance, flags=(), port=None, prefix=(), env=None):
        made = harness.Agent(Port(port) if port else server, self.world.path(f"agent-{instance}"), instance, flags)
        made.prefix, made.env = list(prefix), env
        return self.world.add(made).start()

    def apps(self, server, count=1, scheme="file", publish=2, files=None):
        """A repository with the same folder for each app, and the apps c0, c1, ... with READY content."""
        repository = self.world.repository()
        host = self.world.git_host(scheme)
        files = files or {"index.html": "one\n"}
        repository.commit({f"apps/c{i}/{path}": text for i in range(count) for path, text in files.items()})
        client = server.client()
        client.CreateRepository(name="apps", url=host.url(repository), publish=publish)
        for i in range(count):
            client.CreateApp(name=f"c{i}", repository="apps")
        for i in range(count):
            harness.wait_content(client, f"c{i}", "v1")
        return repository, host

    def load(self, server, apps=0, watchers=2, count=CLIENTS):
        """Eight recording clients; one plain watcher that keeps all, and others, restless and filtered."""
        client = server.client()
        self.first = client.GetStats().revision
        client.RegisterInstance(name="shared", environment="development", labels={"n": "0"})
        self.watch(server, "w-all", keep=True)
        if watchers > 1:
            self.watch(server, "w-restless", restless=0.02)
        for i in range(watchers - 2):
            only = [clients.kind_filter(9), clients.environment_filter("staging", 2), clients.kind_filter(4)][i % 3]
            self.watch(server, f"w-{i}", only=only, restless=0.01)
        for i in range(count):
            recorder = clients.Recorder(server, f"r{i}", self.seed, app=f"c{i % apps}" if apps else "")
            recorder.start()
            self.recorders.append(recorder)

    def kept(self):
        """The log as watchers kept it: for when a compaction took the beginning from the store."""
        head = self.watchers[0].server.client().GetStats().revision
        harness.until(lambda: all(w.reached(head) for w in self.watchers if w.kept is not None), 60, "the keeping watchers")
        return {r: change for w in self.watchers if w.kept is not None for r, change in w.kept.items()}

    def watch(self, server, name, after=None, **fields):
        watcher = clients.Watcher(server, name, self.seed, self.first if after is None else after, **fields)
        watcher.start()
        self.watchers.append(watcher)
        return watcher

    def observe(self, agents, slug, stamps=None):
        observer = Observer(agents, slug, stamps)
        observer.start()
        self.observers.append(observer)
        return observer

    # --- ending --------------------------------------------------------------------

    def acknowledged(self):
        return sum(len(r.acknowledged) for r in self.recorders)

    def wait_progress(self, more=20, timeout=30):
        """Until that many more writes are acknowledged."""
        goal = self.acknowledged() + more
        harness.until(lambda: self.acknowledged() >= goal, timeout, f"{more} more acknowledged writes")

    def stop_load(self):
        for recorder in self.recorders:
            recorder.stop()
        for recorder in self.recorders:
            recorder.join(60)
            assert not recorder.is_alive(), f"{recorder.name} hangs"

    def stop_watchers(self, head, timeout=40):
        """After they have seen everything."""
        try:
            harness.until(lambda: all(w.reached(head) for w in self.watchers), timeout, "watchers at the head")
        except AssertionError:
            slow = {w.name: w.bookmark for w in self.watchers if not w.reached(head)}
            self.report.found("R3", f"watchers did not reach {head} within {timeout} s: {slow}")
        for watcher in self.watchers:
            watcher.stop()
        for watcher in self.watchers:
            watcher.join(20)

    def evidence(self, server, log=None):
        """Everything that the run left behind; the server must run. Ends clients and watchers."""
        self.stop_load()
        client = server.client()
        stats = client.GetStats()
        self.stop_watchers(stats.revision)
        if log is None:
            floor = max(self.first, stats.floor)
            log = self._read_log(client, floor, stats.revision)
            found = oracles.Evidence(log, self.first, stats.floor)
        else:
            found = oracles.Evidence(log, self.first, 0)
        found.add_recorders(self.recorders)
        found.watchers = self.watchers
        found.found += [violation for watcher in self.watchers for violation in watcher.violations]
        found.instances = {i.id: i for i in everything(client, "ListInstances", "instances") if i.revision > self.first}
        for observer in self.observers:
            observer.stop()
            observer.join(10)
            found.served += observer.seen
        self._count(found)
        return found

    def _read_log(self, client, floor, head):
        try:
            return clients.read_log(client, floor, head)
        except (grpc.RpcError, AssertionError) as error:
            self.report.found("R3", f"the log cannot be read: {error}")
            return {r: change for w in self.watchers if w.kept is not None for r, change in w.kept.items()}

    def _count(self, found):
        counts = {
            "acknowledged writes": len(found.acknowledged),
            "refused writes": len(found.refused),
            "attempts": sum(r.attempts for r in self.recorders),
            "retries of acknowledged writes": sum(r.replays for r in self.recorders),
            "writes held off for want of room": sum(r.held_off for r in self.recorders),
            "writes with open outcome": sum(len(r.open) for r in self.recorders),
            "reads": len(found.reads),
            "log records": len(found.log),
            "watch streams": sum(1 for w in self.watchers for s in w.trace if isinstance(s, validators.Opened)),
            "watched changes": sum(len(s.changes) for w in self.watchers for s in w.trace if isinstance(s, validators.Message)),
            "looks at instances": sum(o.looks for o in self.observers),
        }
        for what, number in counts.items():
            if number:
                self.count(what, number)

    def judge(self, evidence):
        self.report.judge(oracles.judge(evidence))

    def finish(self, server, evidence=None):
        """The usual end: evidence, oracles, a clean stop, a sound store."""
        evidence = evidence or self.evidence(server)
        self.judge(evidence)
        code = server.stop()
        if code != 0:
            self.report.found("R6", f"SIGTERM: exit code {code}")
        self.verify(server)
        self.recorders, self.watchers, self.observers = [], [], []  # a run may have a second server

    def verify(self, server):
        try:
            server.verify()
            self.count("stores verified")
        except AssertionError as error:
            self.report.found("R1", f"sluiced verify: {error}")

    def end(self):
        for thread in self.recorders + self.watchers + self.observers:
            thread.stop()
        for thread in self.recorders + self.watchers + self.observers:
            thread.join(10)
        self.world.end()


class Port:
    """Stands for a server that is reached over another port."""

    def __init__(self, port):
        self.port = port


def everything(client, method, field, **fields):
    """All pages of a list."""
    found, token = [], ""
    while True:
        answer = getattr(client, method)(page={"page_size": 1000, "page_token": token}, **fields)
        found += list(getattr(answer, field))
        token = answer.page.next_page_token
        if not token:
            return found

"""The agent alone against a server of this test's own: what it does when things go wrong on the instance."""
import hashlib
import os
import queue
import random
import shutil
import signal
import threading
import time
from concurrent import futures

import grpc
import pytest
import harness

INSTANCE = "ins_" + "a" * 20
REPOSITORY = "rep_" + "b" * 20
APP = "app_" + "c" * 20


def version_id(letter):
    return "ver_" + letter * 20


class FakeServer:
    """AgentService.Sync: says its pace, sends the manifest that the test wants, keeps what the agent says."""

    def __init__(self, port=None):
        from sluice.v1 import agent_pb2, fleet_pb2

        self.pb, self.phases = agent_pb2, fleet_pb2
        self.hellos, self.reports, self.outs = [], [], []
        self.sequence, self.manifest = 100, None
        self.lock = threading.Condition()
        handler = grpc.stream_stream_rpc_method_handler(
            self.sync, agent_pb2.SyncRequest.FromString, lambda message: message.SerializeToString()
        )
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        service = grpc.method_handlers_generic_handler("sluice.v1.AgentService", {"Sync": handler})
        self.server.add_generic_rpc_handlers((service,))
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port or harness.free_port()}")
        self.server.start()

    def _hear(self, requests, out):
        try:
            for request in requests:
                with self.lock:
                    if request.WhichOneof("message") == "hello":
                        self.hellos.append(request.hello)
                        out.put("hello")
                    elif request.WhichOneof("message") == "report":
                        self.reports.append(request.report)
                    self.lock.notify_all()
        except grpc.RpcError:
            pass
        out.put(None)

    def sync(self, requests, _context):
        out = queue.Queue()
        threading.Thread(target=self._hear, args=(requests, out), daemon=True).start()
        while True:
            item = out.get()
            if item is None:
                return
            if item != "hello":
                yield item
                continue
            pace = self.pb.SyncResponse()
            pace.pace.heartbeat_ms, pace.pace.backoff_min_ms, pace.pace.backoff_max_ms = 500, 100, 500
            pace.pace.instance_id, pace.pace.protocol = INSTANCE, 1
            pace.pace.server_time.GetCurrentTime()
            yield pace
            with self.lock:
                self.outs.append(out)
                if self.manifest is not None:
                    out.put(self._wrap())

    def _wrap(self):
        response = self.pb.SyncResponse()
        response.manifest.body = self.manifest.SerializeToString()
        return response

    def want(self, activate, keep, retries=0, removed=(), paused=False, lives=3600, absent=False):
        """A new manifest: the version's letter or None, and the bundles."""
        with self.lock:
            self.sequence += 1
            manifest = self.pb.Manifest(
                instance_id=INSTANCE, instance="prod-1", environment="production", sequence=self.sequence, paused=paused
            )
            manifest.expires_at.FromSeconds(int(time.time()) + lives)
            manifest.removed.extend(removed)
            if not removed and not absent:
                app = manifest.apps.add(app_id=APP, slug="shop", name="shop", retries=retries)
                app.activate = version_id(activate) if activate else ""
                app.take_down = not activate
                app.keep.extend(keep)
            self.manifest, self.reports = manifest, []
            for out in self.outs:
                out.put(self._wrap())

    def until(self, phase, letter, timeout=60):
        """The report that says so."""
        wanted = self.phases.Phase.Value("PHASE_" + phase)

        def found():
            return next((r for r in self.reports if (r.phase, r.version_id) == (wanted, version_id(letter))), None)

        with self.lock:
            assert self.lock.wait_for(found, timeout), (phase, letter, self.reports[-3:])
            return found()

    def end(self):
        for out in self.outs:
            out.put(None)
        self.server.stop(0).wait(5)


class Instance:
    """An agent on a folder; its hook keeps a diary, its probe asks for what the test allows."""

    def __init__(self, world, fake, flags=()):
        self.world, self.fake, self.flags = world, fake, list(flags)
        self.state, self.hooks, self.allowed = world.path("instance"), world.path("hooks"), world.path("allowed")
        self.hook = world.path("hook")
        with open(self.hook, "w") as out:
            out.write(f'#!/bin/sh\necho "$2 $SLUICE_REASON" >> {self.hooks}\n')
        os.chmod(self.hook, 0o755)
        self.allow(".")

    def allow(self, pattern):
        with open(self.allowed + ".new", "w") as out:
            out.write(pattern)
        os.rename(self.allowed + ".new", self.allowed)

    def start(self):
        probe = f"cmd:grep -q \"$(cat {self.allowed})\" {self.state}/apps/{{slug}}/current/index.html"
        argv = [harness.AGENT, "--server", f"127.0.0.1:{self.fake.port}", "--instance", "prod-1", "--state", self.state]
        argv += ["--hook", self.hook, "--probe", probe, "--probe-deadline", "8s", "--probe-every", "200ms"]
        self.program = self.world.add(harness.Program(argv + self.flags))
        return self

    def serves(self):
        try:
            with open(os.path.join(self.state, "apps/shop/current/index.html")) as page:
                return page.read()
        except FileNotFoundError:
            assert not os.path.lexists(os.path.join(self.state, "apps/shop/current"))
            return None

    def diary(self):
        with open(self.hooks) as lines:
            return lines.read().split("\n")[:-1]


class Bundles:
    """A repository and the bundles of its states, as a server would name them."""

    def __init__(self, world, fake):
        self.fake = fake
        self.folder = world.path("git/repository")
        os.makedirs(self.folder)
        self._git("init", "-q")
        self._git("config", "user.name", "n")
        self._git("config", "user.email", "n@localhost")

    def _git(self, *argv):
        return harness.git("-C", self.folder, *argv).strip()

    def make(self, letter, text):
        with open(os.path.join(self.folder, "index.html"), "w") as page:
            page.write(text)
        self._git("add", "-A")
        tree = self._git("write-tree")
        commit = self._git("commit-tree", "-m", letter, tree)
        self._git("update-ref", "refs/tags/sluice/" + letter, commit)
        data = text.encode()
        line = f"100644 {len(data)} {hashlib.blake2b(data, digest_size=32).hexdigest()} index.html".encode() + b"\0"
        return self.fake.pb.Bundle(
            version_id=version_id(letter), version="v" + letter, repository_id=REPOSITORY, url="file://" + self.folder,
            ref="refs/tags/sluice/" + letter, commit=commit, tree=tree,
            digest=hashlib.blake2b(line, digest_size=32).digest(), files=1, bytes=len(data),
        )


@pytest.fixture
def fake(world):
    return world.add(FakeServer())


@pytest.fixture
def bundles(world, fake):
    return Bundles(world, fake)


@pytest.fixture
def instance(world, fake):
    return Instance(world, fake).start()


def test_a_failed_probe_puts_the_previous_version_back(fake, bundles, instance):
    one, two = bundles.make("d", "one"), bundles.make("e", "two")
    instance.allow("one")
    fake.want("d", [one])
    fake.until("HEALTHY", "d")
    fake.want("e", [one, two])
    report = fake.until("ROLLED_BACK", "e")
    assert report.active_version_id == version_id("d") and "probe said no" in report.error and report.error_class == 2
    assert instance.serves() == "one"
    time.sleep(1)  # it is not tried again meanwhile
    assert instance.diary() == ["vd activate", "ve activate", "vd rollback"]  # not tried again by itself
    instance.allow("one\\|two")
    fake.want("e", [one, two], retries=1)
    assert fake.until("HEALTHY", "e").attempt == 2
    assert instance.serves() == "two"


def test_a_failed_or_hanging_hook_puts_the_previous_version_back(world, fake, bundles):
    instance = Instance(world, fake, ["--hook-timeout", "8s"])
    with open(instance.hook, "a") as out:
        out.write('case "$2" in ve) exit 7;; vf) sleep 60;; esac\n')
    instance.start()
    one, two, three = bundles.make("d", "one"), bundles.make("e", "two"), bundles.make("f", "three")
    fake.want("d", [one])
    fake.until("HEALTHY", "d")
    fake.want("e", [one, two])
    assert fake.until("ROLLED_BACK", "e").error.endswith("exit status 7")
    fake.want("f", [one, three])
    assert fake.until("ROLLED_BACK", "f").error.endswith("killed after 8000 ms")
    harness.until(lambda: instance.diary()[-1] == "vd rollback", 60, "the hook on the way back")
    assert instance.serves() == "one"
    fake.want("d", [one])  # what is served already needs no flip
    fake.until("HEALTHY", "d")
    assert len(instance.diary()) == 5


def test_a_disk_under_its_reserve_takes_no_bundle(world, fake, bundles):
    instance = Instance(world, fake, ["--disk-reserve", "8000000T"]).start()
    fake.want("d", [bundles.make("d", "one")])
    harness.until(lambda: any(r.error.startswith("disk full") and r.error_class == 1 for r in fake.reports), 60, "disk full")
    assert instance.serves() is None
    shown = harness.subprocess.run([harness.AGENT, "check", "--state", instance.state, "--disk-reserve", "8000000T"],
                                   capture_output=True, text=True)
    assert shown.returncode == 3 and "FAIL  disk" in shown.stdout


def test_a_kernel_without_landlock_is_named(world, monkeypatch):
    """strace takes it away. LeakSanitizer ends who is traced at its exit, before what it has printed is out."""
    monkeypatch.setenv("ASAN_OPTIONS", f"{os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0")
    without = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=landlock_create_ruleset", "-e", "inject=landlock_create_ruleset:error=ENOSYS"]
    server = world.add(harness.Server(world.services, world.path("server")))
    server.prefix = without
    server.start()
    client = server.client()
    client.RegisterInstance(name="dev-1", environment="development")
    server.program.wait_line("git-worker-confined-less .*no Landlock")
    agent = world.add(harness.Agent(server, world.path("agent"), "dev-1"))
    agent.prefix = without
    agent.start()
    agent.program.wait_line("git-worker-confined-less .*no Landlock")
    check = without + [harness.AGENT, "check", "--state", agent.folder]
    harness.until(lambda: "warn  confined Git workers: the kernel has no Landlock" in
                  harness.subprocess.run(check, capture_output=True, text=True).stdout, 60, "what check says")


def test_limits_of_bundles_are_flags(world, fake, bundles):
    Instance(world, fake, ["--max-bytes", "2"]).start()
    fake.want("d", [bundles.make("d", "one")])
    report = fake.until("FAILED", "d")
    assert report.error.startswith("BUNDLE_TOO_BIG") and report.error_class == 2


def test_an_app_that_stops_answering_is_degraded_and_stays(fake, bundles, instance):
    one = bundles.make("d", "one")
    fake.want("d", [one])
    fake.until("HEALTHY", "d")
    instance.allow("nothing")
    assert fake.until("DEGRADED", "d").error != ""
    assert instance.serves() == "one"
    fake.reports.clear()
    instance.allow("one")
    fake.until("HEALTHY", "d")


def test_pause_stages_and_resume_flips_without_git(fake, bundles, instance):
    one, two = bundles.make("d", "one"), bundles.make("e", "two")
    fake.want("d", [one])
    fake.until("HEALTHY", "d")
    fake.want("e", [one, two], paused=True)
    fake.until("STAGED", "e")
    time.sleep(0.3)  # nothing is flipped meanwhile
    assert instance.serves() == "one"
    os.rename(bundles.folder, bundles.folder + ".away")
    fake.want("e", [one, two])
    fake.until("HEALTHY", "e")
    assert instance.serves() == "two"


def test_another_digest_is_refused_and_an_expired_manifest_too(fake, bundles, instance):
    one, two = bundles.make("d", "one"), bundles.make("e", "two")
    fake.want("d", [one])
    fake.until("HEALTHY", "d")
    two.digest = bytes(32)
    fake.want("e", [one, two])
    report = fake.until("FAILED", "e")
    assert report.error.startswith("DIGEST_MISMATCH") and report.error_class == 2
    fake.want("e", [one, bundles.make("e", "two")], lives=-1)
    time.sleep(0.5)  # nothing is said meanwhile
    assert instance.serves() == "one" and not fake.reports


def test_git_away_is_tried_again_and_a_broken_mirror_made_anew(fake, bundles, instance):
    one = bundles.make("d", "one")
    os.rename(bundles.folder, bundles.folder + ".away")
    fake.want("d", [one])
    report = fake.until("PENDING", "d")
    harness.until(lambda: any(r.error_class == 1 for r in fake.reports), 60, "a transient error")
    assert report.active_version_id == ""
    os.rename(bundles.folder + ".away", bundles.folder)
    fake.until("HEALTHY", "d")
    shutil.rmtree(f"{instance.state}/mirrors/{REPOSITORY}.git/objects")
    fake.want("e", [one, bundles.make("e", "two")])
    fake.until("HEALTHY", "e")


def test_withdrawn_absent_removed(fake, bundles, instance):
    one = bundles.make("d", "one")
    fake.want("d", [one])
    fake.until("HEALTHY", "d")
    fake.want(None, [], absent=True)  # named nowhere: goes on
    time.sleep(0.3)  # nothing is taken down meanwhile
    assert instance.serves() == "one"
    fake.want(None, [one])
    harness.until(lambda: instance.serves() is None, 60, "taken down")
    assert os.listdir(f"{instance.state}/apps/shop") == ["versions"]
    fake.want(None, [], removed=[APP])
    harness.until(lambda: os.listdir(f"{instance.state}/apps") == [], 60, "forgotten")
    harness.until(lambda: fake.reports and not fake.reports[-1].staged_version_ids, 60, "told")


def test_it_serves_and_probes_with_everything_away(world, fake, bundles, instance):
    one = bundles.make("d", "one")
    fake.want("d", [one])
    fake.until("HEALTHY", "d")
    instance.program.end()
    fake.end()
    shutil.rmtree(bundles.folder)
    instance.start()
    instance.allow("nothing")

    def degraded():
        shown = harness.subprocess.run(
            [harness.AGENT, "status", "--state", instance.state, "-o", "json"], capture_output=True, text=True, check=True
        )
        return '"phase": "DEGRADED"' in shown.stdout and '"running": true' in shown.stdout

    harness.until(degraded, 60, "probed while cut off")
    assert instance.serves() == "one"
    again = world.add(FakeServer(fake.port))
    with again.lock:
        assert again.lock.wait_for(lambda: again.hellos, 60)
    inventory = again.hellos[0].inventory[0]
    assert inventory.active_version_id == version_id("d") and inventory.app_id == APP
    assert again.hellos[0].instance_id == INSTANCE and again.hellos[0].sequence == fake.sequence


def test_a_removed_instance_serves_on_and_dials_no_more(fake, bundles, instance):
    fake.want("d", [bundles.make("d", "one")])
    fake.until("HEALTHY", "d")
    command = fake.pb.SyncResponse()
    command.command.kind = fake.pb.AGENT_COMMAND_KIND_REMOVED
    fake.outs[-1].put(command)
    time.sleep(1.5)  # nobody dials meanwhile
    assert len(fake.hellos) == 1 and instance.serves() == "one"
    instance.program.end()
    instance.start()
    time.sleep(1)  # nobody dials meanwhile
    assert len(fake.hellos) == 1 and instance.serves() == "one"


def test_kill_at_any_moment_leaves_a_whole_version(fake, bundles, instance):
    pages = {letter: f"page {letter}\n" * 1000 for letter in "defg"}
    every = [bundles.make(letter, page) for letter, page in pages.items()]
    fake.want("d", every)
    fake.until("HEALTHY", "d")
    for _ in range(25):
        fake.want(random.choice("defg"), every)
        time.sleep(random.random() * 0.04)  # any moment
        instance.program.kill()
        assert instance.serves() in pages.values()
        instance.start()
        time.sleep(random.random() * 0.1)  # any moment
    fake.want("d", every)
    fake.until("HEALTHY", "d")
    assert instance.serves() == pages["d"]
    assert instance.diary()[-1].startswith("vd ")
    harness.until(lambda: os.listdir(f"{instance.state}/staging") == [], 60, "an empty staging folder")  # the rest is still fetched


def test_sigterm_ends_it_at_once(fake, bundles, instance):
    fake.want("d", [bundles.make("d", "one")])
    fake.until("HEALTHY", "d")
    start = time.monotonic()
    instance.program.kill(signal.SIGTERM)
    assert instance.program.wait(60) == 0 and time.monotonic() - start < 30
    assert instance.serves() == "one"

"""SIGTERM under load: health first, streams end, queued writes are answered, exit 0 within 5 s, nothing acknowledged is lost."""
import signal
import threading
import time
from urllib.error import URLError
from urllib.request import urlopen

import grpc
import harness


class Writers:
    """Clients that register instances as fast as they can and remember what was acknowledged."""

    def __init__(self, server, count, prefix):
        self.server, self.prefix = server, prefix
        self.acknowledged, self.lock, self.stopping = [], threading.Lock(), False
        self.outcomes = set()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        client = self.server.client()
        i = 0
        while not self.stopping:
            name = f"{self.prefix}-{number}-{i}"
            try:
                client.RegisterInstance(name=name, environment="production", wait_for_ready=False)
                with self.lock:
                    self.acknowledged.append(name)
            except harness.Refused as refused:
                self.outcomes.add(refused.code)
                time.sleep(0.05)  # between two tries
            i += 1

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def names_of(client):
    names, token = set(), ""
    while True:
        answer = client.ListInstances(page={"page_size": 1000, "page_token": token})
        names.update(instance.name for instance in answer.instances)
        token = answer.page.next_page_token
        if not token:
            return names


def test_sigterm_under_load(world):
    server = world.server()
    for round_number in range(5):
        writers = Writers(server, 8, f"r{round_number}")
        stream = server.client().watch(from_revision=0)
        next(iter(stream))
        harness.until(lambda: len(writers.acknowledged) >= 100, what="load")
        begin = time.monotonic()
        server.program.kill(signal.SIGTERM)
        assert server.program.wait(60) == 0
        assert time.monotonic() - begin < 30
        server.program.end()
        writers.stop()
        assert writers.outcomes <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, writers.outcomes
        assert writers.acknowledged
        server.verify()
        server.start()
        missing = set(writers.acknowledged) - names_of(server.client())
        assert not missing


def test_a_second_server_on_the_folder_or_port_is_refused(world):
    server = world.server()
    for folder, text in ((server.folder, "another process|in use|held"), (world.path("other"), "port|address|listen")):
        second = world.add(harness.Program([harness.SLUICED, "serve", "--insecure", "--data", folder, "--listen", f"127.0.0.1:{server.port}",
                                           "--metrics-listen", "", "--map-size", "64M"]))
        assert second.wait(60) != 0
        second.wait_line(f"start-failed.*({text})")
    assert server.client().GetStats().revision > 0


def test_insecure_runs_on_loopback_only(world):
    for flags in (["--insecure", "--listen", "0.0.0.0:0"], ["--insecure", "--metrics-listen", "0.0.0.0:0"], ["--insecure", "--nonsense"]):
        program = world.add(harness.Program([harness.SLUICED, "serve", "--data", world.path("d")] + flags))
        assert program.wait(60) == 64, flags


def metrics(server):
    return urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=60).read().decode()


def test_metrics_health_and_readiness(world):
    server = world.server()
    client = server.client()
    client.RegisterInstance(name="one", environment="staging")
    base = f"http://127.0.0.1:{server.metrics_port}"
    assert urlopen(base + "/healthz").status == 200
    assert urlopen(base + "/readyz").status == 200
    wanted = ('sluice_rpc_calls_total{method="/sluice.v1.FleetService/RegisterInstance",code="OK"} 1',
              'sluice_agents{environment="staging",liveness="never"} 1', "sluice_store_commits_total", "sluice_store_batch_commands_bucket",
              "sluice_watch_streams 0", "sluice_rpc_seconds_bucket")

    def missing():
        text = metrics(server)
        return [line for line in wanted if line not in text]

    harness.until(lambda: not missing(), 60, "metrics")  # a call is counted after its reply
    assert server.stop() == 0


def test_every_kind_of_call_ends_and_a_second_signal_changes_nothing(world):
    """Watch, WaitFor, an agent's stream and a health watch are open; SIGTERM comes twice, and SIGINT too."""
    server = world.server()
    client = server.client()
    client.RegisterInstance(name="dev-1", environment="development")
    client.RegisterInstance(name="dev-2", environment="development")  # nobody connects for it
    agent = world.agent(server, "dev-1")
    agent.program.wait_line(" connected ")
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"})
    client.CreateApp(name="shop", repository_url=world.git_host().url(repository))
    harness.wait_content(client, "shop", "v1")
    harness.until(lambda: agent.serves("shop"), 60, "dev-1")
    ends, watched, states = {}, [], []

    def run(name, call):
        try:
            call()
            ends[name] = None
        except harness.Refused as refused:
            ends[name] = (refused.code, refused.reason)
        except grpc.RpcError as error:
            ends[name] = (error.code(), "")

    def watch():
        for answer in server.client().watch(from_revision=0):
            watched.append(answer)

    def health():
        # grpc.health.v1.Health/Watch by hand: "" in, field 1 = status out
        call = server.client().channel.unary_stream("/grpc.health.v1.Health/Watch")
        for answer in call(b""):
            states.append(answer[1] if answer else 0)

    waiting = {
        "watch": watch,
        "health": health,
        "wait": lambda: server.client().WaitFor(condition=1, app="shop", environment="development", require_all=True, timeout_ms=60000, timeout=120),
    }
    threads = [threading.Thread(target=run, args=item) for item in waiting.items()]
    for thread in threads:
        thread.start()
    harness.until(lambda: watched and states and "\nsluice_waiting_calls 1\n" in metrics(server), what="all of them open")
    begin = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        server.program.kill(number)
    assert server.program.wait(60) == 0
    assert time.monotonic() - begin < 30
    for thread in threads:
        thread.join(60)
    assert ends["watch"][0] == ends["health"][0] == grpc.StatusCode.UNAVAILABLE, ends
    assert states[0] == 1 and states[-1] == 2, states  # SERVING, then NOT_SERVING
    assert agent.program.wait_line("disconnected.*code=UNAVAILABLE reason=STOPPING", 60)
    assert agent.serves("shop") == {"index.html": "one\n"}
    assert len([line for line in server.program.lines if " stopping " in line]) == 1
    try:
        urlopen(f"http://127.0.0.1:{server.metrics_port}/readyz", timeout=60)
        assert False, "somebody still answers"
    except URLError:
        pass
    assert ends["wait"] == (grpc.StatusCode.UNAVAILABLE, "STOPPING"), ends
    server.program.end()
    server.verify()

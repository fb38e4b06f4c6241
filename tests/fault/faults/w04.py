"""W4: a long log: many log records, then a restart, watchers from the very beginning beside live load, and a compaction of it all.

Rounds are log records: a million on demand."""
import asyncio
import time

import clients
import grpc
import harness

TEXT = "a store with very many log records"
ROUNDS, FULL = 20000, 1000000
SECONDS = 35
IN_FLIGHT = 200


def run(run):
    server = run.server(["--map-size", "16G"])
    client = server.client()
    begin = client.GetStats().revision
    took = timed(lambda: asyncio.run(fill(server, client, run.rounds)))
    run.note(f"{run.rounds} records written in {took:.0f} s")
    server.kill()
    run.note(f"start with them: {timed(server.start):.2f} s")
    client = server.client()
    run.load(server, watchers=2, count=4)
    live, run.first = run.first, begin
    only = (clients.ALL, clients.kind_filter(9), clients.environment_filter("staging", 2))
    for i, each in enumerate(only):
        run.watch(server, f"w-from-the-start-{i}", only=each, pause=0.002, restless=0.001)
    harness.until(lambda: all(w.reached(begin + run.rounds) for w in run.watchers), 60 + run.rounds / 2000, "watchers at the end of the old log")
    run.wait_progress(50)
    for watcher in run.watchers[:2]:
        watcher.first = run.first
    evidence = run.evidence(server)
    run.note(f"live watchers began at {live}")
    run.judge(evidence)
    client.Compact()
    kept = 100 + len(evidence.acknowledged)  # those whose replies a retry would get stay
    pruned = timed(lambda: harness.until(lambda: client.GetStats().log_records < kept, 120 + run.rounds / 5000, "the pruning of the log"))
    run.note(f"pruned in {pruned:.1f} s")
    code = server.stop()
    run.report.require(code == 0, "R6", f"SIGTERM: exit code {code}")
    run.verify(server)


def timed(function):
    begin = time.monotonic()
    function()
    return time.monotonic() - begin


async def fill(server, client, count):
    service, descriptor = client._methods["UpdateInstance"]
    for i in range(100):
        client.RegisterInstance(name=f"long-{i}", environment=["development", "staging", "production"][i % 3])
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
    call = channel.unary_unary(f"/{service}/UpdateInstance", request_serializer=lambda m: m.SerializeToString(),
                               response_deserializer=harness.message_class(descriptor.output_type).FromString)
    numbers = iter(range(count - 100))

    async def worker():
        for number in numbers:
            await call(client.request("UpdateInstance", instance=f"long-{number % 100}", labels={"n": str(number)}), timeout=60)

    await asyncio.gather(*[worker() for _ in range(IN_FLIGHT)])
    await channel.close()

"""W3: a thousand watchers at once, with filters of every kind, over a kill of the server: each is checked by the six validators."""
import asyncio
import time

import clients
import grpc
import harness
import validators

TEXT = "1000 watchers over a restart"
ROUNDS, FULL = 1000, 4000  # watchers
SECONDS = 25
CHANNELS, WRITES = 20, 120


class Crowd:
    """Watchers on one event loop, each with a trace."""

    def __init__(self, server, client, first, count):
        self.server, self.first, self.stopping = server, first, False
        self.request = lambda **fields: client.request("Watch", **fields)
        descriptor = client._methods["Watch"][1]
        self.path = f"/{client._methods['Watch'][0]}/Watch"
        self.response = harness.message_class(descriptor.output_type)
        filters = [clients.ALL, clients.kind_filter(9), clients.environment_filter("staging", 2), clients.kind_filter(10)]
        self.watchers = [Watcher(f"crowd-{i}", filters[i % len(filters)], first) for i in range(count)]
        self.streams = set()

    async def run(self, work):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
        channels = [grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}", options=options) for _ in range(CHANNELS)]
        calls = [channel.unary_stream(self.path, request_serializer=lambda m: m.SerializeToString(),
                                      response_deserializer=self.response.FromString) for channel in channels]
        tasks = [asyncio.ensure_future(self.follow(calls[i % CHANNELS], watcher)) for i, watcher in enumerate(self.watchers)]
        head = await work(self)
        took = await self.reach(head)
        self.stopping = True
        for stream in list(self.streams):
            stream.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in channels:
            await channel.close()
        return took

    async def reach(self, head):
        begin = time.monotonic()
        while time.monotonic() - begin < 60:
            if all(w.bookmark >= head for w in self.watchers):
                return time.monotonic() - begin
            await asyncio.sleep(0.05)
        return None

    async def follow(self, call, watcher):
        while not self.stopping:
            watcher.trace.append(validators.Opened(watcher.bookmark))
            stream = call(self.request(from_revision=watcher.bookmark, **watcher.only.fields), wait_for_ready=True)
            self.streams.add(stream)
            try:
                async for response in stream:
                    watcher.message(response)
            except (grpc.RpcError, asyncio.CancelledError) as error:
                watcher.trace.append(validators.Ended(str(getattr(error, "code", lambda: "cancelled")())))
                if not self.stopping:
                    await asyncio.sleep(0.05)
            finally:
                self.streams.discard(stream)


class Watcher:
    def __init__(self, name, only, first):
        self.name, self.only, self.bookmark, self.trace, self.seen, self.kept = name, only, first, [], [], None

    def message(self, response):
        changes = tuple(c for c in (clients.as_change(change) for change in response.changes) if c is not None)
        self.trace.append(validators.Message(response.revision, changes))
        self.bookmark = max(self.bookmark, response.revision)


def run(run):
    server = run.server()
    client = server.client()
    run.first = client.GetStats().revision
    client.RegisterInstance(name="shared", environment="development", labels={"n": "0"})
    crowd = Crowd(server, client, run.first, run.rounds)

    async def work(_):
        loop = asyncio.get_running_loop()
        harness_client = server.client()
        while (await loop.run_in_executor(None, harness_client.GetStats)).watchers < run.rounds:
            await asyncio.sleep(0.1)
        await loop.run_in_executor(None, write, harness_client, "a")
        await loop.run_in_executor(None, server.kill)
        await loop.run_in_executor(None, server.start)
        await loop.run_in_executor(None, write, server.client(), "b")
        return (await loop.run_in_executor(None, server.client().GetStats)).revision

    took = asyncio.run(crowd.run(work))
    run.note(f"all at the head {'never' if took is None else f'{took:.2f} s'} after the last write")
    run.report.require(took is not None, "R3", "not every watcher reached the head within 60 s")
    evidence = run.evidence(server)
    evidence.watchers = crowd.watchers
    run.count("watchers", len(crowd.watchers))
    run.count("changes delivered to them", sum(len(s.changes) for w in crowd.watchers for s in w.trace if isinstance(s, validators.Message)))
    run.finish(server, evidence)


def write(client, prefix):
    for i in range(WRITES):
        client.RegisterInstance(name=f"{prefix}-{i}", environment="staging" if i % 2 else "production")

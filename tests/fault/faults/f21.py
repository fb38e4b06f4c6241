"""F21: a server that lies to an agent: an older manifest, an expired one, one for another instance, another body under a sequence that
was accepted, a bundle whose digest is wrong, bytes that are no manifest. The agent goes on serving what it served, and follows the
true server afterwards."""
import concurrent.futures
import queue
import time

import grpc
import harness
from fleet import Fleet
from world import Port

TEXT = "lying server: manifests replayed, expired, of others, with wrong digests"
ROUNDS, FULL = 6, 60
SECONDS = 20
PATIENCE_S = 2.5


class Liar:
    """A server of AgentService that says one thing to each agent that greets it."""

    def __init__(self, client, messages):
        self.messages, self.greeted = messages, 0
        _, method = client._methods["Sync"]
        request = harness.message_class(method.input_type)
        handler = grpc.stream_stream_rpc_method_handler(self._sync, request_deserializer=request.FromString,
                                                        response_serializer=lambda m: m.SerializeToString())
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("sluice.v1.AgentService", {"Sync": handler}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def _sync(self, requests, _context):
        hello = next(requests).hello
        self.greeted += 1
        for message in self.messages:
            yield message(hello) if callable(message) else message
        for _ in requests:
            pass

    def end(self):
        self.server.stop(0)


def spy(server, client, instance):
    """What the server sends to that instance: (Pace, SignedManifest)."""
    service, method = client._methods["Sync"]
    stub = client.channel.stream_stream(f"/{service}/Sync", request_serializer=lambda m: m.SerializeToString(),
                                        response_deserializer=harness.message_class(method.output_type).FromString)
    requests = queue.Queue()
    hello = client.request("Sync")
    hello.hello.instance, hello.hello.agent_version, hello.hello.protocol = instance, "0.1.0", 1
    requests.put(hello)
    stream = stub(iter(requests.get, None), timeout=20)
    found = {}
    for response in stream:
        found[response.WhichOneof("message")] = response
        if "manifest" in found and "pace" in found:
            break
    stream.cancel()
    requests.put(None)
    return found["pace"], found["manifest"]


def changed(manifest, body_class, change):
    """A copy of the message with another body."""
    body = body_class.FromString(manifest.manifest.body)
    change(body)
    copy = type(manifest)()
    copy.CopyFrom(manifest)
    copy.manifest.body = body.SerializeToString()
    return copy


def lies(older, current, body_class):
    """{name: message, or a function of the agent's Hello that makes it}."""
    def later(body):
        body.sequence += 1

    def expired(body):
        later(body)
        body.expires_at.FromSeconds(int(time.time()) - 60)

    def foreign(body):
        later(body)
        body.instance_id = "ins_" + "a" * 20

    def wrong_digest(body):
        later(body)
        body.apps[0].activate = body.apps[0].keep[-1].version_id
        for bundle in body.apps[0].keep:
            bundle.version_id, bundle.digest = "ver_" + "b" * 20, bytes(32)
        body.apps[0].activate = "ver_" + "b" * 20
        del body.apps[0].keep[1:]

    old_body = body_class.FromString(older.manifest.body)

    def same_sequence(hello):
        def change(body):
            body.sequence = hello.sequence  # what the agent accepted: the server may have got further since
            body.apps[0].CopyFrom(old_body.apps[0])

        return changed(current, body_class, change)

    broken = type(current)()
    broken.CopyFrom(current)
    broken.manifest.body = current.manifest.body[:-7]
    return {"older": older, "expired": changed(current, body_class, expired), "of another instance": changed(current, body_class, foreign),
            "another body under an accepted sequence": same_sequence, "cut off": broken,
            "wrong digest": changed(current, body_class, wrong_digest)}


def run(run):
    from sluice.v1 import agent_pb2

    server = run.server(["--heartbeat", "1s"])
    fleet = Fleet(run, server, agents=1)
    client, agent = server.client(), fleet.agents[0]
    body_class = harness.message_class(agent_pb2.DESCRIPTOR.message_types_by_name["Manifest"])
    converged = []
    names = fleet.promote(client, "v1") or ["v1", fleet.next_version(client)]
    for name in names:
        fleet.release(client, name)
        converged.append(fleet.wait_serve(int(name[1:]), f"release of {name}"))
        if name == "v1":
            agent.kill()
            _, older = spy(server, client, "prod-0")
            agent.start()
    run.observe(fleet.agents, "fleet")
    for number in run.turns(least=6):
        agent.kill()
        pace, current = spy(server, client, "prod-0")
        told = list(lies(older, current, body_class).items())[number % 6]
        lie(run, client, agent, [pace, told[1]], told[0], fleet.whole[1])
        agent.server = server
        agent.kill()
        client.RegisterInstance(name=f"other-{number}", environment="staging")
        client.RegisterInstance(name=f"another-{number}", environment="staging")
        agent.start()
        fleet.release(client, "v1")
        converged.append(fleet.wait_serve(1, f"the true server after: {told[0]}"))
        fleet.release(client, "v2")
        converged.append(fleet.wait_serve(2, f"the true server after: {told[0]}"))
    evidence = run.evidence(server)
    evidence.converged, evidence.whole = converged, fleet.whole
    run.judge(evidence)
    run.report.require(server.stop() == 0, "R6", "exit code")


def lie(run, client, agent, messages, what, served):
    liar = Liar(client, messages)
    try:
        agent.server = Port(liar.port)
        agent.start()
        harness.until(lambda: liar.greeted, 20, "the agent at the liar")
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            files = agent.serves("fleet")
            if files != served:
                run.report.found("R5", f"{what}: the agent believed it and serves {None if files is None else files.get('version.txt')}")
                return
            time.sleep(0.02)
        run.report.require(agent.program.running, "R5", f"{what}: the agent ended")
        run.count(f"lies: {what}")
    finally:
        liar.end()

"""A control plane that lies: speaks AgentService.Sync with a real sluice-agent and says whatever the test wants."""
import queue
import threading
import time
from concurrent import futures

import grpc

ID_TAIL = 20


def an_id(prefix, number):
    """An id by the rules: prefix, '_', 20 of base 32."""
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    text = ""
    while len(text) < ID_TAIL:
        text = alphabet[number % 32] + text
        number //= 32
    return prefix + "_" + text



class FakePlane:
    """One instance's server. Reports are kept; what is said goes to the stream that is open, and `greeting` to each new one."""

    def __init__(self, services, instance_id=None):
        from sluice.v1 import agent_pb2

        self.pb, self.instance_id = agent_pb2, instance_id or an_id("ins", 1)
        self.reports, self.hellos, self.refusals, self.answers, self.beats = [], [], [], [], 0
        self.signer, self.epoch = None, 0  # a signer.Signer: manifests are signed by it
        self.clock_s = 0  # added to the time that is told
        self._news, self._out = threading.Condition(), queue.Queue()
        self._context = None
        self.sequence = 1000
        self.heartbeat_ms = 500
        handler = grpc.stream_stream_rpc_method_handler(
            self._sync, request_deserializer=agent_pb2.SyncRequest.FromString, response_serializer=lambda raw: raw)
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("sluice.v1.AgentService", {"Sync": handler}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    # --- the stream ---

    def _sync(self, requests, context):
        out = queue.Queue()
        with self._news:
            self._out, self._context = out, context
        threading.Thread(target=self._listen, args=(requests, out), daemon=True).start()
        while True:
            item = out.get()
            if item is None:
                return
            yield item

    def _listen(self, requests, out):
        try:
            for request in requests:
                kind = request.WhichOneof("message")
                if kind == "hello":
                    out.put(self.pace())
                with self._news:
                    if kind == "hello":
                        self.hellos.append(request.hello)
                    elif kind == "refusal":
                        self.refusals.append(request.refusal)
                    elif kind == "report":
                        self.reports.append(request.report)
                    elif kind == "pushed":
                        self.answers.append(request.pushed)
                    else:
                        self.beats += 1
                    self._news.notify_all()
        except grpc.RpcError:
            pass
        out.put(None)

    def pace(self, **fields):
        pace = self.pb.Pace(heartbeat_ms=self.heartbeat_ms, backoff_min_ms=50, backoff_max_ms=200, instance_id=self.instance_id, protocol=1)
        pace.server_time.FromSeconds(int(time.time()) + self.clock_s)
        for name, value in fields.items():
            setattr(pace, name, value)
        return self.pb.SyncResponse(pace=pace).SerializeToString()

    # --- saying ---

    def say(self, raw):
        self._out.put(raw)

    def manifest(self, apps, **fields):
        """A manifest that nothing is wrong with, but for what `fields` say; unsigned, in its envelope's bytes."""
        self.sequence += 1
        m = self.pb.Manifest(instance_id=self.instance_id, instance="prod-1", environment="production", sequence=self.sequence, apps=apps,
                             key_epoch=self.epoch)
        m.expires_at.seconds = int(time.time()) + self.clock_s + 7 * 86400
        for name, value in fields.items():
            if isinstance(value, (list, tuple)):
                getattr(m, name).extend(value)
            elif name == "expires_s":
                m.expires_at.seconds = value
            else:
                setattr(m, name, value)
        return m

    def envelope(self, manifest, **fields):
        body = manifest if isinstance(manifest, bytes) else manifest.SerializeToString()
        if self.signer is not None:
            fields = {"signature": self.signer.manifest(body), **fields}
        return self.pb.SyncResponse(manifest=self.pb.SignedManifest(body=body, **fields)).SerializeToString()

    def keys(self, *rows):
        """Announcements: (epoch, the key, who signs), the last None for no signature."""
        keys = [self.pb.ManifestKey(epoch=epoch, public_key=key.public, signature=by.announce(epoch, key) if by else b"") for epoch, key, by in rows]
        return self.pb.SyncResponse(keys=self.pb.ManifestKeys(keys=keys)).SerializeToString()

    def tell(self, apps, **fields):
        self.say(self.envelope(self.manifest(apps, **fields)))

    # --- hearing ---

    def wait_hello(self, count=1, timeout=60):
        return self._wait(lambda: self.hellos[count - 1] if len(self.hellos) >= count else None, timeout, "a hello")

    def wait_report(self, version_id, phases, error_class=None, since=0, timeout=60):
        def look():
            for report in self.reports[since:]:
                if report.version_id == version_id and report.phase in phases and error_class in (None, report.error_class):
                    return report
            return None

        return self._wait(look, timeout, f"report of {version_id} in {phases}")

    def wait_refusal(self, words, since=0, timeout=60):
        return self._wait(lambda: next((r for r in self.refusals[since:] if words in r.error), None), timeout, f"a refusal with '{words}'")

    def wait_beat(self, timeout=60):
        with self._news:
            before = self.beats
        self._wait(lambda: self.beats > before, timeout, "a heartbeat")

    def _wait(self, look, timeout, what):
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                found = look()
                if found:
                    return found
                left = deadline - time.monotonic()
                assert left > 0, f"{what} did not come within {timeout} s; last: {self.reports[-3:]}"
                self._news.wait(min(left, 0.2))

    def end(self):
        self._out.put(None)
        self._server.stop(0.2).wait(5)

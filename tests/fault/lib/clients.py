"""Clients that remember: every acknowledged write with its request id, revision and reply; every read; every message of a watch.

A write carries its request id as its `reason` too, which the change log keeps: that is how a change is known by its request.
"""
import hashlib
import random
import threading
import time
from typing import NamedTuple

import grpc

import harness
import validators

# What leaves open whether the write took effect: tried again with the same request id.
OPEN_OUTCOMES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN")


# Certainly without effect, and the cause goes away; a request that took effect is answered all the same.
NO_ROOM = ("DISK_LOW", "STORE_FULL")


class Acknowledged(NamedTuple):
    client: str
    request_id: str
    method: str
    fields: dict
    revision: int
    reply: bytes
    attempts: int
    at: float  # time.monotonic()


class Read(NamedTuple):
    kind: str
    id: str
    revision: int  # of the record
    digest: bytes
    at: float


def without_replayed(reply):
    """The reply's bytes but for the mark that says that it is a repeated one."""
    copy = type(reply)()
    copy.CopyFrom(reply)
    copy.result.replayed = False
    return copy.SerializeToString(deterministic=True)


def instance_digest(instance):
    """What its events hold: liveness and the like are not durable, and the identity is a record of its own."""
    copy = type(instance)()
    copy.CopyFrom(instance)
    for field in ("agent", "identity"):
        copy.ClearField(field)
    return hashlib.blake2b(copy.SerializeToString(deterministic=True), digest_size=16).digest()


class Connection:
    """A client that follows its server over restarts; one thread's."""

    def __init__(self, server):
        self.server, self._client, self._generation = server, None, -1

    def get(self):
        if self._generation != self.server.generation:
            self.close()
            self._generation = self.server.generation
            self._client = self.server.connect()
        return self._client

    def close(self):
        if self._client is not None:
            self._client.close()
            self._client = None
            self._generation = -1


class Recorder(threading.Thread):
    """Writes without pause, of every kind, on things of its own and on one that all share."""

    def __init__(self, server, name, seed, app="", deadline=5):
        super().__init__(name=name, daemon=True)
        self.server, self.app, self.deadline = server, app, deadline
        self.random = random.Random(f"{seed}/{name}")
        self.acknowledged, self.refused, self.open, self.reads, self.violations = [], [], [], [], []
        self.attempts = self.held_off = self.replays = self.released = 0
        self.stopping = threading.Event()
        self._connection, self._number = Connection(server), 0
        self._instances, self._versions = {}, []

    def stop(self):
        self.stopping.set()

    # --- one call -------------------------------------------------------------

    def _send(self, method, request_id, expected, fields, first=True):
        """("ok", reply) | ("no", Refused) | ("open", None) when it was stopped first. Not first: it has taken effect already."""
        attempts, certain = 0, True  # certain: no attempt so far can have taken effect
        while True:
            attempts += 1
            self.attempts += 1
            try:
                call = getattr(self._connection.get(), method)
                write = {"request_id": request_id, "reason": request_id, "expected_revision": expected}
                reply = call(write=write, timeout=self.deadline, wait_for_ready=False, **fields)
                if first and certain and reply.result.replayed:
                    self.violations.append(("R4", f"{request_id} was refused for now, and had taken effect"))
                return "ok", (reply, attempts)
            except harness.Refused as refused:
                for_now = refused.code.name == "RESOURCE_EXHAUSTED"
                if not for_now and refused.code.name not in OPEN_OUTCOMES:
                    return "no", refused
                if not first and refused.reason in NO_ROOM:
                    return "no", refused
                certain = certain and for_now
            if self.stopping.is_set():
                return "open", None
            if for_now:
                self.held_off += 1
            time.sleep(self.random.uniform(0.005, 0.03))

    def write(self, method, expected=0, **fields):
        """The reply, or None when it was refused or stays open."""
        self._number += 1
        request_id = f"{self.name}-{self._number}"
        outcome, answer = self._send(method, request_id, expected, fields)
        if outcome == "no":
            self.refused.append((request_id, method, answer.code.name, answer.reason))
            return None
        if outcome == "open":
            self.open.append(request_id)
            return None
        reply, attempts = answer
        self.acknowledged.append(Acknowledged(self.name, request_id, method, dict(fields, expected=expected), reply.result.revision,
                                              without_replayed(reply), attempts, time.monotonic()))
        return reply

    def _again(self):
        """A request that was acknowledged is answered as it was; the same id with another payload is refused."""
        old = self.random.choice(self.acknowledged[-200:])
        fields = dict(old.fields)
        expected = fields.pop("expected")
        outcome, answer = self._send(old.method, old.request_id, expected, fields, first=False)
        if outcome == "open":
            return
        self.replays += 1
        if outcome == "no":
            self.violations.append(("R4", f"{old.request_id} was acknowledged, and its retry was refused: {answer}"))
        elif without_replayed(answer[0]) != old.reply:
            self.violations.append(("R4", f"{old.request_id} was acknowledged, and its retry got another reply"))
        elif not answer[0].result.replayed and old.revision != 0:
            self.violations.append(("R4", f"{old.request_id} took effect a second time"))

    # --- what it writes -----------------------------------------------------------

    def _register(self):
        reply = self.write("RegisterInstance", name=f"{self.name}-i{self._number}", environment=self.random.choice(["development", "staging"]),
                           labels={"n": str(self._number), "pad": "x" * self.random.randrange(50)})
        if reply:
            self._instances[reply.instance.name] = reply.instance.revision

    def _update(self):
        name = self.random.choice(list(self._instances))
        reply = self.write("UpdateInstance", instance=name, labels={"n": str(self._number)})
        if reply:
            self._instances[name] = reply.instance.revision

    def _remove(self):
        name = self.random.choice(list(self._instances))
        if self.write("RemoveInstance", instance=name):
            del self._instances[name]

    def _increment(self):
        """Adds one to a number that all clients share, by compare and set."""
        instance = self._get("shared")
        if instance:
            number = int(instance.labels["n"]) + 1
            self.write("UpdateInstance", expected=instance.revision, instance="shared", labels={"n": str(number), "by": self.name})

    def _get(self, name):
        try:
            instance = self._connection.get().GetInstance(instance=name, timeout=self.deadline, wait_for_ready=False).instance
        except harness.Refused as refused:
            if refused.code.name == "NOT_FOUND":
                self.violations.append(("R1", f"instance {name} was acknowledged and is not found"))
            return None
        self.reads.append(Read("instance", instance.id, instance.revision, instance_digest(instance), time.monotonic()))
        return instance

    def _read(self):
        name = self.random.choice(list(self._instances))
        instance = self._get(name)
        if instance and instance.revision < self._instances[name]:
            self.violations.append(("R1", f"instance {name} was acknowledged at {self._instances[name]} and reads {instance.revision}"))

    def _move(self):
        """A version on its way: made, noted, promoted, released, rolled back."""
        step = self.random.random()
        if not self._versions or step < 0.3:
            reply = self.write("CreateVersion", app=self.app, name=f"n{self._number}", **{"from": "v1"})
            if reply:
                self._versions.append([reply.version.name, "development"])
            return
        version = self.random.choice(self._versions[-20:])
        if step < 0.4:
            self.write("NoteVersion", app=self.app, version=version[0], text=f"note {self._number}")
        elif version[1] != "production":
            reply = self.write("Promote", app=self.app, version=version[0], **{"from": version[1]})
            if reply:
                version[1] = reply.version.environment
        elif step < 0.9 or self.released < 2:
            if self.write("Release", app=self.app, version=version[0]):
                self.released += 1
        else:
            self.write("Rollback", app=self.app)

    def run(self):
        while not self.stopping.is_set():
            draw = self.random.random()
            if not self._instances or draw < 0.15:
                self._register()
            elif draw < 0.35:
                self._update()
            elif draw < 0.4 and len(self._instances) > 3:
                self._remove()
            elif draw < 0.5:
                self._increment()
            elif draw < 0.65:
                self._read()
            elif draw < 0.75 and self.acknowledged:
                self._again()
            elif self.app:
                self._move()
            else:
                self._update()
        self._connection.close()


# --- watching ---------------------------------------------------------------------


class Filter(NamedTuple):
    """Fields of a WatchRequest, and the same as a function: does it let an event through?"""

    name: str
    fields: dict
    passes: object


ALL = Filter("all", {}, lambda event: True)


def kind_filter(kind):
    return Filter(f"kind {kind}", {"kinds": [kind]}, lambda event: event.kind == kind)


def environment_filter(name, number):
    return Filter(name, {"environment": name}, lambda event: event.environment in (0, number))


def as_change(change, passes=ALL.passes):
    """A change as a filter lets it through; None: not at all."""
    events = [event for event in change.events if passes(event)]
    if not events:
        return None
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{change.revision} {change.at.ToNanoseconds()} {change.by} {change.method} {change.reason}".encode())
    for event in events:
        digest.update(event.SerializeToString(deterministic=True))
    return validators.Change(change.revision, digest.digest(), len(events))


class Watcher(threading.Thread):
    """Watches for ever, resumes where it was, keeps a trace. `restless`: ends its stream itself now and then; `pause`: seconds
    of sleep after each message, the most."""

    def __init__(self, server, name, seed, after, only=ALL, restless=0.0, pause=0.0, keep=False):
        super().__init__(name=name, daemon=True)
        self.server, self.only, self.restless, self.pause = server, only, restless, pause
        self.trace, self.bookmark, self.first = [], after, after
        self.kept = {} if keep else None  # revision -> the change itself
        self.random = random.Random(f"{seed}/{name}")
        self.stopping, self._stream = threading.Event(), None
        self.violations = []
        self.ended, self.seen = {}, []  # seen: (time.monotonic(), revision of the last change) of each message

    def stop(self):
        self.stopping.set()
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def _message(self, response):
        self.trace.append(validators.Message(response.revision, tuple(c for c in (as_change(change) for change in response.changes)
                                                                      if c is not None)))
        if self.kept is not None:
            for change in response.changes:
                self.kept.setdefault(change.revision, change)
        if response.changes:
            self.seen.append((time.monotonic(), response.changes[-1].revision))
        self.bookmark = max(self.bookmark, response.revision)

    def _follow(self, client):
        self.trace.append(validators.Opened(self.bookmark))
        self._stream = client.watch(from_revision=self.bookmark, **self.only.fields)
        if self.stopping.is_set():
            self._stream.cancel()
        for response in self._stream:
            self._message(response)
            if self.pause:
                self.stopping.wait(self.random.uniform(0, self.pause))
            if self.restless and self.random.random() < self.restless:
                self._stream.cancel()

    def run(self):
        connection = Connection(self.server)
        while not self.stopping.is_set():
            try:
                self._follow(connection.get())
            except grpc.RpcError as error:
                self._end(harness.Refused(error))
        connection.close()

    def _end(self, refused):
        name = refused.reason or refused.code.name
        self.ended[name] = self.ended.get(name, 0) + 1
        if refused.reason == "REVISION_COMPACTED":
            floor = int(refused.metadata["floor"])
            self.trace.append(validators.Trimmed(floor))
            self.bookmark = max(self.bookmark, floor)
            return
        self.trace.append(validators.Ended(name))
        if refused.code.name in ("INTERNAL", "DATA_LOSS", "UNKNOWN"):
            self.violations.append(("R3", f"watcher {self.name} was ended with {refused}"))
        if refused.code.name == "UNAVAILABLE":
            time.sleep(0.02)
        if refused.reason == "REVISION_AHEAD":
            time.sleep(0.2)

    def reached(self, revision):
        return self.bookmark >= revision


def read_log(client, after, head):
    """{revision: change}: all of the log in (after, head], by one fresh watch."""
    found = {}
    if head <= after:
        return found
    stream = client.watch(from_revision=after, timeout=300)
    for response in stream:
        for change in response.changes:
            assert change.revision not in found
            found[change.revision] = change
        if response.revision >= head:
            break
    stream.cancel()
    return found

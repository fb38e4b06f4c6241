"""One oracle per promise of Sluice (R1 to R7): each takes the evidence of a run and returns what contradicts the promise.

R1 an acknowledged write survives. R2 nobody sees a write that is not durable. R3 the change stream is ordered, gapless, without
duplicates, whole and resumable. R4 a request id takes effect at most once. R5 an instance serves a whole, verified version.
R6 a storage error stops the server and is never a wrong answer. R7 an agent that was cut off keeps its version and converges.
"""
import validators
from clients import as_change, instance_digest

RANKS = {"development": 1, "staging": 2, "production": 3}


class Evidence:
    """What a run left behind. Everything is optional: an oracle judges what is there."""

    def __init__(self, log, first, floor=0):
        self.log = log  # {revision: change}, complete in (max(first, floor), head]
        self.first, self.floor = first, floor
        self.acknowledged, self.refused, self.reads, self.found = [], [], [], []
        self.watchers = []
        self.instances = self.versions = None  # the server's answers at the end: {id: message}
        self.served = []    # [(agent, {path: text} or None, at)]: what instances served at a look
        self.whole = []     # the file sets that may be served
        self.exits = []     # [(what, exit code, allowed)] of servers that met a storage error
        self.converged = [] # [(what, seconds or None, most)]

    def add_recorders(self, recorders):
        for recorder in recorders:
            self.acknowledged += recorder.acknowledged
            self.refused += recorder.refused
            self.reads += recorder.reads
            self.found += recorder.violations


def fold(log, field):
    """The state that the log adds up to: {id: object} of one kind."""
    state = {}
    for revision in sorted(log):
        for event in log[revision].events:
            if event.WhichOneof("object") != field:
                continue
            thing = getattr(event, field)
            if event.type == 3:
                state.pop(thing.id, None)
            else:
                state[thing.id] = thing
    return state


def r1(evidence):
    wrong = [text for promise, text in evidence.found if promise == "R1"]
    for ack in evidence.acknowledged:
        if ack.revision <= max(evidence.floor, evidence.first):
            continue
        change = evidence.log.get(ack.revision)
        if change is None:
            wrong.append(f"{ack.request_id} ({ack.method}) was acknowledged as {ack.revision}, which the log does not have")
        elif change.reason != ack.request_id:
            wrong.append(f"{ack.request_id} ({ack.method}) was acknowledged as {ack.revision}, which is {change.reason or change.method}")
    return wrong + _state(evidence)


def _state(evidence):
    """Records are what the log adds up to."""
    wrong = []
    if evidence.instances is not None and evidence.floor <= evidence.first:
        expected = {i: instance_digest(o) for i, o in fold(evidence.log, "instance").items()}
        actual = {i: instance_digest(o) for i, o in evidence.instances.items()}
        wrong += [f"instance {i} is in the log and not in the store" for i in expected.keys() - actual.keys()]
        wrong += [f"instance {i} is not as the log says" for i in expected.keys() & actual.keys() if expected[i] != actual[i]]
    if evidence.versions is not None and evidence.floor <= evidence.first:
        for i, version in fold(evidence.log, "version").items():
            held = evidence.versions.get(i)
            if held is None:
                wrong.append(f"version {version.name} is in the log and not in the store")
            elif (held.environment, held.state) != (version.environment, version.state):
                wrong.append(f"version {version.name} is in {held.environment}, the log says {version.environment}")
    return wrong


def r2(evidence):
    wrong = [text for promise, text in evidence.found if promise == "R2"]
    objects = {}
    for revision, change in evidence.log.items():
        for event in change.events:
            if event.WhichOneof("object") == "instance":
                objects[(event.instance.id, event.instance.revision)] = instance_digest(event.instance)
    for read in evidence.reads:
        if read.revision <= max(evidence.floor, evidence.first):
            continue
        held = objects.get((read.id, read.revision))
        if held is None:
            wrong.append(f"a read saw {read.kind} {read.id} at {read.revision}, which is not in the log")
        elif held != read.digest:
            wrong.append(f"a read saw {read.kind} {read.id} at {read.revision} other than the log has it")
    for watcher in evidence.watchers:
        reference = _reference(evidence, watcher)
        for step in watcher.trace:
            for change in step.changes if isinstance(step, validators.Message) else ():
                if change.revision > evidence.floor and reference.get(change.revision) != change:
                    wrong.append(f"watcher {watcher.name} saw {change.revision} other than it was committed")
    return wrong


def _reference(evidence, watcher):
    cache = evidence.__dict__.setdefault("references", {})
    if watcher.only.name not in cache:
        made = ((r, as_change(change, watcher.only.passes)) for r, change in evidence.log.items())
        cache[watcher.only.name] = {r: change for r, change in made if change is not None}
    return cache[watcher.only.name]


def r3(evidence):
    wrong = [text for promise, text in evidence.found if promise == "R3"]
    for watcher in evidence.watchers:
        for name, violations in validators.check(watcher.trace, _reference(evidence, watcher)).items():
            wrong += [f"watcher {watcher.name}: not {name}: {text}" for text in violations]
    return wrong


def r4(evidence):
    wrong = [text for promise, text in evidence.found if promise == "R4"]
    made = {}
    for revision, change in evidence.log.items():
        if change.reason:
            made.setdefault((change.reason, restores(revision)), []).append(revision)
    wrong += [f"{request} took effect at {sorted(revisions)}" for (request, _), revisions in made.items() if len(revisions) > 1]
    effective = {request for request, _ in made}
    wrong += [f"{request} ({method}) was refused with {code} {reason} and took effect"
              for request, method, code, reason in evidence.refused if request in effective]
    return wrong + _shared_number(evidence.log)


def restores(revision):
    """How many restores lie behind a revision: each raises it by 2^32, and takes back what came after its backup."""
    return revision >> 32


def _shared_number(log):
    """The number that all clients add one to, by compare and set, never skips and never repeats."""
    wrong, last, history = [], None, 0
    for revision in sorted(log):
        if restores(revision) != history:
            last, history = None, restores(revision)
        for event in log[revision].events:
            if event.WhichOneof("object") == "instance" and event.instance.name == "shared":
                number = int(event.instance.labels["n"])
                if last is not None and number != last + 1:
                    wrong.append(f"the shared number went from {last} to {number} at {revision}")
                last = number
    return wrong


def r5(evidence):
    wrong = [text for promise, text in evidence.found if promise == "R5"]
    for agent, files, _ in evidence.served:
        if files is not None and files not in evidence.whole:
            wrong.append(f"agent {agent} served {len(files)} files that are no whole version: {sorted(files.items())[:3]}")
    return wrong


def r6(evidence):
    wrong = [text for promise, text in evidence.found if promise == "R6"]
    return wrong + [f"{what}: exit code {code}, allowed {allowed}" for what, code, allowed in evidence.exits if code not in allowed]


def r7(evidence):
    wrong = [text for promise, text in evidence.found if promise == "R7"]
    return wrong + [f"{what}: {'never' if took is None else f'{took:.1f} s'}, at most {most} s"
                    for what, took, most in evidence.converged if took is None or took > most]


ORACLES = {"R1": r1, "R2": r2, "R3": r3, "R4": r4, "R5": r5, "R6": r6, "R7": r7}


def judge(evidence):
    """{promise: [violations]}; a promise that the run has no evidence about is left out."""
    there = {"R1": evidence.acknowledged, "R2": evidence.reads or evidence.watchers, "R3": evidence.watchers, "R4": evidence.acknowledged,
             "R5": evidence.served, "R6": evidence.exits, "R7": evidence.converged}
    verdicts = {name: oracle(evidence) for name, oracle in ORACLES.items()}
    return {name: wrong for name, wrong in verdicts.items() if wrong or there[name]}

"""The six promises of a watch, as checks of what one watcher saw: ordered, unique, reliable, atomic, resumable, bookmarkable.

A trace is a list of steps, in the order in which the watcher met them:

    Opened(after)              a stream was opened with from_revision = after
    Message(bookmark, changes) one response of it
    Ended(code)                the stream ended
    Trimmed(floor)             the server said that all up to `floor` is gone (OUT_OF_RANGE): the explicit error that allows a gap

The reference is the log itself: {revision: Change} of everything that the watcher's filter lets through, in any order.
Each validator is a pure function (trace, reference) -> [text of a violation]; `check` runs all of them.
"""
from typing import NamedTuple


class Change(NamedTuple):
    revision: int
    digest: bytes  # of the whole change after the filter: two that differ in anything differ here
    events: int


class Opened(NamedTuple):
    after: int


class Message(NamedTuple):
    bookmark: int
    changes: tuple


class Ended(NamedTuple):
    code: str


class Trimmed(NamedTuple):
    floor: int


def _streams(trace):
    """[(after, [Message])] of each stream."""
    streams = []
    for step in trace:
        if isinstance(step, Opened):
            streams.append((step.after, []))
        elif isinstance(step, Message):
            streams[-1][1].append(step)
    return streams


def _trimmed(trace):
    """[(lost after, lost up to)]: gaps that the server named."""
    gaps, asked = [], 0
    for step in trace:
        if isinstance(step, Opened):
            asked = step.after
        elif isinstance(step, Trimmed):
            gaps.append((asked, step.floor))
    return gaps


def ordered(trace, _reference):
    """Within a stream revisions never go back."""
    wrong = []
    for after, messages in _streams(trace):
        last = 0
        for message in messages:
            for change in message.changes:
                if change.revision < last:
                    wrong.append(f"stream after {after}: {change.revision} came after {last}")
                last = max(last, change.revision)
    return wrong


def unique(trace, _reference):
    """No stream delivers a revision twice, and none delivers what it was told that the watcher has."""
    wrong = []
    for after, messages in _streams(trace):
        seen = set()
        for message in messages:
            for change in message.changes:
                if change.revision in seen:
                    wrong.append(f"stream after {after}: {change.revision} came twice")
                if change.revision <= after:
                    wrong.append(f"stream after {after}: {change.revision} came again")
                seen.add(change.revision)
    return wrong


def reliable(trace, reference):
    """Each delivered change is in the log, and nothing of the log up to the last bookmark is missing."""
    seen, first, last = set(), None, 0
    wrong = []
    for after, messages in _streams(trace):
        first = after if first is None else first
        for message in messages:
            last = max(last, message.bookmark)
            for change in message.changes:
                seen.add(change.revision)
                last = max(last, change.revision)
                if change.revision not in reference:
                    wrong.append(f"{change.revision} was delivered and is not in the log")
    gaps = _trimmed(trace)
    for revision in sorted(reference):
        if first is not None and first < revision <= last and revision not in seen:
            if not any(low < revision <= high for low, high in gaps):
                wrong.append(f"{revision} is in the log and never came")
    return wrong


def atomic(trace, reference):
    """A revision is delivered whole: exactly as the log has it, in one message."""
    wrong = []
    for _, messages in _streams(trace):
        home = {}
        for number, message in enumerate(messages):
            for change in message.changes:
                if home.setdefault(change.revision, number) != number:
                    wrong.append(f"{change.revision} came in two messages")
                held = reference.get(change.revision)
                if held is not None and held != change:
                    wrong.append(f"{change.revision} came with {change.events} events, other than the log's {held.events}")
                if change.events == 0:
                    wrong.append(f"{change.revision} came without an event")
    return wrong


def resumable(trace, reference):
    """The first change of a stream is the log's next one after what it was opened with."""
    wrong = []
    revisions = sorted(reference)
    for after, messages in _streams(trace):
        first = next((c.revision for m in messages for c in m.changes), None)
        following = next((r for r in revisions if r > after), None)
        if first is not None and following is not None and first > following:
            wrong.append(f"stream after {after} began with {first}, not {following}")
    return wrong


def bookmarkable(trace, reference):
    """A bookmark covers what came with it, never goes back, and nothing up to it comes later or is missing."""
    wrong = []
    revisions = sorted(reference)
    for after, messages in _streams(trace):
        bookmark, delivered, at = after, set(), 0
        while at < len(revisions) and revisions[at] <= after:
            at += 1
        for message in messages:
            if message.bookmark < bookmark:
                wrong.append(f"stream after {after}: bookmark {message.bookmark} after {bookmark}")
            for change in message.changes:
                delivered.add(change.revision)
                if change.revision > message.bookmark:
                    wrong.append(f"stream after {after}: {change.revision} came under bookmark {message.bookmark}")
                if change.revision <= bookmark and change.revision > after:
                    wrong.append(f"stream after {after}: {change.revision} came after bookmark {bookmark}")
            bookmark = max(bookmark, message.bookmark)
            while at < len(revisions) and revisions[at] <= bookmark:
                if revisions[at] not in delivered:
                    wrong.append(f"stream after {after}: bookmark {bookmark} covers {revisions[at]}, which did not come")
                at += 1
    return wrong


VALIDATORS = {"ordered": ordered, "unique": unique, "reliable": reliable, "atomic": atomic, "resumable": resumable, "bookmarkable": bookmarkable}


def check(trace, reference):
    """{validator: [violations]}; all lists empty: the watch kept its promises."""
    return {name: validator(trace, reference) for name, validator in VALIDATORS.items()}

"""The validators catch broken streams, each its own kind, and let sound ones pass."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import validators  # noqa: E402
from validators import Change, Ended, Message, Opened, Trimmed  # noqa: E402


def c(revision, events=1, digest=b"x"):
    return Change(revision, digest, events)


def log(*revisions):
    return {r: c(r) for r in revisions}


def caught(trace, reference):
    return {name for name, wrong in validators.check(trace, reference).items() if wrong}


LOG = log(2, 3, 5, 6, 9)

SOUND = {
    "all at once": [Opened(1), Message(9, (c(2), c(3), c(5), c(6), c(9)))],
    "one by one": [Opened(1), *[Message(r, (c(r),)) for r in (2, 3, 5, 6, 9)]],
    "progress marks": [Opened(1), Message(4, (c(2), c(3))), Message(4, ()), Message(8, (c(5), c(6)))],
    "resumed at a bookmark": [Opened(1), Message(3, (c(2), c(3))), Ended("UNAVAILABLE"), Opened(3), Message(9, (c(5), c(6), c(9)))],
    "resumed further back": [Opened(1), Message(6, (c(2), c(3), c(5), c(6))), Opened(3), Message(9, (c(5), c(6), c(9)))],
    "trimmed": [Opened(1), Message(3, (c(2), c(3))), Opened(3), Trimmed(6), Opened(6), Message(9, (c(9),))],
    "refused, then again": [Opened(1), Ended("UNAVAILABLE"), Opened(1), Message(3, (c(2), c(3)))],
    "nothing yet": [Opened(9), Message(9, ())],
    "never opened": [],
}

BROKEN = {
    "out of order": ("ordered", [Opened(1), Message(9, (c(2), c(5), c(3), c(6), c(9)))]),
    "out of order over messages": ("ordered", [Opened(1), Message(9, (c(2), c(5), c(6), c(9))), Message(9, (c(3),))]),
    "twice in a message": ("unique", [Opened(1), Message(3, (c(2), c(2), c(3)))]),
    "twice in a stream": ("unique", [Opened(1), Message(2, (c(2),)), Message(3, (c(2), c(3)))]),
    "again after a resume": ("unique", [Opened(1), Message(3, (c(2), c(3))), Opened(3), Message(5, (c(3), c(5)))]),
    "a hole": ("reliable", [Opened(1), Message(6, (c(2), c(5), c(6)))]),
    "never written": ("reliable", [Opened(1), Message(4, (c(2), c(3), c(4)))]),
    "a hole over a resume": ("reliable", [Opened(1), Message(3, (c(2), c(3))), Opened(5), Message(9, (c(6), c(9)))]),
    "a hole beside a trim": ("reliable", [Opened(1), Message(2, (c(2),)), Opened(3), Trimmed(5), Opened(5), Message(9, (c(6), c(9)))]),
    "torn in two messages": ("atomic", [Opened(1), Message(1, (c(2),)), Message(3, (c(2), c(3)))]),
    "an event less": ("atomic", [Opened(1), Message(3, (c(2, events=0), c(3)))]),
    "other than committed": ("atomic", [Opened(1), Message(3, (c(2, digest=b"y"), c(3)))]),
    "the first one lost at a resume": ("resumable", [Opened(1), Message(3, (c(2), c(3))), Opened(3), Message(9, (c(6), c(9)))]),
    "begins too late": ("resumable", [Opened(2), Message(9, (c(5), c(6), c(9)))]),
    "bookmark goes back": ("bookmarkable", [Opened(1), Message(5, (c(2), c(3), c(5))), Message(3, ())]),
    "bookmark before its changes": ("bookmarkable", [Opened(1), Message(2, (c(2), c(3)))]),
    "bookmark over what comes later": ("bookmarkable", [Opened(1), Message(5, (c(2), c(3))), Message(5, (c(5),))]),
    "bookmark over a hole": ("bookmarkable", [Opened(1), Message(9, (c(2), c(3)))]),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound(name):
    assert caught(SOUND[name], LOG) == set()


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name):
    validator, trace = BROKEN[name]
    assert validator in caught(trace, LOG)


def test_each_validator_has_a_stream_that_it_catches():
    assert {validator for validator, _ in BROKEN.values()} == set(validators.VALIDATORS)


def test_an_untouched_stream_with_one_fault_put_in_is_always_caught():
    """Every single deletion, repetition and swap in a long stream."""
    reference = log(*range(2, 40))
    sound = [Opened(1)] + [Message(r, (c(r),)) for r in range(2, 40)]
    assert caught(sound, reference) == set()
    for at in range(1, len(sound) - 1):
        assert caught(sound[:at] + sound[at + 1:], reference), f"deleted {at}"
        assert caught(sound[:at] + [sound[at]] + sound[at:], reference), f"repeated {at}"
        swapped = sound[:at] + [sound[at + 1], sound[at]] + sound[at + 2:]
        assert caught(swapped, reference), f"swapped {at}"

"""A control plane that lies: no manifest of the hostile corpus moves an agent from what it serves, and it goes on listening."""
import os
import types

import pytest
import hostile_world

import manifests


@pytest.fixture(scope="module")
def victim(services, short_folder):
    made = hostile_world.Victim(services, os.path.join(short_folder, "victim"))
    try:
        made.start()
        made.first_envelope = made.plane.envelope(made.plane.manifest([made.entry([made.good])]))
        made.plane.say(made.first_envelope)
        settle(made)
        yield made
    finally:
        made.end()


def settle(victim):
    """A manifest that is right, accepted: what was said before it was heard."""
    victim.assert_answers()
    victim.accepted = victim.plane.sequence


def state_outside(victim):
    # A refused manifest may be written into the agent's own book (its text), and nowhere else.
    return victim.outside()


@pytest.mark.parametrize("case", manifests.REFUSED)
def test_a_manifest_is_refused(victim, case):
    change, words = manifests.REFUSED[case]
    settle(victim)
    lie = types.SimpleNamespace(victim=victim, manifest=victim.plane.manifest([victim.entry([victim.good])]))
    lie.app = lie.manifest.apps[0]
    lie.keep = lie.app.keep[0]
    before, seen = state_outside(victim), len(victim.agent.program.lines)
    raw = change(lie)
    victim.plane.say(raw if raw is not None else victim.plane.envelope(lie.manifest))
    settle(victim)
    said = [line for line in victim.agent.program.lines[seen:] if "manifest-refused" in line]
    assert len(said) == 1 and words in said[0], said
    assert state_outside(victim) == before
    victim.assert_serving()


@pytest.mark.parametrize("case", manifests.FETCHED)
def test_what_a_manifest_names_is_not_there_or_not_that(victim, case):
    fields, again, words = manifests.FETCHED[case]
    good = victim.good
    fields = {"url": good.url, "commit": good.commit, "tree": good.tree, "digest": os.urandom(32) if "path" in fields else good.digest, **fields}
    if case == "path-inside":
        fields["tree"] = good.tree
    bundle = victim.bundle(fields.pop("url"), fields.pop("commit"), fields.pop("tree"), fields.pop("digest"), **fields)
    before = victim.outside(bundle)
    victim.offer(bundle)
    report = victim.report(bundle, error_class=hostile_world.TRANSIENT if again else hostile_world.PERMANENT)
    assert words in report.error and report.active_version_id == good.version_id, report
    assert len(report.error.encode()) <= 500 and "secret" not in report.error
    assert victim.outside(bundle) == before
    victim.assert_serving()

"""The oracle of config sees each way in which a set can be wrong."""
import json
import os
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(HERE, "../e2e/lib")]

import pytest  # noqa: E402
import stamps  # noqa: E402
import world  # noqa: E402


@pytest.fixture
def run():
    made = world.Run(None, "F16", 1, 1)
    yield made
    made.end()


class Instance:
    """A folder as an agent makes it; serves version 2 with the third change."""

    def __init__(self, run):
        self.folder = run.world.path("agent")
        self.app = os.path.join(self.folder, "apps/fleet")
        os.makedirs(os.path.join(self.app, "versions/v2-abc"))
        os.symlink("versions/v2-abc", self.current("fleet"))
        self.place("stamp-3", "seal-3")

    def current(self, slug):
        return os.path.join(self.folder, "apps", slug, "current")

    def place(self, stamp, seal, version=2):
        self.set = os.path.join(self.app, "configs/.v2-abc-0")
        values = {"constants": {"STAMP": stamp}, "secrets": {"SEAL": seal}, "sources": {}}
        files = {**stamps.rendered(version, stamp, seal, '"'), "env": f'STAMP="{stamp}"\nSEAL="{seal}"\n', "config.json": json.dumps(values)}
        for path, text in files.items():
            self.write(path, text)
        if not os.path.lexists(os.path.join(self.app, "configs/v2-abc")):
            os.symlink(".v2-abc-0", os.path.join(self.app, "configs/v2-abc"))

    def write(self, path, text):
        full = os.path.join(self.set, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(full, 0o600)


WRONG = {
    "none at all": lambda i: os.unlink(os.path.join(i.app, "configs/v2-abc")),
    "a link to nothing": lambda i: os.rename(i.set, i.set + "-away"),
    "a file that is missing": lambda i: os.unlink(os.path.join(i.set, "sub/stamp.env")),
    "a file too many": lambda i: i.write("more", ""),
    "a file that is torn": lambda i: os.truncate(os.path.join(i.set, "many.txt"), 4096),
    "an empty file": lambda i: os.truncate(os.path.join(i.set, "config.json"), 0),
    "a file of an earlier moment": lambda i: i.write("env", 'STAMP="stamp-2"\nSEAL="seal-2"\n'),
    "files of another version": lambda i: i.place("stamp-3", "seal-3", version=1),
    "values of two moments": lambda i: i.place("stamp-3", "seal-1"),
    "values of the future": lambda i: i.place("stamp-4", "seal-4"),
    "a file for others to read": lambda i: os.chmod(os.path.join(i.set, "stamp.json"), 0o644),
}


@pytest.mark.parametrize("pair", [("stamp-3", "seal-3"), ("stamp-3", "seal-2"), ("stamp-1", "seal-1")])
def test_a_whole_set_of_any_moment_is_right(run, pair):
    judge, instance = stamps.Stamps(run), Instance(run)
    judge.number = 3
    instance.place(*pair)
    assert judge.look(instance) and run.report.passed, run.report.text()


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found(run, what):
    judge, instance = stamps.Stamps(run), Instance(run)
    judge.number = 3
    WRONG[what](instance)
    assert judge.look(instance)
    assert len(run.report.violations["R5"]) == 1


def test_nothing_served_is_nothing_wrong(run):
    assert stamps.Stamps(run).look(types.SimpleNamespace(folder=run.world.path("none"), current=lambda slug: run.world.path("none/current"))) is False
    assert run.report.passed

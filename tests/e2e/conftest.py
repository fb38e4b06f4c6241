"""Fixtures of the end-to-end tests; see lib/harness.py."""
import itertools
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402

harness.environment()


@pytest.fixture(scope="session")
def services(tmp_path_factory):
    return harness.load_api(str(tmp_path_factory.mktemp("api")))


class World:
    """Everything that a test starts, ended in reverse."""

    def __init__(self, services, folder):
        self.services, self.folder = services, folder
        self._things, self._numbers = [], itertools.count(1)

    def path(self, name):
        return os.path.join(self.folder, name)

    def add(self, thing):
        self._things.append(thing)
        return thing

    def server(self, flags=(), folder=None, env=None):
        return self.add(harness.Server(self.services, folder or self.path("server"), flags, env)).start()

    def agent(self, server, instance, flags=()):
        return self.add(harness.Agent(server, self.path(f"agent-{instance}"), instance, flags)).start()

    def repository(self, name="apps"):
        os.makedirs(self.path("git"), exist_ok=True)
        return harness.Repository(self.path("git"), name)

    def git_host(self, scheme="file"):
        os.makedirs(self.path("git"), exist_ok=True)
        return self.add(harness.GitHost(self.path("git"), scheme)).start()

    def end(self):
        for thing in reversed(self._things):
            thing.end()


@pytest.fixture
def world(services):
    # Short paths: socket names have 107 bytes at most.
    folder = tempfile.mkdtemp(prefix="sl-", dir="/tmp")
    made = World(services, folder)
    try:
        yield made
    finally:
        made.end()
        for top, folders, _ in os.walk(folder):
            for name in folders:
                path = os.path.join(top, name)
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
        shutil.rmtree(folder, ignore_errors=True)

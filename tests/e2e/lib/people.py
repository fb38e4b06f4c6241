"""People and bots at a terminal: each with a home of its own, the sluice program, and no flags of TLS."""
import json
import os
import subprocess

import harness
import pytest
from secure import SecureServer


class Person:
    """person("whoami") runs sluice in that person's home, without this test's environment."""

    def __init__(self, folder, env=None):
        self.home = str(folder)
        os.makedirs(self.home, exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "XDG_"))}
        self.env.update({"HOME": self.home, "NO_COLOR": "1", **(env or {})})

    def __call__(self, *words, code=0, stdin=""):
        done = subprocess.run([harness.CLI, *map(str, words)], env=self.env, input=stdin, capture_output=True, text=True, timeout=60)
        assert code is None or done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words):
        return json.loads(self(*words, "-o", "json").stdout)

    def audit(self):
        return [json.loads(line) for line in self("audit", "ls", "-o", "json").stdout.splitlines()]

    def start(self, *words):
        return subprocess.Popen([harness.CLI, *map(str, words)], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def path(self, *names):
        return os.path.join(self.home, ".config/sluice", *names)

    def read(self, name, context="default"):
        with open(self.path("contexts", context, name), encoding="ascii") as file:
            return file.read()


def sluiced_token(server, *words, code=0):
    done = subprocess.run([harness.SLUICED, "token", "--data", server.folder, *words], capture_output=True, text=True, timeout=60)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


def admin_of(server, folder):
    """The first administrator, by what the server's host gives."""
    person = Person(folder)
    person("login", stdin=sluiced_token(server, "--login").stdout)
    return person


def serve(services, folder, *flags):
    return SecureServer(services, str(folder), flags=["--heartbeat", "2s", *flags]).start()


@pytest.fixture
def make_server(services, tmp_path):
    made = []

    def make(*flags):
        made.append(serve(services, tmp_path / f"server{len(made)}", *flags))
        return made[-1]

    yield make
    for server in made:
        server.end()


@pytest.fixture
def server(make_server):
    return make_server()

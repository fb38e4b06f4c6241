"""A real sluiced, a file:// Git repository and the sluice program."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(os.environ["TEST_SRCDIR"]) / os.environ["TEST_WORKSPACE"]
SLUICED, SLUICE, AGENT = (ROOT / p for p in ("server/sluiced", "client/cli/sluice", "agent/sluice-agent"))
ENV = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")} | {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def until(condition, what):
    """The value of condition() as soon as it is one."""
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.05)  # between two looks
    return value


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


class Repo:
    """A work tree and the bare repository that it pushes to."""

    def __init__(self, path):
        self.work, self.bare = path / "work", path / "origin.git"
        self.git(path, "init", "-q", "-b", "main", str(self.work))
        self.git(path, "init", "-q", "--bare", "-b", "main", str(self.bare))
        self.url = f"file://{self.bare}"

    def git(self, where, *args):
        subprocess.run(["git", *args], cwd=where, env=ENV, check=True, stdout=subprocess.DEVNULL)

    def commit(self, name, text, message):
        file = self.work / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.git(self.work, "add", "-A")
        self.git(self.work, "commit", "-qm", message)
        for left in range(20, 0, -1):  # Sluice commits on the branch, too
            if subprocess.run(["git", "fetch", "-q", str(self.bare), "main"], cwd=self.work, env=ENV, stderr=subprocess.DEVNULL).returncode == 0:
                self.git(self.work, "rebase", "-q", "FETCH_HEAD")
            done = subprocess.run(["git", "push", "-q", str(self.bare), "main"], cwd=self.work, env=ENV, capture_output=left > 1)
            if done.returncode == 0:
                return
        raise AssertionError("somebody else is always faster")


class Server:
    def __init__(self, path):
        self.data, self.log, self.port, self.process = path / "data", path / "sluiced.log", 0, None
        self.start()

    def start(self):
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [SLUICED, "serve", "--data", self.data, "--insecure", "--listen", f"127.0.0.1:{self.port}",
                 "--metrics-listen", "127.0.0.1:0"], env=ENV, stdout=log, stderr=log)
        found = until(lambda: self.process.poll() is not None or re.search(r" listening port=(\d+)", self.log.read_text()), "listening")
        assert found is not True, self.log.read_text()
        self.port = int(found[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.log.read_text()


class Fleet:
    """What one test needs: sluice(...) runs the program against the server."""

    def __init__(self, path, server, repo):
        self.path, self.server, self.repo, self.agents = path, server, repo, []

    @property
    def env(self):
        return ENV | {"SLUICE_SERVER": f"127.0.0.1:{self.server.port}", "XDG_CONFIG_HOME": str(self.path / "config")}

    def sluice(self, *args, code=0, stdin=subprocess.DEVNULL, **more):
        done = Result(subprocess.run([SLUICE, *map(str, args)], env=self.env, stdin=stdin, text=True,
                                     capture_output=True, timeout=180, **more))
        if code is not None:
            assert done.code == code, f"{args}: {done.code}\n{done.out}\n{done.err}"
        return done

    def background(self, *args):
        return subprocess.Popen([SLUICE, *map(str, args)], env=self.env, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def agent(self, instance, *args):
        log = open(self.path / f"{instance}.log", "w")
        self.agents.append(subprocess.Popen(
            [AGENT, "--server", f"127.0.0.1:{self.server.port}", "--instance", instance, "--state",
             self.path / instance, *args], env=ENV, stdout=log, stderr=log))

    def promoted(self, app, version, *environments):
        for environment in environments:
            self.sluice("wait", app, version, "--content")
            if environment != "staging":
                self.sluice("wait", app, version, "--published")
            self.sluice("promote", app, version, "--to", environment, "--yes")


@pytest.fixture
def fleet(tmp_path):
    repo = Repo(tmp_path)
    repo.commit("apps/shop/index.html", "one\n", "First shop")
    server = Server(tmp_path)
    it = Fleet(tmp_path, server, repo)
    yield it
    for agent in it.agents:
        agent.terminate()
        agent.wait(60)
    if server.process.poll() is None:
        server.stop()

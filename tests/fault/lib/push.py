"""Writing to a Git host that goes away in the middle: what is owed to it, and folders that are pushed. Each ends as exactly one commit."""
import subprocess

import harness

FORM = "%s|%(trailers:key=Sluice-Operation,valueonly,separator=%x2C)"
DEADLINE_S, SLACK_S = 5, 10
FLAGS = ["--git-deadline", f"{DEADLINE_S}s"]  # of the server


def cut(piece, up, offset):
    """For Proxy.change: the connection ends behind the first words that are sent to the host."""
    if up and offset > 0:
        raise OSError("cut")
    return piece


def lose(piece, up, offset):
    """The same: behind the host's first words. What was pushed is there, and its pusher is not told."""
    if not up and offset > 0:
        raise OSError("lost")
    return piece


class Pushes:
    """Of an app of its own beside that of a fleet, whose Git host is behind a proxy, and whose server gives its Git jobs few seconds."""

    def __init__(self, run, fleet, client):
        self.run, self.fleet, self.number, self.newest = run, fleet, 0, "v1"
        fleet.repository.commit({"apps/pushed/index.html": "pushed 0\n"})
        client.CreateApp(name="pushed", repository="fleet")
        harness.wait_content(client, "pushed", "v1")

    def through(self, client, what, away):
        """away() breaks the way to the host. A version is made, whose commit is owed, and a folder is pushed into it; the Git child ends at its
        deadline; when the way is whole again both are there once, in order."""
        fleet, self.number = self.fleet, self.number + 1
        name, message = f"p{self.number}", f"push {self.number}"
        files = {"index.html": f"pushed {self.number}\n"}
        upload = client.UploadContent(app="pushed", data=harness.archive(files), last=True).upload
        away()
        client.CreateVersion(app="pushed", name=name, **{"from": self.newest})
        client.PushVersion(app="pushed", version=name, upload=upload, message=message)
        harness.until(lambda: any(item.attempts for item in self.owed(client)), 60, f"{what}: an attempt that has ended")
        for item in self.owed(client):
            self.run.report.require(not item.parked, "R7", f"{what}: '{item.text}' is parked: {item.failure} {item.failure_text}")
        late = overdue(fleet.server)
        self.run.report.require(not late, "R7", f"{what}: Git children that outlived their deadline: {late}")
        fleet.git.heal()
        fleet.git.reset()
        client.RefreshRepository(repository="fleet")
        harness.until(lambda: not self.owed(client), 90, f"{what}: an empty outbox")
        content = harness.wait_content(client, "pushed", name, timeout=60)
        self.judge(what, content, [f"Version {name} of pushed created", f"Version {name} of pushed : {message}"])
        self.newest = name
        self.run.count("pushes to a host that went away")

    def owed(self, client):
        return list(client.ListOwed(repository="fleet").items)

    def judge(self, what, content, wanted):
        repository, require = self.fleet.repository, self.run.report.require
        lines = [line.rsplit("|", 1) for line in repository.log(FORM)]
        operations = [operation for _, operation in lines if operation]
        require(len(set(operations)) == len(operations), "R4", f"{what}: an operation has two commits: {lines}")
        require([line[0] for line in lines if line[0] in wanted] == wanted, "R4", f"{what}: {[line[0] for line in lines]}, not {wanted} once and in order")
        require(repository.show("apps/pushed/index.html", content.commit) == f"pushed {self.number}", "R1", f"{what}: {content.commit} is not what was pushed")


def overdue(server):
    """The server's Git children that should have ended."""
    lines = subprocess.run(["ps", "-o", "etimes=,args=", "--ppid", str(server.program.process.pid)], capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if "git-worker" in line and int(line.split()[0]) > DEADLINE_S + SLACK_S]

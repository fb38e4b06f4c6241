"""README's chapters 'Quick start' and 'Operating Sluice' are true: every command in them is run here, as it stands there but for folders and
ports; the table of metrics is what /metrics prints; the alerts are about metrics that exist and are in the table."""
import os
import pty
import re
import subprocess
import urllib.request

import grpc
import pytest
import yaml

import harness

README = os.path.join(harness.ROOT, "README.md")
RULES = os.path.join(harness.ROOT, "docs/prometheus-rules.yml")

# What each command must print, stdout and stderr. A command that is not here is not known to work: the test fails.
PRINTS = {
    "curl -fsS http://127.0.0.1:9443/readyz": "ok|ready",
    "curl -fsS http://127.0.0.1:9443/healthz": "ok",
    "curl -fsS http://127.0.0.1:9443/metrics": r"(?m)^sluice_store_revision \d+$",
    "sluice admin stats": r"Map: .*\n.*Used:",
    "sluice status": r"shop[\s\S]*v1",
    "sluice explain prod-1 shop": r"v1",
    "sluice instance show prod-1": r"(?i)online",
    "sluice-agent status --state /var/lib/sluice-agent": r"shop +v1 +v1 +HEALTHY",
    "sluice-agent check --state /var/lib/sluice-agent": r"ok +server",
    "sluice admin compact": r"\d+",
    "sluiced keys export /backup/keys.tar --data /var/lib/sluice": r"holds the \d+ key files",
    "tar -xpf /backup/keys.tar -C /var/lib/sluice-restored": "^$",
    "sluice backup /backup/sluice-$(date +%F)": "backup",
    "sluiced restore /backup/sluice-$(date +%F) --data /var/lib/sluice-restored": "restor",
    "sluiced verify /var/lib/sluice-restored": ", 0 faults",
    "sluice admin resume": "the recovery is over",
    "sluice backup /backup/before-upgrade": "backup",
    "sluiced --version": r"^sluiced \d+\.\d+\.\d+$",
    "sluice instance ls": r"prod-1 +production",
}
# Those of the quick start; what is asked on a terminal is answered with yes.
STARTS = {
    "sluiced init --data /var/lib/sluice": "(?s)Recovery key.*Access token",
    "sluiced token --data /var/lib/sluice --login | sluice login": "as admin, workspace default; context default is in use",
    "sluice instance add prod-1 --env production --url http://prod-1.example.org > prod-1.json": "good once",
    "sluice-agent enroll --join prod-1.json --state /var/lib/sluice-agent": "instance prod-1",
    "sluice app create shop --repo https://git.example.org/apps.git": "shop",
    "sluice promote shop v1 --to staging": "is in staging now",
    "sluice wait shop v1 --published": "done",
    "sluice promote shop v1 --to production": "is in production now",
    "sluice release shop v1 --wait": "done",
    "sluice status": "v1",
}
SERVE = re.compile(r"sluiced serve --data (\S+) &")
KILL = re.compile(r"kill \$\(cat (\S+)/lock\)")


def chapter(name="Operating Sluice"):
    with open(README, encoding="utf-8") as file:
        return file.read().split(f"\n## {name}\n")[1].split("\n## ")[0]


def commands(name="Operating Sluice"):
    """The indented lines, without their comments."""
    return [re.sub(r"\s{2,}#.*", "", line).strip() for line in chapter(name).splitlines() if line.startswith("    ")]


class Host:
    """Runs the chapter's commands with its folders below a scratch folder and its ports replaced."""

    def __init__(self, world, services):
        self.world, self.services, self.server = world, services, None
        self.port, self.metrics_port, self.door_port = harness.free_port(), harness.free_port(), harness.free_port()
        self.url = "file:///nowhere"
        bin_folder = world.path("bin")
        os.makedirs(bin_folder)
        for program in (harness.SLUICED, harness.AGENT, harness.CLI):
            os.symlink(program, os.path.join(bin_folder, os.path.basename(program)))
        for folder in ("lib", "backup"):
            os.makedirs(world.path(folder))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "XDG_"))}
        self.env.update({
            "PATH": bin_folder + ":" + os.environ["PATH"], "HOME": world.folder, "NO_COLOR": "1", "SLUICE_DOOR_LISTEN": f"127.0.0.1:{self.door_port}",
            "SLUICE_ALLOW_LOCAL_REPOS": "true", "SLUICE_LISTEN": f"127.0.0.1:{self.port}", "SLUICE_METRICS_LISTEN": f"127.0.0.1:{self.metrics_port}",
            "SLUICE_MAP_SIZE": "256M", "SLUICE_DISK_RESERVE": "1M",
        })

    def here(self, command):
        for stands, is_here in (("/var/lib", self.world.path("lib")), (" /backup", " " + self.world.path("backup")),
                                (" prod-1.json", " " + self.world.path("prod-1.json")), ("https://git.example.org/apps.git", self.url),
                                ("127.0.0.1:9443", f"127.0.0.1:{self.metrics_port}")):
            command = command.replace(stands, is_here)
        return command

    def client(self):
        """As whoever is logged in here."""
        files = [os.path.join(self.world.folder, ".config/sluice/current", name) for name in ("ca.pem", "key.pem", "cert.pem")]
        return harness.Client(self.services, self.port, (), grpc.ssl_channel_credentials(*(open(name, "rb").read() for name in files)))

    def agent(self, command):
        return self.world.add(harness.Program(["bash", "-c", "exec " + self.here(command).rstrip("& ")], env=self.env))

    def serve(self, command):
        self.server = self.world.add(harness.Program(["bash", "-c", "exec " + self.here(command).rstrip("& ")], env=self.env))
        self.server.wait_line("listening port=")

    def kill(self, command):
        self.run(command)
        assert self.server.wait(60) == 0

    def run(self, command):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", self.here(command)], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def answer_yes(self, command):
        """On a terminal, as somebody would."""
        ours, theirs = pty.openpty()
        program = subprocess.Popen(["bash", "-c", self.here(command)], env=self.env, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        os.close(theirs)
        os.write(ours, b"y\n")
        output, _ = program.communicate(timeout=60)
        os.close(ours)
        assert program.returncode == 0, output
        return output


def release_shop(world, host):
    """An app and an instance for the commands to be about."""
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"})
    host.run("sluiced token --data /var/lib/sluice --login | sluice login")
    client = host.client()
    client.CreateRepository(name="apps", url=world.git_host("file").url(repository))
    host.run("sluice instance add prod-1 --env production > prod-1.json")
    host.run("sluice-agent enroll --join prod-1.json --state /var/lib/sluice-agent")
    client.CreateApp(name="shop", repository="apps")
    harness.wait_content(client, "shop", "v1")
    client.Promote(app="shop", version="v1", **{"from": "development"})
    harness.wait_published(client, "shop", "v1")
    client.Promote(app="shop", version="v1", **{"from": "staging"})
    client.Release(app="shop", version="v1")
    host.agent("sluice-agent run --state /var/lib/sluice-agent")
    client.WaitFor(timeout=60, app="shop", environment="production", condition=1)
    client.close()


def test_every_command_of_the_quick_start_works(world, services):
    host = Host(world, services)
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"})
    host.url = world.git_host("file").url(repository)
    mine = [c for c in commands("Quick start") if not re.match(r"(bazel|export) ?", c) and "bazel" not in c]
    assert set(STARTS) <= set(mine), "README no longer has: " + ", ".join(sorted(set(STARTS) - set(mine)))
    for command in mine:
        if SERVE.fullmatch(command):
            host.serve(command)
        elif command == "sluice-agent run --state /var/lib/sluice-agent &":
            host.agent(command).wait_line("connected")
        else:
            asks = command.startswith(("sluice promote", "sluice release"))
            output = host.answer_yes(command) if asks else host.run(command)
            assert re.search(STARTS[command], output), f"{command} printed:\n{output}"
            if command.endswith("--to production"):  # a plan of the release would not hold while it is being fetched
                assert host.client().WaitFor(app="shop", version="v1", environment="production", condition=2, timeout_ms=50000).done
    with open(host.here("/var/lib/sluice-agent/apps/shop/current/index.html"), encoding="utf-8") as page:
        assert page.read() == "one\n"


def test_every_command_of_the_chapter_works(world, services):
    host = Host(world, services)
    host.run("sluiced init --data /var/lib/sluice")
    all_of_it = commands()
    assert len(all_of_it) > 15
    assert set(PRINTS) <= set(all_of_it), "README no longer has: " + ", ".join(sorted(set(PRINTS) - set(all_of_it)))
    fresh = True
    for command in all_of_it:
        if SERVE.fullmatch(command):
            host.serve(command)
            if fresh:
                release_shop(world, host)
            fresh = False
        elif KILL.fullmatch(command):
            host.kill(command)
        else:
            assert command in PRINTS, f"not run by this test: {command}"
            output = host.answer_yes(command) if command == "sluice admin resume" else host.run(command)
            assert re.search(PRINTS[command], output), f"{command} printed:\n{output}"


# --- metrics ----------------------------------------------------------------------------------


def table_names():
    rows = re.findall(r"^\| ((?:`sluice_[a-z_]+`(?:, )?)+) \|", chapter(), re.M)
    return [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]


@pytest.fixture
def printed(world):
    """Names of the families that /metrics prints, once a call has been made."""
    server = world.server()
    server.client().GetStats()

    def names():
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=60) as reply:
            return re.findall(r"^# TYPE (\S+)", reply.read().decode(), re.M)

    harness.until(lambda: "sluice_rpc_seconds" in names(), 60, "the call is counted")
    return names()


def test_the_table_of_metrics_is_what_metrics_prints(printed):
    assert sorted(table_names()) == sorted(printed)


def test_alerts_are_about_metrics_that_exist_and_are_named_in_the_chapter(printed):
    with open(RULES, encoding="utf-8") as file:
        groups = yaml.safe_load(file)["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule
        named = re.findall(r"\bsluice_[a-z_]+", rule["expr"])
        assert set(named) <= set(printed), rule["expr"]
        assert named or rule["expr"].startswith("up{")
    assert sorted(rule["alert"] for rule in rules) == sorted(set(re.findall(r"\bSluice[A-Z][A-Za-z]+", chapter())))


# --- flags ------------------------------------------------------------------------------------


def test_flags_that_the_chapter_names_exist():
    known = set()
    for program in (harness.SLUICED, harness.AGENT, harness.CLI):
        page = subprocess.run([program, "man", "markdown"], check=True, capture_output=True, text=True).stdout
        known |= set(re.findall(r"`(--[a-z-]+)", page))
    named = set(re.findall(r"(?<![\w`-])(--[a-z][a-z-]+)|`(--[a-z][a-z-]+)", chapter()))
    assert named
    assert {a or b for a, b in named} - {"--version", "--help"} <= known

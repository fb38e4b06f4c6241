"""Instances under a real server: hook and probe, put back, degraded, pause, retry, removal, server and Git host away."""
import json
import os
import re
import signal
import stat
import subprocess
import time

import harness

HEALTHY, DEGRADED, FAILED, ROLLED_BACK = 6, 8, 9, 10


class Shop:
    """An app in development on one instance, with a Git host."""

    def __init__(self, world, agent_flags=(), instance="dev-1", before=None):
        self.world = world
        self.repository = world.repository()
        self.repository.commit({"apps/shop/index.html": "one\n"})
        self.host = world.git_host("git")
        self.server = world.server(["--heartbeat", "5s"])
        self.client = self.server.client()
        self.client.RegisterInstance(name=instance, environment="development")
        self.agent = world.agent(self.server, instance, ["--probe-every", "200ms", *agent_flags])
        self.client.CreateApp(name="shop", repository_url=self.host.url(self.repository))
        self.serves("one\n")

    def version(self, name, files):
        self.repository.commit(files)
        self.client.CreateVersion(app="shop", name=name)
        harness.wait_content(self.client, "shop", name)

    def status(self):
        found = self.client.GetStatus(app="shop", with_instances=True).instances
        return found[0] if found else None

    def serves(self, text, timeout=60):
        harness.until(lambda: (self.agent.serves("shop") or {}).get("index.html") == text, timeout, f"serving {text!r}")

    def phase(self, phase, timeout=60):
        return harness.until(lambda: (lambda s: s if s and s.phase == phase else None)(self.status()), timeout, f"phase {phase}")


def script(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def lines(path):
    return open(path, encoding="ascii").read().splitlines() if os.path.exists(path) else []


def test_a_failed_probe_puts_the_previous_version_back(world):
    log = world.path("hook.log")
    hook = script(world.path("hook"), f'echo "$SLUICE_REASON $1 $2" >> {log}\n')
    probe = script(world.path("probe"), "! grep -q bad \"$1\"\n")
    current = world.path("agent-dev-1") + "/apps/{slug}/current/index.html"
    shop = Shop(world, ["--hook", hook, "--probe", f"cmd:{probe} {current}", "--probe-deadline", "8s", "--probe-timeout", "8s"])
    shop.phase(HEALTHY)
    shop.version("v2", {"apps/shop/index.html": "bad\n"})
    status = shop.phase(ROLLED_BACK)
    assert status.subject.name == "v2" and status.active.name == "v1" and status.error
    assert shop.agent.serves("shop") == {"index.html": "one\n"}
    assert lines(log) == ["activate shop v1", "activate shop v2", "rollback shop v1"]
    explained = shop.client.Explain(instance="dev-1", app="shop")
    assert any(not step.ok for step in explained.steps) and explained.conclusion and explained.advice
    waited = shop.client.WaitFor(condition=1, app="shop", environment="development", timeout_ms=5000)
    assert not waited.done and waited.failed == 1 and [f.instance for f in waited.failures] == ["dev-1"]
    # It is not tried again by itself; on RetryInstance it is.
    shop.client.RetryInstance(instance="dev-1")
    harness.until(lambda: len(lines(log)) >= 5, 60, "the second attempt")
    shop.phase(ROLLED_BACK)
    shop.version("v3", {"apps/shop/index.html": "three\n"})
    shop.serves("three\n")
    shop.phase(HEALTHY)


def test_three_misses_are_degraded_and_nothing_is_put_back(world):
    flag = world.path("sick")
    probe = script(world.path("probe"), f"test ! -e {flag}\n")
    shop = Shop(world, ["--probe", f"cmd:{probe}"])
    shop.phase(HEALTHY)
    open(flag, "w", encoding="ascii").close()
    shop.phase(DEGRADED)
    assert shop.agent.serves("shop") == {"index.html": "one\n"}
    os.unlink(flag)
    shop.phase(HEALTHY)


def test_it_serves_and_starts_with_server_and_git_host_away(world):
    shop = Shop(world)
    shop.host.stop()
    shop.server.kill()
    shop.agent.kill()
    assert shop.agent.serves("shop") == {"index.html": "one\n"}
    shop.agent.start()
    shop.agent.program.wait_line("serv|start|state", 60)
    assert shop.agent.serves("shop") == {"index.html": "one\n"}
    environment = {**os.environ, "SLUICE_SERVER": f"127.0.0.1:{shop.server.port}", "SLUICE_INSTANCE": "dev-1"}

    def ask(*words):
        return subprocess.run([harness.AGENT, *words, "--state", shop.agent.folder], capture_output=True, text=True, timeout=60, env=environment)

    status = ask("status", "-o", "json")
    assert status.returncode == 0 and "shop" in json.dumps(json.loads(status.stdout)), status
    check = ask("check")
    assert check.returncode == 3, check
    for word in ("clock", "server", "git", "disk", "shop"):
        assert word in check.stdout.lower(), check.stdout
    shop.server.start()
    shop.host.start()
    shop.client = shop.server.client()
    shop.version("v2", {"apps/shop/index.html": "two\n"})
    shop.serves("two\n", 60)


def test_files_are_view_only_and_versions_go_when_nobody_names_them(world):
    shop = Shop(world)
    top = os.path.realpath(shop.agent.current("shop"))
    assert stat.S_IMODE(os.stat(os.path.join(top, "index.html")).st_mode) == 0o444
    assert stat.S_IMODE(os.stat(top).st_mode) == 0o555
    assert os.path.basename(top).startswith("v1-")


def test_a_paused_instance_activates_nothing_new(world):
    shop = Shop(world)
    shop.phase(HEALTHY)
    shop.client.PauseInstance(instance="dev-1")
    shop.version("v2", {"apps/shop/index.html": "two\n"})
    harness.until(lambda: any("v2" in v or v for v in shop.status().staged if v == shop.status().desired.id), 60, "v2 staged")
    assert shop.agent.serves("shop") == {"index.html": "one\n"}
    shop.client.ResumeInstance(instance="dev-1")
    shop.serves("two\n")


def test_a_removed_instance_keeps_serving_and_stops_dialling(world):
    shop = Shop(world)
    shop.client.RemoveInstance(instance="dev-1")
    shop.agent.program.wait_line("(?i)removed", 60)
    assert shop.agent.serves("shop") == {"index.html": "one\n"}
    assert list(shop.client.ListInstances().instances) == []
    done = subprocess.run([harness.AGENT, "status", "--state", shop.agent.folder], capture_output=True, text=True, timeout=30)
    assert "removed" in (done.stdout + done.stderr).lower()


def test_a_state_folder_belongs_to_one_instance(world):
    shop = Shop(world)
    shop.agent.kill()
    shop.client.RegisterInstance(name="dev-2", environment="development")
    other = world.add(harness.Agent(shop.server, shop.agent.folder, "dev-2")).start()
    assert other.program.wait(60) != 0
    assert "dev-1" in "\n".join(other.program.lines)
    assert shop.agent.serves("shop") == {"index.html": "one\n"}


def test_a_second_agent_on_the_folder_is_refused(world):
    shop = Shop(world)
    second = world.add(harness.Agent(shop.server, shop.agent.folder, "dev-1")).start()
    assert second.program.wait(60) != 0
    assert shop.agent.program.running


def test_sigterm_ends_it_and_serving_goes_on(world):
    shop = Shop(world)
    shop.agent.program.kill(signal.SIGTERM)
    assert shop.agent.program.wait(60) == 0
    assert shop.agent.serves("shop") == {"index.html": "one\n"}


def test_a_deleted_app_is_taken_down_and_one_that_is_placed_elsewhere_too(world):
    shop = Shop(world)
    shop.client.UpdateApp(app="shop", placement={"zone": "elsewhere"})
    harness.until(lambda: shop.agent.serves("shop") is None, 60, "taken down")
    shop.client.UpdateInstance(instance="dev-1", labels={"zone": "elsewhere"})
    shop.serves("one\n")


def test_liveness(world):
    shop = Shop(world)

    def liveness():
        return shop.client.GetInstance(instance="dev-1").instance.agent.liveness

    harness.until(lambda: liveness() == 2, what="online")
    shop.agent.program.kill(signal.SIGSTOP)
    harness.until(lambda: liveness() == 3, what="late")  # for 2.4 times the heartbeat
    harness.until(lambda: liveness() == 4, what="offline")
    shop.agent.program.kill(signal.SIGCONT)
    harness.until(lambda: liveness() == 2, what="online again")


def when(line):
    """The time of a line of a log; times of one machine compare as texts."""
    return re.match(r"\d{4}-\d\d-\d\dT\S+", line).group(0)


def test_it_is_back_soon_after_the_server_is(world):
    """Each attempt is a fresh one: no back-off of the channel's below, no stale "connection refused"."""
    shop = Shop(world)
    shop.server.kill()
    shop.agent.program.wait_line(r"Connection refused", 60)
    time.sleep(3)  # the pause between attempts has grown
    before = len(shop.agent.program.lines)
    shop.server.start()
    listens = when(next(line for line in shop.server.program.lines if " listening " in line))

    def since(words):
        return [line for line in shop.agent.program.lines[before:] if words in line and when(line) > listens]

    harness.until(lambda: since(" connected "), what="connected again")
    assert len(since("Connection refused")) <= 1, since("")  # one attempt may have been under way


def du(folder):
    """Bytes that the file system gives to a folder."""
    done = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def test_old_versions_leave_the_disk(world):
    """Kept are what the manifest names (selected and the one before), what was served before, and --keep."""
    shop = Shop(world, ["--keep", "1", "--prune-after", "1500ms"])
    versions = os.path.join(shop.agent.folder, "apps", "shop", "versions")
    big, most = "x" * 3_000_000, 0
    for i in range(2, 8):
        shop.version(f"v{i}", {"apps/shop/index.html": f"{i}\n", "apps/shop/big": big + str(i)})
        shop.serves(f"{i}\n")
        most = max(most, du(versions))
    harness.until(lambda: len(os.listdir(versions)) <= 3, 60, "3 versions on disk")
    names = {name.split("-")[0] for name in os.listdir(versions)}
    assert {"v7", "v6"} <= names, names
    assert most > du(versions) + 3_000_000 and du(versions) < 10_000_000
    staging = os.path.join(shop.agent.folder, "staging")
    harness.until(lambda: not os.listdir(staging), 60, "what was moved there is deleted")
    shop.phase(HEALTHY)
    assert shop.agent.serves("shop")["index.html"] == "7\n"
    # The server knows what is there, and an agent that starts anew too.
    harness.until(lambda: len(shop.status().staged) == len(names), 60, f"the server knows of {names} and nothing else")
    shop.agent.kill()
    shop.agent.start()
    shop.phase(HEALTHY)
    assert {name.split("-")[0] for name in os.listdir(versions)} == names


def test_it_serves_on_while_the_content_of_a_draft_is_looked_up(world):
    shop = Shop(world)
    def sequence():
        return shop.client.GetInstance(instance="dev-1").instance.agent.sequence

    before = sequence()
    shop.client.SetVersionContent(app="shop", version="v1", commit="no-such-branch")
    harness.wait_content(shop.client, "shop", "v1", "FAILED")
    harness.until(lambda: sequence() > before, 60, "the manifest without the version")
    assert shop.agent.serves("shop") == {"index.html": "one\n"}
    shop.repository.commit({"apps/shop/index.html": "two\n"})
    shop.client.SetVersionContent(app="shop", version="v1", commit="main")
    shop.serves("two\n")


def test_a_recalled_version_is_taken_down_though_another_is_on_its_way(world):
    shop = Shop(world)
    shop.client.CreateVersion(app="shop", name="v2", commit="no-such-branch")
    harness.wait_content(shop.client, "shop", "v2", "FAILED")
    shop.client.BlockVersion(app="shop", version="v1", mode=2, write={"reason": "leaks"})
    harness.until(lambda: shop.agent.serves("shop") is None, 60, "taken down")

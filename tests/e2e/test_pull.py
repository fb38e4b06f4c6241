"""Instances that pull by hand: what waits, what it brings, what a pull lets through and what it does not."""
import json
import subprocess

import pytest
import harness

AUTO, MANUAL = 1, 2
STAGED = 2


class Staging:
    """App `shop` of a real Git host, and one MANUAL instance in staging that has nothing yet."""

    def __init__(self, world, scheme="http"):
        self.repository = world.repository()
        self.repository.commit({"apps/shop/index.html": "one\n"}, "First of all")
        self.host = world.git_host(scheme)
        self.server = world.server(["--heartbeat", "2s"])
        self.client = self.server.client()
        self.client.RegisterInstance(name="stg-1", environment="staging", pull=MANUAL)
        self.agent = world.agent(self.server, "stg-1")
        self.client.CreateApp(name="shop", repository_url=self.host.url(self.repository), version_name="v1")
        self.promote("v1")

    def promote(self, version):
        harness.wait_content(self.client, "shop", version)
        self.client.Promote(app="shop", version=version, **{"from": "development"})
        harness.wait_published(self.client, "shop", version)

    def version(self, name, *changes):
        """changes: (files, message)"""
        for files, message in changes:
            self.repository.commit(files, message)
        self.client.CreateVersion(app="shop", name=name)
        self.promote(name)

    def step(self):
        return self.client.CheckForUpdates(instance="stg-1", app="shop")

    def waits_for(self, version):
        return harness.until(lambda: (lambda step: step if step.update.held and step.update.to.name == version else None)(self.step()), 60, f"{version} waiting")

    def pull(self, step):
        return self.client.Pull(instance="stg-1", app="shop", version=step.update.to.id, commit=step.update.commit)

    def serves(self, text):
        harness.until(lambda: (self.agent.serves("shop") or {}).get("index.html") == text, 60, f"serving {text!r}")

    def cli(self, *words, code=0):
        done = subprocess.run([harness.CLI, "--server", f"127.0.0.1:{self.server.port}", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done
        return done.stdout

    def agent_says(self):
        done = subprocess.run([harness.AGENT, "status", "--state", self.agent.folder], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout


@pytest.mark.parametrize("scheme", ["http", "git"])
def test_each_step_waits_and_says_what_it_brings(world, scheme):
    staging = Staging(world, scheme)
    first = staging.waits_for("v1")
    assert not first.update.HasField("from") and [c.message for c in first.commits] == ["First of all"]
    assert staging.agent.serves("shop") is None
    staging.pull(first)
    staging.serves("one\n")
    staging.version(
        "v2",
        ({"apps/shop/index.html": "two\n", "apps/shop/b.html": "b\n"}, "Two files"),
        ({"README": "of no app\n"}, "Aside"),
        ({"apps/shop/b.html": "c\n"}, "One file"),
    )
    second = staging.waits_for("v2")
    assert [(c.message, c.files) for c in second.commits] == [("One file", 1), ("Two files", 2)]
    assert all(c.author == "Ada <ada@example.org>" and c.at.seconds and len(c.commit) == 40 for c in second.commits)
    assert getattr(second.update, "from").name == "v1" and second.update.files == 2
    status = staging.client.GetStatus(app="shop", with_instances=True).instances[0]
    assert status.update.name == "v2" and status.active.name == "v1" and not status.converged
    why = staging.client.Explain(instance="stg-1", app="shop")
    assert "an update is available (MANUAL)" in why.conclusion and "sluice pull" in why.advice
    harness.until(lambda: "an update is available (MANUAL)" in staging.agent_says(), 60, "the agent's own word")
    # It stays so over a restart of either, and is let through once.
    staging.agent.kill()
    staging.server.kill()
    staging.client = staging.server.start().client()
    staging.agent.start()
    staging.waits_for("v2")
    assert staging.agent.serves("shop")["index.html"] == "one\n"
    staging.pull(second)
    staging.serves("two\n")
    harness.until(lambda: not staging.step().HasField("update"), 60, "no step any more")
    pulls = [r.entry for r in staging.client.ListAuditRecords(method="Pull").records]
    assert [(e.method, e.principal) for e in pulls] == [("Pull", "anonymous")] * 2


def test_a_version_that_comes_in_between_is_not_let_through(world):
    staging = Staging(world)
    staging.pull(staging.waits_for("v1"))
    staging.serves("one\n")
    staging.version("v2", ({"apps/shop/index.html": "two\n"}, "Two"))
    seen = staging.waits_for("v2")
    staging.version("v3", ({"apps/shop/index.html": "three\n"}, "Three"))
    staging.waits_for("v3")
    # v2 is still kept (the one before), so it can be pulled; v3 waits, and v2 is not what is told to run.
    staging.pull(seen)
    staged = staging.client.WaitFor(condition=STAGED, app="shop", version="v2", environment="staging", instance="stg-1", timeout_ms=40000)
    assert staged.done
    assert staging.waits_for("v3") and staging.agent.serves("shop")["index.html"] == "one\n"
    # Back to what is on disk is no fetching: nothing holds it.
    staging.client.SelectVersion(app="shop", version="v2", environment="staging")
    staging.serves("two\n")
    staging.client.SelectVersion(app="shop", version="v1", environment="staging")
    staging.serves("one\n")
    staging.client.ClearSelection(app="shop", environment="staging")
    with pytest.raises(harness.Refused) as refused:
        staging.client.Pull(instance="stg-1", app="shop", version="v1")
    assert refused.value.reason == "STALE_EXPECTATION"
    # AUTO again: it fetches by itself.
    staging.client.UpdateInstance(instance="stg-1", pull=AUTO)
    staging.serves("three\n")


def test_steps_are_listed_with_the_git_host_away_and_pulled_when_it_is_back(world):
    staging = Staging(world, "git")
    staging.host.stop()
    step = staging.waits_for("v1")
    assert [c.message for c in step.commits] == ["First of all"]  # the server's mirror has them
    staging.pull(step)
    harness.until(lambda: staging.client.GetStatus(app="shop", with_instances=True).instances[0].error, 60, "an error of the fetch")
    staging.host.start()
    staging.serves("one\n")


def test_the_command_line(world):
    staging = Staging(world)
    staging.waits_for("v1")
    assert "MANUAL" in staging.cli("instance", "show", "stg-1")
    listed = staging.cli("updates", "stg-1")
    assert "shop" in listed and "v1" in listed and "waits for sluice pull" in listed
    shown = staging.cli("updates", "stg-1", "shop")
    assert "First of all" in shown and "Ada <ada@example.org>" in shown
    assert json.loads(staging.cli("-o", "json", "updates", "stg-1", "shop"))["update"]["held"] is True
    assert "update" in staging.cli("status", "shop")
    staging.cli("pull", "stg-1", "shop", "--wait")
    staging.serves("one\n")
    harness.until(lambda: "has what it is told" in staging.cli("updates", "stg-1", "shop"), 60, "no step any more")
    assert "has all" in staging.cli("updates", "stg-1")
    assert "pull AUTO" in staging.cli("instance", "set", "stg-1", "--pull", "auto")
    staging.cli("instance", "set", "stg-1", code=64)
    staging.cli("instance", "add", "stg-2", "--env", "staging", "--pull", "manual")
    assert "MANUAL" in staging.cli("instance", "show", "stg-2")


def test_new_commits_are_seen_counted_and_never_promoted(world):
    repository, host = world.repository(), world.git_host("http")
    repository.commit({"apps/shop/index.html": "one\n", "apps/blog/index.html": "blog\n"}, "First of all")
    server = world.server(["--poll-every", "300ms"])
    client = server.client()
    client.CreateApp(name="shop", repository_url=host.url(repository), version_name="v1")
    client.CreateApp(name="blog", repository_url=host.url(repository), version_name="v1")
    for app in ("shop", "blog"):
        harness.wait_content(client, app, "v1")

    def news(app):
        return client.GetApp(app=app).app.news

    harness.until(lambda: news("shop").tip and news("blog").tip, 60, "a first look")
    harness.until(lambda: news("shop").commits == 0 and news("blog").commits == 0, 60, "what Sluice commits is no news")
    repository.commit({"apps/shop/index.html": "two\n", "apps/shop/b.html": "b\n"}, "Two files")
    repository.commit({"README": "of no app\n"}, "Aside")
    tip = repository.commit({"apps/shop/b.html": "c\n"}, "One file")
    harness.until(lambda: news("shop").commits == 2, 60, "two new commits")
    assert news("shop").tip == tip and news("shop").ref == "refs/heads/main" and news("blog").commits == 0
    assert [a.news.commits for a in client.ListApps().apps] == [0, 2]
    found = client.ListNewCommits(app="shop")
    assert [(c.message, c.files) for c in found.commits] == [("One file", 1), ("Two files", 2)] and found.tip == tip and not found.cut
    said = subprocess.run([harness.CLI, "--server", f"127.0.0.1:{server.port}", "updates", "--app", "shop"], capture_output=True, text=True, timeout=60).stdout
    assert "2 new commits on refs/heads/main" in said and "Two files" in said
    assert "2 on refs/heads/main" in subprocess.run([harness.CLI, "--server", f"127.0.0.1:{server.port}", "app", "show", "shop"], capture_output=True, text=True, timeout=60).stdout
    # Nothing follows by itself; a version that is made of one takes it out of the news.
    assert [v.name for v in client.ListVersions(app="shop").versions] == ["v1"]
    client.CreateVersion(app="shop", name="v2", commit=found.commits[1].commit)
    harness.wait_content(client, "shop", "v2")
    harness.until(lambda: news("shop").commits == 1, 60, "one left")
    # A host that goes away says so when asked, and what was found stays.
    host.stop()
    with pytest.raises(harness.Refused) as refused:
        client.ListNewCommits(app="shop", timeout=60)
    assert refused.value.code.name == "UNAVAILABLE" and "REPOSITORY_UNREACHABLE" in refused.value.text
    assert news("shop").commits == 1

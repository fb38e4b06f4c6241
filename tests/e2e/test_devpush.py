"""Drafts that development instances push: working copies that nobody writes over, one writer an app, exactly one commit."""
import os
import subprocess
import time

import fake_plane
import harness
import pytest
import raw_git

Refused = harness.Refused
FILES = {"apps/shop/index.html": "one\n", "apps/shop/deep/a.txt": "a\n", "README": "not an app\n"}
FLAGS = ["--work-every", "200ms"]


class Dev:
    """A server with app `shop` behind git daemon, and agents of development instances."""

    def __init__(self, world, flags=()):
        self.world = world
        self.repository = world.repository()
        self.repository.commit(FILES, "by hand")
        self.host = world.git_host("git")
        self.server = world.server(["--heartbeat", "2s", *flags])
        self.client = self.server.client()
        self.client.CreateRepository(name="apps", url=self.host.url(self.repository))
        self.client.CreateApp(name="shop", repository="apps", no_commit=True)
        harness.wait_content(self.client, "shop", "v1")

    def agent(self, name="dev-1", environment="development"):
        self.client.RegisterInstance(name=name, environment=environment)
        return self.world.agent(self.server, name, FLAGS)

    def status(self, name="dev-1"):
        return next(s for s in self.client.GetStatus(app="shop", with_instances=True).instances if s.instance == name)

    def copy(self, name="dev-1"):
        return self.status(name).working_copy

    def wait_copy(self, condition=lambda copy: True, name="dev-1"):
        return harness.until(lambda: (lambda c: c.version_id and condition(c) and c)(self.copy(name)), 60, "a working copy as wanted")

    def push(self, name="dev-1", message="more", **fields):
        return self.client.PushWorkingCopy(app="shop", instance=name, message=message, **fields)

    def content(self, version="v1", state="READY"):
        return harness.wait_content(self.client, "shop", version, state, timeout=60)


def work(agent, path=""):
    return os.path.join(agent.folder, "apps/shop/work", path)


def write(agent, path, text):
    os.makedirs(os.path.dirname(work(agent, path)), exist_ok=True)
    with open(work(agent, path), "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return file.read()


@pytest.fixture
def dev(world):
    return Dev(world)


def test_what_is_edited_there_becomes_one_commit_that_the_draft_takes(dev):
    agent = dev.agent()
    first = dev.wait_copy()
    assert (first.edited, first.behind, first.commit) == (0, False, dev.repository.refs()["refs/heads/main"])
    assert read(work(agent, "index.html")) == "one\n"
    write(agent, "index.html", "two\n")
    write(agent, "start.sh", "#!/bin/sh\n")
    os.chmod(work(agent, "start.sh"), 0o755)
    os.unlink(work(agent, "deep/a.txt"))
    assert list(dev.wait_copy(lambda c: c.edited == 3).files) == ["deep/a.txt", "index.html", "start.sh"]
    reply = dev.push(message="New cart")
    assert reply.version.content.state == 1 and (reply.lease.instance, reply.lease.app) == ("dev-1", "shop")
    content = dev.content()
    assert dev.repository.log("%s|%cn|%(trailers:key=Sluice-Operation,valueonly,separator=%x2C)")[-1].startswith("Version v1 of shop : New cart|sluice|opr_")
    assert dev.repository.log("%an")[-1] == reply.version.created_by and len(dev.repository.log()) == 2
    assert content.commit == dev.repository.refs()["refs/heads/main"] and content.files == 2
    assert harness.git("ls-tree", "-r", "--name-only", "main", cwd=dev.repository.bare).splitlines() == [
        f".sluice/apps/{reply.version.app_id}.json", "README", "apps/shop/index.html", "apps/shop/start.sh"]
    dev.wait_copy(lambda c: c.edited == 0 and not c.behind and c.commit == content.commit)
    harness.until(lambda: agent.serves("shop") == {"index.html": "two\n", "start.sh": "#!/bin/sh\n"}, 60, "what was pushed runs there")
    # The same again is no commit.
    dev.push(message="Again")
    assert dev.content().commit == content.commit and len(dev.repository.log()) == 2
    # Visible: in the app, the instance, the status.
    lease = dev.client.GetApp(app="shop").lease
    assert lease.instance == "dev-1" and lease.expires_at.seconds > time.time()
    assert [held.app for held in dev.client.GetInstance(instance="dev-1").leases] == ["shop"]
    assert dev.client.GetStatus(app="shop").apps[0].lease.instance == "dev-1"
    assert dev.server.stop() == 0
    dev.server.verify()


def test_one_development_instance_writes_at_a_time(dev):
    one, two = dev.agent("dev-1"), dev.agent("dev-2")
    dev.wait_copy(name="dev-1")
    dev.wait_copy(name="dev-2")
    write(one, "one.txt", "1\n")
    dev.push("dev-1")
    pushed = dev.content().commit
    dev.wait_copy(lambda c: c.commit == pushed, "dev-2")  # which follows: nothing is edited there
    with pytest.raises(Refused) as refused:
        dev.push("dev-2")
    assert refused.value.reason == "LEASE_HELD" and refused.value.metadata["instance"] == "dev-1"
    assert dev.client.BreakLease(app="shop", write={"reason": "she is on holiday"}).lease.instance == "dev-1"
    assert not dev.client.GetApp(app="shop").HasField("lease")
    with pytest.raises(Refused) as refused:
        dev.client.BreakLease(app="shop")
    assert refused.value.reason == "LEASE_NOT_FOUND"
    assert "she is on holiday" in str(dev.client.ListAuditRecords(method="BreakLease"))
    write(two, "two.txt", "2\n")
    dev.push("dev-2")
    assert dev.content().files == 4
    assert dev.client.GetApp(app="shop").lease.instance == "dev-2"
    harness.until(lambda: read(work(one, "two.txt")) == "2\n", 60, "the first one follows")


def test_each_refusal_has_its_reason(dev):
    agent = dev.agent()
    dev.wait_copy()
    dev.client.RegisterInstance(name="stage-1", environment="staging")
    dev.client.RegisterInstance(name="dev-2", environment="development", labels={"team": "blue"})
    dev.client.CreateVersion(app="shop", name="v2", no_commit=True)
    dev.content("v2")
    dev.wait_copy(lambda c: c.version_id == dev.client.GetVersion(app="shop", version="v2").version.id)

    def reason(name, **fields):
        with pytest.raises(Refused) as refused:
            dev.push(name, **fields)
        return refused.value.reason

    assert reason("stage-1") == "NOT_SUPPORTED_THERE"
    assert reason("dev-2") == "AGENT_OFFLINE"
    assert reason("dev-1", version="v1") == "NO_WORKING_COPY"
    assert reason("nobody") == "INSTANCE_NOT_FOUND"
    assert reason("dev-1", message="two\nlines") == "MALFORMED"
    dev.client.UpdateApp(app="shop", placement={"team": "blue"})
    assert reason("dev-1") == "NOT_SUPPORTED_THERE"
    dev.client.UpdateApp(app="shop")
    dev.wait_copy()
    agent.kill()
    harness.until(lambda: dev.status().liveness not in (2, 3), 60, "the agent is away")
    assert reason("dev-1") == "AGENT_OFFLINE"
    for version in ("v1", "v2"):
        dev.client.SealVersion(app="shop", version=version)
    assert reason("dev-1", version="v2") == "VERSION_SEALED"
    assert reason("dev-1") == "NO_DRAFT"
    assert dev.repository.log() == ["by hand"] and not dev.client.GetApp(app="shop").HasField("lease")


def test_a_request_is_one_push_however_often_it_is_sent(dev):
    agent = dev.agent()
    dev.wait_copy()
    write(agent, "index.html", "two\n")
    revision = dev.client.GetVersion(app="shop", version="v1").version.revision
    with pytest.raises(Refused) as refused:
        dev.push(write={"expected_revision": revision + 1000})
    assert refused.value.reason == "STALE_REVISION"
    dev.push(write={"validate_only": True})
    assert not dev.client.GetApp(app="shop").HasField("lease")
    first = dev.push(write={"request_id": "push-1", "expected_revision": revision})
    dev.content()
    again = dev.push(write={"request_id": "push-1", "expected_revision": revision})
    assert again.result.replayed and again.result.revision == first.result.revision
    with pytest.raises(Refused) as refused:
        dev.push(message="other", write={"request_id": "push-1"})
    assert refused.value.reason == "REQUEST_ID_REUSED"
    dev.content()
    assert len(dev.repository.log()) == 2
    broken = dev.client.BreakLease(app="shop", write={"request_id": "break-1"})
    assert dev.client.BreakLease(app="shop", write={"request_id": "break-1"}).result.revision == broken.result.revision


def test_what_others_changed_stays_or_is_a_conflict(dev):
    agent = dev.agent()
    dev.wait_copy()
    dev.repository.commit({"apps/shop/theirs.txt": "theirs\n", "README": "changed\n"}, "somebody")
    write(agent, "index.html", "two\n")
    dev.push()
    assert dev.content().files == 3 and dev.repository.show("apps/shop/index.html") == "two"
    harness.until(lambda: read(work(agent, "theirs.txt")) == "theirs\n", 60, "the copy has what others did")
    harness.git("pull", "-q", "--rebase", dev.repository.bare, "main", cwd=dev.repository.work)
    theirs = dev.repository.commit({"apps/shop/index.html": "theirs\n"}, "somebody's page")
    write(agent, "index.html", "three\n")
    dev.push()
    content = dev.content(state="FAILED")
    assert "CONFLICT" in content.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[content.reason].name
    assert [(c.commit, c.message, c.files) for c in content.conflicts] == [(theirs, "somebody's page", 1)]
    assert dev.repository.log()[-1] == "somebody's page" and read(work(agent, "index.html")) == "three\n"
    dev.push(onto=True)
    dev.content()
    assert dev.repository.show("apps/shop/index.html") == "three"


def test_what_is_edited_is_never_written_over(dev):
    agent = dev.agent()
    dev.wait_copy()
    write(agent, "mine.txt", "mine\n")
    dev.wait_copy(lambda c: c.edited == 1)
    moved = dev.repository.commit({"apps/shop/index.html": "two\n"}, "somebody")
    dev.client.SetVersionContent(app="shop", version="v1")
    assert dev.content().commit == moved
    copy = dev.wait_copy(lambda c: c.behind)
    assert copy.edited == 1 and read(work(agent, "index.html")) == "one\n" and read(work(agent, "mine.txt")) == "mine\n"
    # Given up by name; what was there is kept once.
    done = subprocess.run([harness.AGENT, "reset", "shop", "--state", agent.folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    harness.until(lambda: read(work(agent, "index.html")) == "two\n", 60, "a new working copy")
    assert read(os.path.join(agent.folder, "apps/shop/work.before/mine.txt")) == "mine\n"
    dev.wait_copy(lambda c: c.edited == 0 and not c.behind and c.commit == moved)
    # One that is not edited follows.
    moved = dev.repository.commit({"apps/shop/index.html": "three\n"}, "somebody")
    dev.client.SetVersionContent(app="shop", version="v1")
    harness.until(lambda: read(work(agent, "index.html")) == "three\n", 60, "the copy follows")
    # An app that goes takes nobody's work along.
    write(agent, "mine.txt", "again\n")
    dev.client.DeleteApp(app="shop")
    saved = os.path.join(agent.folder, "saved")
    harness.until(lambda: os.path.isdir(saved) and os.listdir(saved), 60, "the work is saved")
    assert read(os.path.join(saved, os.listdir(saved)[0], "mine.txt")) == "again\n"


@pytest.mark.parametrize("victim", ["agent", "server"])
@pytest.mark.parametrize("hook,after", [("pre-receive", "exit 1"), ("pre-receive", "exit 0"), ("post-receive", "exit 0")])
def test_killed_at_each_step_there_is_exactly_one_commit(dev, world, victim, hook, after):
    agent = dev.agent()
    dev.wait_copy()
    write(agent, "index.html", "two\n")
    mark, killed = world.path("killed"), dev.server if victim == "server" else agent
    dev.repository.hook(hook, f"[ -e {mark} ] && exit 0\ntouch {mark}\nkill -9 {killed.program.process.pid}\nsleep 0.3\n{after}\n")
    dev.push()
    killed.program.wait(60)
    killed.program.end()
    if victim == "server":
        killed.verify()
    killed.start()
    dev.client = dev.server.client()
    if victim == "server" and after == "exit 1":  # the agent lives, and has heard the host's no
        dev.content(state="FAILED")
        assert dev.repository.log() == ["by hand"]
        return
    content = dev.content()
    assert dev.repository.log() == ["by hand", "Version v1 of shop : more"]
    assert content.commit == dev.repository.refs()["refs/heads/main"] and dev.repository.show("apps/shop/index.html") == "two"
    dev.wait_copy(lambda c: c.edited == 0 and not c.behind)
    assert dev.server.stop() == 0
    dev.server.verify()


@pytest.mark.parametrize("taken", [False, True], ids=["nothing-in-git", "in-git"])
def test_of_an_agent_that_never_answers_the_server_learns_which(world, taken):
    """The agent dies for good at the push: the server looks by itself, and says that there is one commit or none."""
    dev = Dev(world, ["--git-deadline", "15s"])
    agent = dev.agent()
    dev.wait_copy()
    write(agent, "index.html", "two\n")
    dev.repository.hook("post-receive" if taken else "pre-receive", f"kill -9 {agent.program.process.pid}\nsleep 0.3\nexit {0 if taken else 1}\n")
    dev.push()
    with pytest.raises(Refused) as refused:
        dev.client.SetVersionContent(app="shop", version="v1")
    assert refused.value.reason == "PUSH_UNDER_WAY"
    agent.program.wait(60)
    agent.program.end()
    content = dev.content(state="READY" if taken else "FAILED")
    if taken:
        assert content.commit == dev.repository.refs()["refs/heads/main"] and len(dev.repository.log()) == 2
    else:
        assert content.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[content.reason].name == "CONTENT_REASON_INSTANCE_SILENT"
        assert "did not answer" in content.text and dev.repository.log() == ["by hand"]
    assert list(dev.client.ListOwed(repository="apps").items) == []
    dev.client.SetVersionContent(app="shop", version="v1")
    dev.content()


def test_a_host_that_is_away_or_says_no(dev):
    agent = dev.agent()
    dev.wait_copy()
    write(agent, "index.html", "two\n")
    hook = dev.repository.hook("pre-receive", "echo 'not on Fridays' >&2\nexit 1\n")
    dev.push()
    content = dev.content(state="FAILED")
    assert content.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[content.reason].name == "CONTENT_REASON_REF_PROTECTED"
    assert dev.repository.log() == ["by hand"]
    os.unlink(hook)
    dev.host.stop()
    dev.push()
    time.sleep(0.5)  # a first try, in vain
    assert dev.client.GetVersion(app="shop", version="v1").version.content.state == 1
    dev.host.start()
    assert dev.content().commit == dev.repository.refs()["refs/heads/main"] and len(dev.repository.log()) == 2
    os.symlink("/etc/passwd", work(agent, "link"))
    assert "is a link" in dev.wait_copy(lambda c: c.error).error
    dev.push()
    content = dev.content(state="FAILED")
    assert content.rule == "LINK" and len(dev.repository.log()) == 2


# --- an agent under a server that orders what it should not ---------------------------------


class Ordered:
    """An agent with a working copy of `shop`, as a manifest said; edited."""

    def __init__(self, world):
        self.repository, self.plane = world.repository(), world.add(fake_plane.FakePlane(world.services))
        self.commit = self.repository.commit(FILES, "by hand")
        self.agent = world.add(harness.Agent(self.plane, world.path("agent"), "prod-1", FLAGS)).start()
        self.ids = {kind: fake_plane.an_id(kind, 7) for kind in ("app", "ver", "rep")}
        files = {path[len("apps/shop/"):]: text.encode() for path, text in FILES.items() if path.startswith("apps/shop/")}
        pb = self.plane.pb
        bundle = pb.Bundle(version_id=self.ids["ver"], version="v1", repository_id=self.ids["rep"], url=self.url, ref="refs/heads/main", commit=self.commit,
                           path="apps/shop", tree=harness.git("rev-parse", "main:apps/shop", cwd=self.repository.bare),
                           digest=raw_git.digest_of(files), files=2, bytes=6)
        self.plane.wait_hello()
        self.plane.tell([pb.ManifestApp(app_id=self.ids["app"], slug="shop", name="shop", activate=self.ids["ver"], keep=[bundle], work=self.ids["ver"])],
                        environment="development")
        harness.until(lambda: read(work(self.agent, "index.html")) == "one\n", 60, "a working copy")
        write(self.agent, "index.html", "two\n")

    @property
    def url(self):
        return "file://" + self.repository.bare

    def order(self, operation, seconds=60, **fields):
        order = self.plane.pb.AgentPush(**{
            "operation": operation, "app_id": self.ids["app"], "version_id": self.ids["ver"], "repository_id": self.ids["rep"], "url": self.url,
            "branch": "main", "path": "apps/shop", "author": "ada", "message": "more", "at_s": 1700000000, **fields})
        order.expires_at.seconds = int(time.time()) + seconds
        self.plane.say(self.plane.pb.SyncResponse(push=order).SerializeToString())

    def answer(self, operation):
        return harness.until(lambda: next((a for a in self.plane.answers if a.operation == operation), None), 60, f"the answer to {operation}")


def test_an_order_pushes_in_its_time_and_to_where_the_copy_came_from_and_nothing_else(world):
    ordered = Ordered(world)
    other = world.repository("other")
    before = other.commit({"apps/shop/index.html": "another\n"})
    ordered.order("opr_late", seconds=-5)
    ordered.order("opr_elsewhere", url="file://" + other.bare)
    assert ordered.answer("opr_elsewhere").failure == "PATH_NOT_FOUND"
    ordered.order("opr_mirror", repository_id="../../../etc")
    assert "another repository" in ordered.answer("opr_mirror").text
    ordered.order("opr_version", version_id=fake_plane.an_id("ver", 8))
    assert "no working copy" in ordered.answer("opr_version").text
    ordered.order("opr_path", path="../up")
    assert ordered.answer("opr_path").failure == "PUSH_REFUSED"
    assert other.refs()["refs/heads/main"] == before and ordered.repository.log() == ["by hand"]
    ordered.order("opr_right")
    done = ordered.answer("opr_right")
    assert done.failure == "" and done.commit == ordered.repository.refs()["refs/heads/main"] and ordered.repository.log() == ["by hand", "more"]
    # Said again, it is answered again, and is the same commit; also after a kill.
    count = len(ordered.plane.answers)
    ordered.order("opr_right")
    harness.until(lambda: len(ordered.plane.answers) > count, 60, "the same answer")
    ordered.agent.kill()
    hellos = len(ordered.plane.hellos)
    ordered.agent.start()
    ordered.plane.wait_hello(hellos + 1, 60)
    count = len(ordered.plane.answers)
    ordered.order("opr_right")
    harness.until(lambda: len(ordered.plane.answers) > count, 60, "the answer after a kill")
    assert ordered.plane.answers[-1].commit == done.commit and len(ordered.repository.log()) == 2
    assert not [a for a in ordered.plane.answers if a.operation == "opr_late"]


# --- the command ---------------------------------------------------------------------------


def sluice(server, *argv):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    env.update({"SLUICE_SERVER": f"127.0.0.1:{server.port}", "HOME": server.folder, "NO_COLOR": "1"})
    return subprocess.run([harness.CLI] + list(argv), capture_output=True, text=True, env=env, timeout=90)


def test_the_command_pushes_from_an_instance(dev):
    agent = dev.agent("dev-1")
    dev.agent("dev-2")
    dev.wait_copy(name="dev-1")
    dev.wait_copy(name="dev-2")
    done = sluice(dev.server, "push", "shop", "-m", "Which one?")
    assert done.returncode != 0 and "--instance" in done.stderr
    write(agent, "index.html", "two\n")
    dev.wait_copy(lambda c: c.edited == 1)
    assert "edited" in sluice(dev.server, "status", "shop").stdout
    done = sluice(dev.server, "push", "shop", "-m", "New cart", "--instance", "dev-1")
    assert done.returncode == 0 and "the working copy of dev-1 is in Git" in done.stdout, done.stdout + done.stderr
    assert dev.repository.show("apps/shop/index.html") == "two"
    write(agent, "index.html", "three\n")
    done = sluice(dev.server, "push", "shop", "-m", "The one with the lease")
    assert done.returncode == 0 and dev.repository.show("apps/shop/index.html") == "three", done.stderr
    assert "written by" in sluice(dev.server, "app", "show", "shop").stdout
    assert "writes on" in sluice(dev.server, "instance", "show", "dev-1").stdout
    done = sluice(dev.server, "push", "shop", "-m", "Not this one", "--instance", "dev-2")
    assert done.returncode == 2 and "dev-1" in done.stderr and "sluice lease break shop" in done.stderr, done.stderr
    done = sluice(dev.server, "lease", "break", "shop")
    assert done.returncode == 0 and "dev-1" in done.stdout

"""Backup under load, restore, recovery: nothing is used twice, nobody is told anything before the resume, all converge after it."""
import hashlib
import os
import subprocess
import threading
import time
import urllib.request

import grpc
import pytest
import harness

RAISED = 1 << 32


def back_up(client, path):
    """Takes a backup over the wire, checks it as a client does, writes it. Returns its first message."""
    head, data, digest = None, [], b""
    for response in client.stream("Backup", timeout=60):
        if head is None:
            head = response
            assert not response.data and not response.digest
            continue
        assert len(response.data) <= 64 << 10 and not digest
        data.append(response.data)
        digest = response.digest
    data = b"".join(data)
    assert len(data) == head.size
    assert hashlib.blake2b(data, digest_size=32).digest() == digest
    with open(path, "wb") as file:
        file.write(data)
    return head


def restore(path, folder, *flags, code=0):
    done = subprocess.run([harness.SLUICED, "restore", path, "--data", folder, *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def refused(call, **fields):
    with pytest.raises(harness.Refused) as error:
        call(**fields)
    return error.value


def ended(stream):
    with pytest.raises(grpc.RpcError) as error:
        for _ in stream:
            pass
    return harness.Refused(error.value)


def fetch(server, page):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/{page}", timeout=60) as answer:
        return answer.status, answer.read().decode()


class Writer:
    """Registers instances one after the other until told to stop."""

    def __init__(self, client):
        self.client, self.count, self.stopping = client, 0, False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            self.client.RegisterInstance(name=f"i-{self.count:05}", environment="production")
            self.count += 1

    def stop(self):
        self.stopping = True
        self.thread.join()


def back_up_is_refused(client, path):
    try:
        back_up(client, path)
    except grpc.RpcError as error:
        assert harness.Refused(error).reason == "TOO_MANY"
        return True
    return False


def instances(client):
    names, token = [], ""
    while True:
        answer = client.ListInstances(page={"page_size": 1000, "page_token": token})
        names += [instance.name for instance in answer.instances]
        token = answer.page.next_page_token
        if not token:
            return names


def test_a_backup_under_load_is_one_moment(world):
    server = world.server()
    client = server.client()
    base = client.GetStats().revision
    writer = Writer(server.client())
    try:
        harness.until(lambda: writer.count > 100, 120, "load")
        head = back_up(client, world.path("copy"))
        harness.until(lambda: writer.count > head.revision - base + 20, 120, "writes that go on")
    finally:
        writer.stop()
    assert os.listdir(os.path.join(server.folder, "backup")) == []
    server.kill()
    said = restore(world.path("copy"), world.path("restored"))
    assert "records checked" in said and str(head.revision + RAISED) in said and len(said.splitlines()) == 2
    again = world.server(folder=world.path("restored"))
    client = again.client()
    stats = client.GetStats()
    assert stats.recovery and stats.revision == stats.floor == head.revision + RAISED
    assert instances(client) == [f"i-{i:05}" for i in range(head.revision - base)]
    assert client.Resume().ended
    assert not client.GetStats().recovery
    made = client.RegisterInstance(name="later", environment="production")
    assert made.result.revision == head.revision + RAISED + 2
    assert again.stop() == 0
    again.verify()


def test_one_backup_at_a_time_and_none_is_left_behind(world):
    server = world.server()
    client = server.client()
    for i in range(3000):
        client.RegisterInstance(name=f"i-{i:05}", environment="production", write={"reason": "x" * 1000})
    kept = os.path.join(server.folder, "backup")
    # A client that stops reading holds its copy on the server; another is refused.
    narrow = server.client([("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0)])
    slow = narrow.stream("Backup", timeout=60)
    next(iter(slow))
    assert os.listdir(kept) == ["copy"]
    assert ended(client.stream("Backup")).reason == "TOO_MANY"
    slow.cancel()
    harness.until(lambda: os.listdir(kept) == [], 60, "the copy's removal")
    harness.until(lambda: not back_up_is_refused(client, world.path("copy")), what="the end of the first")
    for _ in range(3):  # who has seen the end of one may start the next
        back_up(client, world.path("copy"))
    # What a server that died has left is swept; one that is told to stop ends the backup itself.
    slow = narrow.stream("Backup", timeout=60)
    next(iter(slow))
    server.kill()
    assert os.listdir(kept) == ["copy"]
    server.start()
    assert os.listdir(kept) == []
    slow = server.client([("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0)]).stream("Backup", timeout=60)
    next(iter(slow))
    assert os.listdir(kept) == ["copy"]
    assert server.stop() == 0
    assert os.listdir(kept) == []
    server.verify()


def test_restore_refuses_what_is_not_a_backup(world):
    server = world.server()
    back_up(server.client(), world.path("copy"))
    server.stop()
    with open(world.path("copy"), "rb") as file:
        good = file.read()
    bad = world.path("bad")
    for data in (b"", b"not a backup\n" * 1000, good[:-1], good[: len(good) // 2], good[:5000] + b"\x55" + good[5001:]):
        with open(bad, "wb") as file:
            file.write(data)
        restore(bad, world.path("new"), code=3)
        assert not os.path.exists(world.path("new"))
    assert "not empty" in restore(world.path("copy"), server.folder, code=3)
    server.verify()
    restore(world.path("copy"), world.path("new"), "--raise", "3")
    done = subprocess.run([harness.SLUICED, "verify", world.path("new")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    client = world.server(folder=world.path("new")).client()
    assert client.GetStats().revision > 3 * RAISED
    restore(world.path("copy"), world.path("new"), code=3)  # a server runs there


class Shop:
    """An app in production on one instance: v1 at the time of the backup, v2 since."""

    def __init__(self, world):
        self.world = world
        self.repository = world.repository()
        self.repository.commit({"apps/shop/index.html": "one\n"})
        host = world.git_host("file")
        self.server = world.server(["--heartbeat", "2s"])
        client = self.server.client()
        client.RegisterInstance(name="prod-1", environment="production")
        client.CreateApp(name="shop", repository_url=host.url(self.repository))
        self.agent = world.agent(self.server, "prod-1")
        self.take_to_users("v1", "one\n")
        self.backup = back_up(client, world.path("copy"))

    def take_to_users(self, version, text):
        client = self.server.client()
        if version != "v1":
            self.repository.commit({"apps/shop/index.html": text})
            client.CreateVersion(app="shop", name=version, commit="main")
        harness.wait_content(client, "shop", version)
        client.Promote(app="shop", version=version, **{"from": "development"})
        harness.wait_published(client, "shop", version)
        client.Promote(app="shop", version=version, **{"from": "staging"})
        client.Release(app="shop", version=version)
        self.serves(text)

    def serves(self, text, timeout=60):
        harness.until(lambda: self.agent.serves("shop") == {"index.html": text}, timeout, f"{text!r} served")

    def status(self):
        return self.server.client().GetStatus(app="shop", environment="production", with_instances=True).instances[0]

    def lose_and_restore(self, folder="restored", *flags):
        """The folder is lost; the same port serves what the backup held."""
        assert self.server.stop() == 0
        self.server.folder = self.world.path(folder)
        restore(self.world.path("copy"), self.server.folder, *flags)
        self.server.start()


def test_nothing_moves_in_recovery_and_all_converge_after_it(world):
    shop = Shop(world)
    shop.take_to_users("v2", "two\n")
    late = shop.server.client().GetStats().revision
    assert late > shop.backup.revision
    shop.lose_and_restore()
    server, client = shop.server, shop.server.client()
    stats = client.GetStats()
    assert stats.recovery and stats.revision == shop.backup.revision + RAISED
    assert any("recovery" in line for line in server.program.lines)
    # The agent reports, and is told nothing: what it serves stays.
    harness.until(lambda: shop.status().liveness == 2, 60, "the agent's hello")
    time.sleep(2.5)  # in vain, if it is right
    shop.serves("two\n", 1)
    status = shop.status()
    assert status.desired.name == "v1" and not status.converged
    assert [step.subject for step in client.Explain(instance="prod-1", app="shop").steps if not step.ok][0] == "recovery"
    # Everything reads; nothing is written.
    before = client.GetStats().revision
    assert [release.to.name for release in client.ListReleaseHistory(app="shop").changes] == ["v1"]
    assert len(client.ListPromotions(app="shop").promotions) == 2
    for call, fields in (
        (client.CreateVersion, {"app": "shop", "name": "v9"}), (client.Rollback, {"app": "shop"}), (client.WithdrawRelease, {"app": "shop"}),
        (client.RegisterInstance, {"name": "x", "environment": "staging"}), (client.Compact, {}), (client.PauseInstance, {"instance": "prod-1"}),
        (client.Release, {"app": "shop", "version": "v1", "write": {"validate_only": True}}), (client.DeleteApp, {"app": "shop"}),
    ):
        error = refused(call, **fields)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "IN_RECOVERY") and "sluice admin resume" in error.text
    # Ready all the same; operators see it.
    assert fetch(server, "readyz")[0] == 200
    assert "\nsluice_recovery 1\n" in fetch(server, "metrics")[1]
    # Whoever watched the lost future is told so; from the new head on nothing is missed.
    for seen in (late, shop.backup.revision, 1):
        error = ended(client.watch(from_revision=seen))
        assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")
        assert int(error.metadata["floor"]) == int(error.metadata["head"]) == before
    assert ended(client.watch(from_revision=before + 1)).reason == "REVISION_AHEAD"
    # A restart changes none of it.
    server.kill()
    server.start()
    client = server.client()
    assert client.GetStats().recovery and client.GetStats().revision == before
    harness.until(lambda: shop.status().liveness == 2, 60, "the agent's hello")
    shop.agent.kill()
    shop.agent.start()
    time.sleep(1.5)  # in vain, if it is right
    shop.serves("two\n", 1)

    stream = server.client().watch(from_revision=before)
    resumed = client.Resume(write={"request_id": "resume-1", "reason": "looked at it"})
    assert resumed.ended and resumed.result.revision == before + 1
    shop.serves("one\n")
    harness.until(lambda: shop.status().converged, 60, "convergence")
    again = client.Resume(write={"request_id": "resume-1", "reason": "looked at it"})
    assert again.ended and again.result.replayed
    assert not client.Resume().ended
    revisions = []
    for response in stream:
        revisions += [change.revision for change in response.changes]
        if revisions:
            break
    assert min(revisions) > before
    stream.cancel()
    assert "\nsluice_recovery 0\n" in fetch(server, "metrics")[1]
    # Work goes on: v2 is made anew.
    shop.take_to_users("v2", "two again\n")
    assert server.stop() == 0
    server.verify()


def test_an_instance_that_the_backup_does_not_know_dials_again(world):
    shop = Shop(world)
    client = shop.server.client()
    client.RemoveInstance(instance="prod-1")
    client.RegisterInstance(name="prod-1", environment="production")
    newcomer = world.agent(shop.server, "prod-2")  # not there yet: tries again
    client.RegisterInstance(name="prod-2", environment="production")
    harness.until(lambda: newcomer.serves("shop"), 60, "the new instance")
    shop.lose_and_restore()
    client = shop.server.client()
    time.sleep(3)  # in vain, if it is right
    assert newcomer.program.running and newcomer.serves("shop") == {"index.html": "one\n"}
    client.Resume()
    client.RegisterInstance(name="prod-2", environment="production")
    # Another instance of this name: the folder is not its own, which it says and serves on.
    newcomer.program.wait_line("instance-mismatch", 60)
    assert newcomer.serves("shop") == {"index.html": "one\n"}
    assert shop.server.stop() == 0
    shop.server.verify()


def test_the_same_backup_restored_again_is_raised_further(world):
    shop = Shop(world)
    shop.lose_and_restore()
    shop.server.client().Resume()
    shop.take_to_users("v2", "two\n")
    first = shop.server.client().GetStats().revision
    shop.lose_and_restore("again", "--raise", "2")
    client = shop.server.client()
    assert client.GetStats().revision == shop.backup.revision + 2 * RAISED > first
    assert ended(client.watch(from_revision=first)).reason == "REVISION_COMPACTED"
    client.Resume()
    shop.serves("one\n")
    harness.until(lambda: shop.status().converged, 60, "convergence")
    assert shop.server.stop() == 0
    shop.server.verify()


def test_no_git_work_is_done_in_recovery(world):
    server, client, repository, host = world.shop("git")
    host.stop()
    client.Promote(app="shop", version="v1", **{"from": "development"})  # owes a tag
    client.CreateVersion(app="shop", name="v2", commit="main")
    back_up(client, world.path("copy"))
    assert server.stop() == 0  # a kill would leave a worker that still pushes
    host.start()
    restore(world.path("copy"), world.path("restored"))
    client = world.server(folder=world.path("restored")).client()
    time.sleep(3)  # in vain, if it is right
    assert list(repository.refs()) == ["refs/heads/main"]
    assert client.GetVersion(app="shop", version="v2").version.content.state == 1
    assert client.GetStats().owed >= 1
    client.Resume()
    harness.wait_published(client, "shop", "v1", 60)
    harness.wait_content(client, "shop", "v2", timeout=60)
    assert len(repository.refs()) == 2

"""Bundles that come without Git: as files that are carried, and over the agent's own connection."""
import hashlib
import os
import random
import subprocess
import sys

import grpc
import harness
import hostile_world
import pytest
import raw_git
import trees

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault", "lib"))
from proxy import Proxy  # noqa: E402

MAGIC = b"sluice bundle 1\n"


def run(*words, code=0):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)
    assert code is None or done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


class Gap:
    """App `shop` in staging, on a Git host that can be switched off, and an agent."""

    def __init__(self, world, server_flags=()):
        self.world = world
        self.repository = world.repository()
        self.repository.commit({"apps/shop/run.sh": "#!/bin/sh\n", "README": "of no app\n"})
        os.chmod(f"{self.repository.work}/apps/shop/run.sh", 0o755)
        self.repository.commit({"apps/shop/index.html": "one\n"})
        self.host = world.git_host("git")
        self.server = world.server(["--heartbeat", "500ms", *server_flags])
        self.client = self.server.client()
        self.client.RegisterInstance(name="stg-1", environment="staging")
        self.folder = world.path("agent-stg-1")
        self.client.CreateApp(name="shop", repository_url=self.host.url(self.repository), version_name="v1")
        harness.wait_content(self.client, "shop", "v1")

    def version(self, name, text):
        self.repository.commit({"apps/shop/index.html": text})
        self.client.CreateVersion(app="shop", name=name)
        harness.wait_content(self.client, "shop", name)

    def promote(self, version):
        self.client.Promote(app="shop", version=version, **{"from": "development"})
        harness.wait_published(self.client, "shop", version)

    def export(self, version, app="shop"):
        path = self.world.path(f"{app}-{version}.bundle")
        with open(path, "wb") as out:
            subprocess.run([harness.CLI, "--server", f"127.0.0.1:{self.server.port}", "bundle", "export", app, version], stdout=out, check=True, timeout=60)
        return path

    def agent(self, *flags, server=None):
        return self.world.agent(server or self.server, "stg-1", flags)

    def importing(self, path, code=0):
        return run(harness.AGENT, "import", path, "--state", self.folder, code=code)

    def serves(self, agent, text, timeout=40):
        harness.until(lambda: (agent.serves("shop") or {}).get("index.html") == text, timeout, f"serving {text!r}")


@pytest.fixture
def gap(world):
    return Gap(world)


def left_behind(gap):
    """An agent that served v1 and is gone; v2 has been made since."""
    gap.promote("v1")
    agent = gap.agent()
    gap.serves(agent, "one\n")
    agent.kill()
    gap.version("v2", "two\n")


def once(gap):
    """An agent that has been there: it has a state, and no bundle."""
    agent = gap.agent()
    agent.program.wait_line("manifest")
    agent.kill()


def untouched(gap):
    """Everything around, but for the lock and for objects that nobody refers to."""
    return hostile_world.tree_hash(gap.world.folder, ["server", "git", "bad.bundle", "agent-stg-1/lock", "agent-stg-1/mirrors"])


# --- files that are carried ----------------------------------------------------------------


def test_a_file_takes_the_place_of_git(gap):
    gap.promote("v1")
    path = gap.export("v1")
    gap.host.stop()
    agent = gap.agent()
    agent.program.wait_line("pull-failed")
    assert "in use by another agent" in gap.importing(path, code=3)
    agent.kill()
    assert "is in apps/shop/versions/v1-" in gap.importing(path) and "was in apps/shop" in gap.importing(path)
    agent = gap.agent("--drift-every", "500ms")
    gap.serves(agent, "one\n")
    top = os.path.realpath(agent.current("shop"))
    assert sorted(agent.serves("shop")) == ["index.html", "run.sh"] and os.stat(f"{top}/run.sh").st_mode & 0o777 == 0o555
    assert not [line for line in agent.program.lines if " pulling " in line]
    # It is compared with the mirror like any other.
    os.chmod(top, 0o755)
    os.chmod(f"{top}/index.html", 0o644)
    with open(f"{top}/index.html", "w", encoding="ascii") as file:
        file.write("changed\n")
    harness.until(lambda: any("index.html" in s.drift.files for s in gap.client.GetStatus(app="shop", with_instances=True).instances), 60, "the change")


def test_a_file_may_come_before_its_manifest(gap):
    """Made of the draft's commit, which has parents and other apps; named later by its digest, with the published commit."""
    left_behind(gap)
    assert "no manifest has named it yet" in gap.importing(gap.export("v2"))
    agent = gap.agent("--prune-after", "1s", "--keep", "0")
    agent.program.wait_line("connected")
    gap.serves(agent, "one\n")
    gap.promote("v2")
    gap.serves(agent, "two\n")
    assert not [line for line in agent.program.lines if " pulling " in line]
    # Fetching from the same repository goes on as before.
    gap.version("v3", "three\n")
    gap.promote("v3")
    gap.serves(agent, "three\n")


def test_a_file_of_an_app_that_nobody_has_named(gap):
    once(gap)
    path = gap.export("v1")
    assert "no manifest has named it yet" in gap.importing(path)
    gap.promote("v1")
    gap.host.stop()
    agent = gap.agent()
    gap.serves(agent, "one\n")
    assert not [line for line in agent.program.lines if " pulling " in line]


def test_the_same_version_makes_the_same_file(gap):
    with open(gap.export("v1"), "rb") as one:
        data = one.read()
    with open(gap.export("v1"), "rb") as two:
        assert two.read() == data
    assert data.startswith(MAGIC) and hashlib.blake2b(data[:-32], digest_size=32).digest() == data[-32:]
    head = head_of(data)
    assert (head.workspace, head.slug, head.app, head.bundle.version, head.bundle.files) == ("default", "shop", "shop", "v1", 2)
    assert head.bundle.url == "" and gap.host.url(gap.repository).encode() not in data


def test_files_that_are_not_whole_are_refused_whole(gap):
    once(gap)
    with open(gap.export("v1"), "rb") as file:
        good = file.read()
    before = untouched(gap)
    rng = random.Random(7)
    cuts = [good[:rng.randrange(len(good))] for _ in range(12)] + [b"", good[:-1], good + b"\n", b"text\n" * 100]
    flips = []
    for _ in range(24):
        at = rng.randrange(len(good))
        flips.append(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1:])
    path = gap.world.path("bad.bundle")
    for bad in cuts + flips:
        with open(path, "wb") as file:
            file.write(bad)
        said = gap.importing(path, code=3)
        assert bad.startswith(MAGIC) or "'" + path + "': this is no bundle file" in said, said
        assert untouched(gap) == before
    with open(path, "wb") as file:
        file.write(good)
    gap.importing(path)


def head_of(data):
    from sluice.v1 import agent_pb2

    size = int.from_bytes(data[16:20], "big")
    return agent_pb2.BundleHead.FromString(data[20:20 + size])


def sealed(head, rest):
    """A file of a head and what follows it, with a digest that fits."""
    raw = head.SerializeToString()
    whole = MAGIC + len(raw).to_bytes(4, "big") + raw + rest
    return whole + hashlib.blake2b(whole, digest_size=32).digest()


def with_head(data, head, path):
    """Writes the file `data` under another head."""
    with open(path, "wb") as file:
        file.write(sealed(head, data[20 + int.from_bytes(data[16:20], "big"):-32]))
    return path


def file_of(head, objects, commit, files):
    """What somebody who knows the form would write; files: (path, can be run, bytes)."""
    data = objects.all[commit][1]
    rest = len(data).to_bytes(4, "big") + data + bytes(4)
    for name, runs, content in files:
        rest += len(name).to_bytes(4, "big") + name + bytes([runs]) + len(content).to_bytes(8, "big") + content
    return sealed(head, rest + bytes(4))


def flat(objects, root, most=300):
    """Blobs that a tree leads to, whatever their modes and names; neither they nor the trees on the way are endless."""
    found, trees_left = [], [(b"", root)]
    for _ in range(most):
        if not trees_left or len(found) >= most:
            break
        before, tree = trees_left.pop()
        rest = objects.all[tree][1] if objects.all.get(tree, ("", b""))[0] == "tree" else b""
        while rest:
            mode, _, rest = rest.partition(b" ")
            name, _, rest = rest.partition(b"\0")
            oid, rest = rest[:20].hex(), rest[20:]
            kind, data = objects.all.get(oid, ("", b"missing"))
            if kind == "tree":
                trees_left.append((before + name + b"/", oid))
            else:
                found.append((before + name, mode == b"100755", data))
    return found


@pytest.mark.parametrize("case", list(trees.REFUSED) + list(trees.BROKEN))
def test_files_of_the_hostile_corpus_are_refused_whole(case, hostile):
    gap, head, before = hostile
    objects = raw_git.Objects()
    root = {**trees.REFUSED, **trees.BROKEN}[case][0](objects)
    head.bundle.commit, head.bundle.tree, head.bundle.path = objects.commit(root), root, ""
    path = gap.world.path("bad.bundle")
    with open(path, "wb") as file:
        file.write(file_of(head, objects, head.bundle.commit, flat(objects, root)))
    said = gap.importing(path, code=3)
    assert any(word in said for word in ("DIGEST_MISMATCH", "BUNDLE_REFUSED", "BUNDLE_TOO_BIG", "BUNDLE_EMPTY")), said
    assert all(ord(c) >= 32 or c == "\n" for c in said)
    assert untouched(gap) == before


@pytest.fixture(scope="module")
def hostile(services):
    world = harness.World(services)
    gap = Gap(world)
    once(gap)
    with open(gap.export("v1"), "rb") as file:
        head = head_of(file.read())
    yield gap, head, untouched(gap)
    world.end()


@pytest.mark.parametrize("field, value", [
    ("slug", "../../x"), ("slug", ""), ("slug", "a/b"), ("app_id", "app_x"), ("bundle.version", "../v1"), ("bundle.version", ""),
    ("bundle.version_id", "../.."), ("bundle.repository_id", "../../server"), ("bundle.commit", "HEAD"), ("bundle.tree", ""),
    ("bundle.digest", b"short"), ("bundle.digest", bytes(32)), ("bundle.path", "../.."), ("bundle.path", "apps"), ("workspace", "other"),
])
def test_heads_that_lie_are_refused(gap, field, value):
    once(gap)
    with open(gap.export("v1"), "rb") as file:
        good = file.read()
    before = untouched(gap)
    head = head_of(good)
    of, _, name = field.rpartition(".")
    setattr(head.bundle if of else head, name, value)
    gap.importing(with_head(good, head, gap.world.path("bad.bundle")), code=3)
    assert untouched(gap) == before


def test_nothing_is_activated_on_the_word_of_a_file(gap):
    """A file that says to be the released version, and is another one, waits beside it."""
    left_behind(gap)
    with open(gap.export("v2"), "rb") as file:
        data = file.read()
    head = head_of(data)
    head.bundle.version, head.bundle.version_id = "v1", gap.client.GetVersion(app="shop", version="v1").version.id
    assert "no manifest has named it yet" in gap.importing(with_head(data, head, gap.world.path("other.bundle")))
    agent = gap.agent()
    agent.program.wait_line("connected")
    standing = lambda: gap.client.GetStatus(app="shop", with_instances=True).instances[0]
    harness.until(lambda: standing().active.name == "v1" and standing().converged, 40, "v1 served")
    gap.serves(agent, "one\n")


# --- over the agent's connection ------------------------------------------------------------


def test_bundles_come_from_the_server(gap):
    gap.promote("v1")
    gap.host.stop()
    agent = gap.agent("--bundles-from", "server")
    gap.serves(agent, "one\n")
    gap.server.program.wait_line(r"bundle-sent app=shop version=v1 bytes=\d+ from=0")
    assert os.listdir(os.path.join(gap.folder, "incoming")) == []
    checked = run(harness.AGENT, "check", "--state", gap.folder, "--bundles-from", "server", "--server", f"127.0.0.1:{gap.server.port}")
    assert "git:" not in checked


def received(gap):
    """Bytes of bundles that the agent holds and that are not whole yet."""
    folder = os.path.join(gap.folder, "incoming")
    return sum(entry.stat().st_size for entry in os.scandir(folder)) if os.path.isdir(folder) else 0


def test_what_was_cut_goes_on_where_it_was(gap):
    noise = random.Random(1)
    for i in range(12):
        gap.repository.commit({f"apps/shop/data-{i}": "".join(noise.choices("0123456789abcdef", k=1 << 20))})
    gap.client.CreateVersion(app="shop", name="v2")
    harness.wait_content(gap.client, "shop", "v2")
    gap.promote("v2")
    gap.host.stop()
    proxy = gap.world.add(Proxy(gap.server.port))
    proxy.hold_from = 3 << 20
    agent = gap.agent("--bundles-from", "server", server=proxy)
    # Nothing more comes until what came is on the agent's disk, so that the cut loses none of it.
    for cut in (7 << 20, None):
        harness.until(lambda: received(gap) > proxy.hold_from - (1 << 20), 60, "what came is on the disk")
        proxy.reset()
        proxy.hold_from = cut
    gap.serves(agent, "one\n", 60)
    gap.server.program.wait_line(r"bundle-sent app=shop version=v2 bytes=\d+ from=[6-9]\d{6}\b")
    size = os.path.getsize(gap.export("v2"))
    # Each byte about once, however often it was cut.
    assert proxy.bytes_down < size * 1.5
    assert len(agent.serves("shop")) == 14


def test_what_a_server_cut_goes_on_with_the_next_one(gap):
    """The file that it sent is gone with it: the next one makes the same bytes anew."""
    gap.repository.commit({f"apps/shop/data-{i}": random.Random(i).randbytes(1 << 19).hex() for i in range(6)})
    gap.client.CreateVersion(app="shop", name="v2")
    harness.wait_content(gap.client, "shop", "v2")
    gap.promote("v2")
    gap.host.stop()
    proxy = gap.world.add(Proxy(gap.server.port))
    proxy.hold_from = 3 << 20
    agent = gap.agent("--bundles-from", "server", server=proxy)
    harness.until(lambda: received(gap) > 2 << 20, 60, "what came is on the disk")
    assert gap.server.metric("sluice_bundles_sent_total") == 0
    gap.server.kill()
    proxy.reset()
    proxy.heal()
    gap.server.start()
    gap.serves(agent, "one\n", 60)
    found = gap.server.program.wait_line(r"bundle-sent app=shop version=v2 bytes=(\d+) from=(\d+)")
    sent, start = int(found.group(1)), int(found.group(2))
    assert start > 2 << 20 and sent + start == os.path.getsize(gap.export("v2"))
    assert gap.server.metric("sluice_bundles_sent_total") == 2
    assert gap.server.metric("sluice_bundle_bytes_sent_total") == sent + sent + start
    assert len(agent.serves("shop")) == 8


def test_a_part_that_went_bad_is_fetched_anew(gap):
    gap.promote("v1")
    gap.host.stop()
    version = gap.client.GetVersion(app="shop", version="v1").version
    part = os.path.join(gap.folder, "incoming", f"{version.id}-{version.content.digest.hex()[:12]}")
    os.makedirs(os.path.dirname(part))
    with open(gap.export("v1"), "rb") as file:
        good = file.read()
    with open(part, "wb") as file:
        file.write(good[:-40] + b"x" * 20)
    agent = gap.agent("--bundles-from", "server")
    gap.serves(agent, "one\n")
    assert [line for line in agent.program.lines if "pull-failed" in line and "DIGEST_MISMATCH" in line]


def refused(stream):
    with pytest.raises(grpc.RpcError) as error:
        list(stream)
    return harness.Refused(error.value)


def test_an_instance_gets_what_its_manifest_names(gap):
    gap.promote("v1")
    gap.version("v2", "two\n")
    one, two = (gap.client.GetVersion(app="shop", version=name).version for name in ("v1", "v2"))
    def ask(version, **fields):
        return gap.client.stream("FetchBundle", timeout=60, **{
            "instance": "stg-1", "app_id": version.app_id, "version_id": version.id, "digest": version.content.digest, **fields})
    pieces = list(ask(one))
    whole = b"".join(piece.data for piece in pieces)
    assert pieces[0].size == len(whole) and pieces[0].offset == 0 and whole[-32:] == hashlib.blake2b(whole[:-32], digest_size=32).digest()
    start = hashlib.blake2b(whole[:20 + int.from_bytes(whole[16:20], "big")], digest_size=32).digest()
    for offset in (1, len(whole) - 40, len(whole)):
        rest = list(ask(one, offset=offset, start_digest=start))
        assert rest[0].offset == offset and b"".join(piece.data for piece in rest) == whole[offset:]
    for fields in ({"offset": 40}, {"offset": 40, "start_digest": bytes(32)}, {"offset": len(whole) + 1, "start_digest": start}):
        assert b"".join(piece.data for piece in ask(one, **fields)) == whole
    assert refused(ask(two)).reason == "VERSION_NOT_FOUND"
    assert refused(ask(one, digest=two.content.digest)).reason == "VERSION_NOT_FOUND"
    assert refused(ask(one, digest=b"")).reason == "VERSION_NOT_FOUND"
    assert refused(ask(one, app_id="app_aaaaaaaaaaaaaaaaaaaa")).reason == "VERSION_NOT_FOUND"
    assert refused(ask(one, instance="no-such")).reason == "INSTANCE_NOT_FOUND"
    assert refused(gap.client.stream("ExportBundle", app="shop", version="v9")).reason == "VERSION_NOT_FOUND"
    gap.client.CreateRepository(name="empty", url=f"git://127.0.0.1:{gap.host.port}/none.git")
    gap.client.CreateApp(name="none", repository="empty", version_name="v1")
    assert refused(gap.client.stream("ExportBundle", app="none", version="v1")).reason == "CONTENT_NOT_READY"


def test_so_many_at_once(world):
    gap = Gap(world, ["--bundles-max", "1"])
    gap.repository.commit({f"apps/shop/data-{i}": "x" * (1 << 20) + str(i) for i in range(8)})
    gap.client.CreateVersion(app="shop", name="v2")
    harness.wait_content(gap.client, "shop", "v2")
    narrow = gap.server.client([("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0)])
    slow = narrow.stream("ExportBundle", timeout=60, app="shop", version="v2")
    next(slow)  # it reads no further: the server waits for it
    assert refused(gap.client.stream("ExportBundle", app="shop", version="v2")).reason == "TOO_MANY"
    slow.cancel()
    harness.until(lambda: whole(gap.client.stream("ExportBundle", app="shop", version="v2")), 30, "the next one's turn")


def whole(stream):
    try:
        pieces = list(stream)
    except grpc.RpcError:
        return False
    return sum(len(piece.data) for piece in pieces) == pieces[0].size

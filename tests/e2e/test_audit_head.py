"""A signed head of the audit record, kept elsewhere: what it shows of a store that somebody changed so that it is sound by itself."""
import base64
import json
import os
import re
import shutil
import subprocess

import harness
import pytest
from audit_store import Store
from test_audit import fill, refused, sluice


@pytest.fixture
def server(world):
    """With keys, so that it signs."""
    folder = world.path("server")
    world.printed = subprocess.run([harness.SLUICED, "init", "--data", folder], check=True, capture_output=True, text=True).stdout
    server = world.server(folder=folder)
    fill(server.client())
    return server


def keep(world, server, name="head.json"):
    """A file with the head of now."""
    with open(world.path(name), "w", encoding="utf-8") as file:
        file.write(sluice(server, "audit", "head", "-o", "json"))
    return world.path(name)


def sequence_of(head):
    with open(head, encoding="utf-8") as file:
        return int(json.load(file)["head"]["sequence"])


def keys(world, *words, stdin=None):
    done = subprocess.run([harness.SLUICED, "keys", *words, "--data", world.path("server")], check=True, capture_output=True, text=True, input=stdin)
    return done.stdout


def pin(world, name, text):
    with open(world.path(name), "w", encoding="ascii") as file:
        file.write(text)
    return world.path(name)


def verify(server, *argv, code=0):
    """What was said; the complaint when there was one."""
    done = subprocess.run([harness.CLI, "--server", f"127.0.0.1:{server.port}", "audit", "verify", *argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (argv, done.stdout, done.stderr)
    return done.stdout + done.stderr


def changed(world, server, change):
    """A server on a copy of the store, after `change` of it; it is sound by itself."""
    assert server.stop() == 0
    store = Store(server.folder)
    change(store)
    folder = store.write(world.path("changed"))
    shutil.copytree(os.path.join(server.folder, "keys"), os.path.join(folder, "keys"))
    done = subprocess.run([harness.SLUICED, "verify", folder], capture_output=True, text=True)
    assert "audit" not in done.stdout, done.stdout
    return world.server(folder=folder)


def test_a_head_is_signed_and_stays_good(world, server):
    head = keep(world, server)
    shown = sluice(server, "audit", "head")
    assert "Signed by:" in shown and "epoch 1" in shown
    assert "is signed by the manifest key of epoch 1" in verify(server, "--against", head)
    server.client().RegisterInstance(name="later", environment="staging")
    assert server.stop() == 0
    server.start()
    assert "0 faults" in verify(server, "--against", head)


def test_a_cut_tail_is_missing(world, server):
    head = keep(world, server)
    last = sequence_of(head)
    cut = changed(world, server, lambda store: store.cut_after(last - 1))
    verify(cut)
    assert f"record {last} is missing" in verify(cut, "--against", head, code=3)


def test_a_cut_tail_that_grew_again_is_another_one(world, server):
    head = keep(world, server)
    last = sequence_of(head)
    cut = changed(world, server, lambda store: store.cut_after(last - 1))
    for i in range(3):
        refused(cut.client(), "RemoveInstance", instance=f"other-{i}")
        cut.client().RegisterInstance(name=f"other-{i}", environment="staging")
    assert int(json.loads(sluice(cut, "audit", "head", "-o", "json"))["head"]["sequence"]) > last
    verify(cut)
    assert f"record {last} is not the one of the head" in verify(cut, "--against", head, code=3)


def test_a_record_that_was_changed_with_all_that_follow_shows_by_the_head_only(world, server):
    head = keep(world, server)

    def change(store):
        log = store.tables["store/log"]
        at = next(i for i, (_, value) in enumerate(log) if b"anonymous" in value)
        log[at] = (log[at][0], log[at][1].replace(b"anonymous", b"otherwise", 1))
        store.seal_anew()

    other = changed(world, server, change)
    assert any(r.entry.principal == "otherwise" for r in other.client().ListAuditRecords(page={"page_size": 100}).records)
    verify(other)
    assert f"record {sequence_of(head)} is not the one of the head" in verify(other, "--against", head, code=3)


def test_two_refusals_that_changed_places_show_by_the_head_only(world, server):
    head = keep(world, server)

    def swap(store):
        table = store.tables["store/refusals"]
        (first, a), (second, b) = table[0], table[1]
        seal_a, seal_b = a[-40:-32], b[-40:-32]  # the sequences stay where they are
        table[0], table[1] = (first, b[:-40] + seal_a + b[-32:]), (second, a[:-40] + seal_b + a[-32:])
        store.seal_anew()

    other = changed(world, server, swap)
    verify(other)
    assert "is not the one of the head" in verify(other, "--against", head, code=3)


def test_a_head_that_nobody_signed_is_refused(world, server):
    head = keep(world, server)
    with open(head, encoding="utf-8") as file:
        good = json.load(file)
    flip = lambda text: base64.b64encode(bytes([base64.b64decode(text)[0] ^ 1]) + base64.b64decode(text)[1:]).decode()
    cases = {
        "sequence": lambda m: m["head"].update(sequence=str(int(m["head"]["sequence"]) - 1)),
        "hash": lambda m: m["head"].update(hash=flip(m["head"]["hash"])),
        "time": lambda m: m["signature"].update(atMs=str(int(m["signature"]["atMs"]) + 1)),
        "signature": lambda m: m["signature"].update(signature=flip(m["signature"]["signature"])),
        "epoch": lambda m: m["signature"].update(keyEpoch=2),
        "none": lambda m: m.pop("signature"),
    }
    says = {"epoch": "which the server does not know", "none": "is not signed"}
    first = pin(world, "first.pub", keys(world, "show-manifest"))
    for name, spoil in cases.items():
        message = json.loads(json.dumps(good))
        spoil(message)
        path = pin(world, "spoilt.json", json.dumps(message))
        assert says.get(name, "its signature is not that of") in verify(server, "--against", path, code=3), name
        verify(server, "--against", path, "--manifest-key", first, code=3)


def test_heads_hold_over_new_keys(world, server):
    first = pin(world, "first.pub", keys(world, "show-manifest"))
    old = keep(world, server, "old.json")
    keys(world, "rotate-manifest")
    harness.until(lambda: server.client().GetAuditHead().signature.key_epoch == 2, what="the next key")
    second = keep(world, server, "second.json")
    recovery = re.search(r"recovery-key:[a-z2-7-]+", world.printed).group(0)
    keys(world, "recover-manifest", stdin=recovery + "\n")
    harness.until(lambda: server.client().GetAuditHead().signature.key_epoch == 3, what="the recovered key")
    third = keep(world, server, "third.json")
    for head in (old, second, third):
        verify(server, "--against", head)
    # Who has pinned the first key follows its announcements; to what the recovery key announced, with that one only.
    verify(server, "--against", second, "--manifest-key", first)
    assert "nobody who is trusted announced" in verify(server, "--against", third, "--manifest-key", first, code=3)
    verify(server, "--against", third, "--manifest-key", first, "--recovery-key", os.path.join(server.folder, "keys/recovery.pub"))
    last = pin(world, "last.pub", keys(world, "show-manifest"))
    assert "does not lead" in verify(server, "--against", old, "--manifest-key", last, code=3)


def test_an_export_is_held_against_a_signed_head_without_a_server(world, server):
    first = pin(world, "first.pub", keys(world, "show-manifest"))
    head, export = keep(world, server), world.path("audit.jsonl")
    sluice(server, "audit", "export", export)
    assert server.stop() == 0
    assert "--manifest-key" in verify(server, "--file", export, "--against", head, code=64)
    assert "0 faults" in verify(server, "--file", export, "--against", head, "--manifest-key", first)
    with open(export, encoding="utf-8") as file:
        lines = file.read().splitlines()
    short = pin(world, "short.jsonl", "\n".join(lines[:-1]) + "\n")
    verify(server, "--file", short)
    assert "is not in the file" in verify(server, "--file", short, "--against", head, "--manifest-key", first, code=3)

"""The audit record: what is in it, that it cannot be changed unseen, and how it is cut."""
import json
import os
import subprocess

import harness
import pytest
from audit_store import SEAL, Store

SLUICE = os.path.join(harness.ROOT, "client/cli/sluice")


def sluice(server, *argv, code=0):
    done = subprocess.run([SLUICE, "--server", f"127.0.0.1:{server.port}", *argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (argv, done.stdout, done.stderr)
    return done.stdout


def verify(folder):
    return subprocess.run([harness.SLUICED, "verify", folder], capture_output=True, text=True, timeout=60)


def records(server, *argv):
    return [json.loads(line) for line in sluice(server, "audit", "ls", "--limit", "0", "--all-workspaces", "-o", "json", *argv).splitlines()]


def refused(client, method, /, **request):
    with pytest.raises(harness.Refused) as refusal:
        getattr(client, method)(**request)
    return refusal.value


def fill(client, count=3, retries=True):
    """With request ids the log keeps replies for a day."""
    for i in range(count):
        client.RegisterInstance(name=f"i{i}", environment="staging", write={"request_id": f"r{i}" if retries else "", "reason": f"for {i}"})
    for _ in range(5):
        refused(client, "RegisterInstance", name="i0", environment="staging")
    refused(client, "RemoveInstance", instance="nobody")


@pytest.fixture
def stopped(world):
    server = world.server()
    fill(server.client())
    head = sluice(server, "audit", "head", "-o", "json")
    assert server.stop() == 0
    return server, head


def test_every_change_and_refusal_says_who_what_and_from_where(world):
    server = world.server()
    client = server.client()
    fill(client)
    found = records(server)
    entries = [record["entry"] for record in found]
    assert [int(record["sequence"]) for record in found] == list(range(len(found), 0, -1))
    made = next(e for e in entries if e.get("object", {}).get("name") == "i1")
    assert made["method"] == "RegisterInstance" and made["principal"] == "anonymous" and made["reason"] == "for 1"
    assert made["caller"]["requestId"] == "r1" and "127.0.0.1" in made["caller"]["peer"]
    assert made["object"]["id"].startswith("ins_") and made["object"]["environment"] == 2
    assert made["workspaceName"] == "default" and int(made["revision"]) > 1
    refusals = [e["refusal"] | {"method": e["method"]} for e in entries if "refusal" in e]
    assert {(r["method"], r["reason"]) for r in refusals} == {("RegisterInstance", "NAME_TAKEN"), ("RemoveInstance", "INSTANCE_NOT_FOUND")}
    assert "nobody" in next(r["text"] for r in refusals if r["method"] == "RemoveInstance")
    # What is no act leaves nothing.
    before = len(found)
    refused(client, "RegisterInstance", name="NOT A NAME", environment="staging")
    refused(client, "RegisterInstance", name="i0", environment="staging", write={"validate_only": True})
    assert len(records(server)) == before
    # Of those alike the first is there at once, the rest with a count, at the latest when the server stops.
    assert server.stop() == 0
    server.verify()
    server.start()
    counts = sorted(int(e["refusal"]["count"]) for e in (r["entry"] for r in records(server, "--refused", "--method", "RegisterInstance")))
    assert counts == [1, 4]


def test_filters_and_pages(world):
    server = world.server()
    client = server.client()
    client.CreateWorkspace(name="other")
    for i in range(30):
        client.RegisterInstance(name=f"i{i}", environment="production" if i % 2 else "staging")
    client.RegisterInstance(workspace="other", name="elsewhere", environment="staging")
    refused(client, "RemoveInstance", instance="nobody")
    assert len(records(server, "--env", "production")) == 15
    assert len(records(server, "--method", "RegisterInstance")) == 31
    assert len(records(server, "--by", "sluiced")) == 1 and records(server, "--by", "ann") == []
    assert [r["entry"]["method"] for r in records(server, "--refused")] == ["RemoveInstance"]
    assert records(server, "--denied") == [] and records(server, "--since", "2999-01-01") == []
    assert len(records(server, "--until", "2999-01-01T00:00:00")) == len(records(server))
    here = sluice(server, "audit", "ls", "--limit", "0", "-o", "json", "--method", "RegisterInstance").splitlines()
    assert len(here) == 30  # of this workspace
    assert "i29" in sluice(server, "audit", "ls", "--limit", "5")
    assert sluice(server, "audit", "ls", "--since", "yesterday", code=64) == ""
    pages, token = [], ""
    while True:
        page = client.ListAuditRecords(method="RegisterInstance", page={"page_size": 7, "page_token": token})
        pages += [record.sequence for record in page.records]
        token = page.page.next_page_token
        if not token:
            break
    assert len(pages) == 31 and pages == sorted(pages, reverse=True)
    assert refused(client, "ListAuditRecords", method="Other", page={"page_token": client.ListAuditRecords(page={"page_size": 1}).page.next_page_token}).reason == "PAGE_TOKEN_INVALID"


def test_an_untouched_store_is_sound_and_so_is_its_copy(world, stopped):
    server, head = stopped
    copy = Store(server.folder).write(world.path("copy"))
    for folder in (server.folder, copy):
        done = verify(folder)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("how", ["cut", "change", "change-bulk", "swap", "cut-refusal", "change-refusal", "rename"])
def test_a_changed_store_is_found_and_the_record_is_named(world, stopped, how):
    server, _ = stopped
    store = Store(server.folder)
    log, refusals = store.tables["store/log"], store.tables["store/refusals"]
    at = 2
    key, value = log[at]
    victim = store.sequence(value)
    body = int.from_bytes(value[-SEAL:-SEAL + 4], "big")
    if how == "cut":
        del log[at]
    elif how == "change":  # another principal, of the same length
        log[at] = (key, value.replace(b"anonymous", b"otherwise", 1))
    elif how == "change-bulk":  # in the events
        log[at] = (key, value[:body] + value[body:].replace(b"staging", b"nowhere", 1))
    elif how == "swap":
        log[at], log[at + 1] = (key, log[at + 1][1]), (log[at + 1][0], value)
    elif how == "rename":
        log[at] = (key, value.replace(b"for 0", b"for 9", 1).replace(b"for 1", b"for 9", 1))
    elif how == "cut-refusal":
        victim = store.sequence(refusals[0][1])
        del refusals[0]
    else:
        victim = store.sequence(refusals[0][1])
        refusals[0] = (refusals[0][0], refusals[0][1].replace(b"anonymous", b"otherwise", 1))
    done = verify(store.write(world.path("changed")))
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"audit {victim}: " in done.stdout, (victim, done.stdout)


def test_a_running_server_says_the_same(world, stopped):
    server, _ = stopped
    store = Store(server.folder)
    key, value = store.tables["store/log"][1]
    store.tables["store/log"][1] = (key, value.replace(b"anonymous", b"otherwise", 1))
    changed = world.server(folder=store.write(world.path("changed")))
    said = sluice(changed, "audit", "verify", code=3)
    assert f"record {store.sequence(value)} was changed" in said and "1 faults" in said


def test_another_past_does_not_have_the_head(world):
    one, two = world.server(), world.server(folder=world.path("second"))
    kept = world.path("head.json")
    for server in (one, two):
        server.client().RegisterInstance(name="a", environment="staging")
    with open(kept, "w", encoding="utf-8") as file:
        file.write(sluice(one, "audit", "head", "-o", "json"))
    two.client().RegisterInstance(name="b", environment="staging")
    one.client().RegisterInstance(name="b", environment="staging")
    sluice(one, "audit", "verify", "--against", kept)
    assert "is not the one of the head" in sluice(two, "audit", "verify", "--against", kept, code=3)


def test_an_export_is_checked_without_a_server(world):
    server = world.server()
    fill(server.client())
    export, kept = world.path("audit.jsonl"), world.path("head.json")
    with open(kept, "w", encoding="utf-8") as file:
        file.write(sluice(server, "audit", "head", "-o", "json"))
    sluice(server, "audit", "export", export)
    assert server.stop() == 0
    check = [SLUICE, "audit", "verify", "--file"]
    done = subprocess.run([*check, export, "--against", kept], capture_output=True, text=True)
    assert done.returncode == 0 and "0 faults" in done.stdout, done
    with open(export, encoding="utf-8") as file:
        lines = file.read().splitlines()
    cases = {
        "is missing": lines[:2] + lines[3:],
        "is out of order": [lines[0], lines[2], lines[1], *lines[3:]],
        "says something else": [line.replace("i1", "i7") for line in lines],
        "is not in the file": lines[:-2],
    }
    for words, changed in cases.items():
        path = world.path("changed.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(changed) + "\n")
        done = subprocess.run([*check, path, "--against", kept], capture_output=True, text=True)
        assert done.returncode == 3 and words in done.stdout, (words, done)


def test_records_outlive_the_log_and_are_cut_after_an_export_only(world):
    server = world.server()
    client = server.client()
    fill(client, 40, retries=False)
    export, kept = world.path("audit.jsonl"), world.path("head.json")
    with open(kept, "w", encoding="utf-8") as file:
        file.write(sluice(server, "audit", "head", "-o", "json"))
    client.Compact()
    client.Compact()
    harness.until(lambda: client.GetStats().log_records <= 1, what="pruning")
    assert len([r for r in records(server) if r["entry"]["method"] == "RegisterInstance" and "refusal" not in r["entry"]]) == 40
    sluice(server, "audit", "verify")
    wrong = client.GetAuditHead().head
    wrong.hash = bytes(32)
    assert refused(client, "CutAudit", through=wrong).reason == "AUDIT_RECORD_UNKNOWN"
    sluice(server, "audit", "export", export)
    with open(export, encoding="utf-8") as file:
        last = int(json.loads(file.read().splitlines()[-1])["sequence"])
    sluice(server, "audit", "cut", export, code=64)  # asks, and there is no terminal
    sluice(server, "--yes", "audit", "cut", export)
    left = records(server)
    assert min(int(r["sequence"]) for r in left) == last + 1
    assert [r["entry"]["object"]["to"] for r in left if r["entry"]["method"] == "CutAudit" and "refusal" not in r["entry"]] == [str(last)]
    sluice(server, "audit", "verify")
    assert "was cut" in sluice(server, "audit", "verify", "--against", kept, code=3)
    assert server.stop() == 0
    server.verify()
    server.start()
    sluice(server, "--yes", "audit", "cut", export)  # again: nothing is left of it
    sluice(server, "audit", "verify")


def test_old_records_go_by_age_when_that_is_asked_for(world):
    server = world.server()
    fill(server.client())
    assert server.stop() == 0
    server.flags += ["--audit-keep", "1s", "--log-keep", "1s"]
    server.start()
    client = server.client()
    anchor = client.GetAuditHead().anchor.sequence
    harness.until(lambda: client.GetAuditHead().anchor.sequence > anchor + 5, timeout=90, what="the cut")
    sluice(server, "audit", "verify")
    assert server.stop() == 0
    server.verify()

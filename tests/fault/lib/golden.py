"""Golden stores: small stores as a released version wrote them, with what is expected to be in them."""
import io
import json
import os
import subprocess
import tarfile

import harness

MARKED = "inst-1"  # an instance whose record has a field of a later version
FIELD = 1000
UNKNOWN = "from a later version"


def make(world, folder):
    """Writes store.tar and expected.json of the programs at hand."""
    os.makedirs(folder, exist_ok=True)
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"})
    host = world.git_host("file")
    server = world.server()
    client = server.client()
    fill(client, host.url(repository), repository)
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(look(client), file, indent=1, sort_keys=True)
        file.write("\n")
    assert server.stop() == 0
    add_unknown_field(server.folder)
    with tarfile.open(os.path.join(folder, "store.tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
        with open(os.path.join(server.folder, "data.mdb"), "rb") as file:
            data = file.read()
        member = tarfile.TarInfo("data.mdb")
        member.size, member.mode = len(data), 0o600
        tar.addfile(member, io.BytesIO(data))


def fill(client, url, repository):
    """Something of every kind."""
    client.CreateWorkspace(name="other")
    client.CreateRepository(name="apps", url=url)
    for i, environment in enumerate(("development", "staging", "production")):
        client.RegisterInstance(name=f"inst-{i}", environment=environment, labels={"a": "b"}, write={"request_id": f"golden-{i}", "reason": "golden"})
    client.CreateApp(name="shop", repository="apps", placement={"a": "b"})
    harness.wait_content(client, "shop", "v1")
    for name in ("v1", "v2", "v3"):
        if name != "v1":
            repository.commit({"apps/shop/index.html": name + "\n"})
            client.CreateVersion(app="shop", name=name, description="golden")
            harness.wait_content(client, "shop", name)
        client.Promote(app="shop", version=name, **{"from": "development"}, write={"request_id": "golden-p-" + name})
        harness.wait_published(client, "shop", name)
    for name in ("v1", "v2"):
        client.Promote(app="shop", version=name, **{"from": "staging"})
        client.Release(app="shop", version=name)
    client.Rollback(app="shop")
    client.NoteVersion(app="shop", version="v2", text="a note")
    client.BlockVersion(app="shop", version="v3", mode=1)
    client.CreateVersion(app="shop", name="draft")
    client.SelectVersion(app="shop", version="v2", environment="staging")
    client.RenameApp(app="shop", new_name="store")
    client.RegisterInstance(name="gone", environment="staging")
    client.RemoveInstance(instance="gone")
    client.OpenApp(app="store", environment="staging", version="v2")
    harness.wait_content(client, "store", "draft")


def look(client):
    """What a client sees, as plain values."""
    versions = client.ListVersions(app="store").versions
    changes, head = [], client.GetStats().revision
    stream = client.watch(from_revision=1, timeout=30)
    for response in stream:
        changes += [[c.revision, c.method, c.reason, len(c.events)] for c in response.changes if c.revision <= head]
        if response.revision >= head:
            break
    stream.cancel()
    return {
        "workspaces": sorted(w.name for w in client.ListWorkspaces().workspaces),
        "apps": [[a.name, a.slug, a.path, dict(a.placement), a.released.name, a.version_count] for a in client.ListApps().apps],
        "versions": [[v.name, v.environment, v.state, v.content.state, v.content.commit, v.content.tree, v.content.digest.hex(), v.publication.state,
                      v.publication.ref, v.block.mode, v.derived_from.name, v.released, v.revision] for v in versions],
        "notes": [[n.environment, n.text] for n in client.ListVersionNotes(app="store", version="v2").notes],
        "promotions": [[p.revision, p.version.name, getattr(p, "from"), p.to, p.by, p.plan_hash.hex()] for p in client.ListPromotions(app="store").promotions],
        "releases": [[r.revision, r.kind, getattr(r, "from").name, r.to.name] for r in client.ListReleaseHistory(app="store").changes],
        "instances": [[i.name, i.environment, dict(i.labels), i.revision] for i in client.ListInstances().instances],
        "selections": [[s.environment, s.version.name] for s in client.ListSelections(app="store").selections],
        "changes": changes,
    }


# --- fields of a later version ------------------------------------------------------


def _suffix():
    text = UNKNOWN.encode()
    tag = FIELD << 3 | 2
    return bytes([tag & 0x7f | 0x80, tag >> 7, len(text)]) + text


def _dump(folder):
    """(lines of the head, [(key, value)]) of the table of instances."""
    lines = subprocess.run(["mdb_dump", "-s", "instances", folder], check=True, capture_output=True, text=True).stdout.splitlines()
    head, data = lines[:lines.index("HEADER=END") + 1], [line.strip() for line in lines[lines.index("HEADER=END") + 1:] if line.startswith(" ")]
    return head, list(zip(data[::2], data[1::2]))


def add_unknown_field(folder):
    head, records = _dump(folder)
    marked = [(key, value + _suffix().hex()) for key, value in records if MARKED.encode().hex() in value]
    assert len(marked) == 1
    text = "\n".join(head + [f" {part}" for record in marked for part in record] + ["DATA=END", ""])
    subprocess.run(["mdb_load", folder], input=text, check=True, text=True, capture_output=True)
    assert has_unknown_field(folder)


def has_unknown_field(folder):
    """Does the record of MARKED have the later version's field still? The store may be in use."""
    return any(_suffix().hex() in value for _, value in _dump(folder)[1] if MARKED.encode().hex() in value)

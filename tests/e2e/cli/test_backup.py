"""sluice backup, sluiced restore, sluice admin: as an operator uses them."""
import json
import os
import subprocess

from conftest import ENV, SLUICED
from test_cli import shop


def restore(fleet, file, folder, *flags, code=0):
    done = subprocess.run([SLUICED, "restore", file, "--data", folder, *flags], env=ENV, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_backup_writes_a_whole_file_or_none(fleet):
    s = fleet.sluice
    shop(fleet)
    file = fleet.path / "sluice.backup"
    said = s("backup", file).out
    first = file.read_bytes()
    assert "holds revision" in said and "BLAKE2b-256" in said
    assert file.stat().st_mode & 0o777 == 0o600
    s("workspace", "add", "later")
    told = s("backup", file, "-o", "json").json  # in the place of the one before
    assert int(told["size"]) == file.stat().st_size and int(told["revision"]) > 0 and told["digest"]
    assert file.read_bytes() != first
    assert s("backup", file, "-o", "name").out == f"{file}\n"
    assert sorted(p.name for p in fleet.path.glob("sluice.backup*")) == ["sluice.backup"]
    assert "No such file" in s("backup", fleet.path / "missing" / "file", code=3).err
    good = file.read_bytes()
    fleet.server.stop()
    s("backup", file, code=3)
    assert file.read_bytes() == good and not (fleet.path / "sluice.backup.part").exists()
    fleet.server.start()


def test_restore_recovery_and_resume(fleet):
    s = fleet.sluice
    shop(fleet)
    s("instance", "add", "dev-1", "--env", "development")
    fleet.agent("dev-1")
    s("wait", "shop", "--env", "development", "--all", "--timeout", "20s")
    file = fleet.path / "sluice.backup"
    s("backup", file)
    fleet.repo.commit("apps/shop/index.html", "two\n", "Second")
    s("version", "create", "shop", "v2")
    s("wait", "shop", "--env", "development", "--all", "--timeout", "20s")
    fleet.server.stop()
    assert "not empty" in restore(fleet, file, fleet.server.data, code=3)
    (fleet.path / "cut").write_bytes(file.read_bytes()[:-10])
    assert "not all of one" in restore(fleet, fleet.path / "cut", fleet.path / "new", code=3)
    restore(fleet, file, fleet.path / "new", "--raise", "0", code=64)
    said = restore(fleet, file, fleet.path / "new")
    assert "records checked" in said and "sluice admin resume" in said
    fleet.server.data = fleet.path / "new"
    fleet.server.start()

    assert "waits for sluice admin resume" in s("admin", "stats").out
    assert s("admin", "stats", "-o", "json").json["recovery"] is True
    assert s("app", "ls", "-o", "name").out == "shop\n"
    refused = s("version", "create", "shop", "v3", code=2)
    assert "restored from a backup" in refused.err and "sluice admin resume" in refused.err
    s("admin", "compact", code=2)
    assert "restored from a backup" in s("explain", "dev-1", "shop").out
    current = fleet.path / "dev-1" / "apps" / "shop" / "current" / "index.html"
    assert current.read_text() == "two\n"
    differs = s("admin", "resume", code=64)  # nobody to ask
    assert "default/shop in development: 0 of 1 instances serve what the backup says (v1)" in differs.out
    assert "the recovery is over" in s("admin", "resume", "--yes", "--reason", "disk replaced").out
    assert "not in recovery" in s("admin", "resume").out
    s("wait", "shop", "--env", "development", "--all", "--timeout", "30s")
    assert current.read_text() == "one\n"
    stats = s("admin", "stats").out
    assert "Recovery" not in stats and "Agents:" in stats
    assert "can no longer be watched" in s("admin", "compact").out
    floor = int(json.loads(s("admin", "compact", "-o", "json").out)["floor"])
    assert floor > 1 << 32
    s("admin", "compact", "--to", floor + 1000, code=3)
    s("watch", "--from", "5", code=3)
    fleet.server.stop()
    done = subprocess.run([SLUICED, "verify", os.fspath(fleet.server.data)], env=ENV, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    fleet.server.start()

"""Constants, secrets and data sources open over each change of the keys that seal them, whatever dies on the way."""
import os
import shutil
import subprocess

import harness
import pytest
from people import admin_of, make_server, server  # noqa: F401 (fixtures)
from rotation import FAILPOINTS, PLACES, dies_at, key_of, killed_rotation, read, refuses, rotate, write_key


@pytest.fixture
def admin(server, tmp_path):
    admin = admin_of(server, tmp_path / "admin")
    for environment in ("development", "staging"):
        admin("const", "set", "URL", "--env", environment, "--value", f"url-{environment}")
        admin("secret", "set", "KEY", "--env", environment, stdin=f"key-{environment}")
    admin("source", "add", "main", "--kind", "postgres")
    admin("source", "set", "main", "--env", "staging", "host=db", "database=shop", "user=sue", "--secret", "password=-", stdin="secret")
    return admin


def opens(admin):
    values = {c["name"]: c["values"] for c in admin.json("const", "ls")["configs"]}["URL"]
    assert [v.get("value") for v in values][:2] == ["url-development", "url-staging"]
    for environment in ("development", "staging"):
        assert admin("secret", "reveal", "KEY", "--env", environment).stdout.strip() == f"key-{environment}"
    shown = {o["name"]: o.get("value") for s in admin.json("source", "show", "main")["source"]["settings"] for o in s.get("options", [])}
    assert shown["host"] == "db" and shown["password"] == "********"
    # Writing another option opens and seals anew those that stay.
    admin("source", "set", "main", "--env", "staging", "port=5433")
    admin("source", "set", "main", "--env", "staging", "port=5432")


@pytest.mark.parametrize("serving", [False, True], ids=["stopped", "serving"])
@pytest.mark.parametrize("place", PLACES)
def test_a_new_master_key_killed_at_each_step(server, admin, place, serving):
    killed_rotation(server, place, serving, lambda: opens(admin))


def passes_of_a_start(server, place):
    """How often a server that starts comes by, before it serves."""
    server.binary, server.env = FAILPOINTS, {"SL_FAILPOINT": f"{place}:sleep:1:1"}
    server.start()
    lines = list(server.program.lines)
    assert server.stop() == 0
    server.binary, server.env = harness.SLUICED, None
    listening = next(i for i, line in enumerate(lines) if "listening port=" in line)
    return len([line for line in lines[:listening] if line.startswith(f"failpoint name={place} ")])


@pytest.mark.parametrize("place", ["begin", "commit", "committed", "reply"])
def test_a_new_workspace_key_killed_at_each_step(server, admin, place):
    assert server.stop() == 0
    struck = dies_at(server, f"{place}:crash:{passes_of_a_start(server, place) + 1}", lambda: admin("workspace", "rekey", code=None))
    assert [line for line in struck if line.startswith(f"failpoint name={place} ")]
    server.verify()
    server.start()
    opens(admin)
    admin("workspace", "rekey")
    opens(admin)
    assert server.stop() == 0
    server.verify()
    server.start()
    opens(admin)


def test_nothing_opens_with_an_older_key(server, admin):
    seen = [read(key_of(server))]
    for _ in range(3):
        assert rotate(server).returncode == 0
        admin("workspace", "rekey")
        opens(admin)
        seen.append(read(key_of(server)))
    assert len(set(seen)) == 4 and server.stop() == 0
    for old in seen[:-1]:
        refuses(server, old)
    server.start()
    opens(admin)


def test_an_old_backup_opens_with_the_key_of_then_only(server, admin, tmp_path):
    admin("backup", str(tmp_path / "copy"))
    then = read(key_of(server))
    assert rotate(server).returncode == 0
    admin("workspace", "rekey")
    assert server.stop() == 0
    restored = str(tmp_path / "restored")
    done = subprocess.run([harness.SLUICED, "restore", str(tmp_path / "copy"), "--data", restored], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    shutil.copytree(os.path.join(server.folder, "keys"), os.path.join(restored, "keys"), dirs_exist_ok=True)
    server.folder = restored
    refuses(server, read(key_of(server)))
    write_key(server, then)
    server.start()
    admin("admin", "resume", "--yes")
    opens(admin)

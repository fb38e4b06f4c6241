"""The sluice program against a real server, agents and a Git repository."""
import json
import os
import pty
import signal
import subprocess
import time

from conftest import SLUICE, until


def shop(fleet):
    fleet.sluice("repo", "add", "web", fleet.repo.url)
    return fleet.sluice("app", "create", "shop", "--repo", "web")


def test_nouns_from_making_to_removing(fleet):
    s = fleet.sluice
    assert [e["name"] for e in s("env", "ls", "-o", "json").json["environments"]] == [
        "development", "staging", "production"]
    assert s("env", "ls", "-o", "name").out == "development\nstaging\nproduction\n"
    s("workspace", "add", "team")
    assert "team" in s("workspace", "ls").out
    s("-w", "team", "repo", "add", "other", "https://git.example.org/other.git", "--publish", "none", "--branch", "dev")
    assert s("-w", "team", "repo", "show", "other", "-o", "json").json["repository"]["publish"] == "PUBLISH_MODE_NONE"
    assert s("repo", "ls", "-o", "name").out == ""
    s("workspace", "rm", "team", "--yes", code=2)
    s("-w", "team", "repo", "rm", "other", "--yes")
    s("workspace", "rm", "team", "--yes")
    s("-w", "team", "repo", "ls", code=3)

    assert "READY" in shop(fleet).out
    assert "repository web is asked now" in s("repo", "refresh", "web").out
    s("app", "rename", "shop", "store")
    assert "store" in s("app", "ls").out
    app = s("app", "show", "store", "-o", "json").json["app"]
    assert (app["name"], app["slug"]) == ("store", "shop")
    until(lambda: s("app", "show", "store", "-o", "json").json["app"]["path"] == "apps/store", "move in Git")
    s("instance", "add", "stg-1", "--env", "staging", "--url", "http://stg.example.org", "--label", "zone=eu", "--label", "a=b")
    s("instance", "label", "stg-1", "zone=us", "a-", "c=d")
    assert s("instance", "show", "stg-1", "-o", "json").json["instance"]["labels"] == {"zone": "us", "c": "d"}
    assert "paused" in s("instance", "pause", "stg-1").out and "goes on" in s("instance", "resume", "stg-1").out
    assert "NEVER" in s("instance", "ls", "--env", "staging", "--label", "c=d").out
    assert s("instance", "ls", "--env", "production", "-o", "name").out == ""
    s("instance", "rm", "stg-1", "--yes")
    assert "v1 in development" in s("app", "open", "store").out
    s("app", "rm", "store", "--yes")
    s("repo", "rm", "web", "--yes")
    s("app", "show", "store", code=3)


def test_the_whole_path_to_users_and_back(fleet):
    s = fleet.sluice
    shop(fleet)
    for name, environment in (("dev-1", "development"), ("stg-1", "staging"), ("prod-1", "production")):
        s("instance", "add", name, "--env", environment, "--url", f"http://{name}.example.org")
        fleet.agent(name)
    s("wait", "shop", "--env", "development", "--all", "--timeout", "60s")
    plan = s("plan", "shop", "v1", "--to", "staging", "-o", "json").json["plan"]
    assert plan["allowed"] and {g["id"] for g in plan["gates"]} >= {"order", "content", "not-blocked"}

    promoted = s("promote", "shop", "v1", "--to", "staging", "--yes", "--wait")
    assert "development -> staging" in promoted.out and "done:" in promoted.out
    # Where users see what is released, --wait means: on disk.
    assert "have it on disk" in s("promote", "shop", "v1", "--to", "production", "--yes", "--wait").out
    released = s("release", "shop", "v1", "--yes", "--wait")
    assert "http://prod-1.example.org/shop" in released.out
    current = fleet.path / "prod-1" / "apps"
    assert [f.read_text() for f in current.glob("*/current/index.html")] == ["one\n"]

    fleet.repo.commit("apps/shop/index.html", "two\n", "Second shop")
    fleet.repo.commit("apps/shop/more.html", "more\n", "More")
    s("version", "create", "shop", "v2", "--description", "the second")
    changed = s("version", "diff", "shop", "v2", "-o", "json").json["files"]
    assert [(f["change"], f["path"]) for f in changed] == [
        ("FILE_CHANGE_MODIFIED", "index.html"), ("FILE_CHANGE_ADDED", "more.html")]
    assert s("version", "diff", "shop", "v2", "--from", "v1", "-o", "name").out == "index.html\nmore.html\n"
    s("promote", "shop", "v2", "--to", "staging", "--yes", "--wait")
    s("promote", "shop", "v2", "--yes", "--wait")
    s("release", "shop", "v2", "--yes", "--wait", "--reason", "more pages")
    assert [f.read_text() for f in current.glob("*/current/index.html")] == ["two\n"]
    back = s("rollback", "shop", "--yes", "--wait", "-o", "json")
    assert back.json["release"]["version"]["name"] == "v1" and "Roll back to shop v1" in back.err
    assert [f.read_text() for f in current.glob("*/current/index.html")] == ["one\n"]
    history = s("release", "history", "shop", "-o", "json").json["changes"]
    assert [c["kind"].rsplit("_", 1)[-1] for c in history] == ["ROLLBACK", "RELEASED", "RELEASED"]
    assert history[1]["reason"] == "more pages"

    status = s("status", "shop")
    assert "prod-1" in status.out and "HEALTHY" in status.out and "http://prod-1.example.org/shop" in status.out
    assert "✓ v1 1/1" in s("status").out
    why = s("explain", "prod-1", "shop")
    assert "serves version 'v1'" in why.out
    s("release", "withdraw", "shop", "--yes")
    assert s("status", "-o", "json").json["apps"][0].get("released") is None


def test_rules_say_no_with_2_and_all_gates(fleet):
    s = fleet.sluice
    shop(fleet)
    held = s("promote", "shop", "v1", "--to", "production", "--yes", code=2)
    assert "BLOCK" in held.out and "content" in held.out and "nothing was changed" in held.err
    assert s("plan", "shop", "v1", "--release", code=2).out.count("BLOCK") >= 1
    assert s("plan", "shop", "v1", "--release", "-o", "json", code=2).json["plan"]["allowed"] is False
    assert s("promote", "shop", "v1", "--to", "production", "--yes", "-o", "json", code=2).json["plan"]["gates"]
    assert "no" in s("rollback", "shop", "--yes", code=2).err
    fleet.promoted("shop", "v1", "staging")
    sealed = s("version", "set", "shop", "v1", "--commit", "main", code=2)
    assert "run" in sealed.err or "sluice version create shop" in sealed.err
    s("version", "rm", "shop", "v1", "--yes", code=2)
    s("select", "shop", "v1", "--env", "production", code=2)
    s("version", "block", "shop", "v1", "--reason", "loses orders")
    blocked = s("plan", "shop", "v1", "--to", "production", code=2)
    assert "loses orders" in blocked.out
    s("version", "unblock", "shop", "v1")
    s("plan", "shop", "v9", "--to", "staging", code=3)
    s("app", "create", "Bad Name", "--repo", "web", code=64)
    s("app", "create", "shop", "--repo", "web", code=3)


def test_content_that_cannot_be_had_says_why(fleet):
    s = fleet.sluice
    s("repo", "add", "web", fleet.repo.url)
    missing = s("app", "create", "blog", "--repo", "web", code=3)
    assert "PATH_NOT_FOUND" in missing.err and "sluice version set blog v1" in missing.err
    assert "app blog is there" in missing.out
    fleet.repo.commit("apps/blog/index.html", "blog\n", "Blog")
    assert "READY" in s("version", "set", "blog", "v1").out
    unset = s("version", "set", "blog", "v1", "--commit", "nope", code=3)
    assert "its content is not there" in unset.out
    shown = s("version", "show", "blog", "v1").out
    assert "FAILED: REVISION_NOT_FOUND" in shown and "tried" in shown
    assert "READY" in s("version", "set", "blog", "v1").out and "1 file," in s("version", "show", "blog", "v1").out
    away = s("app", "create", "gone", "--repo", f"file://{fleet.path}/nowhere.git", code=3)
    assert "cannot be had" in away.err
    s("version", "create", "blog", "v2", "--commit", "no-such-branch", code=3)
    assert s("version", "create", "blog", "v3", "--commit", "no-such-branch", "--no-wait").code == 0


def test_waiting_in_vain_ends_with_4(fleet):
    s = fleet.sluice
    shop(fleet)
    s("instance", "add", "stg-1", "--env", "staging")
    fleet.promoted("shop", "v1", "staging")
    start = time.monotonic()
    late = s("wait", "shop", "v1", "--env", "staging", "--all", "--timeout", "1500ms", code=4)
    assert time.monotonic() - start < 30
    assert "not connected" in late.out and "in time" in late.err
    assert s("wait", "shop", "v1", "--content", "-o", "json").json["done"] is True
    assert s("wait", "shop", "--env", "production").out.startswith("done: no instance")
    s("wait", "nope", "--env", "staging", code=3)


def test_request_id_makes_a_repeat_safe(fleet):
    s = fleet.sluice
    first = s("workspace", "add", "team", "--request-id", "once-1", "-o", "json").json
    again = s("workspace", "add", "team", "--request-id", "once-1", "-o", "json").json
    assert again["result"]["replayed"] and again["workspace"] == first["workspace"]
    s("workspace", "add", "other", "--request-id", "once-1", code=3)
    s("workspace", "add", "team", code=3)


def ask(fleet, answer, *args):
    """Runs sluice on a terminal that types the answer; returns exit code and screen."""
    master, slave = pty.openpty()
    process = subprocess.Popen([SLUICE, *args], env=fleet.env | {"TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    screen = b""
    while b"[y/N]" not in screen:
        screen += os.read(master, 4096)
    os.write(master, answer)
    try:
        while chunk := os.read(master, 4096):
            screen += chunk
    except OSError:  # the terminal's other side is closed
        pass
    os.close(master)
    return process.wait(60), screen.decode()


def test_a_terminal_is_asked(fleet):
    s = fleet.sluice
    shop(fleet)
    code, screen = ask(fleet, b"n\n", "promote", "shop", "v1", "--to", "staging")
    assert code == 2 and "declined" in screen and "\x1b[" in screen
    assert s("version", "show", "shop", "v1", "-o", "json").json["version"]["environment"] == "development"
    code, screen = ask(fleet, b"\x04", "promote", "shop", "v1", "--to", "staging", "--no-color")
    assert code == 2 and "\x1b[3" not in screen
    code, screen = ask(fleet, b"y\n", "promote", "shop", "v1", "--to", "staging")
    assert code == 0 and "shop v1 is in staging now" in screen
    no_terminal = s("promote", "shop", "v1", "--to", "production", code=None)
    assert no_terminal.code in (2, 64)  # a gate may hold it back still
    s("instance", "add", "stg-1", "--env", "staging")
    assert "--yes" in s("instance", "rm", "stg-1", code=64).err


def test_a_plan_that_no_longer_holds_changes_nothing(fleet):
    s = fleet.sluice
    shop(fleet)
    master, slave = pty.openpty()
    process = subprocess.Popen([SLUICE, "promote", "shop", "v1", "--to", "staging"], env=fleet.env, stdin=slave,
                               stdout=slave, stderr=slave)
    os.close(slave)
    screen = b""
    while b"[y/N]" not in screen:
        screen += os.read(master, 4096)
    fleet.repo.commit("apps/shop/index.html", "changed\n", "Changed")
    s("version", "set", "shop", "v1", "--commit", "main")  # meanwhile
    os.write(master, b"y\n")
    try:
        while chunk := os.read(master, 4096):
            screen += chunk
    except OSError:
        pass
    assert process.wait(60) == 3
    assert "repeat the command" in screen.decode()
    os.close(master)


def test_watch_goes_on_over_a_restart_and_ends_with_ctrl_c(fleet):
    s = fleet.sluice
    watch = fleet.background("watch", "-o", "json", "--from", "1")
    people = fleet.background("watch", "--kind", "app", "--kind", "version", "--kind", "note")
    until(lambda: s("admin", "stats", "-o", "json").json.get("watchers") == 2, "two watchers")
    shop(fleet)
    fleet.server.stop()
    fleet.server.start()
    s("version", "create", "shop", "v2", "--no-wait")
    s("version", "note", "shop", "v2", "a note")
    revision = s("version", "note", "shop", "v2", "-o", "json").json["notes"][-1]["revision"]
    changes = []
    while not changes or changes[-1]["revision"] != revision:
        changes.append(json.loads(watch.stdout.readline()))
    revisions = [int(c["revision"]) for c in changes]
    assert revisions == sorted(set(revisions))
    assert {"CreateRepository", "CreateApp", "CreateVersion", "NoteVersion"} <= {c["method"] for c in changes}
    lines = ""
    while "shop v2" not in lines:
        lines += people.stdout.readline()
    while "NOTE CREATED  shop v2 in development: a note" not in lines:
        lines += people.stdout.readline()
    assert "VERSION CREATED" in lines and "REPOSITORY" not in lines
    for process in (watch, people):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    s("watch", "--from", "9999999", code=3)


def test_lists_are_whole_whatever_the_page(fleet):
    s = fleet.sluice
    names = sorted(f"r{i}" for i in range(7))
    for name in names:
        s("repo", "add", name, f"https://git.example.org/{name}.git")
    listed = s("repo", "ls", "-o", "json").json
    assert [r["name"] for r in listed["repositories"]] == names
    assert listed["page"]["nextPageToken"] == "" and int(listed["page"]["revision"]) > 0


def test_server_and_context(fleet):
    config = fleet.path / "config" / "sluice"
    config.mkdir(parents=True)
    (config / "context.json").write_text(json.dumps(
        {"server": f"127.0.0.1:{fleet.server.port}", "workspace": "team"}))
    env = {k: v for k, v in fleet.env.items() if k != "SLUICE_SERVER"}
    run = lambda *a: subprocess.run([SLUICE, *a], env=env, capture_output=True, text=True, timeout=60)
    assert run("-w", "default", "workspace", "add", "team").returncode == 0
    assert run("repo", "add", "mine", "https://git.example.org/mine.git").returncode == 0
    assert "mine" in run("-w", "team", "repo", "ls").stdout
    assert "mine" not in run("-w", "default", "repo", "ls").stdout
    away = run("--server", "127.0.0.1:1", "app", "ls")
    assert away.returncode == 3 and "is sluiced running" in away.stderr


def test_an_instance_that_fails_ends_the_wait_with_3(fleet):
    s = fleet.sluice
    shop(fleet)
    s("instance", "add", "stg-1", "--env", "staging")
    fleet.agent("stg-1", "--probe", "cmd:/bin/false", "--probe-deadline", "300ms")
    start = time.monotonic()
    failed = s("promote", "shop", "v1", "--to", "staging", "--yes", "--wait", "--timeout", "2m", code=3)
    assert time.monotonic() - start < 100
    assert "shop v1 is in staging now" in failed.out and "failed: 1 of 1" in failed.out
    assert "stg-1: v1 FAILED" in failed.out or "stg-1: v1 ROLLED_BACK" in failed.out
    assert "sluice explain stg-1 shop" in failed.out and "sluice instance retry stg-1" in failed.out
    start = time.monotonic()
    assert "failed" in s("wait", "shop", "--env", "staging", "--timeout", "2m", code=3).out  # it had failed before
    assert time.monotonic() - start < 100
    fleet.server.stop()
    fleet.server.start()
    assert "failed" in s("wait", "shop", "--env", "staging", "--timeout", "2m", code=3).out
    assert "✗" in s("status").out and "✗ stg-1" in s("status", "shop").out
    assert "tries again" in s("instance", "retry", "stg-1", "--app", "shop").out


def test_an_empty_list_says_so_on_a_terminal_only(fleet):
    s = fleet.sluice
    assert s("app", "ls").out == "" and s("app", "ls", "-o", "name").out == ""
    master, slave = pty.openpty()
    done = subprocess.run([SLUICE, "app", "ls"], env=fleet.env | {"TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave, timeout=30)
    os.close(slave)
    assert done.returncode == 0 and os.read(master, 100) == b"(none)\r\n"
    os.close(master)


def test_refusals_say_what_to_do_next(fleet):
    s = fleet.sluice
    shop(fleet)
    fleet.promoted("shop", "v1", "staging", "production")
    s("release", "shop", "v1", "--yes")
    recalled = s("version", "block", "shop", "v1", "--recall", code=2)
    assert "--rollback-to previous" in recalled.err and "--withdraw" in recalled.err
    removed = s("version", "rm", "shop", "v1", "--yes", code=2)
    assert "in production" in removed.err and "sluice version block shop v1" in removed.err
    s("instance", "add", "dev-1", "--env", "development")
    pinned = s("select", "shop", "v1", "--env", "staging", "--instance", "dev-1", code=2)
    assert "development" in pinned.err and "release" not in pinned.err
    stays = s("workspace", "rm", "default", "--yes", code=2)
    assert "from the start" in stays.err and "remove" not in stays.err.split("\n", 1)[1]
    malformed = s("app", "rename", "shop", "a_b", code=64)
    assert malformed.err.count("1 to 50 of a-z") == 1
    used = s("app", "rm", "shop", "--yes", code=2)
    assert "sluice release withdraw shop" in used.err

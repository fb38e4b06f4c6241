"""People and bots with contexts against a real server over TLS: rights by the command line, bots in three languages, and a release that is signed offline."""
import json
import os
import pathlib
import pwd
import signal
import subprocess
import time

import harness
import pytest
from people import Person, admin_of, make_server, server  # noqa: F401 (fixtures)

EXAMPLES = pathlib.Path(harness.ROOT) / "client/examples"


@pytest.fixture
def admin(server, tmp_path):
    return admin_of(server, tmp_path / "admin")


def let_in(admin, folder, name, *words):
    admin("principal", "add", name, *words)
    person = Person(folder / name)
    person("login", stdin=admin("token", "create", name, "--login").stdout)
    return person


def make_app(admin, folder, content="one"):
    repository = harness.Repository(str(folder))
    repository.commit({"apps/shop/index.html": content})
    admin("repo", "add", "apps", "file://" + repository.bare)
    admin("app", "create", "shop", "--repo", "apps")
    return repository


# --- rights, by the command line ------------------------------------------------------------


def test_principals_roles_and_grants(admin, tmp_path):
    make_app(admin, tmp_path)
    bob = let_in(admin, tmp_path, "bob", "--role", "viewer")
    assert bob.json("whoami")["principal"] == "bob" and "view" in bob("whoami").stdout
    assert bob("app", "ls", "-o", "name").stdout == "shop\n"
    assert "permission" in bob("promote", "shop", "v1", "--to", "staging", "--yes", code=2).stdout
    denied = bob("version", "seal", "shop", "v1", code=2).stderr
    assert "'bob'" in denied and "sluice whoami" in denied
    admin("role", "add", "stager", "view", "promote:shop*:staging", "--description", "one step only")
    assert "promote" in admin("role", "show", "stager").stdout and "stager" in admin("role", "ls", "-o", "name").stdout
    admin("grant", "bob", "stager")
    bob("promote", "shop", "v1", "--to", "staging", "--yes")
    bob("wait", "shop", "v1", "--published")
    assert "permission" in bob("promote", "shop", "v1", "--to", "production", "--yes", code=2).stdout
    admin("role", "set", "stager", "view")
    assert "permission" in bob("promote", "shop", "v1", "--to", "production", "--yes", code=2).stdout
    assert "bob" in admin("principal", "ls").stdout and "stager" in admin("principal", "show", "bob").stdout
    admin("role", "rm", "stager", "--yes", code=2)
    admin("revoke", "bob", "stager")
    admin("role", "rm", "stager", "--yes")
    admin("grant", "bob", "promote", "--apps", "shop", "--env", "production")
    bob("promote", "shop", "v1", "--to", "production", "--yes")
    admin("revoke", "bob", "promote", "--apps", "shop", "--env", "production")
    admin("revoke", "bob", "viewer")
    assert bob("app", "ls", "-o", "name").stdout == ""
    promoted = [r["entry"] for r in admin.audit() if r.get("entry", {}).get("method") == "Promote"]
    assert {e["principal"] for e in promoted} == {"bob"}
    admin("principal", "rm", "bob", "--yes")
    assert "sluice login" in bob("whoami", code=3).stderr


def test_tokens_of_a_bot(admin, tmp_path):
    ci = let_in(admin, tmp_path, "ci", "--bot", "--role", "bot")
    assert ci.json("whoami")["kind"] == "bot"
    listed = admin.json("token", "ls", "ci")["tokens"]
    assert len(listed) == 1 and "secret" not in json.dumps(listed).lower() and listed[0]["createdBy"] == "admin"
    assert admin("token", "ls", "ci").stdout.count(listed[0]["id"]) == 1
    admin("token", "revoke", listed[0]["id"])
    assert "revoked" in admin("token", "ls", "ci").stdout
    ci("whoami")  # a certificate outlives its token
    first = admin("--request-id", "once", "token", "create", "ci")
    again = admin("--request-id", "once", "token", "create", "ci", code=3)
    assert first.stdout.startswith("slc_") and again.stdout == "" and "shows a token once" in again.stderr
    assert "'ci'" in ci("token", "create", "ci", code=2).stderr
    admin("principal", "disable", "ci")
    assert "sluice login" in ci("whoami", code=3).stderr
    admin("principal", "enable", "ci")
    ci("whoami")


# --- bots in other languages ---------------------------------------------------------------------


def tls_of(person):
    """What sluice context show says, as the variables that examples and sluice take."""
    shown = person.json("context", "show")
    files = {f"SLUICE_TLS_{name.upper()}": os.path.join(shown["folder"], name + ".pem") for name in ("ca", "cert", "key")}
    return {**person.env, **files, "SLUICE_SERVER": shown["server"], "SLUICE_PROTO": os.path.join(harness.ROOT, "proto")}


def start(person, *command):
    return subprocess.Popen([str(c) for c in command], env=tls_of(person), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process):
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_the_examples_work_with_a_contexts_files(admin, tmp_path):
    make_app(admin, tmp_path)
    admin("role", "add", "mover", "view,promote")
    bot = let_in(admin, tmp_path, "mover", "--bot", "--role", "mover")
    admin("promote", "shop", "v1", "--to", "staging", "--yes")
    admin("wait", "shop", "v1", "--published")
    watch = start(bot, "/usr/bin/python3", EXAMPLES / "watch.py", "--from", "1")
    promoter = start(bot, EXAMPLES / "promote_bot")
    assert promoter.stdout.readline() == "promoting from staging to production\n", promoter.stderr.read()
    assert promoter.stdout.readline().startswith("promoted shop v1 to production")
    seen = json.loads(watch.stdout.readline())
    while seen.get("by") != "mover":
        seen = json.loads(watch.stdout.readline())
    end(watch)
    end(promoter)
    # The files are what sluice itself takes, too.
    done = subprocess.run([harness.CLI, "whoami", "-o", "json"], env={**tls_of(bot), "HOME": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["principal"] == "mover"
    strangers = {k: v for k, v in tls_of(bot).items() if not k.startswith("SLUICE_TLS")}
    refused = subprocess.run(["/usr/bin/timeout", "-s", "INT", "3", "/usr/bin/python3", EXAMPLES / "watch.py"], env=strangers, capture_output=True, text=True)
    assert "UNAVAILABLE" in refused.stderr and refused.stdout == ""


def node_modules():
    home = pathlib.Path(pwd.getpwuid(os.getuid()).pw_dir)
    return next(iter(sorted((home / ".cache" / "sluice-npm").glob("*/node_modules/@grpc/proto-loader"))), None)


@pytest.mark.skipif(node_modules() is None, reason="bazel/install-npm has not run on this machine")
def test_the_example_in_node_works_with_a_contexts_files(admin, tmp_path):
    make_app(admin, tmp_path)
    viewer = let_in(admin, tmp_path, "viewer", "--role", "viewer")
    env = {**tls_of(viewer), "NODE_PATH": str(node_modules().parent.parent)}
    done = subprocess.run(["node", EXAMPLES / "status.mjs"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "shop: released nothing" in done.stdout, done.stderr


def test_bots_go_on_when_their_certificate_is_renewed(make_server, tmp_path):
    server = make_server("--login-cert-life", "16s")
    admin = admin_of(server, tmp_path / "admin")
    make_app(admin, tmp_path)
    watch = start(admin, "/usr/bin/python3", EXAMPLES / "watch.py")
    promoter = start(admin, EXAMPLES / "promote_bot")
    assert promoter.stdout.readline().startswith("promoting from")
    until = time.monotonic() + 20
    while time.monotonic() < until:  # the timer of the README; the first certificates end meanwhile
        admin("whoami")
        time.sleep(1)  # once a second
    assert watch.poll() is None and promoter.poll() is None
    admin("promote", "shop", "v1", "--to", "staging", "--yes")
    admin("wait", "shop", "v1", "--published")
    assert promoter.stdout.readline().startswith("promoted shop v1 to production")
    seen = json.loads(watch.stdout.readline())
    while seen["method"] != "Promote":
        seen = json.loads(watch.stdout.readline())
    # Nobody renews: both say so and end.
    _, err = watch.communicate(timeout=60)
    assert watch.returncode == 3 and "UNAUTHENTICATED" in err
    _, err = promoter.communicate(timeout=60)
    assert promoter.returncode == 1 and "expired" in err, err


# --- an offline release key ------------------------------------------------------------------------


def test_a_release_is_signed_for_an_agent_that_demands_it(admin, tmp_path):
    repository = make_app(admin, tmp_path)
    key, public = tmp_path / "release.key", tmp_path / "release.pub"
    public.write_text(admin("release", "keygen", key).stdout)
    assert os.stat(key).st_mode & 0o777 == 0o600
    join, state = tmp_path / "prod-1.json", tmp_path / "prod-1"
    join.write_text(admin("instance", "add", "prod-1", "--env", "production").stdout)
    subprocess.run([harness.AGENT, "enroll", "--join", join, "--state", state], check=True, capture_output=True)
    agent = harness.Program([harness.AGENT, "run", "--state", str(state), "--release-key", str(public), "--allow-local-repos"])
    page = state / "apps/shop/current/index.html"
    try:
        for version, text in (("v1", "one"), ("v2", "two")):
            if version == "v2":
                repository.commit({"apps/shop/index.html": text})
                admin("version", "create", "shop", version)
            for environment in ("staging", "production"):
                admin("promote", "shop", version, "--to", environment, "--yes", "--wait")  # a plan holds when nothing is fetched
                admin("wait", "shop", version, "--published")
            admin("release", "shop", version, "--yes")
            harness.until(lambda: "release key" in admin("explain", "prod-1", "shop").stdout, 60, "the agent says no")
            assert not page.exists() or page.read_text() == "one"
            releaser = Person(tmp_path / f"signer-{version}")
            admin("principal", "add", f"signer-{version}", "--role", "releaser")
            releaser("login", stdin=admin("token", "create", f"signer-{version}", "--login").stdout)
            assert "is signed" in releaser("release", "sign", "shop", version, "--key", key).stdout
            harness.until(lambda: page.exists() and page.read_text() == text, 60, "the agent serves it")
        # Another key's signature changes nothing of what it serves.
        other = tmp_path / "other.key"
        admin("release", "keygen", other)
        repository.commit({"apps/shop/index.html": "three"})
        admin("version", "create", "shop", "v3")
        for environment in ("staging", "production"):
            admin("promote", "shop", "v3", "--to", environment, "--yes", "--wait")
            admin("wait", "shop", "v3", "--published")
        admin("release", "sign", "shop", "v3", "--key", other)
        admin("release", "shop", "v3", "--yes")
        harness.until(lambda: "release key" in admin("explain", "prod-1", "shop").stdout, 60, "the agent says no")
        assert page.read_text() == "two"
    except AssertionError:
        print("\n".join(agent.lines), admin("explain", "prod-1", "shop", code=None).stdout)
        raise
    finally:
        agent.end()

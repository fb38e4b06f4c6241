"""Constants and secrets, one value per environment, over TLS and by the command line; and never a secret where it does not belong."""
import os
import subprocess

import harness
import pytest
from harness import Refused
from people import Person, admin_of, make_server, server  # noqa: F401 (fixtures)

MARKS = ["marker-secret-7hq2vd", "marker-constant-9xk4wz"]
GLOBAL, SECRET = 1, 2


@pytest.fixture
def admin(server, tmp_path):
    return admin_of(server, tmp_path / "admin")


def let_in(admin, folder, name, *grants):
    admin("principal", "add", name)
    for grant in grants:
        admin("grant", name, *grant)
    person = Person(folder / name)
    person("login", stdin=admin("token", "create", name, "--login").stdout)
    return person


def client_of(server, folder):
    return server.login(str(folder))[0]


def refused(call, **fields):
    with pytest.raises(Refused) as caught:
        call(**fields)
    return caught.value


def rows(text):
    return [line.split() for line in text.splitlines()]


# --- the command line ---------------------------------------------------------------------------


def test_all_environments_side_by_side(admin, tmp_path):
    admin("const", "set", "API_URL", "--env", "development", "--value", "http://dev")
    admin("const", "set", "API_URL", "--env", "staging", "--value", "")
    admin("const", "set", "MOTD", "--env", "production", "-", stdin="first line\nsecond\n")
    file = tmp_path / "value"
    file.write_text("from a file\r\n")
    admin("const", "set", "NOTE", "--env", "development", "--value-file", str(file))
    assert rows(admin("const", "ls").stdout) == [
        ["NAME", "development", "staging", "production"],
        ["API_URL", "http://dev", "(empty)", "(unset)"],
        ["MOTD", "(unset)", "(unset)", "first", "line..."],
        ["NOTE", "from", "a", "file", "(unset)", "(unset)"],
    ]
    values = {c["name"]: c["values"] for c in admin.json("const", "ls")["configs"]}
    assert values["MOTD"][2]["value"] == "first line\nsecond" and values["NOTE"][0]["value"] == "from a file"
    assert values["API_URL"][0]["setBy"] == "admin" and "state" in values["API_URL"][2]
    assert "admin" in admin("const", "show", "API_URL").stdout
    assert "as it was" in admin("const", "set", "API_URL", "--env", "development", "--value", "http://dev").stdout
    admin("secret", "set", "DB_PASSWORD", "--env", "staging", stdin=" with spaces \n")
    admin("secret", "set", "DB_PASSWORD", "--env", "staging", stdin="********\n")
    assert rows(admin("secret", "ls").stdout) == [["NAME", "development", "staging", "production"], ["DB_PASSWORD", "(unset)", "********", "(unset)"]]
    assert admin("secret", "reveal", "DB_PASSWORD", "--env", "staging").stdout == " with spaces "
    assert admin.json("secret", "ls")["configs"][0]["values"][1]["value"] == "********"
    # A value is no argument; a kind is for life; what is said twice, or not at all, is said.
    admin("secret", "set", "DB_PASSWORD", "secret", "--env", "staging", code=64)
    admin("secret", "set", "DB_PASSWORD", "--value", "secret", "--env", "staging", code=64)
    assert "fixed for its life" in admin("const", "set", "DB_PASSWORD", "--env", "staging", "--value", "x", code=2).stderr
    admin("const", "set", "A", "--env", "staging", code=64)
    admin("const", "set", "A", "-", "--value", "x", "--env", "staging", code=64)
    assert "NUL" in admin("const", "set", "A", "-", "--env", "staging", code=64, stdin="a\0b").stderr
    admin("secret", "unset", "DB_PASSWORD", "--env", "staging")
    assert "unset in staging" in admin("secret", "reveal", "DB_PASSWORD", "--env", "staging", code=3).stderr
    admin("const", "rm", "DB_PASSWORD", "--yes", code=3)
    for kind, name in (("secret", "DB_PASSWORD"), ("const", "MOTD"), ("const", "NOTE"), ("const", "API_URL")):
        admin(kind, "rm", name, "--yes")
    assert admin("const", "ls", "-o", "name").stdout == admin("secret", "ls", "-o", "name").stdout == ""


# --- rights ---------------------------------------------------------------------------------------


def test_each_environment_has_rights_of_its_own(server, admin, tmp_path):
    for env, value in (("development", "for-dev"), ("production", "for-prod")):
        admin("const", "set", "URL", "--env", env, "--value", value)
        admin("secret", "set", "KEY", "--env", env, stdin=value)
    admin("const", "set", "ONLY_PROD", "--env", "production", "--value", "x")
    dev = let_in(admin, tmp_path, "dev", ["view", "--env", "development"], ["configure", "--env", "development"])
    shown = dev.json("const", "ls")["configs"]
    assert [c["name"] for c in shown] == ["URL"] and [v["environment"] for v in shown[0]["values"]] == ["development"]
    assert rows(dev("const", "ls").stdout)[1] == ["URL", "for-dev", "(hidden)", "(hidden)"]
    assert "for-prod" not in dev("const", "show", "URL", "-o", "json").stdout
    # What is not to be seen is as unknown.
    for words in (("const", "show", "ONLY_PROD"), ("const", "show", "NO_SUCH")):
        assert dev(*words, code=3).stderr.splitlines()[0].replace(words[2], "X").endswith("no constant 'X'")
    assert "for-prod" not in dev("const", "set", "URL", "--env", "development", "--value", "new", "-o", "json").stdout
    assert "configure" in dev("const", "set", "URL", "--env", "production", "--value", "mine", code=2).stderr
    dev("const", "unset", "URL", "--env", "production", code=2)
    dev("const", "rm", "URL", "--yes", code=2)
    assert "reveal" in dev("secret", "reveal", "KEY", "--env", "development", code=2).stderr
    # Who may not reveal learns nothing from a guess: right or wrong, it is set anew.
    assert "as it was" not in dev("secret", "set", "KEY", "--env", "development", stdin="for-dev").stdout
    assert "as it was" in admin("secret", "set", "KEY", "--env", "development", stdin="for-dev").stdout
    viewer = let_in(admin, tmp_path, "viewer", ["viewer"])
    viewer("secret", "reveal", "KEY", "--env", "production", code=2)
    admin("grant", "viewer", "reveal", "--env", "production")
    assert viewer("secret", "reveal", "KEY", "--env", "production").stdout == "for-prod"
    viewer("secret", "reveal", "KEY", "--env", "development", code=2)
    acts = [(a["entry"]["principal"], a["entry"]["object"].get("name"), a["entry"]["object"].get("environment"), a["entry"].get("refusal", {}).get("reason"))
            for a in admin.audit() if a["entry"]["method"] == "RevealSecret"]
    assert ("viewer", "KEY", 3, None) in acts and any(a[0] == "dev" and a[3] == "RIGHT_MISSING" for a in acts)
    value = admin.json("secret", "ls")["configs"][0]["values"][2]
    assert value["revealedBy"] == "viewer"


def watched(client, **fields):
    changes = []
    head = client.ListConfigNames().page.revision
    for message in client.watch(timeout=30, **fields):
        changes += message.changes
        if message.revision >= head:
            return changes


def test_watchers_get_names_of_what_they_see(server, admin, tmp_path):
    client = client_of(server, tmp_path / "first")
    start = client.ListConfigNames().page.revision
    client.SetConfigValue(name="BOTH", kind=GLOBAL, environment="development", value=MARKS[1])
    client.SetConfigValue(name="BOTH", kind=GLOBAL, environment="production", value=MARKS[1])
    client.SetConfigValue(name="PROD", kind=SECRET, environment="production", value=MARKS[0])
    client.RevealSecret(name="PROD", environment="production")
    client.DeleteConfigName(name="PROD")
    all_of_it = watched(client, from_revision=start, kinds=[11])
    assert [(e.type, e.config.name, e.environment) for c in all_of_it for e in c.events] == [
        (1, "BOTH", 1), (2, "BOTH", 3), (1, "PROD", 3), (2, "PROD", 3), (3, "PROD", 0)]
    assert all(mark not in str(all_of_it) for mark in MARKS)
    client.CreatePrincipal(name="dev", kind=2, grants=[{"verb": 1, "environment": "development"}])
    dev = server.login(str(tmp_path / "dev"), client.CreateAccessToken(principal="dev").secret)[0]
    some = [e for c in watched(dev, from_revision=start, kinds=[11]) for e in c.events]
    assert [(e.config.name, [v.environment for v in e.config.values]) for e in some] == [("BOTH", ["development"])]


# --- every write ------------------------------------------------------------------------------------


def test_the_options_of_writes(server, tmp_path):
    client = client_of(server, tmp_path / "first")
    first = dict(name="KEY", kind=SECRET, environment="staging", value="one", write={"request_id": "r1"})
    made = client.SetConfigValue(**first)
    again = client.SetConfigValue(**first)
    assert again.result.replayed and again.result.revision == made.result.revision and again.config == made.config
    assert refused(client.SetConfigValue, **{**first, "value": "two"}).reason == "REQUEST_ID_REUSED"
    stale = refused(client.SetConfigValue, name="KEY", environment="staging", value="two", write={"expected_revision": made.result.revision - 1})
    assert (stale.code.name, stale.reason, stale.metadata["current_revision"]) == ("ABORTED", "STALE_REVISION", str(made.result.revision))
    other = client.SetConfigValue(name="KEY", environment="production", value="two")
    client.SetConfigValue(name="KEY", environment="staging", value="two", write={"expected_revision": made.result.revision})
    assert client.SetConfigValue(name="KEY", environment="staging", value="three", write={"validate_only": True}).result.revision == 0
    shown = client.RevealSecret(name="KEY", environment="staging", write={"request_id": "r2"})
    assert shown.secret == "two" and shown.result.revision > other.result.revision
    again = client.RevealSecret(name="KEY", environment="staging", write={"request_id": "r2"})
    assert again.result.replayed and again.secret == ""  # it is not kept
    assert client.RevealSecret(name="KEY", environment="staging", write={"validate_only": True}).secret == ""
    gone = client.UnsetConfigValue(name="KEY", environment="staging", write={"request_id": "r3"})
    assert client.UnsetConfigValue(name="KEY", environment="staging").result.revision == 0
    assert client.UnsetConfigValue(name="KEY", environment="staging", write={"request_id": "r3"}).result.replayed
    assert refused(client.DeleteConfigName, name="KEY", write={"expected_revision": 1}).reason == "STALE_REVISION"
    assert refused(client.CreateWorkspace, name="x", write={"expected_revision": 1}).reason == "MALFORMED"
    client.CreateWorkspace(name="team")
    client.SetConfigValue(workspace="team", name="KEY", kind=GLOBAL, environment="staging", value="theirs")
    assert client.GetConfigName(name="KEY").config.kind == SECRET
    assert refused(client.DeleteWorkspace, workspace="team").reason == "WORKSPACE_IN_USE"
    client.DeleteConfigName(workspace="team", name="KEY")
    client.DeleteWorkspace(workspace="team")
    client.DeleteConfigName(name="KEY", write={"expected_revision": gone.result.revision})
    assert refused(client.GetConfigName, name="KEY").reason == "CONFIG_NOT_FOUND"
    names = [f"N{i:03}" for i in range(130)]
    for name in names:
        client.SetConfigValue(name=name, kind=GLOBAL, environment="staging", value=name)
    found, token = [], ""
    while True:
        page = client.ListConfigNames(page={"page_size": 50, "page_token": token})
        found += [c.name for c in page.configs]
        token = page.page.next_page_token
        if not token:
            break
    assert found == names
    assert server.stop() == 0
    server.verify()


# --- no leak ------------------------------------------------------------------------------------------


def holding(folder, marks):
    found = []
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    held = file.read()
                found += [(path, mark) for mark in marks if mark.encode() in held]
    return found


def provoke(client, marks):
    """Every way to go wrong with a value in the request."""
    secret, constant = marks
    calls = [
        dict(name="SECRET", kind=GLOBAL, environment="staging", value=secret),
        dict(name="SECRET", environment="staging", value=secret, write={"expected_revision": 1}),
        dict(name="9", kind=SECRET, environment="staging", value=secret),
        dict(name="SECRET", environment="nowhere", value=secret),
        dict(name="SECRET", environment="staging", value=secret * 1000),
        dict(name="NEW", environment="staging", value=constant),
        dict(workspace="nowhere", name="SECRET", environment="staging", value=secret),
    ]
    for fields in calls:
        error = refused(client.SetConfigValue, **fields)
        assert not any(mark in str(error) for mark in marks)


def test_a_value_is_found_nowhere_but_where_it_is_asked_for(make_server, tmp_path):
    server = make_server("--log-level", "debug")
    client = client_of(server, tmp_path / "first")
    secret, constant = MARKS
    for env in ("development", "staging", "production"):
        client.SetConfigValue(name="SECRET", kind=SECRET, environment=env, value=f"{secret}-{env}", write={"request_id": f"s-{env}", "reason": "set"})
        client.SetConfigValue(name="CONSTANT", kind=GLOBAL, environment=env, value=f"{constant}-{env}", write={"request_id": f"c-{env}"})
    provoke(client, MARKS)
    assert client.RevealSecret(name="SECRET", environment="staging", write={"request_id": "shown"}).secret == secret + "-staging"
    client.RotateWorkspaceKey()
    assert secret not in str(client.ListConfigNames()) + str(client.GetConfigName(name="SECRET"))
    told = str(client.ListAuditRecords(page={"page_size": 1000})) + str(client.ExportAudit())
    told += str(watched(client, from_revision=1))
    assert not any(mark in told for mark in MARKS)
    person = admin_of(server, tmp_path / "admin")
    person("backup", str(tmp_path / "copy"))
    server.kill()
    server.start()
    client = client_of(server, tmp_path / "again")
    assert client.RevealSecret(name="SECRET", environment="production").secret == secret + "-production"
    client.UnsetConfigValue(name="SECRET", environment="production")
    assert server.stop() == 0
    assert holding(str(tmp_path), MARKS) == []  # store, keys and backup, homes of people
    assert not any(mark in line for line in server.program.lines for mark in MARKS)
    server.verify()


def test_a_lost_master_key_costs_the_values_and_keeps_the_names(server, admin):
    admin("secret", "set", "KEY", "--env", "production", stdin="hidden")
    admin("const", "set", "URL", "--env", "staging", "--value", "x")
    assert server.stop() == 0
    os.unlink(os.path.join(server.folder, "keys/master.key"))
    server.start()
    assert rows(admin("const", "ls").stdout)[1] == ["URL", "(unset)", "(unreadable)", "(unset)"]
    assert rows(admin("secret", "ls").stdout)[1] == ["KEY", "(unset)", "(unset)", "********"]
    assert "master key" in admin("secret", "reveal", "KEY", "--env", "production", code=2).stderr
    assert server.stop() == 0
    done = subprocess.run([harness.SLUICED, "vault", "reset", "--data", server.folder, "--forget-values"], capture_output=True, text=True)
    assert done.returncode == 0 and "2 values" in done.stdout, done
    server.verify()
    server.start()
    assert rows(admin("secret", "ls").stdout)[1] == ["KEY", "(unset)", "(unset)", "(unset)"]

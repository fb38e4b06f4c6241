"""Constants and secrets, one value per environment, over TLS and by the command line; and never a secret where it does not belong."""
import json
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


def test_data_sources(server, admin, tmp_path):
    admin("source", "add", "main", "--kind", "postgres")
    admin("source", "add", "main", "--kind", "redis", code=3)
    admin("source", "add", "other", "--kind", "oracle", code=64)
    admin("const", "set", "DB_HOST", "--env", "staging", "--value", "db")
    file = tmp_path / "password"
    file.write_text(MARKS[0] + "\n")
    said = admin("source", "set", "main", "--env", "staging", "host={{constants.DB_HOST}}", "user=shop", "--secret", f"password=@{file}").stdout
    assert "still missing: database" in said
    assert rows(admin("source", "ls").stdout) == [["NAME", "development", "staging", "production", "KIND"],
                                                   ["main", "(unset)", "missing:", "database", "(unset)", "postgres"]]
    admin("source", "set", "main", "--env", "staging", "database=shop", "--secret", "password=-", stdin="********")
    admin("source", "set", "main", "--env", "production", "host=prod", "database=shop", "user=shop", "--secret", "password=-", stdin=MARKS[0] + "-2")
    assert rows(admin("source", "ls").stdout)[1] == ["main", "(unset)", "set", "set", "postgres"]
    shown = rows(admin("source", "show", "main").stdout)
    assert ["host", "(unset)", "{{constants.DB_HOST}}", "prod"] in shown and ["password", "(unset)", "********", "********"] in shown
    assert "as it was" in admin("source", "set", "main", "--env", "production", "host=prod", "--secret", "password=-", stdin=MARKS[0] + "-2").stdout
    assert "unknown" in admin("source", "set", "main", "--env", "staging", "hosts=x", code=64).stderr
    assert "secret" in admin("source", "set", "main", "--env", "staging", "password=x", code=64).stderr
    assert "NO_SUCH" in admin("source", "set", "main", "--env", "staging", "host={{constants.NO_SUCH}}", code=2).stderr
    assert "KEY=-" in admin("source", "set", "main", "--env", "staging", "--secret", "password=x", code=64).stderr
    admin("source", "set", "main", "--env", "staging", "--unset", "database")
    dev = let_in(admin, tmp_path, "dev", ["view", "--env", "development"], ["configure", "--env", "development"])
    assert dev("source", "ls", "-o", "name").stdout == ""
    dev("source", "show", "main", code=3)
    dev("source", "set", "main", "--env", "staging", "user=x", code=2)
    admin("source", "set", "main", "--env", "development", "host=dev")
    assert rows(dev("source", "ls").stdout)[1][-3:] == ["(hidden)", "(hidden)", "postgres"] and "prod" not in dev("source", "show", "main", "-o", "json").stdout
    client = client_of(server, tmp_path / "first")
    told = str(client.ListAuditRecords(page={"page_size": 1000})) + str(client.ExportAudit()) + str(client.ListSources()) + str(watched(client, from_revision=1))
    assert MARKS[0] not in told and "main" in told
    admin("source", "rm", "main", "--yes")
    assert server.stop() == 0
    file.unlink()
    assert harness.holding(str(tmp_path), MARKS) == []
    assert not any(mark in line for line in server.program.lines for mark in MARKS)
    server.verify()


def test_config_as_a_file(admin, tmp_path):
    admin("const", "set", "URL", "--env", "development", "--value", "http://dev\n\"quoted\"")
    admin("const", "set", "URL", "--env", "staging", "--value", "")
    admin("secret", "set", "KEY", "--env", "production", stdin=MARKS[0])
    admin("source", "add", "main", "--kind", "postgres")
    admin("source", "set", "main", "--env", "staging", "host={{constants.URL}}", "--secret", "password=-", stdin=MARKS[0])
    file = tmp_path / "config.json"
    file.write_text(admin("config", "export").stdout)
    held = json.loads(file.read_text())
    assert MARKS[0] not in file.read_text()
    assert held == {"constants": {"URL": {"development": "http://dev\n\"quoted\"", "staging": ""}}, "secrets": {"KEY": {"production": {}}},
                    "sources": {"main": {"kind": "postgres", "options": {"development": {}, "staging": {"host": "{{constants.URL}}"}, "production": {}},
                                         "secrets": {"development": {}, "staging": {"password": {}}, "production": {}}}}}
    assert admin("config", "apply", "-f", str(file)).stdout == "0 changes\n"
    # In another workspace all of it is new.
    admin("workspace", "add", "team")
    before = admin("-w", "team", "config", "apply", "-f", str(file), "--dry-run").stdout
    assert "+ constant URL in development" in before and "! secret KEY in production" in before and "+ source main (postgres)" in before
    assert json.loads(admin("-w", "team", "config", "export").stdout) == {"constants": {}, "secrets": {}, "sources": {}}
    value = tmp_path / "value"
    value.write_text(MARKS[1] + "\n")
    held["secrets"]["KEY"]["production"] = {"env": "GIVEN"}
    held["sources"]["main"]["secrets"]["staging"]["password"] = {"file": str(value)}
    held["constants"]["URL"]["staging"] = "changed"
    file.write_text(json.dumps(held))
    assert "GIVEN" not in admin.env and "not set" in admin("-w", "team", "config", "apply", "-f", str(file), code=64).stderr
    assert json.loads(admin("-w", "team", "config", "export").stdout)["constants"] == {}  # nothing was done
    admin.env["GIVEN"] = MARKS[0]
    done = admin("-w", "team", "config", "apply", "-f", str(file)).stdout
    assert "+ secret KEY in production" in done and not any(mark in done for mark in MARKS)
    assert admin("-w", "team", "config", "apply", "-f", str(file)).stdout == "0 changes\n"
    assert admin("-w", "team", "secret", "reveal", "KEY", "--env", "production").stdout == MARKS[0]
    assert "~ constant URL in staging:  -> changed" in admin("config", "apply", "-f", str(file), "--dry-run").stdout
    for bad in ('{"constant": {}}', '{"constants": {"A": {"nowhere": "x"}}}', '{"constants": {"A": {"staging": 1}}}', '{"secrets": {"A": {"staging": "x"}}}',
                '{"secrets": {"A": {"staging": {"file": "-"}}}}', '{"sources": {"main": {"kind": "postgres", "host": {}}}}', '{"sources": {"main": {}}}', "[]", "{"):
        file.write_text(bad)
        admin("config", "apply", "-f", str(file), code=64)
    file.write_text('{"sources": {"main": {"kind": "redis"}}}')
    assert "fixed for its life" in admin("config", "apply", "-f", str(file), code=2).stderr


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
    for message in client.watch(timeout=60, **fields):
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


# --- what a version requires --------------------------------------------------------------------------


def test_the_plan_says_what_the_target_lacks(server, admin, tmp_path):
    repository = harness.Repository(str(tmp_path / "git"))
    needs = {"constants": ["URL"], "secrets": ["KEY"], "data_sources": [{"name": "main", "kind": "postgres"}]}
    repository.commit({"apps/shop/index.html": "one", "apps/shop/sluice.json": json.dumps({"requires": needs})})
    admin("repo", "add", "apps", "file://" + repository.bare)
    admin("app", "create", "shop", "--repo", "apps")
    client = client_of(server, tmp_path / "first")
    harness.wait_content(client, "shop", "v1")

    def gate(**fields):
        found = {g.id: (g.state, g.reason) for g in client.Plan(app="shop", version="v1", action=1, **fields).plan.gates}
        return found["contract"]

    assert gate() == (2, "staging lacks what version v1 requires: constant URL, secret KEY, data source main (postgres)")
    before = client.Plan(app="shop", version="v1", action=1).plan.plan_hash
    admin("const", "set", "URL", "--env", "development", "--value", "not there")  # never another environment's
    admin("const", "set", "URL", "--env", "staging", "--value", "")
    admin("const", "set", "KEY", "--env", "staging", "--value", "of another kind")
    admin("source", "add", "main", "--kind", "postgres")
    admin("source", "set", "main", "--env", "staging", "host=db")
    assert gate() == (2, "staging lacks what version v1 requires: secret KEY, data source main (postgres)")
    assert client.Plan(app="shop", version="v1", action=1).plan.plan_hash == before
    admin("const", "rm", "KEY", "--yes")
    admin("secret", "set", "KEY", "--env", "staging", stdin="x")
    admin("source", "set", "main", "--env", "staging", "database=shop", "user=shop")
    assert gate() == (1, "staging has all 3 that version v1 requires")
    admin("const", "set", "HOST", "--env", "development", "--value", "db")
    admin("source", "set", "main", "--env", "staging", "host={{constants.HOST}}")
    assert gate() == (2, "staging lacks what version v1 requires: data source main (postgres): constant HOST is unset")
    admin("const", "set", "HOST", "--env", "staging", "--value", "")
    assert gate()[1].endswith("data source main (postgres): constant HOST is empty")
    admin("const", "set", "HOST", "--env", "staging", "--value", "db")
    assert gate() == (1, "staging has all 3 that version v1 requires")
    assert client.Plan(app="shop", version="v1", action=1).plan.plan_hash != before
    assert "contract" in admin("plan", "shop", "v1", "--to", "staging").stdout
    bob = let_in(admin, tmp_path, "bob", ["view", "--env", "development"])
    assert "KEY" not in bob("plan", "shop", "v1", "--to", "staging", "-o", "json", code=None).stdout
    admin("promote", "shop", "v1", "--to", "staging", "--yes")
    harness.wait_published(client, "shop", "v1")
    def production():
        return client.Plan(app="shop", version="v1", action=1).plan

    shown = production()
    admin("env", "set", "production", "--contract", "block")
    assert rows(admin("env", "ls").stdout)[3][-1] == "BLOCK" and rows(admin("env", "ls").stdout)[2][-1] == "WARN"
    held = refused(client.Promote, app="shop", version="v1", **{"from": "staging"})
    assert held.reason == "GATE_BLOCKED" and [g[0] for g in held.gates] == ["contract"]
    assert refused(client.Promote, app="shop", version="v1", plan_hash=shown.plan_hash, **{"from": "staging"}).reason == "STALE_PLAN"
    admin("promote", "shop", "v1", "--to", "production", "--yes", code=2)
    assert not bob.json("env", "ls")["environments"][2].get("policy")
    bob("env", "set", "production", "--contract", "warn", code=2)
    admin("env", "set", "production", "--contract", "warn")
    assert production().plan_hash != shown.plan_hash  # another revision of the policy
    said = admin("promote", "shop", "v1", "--to", "production", "--yes").stdout  # it warns, and lets through
    assert "production lacks what version v1 requires" in said
    assert "contract" in [g.id for g in client.Plan(app="shop", version="v1", action=2).plan.gates]


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
    assert harness.holding(str(tmp_path), MARKS) == []  # store, keys and backup, homes of people
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

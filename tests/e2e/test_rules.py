"""Rules as any client meets them: every mutating call bears the same options, every refusal says why, facts stay, names come back."""
import pytest
import harness

Refused = harness.Refused
DEV = {"from": "development"}
STAGING = {"from": "staging"}


@pytest.fixture
def shop(world):
    """A server with app `shop` whose v1 is READY, and its repository."""
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n", "apps/blog/index.html": "blog\n", "tools/index.html": "tools\n"})
    server = world.server()
    client = server.client()
    client.CreateRepository(name="apps", url=world.git_host().url(repository))
    client.CreateApp(name="shop", repository="apps")
    harness.wait_content(client, "shop", "v1")
    return server, client, repository


def refused(client, method, **fields):
    with pytest.raises(Refused) as caught:
        getattr(client, method)(**fields)
    return caught.value


def make(client, name, **fields):
    client.CreateVersion(app="shop", name=name, **fields)
    harness.wait_content(client, "shop", name)


def produce(client, *names):
    for name in names:
        client.Promote(app="shop", version=name, **DEV)
        harness.wait_published(client, "shop", name)
        client.Promote(app="shop", version=name, **STAGING)
        client.Release(app="shop", version=name)


def names(versions):
    return [version.name for version in versions]


# --- every mutating method ---------------------------------------------------------------

# (method, request, the record that expected_revision is of; None: it creates; "": it takes none), in an order in which each works.
WRITES = [
    ("CreateWorkspace", {"name": "team"}, None),
    ("DeleteWorkspace", {"workspace": "team"}, "workspace"),
    ("CreateRepository", {"name": "other", "url": "https://git.example.org/other.git"}, None),
    ("SetRepository", {"repository": "other", "url": "https://git.example.org/moved.git"}, "repository"),
    ("RefreshRepository", {"repository": "other"}, ""),
    ("CreateApp", {"name": "far", "repository": "other"}, None),
    ("RetryOwed", {"repository": "other", "owed": "FIRST"}, ""),
    ("DropOwed", {"repository": "other", "owed": "FIRST"}, ""),
    ("DeleteApp", {"app": "far"}, "app"),
    ("DeleteRepository", {"repository": "other"}, "repository"),
    ("CreateApp", {"name": "blog", "repository": "apps"}, None),
    ("ImportApp", {"name": "tools", "repository": "apps", "path": "tools"}, None),
    ("DeleteApp", {"app": "tools"}, "app"),
    ("RenameApp", {"app": "blog", "new_name": "news"}, "app"),
    ("UpdateApp", {"app": "news", "display_name": "News"}, "app"),
    ("OpenApp", {"app": "news"}, ""),
    ("DeleteApp", {"app": "news"}, "app"),
    ("CreateVersion", {"app": "shop", "name": "v2", "from": "v1"}, None),
    ("SetVersionContent", {"app": "shop", "version": "v2", "commit": "main"}, "version"),
    ("PushVersion", {"app": "shop", "version": "v2", "upload": "UPLOAD", "message": "more"}, "version"),
    ("UpdateVersion", {"app": "shop", "version": "v2", "new_name": "v3"}, "version"),
    ("BlockVersion", {"app": "shop", "version": "v3", "mode": 2}, "version"),
    ("UnblockVersion", {"app": "shop", "version": "v3"}, "version"),
    ("NoteVersion", {"app": "shop", "version": "v3", "text": "fine"}, ""),
    ("SelectVersion", {"app": "shop", "version": "v1", "environment": "development"}, "pin"),
    ("ClearSelection", {"app": "shop", "environment": "development"}, "pin"),
    ("SealVersion", {"app": "shop", "version": "v1"}, "version"),
    ("Promote", {"app": "shop", "version": "v1", "from": "development"}, "version"),
    ("Promote", {"app": "shop", "version": "v1", "from": "staging"}, "version"),
    ("Release", {"app": "shop", "version": "v1"}, "release"),
    ("SignRelease", {"app": "shop", "version": "v1", "signature": bytes(64)}, "version"),
    ("WithdrawRelease", {"app": "shop"}, "release"),
    ("Rollback", {"app": "shop", "to": "v1"}, "release"),
    ("DeleteVersion", {"app": "shop", "version": "v3"}, "version"),
    ("RegisterInstance", {"name": "stg-1", "environment": "staging"}, None),
    ("UpdateInstance", {"instance": "stg-1", "labels": {"zone": "eu", "a": "b"}}, "instance"),
    ("PauseInstance", {"instance": "stg-1"}, "instance"),
    ("ResumeInstance", {"instance": "stg-1"}, "instance"),
    ("RetryInstance", {"instance": "stg-1"}, "instance"),
    ("UpdateInstance", {"instance": "stg-1", "pull": 2}, "instance"),
    ("Pull", {"instance": "stg-1", "app": "shop", "version": "v1"}, "instance"),
    ("RevokeInstance", {"instance": "stg-1"}, "instance"),
    ("ClearInstanceAlerts", {"instance": "stg-1"}, "instance"),
    ("RemoveInstance", {"instance": "stg-1"}, "instance"),
    ("CreateRole", {"name": "ops", "rights": [{"verbs": [1], "environment": "production"}]}, None),
    ("UpdateRole", {"role": "ops", "description": "on call", "rights": [{"verbs": [1, 2]}]}, "role"),
    ("CreatePrincipal", {"name": "ada", "kind": 1}, None),
    ("CreateGrant", {"principal": "ada", "grant": {"role": "ops", "apps": "shop"}}, "principal"),
    ("DeleteGrant", {"principal": "ada", "grant": {"role": "ops", "apps": "shop"}}, "principal"),
    ("DisablePrincipal", {"principal": "ada"}, "principal"),
    ("EnablePrincipal", {"principal": "ada"}, "principal"),
    ("DeletePrincipal", {"principal": "ada"}, "principal"),
    ("DeleteRole", {"role": "ops"}, "role"),
    ("SetEnvironmentPolicy", {"environment": "staging", "contract": 2}, "policy"),
    ("CreateSource", {"name": "main", "kind": "postgres"}, None),
    ("DeleteSource", {"source": "main"}, "source"),
]
# Successes that find nothing to change here.
UNCHANGED = {"RetryInstance", "RefreshRepository", "RevokeInstance", "ClearInstanceAlerts"}
# Those of a server that knows who calls, and of one with a master key.
SECURE_ONLY = {"CreateAccessToken", "RevokeAccessToken", "InviteInstance", "GenerateRepositoryKey", "RotateRepositoryKey", "RotateWorkspaceKey", "Logout",
               "SetConfigValue", "UnsetConfigValue", "DeleteConfigName", "RevealSecret", "SetSource"}
AGENT_ONLY = {"PushWorkingCopy", "BreakLease", "TestSource"}  # of one with an agent: test_devpush, test_source_test


def settle(client, method, request):
    """Until what the server does by itself is done, so that revisions stand still."""
    harness.until(lambda: not client.ListOwed(repository="apps").items, 60, "an empty outbox")
    if method in ("SealVersion", "Promote"):
        harness.wait_content(client, "shop", "v1")
        if request.get("from") == "staging":
            harness.wait_published(client, "shop", "v1")
    if method in ("UpdateVersion", "BlockVersion", "SetVersionContent", "PushVersion"):
        harness.wait_content(client, "shop", request["version"])


def mutating(services):
    for service in services.values():
        for method in service.methods:
            if "write" in method.input_type.fields_by_name:
                yield method


def test_the_table_has_every_mutating_method(services):
    made = {method.name for method in mutating(services) if method.containing_service.name not in ("AdminService", "AuditService")}
    assert made - SECURE_ONLY - AGENT_ONLY == {method for method, _, _ in WRITES}
    for method in mutating(services):
        fields = {field.name for field in method.input_type.fields_by_name["write"].message_type.fields}
        assert fields == {"request_id", "expected_revision", "validate_only", "reason"}
        assert method.input_type.fields_by_name["write"].number == 2
        assert "result" in method.output_type.fields_by_name


def test_every_write_can_be_tried_expected_and_repeated(shop):
    server, client, _ = shop
    answers = []
    for at, (method, request, record) in enumerate(WRITES):
        settle(client, method, request)
        if request.get("owed"):
            request = {**request, "owed": client.ListOwed(repository="other").items[0].id}
        if request.get("upload"):
            request = {**request, "upload": client.UploadContent(app="shop", data=harness.archive({"index.html": "pushed\n"}), last=True).upload}
        call = getattr(client, method)
        tried = call(write={"validate_only": True, "request_id": f"w-{at}"}, **request)
        assert (tried.result.revision, tried.result.replayed) == (0, False), method
        if record != "":
            stale = refused(client, method, write={"expected_revision": 1 << 50}, **request)
            if record is None:
                assert (stale.code.name, stale.reason, stale.fields) == ("INVALID_ARGUMENT", "MALFORMED", ["write.expected_revision"]), method
            else:
                assert (stale.code.name, stale.reason) == ("ABORTED", "STALE_REVISION"), (method, stale)
                assert int(stale.metadata["current_revision"]) < 1 << 50, method
        write = {"request_id": f"w-{at}", "reason": "because"}
        if record not in (None, ""):
            write["expected_revision"] = int(stale.metadata["current_revision"])
        first = call(write=write, **request)
        again = call(write=write, **request)
        assert again.result.replayed and again.result.revision == first.result.revision, method
        assert first.result.revision > 0 or method in UNCHANGED, method
        first.result.Clear()
        again.result.Clear()
        assert first == again, method
        taken = refused(client, method, write={**write, "reason": "other"}, **request)
        assert (taken.code.name, taken.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED"), method
        answers.append((method, request, write, first))
    server.kill()
    server.start()
    client = server.client()
    for method, request, write, first in answers:
        again = getattr(client, method)(write=write, **request)
        assert again.result.replayed, method
        again.result.Clear()
        assert first == again, method


# --- every refusal ------------------------------------------------------------------------


BAD = {"TYPE_STRING": ["\x01\x02", "no such thing!", "x" * 5000, "ver_nosuch", "../.."], "TYPE_INT32": [-1], "TYPE_ENUM": [99], "TYPE_BYTES": [b"short"],
       "TYPE_UINT32": [1 << 31]}


def test_whatever_is_sent_each_refusal_has_its_details(shop, services):
    """Every field of every request with values that break its rule: a reason of the list, and for INVALID_ARGUMENT the field."""
    _, client, _ = shop
    good = {"app": "shop", "version": "v1", "name": "x1", "new_name": "x2", "url": "https://git.example.org/x.git", "environment": "staging",
            "repository": "apps", "text": "t", "mode": 1, "from": "development", "action": 1, "condition": 3, "timeout_ms": 1}
    seen = set()
    for service in services.values():
        if service.name in ("DoorService", "IdentityService"):  # of servers that know who calls
            continue
        for method in service.methods:
            fields = method.input_type.fields
            if method.name in ("Sync", "Watch", "DeleteWorkspace", "DeleteRepository", "DiffVersions"):
                continue
            base = {f.name: good[f.name] for f in fields if f.name in good and f.label != f.LABEL_REPEATED}
            if "write" in method.input_type.fields_by_name:
                base["write"] = {"validate_only": True}
            for field in fields:
                if field.label == field.LABEL_REPEATED or field.message_type is not None:
                    continue
                kind = next(k for k in dir(field) if k.startswith("TYPE_") and getattr(field, k) == field.type)
                for value in BAD.get(kind, []):
                    try:
                        getattr(client, method.name)(**{**base, field.name: value})
                    except Refused as error:
                        seen.add(error.reason)
                        where = (method.name, field.name, str(value)[:20], str(error)[:300])
                        assert error.code.name in ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "ABORTED", "ALREADY_EXISTS"), where
                        assert error.reason, where
                        assert len(error.text) > 10, where
                        if error.code.name == "INVALID_ARGUMENT":
                            assert error.fields, where
    assert {"MALFORMED", "NAME_INVALID", "APP_NOT_FOUND", "ENVIRONMENT_NOT_FOUND"} <= seen


# --- versions -----------------------------------------------------------------------------


def test_where_new_versions_start_and_what_they_derive_from(shop):
    _, client, repository = shop
    error = refused(client, "CreateVersion", app="shop", name="v2", environment="staging")
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "NOT_IN_DEVELOPMENT")
    repository.commit({"apps/shop/index.html": "two\n"})
    make(client, "v2", **{"from": "v1"})  # the content of v1
    first, second = (client.GetVersion(app="shop", version=name).version for name in ("v1", "v2"))
    assert second.content.commit == first.content.commit and second.derived_from.name == "v1"
    client.Promote(app="shop", version="v2", **DEV)
    make(client, "v3")  # the newest in development is v1, the tip of the branch
    third = client.GetVersion(app="shop", version="v3").version
    assert third.derived_from.name == "v1" and third.content.commit != first.content.commit
    for name in ("v1", "v3"):
        client.Promote(app="shop", version=name, **DEV)
    make(client, "v4")  # none is in development: the newest
    assert client.GetVersion(app="shop", version="v4").version.derived_from.name == "v3"
    make(client, "v5", **{"from": "v2", "commit": first.content.commit})
    fifth = client.GetVersion(app="shop", version="v5").version
    assert (fifth.derived_from.name, fifth.content.commit) == ("v2", first.content.commit)
    taken = refused(client, "CreateVersion", app="shop", name="V5")
    assert (taken.code.name, taken.reason) == ("ALREADY_EXISTS", "NAME_TAKEN")
    for name in ("ver_1", "a..b", "a.", "a.lock", "-a", "x" * 26):
        assert refused(client, "CreateVersion", app="shop", name=name).reason == "NAME_INVALID"


def test_lists_by_environment_are_cumulative(shop):
    _, client, _ = shop
    make(client, "v2")
    make(client, "v3")
    client.Promote(app="shop", version="v1", **DEV)
    harness.wait_published(client, "shop", "v1")
    client.Promote(app="shop", version="v1", **STAGING)
    client.Promote(app="shop", version="v2", **DEV)
    for environment, there in (("", ["v3", "v2", "v1"]), ("development", ["v3", "v2", "v1"]), ("staging", ["v2", "v1"]), ("production", ["v1"])):
        assert names(client.ListVersions(app="shop", environment=environment).versions) == there


def test_what_may_be_deleted_and_what_stays(shop):
    server, client, _ = shop
    assert refused(client, "DeleteVersion", app="shop", version="v1").reason == "LAST_VERSION"
    make(client, "v2")
    old = client.GetVersion(app="shop", version="v2").version.id
    client.NoteVersion(app="shop", version="v2", text="a word")
    client.DeleteVersion(app="shop", version="v2")
    for name in ("v2", old):
        assert refused(client, "GetVersion", app="shop", version=name).reason == "VERSION_NOT_FOUND"
    assert refused(client, "ListVersionNotes", app="shop", version="v2").reason == "VERSION_NOT_FOUND"
    assert refused(client, "ListVersionNotes", app="shop", version="ver_aaaaaaaaaaaaaaaaaaaa").reason == "VERSION_NOT_FOUND"
    (note,) = client.ListVersionNotes(app="shop", version=old).notes
    assert (note.text, note.app, note.version.name) == ("a word", "shop", "v2")
    first = client.ListVersionFacts(app="shop", page={"page_size": 1})
    second = client.ListVersionFacts(app="shop", page={"page_size": 1, "page_token": first.page.next_page_token})
    assert [(f.version.name, f.deleted, f.facts.note_count) for f in (*first.facts, *second.facts)] == [("v1", False, 0), ("v2", True, 1)]
    assert not second.page.next_page_token
    assert refused(client, "ListVersionFacts", app="nope").reason == "APP_NOT_FOUND"
    make(client, "v2")
    assert client.GetVersion(app="shop", version="v2").version.id != old
    client.RegisterInstance(name="dev-1", environment="development")
    error = refused(client, "DeleteVersion", app="shop", version="v2")  # dev-1 is told to run it
    assert error.reason == "VERSION_IN_USE" and "dev-1" in error.text
    client.SelectVersion(app="shop", version="v1", environment="development")
    client.DeleteVersion(app="shop", version="v2")
    client.ClearSelection(app="shop", environment="development")
    make(client, "v3")
    produce(client, "v1")
    assert refused(client, "DeleteVersion", app="shop", version="v1").reason == "NOT_IN_DEVELOPMENT"
    assert server.stop() == 0
    server.verify()


def test_an_app_is_deleted_while_instances_run_it_and_its_history_stays(world, shop):
    server, client, _ = shop
    client.RegisterInstance(name="dev-1", environment="development")
    agent = world.agent(server, "dev-1")
    harness.until(lambda: agent.serves("shop") == {"index.html": "one\n"}, 60, "dev-1 serves")
    produce(client, "v1")
    assert refused(client, "DeleteApp", app="shop").reason == "APP_IN_USE"
    client.WithdrawRelease(app="shop")
    client.SelectVersion(app="shop", version="v1", environment="staging")
    error = refused(client, "DeleteApp", app="shop")
    assert error.reason == "APP_IN_USE" and "staging" in error.text
    client.ClearSelection(app="shop", environment="staging")
    old = client.GetApp(app="shop").app.id
    client.DeleteApp(app="shop")  # nothing of it is released or pinned, though dev-1 runs it
    harness.until(lambda: agent.serves("shop") is None, 60, "dev-1 takes it down")
    assert refused(client, "GetApp", app=old).reason == "APP_NOT_FOUND"
    assert [p.to for p in client.ListPromotions(app=old).promotions] == ["production", "staging"]
    assert [c.kind for c in client.ListReleaseHistory(app=old).changes] == [2, 1]
    facts = client.ListVersionFacts(app=old).facts
    assert [(f.version.name, f.facts.environment, f.deleted) for f in facts] == [
        ("v1", "development", True), ("v1", "staging", True), ("v1", "production", True)]
    assert facts[2].facts.first_released_at.seconds > 0
    new = client.CreateApp(name="shop", repository="apps").app
    assert new.id != old and new.slug == "shop"
    assert list(client.ListPromotions(app="shop").promotions) == []
    harness.wait_content(client, "shop", "v1")
    harness.until(lambda: agent.serves("shop") == {"index.html": "one\n"}, 60, "dev-1 serves the new one")
    assert server.stop() == 0
    server.verify()


def test_facts_are_kept_per_environment(shop):
    _, client, _ = shop
    client.NoteVersion(app="shop", version="v1", text="made")
    client.BlockVersion(app="shop", version="v1", mode=1, write={"reason": "wait"})
    client.UnblockVersion(app="shop", version="v1")
    before = client.GetVersion(app="shop", version="v1").version.revision
    client.NoteVersion(app="shop", version="v1", text="again")
    assert client.GetVersion(app="shop", version="v1").version.revision == before  # facts change no revision
    produce(client, "v1")
    client.NoteVersion(app="shop", version="v1", text="seen by users")
    development, staging, production = client.GetVersion(app="shop", version="v1").facts
    assert [f.environment for f in (development, staging, production)] == ["development", "staging", "production"]
    assert (development.note_count, staging.note_count, production.note_count) == (2, 0, 1)
    assert [(b.mode, b.reason, b.by, b.lifted_by) for b in development.blocks] == [(1, "wait", "anonymous", "anonymous")]
    assert development.entered_revision < staging.entered_revision < production.entered_revision
    assert production.first_released_at.seconds > 0 and staging.first_released_at.seconds == 0
    notes = client.ListVersionNotes(app="shop", version="v1").notes
    assert [(n.environment, n.text) for n in notes] == [("development", "made"), ("development", "again"), ("production", "seen by users")]
    assert {(n.app, n.version.name) for n in notes} == {("shop", "v1")}


def test_open_app_remembers_and_falls_back(shop):
    _, client, _ = shop

    def opened(**fields):
        answer = client.OpenApp(app="shop", **fields)
        return answer.environment, answer.version.name

    make(client, "v2")
    make(client, "v3")
    assert opened() == ("development", "v3")  # never opened: the newest in development
    assert opened(version="v2") == ("development", "v2")
    assert opened() == ("development", "v2")
    client.DeleteVersion(app="shop", version="v2")
    assert opened() == ("development", "v3")  # gone: another of that environment
    client.Promote(app="shop", version="v1", **DEV)
    assert opened(environment="staging") == ("staging", "v1")
    assert opened(environment="production") == ("staging", "v1")  # nothing there: the next lower
    error = refused(client, "OpenApp", app="shop", environment="staging", version="v3")
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "NOT_ELIGIBLE")


# --- plans --------------------------------------------------------------------------------


def gates(plan):
    return [(gate.id, gate.state) for gate in plan.gates]


PASS, WARN, WAIT, BLOCK = 1, 2, 3, 4


def test_plans_of_the_three_acts_and_their_hash(shop):
    _, client, _ = shop
    plan = lambda **fields: client.Plan(app="shop", **fields).plan
    promote = plan(action=1, version="v1")
    assert gates(promote) == [("order", PASS), ("not-blocked", PASS), ("content", PASS), ("unchanged", PASS)]
    assert (promote.source, promote.target, promote.allowed) == ("development", "staging", True)
    assert plan(action=1, version="v1").plan_hash == promote.plan_hash
    client.NoteVersion(app="shop", version="v1", text="no change of the plan")
    assert plan(action=1, version="v1").plan_hash == promote.plan_hash
    make(client, "v2", **{"from": "v1"})
    assert gates(plan(action=1, version="v2"))[3] == ("unchanged", WARN)
    client.BlockVersion(app="shop", version="v2", mode=1, write={"reason": "not yet"})
    blocked = plan(action=1, version="v2")
    assert gates(blocked)[1] == ("not-blocked", BLOCK) and "not yet" in blocked.gates[1].reason and blocked.gates[1].cleared_by
    held = refused(client, "Promote", app="shop", version="v2", **DEV)
    assert [g[0] for g in held.gates] == ["not-blocked"]
    far = plan(action=1, version="v1", environment="production")
    assert gates(far) == [("order", BLOCK), ("not-blocked", PASS), ("content", BLOCK), ("unchanged", PASS)] and not far.allowed
    held = refused(client, "Promote", app="shop", version="v1", to="production", **DEV)
    assert [g[0] for g in held.gates] == ["order", "content"]  # all of them, not just the first

    release = plan(action=2, version="v1")
    assert gates(release) == [("in-production", BLOCK), ("not-blocked", PASS), ("prefetched", PASS)]
    produce(client, "v1")
    client.RegisterInstance(name="prod-1", environment="production")
    assert gates(plan(action=2, version="v1")) == [("in-production", PASS), ("not-blocked", PASS), ("prefetched", WARN)]
    assert refused(client, "Plan", app="shop", action=3).reason == "NO_PREVIOUS"
    make(client, "v3")
    produce(client, "v3")
    back = plan(action=3)
    assert back.version.name == "v1" and gates(back) == [("in-production", PASS), ("not-blocked", PASS), ("released-before", PASS)]
    assert gates(plan(action=3, version="v2")) == [("in-production", BLOCK), ("not-blocked", BLOCK), ("released-before", BLOCK)]
    assert refused(client, "Promote", app="shop", version="v1", **{"from": "production"}).reason == "LAST_ENVIRONMENT"
    rolled = client.Rollback(app="shop", plan_hash=back.plan_hash)
    assert (rolled.release.version.name, getattr(rolled, "from").name) == ("v1", "v3")


def test_rollback_pops_skips_and_names(shop):
    _, client, _ = shop
    for name in ("v2", "v3", "v4"):
        make(client, name)
    produce(client, "v1", "v2", "v3", "v4")
    assert client.GetRelease(app="shop").release.previous.name == "v3"
    client.BlockVersion(app="shop", version="v3", mode=1)
    assert client.GetRelease(app="shop").release.previous.name == "v2"
    back = client.Rollback(app="shop", write={"reason": "slow"})
    assert back.release.version.name == "v2" and list(back.skipped) == ["v3 is blocked"]
    assert client.GetRelease(app="shop").release.previous.name == "v1"  # a stack: v3 and v4 are popped
    client.UnblockVersion(app="shop", version="v3")
    again = client.Rollback(app="shop", to="v3")
    assert again.release.version.name == "v3" and client.GetRelease(app="shop").release.previous.name == "v2"
    make(client, "v5")
    client.Promote(app="shop", version="v5", **DEV)
    harness.wait_published(client, "shop", "v5")
    client.Promote(app="shop", version="v5", **STAGING)
    error = refused(client, "Rollback", app="shop", to="v5")
    assert [g[0] for g in error.gates] == ["released-before"]
    change = client.ListReleaseHistory(app="shop").changes[1]
    assert (change.kind, getattr(change, "from").name, change.to.name, change.by, change.reason) == (3, "v4", "v2", "anonymous", "slow")
    client.Rollback(app="shop", to="v1")
    assert refused(client, "Rollback", app="shop").reason == "NO_PREVIOUS"
    same = client.Release(app="shop", version="v1")
    assert same.result.revision == 0 and same.release.version.name == "v1"


def test_the_three_ways_out_of_a_recall(shop):
    _, client, _ = shop
    make(client, "v2")
    produce(client, "v1", "v2")
    recall = lambda **fields: client.BlockVersion(app="shop", version="v2", mode=2, **fields)
    assert refused(client, "BlockVersion", app="shop", version="v2", mode=2).reason == "RELEASED_NEEDS_DECISION"
    both = refused(client, "BlockVersion", app="shop", version="v2", mode=2, withdraw=True, keep_serving=True)
    assert both.code.name == "INVALID_ARGUMENT" and both.fields
    assert recall(keep_serving=True).released.name == "v2"
    assert client.GetRelease(app="shop").release.version.name == "v2"
    client.UnblockVersion(app="shop", version="v2")
    assert recall(rollback_to="previous").released.name == "v1"
    client.UnblockVersion(app="shop", version="v2")
    client.Release(app="shop", version="v2")
    assert not recall(withdraw=True).HasField("released")
    assert not client.GetRelease(app="shop").release.HasField("version")
    assert [c.kind for c in client.ListReleaseHistory(app="shop").changes] == [2, 1, 3, 1, 1]


def test_a_pin_ends_with_eligibility(shop):
    _, client, _ = shop
    make(client, "v2")
    assert refused(client, "SelectVersion", app="shop", version="v1", environment="staging").reason == "NOT_ELIGIBLE"
    assert refused(client, "SelectVersion", app="shop", version="v1", environment="production").reason == "NOT_SUPPORTED_THERE"
    client.SelectVersion(app="shop", version="v1", environment="development")
    selected = lambda: client.GetStatus(app="shop").apps[0].environments[0].selected.name
    assert selected() == "v1"
    client.BlockVersion(app="shop", version="v1", mode=1)
    assert selected() == "v1"  # NO_NEW keeps what runs running
    client.BlockVersion(app="shop", version="v1", mode=2)
    assert selected() == "v2" and [s.in_force for s in client.ListSelections(app="shop").selections] == [False]
    assert refused(client, "SelectVersion", app="shop", version="v1", environment="development").reason == "NOT_ELIGIBLE"


# --- lists ----------------------------------------------------------------------------------


def test_watch_from_the_first_pages_revision_completes_the_list(world):
    """Pages are read at their own snapshots: what changes between them is in the watch from the first one's revision."""
    client = world.server().client()
    for i in range(9):
        client.RegisterInstance(name=f"i-{i}", environment="staging")
    first = client.ListInstances(page={"page_size": 4})
    known = {i.name: dict(i.labels) for i in first.instances}
    client.UpdateInstance(instance="i-0", labels={"a": "b"})  # on the page that was read
    client.RemoveInstance(instance="i-5")
    last = client.RegisterInstance(name="i-00", environment="staging").result.revision
    token = first.page.next_page_token
    while token:
        page = client.ListInstances(page={"page_size": 4, "page_token": token})
        assert page.page.revision >= first.page.revision
        known.update({i.name: dict(i.labels) for i in page.instances})
        token = page.page.next_page_token
    for answer in client.watch(from_revision=first.page.revision, timeout=60):
        for change in answer.changes:
            for event in change.events:
                if event.type == 3:
                    known.pop(event.instance.name, None)
                else:
                    known[event.instance.name] = dict(event.instance.labels)
        if answer.revision >= last:
            break
    now = {i.name: dict(i.labels) for i in client.ListInstances().instances}
    assert known == now


def test_unknown_and_foreign_cannot_be_told_apart(shop):
    _, client, _ = shop
    client.CreateWorkspace(name="team")
    app, version = client.GetApp(app="shop").app.id, client.GetVersion(app="shop", version="v1").version.id
    strange = lambda method, **fields: (lambda e: (e.code.name, e.reason, e.text))(refused(client, method, workspace="team", **fields))
    assert strange("GetApp", app=app) == tuple(x.replace("app_aaaaaaaaaaaaaaaaaaaa", app) for x in strange("GetApp", app="app_aaaaaaaaaaaaaaaaaaaa"))
    assert strange("GetVersion", version=version) == tuple(
        x.replace("ver_aaaaaaaaaaaaaaaaaaaa", version) for x in strange("GetVersion", version="ver_aaaaaaaaaaaaaaaaaaaa"))

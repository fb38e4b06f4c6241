"""Who may do what, over real certificates: rights, what streams show, and how soon they end."""
import os
import threading
import time

import grpc
import harness
import pytest
from harness import Refused
from secure import SecureServer

SOON = 30  # seconds: 5 are promised where there is a processor for it; of itself no stream ends before --connection-age (1 h)


@pytest.fixture
def server(services, tmp_path):
    server = SecureServer(services, str(tmp_path / "server")).start()
    yield server
    server.end()


@pytest.fixture
def admin(server, tmp_path):
    client, _ = server.login(str(tmp_path / "admin"))
    for app in ("shop", "blog"):
        client.CreateApp(name=app, repository_url="file:///nowhere/at/all", path=f"apps/{app}")
    return client


def principal(server, admin, tmp_path, name, *grants, **fields):
    """A client of a new principal, by an access token that is made for it."""
    admin.CreatePrincipal(name=name, kind="PRINCIPAL_KIND_BOT", grants=list(grants), **fields)
    made = admin.CreateAccessToken(principal=name, **fields)
    client, reply = server.login(str(tmp_path / name), made.secret)
    with open(tmp_path / name / "key.pem", "rb") as file:
        client.key, client.certificate = file.read(), reply.certificate
    return client


def refusal(call, **fields):
    with pytest.raises(Refused) as refused:
        call(**fields)
    return refused.value.code.name, refused.value.reason


class Follower:
    """A watch in a thread: what came, and how it ended."""

    def __init__(self, client, **fields):
        self.changes, self.revision, self.error, self.ended_at = [], 0, None, 0
        self._stream = client.watch(**fields)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        harness.until(lambda: self.revision or self.error, what="the first message of a watch")

    def _follow(self):
        try:
            for message in self._stream:
                self.changes += message.changes
                self.revision = message.revision
        except grpc.RpcError as error:
            self.error, self.ended_at = error, time.monotonic()

    def ends(self, since):
        """(code, reason) and the seconds that it took."""
        self._thread.join(120)
        refused = Refused(self.error)
        return (refused.code.name, refused.reason), self.ended_at - since


def test_a_promotion_counts_where_it_leads(server, admin, tmp_path):
    builder = principal(server, admin, tmp_path, "bob", {"role": "builder"})
    releaser = principal(server, admin, tmp_path, "rita", {"role": "releaser", "apps": "shop"})
    step = {"app": "shop", "version": "v1", "from": "development"}
    with pytest.raises(Refused) as blocked:
        builder.Promote(**step)
    assert blocked.value.reason == "GATE_BLOCKED"  # it may: the content is what is missing
    assert refusal(releaser.Promote, **step) == ("PERMISSION_DENIED", "RIGHT_MISSING")
    assert refusal(builder.Promote, to="production", **step) == ("PERMISSION_DENIED", "RIGHT_MISSING")
    assert refusal(releaser.Promote, to="production", **step)[1] == "GATE_BLOCKED"
    assert refusal(releaser.Promote, to="production", **{**step, "app": "blog"}) == ("NOT_FOUND", "APP_NOT_FOUND")
    with pytest.raises(Refused) as denied:
        builder.Release(app="shop", version="v1")
    assert denied.value.metadata == {"verb": "release", "app": "shop", "environment": "production"}
    assert "'bob'" in denied.value.text


def gates(plan):
    return {gate.id: gate for gate in plan.gates}


def test_a_plan_says_who_may_act(server, admin, tmp_path):
    builder = principal(server, admin, tmp_path, "bob", {"role": "builder", "apps": "shop"})
    viewer = principal(server, admin, tmp_path, "vera", {"role": "viewer"})
    wanted = {"action": "PLAN_ACTION_PROMOTE", "app": "shop", "version": "v1"}
    mine, hers = builder.Plan(**wanted).plan, viewer.Plan(**wanted).plan
    assert mine.gates[0].id == "permission" and gates(mine)["permission"].state == 1 and gates(mine)["permission"].cleared_by == ""
    assert gates(hers)["permission"].state == 4 and not hers.allowed
    assert gates(hers)["permission"].cleared_by == "2 who may: admin, bob"
    assert gates(hers)["permission"].reason == "'vera' lacks the right to promote app shop in staging"
    assert mine.plan_hash != hers.plan_hash
    # Her plan binds her: the act names the right that is missing, and is on record.
    step = {"app": "shop", "version": "v1", "from": "development"}
    assert refusal(viewer.Promote, plan_hash=hers.plan_hash, **step) == ("PERMISSION_DENIED", "RIGHT_MISSING")
    assert denials(admin, "vera") == [("Promote", "RIGHT_MISSING", 1)]
    # With the right the plan is another one.
    admin.CreateGrant(principal="vera", grant={"verb": "VERB_PROMOTE", "apps": "shop", "environment": "staging"})
    assert refusal(viewer.Promote, plan_hash=hers.plan_hash, **step) == ("ABORTED", "STALE_PLAN")
    assert viewer.Plan(**wanted).plan.plan_hash == mine.plan_hash
    assert gates(builder.Plan(action="PLAN_ACTION_RELEASE", app="shop", version="v1").plan)["permission"].cleared_by == "1 who may: admin"


def denials(admin, by):
    """(method, reason, attempts) of what a principal was denied, newest first; those of a minute are one."""
    harness.until(lambda: admin.ListAuditRecords(denied=True, principal=by).records, what=f"a denial of {by} on record")
    return [(r.entry.method, r.entry.refusal.reason, r.entry.refusal.count) for r in admin.ListAuditRecords(denied=True, principal=by).records]


def test_who_is_the_caller(server, admin, tmp_path):
    me = admin.WhoAmI()
    assert (me.principal, me.kind, me.workspace, me.everything) == ("admin", "person", "default", False)
    assert me.id.startswith("pri_") and me.identity_id.startswith("idn_") and me.certificate_expires_at.seconds > time.time()
    other = principal(server, admin, tmp_path, "eve", {"verb": "VERB_VIEW", "apps": "b*"}).WhoAmI()
    assert [(g.verb, g.apps, g.environment) for g in other.rights] == [(1, "b*", "")]


def test_a_disabled_principal_is_out_within_seconds(server, admin, tmp_path):
    client = principal(server, admin, tmp_path, "eve", {"role": "viewer"})
    follower = Follower(client)
    since = time.monotonic()
    admin.DisablePrincipal(principal="eve")
    assert refusal(client.ListApps) == ("UNAUTHENTICATED", "IDENTITY_REVOKED")
    how, took = follower.ends(since)
    assert how == ("UNAUTHENTICATED", "IDENTITY_REVOKED") and took < SOON
    # Nor does its certificate open another connection.
    again = server.admitted(client.key, client.certificate)
    assert refusal(again.ListApps, wait_for_ready=False)[0] == "UNAVAILABLE"


def test_a_right_that_is_taken_back_ends_streams(server, admin, tmp_path):
    client = principal(server, admin, tmp_path, "eve", {"role": "viewer"})
    follower, since = Follower(client), time.monotonic()
    admin.DeleteGrant(principal="eve", grant={"role": "viewer"})
    how, took = follower.ends(since)
    assert how == ("PERMISSION_DENIED", "RIGHT_MISSING") and took < SOON
    assert len(client.ListApps().apps) == 0


def test_an_expired_certificate_ends_calls_and_streams(services, tmp_path):
    server = SecureServer(services, str(tmp_path / "server"), flags=["--login-cert-life", "15s"]).start()
    try:
        client, _ = server.login(str(tmp_path / "me"))
        ends_at = time.monotonic() + client.WhoAmI().certificate_expires_at.seconds - time.time()
        how, took = Follower(client).ends(ends_at)
        assert how == ("UNAUTHENTICATED", "CERTIFICATE_EXPIRED") and took < SOON
        assert refusal(client.ListApps) == ("UNAUTHENTICATED", "CERTIFICATE_EXPIRED")
    finally:
        server.end()


def test_a_watch_shows_what_may_be_seen_and_misses_no_mark(server, admin, tmp_path):
    client = principal(server, admin, tmp_path, "eve", {"verb": "VERB_VIEW", "apps": "blog", "environment": "development"})
    start = client.ListApps().page.revision
    follower, from_log = Follower(client), Follower(client, from_revision=start)
    everything = Follower(admin)
    admin.CreateVersion(app="shop", name="hidden", write={"reason": "of the shop"})
    admin.CreateVersion(app="blog", name="shown", write={"reason": "of the blog"})
    admin.RegisterInstance(name="prod-1", environment="production")
    last = admin.RegisterInstance(name="dev-1", environment="development").result.revision
    for one in (follower, from_log, everything):
        harness.until(lambda one=one: one.revision >= last, what="the last change")
    for one in (follower, from_log):
        apps = {e.app_id for c in one.changes for e in c.events if e.app_id}
        assert apps == {a.id for a in client.ListApps().apps} and len(apps) == 1
        assert [e.instance.name for c in one.changes for e in c.events if e.HasField("instance")] == ["dev-1"]
        assert "of the shop" not in {c.reason for c in one.changes} and "of the blog" in {c.reason for c in one.changes}
    assert {e.instance.name for c in everything.changes for e in c.events if e.HasField("instance")} == {"prod-1", "dev-1"}


def test_streams_of_others_are_refused(server, admin, tmp_path):
    client = principal(server, admin, tmp_path, "eve", {"role": "viewer"})
    for stream in (client.stream("Backup"), client.watch(app="no-such"), client.watch(workspace="no-such")):
        with pytest.raises(grpc.RpcError) as ended:
            for _ in stream:
                pass
        assert ended.value.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND)


def test_content_is_for_those_who_may_edit_where_it_is(server, admin, tmp_path):
    """To see a version is not to have what is in it."""
    def exported(client):
        with pytest.raises(grpc.RpcError) as ended:
            list(client.stream("ExportBundle", app="shop", version="v1"))
        return Refused(ended.value).reason
    for name, grant, reason in (("vic", {"role": "viewer"}, "RIGHT_MISSING"), ("bob", {"role": "builder"}, "CONTENT_NOT_READY"),
                                ("rel", {"role": "releaser"}, "RIGHT_MISSING"), ("zoe", {"verb": "VERB_EDIT", "apps": "blog"}, "APP_NOT_FOUND")):
        assert exported(principal(server, admin, tmp_path, name, grant)) == reason, name
    with pytest.raises(grpc.RpcError) as ended:
        list(principal(server, admin, tmp_path, "ann", {"role": "admin"}).stream("FetchBundle", instance="prod-1", app_id="app_aaaaaaaaaaaaaaaaaaaa"))
    assert Refused(ended.value).reason == "RIGHT_MISSING"  # agents only


def test_streams_that_were_denied_are_on_record_once_a_minute(server, admin, tmp_path):
    client = principal(server, admin, tmp_path, "eve", {"role": "viewer"})
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as ended:
            list(client.stream("Backup"))
        assert Refused(ended.value).reason == "RIGHT_MISSING"
    # What comes within a second of the first is in its record, what is later in the next one.
    harness.until(lambda: sum(count for _, _, count in denials(admin, "eve")) == 3, 90, "all three on record")
    assert {denial[:2] for denial in denials(admin, "eve")} == {("Backup", "RIGHT_MISSING")} and len(denials(admin, "eve")) <= 2
    record = admin.ListAuditRecords(denied=True, principal="eve").records[0].entry
    assert "'eve' lacks the right to administer" in record.refusal.text
    assert "127.0.0.1" in record.caller.peer and len(record.caller.certificate) == 32
    # A Watch, and a Sync of somebody who is no agent.
    follower, since = Follower(client), time.monotonic()
    admin.DisablePrincipal(principal="eve")
    follower.ends(since)
    for stream in (client.watch(), sync(client, "prod-1")):
        with pytest.raises(grpc.RpcError) as ended:
            list(stream)
        assert Refused(ended.value).reason == "IDENTITY_REVOKED"
    harness.until(lambda: {r[0] for r in denials(admin, "unknown")} == {"Watch", "Sync"}, what="both on record")
    assert refusal_of_sync(admin) == "RIGHT_MISSING"
    assert denials(admin, "admin") == [("Sync", "RIGHT_MISSING", 1)]


def sync(client, instance):
    from sluice.v1 import agent_pb2

    call = client.channel.stream_stream("/sluice.v1.AgentService/Sync", request_serializer=lambda m: m.SerializeToString(), response_deserializer=lambda raw: raw)
    return call(iter([agent_pb2.SyncRequest(hello=agent_pb2.AgentHello(instance=instance, protocol=1))]), timeout=60)


def refusal_of_sync(client):
    with pytest.raises(grpc.RpcError) as ended:
        list(sync(client, "prod-1"))
    return Refused(ended.value).reason


def test_another_workspace_is_not_there(server, admin, tmp_path):
    admin.CreateWorkspace(name="acme")
    admin.CreateRepository(workspace="acme", name="web", url="file:///nowhere")
    client = principal(server, admin, tmp_path, "carl", {"role": "admin"}, workspace="acme")
    assert [r.name for r in client.ListRepositories(workspace="acme").repositories] == ["web"]
    assert [w.name for w in client.ListWorkspaces().workspaces] == ["acme"]
    assert refusal(client.ListApps) == ("NOT_FOUND", "WORKSPACE_NOT_FOUND")
    assert refusal(client.ListApps, workspace="no-such") == ("NOT_FOUND", "WORKSPACE_NOT_FOUND")
    assert refusal(client.GetStats) == ("PERMISSION_DENIED", "RIGHT_MISSING")
    # Who may act there: its own, and who administers everything; not the releaser of `default`.
    principal(server, admin, tmp_path, "rita", {"role": "releaser"})
    admin.CreateApp(workspace="acme", name="web", repository_url="file:///nowhere", path="apps/web")
    viewer = principal(server, admin, tmp_path, "vera", {"role": "viewer"}, workspace="acme")
    plan = viewer.Plan(workspace="acme", action="PLAN_ACTION_RELEASE", app="web", version="v1").plan
    assert gates(plan)["permission"].cleared_by == "2 who may: admin, carl"
    assert gates(admin.Plan(workspace="acme", action="PLAN_ACTION_RELEASE", app="web", version="v1").plan)["permission"].state == 1


def test_a_repeated_request_is_answered_when_its_object_is_gone(server, admin, tmp_path):
    admin.CreateWorkspace(name="acme")
    others = [principal(server, admin, tmp_path, "eve", {"role": "admin"}), principal(server, admin, tmp_path, "eve-2", {"role": "admin"})]
    mine = principal(server, admin, tmp_path, "bob", {"role": "admin"})
    namesake = principal(server, admin, tmp_path, "bob", {"role": "admin"}, workspace="acme")
    mine.RegisterInstance(name="dev-1", environment="development")
    update = {"instance": "dev-1", "labels": {"a": "b"}, "write": {"request_id": "once"}}
    remove = {"instance": "dev-1", "write": {"request_id": "twice"}}
    first, gone = mine.UpdateInstance(**update), mine.RemoveInstance(**remove)
    for call, request, reply in ((mine.UpdateInstance, update, first), (mine.RemoveInstance, remove, gone)):
        again = call(**request)
        assert again.result.replayed and again.result.revision == reply.result.revision
    assert refusal(mine.UpdateInstance, **{**update, "labels": {"a": "c"}}) == ("NOT_FOUND", "INSTANCE_NOT_FOUND")
    for other in others:
        assert refusal(other.UpdateInstance, **update) == ("NOT_FOUND", "INSTANCE_NOT_FOUND")
    assert refusal(namesake.UpdateInstance, workspace="default", **update) == ("NOT_FOUND", "WORKSPACE_NOT_FOUND")
    admin.DisablePrincipal(principal="bob")
    assert refusal(mine.UpdateInstance, **update) == ("UNAUTHENTICATED", "IDENTITY_REVOKED")


def test_tokens_say_nothing_and_stop(server, admin, tmp_path):
    admin.CreatePrincipal(name="ci", kind="PRINCIPAL_KIND_BOT", grants=[{"role": "bot"}])
    made = admin.CreateAccessToken(principal="ci", write={"request_id": "once"})
    assert admin.CreateAccessToken(principal="ci", write={"request_id": "once"}).secret == ""
    assert not admin.ListAccessTokens(principal="ci").tokens[0].HasField("last_used_at")
    server.login(str(tmp_path / "ci"), made.secret)
    assert admin.ListAccessTokens(principal="ci").tokens[0].HasField("last_used_at")
    admin.RevokeAccessToken(token=made.token.id)
    with pytest.raises(Refused) as refused:
        server.login(str(tmp_path / "ci-2"), made.secret)
    assert refused.value.reason == "TOKEN_REFUSED"
    assert refusal(admin.RevokeAccessToken, token=made.secret) == ("INVALID_ARGUMENT", "MALFORMED")
    short = admin.CreateAccessToken(principal="ci", lifetime={"seconds": 1})
    time.sleep(1.5)  # its life is a second
    with pytest.raises(Refused) as refused:
        server.login(str(tmp_path / "ci-3"), short.secret)
    assert refused.value.reason == "TOKEN_REFUSED"
    server.stop()
    secret = made.secret.split("_")[2]
    assert secret not in "\n".join(server.program.lines)
    for folder, _, names in os.walk(server.folder):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                assert secret.encode() not in file.read(), name


def test_the_last_who_administers_stays(server, admin):
    for call in (admin.DisablePrincipal, admin.DeletePrincipal):
        assert refusal(call, principal="admin") == ("FAILED_PRECONDITION", "PRINCIPAL_IN_USE")
    assert refusal(admin.DeleteGrant, principal="admin", grant={"role": "admin"}) == ("FAILED_PRECONDITION", "PRINCIPAL_IN_USE")


def test_callers_are_slowed_down(services, tmp_path):
    server = SecureServer(services, str(tmp_path / "server"), flags=["--calls-per-second", "5", "--calls-burst", "5"]).start()
    try:
        client, _ = server.login(str(tmp_path / "me"))
        with pytest.raises(Refused) as refused:
            for _ in range(1000):
                client.WhoAmI()
        assert (refused.value.code.name, refused.value.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        time.sleep(int(refused.value.metadata["retry_after_ms"]) / 1000 + 0.1)  # as long as it was told
        client.WhoAmI()
    finally:
        server.end()

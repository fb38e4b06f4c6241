"""Attacks on who may come in and do what, from outside, over TLS: every method by every kind of wrong caller, paths that are nearly right, tokens for
somebody else, words that would tell more than they should, floods, one bad record."""
import os
import subprocess
import time

import grpc
import h2
import harness
import pytest
import tls_world
from audit_store import Store
from harness import Refused
from secure import SecureServer, TlsClient, enroll, make_key

MANY = {"--calls-per-second": "0", "--door-rate": "0", "--door-peer-rate": "0"}


class Keys:
    """What tls_world.Forge signs with."""

    def __init__(self, server):
        self.ca, self.folder = server.folder + "/keys/ca.pem", server.folder + "/keys/"

    def key_file(self, name):
        return self.folder + name


class Place:
    """A server with an app, an instance in each of two environments, and callers of every kind."""

    def __init__(self, services, folder, *flags):
        self.services, self.folder = services, folder
        self.server = SecureServer(services, folder + "/server", flags=[word for pair in MANY.items() for word in pair] + list(flags)).start()
        self.admin, self.admin_reply = self.server.login(folder + "/admin")

    def path(self, name):
        return self.folder + "/" + name

    def fill(self):
        self.admin.CreateRepository(name="web", url="https://git.example.org/web.git")
        self.admin.CreateApp(name="shop", repository="web")
        for name in ("prod-1", "prod-2"):
            self.admin.RegisterInstance(name=name, environment="production")
        return self

    def principal(self, name, *grants, **fields):
        self.admin.CreatePrincipal(name=name, kind="PRINCIPAL_KIND_BOT", grants=list(grants), **fields)
        made = self.admin.CreateAccessToken(principal=name, **fields)
        client, client.reply = self.server.login(self.path(name), made.secret)
        client.token = made
        return client

    def admin_context(self):
        """For peers by the byte, with the certificate of the first administrator."""
        path = self.path("admin") + "/cert.pem"
        with open(path, "w", encoding="ascii") as file:
            file.write(self.admin_reply.certificate)
        return tls_world.context(self.server.folder + "/keys/ca.pem", path, self.path("admin") + "/key.pem")

    def agent(self, name):
        """A client with the certificate of an instance's agent."""
        key, request = make_key(self.path("agent-" + name))
        invited = self.admin.InviteInstance(instance=name)
        reply = enroll(self.server, self.path("agent-" + name), invited.secret, request)
        return self.server.admitted(key, reply.certificate)


@pytest.fixture
def place(services, short_folder_each):
    made = Place(services, short_folder_each)
    yield made
    made.server.end()


@pytest.fixture
def short_folder_each(services):
    world = harness.World(services)
    yield world.folder
    world.end()


# --- every method x every wrong caller ------------------------------------------------------

SAMPLE = {
    "app": "shop", "version": "v1", "environment": "production", "from": "development", "name": "fresh", "instance": "prod-1", "principal": "admin", "role": "viewer",
    "repository": "web", "url": "https://git.example.org/fresh.git", "commit": "main", "path": "fresh", "new_name": "other", "text": "fine", "mode": 1, "kind": 1, "action": 1,
    "condition": 1, "owed": "some", "revision": 1, "grant": {"role": "viewer"}, "rights": [{"verbs": [1]}], "signature": bytes(64), "token": "tok_" + "a" * 20,
    "through": {"sequence": 1, "hash": bytes(32)}, "counter": 1, "nonce": bytes(16),
}
# Where the field of that name means something else, or may not be there beside another.
SPECIAL = {
    "GetWorkspace": {}, "CreateWorkspace": {"name": "fresh"}, "DeleteWorkspace": {"workspace": "default"}, "CreateRole": {"name": "fresh", "rights": [{"verbs": [1]}]},
    "DiffVersions": {"app": "shop", "version": "v1", "from": "v1"}, "CreateVersion": {"app": "shop", "name": "fresh"}, "ListAuditRecords": {}, "UpdateVersion":
    {"app": "shop", "version": "v1", "new_name": "other"}, "UpdateInstance": {"instance": "prod-1", "labels": {"a": "b"}}, "UpdateApp": {"app": "shop", "display_name": "x"},
    "CreateSource": {"name": "fresh", "kind": "postgres"},
    "Logout": {"write": {"validate_only": True}},  # else it is the last call
}
# A request of a form that is not known here; test_rights.c has one for each method.
UNKNOWN_FORM = "INVALID_ARGUMENT"
ASKING = {"ListNewCommits", "ListImportable", "ImportApp"}  # ask the repository's host, which is not there
OWN = {"WhoAmI", "Logout", "RenewCertificate"}  # of whoever calls
ANYBODYS = OWN | {"ListEnvironments", "GetEnvironment", "ListWorkspaces", "GetWorkspace"}  # of its own workspace


def methods(services):
    """Every unary method of the main port, and a request that nothing is wrong with."""
    for name, service in sorted(services.items()):
        for method in service.methods:
            if name == "DoorService" or method.name in ("Sync", "Watch", "Backup", "ExportBundle", "FetchBundle"):
                continue
            fields = method.input_type.fields_by_name
            yield method.name, SPECIAL.get(method.name, {field: value for field, value in SAMPLE.items() if field in fields})


def outcome(client, method, fields, timeout=60):
    try:
        return "OK", getattr(client, method)(timeout=timeout, wait_for_ready=False, **fields)
    except Refused as refused:
        return refused.code.name, refused


def outcomes(services, client, timeout=60):
    return {method: outcome(client, method, fields, timeout) for method, fields in methods(services)}


def is_empty(reply):
    """A list of nothing."""
    return not any(field.label == field.LABEL_REPEATED for field, _ in reply.ListFields())


def test_every_method_refuses_whoever_has_no_good_certificate(place, world):
    place.fill()
    server, forge = place.server, tls_world.Forge(world, Keys(place.server))
    eve = place.principal("eve", {"role": "admin"})
    with open(place.path("eve") + "/cert.pem", "w", encoding="ascii") as file:
        file.write(eve.reply.certificate)
    uri = subprocess.run(["openssl", "x509", "-in", place.path("eve") + "/cert.pem", "-noout", "-ext", "subjectAltName"], capture_output=True, text=True, check=True)
    name = "uri=" + uri.stdout.split("URI:")[1].strip()
    twin_key = forge.key_new("twin")
    twin = forge.cert("twin", "cn=Sluice CA", "ca=yes", issuer=("-", "-"), key=twin_key)
    pems = {
        "another CA": forge.cert("other", name, "eku=clientAuth", issuer=(twin, twin_key)),
        "expired": forge.cert("expired", name, "eku=clientAuth", "from=-60", "until=-2"),
        "not yet valid": forge.cert("early", name, "eku=clientAuth", "from=60", "until=600"),
    }
    key = open(forge.key, "rb").read()
    callers = {what: TlsClient(server.services, server.port, server.ca, key, open(pem, "rb").read()) for what, pem in pems.items()}
    callers["nobody"] = TlsClient(server.services, server.port, server.ca)
    good = TlsClient(server.services, server.port, server.ca, key, open(forge.cert("good", name, "eku=clientAuth"), "rb").read())
    good.ListApps()  # the hand that made the others is good
    eve.ListApps()
    place.admin.DisablePrincipal(principal="eve")
    callers["revoked"] = TlsClient(server.services, server.port, server.ca, key, open(forge.path("good.pem"), "rb").read())
    for what, client in callers.items():
        for method, (code, _) in outcomes(place.services, client).items():
            assert code == "UNAVAILABLE", (what, method, code)  # the handshake failed: nothing was heard of
        client.close()
    for client in (good, eve):  # and those that were there already
        for method, (code, refused) in outcomes(place.services, client).items():
            assert (code, refused.reason) == ("UNAUTHENTICATED", "IDENTITY_REVOKED"), method
    good.close()


def test_every_method_refuses_a_certificate_that_ran_out_in_use(services, short_folder_each):
    place = Place(services, short_folder_each, "--login-cert-life", "20s").fill()
    try:
        eve = place.principal("eve", {"role": "admin"})
        me = eve.WhoAmI()
        assert me.principal == "eve"
        harness.until(lambda: time.time() > me.certificate_expires_at.seconds + 1, what="the end of the certificate")
        for method, (code, refused) in outcomes(services, eve).items():
            assert (code, refused.reason) == ("UNAUTHENTICATED", "CERTIFICATE_EXPIRED"), method
    finally:
        place.server.end()


def test_every_method_shows_another_instances_agent_nothing(place):
    place.fill()
    agent = place.agent("prod-2")
    for method, (code, answer) in outcomes(place.services, agent).items():
        if method == "RenewCertificate":  # its own, if it were asked for well
            assert answer.reason in ("CSR_REFUSED", "MALFORMED", "RENEWAL_REFUSED"), answer
        elif method == "WhoAmI":
            assert code != "OK" or not answer.everything
        else:
            assert code in ("PERMISSION_DENIED", "NOT_FOUND", UNKNOWN_FORM) and answer.reason != "", (method, code, answer)


def test_every_method_refuses_who_has_no_right(place):
    place.fill()
    before = place.admin.GetStats().revision
    clients = {"none": place.principal("eve"), "another environment": place.principal("rita", {"role": "releaser", "environment": "staging"})}
    made = place.admin.GetStats().revision
    for what, client in clients.items():
        for method, (code, answer) in outcomes(place.services, client).items():
            if code == "OK":
                assert method in ANYBODYS or what != "none" or is_empty(answer), (what, method, answer)
            elif code == "UNAVAILABLE":
                assert method in ASKING and what != "none", (what, method, answer)
            elif method not in OWN:
                assert code in ("PERMISSION_DENIED", "NOT_FOUND", UNKNOWN_FORM, "FAILED_PRECONDITION" if what != "none" else ""), (what, method, answer)
    for method in ("Release", "WithdrawRelease", "Rollback", "SignRelease", "RemoveInstance", "CreatePrincipal", "DeleteApp"):
        code, answer = outcome(clients["another environment"], method, dict(methods(place.services))[method])
        assert code in ("PERMISSION_DENIED", "NOT_FOUND"), (method, answer)
    changes = [c.method for c in read_changes(place.admin, made) if c.by in ("eve", "rita")]
    assert before < made and not changes, changes


def read_changes(client, after):
    head = client.GetStats().revision
    if head <= after:
        return []
    found, stream = [], client.watch(from_revision=after, timeout=60)
    for message in stream:
        found += message.changes
        if message.revision >= head:
            break
    stream.cancel()
    return found


def test_whoever_may_is_never_taken_for_somebody_else(place):
    place.fill()
    for method, fields in methods(place.services):
        if method in ("DeleteWorkspace", "DisablePrincipal", "DeletePrincipal", "DeleteRole", "CutAudit"):
            fields = {**fields, "write": {"validate_only": True}}
        code, answer = outcome(place.admin, method, fields)
        assert code not in ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED") and (code != "UNAVAILABLE" or method in ASKING), (method, answer)


def test_each_item_of_a_list_counts(place):
    """A request that holds several things is taken whole or not at all."""
    place.fill()
    for grants in ([{"role": "viewer"}, {"role": "no-such"}], [{"role": "viewer"}, {"role": "viewer", "verb": "VERB_EDIT"}], [{"role": "viewer"}, {}]):
        code, answer = outcome(place.admin, "CreatePrincipal", {"name": "mixed", "kind": 1, "grants": grants})
        assert code in ("INVALID_ARGUMENT", "NOT_FOUND"), answer
    for rights in ([{"verbs": [1]}, {"verbs": [99]}], [{"verbs": [1]}, {"verbs": []}], [{"verbs": [1]}, {"verbs": [1], "environment": "no-such"}]):
        code, answer = outcome(place.admin, "CreateRole", {"name": "mixed", "rights": rights})
        assert code in ("INVALID_ARGUMENT", "NOT_FOUND"), answer
    assert "mixed" not in {p.name for p in place.admin.ListPrincipals().principals} | {r.name for r in place.admin.ListRoles().roles}


# --- paths, unknown methods, headers ------------------------------------------------------------

APPS = "/sluice.v1.AppService/ListApps"
PATHS = [
    "/", "//", APPS + "/", "/" + APPS, APPS.upper(), APPS.lower(), "/sluice.v1.AppService/listApps", APPS + "?a=b", APPS + "#a", APPS + "%00", "/sluice.v1.AppService%2FListApps",
    "/sluice.v1.AppService/../AppService/ListApps", "/./sluice.v1.AppService/ListApps", "/sluice.v1.AppService//ListApps", "/sluice.v1.AppService/ListApps ", "/ sluice.v1.AppService/ListApps",
    "/sluice.v1.AppService.ListApps", "/AppService/ListApps", "/sluice.v1/AppService/ListApps", "/sluice.v1.AppService", "/sluice.v1.AppService/", "/sluice.v2.AppService/ListApps",
    "/sluice.v1.DoorService/Login", "/sluice.store.v1.AppService/ListApps", "/sluice.v1.AppService/ListApps;", "/sluice.v1.AppService\\ListApps", "/" + "a" * 4000, APPS[1:], "*",
    "http://127.0.0.1" + APPS,
]


def raw(client, path, timeout=60, metadata=None, request=b"", compression=None):
    """(code, seconds) of a call of that path."""
    began = time.monotonic()
    try:
        client.channel.unary_unary(path)(request, timeout=timeout, metadata=metadata, compression=compression, wait_for_ready=True)
        return "OK", time.monotonic() - began
    except grpc.RpcError as error:
        return error.code().name, time.monotonic() - began


def test_paths_that_are_nearly_right_are_unimplemented_at_once(place):
    assert raw(place.admin, APPS)[0] == "OK"
    for client, known in ((place.admin, "/sluice.v1.DoorService/Login"), (place.server.door(), APPS)):
        raw(client, "/warm/Up")
        for path in PATHS + ([] if known in PATHS else [known]):
            if client is not place.admin and path == "/sluice.v1.DoorService/Login":
                continue
            code, took = raw(client, path)
            # gRPC itself takes no path without a slash.
            assert code == "UNIMPLEMENTED" or (not path.startswith("/") and code in ("UNAVAILABLE", "INTERNAL", "INVALID_ARGUMENT", "CANCELLED", "UNKNOWN")), (path, code)
            assert took < 30, (path, took)
    assert raw(place.admin, APPS)[0] == "OK"


def test_unknown_methods_in_numbers_hold_nobody_up(place):
    done = []
    calls = [place.admin.channel.unary_unary(f"/no.such.Service/Method{i}").future(b"", timeout=60) for i in range(500)]
    for call in calls:
        done.append(call.code().name)
    assert set(done) == {"UNIMPLEMENTED"}
    code, took = raw(place.admin, APPS)
    assert code == "OK" and took < 30


def by_the_byte(place, context, fields, message=b"\0\0\0\0\0", patience=30):
    """A call on a connection of its own; the kinds of frames that the server says until it is over, or silent for so many seconds."""
    peer, kinds = h2.Peer(place.server.port, context=context, timeout=60), []
    block = h2.headers(APPS.encode(), fields)
    pieces = [block[at:at + 16000] for at in range(0, len(block), 16000)]
    for at, piece in enumerate(pieces):
        peer.send(h2.frame(h2.CONTINUATION if at else h2.HEADERS, h2.END_HEADERS if at == len(pieces) - 1 else 0, 1, piece))
    peer.send(h2.frame(h2.DATA, h2.END_STREAM, 1, message))
    for kind, flags, stream, _ in peer.frames(patience):
        kinds.append(kind)
        if stream == 1 and (kind == h2.RST_STREAM or flags & h2.END_STREAM):
            break
    peer.close()
    return kinds


# A client that is built with gRPC 1.51 could not even send some of them.
HEADERS = [
    (b"grpclb_client_stats", b"x"), (b"grpc-previous-rpc-attempts", b"9" * 400), (b"grpc-timeout", b"99999999999H"), (b"grpc-timeout", b"-1S"), (b"grpc-timeout", b"x"),
    (b"lb-cost-bin", b"\xff" * 9), (b"lb-token", b"x" * 900), (b"grpc-tags-bin", b"\xff" * 2000), (b"grpc-trace-bin", b"\0" * 2000), (b"grpc-server-stats-bin", b"\0" * 9),
    (b"endpoint-load-metrics-bin", b"\xff" * 90), (b"grpc-retry-pushback-ms", b"-9"), (b"grpc-status", b"0"), (b"grpc-encoding", b"deflate"), (b"grpc-encoding", b"x" * 99),
    (b"grpc-internal-encoding-request", b"gzip"), (b":path", b"/sluice.v1.AdminService/GetStats"), (b":authority", b""), (b":status", b"200"), (b"te", b"no"), (b"host", b"\0"),
    (b"x-long", b"a" * 15000), (b"authorization", b"Bearer slc_x_y"), (b"connection", b"upgrade"), (b"content-length", b"-1"), (b"", b""), (b"UPPER", b"x"), (b"x\0y", b"\xff\0"),
]


def test_headers_and_messages_that_break_other_servers(place):
    """What gRPC is known to stumble over: the server lives, and others are answered."""
    pid, context = place.server.program.process.pid, place.admin_context()
    assert h2.HEADERS in by_the_byte(place, context, [])
    for field in HEADERS:
        assert by_the_byte(place, context, [field]) != [], field
        assert place.server.program.running and raw(place.admin, APPS)[0] == "OK", field
    for message in (b"\1\0\0\0\0", b"\0\xff\xff\xff\xff", b"\xff" * 9, b"\0\0\0\0\3\xff\xff\xff", b"", b"\0"):
        by_the_byte(place, context, [], message, patience=3)
        assert place.server.program.running and raw(place.admin, APPS)[0] == "OK", message
    assert raw(place.admin, APPS, metadata=[("x-long", "a" * 40000)])[0] == "RESOURCE_EXHAUSTED"
    assert raw(place.admin, APPS, metadata=[("x-long", "a" * 100000)])[0] in ("RESOURCE_EXHAUSTED", "UNAVAILABLE")  # or hung up on
    while raw(place.admin, APPS)[0] != "OK":  # until it has dialled again
        time.sleep(0.1)  # between two tries
    assert raw(place.admin, APPS, request=b"\0" * (5 << 20))[0] == "RESOURCE_EXHAUSTED"
    assert raw(place.admin, APPS, request=b"\xff" * 1000)[0] in ("INVALID_ARGUMENT", "INTERNAL")
    # Unpacked before its size is looked at, if it were unpacked: 4 GB of nothing.
    assert raw(place.admin, APPS, request=b"\0" * (1 << 20), compression=grpc.Compression.Gzip)[0] == "UNIMPLEMENTED"
    assert place.server.program.process.pid == pid and place.server.program.running and raw(place.admin, APPS)[0] == "OK"


def test_what_is_wrong_is_told_however_long_it_is(place):
    """Details that are too long for a client's headers would hide the status itself."""
    place.fill()
    for method, fields in (("CreateApp", {"name": "x" * 100000, "repository": "y" * 100000}), ("GetApp", {"app": "\u00e4" * 30000}),
                           ("CreatePrincipal", {"name": "%\n" * 9000, "kind": 9, "grants": [{"role": "r" * 3000, "apps": "[" * 3000}] * 50}),
                           ("UpdateInstance", {"instance": "prod-1", "labels": {f"{i}/{'k' * 300}": "\x01" * 300 for i in range(100)}})):
        code, answer = outcome(place.admin, method, fields)
        assert code in ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION") and answer.reason, (method, answer)


# --- tokens ------------------------------------------------------------------------------------------


def sound(call, **fields):
    with pytest.raises(Refused) as refused:
        call(**fields)
    return refused.value.code.name, refused.value.reason, refused.value.text, tuple(sorted(refused.value.metadata.items()))


def test_tokens_of_others_and_all_that_is_wrong_with_one_sound_alike(place, services):
    place.fill()
    _, request = make_key(place.path("k"))
    door = place.server.door()

    def at_login(token):
        return sound(door.Login, token=token, certificate_request=request)

    def at_enroll(token):
        with pytest.raises(Refused) as refused:
            enroll(place.server, place.path("k"), token, request)
        return refused.value.code.name, refused.value.reason, refused.value.text, tuple(sorted(refused.value.metadata.items()))

    invited = place.admin.InviteInstance(instance="prod-1").secret
    access = place.principal("bot", {"role": "viewer"}).token.secret
    os.makedirs(place.path("other"))
    other = Place(services, place.path("other"))
    foreign = other.admin.CreateAccessToken(principal="admin").secret
    other.server.end()
    heard = {"a join token at Login": at_login(invited), "an access token at Enroll": at_enroll(access), "another server's": at_login(foreign)}
    used = place.admin.InviteInstance(instance="prod-2").secret
    enroll(place.server, place.path("k"), used, request)
    short = place.admin.CreateAccessToken(principal="bot", lifetime={"seconds": 1}).secret
    place.admin.InviteInstance(instance="prod-1")
    revoked = place.admin.CreateAccessToken(principal="bot")
    place.admin.RevokeAccessToken(token=revoked.token.id)
    time.sleep(1.5)  # the short one's life is a second
    heard.update({
        "used": at_enroll(used), "expired": at_login(short), "revoked": at_login(revoked.secret), "unknown": at_login("slc_" + "a" * 20 + "_" + "b" * 52),
        "replaced": at_enroll(invited), "secret of another": at_login(access[:25] + revoked.secret[25:]),
    })
    place.admin.DisablePrincipal(principal="bot")
    heard["of one who is disabled"] = at_login(access)
    assert len(set(heard.values())) == 1 and heard["used"][1] == "TOKEN_REFUSED", heard


# --- floods, ports, records ---------------------------------------------------------------------------


FLOOD = """import socket, sys
while True:
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1).close()  # it is a flood
    except OSError:
        pass
"""


def test_bare_connects_do_not_starve_calls(place, world):
    """gRPC accepts until there is nothing more to accept: the budget of new connections is what ends that."""
    assert raw(place.admin, APPS)[0] == "OK"
    for _ in range(2):
        world.add(harness.Program(["/usr/bin/python3", "-c", FLOOD, str(place.server.port)]))
    took = []
    until = time.monotonic() + 4
    while time.monotonic() < until:
        code, seconds = raw(place.admin, APPS)
        assert code == "OK"
        took.append(seconds)
        time.sleep(0.01)  # lets others run
    took.sort()
    assert took[len(took) // 2] < 10, took


def test_no_port_is_served_twice(place):
    def start(name, **ports):
        folder = place.path(name)
        subprocess.run([harness.SLUICED, "init", "--data", folder], check=True, capture_output=True)
        argv = {"listen": 0, "door-listen": 0, "metrics-listen": 0, **{k.replace("_", "-"): v for k, v in ports.items()}}
        program = harness.Program([harness.SLUICED, "serve", "--data", folder] + [w for k, v in argv.items() for w in (f"--{k}", f"127.0.0.1:{v}")],
                                  env={"SLUICE_MAP_SIZE": "64M", "SLUICE_DISK_RESERVE": "1M"})
        try:
            return program.wait(60)
        finally:
            program.end()

    assert start("a", listen=place.server.port) == 1
    assert start("b", metrics_listen=place.server.metrics_port) == 1
    assert start("c", door_listen=place.server.door_port) == 1


def test_one_record_that_does_not_parse_stops_nobody_else(place, world):
    """Damage of one principal's record is that principal's: others come in, and the damage is said."""
    place.fill()
    place.principal("eve", {"role": "viewer"})
    eve_token = place.admin.CreateAccessToken(principal="eve").secret
    other_token = place.principal("bob", {"role": "viewer"}).token.secret
    eve_id = place.admin.GetPrincipal(principal="eve").principal.id
    assert place.server.stop() == 0
    store = Store(place.server.folder)
    rows = store.tables["principals"]
    at = next(i for i, (key, value) in enumerate(rows) if eve_id.encode() in key + value)
    rows[at] = (rows[at][0], b"\xff" * len(rows[at][1]))
    store.write(world.path("store"))
    subprocess.run(["cp", world.path("store") + "/data.mdb", place.server.folder + "/data.mdb"], check=True)
    checked = subprocess.run([harness.SLUICED, "verify", place.server.folder], capture_output=True, text=True)
    assert checked.returncode == 3 and "principal" in checked.stdout, checked.stdout + checked.stderr
    place.server.start()
    place.admin, _ = place.server.login(place.path("admin"))
    bob, _ = place.server.login(place.path("bob"), other_token)
    assert bob.WhoAmI().principal == "bob" and len(bob.ListApps().apps) == 1
    with pytest.raises(Refused) as refused:
        place.server.login(place.path("eve"), eve_token)
    assert refused.value.code.name in ("UNAUTHENTICATED", "DATA_LOSS", "INTERNAL")
    place.admin.CreateVersion(app="shop", name="v2")
    assert place.server.stop() == 0

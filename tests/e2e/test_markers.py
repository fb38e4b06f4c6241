"""Secrets in every field that takes one, in the hands of a server and of an agent: every method and error path, debug logs, a crash, a backup; and
then they are looked for everywhere but in the files that the app reads."""
import os
import signal
import subprocess

import grpc
import harness
import pytest
from people import make_server  # noqa: F401 (fixtures)
from test_config import provoke, watched
from test_config_instances import Company, Instance

SECRET, CONSTANT = MARKS = ["marker-secret-c41tz8", "marker-constant-w07bq2"]
NAMES = {"workspace": "", "app": "shop", "version": "v1", "from": "development", "instance": "development-1", "repository": "apps", "name": "API_KEY",
         "source": "main", "environment": "development", "kind": "postgres", "principal": "admin", "role": "admin", "reason": "looked for"}
REVEALS = "RevealSecret"  # which is what it is for
ENDS = ("UnsetConfigValue", "DeleteConfigName", "DeleteSource", "RemoveInstance", "RevokeInstance", "DeleteApp", "DeletePrincipal", "Logout")  # really: last


def fields_of(descriptor, write):
    """A request that names what is there."""
    fields = {}
    for field in descriptor.input_type.fields:
        repeated = field.label == field.LABEL_REPEATED
        if field.type == field.TYPE_STRING and not repeated and field.name in NAMES:
            fields[field.name] = NAMES[field.name]
        if field.name == "write":
            fields["write"] = write
    return fields


def told_by(client, name, write):
    """All bytes that a method answers with: of one that is never done what comes within two seconds. A unary answer is a stream of one."""
    service, method = client._methods[name]
    channel, told = client.channel, []
    request = client.request(name, **fields_of(method, write)).SerializeToString()
    call = channel.stream_stream if method.client_streaming else channel.unary_stream
    try:
        for message in call(f"/{service}/{name}")(iter([request]) if method.client_streaming else request, timeout=2 if method.server_streaming else 60):  # no end
            told.append(message)
    except grpc.RpcError as error:
        refused = harness.Refused(error)
        told.append(f"{refused} {refused.fields} {refused.metadata}".encode())
    return f"{service}/{name}: ".encode() + b"".join(told)


def call_everything(client, write):
    """What every method says, or refuses; with `write` of validate_only nothing is changed, else really."""
    names = sorted(name for name in client._methods if name not in ENDS) + list(ENDS)
    if "validate_only" in write:
        names = [name for name in names if "write" in fields_of(client._methods[name][1], write) or name not in ENDS]
    assert len(names) > 100 and set(ENDS) <= set(client._methods)
    return {name: told_by(client, name, write) for name in names}


def wrong_sources(client):
    """Every way to go wrong with a secret option."""
    for fields in (dict(source="main", environment="staging", secrets={"passwort": SECRET}), dict(source="main", environment="staging", options={"password": SECRET}),
                   dict(source="none", environment="staging", secrets={"password": SECRET}), dict(source="main", environment="no", secrets={"password": SECRET}),
                   dict(source="main", environment="staging", secrets={"password": SECRET * 1000}),
                   dict(source="main", environment="staging", secrets={"password": SECRET + "{{constants.NO_SUCH}}"}),
                   dict(source="main", environment="staging", secrets={"password": SECRET}, write={"expected_revision": 1})):
        with pytest.raises(harness.Refused) as refused:
            client.SetSource(**fields)
        assert SECRET not in str(refused.value)


def processes_with(folder, marks):
    """Command lines and environments of whatever runs for this test."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            texts = [open(f"/proc/{pid}/{name}", "rb").read() for name in ("cmdline", "environ")]
        except OSError:
            continue
        if folder.encode() in texts[0]:
            found += [(texts[0], mark) for mark in marks if any(mark.encode() in text for text in texts)]
    return found


def git_objects(folder):
    """All that lies in the Git repositories below the folder, unpacked."""
    text = b""
    for top, folders, _ in os.walk(folder):
        if "objects" in folders and "refs" in folders:
            text += subprocess.run(["git", "-C", top, "cat-file", "--batch-all-objects", "--batch"], capture_output=True, check=False,
                                   env={**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}).stdout
    return text


def crash(program):
    with open(f"/proc/{program.process.pid}/limits", encoding="ascii") as file:
        limits = next(line for line in file if line.startswith("Max core file size")).split()
    assert limits[4:6] == ["0", "0"]
    program.kill(signal.SIGSEGV)
    assert program.wait(60) == -signal.SIGSEGV


def up_to_now(client, changes):
    told, now = "", client.ListConfigNames().page.revision
    for message in changes:
        told += str(message)
        if message.revision >= now:
            return told
    raise AssertionError("the stream of changes has ended")


@pytest.fixture
def mortal(monkeypatch):
    """A sanitizer takes SIGSEGV for itself and exits in its own way: here the program dies of it, as it does without one."""
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"):
        monkeypatch.setenv(name, f"{os.environ.get(name, '')}:handle_segv=0")


@pytest.mark.usefixtures("mortal")
def test_secrets_are_nowhere_but_in_the_files_that_the_app_reads(make_server, world, tmp_path):
    server = make_server("--log-level", "debug")
    company = Company(world, server, tmp_path)
    client = server.login(str(tmp_path / "first"))[0]
    company.create()
    for environment in ("development", "staging"):
        company.set(environment, f"{CONSTANT}-{environment}", f"{SECRET}-{environment}")
        company.admin("source", "set", "main", "--env", environment, "host={{constants.API_URL}}", "database=shop", "user=shop", "--secret", "password=-",
                      stdin=f"{SECRET}-of-source-{environment}")
    instance = Instance(company, "development")
    instance.kill()
    instance.start("--log-level", "debug")
    instance.wait(url=f"{CONSTANT}-development", key=f"{SECRET}-development", db=f"{CONSTANT}-development:5432")
    assert processes_with(world.folder, MARKS) + processes_with(server.folder, MARKS) == []
    client.SetConfigValue(name="SECRET", kind=2, environment="staging", value=SECRET, write={"request_id": "given", "reason": "to go wrong with"})
    provoke(client, MARKS)
    wrong_sources(client)
    told = call_everything(client, {"validate_only": True})
    assert [name for name, said in told.items() if SECRET.encode() in said] == []
    company.set("development", key=f"{SECRET}-changed")
    instance.wait(key=f"{SECRET}-changed")
    company.admin("backup", str(tmp_path / "copy"))
    told = str(client.ListAuditRecords(page={"page_size": 1000})) + str(client.ExportAudit()) + str(watched(client, from_revision=1))
    for words in (("status", "shop"), ("explain", "development-1", "shop"), ("status", "shop", "-o", "json"), ("plan", "shop", "v1", "--to", "staging")):
        told += company.admin(*words).stdout
    assert not any(mark in told for mark in MARKS) and "it has the values of its environment" in told
    assert company.status("development")["config"]["current"]
    crash(instance.program)
    changes = client.watch(timeout=120, from_revision=1)
    told_first = str(next(changes))  # so that it is open before the log is compacted
    told = call_everything(server.login(str(tmp_path / "second"))[0], {})
    assert [name for name, said in told.items() if SECRET.encode() in said] == [REVEALS], told[REVEALS]
    told = str(client.ListAuditRecords(page={"page_size": 1000})) + str(client.ExportAudit()) + told_first + up_to_now(client, changes)
    assert REVEALS in told and "DeleteApp" in told and not any(mark in told for mark in MARKS)
    crash(server.program)
    logs = "\n".join(server.program.lines + instance.program.lines)
    server.program.end()
    assert not any(mark in logs for mark in MARKS)
    files = harness.holding(str(tmp_path), MARKS) + harness.holding(world.folder, MARKS)
    elsewhere = [(path, mark) for path, mark in files if "/apps/shop/configs/" not in path]
    assert files and elsewhere == []
    assert all(os.stat(path).st_mode & 0o777 == 0o600 for path, _ in files)
    unpacked = git_objects(str(tmp_path)) + git_objects(world.folder)
    assert b"index.html" in unpacked and not any(mark.encode() in unpacked for mark in MARKS)
    server.verify()

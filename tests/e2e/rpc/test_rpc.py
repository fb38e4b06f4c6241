"""server/rpc seen by a client that we did not write: Python's grpcio.

The messages come from the server's own reflection, except reflection itself,
which is read from the .proto files.
"""
import os
import signal
import subprocess
import threading
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVER = os.path.abspath("tests/e2e/rpc/test_server")
BUILTIN = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


@pytest.fixture(scope="session")
def protos(tmp_path_factory):
    """Maps a full message name to its class, from proto/**/*.proto."""
    out = tmp_path_factory.mktemp("protos") / "all.binpb"
    files = [os.path.relpath(os.path.join(folder, name), "proto")
             for folder, _, names in os.walk("proto") for name in names if name.endswith(".proto")]
    subprocess.run(["protoc", "-Iproto", "-I/usr/include", "--include_imports",
                    f"--descriptor_set_out={out}", *files], check=True)
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName(name))


class Server:
    def __init__(self):
        self.process = subprocess.Popen([SERVER], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}",
                                             options=[("grpc.use_local_subchannel_pool", 1)])

    def unary(self, path, request, **kwargs):
        return self.channel.unary_unary(path)(request, timeout=60, **kwargs)

    def stop(self):
        """Asks it to stop; returns its exit code and the seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60), time.monotonic() - began

    def close(self):
        self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def server():
    it = Server()
    yield it
    it.close()


def reflect(server, protos, version, *asked):
    """The answers to these requests, each a dict of fields."""
    request = protos(f"grpc.reflection.{version}.ServerReflectionRequest")
    response = protos(f"grpc.reflection.{version}.ServerReflectionResponse")
    call = server.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=request.SerializeToString, response_deserializer=response.FromString)
    return list(call(iter([request(**fields) for fields in asked]), timeout=60))


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_services(server, protos, version):
    answer, = reflect(server, protos, version, {"list_services": "", "host": "h"})
    assert {s.name for s in answer.list_services_response.service} == BUILTIN | {"test.Test"}
    assert answer.valid_host == "h" and answer.original_request.host == "h"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_gives_files_that_build(server, protos, version):
    """A fresh pool takes every file as it comes, its imports given with it."""
    for asked, first in [
            ({"file_by_filename": "google/rpc/status.proto"}, "google/rpc/status.proto"),
            ({"file_containing_symbol": "google.rpc.Status"}, "google/rpc/status.proto"),
            ({"file_containing_symbol": "google.rpc.Status.details"}, "google/rpc/status.proto"),
            ({"file_containing_symbol": "grpc.health.v1.Health"}, "grpc/health/v1/health.proto"),
            ({"file_containing_symbol": "grpc.health.v1.Health.Watch"}, "grpc/health/v1/health.proto"),
            ({"file_containing_symbol": "grpc.health.v1.HealthCheckResponse.ServingStatus"},
             "grpc/health/v1/health.proto"),
            ({"file_containing_symbol": "google.rpc.BadRequest.FieldViolation"},
             "google/rpc/error_details.proto"),
            ({"file_by_filename": "google/protobuf/any.proto"}, "google/protobuf/any.proto")]:
        answer, = reflect(server, protos, version, asked)
        files = [descriptor_pb2.FileDescriptorProto.FromString(b)
                 for b in answer.file_descriptor_response.file_descriptor_proto]
        assert files[0].name == first
        names = {f.name for f in files}
        assert len(names) == len(files)
        assert all(set(f.dependency) <= names for f in files)


@pytest.mark.parametrize("asked", [
    {"file_by_filename": "no/such.proto"},
    {"file_containing_symbol": "google.rpc.Nothing"},
    {"file_containing_symbol": ""},
    {"file_containing_symbol": "google.rpc"},
    {"all_extension_numbers_of_type": "no.Such"},
    {"file_containing_extension": {"containing_type": "google.rpc.Status", "extension_number": 7}},
])
def test_reflection_says_not_found_and_goes_on(server, protos, asked):
    wrong, good = reflect(server, protos, "v1alpha", asked, {"list_services": ""})
    assert wrong.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert len(good.list_services_response.service) == 4


def test_reflection_of_extensions_and_of_nothing(server, protos):
    none, empty = reflect(server, protos, "v1",
                          {"all_extension_numbers_of_type": "google.rpc.Status"}, {})
    assert none.all_extension_numbers_response.base_type_name == "google.rpc.Status"
    assert not none.all_extension_numbers_response.extension_number
    assert empty.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_reflection_refuses_what_it_cannot_read(server):
    call = server.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    with pytest.raises(grpc.RpcError) as failed:
        list(call(iter([b"\xff\xff\xff"]), timeout=60))
    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_reflection_serves_a_real_client(server, protos):
    """All that is listed can be looked up, and its methods named."""
    listed, = reflect(server, protos, "v1", {"list_services": ""})
    for service in listed.list_services_response.service:
        if service.name == "test.Test":
            continue  # it has no .proto file
        answer, = reflect(server, protos, "v1", {"file_containing_symbol": service.name})
        pool = descriptor_pool.DescriptorPool()
        for data in reversed(answer.file_descriptor_response.file_descriptor_proto):
            pool.AddSerializedFile(data)
        assert pool.FindServiceByName(service.name).methods


def check(server, protos, service):
    request = protos("grpc.health.v1.HealthCheckRequest")(service=service)
    reply = server.unary("/grpc.health.v1.Health/Check", request.SerializeToString())
    return protos("grpc.health.v1.HealthCheckResponse").FromString(reply).status


@pytest.mark.parametrize("service", ["", "test.Test", *sorted(BUILTIN)])
def test_health_check(server, protos, service):
    assert check(server, protos, service) == 1


def test_health_check_of_an_unknown_service(server, protos):
    with pytest.raises(grpc.RpcError) as failed:
        check(server, protos, "no.Such")
    assert failed.value.code() == grpc.StatusCode.NOT_FOUND


def watch(server, protos, service):
    response = protos("grpc.health.v1.HealthCheckResponse")
    request = protos("grpc.health.v1.HealthCheckRequest")(service=service)
    call = server.channel.unary_stream("/grpc.health.v1.Health/Watch",
                                       response_deserializer=response.FromString)
    return call(request.SerializeToString(), timeout=60)


def test_health_watch_until_the_server_stops(server, protos):
    known, unknown = watch(server, protos, "test.Test"), watch(server, protos, "no.Such")
    assert next(known).status == 1
    assert next(unknown).status == 3
    code, seconds = server.stop()
    assert code == 0 and seconds < 30
    assert [r.status for r in known_rest(known)] == [2]
    assert known.code() == grpc.StatusCode.UNAVAILABLE
    assert not list(known_rest(unknown))
    assert unknown.code() == grpc.StatusCode.UNAVAILABLE


def known_rest(call):
    """What still comes, whatever the end is."""
    try:
        yield from call
    except grpc.RpcError:
        pass


def fail(server, how):
    with pytest.raises(grpc.RpcError) as failed:
        server.unary("/test.Test/Fail", how.encode())
    return failed.value


def details(protos, error):
    """(google.rpc.Status, {type name: message})."""
    raw = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert len(raw) <= 4096
    status = protos("google.rpc.Status").FromString(raw)
    found = {}
    for one in status.details:
        name = one.type_url.split("/")[1]
        found[name] = protos(name).FromString(one.value)
    assert status.code == error.code().value[0] and status.message == error.details()
    return status, found


def test_status_without_a_reason_has_no_details(server):
    error = fail(server, "plain")
    assert error.code() == grpc.StatusCode.NOT_FOUND and error.details() == "nothing here"
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata())


def test_status_details_with_metadata(server, protos):
    _, found = details(protos, fail(server, "info"))
    assert list(found) == ["google.rpc.ErrorInfo"]
    info = found["google.rpc.ErrorInfo"]
    assert (info.reason, info.domain) == ("STALE_REVISION", "sluice")
    assert dict(info.metadata) == {"current_revision": "7"}


@pytest.mark.parametrize("how, name, field", [
    ("gates", "google.rpc.PreconditionFailure", "violations"),
    ("fields", "google.rpc.BadRequest", "field_violations"),
])
@pytest.mark.parametrize("count", [1, 30, 500])
def test_status_details_are_cut_to_fit(server, protos, how, name, field, count):
    _, found = details(protos, fail(server, f"{how} {count}"))
    kept = len(getattr(found[name], field))
    cut = int(found["google.rpc.ErrorInfo"].metadata.get("cut", 0))
    assert kept > 0 and kept + cut == count
    assert (cut > 0) == (count == 500)


def test_status_text_is_utf8_whatever_came_in(server, protos):
    status, found = details(protos, fail(server, "bytes"))
    assert status.message == "name 'café ??' has bad bytes, 100 %\nx"
    violation = found["google.rpc.BadRequest"].field_violations[0]
    assert (violation.field, violation.description) == ("name?", "must be UTF-8, is '?('")


def test_unknown_method_ends_at_once(server):
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as failed:
        server.unary("/test.Test/NoSuch", b"")
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert time.monotonic() - began < 30


def peak_kb(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmHWM")))


def test_big_messages_are_refused(server):
    with pytest.raises(grpc.RpcError) as failed:
        server.unary("/test.Test/Echo", bytes(5 << 20))
    assert failed.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.unary("/test.Test/Echo", b"still here") == b"still here"


@pytest.mark.parametrize("kind", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_refused_unread(server, kind):
    """200 MB that come as 200 KB: memory does not follow."""
    server.unary("/test.Test/Echo", b"x")
    before = peak_kb(server)
    with pytest.raises(grpc.RpcError) as failed:
        server.unary("/test.Test/Echo", bytes(200 << 20), compression=kind)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError) as failed:
        call = server.channel.stream_stream("/test.Test/Chat")
        list(call(iter([bytes(200 << 20)]), timeout=60, compression=kind))
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert peak_kb(server) < before + 20000
    assert server.unary("/test.Test/Echo", b"still here") == b"still here"


def test_full_outbox_ends_with_the_reason(server):
    """The queue thread fills it in one go, so all of it is dropped."""
    call = server.channel.stream_stream("/test.Test/Flood")(iter([b"x" * 1000]), timeout=60)
    assert not list(known_rest(call))
    assert call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and call.details() == "too slow"


def test_stop_while_called(server):
    """Every call ends with an answer or UNAVAILABLE, and the exit is clean."""
    codes = set()

    def be_busy():
        try:
            while True:
                server.unary("/test.Test/Echo", b"x")
        except grpc.RpcError as error:
            codes.add(error.code())

    threads = [threading.Thread(target=be_busy) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)  # some load
    code, seconds = server.stop()
    for thread in threads:
        thread.join()
    assert code == 0 and seconds < 30
    assert codes <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

"""Health and reflection by clients that are not ours: Python's grpcio and Node's @grpc/grpc-js."""
import os
import shutil
import subprocess
import sys

import grpc
import pytest
import harness

NAMES = ["Access", "Admin", "Agent", "App", "Audit", "Config", "Environment", "Fleet", "Identity", "Promotion", "Release", "Repository", "Version", "Watch", "Workspace"]


def compile_support(out):
    protos = ["grpc/health/v1/health.proto", "grpc/reflection/v1alpha/reflection.proto", "grpc/reflection/v1/reflection.proto"]
    os.makedirs(out, exist_ok=True)
    subprocess.run(["protoc", "-I", os.path.join(harness.ROOT, "proto"), f"--descriptor_set_out={out}/set", "--include_imports"]
                   + [os.path.join(harness.ROOT, "proto", p) for p in protos], check=True)
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    with open(f"{out}/set", "rb") as file:
        for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
            pool.Add(proto)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName(name))


def reflect(channel, message, package, request):
    stub = channel.stream_stream(f"/{package}.ServerReflection/ServerReflectionInfo", request_serializer=lambda m: m.SerializeToString(),
                                 response_deserializer=message(f"{package}.ServerReflectionResponse").FromString)
    return next(iter(stub(iter([message(f"{package}.ServerReflectionRequest")(**request)]), timeout=60)))


@pytest.mark.parametrize("package", ["grpc.reflection.v1alpha", "grpc.reflection.v1"])
def test_python_lists_services_by_reflection_and_calls_them(world, package):
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    server = world.server()
    message = compile_support(world.path("support"))
    channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
    listed = reflect(channel, message, package, {"list_services": ""}).list_services_response.service
    assert sorted(s.name for s in listed if s.name.startswith("sluice.")) == [f"sluice.v1.{n}Service" for n in NAMES]
    answer = reflect(channel, message, package, {"file_containing_symbol": "sluice.v1.WorkspaceService"})
    pool = descriptor_pool.DescriptorPool()
    waiting = [descriptor_pb2.FileDescriptorProto.FromString(b) for b in answer.file_descriptor_response.file_descriptor_proto]
    while waiting:  # in the order that imports need
        ready = [p for p in waiting if all(d not in [w.name for w in waiting] for d in p.dependency)]
        assert ready
        for proto in ready:
            pool.Add(proto)
            waiting.remove(proto)
    service = pool.FindServiceByName("sluice.v1.WorkspaceService")
    method = service.methods_by_name["ListWorkspaces"]
    factory = message_factory.MessageFactory(pool)
    call = channel.unary_unary(f"/{service.full_name}/{method.name}", request_serializer=lambda m: m.SerializeToString(),
                               response_deserializer=factory.GetPrototype(method.output_type).FromString)
    assert [w.name for w in call(factory.GetPrototype(method.input_type)(), timeout=60).workspaces] == ["default"]
    channel.close()


def test_python_health(world):
    server = world.server()
    message = compile_support(world.path("support"))
    channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
    check = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=lambda m: m.SerializeToString(),
                                response_deserializer=message("grpc.health.v1.HealthCheckResponse").FromString)
    request = message("grpc.health.v1.HealthCheckRequest")
    for name in [""] + [f"sluice.v1.{n}Service" for n in NAMES]:
        assert check(request(service=name), timeout=60).status == 1
    with pytest.raises(grpc.RpcError) as error:
        check(request(service="no.Such"), timeout=60)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/sluice.v1.AppService/NoSuch")(b"", timeout=60)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    channel.close()


def test_node_lists_services_by_reflection_and_calls_them(world):
    modules = os.environ.get("SLUICE_NODE_MODULES", "")
    assert shutil.which("node"), "node is not installed"
    assert os.path.isdir(os.path.join(modules, "@grpc/grpc-js")), f"@grpc/grpc-js is not in '{modules}': pass --test_env=SLUICE_NODE_MODULES=$(bazel/install-npm)"
    server = world.server()
    script = os.path.join(harness.ROOT, "tests/e2e/reflection.cjs")
    done = subprocess.run(["node", script, f"127.0.0.1:{server.port}", os.path.join(harness.ROOT, "proto")], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "NODE_PATH": modules})
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.split()
    assert [line for line in lines if line.startswith("sluice.")] == [f"sluice.v1.{n}Service" for n in NAMES]
    assert "health=SERVING" in lines and "workspace=default" in lines and "refused=NOT_FOUND:APP_NOT_FOUND" in lines


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))

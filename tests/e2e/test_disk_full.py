"""Disk full, on either side, and space again. The disks are small tmpfs, so this needs to be root (in its own mount namespace:
see run_pytest.sh's caller) and runs outside Bazel's sandbox."""
import os

import grpc
import pytest
import harness
from harness import SmallDisk, fill


def test_the_server_takes_only_deletes_under_the_reserve_and_all_again_afterwards(world):
    disk = world.add(SmallDisk(world.path("disk"), 48))
    server = world.server(["--disk-reserve", "8M", "--map-size", "64M"], folder=os.path.join(disk.path, "data"))
    client = server.client()
    for i in range(20):
        client.RegisterInstance(name=f"i-{i}", environment="production", write={"request_id": f"r-{i}"})
    fill(os.path.join(disk.path, "ballast"), 1 << 20)
    with pytest.raises(harness.Refused) as refused:
        client.RegisterInstance(name="late", environment="production")
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_LOW")
    assert client.RegisterInstance(name="i-7", environment="production", write={"request_id": "r-7"}).result.replayed  # it has taken effect
    server.kill()
    client = server.start().client()  # also now
    client.RemoveInstance(instance="i-0")
    assert len(client.ListInstances().instances) == 19
    os.unlink(os.path.join(disk.path, "ballast"))
    client.RegisterInstance(name="late", environment="production")
    assert server.stop() == 0
    server.verify()


def test_without_a_reserve_a_full_disk_stops_the_server_and_loses_nothing_acknowledged(world):
    disk = world.add(SmallDisk(world.path("disk"), 24))
    server = world.server(["--disk-reserve", "0", "--map-size", "64M"], folder=os.path.join(disk.path, "data"))
    client = server.client()
    acknowledged = []
    fill(os.path.join(disk.path, "ballast"), 2 << 20)
    try:
        for i in range(20000):
            name = f"i-{i}"
            client.RegisterInstance(name=name, environment="production", labels={"pad": "x" * 60}, wait_for_ready=False)
            acknowledged.append(name)
    except harness.Refused as refused:
        assert refused.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED), refused
    assert 0 < len(acknowledged) < 20000
    os.unlink(os.path.join(disk.path, "ballast"))
    if server.program.running:  # it may have found the disk full before a commit did
        assert server.stop() in (0, 3)
    else:
        assert server.program.wait(60) == 3
    server.program.end()
    server.verify()
    server.start()
    client = server.client()
    names, token = set(), ""
    while True:
        answer = client.ListInstances(page={"page_size": 1000, "page_token": token})
        names.update(instance.name for instance in answer.instances)
        token = answer.page.next_page_token
        if not token:
            break
    assert set(acknowledged) <= names
    client.RegisterInstance(name="again", environment="production")


def test_a_mirror_without_space_owes_and_waits_and_is_whole_when_there_is_some(world):
    """The server's mirrors on a disk of their own: what needs Git waits and says why; all of it is done once, in order, afterwards."""
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"}, "by hand")
    folder = world.path("server")
    disk = world.add(SmallDisk(os.path.join(folder, "mirrors"), 12))
    server = world.server(folder=folder)
    client = server.client()
    client.CreateRepository(name="apps", url=world.git_host("git").url(repository))
    client.CreateApp(name="shop", repository="apps")
    harness.wait_content(client, "shop", "v1")
    harness.until(lambda: not client.ListOwed(repository="apps").items, 60, "an empty outbox")
    upload = client.UploadContent(app="shop", data=harness.archive({"index.html": "pushed\n"}), last=True).upload
    repository.commit({"apps/shop/big.txt": os.urandom(3 << 20).hex()}, "big")  # 6 MiB that do not compress well
    ballast = os.path.join(disk.path, "ballast")
    fill(ballast, 64 << 10)
    client.CreateVersion(app="shop", name="v2")
    client.PushVersion(app="shop", version="v1", upload=upload, message="more")
    items = harness.until(lambda: [i for i in client.ListOwed(repository="apps").items if i.attempts], 60, "an attempt")
    assert {(i.failure, i.parked) for i in items} == {("DISK_FULL", False)}
    assert client.GetVersion(app="shop", version="v2").version.content.state != 2  # READY
    client.RegisterInstance(name="dev-1", environment="development")  # the store has room
    os.unlink(ballast)
    client.RefreshRepository(repository="apps")
    harness.until(lambda: not client.ListOwed(repository="apps").items, 90, "an empty outbox")
    assert harness.wait_content(client, "shop", "v2", timeout=90).files == 2
    harness.wait_content(client, "shop", "v1", timeout=90)
    assert repository.log() == ["by hand", "App shop created", "big", "Version v2 of shop created", "Version v1 of shop : more"]
    assert repository.show("apps/shop/index.html") == "pushed"
    server.stop()
    server.verify()


def test_an_agent_without_space_keeps_serving_and_goes_on_when_there_is_some(world):
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"})
    host = world.git_host("git")
    server = world.server()
    client = server.client()
    client.RegisterInstance(name="dev-1", environment="development")
    disk = world.add(SmallDisk(world.path("agent-dev-1"), 12))
    agent = world.agent(server, "dev-1", ["--disk-reserve", "1M"])
    client.CreateApp(name="shop", repository_url=host.url(repository))
    harness.until(lambda: agent.serves("shop") == {"index.html": "one\n"}, 60, "v1")
    big = os.urandom(10 << 20).hex()  # 20 MiB that do not compress well
    repository.commit({"apps/shop/big.txt": big, "apps/shop/index.html": "two\n"})
    client.CreateVersion(app="shop", name="v2")
    harness.wait_content(client, "shop", "v2")

    def stuck():
        instances = client.GetStatus(app="shop", environment="development", with_instances=True).instances
        return instances and instances[0].error_class == 1 and "disk" in (instances[0].error + " space").lower() and instances[0].error

    harness.until(stuck, 60, "an error about the disk")
    assert agent.serves("shop") == {"index.html": "one\n"}
    disk.resize(200)
    harness.until(lambda: agent.serves("shop")["index.html"] == "two\n", 90, "v2")

"""A company with three isolated instances, over ssh and over https: built and pushed in development, tested in staging, mended, released, and rolled
back with the Git host down."""
import os

import harness
import pytest
from login_hosts import SshHost
from test_credentials import World, tls_host


@pytest.fixture
def world(services, tmp_path):
    made = World(services, str(tmp_path))
    yield made
    made.end()


def ssh_host(world):
    host = world.add(SshHost(world.path("ssh")))
    world.cli("repo", "add", "apps", host.url(world.repository), "--known-hosts", host.known_hosts)
    host.allow(world.cli("repo", "keygen", "apps", "--push").strip())
    host.allow(world.cli("repo", "keygen", "apps", "--pull").strip(), write=False)
    return host


def build(world, version, text):
    """Somebody works in development: what is edited there is pushed, and becomes the version's."""
    version_id = world.admin.GetVersion(app="shop", version=version).version.id
    copy, page = world.path("dev-1/apps/shop/work"), world.path("dev-1/apps/shop/work/index.html")
    harness.until(lambda: any(s.working_copy.version_id == version_id and not s.working_copy.behind
                              for s in world.admin.GetStatus(app="shop", with_instances=True).instances), 60, f"a working copy of {version}")
    with open(page, "w", encoding="ascii") as file:
        file.write(text)
    world.cli("push", "shop", "-m", f"what {version} is", "--instance", "dev-1")
    world.wait_page(text, "dev-1")
    assert os.path.isdir(copy) and world.repository.show("apps/shop/index.html") == text


def pull(world, version, text, before):
    """Staging is told of the update, looks at what it brings, and takes it when it is ready to test."""
    told = lambda: [i for i in world.admin.GetStatus(app="shop", with_instances=True).instances if i.instance == "stage-1" and i.update.name == version]
    harness.until(told, 60, f"{version} waiting for a pull")
    page = world.path("stage-1/apps/shop/current/index.html")
    assert (open(page, encoding="ascii").read() if os.path.exists(page) else None) == before  # nothing came by itself
    said = world.cli("updates", "stage-1", "shop")
    assert version in said and f"what {version} is" in said
    world.cli("pull", "stage-1", "shop", "--wait")
    world.wait_page(text, "stage-1")
    assert version not in world.cli("updates", "stage-1")


@pytest.mark.parametrize("scheme", ["ssh", "https"])
def test_from_an_edit_in_development_to_users_and_back(world, scheme):
    host = ssh_host(world) if scheme == "ssh" else tls_host(world)
    for name, environment in (("dev-1", "development"), ("stage-1", "staging"), ("prod-1", "production")):
        world.agent(name, environment)
    world.cli("instance", "set", "stage-1", "--pull", "manual")
    world.admin.UpdateInstance(instance="prod-1", public_url="https://shop.example.org")
    world.admin.CreateApp(name="shop", repository="apps")
    harness.wait_content(world.admin, "shop", "v1")
    build(world, "v1", "with a fault")
    # Staging tests it, and finds a fault: production never sees it.
    world.cli("promote", "shop", "v1", "--to", "staging", "--yes")
    pull(world, "v1", "with a fault", None)
    world.admin.NoteVersion(app="shop", version="v1", text="the cart is empty")
    # A new version is made from it, mended in development, and goes all the way.
    world.admin.CreateVersion(app="shop", name="v2", **{"from": "v1"})
    harness.wait_content(world.admin, "shop", "v2")
    build(world, "v2", "mended")
    assert not os.path.exists(world.path("prod-1/apps/shop/current"))
    world.cli("promote", "shop", "v2", "--to", "staging", "--yes")
    pull(world, "v2", "mended", "with a fault")
    world.cli("wait", "shop", "v2", "--published")
    world.cli("promote", "shop", "v2", "--to", "production", "--yes")
    released = world.admin.Release(app="shop", version="v2")
    assert list(released.reach.share_urls) == ["https://shop.example.org/shop"]
    world.wait_page("mended", "prod-1")
    # Another one, which turns out worse. The Git host is down, and nobody needs it.
    world.admin.CreateVersion(app="shop", name="v3", **{"from": "v2"})
    harness.wait_content(world.admin, "shop", "v3")
    build(world, "v3", "worse")
    world.cli("promote", "shop", "v3", "--to", "staging", "--yes")
    world.cli("wait", "shop", "v3", "--published")
    world.cli("promote", "shop", "v3", "--to", "production", "--yes")
    world.admin.Release(app="shop", version="v3")
    world.wait_page("worse", "prod-1")
    host.end()
    world.cli("rollback", "shop", "--yes", "--wait")
    world.wait_page("mended", "prod-1")
    assert world.admin.GetStatus(app="shop").apps[0].released.name == "v2"
    # What they all did is in Git, by who did it.
    lines = world.repository.log("%s|%an|%cn")
    assert [line for line in lines if "what v" in line] == [f"Version v{n} of shop : what v{n} is|admin|sluice" for n in (1, 2, 3)]
    assert world.server.stop() == 0
    world.server.verify()

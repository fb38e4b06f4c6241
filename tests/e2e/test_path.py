"""The whole path: an app in Git, made, promoted, released, changed, released again, rolled back, over every kind of Git host."""
import pytest
import harness

V1 = {"apps/shop/index.html": "<h1>one</h1>\n", "apps/shop/css/site.css": "h1 { color: red }\n", "README.md": "not in the bundle\n"}


@pytest.mark.parametrize("scheme", ["file", "git", "http"])
def test_from_development_to_production_and_back(world, scheme):
    repository = world.repository()
    host = world.git_host(scheme)
    repository.commit(V1)
    server = world.server()
    client = server.client()
    for name, environment in (("dev-1", "development"), ("stage-1", "staging"), ("prod-1", "production"), ("prod-2", "production")):
        client.RegisterInstance(name=name, environment=environment, public_url=f"http://{name}.example.org")
    agents = {name: world.agent(server, name) for name in ("dev-1", "stage-1", "prod-1", "prod-2")}

    app = client.CreateApp(name="shop", repository_url=host.url(repository))
    assert (app.app.slug, app.version.name, app.version.environment) == ("shop", "v1", "development")
    content = harness.wait_content(client, "shop", "v1")
    assert content.files == 2 and len(content.digest) == 32
    harness.until(lambda: agents["dev-1"].serves("shop") == {"index.html": "<h1>one</h1>\n", "css/site.css": "h1 { color: red }\n"}, 60, "dev-1")
    assert agents["stage-1"].serves("shop") is None

    promoted = client.Promote(app="shop", version="v1", **{"from": "development"})
    assert promoted.version.state == 2 and promoted.version.environment == "staging"
    harness.until(lambda: (agents["stage-1"].serves("shop") or {}).get("index.html") == "<h1>one</h1>\n", 60, "stage-1")
    harness.wait_published(client, "shop", "v1")
    tags = [ref for ref in repository.refs() if ref.startswith("refs/tags/sluice/shop/v1-")]
    assert len(tags) == 1
    assert harness.git("rev-list", "--count", tags[0], cwd=repository.bare) == "1"  # parentless

    client.Promote(app="shop", version="v1", **{"from": "staging"})
    waited = client.WaitFor(condition=2, app="shop", version="v1", environment="production", timeout_ms=40000, timeout=50)
    assert waited.done and waited.ok == 2
    assert agents["prod-1"].serves("shop") is None  # promoted is not released

    released = client.Release(app="shop", version="v1")
    assert sorted(released.reach.share_urls) == ["http://prod-1.example.org/shop", "http://prod-2.example.org/shop"]
    waited = client.WaitFor(condition=1, app="shop", environment="production", timeout_ms=40000, timeout=50)
    assert waited.done and waited.ok == 2
    for name in ("prod-1", "prod-2"):
        assert agents[name].serves("shop")["index.html"] == "<h1>one</h1>\n"

    repository.commit({"apps/shop/index.html": "<h1>two</h1>\n"})
    client.CreateVersion(app="shop", name="v2")
    harness.wait_content(client, "shop", "v2")
    harness.until(lambda: agents["dev-1"].serves("shop")["index.html"] == "<h1>two</h1>\n", 60, "dev-1 on v2")
    client.Promote(app="shop", version="v2", **{"from": "development"})
    harness.wait_published(client, "shop", "v2")
    client.Promote(app="shop", version="v2", **{"from": "staging"})
    assert client.WaitFor(condition=2, app="shop", version="v2", environment="production", timeout_ms=40000, timeout=50).done
    client.Release(app="shop", version="v2")
    assert client.WaitFor(condition=1, app="shop", environment="production", timeout_ms=40000, timeout=50).done
    assert agents["prod-1"].serves("shop")["index.html"] == "<h1>two</h1>\n"

    host.stop()  # release and rollback need no Git
    back = client.Rollback(app="shop")
    assert back.release.version.name == "v1"
    assert client.WaitFor(condition=1, app="shop", environment="production", timeout_ms=20000, timeout=30).done
    assert agents["prod-2"].serves("shop")["index.html"] == "<h1>one</h1>\n"

    history = client.ListReleaseHistory(app="shop").changes
    assert [(c.kind, c.to.name) for c in history] == [(3, "v1"), (1, "v2"), (1, "v1")]
    assert [(p.version.name, p.to) for p in client.ListPromotions(app="shop").promotions] == [
        ("v2", "production"), ("v2", "staging"), ("v1", "production"), ("v1", "staging")]
    client.WithdrawRelease(app="shop")
    harness.until(lambda: agents["prod-1"].serves("shop") is None, 60, "withdrawn")
    assert server.stop() == 0
    server.verify()

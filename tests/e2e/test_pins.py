"""Pins and recalls as instances feel them: what is selected, pinned, recalled is what agents serve."""
import grpc
import pytest
import harness


def page(number):
    return f"<h1>{number}</h1>\n"


@pytest.fixture
def fleet(world):
    """App `shop` with v1 and v2 READY in development, and two development instances and a production one with agents."""
    repository = world.repository()
    server = world.server()
    client = server.client()
    for name, environment in (("dev-1", "development"), ("dev-2", "development"), ("prod-1", "production")):
        client.RegisterInstance(name=name, environment=environment)
    agents = {name: world.agent(server, name) for name in ("dev-1", "dev-2", "prod-1")}
    repository.commit({"apps/shop/index.html": page(1)})
    client.CreateApp(name="shop", repository_url=world.git_host().url(repository))
    harness.wait_content(client, "shop", "v1")
    repository.commit({"apps/shop/index.html": page(2)})
    client.CreateVersion(app="shop", name="v2")
    harness.wait_content(client, "shop", "v2")
    return client, agents, server


def serves(agents, name, number):
    wanted = None if number is None else page(number)
    harness.until(lambda: (agents[name].serves("shop") or {}).get("index.html") == wanted, 60, f"{name} serves {number}")


def produce(client, version):
    client.Promote(app="shop", version=version, **{"from": "development"})
    harness.wait_published(client, "shop", version)
    client.Promote(app="shop", version=version, **{"from": "staging"})
    client.Release(app="shop", version=version)


def test_pins_of_an_environment_and_of_one_instance(fleet):
    client, agents, server = fleet
    serves(agents, "dev-1", 2)
    serves(agents, "dev-2", 2)
    pin = client.SelectVersion(app="shop", version="v1", environment="development").selection
    assert pin.in_force and pin.instance == ""
    serves(agents, "dev-1", 1)
    serves(agents, "dev-2", 1)
    client.SelectVersion(app="shop", version="v2", environment="development", instance="dev-2")
    serves(agents, "dev-2", 2)
    assert agents["dev-1"].serves("shop")["index.html"] == page(1)
    pins = client.ListSelections(app="shop").selections
    assert [(p.instance, p.version.name, p.in_force) for p in pins] == [("", "v1", True), ("dev-2", "v2", True)]

    # Leaving the environment for the next one changes nothing in it.
    client.Promote(app="shop", version="v1", **{"from": "development"})
    assert client.ClearSelection(app="shop", environment="development").selected.name == "v2"
    serves(agents, "dev-1", 2)
    for environment, version in (("production", "v1"), ("staging", "v2")):
        with pytest.raises(harness.Refused) as refused:
            client.SelectVersion(app="shop", version=version, environment=environment)
        assert refused.value.code == grpc.StatusCode.FAILED_PRECONDITION
    assert server.stop() == 0
    server.verify()


def test_a_pin_is_named_by_the_plan_and_the_promotion_that_it_defeats(fleet):
    client, _, _ = fleet
    client.Promote(app="shop", version="v1", **{"from": "development"})
    harness.wait_published(client, "shop", "v1")
    client.SelectVersion(app="shop", version="v1", environment="staging")
    plan = client.Plan(action=1, app="shop", version="v2").plan
    assert (plan.allowed, plan.pinned.name, plan.current.name) == (True, "v1", "v1")
    promoted = client.Promote(app="shop", version="v2", plan_hash=plan.plan_hash, **{"from": "development"})
    assert promoted.pinned.name == "v1"


def test_a_pin_of_one_instance_is_named_too(fleet):
    client, _, _ = fleet
    client.Promote(app="shop", version="v1", **{"from": "development"})
    harness.wait_published(client, "shop", "v1")
    instance = "staging-1"
    client.RegisterInstance(name=instance, environment="staging")
    client.SelectVersion(app="shop", version="v1", environment="staging", instance=instance)
    plan = client.Plan(action=1, app="shop", version="v2").plan
    assert not plan.HasField("pinned")
    assert [(pin.instance, pin.version.name) for pin in plan.pinned_instances] == [(instance, "v1")]
    promoted = client.Promote(app="shop", version="v2", plan_hash=plan.plan_hash, **{"from": "development"})
    assert [pin.instance for pin in promoted.pinned_instances] == [instance]


def test_a_recall_takes_the_released_version_from_its_instances(fleet):
    client, agents, server = fleet
    produce(client, "v1")
    serves(agents, "prod-1", 1)
    produce(client, "v2")
    serves(agents, "prod-1", 2)
    with pytest.raises(harness.Refused) as refused:
        client.BlockVersion(app="shop", version="v2", mode=2, write={"reason": "loses orders"})
    assert refused.value.reason == "RELEASED_NEEDS_DECISION"
    blocked = client.BlockVersion(app="shop", version="v2", mode=2, rollback_to="previous", write={"reason": "loses orders"})
    assert blocked.released.name == "v1"
    serves(agents, "prod-1", 1)
    serves(agents, "dev-1", 1)  # ineligible everywhere
    with pytest.raises(harness.Refused) as refused:
        client.Release(app="shop", version="v2")
    assert refused.value.reason == "GATE_BLOCKED"
    client.UnblockVersion(app="shop", version="v2")
    serves(agents, "dev-1", 2)
    assert agents["prod-1"].serves("shop")["index.html"] == page(1)  # nobody released it again
    history = client.ListReleaseHistory(app="shop").changes
    assert [(c.kind, c.to.name) for c in history] == [(3, "v1"), (1, "v2"), (1, "v1")]
    assert server.stop() == 0
    server.verify()

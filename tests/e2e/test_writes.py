"""Every write: two at once, stale expectations, request ids over a restart, validate_only, refusals that leave nothing."""
import threading

import grpc
import pytest
import harness


@pytest.fixture
def shop(world):
    """A server with app `shop` whose v1 is READY."""
    return world.shop()[:3]


def test_of_two_promotes_at_once_exactly_one_wins(shop):
    server, client, _ = shop
    for round_number in range(10):
        name = f"r{round_number}"
        client.CreateVersion(app="shop", name=name, **{"from": "v1"})
        harness.wait_content(client, "shop", name)
        outcomes, lock, start = [], threading.Lock(), threading.Barrier(4)

        def promote():
            own = server.client()
            start.wait()
            try:
                own.Promote(app="shop", version=name, **{"from": "development"})
                outcome = "won"
            except harness.Refused as refused:
                outcome = refused.reason
            with lock:
                outcomes.append(outcome)

        threads = [threading.Thread(target=promote) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["STALE_EXPECTATION"] * 3 + ["won"]
        promotions = [p for p in client.ListPromotions(app="shop").promotions if p.version.name == name]
        assert len(promotions) == 1


def test_stale_expectations_are_aborted_and_name_what_is(shop):
    _, client, _ = shop
    with pytest.raises(harness.Refused) as refused:
        client.Promote(app="shop", version="v1", **{"from": "staging"})
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.ABORTED, "STALE_EXPECTATION")
    revision = client.GetApp(app="shop").app.revision
    with pytest.raises(harness.Refused) as refused:
        client.RenameApp(app="shop", new_name="store", write={"expected_revision": revision + 1000})
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.ABORTED, "STALE_REVISION")
    assert refused.value.metadata["current_revision"] == str(revision)
    plan = client.Plan(action=1, app="shop", version="v1").plan
    client.CreateVersion(app="shop", name="v2", **{"from": "v1"})
    harness.wait_content(client, "shop", "v2")
    with pytest.raises(harness.Refused) as refused:
        client.Promote(app="shop", version="v2", plan_hash=plan.plan_hash, **{"from": "development"})
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.ABORTED, "STALE_PLAN")
    client.Promote(app="shop", version="v1", plan_hash=plan.plan_hash, **{"from": "development"})


def test_a_request_id_takes_effect_once_also_over_a_restart(shop):
    server, client, _ = shop
    write = {"request_id": "bot-1-promote", "reason": "it is good"}
    first = client.Promote(app="shop", version="v1", write=write, **{"from": "development"})
    again = client.Promote(app="shop", version="v1", write=write, **{"from": "development"})
    assert not first.result.replayed and again.result.replayed
    assert again.promotion == first.promotion and again.result.revision == first.result.revision
    server.kill()
    server.start()
    client = server.client()
    after = client.Promote(app="shop", version="v1", write=write, **{"from": "development"})
    assert after.result.replayed and after.promotion == first.promotion
    with pytest.raises(harness.Refused) as refused:
        client.Promote(app="shop", version="v1", write=write, **{"from": "staging"})
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert len(client.ListPromotions(app="shop").promotions) == 1


def test_a_refusal_is_not_kept(shop):
    _, client, repository = shop
    write = {"request_id": "later"}
    client.BlockVersion(app="shop", version="v1", mode=1)
    for _ in range(2):
        with pytest.raises(harness.Refused) as refused:
            client.Promote(app="shop", version="v1", write=write, **{"from": "development"})
        assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GATE_BLOCKED")
        assert [gate[1] for gate in refused.value.gates] != []
    client.UnblockVersion(app="shop", version="v1")
    done = client.Promote(app="shop", version="v1", write=write, **{"from": "development"})
    assert not done.result.replayed


def test_validate_only_writes_nothing(shop):
    _, client, _ = shop
    before = client.GetStats().revision
    answer = client.Promote(app="shop", version="v1", write={"validate_only": True, "request_id": "dry"}, **{"from": "development"})
    assert answer.version.environment == "staging" and answer.result.revision == 0
    assert client.GetStats().revision == before
    assert client.GetVersion(app="shop", version="v1").version.environment == "development"
    real = client.Promote(app="shop", version="v1", write={"request_id": "dry"}, **{"from": "development"})
    assert not real.result.replayed and real.result.revision > before


def test_lists_page_and_say_their_revision(world):
    server = world.server(["--page-max", "7"])
    client = server.client()
    for i in range(20):
        client.RegisterInstance(name=f"i-{i:02}", environment="production", labels={"n": str(i % 2)})
    names, token, pages = [], "", 0
    while True:
        answer = client.ListInstances(page={"page_size": 6, "page_token": token})
        names += [instance.name for instance in answer.instances]
        assert answer.page.revision > 0
        token, pages = answer.page.next_page_token, pages + 1
        if not token:
            break
    assert names == [f"i-{i:02}" for i in range(20)] and pages == 4
    assert len(client.ListInstances(page={"page_size": 1000}).instances) == 7
    assert len(client.ListInstances(labels={"n": "1"}, page={"page_size": 5}).instances) == 5
    first = client.ListInstances(page={"page_size": 6}).page.next_page_token
    for other in ({"environment": "production", "page": {"page_token": first}}, {"page": {"page_token": "nonsense"}}):
        with pytest.raises(harness.Refused) as refused:
            client.ListInstances(**other)
        assert refused.value.reason == "PAGE_TOKEN_INVALID" and refused.value.fields == ["page.page_token"]


def test_malformed_requests_name_field_and_rule(world):
    client = world.server().client()
    for method, fields, field in (
        ("CreateWorkspace", {"name": "No Spaces"}, "name"),
        ("CreateWorkspace", {"name": "a" * 51}, "name"),
        ("CreateWorkspace", {"name": "fine", "write": {"request_id": "a b"}}, "write.request_id"),
        ("CreateWorkspace", {"name": "fine", "write": {"expected_revision": 3}}, "write.expected_revision"),
        ("RegisterInstance", {"name": "x-", "environment": "production"}, "name"),
        ("ListWorkspaces", {"page": {"page_size": -1}}, "page.page_size"),
    ):
        with pytest.raises(harness.Refused) as refused:
            getattr(client, method)(**fields)
        assert refused.value.code == grpc.StatusCode.INVALID_ARGUMENT and refused.value.fields == [field], (method, refused.value)
    with pytest.raises(harness.Refused) as refused:
        client.GetApp(app="ghost")
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.NOT_FOUND, "APP_NOT_FOUND")
    with pytest.raises(harness.Refused) as refused:
        client.ListApps(workspace="nowhere")
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.NOT_FOUND, "WORKSPACE_NOT_FOUND")


def test_workspaces_are_apart(world):
    client = world.server().client()
    client.CreateWorkspace(name="team-a")
    client.RegisterInstance(workspace="team-a", name="one", environment="staging")
    assert [i.name for i in client.ListInstances(workspace="team-a").instances] == ["one"]
    assert list(client.ListInstances().instances) == []
    with pytest.raises(harness.Refused) as refused:
        client.DeleteWorkspace(workspace="team-a")
    assert refused.value.reason == "WORKSPACE_IN_USE"
    client.RemoveInstance(workspace="team-a", instance="one")
    client.DeleteWorkspace(workspace="team-a")
    assert [w.name for w in client.ListWorkspaces().workspaces] == ["default"]

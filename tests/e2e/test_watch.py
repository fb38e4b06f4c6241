"""Watch: every change, in order, each once, whole, resumable, over restarts; floor, head and slow readers."""
import threading

import grpc
import pytest
import harness


def changes_of(stream, count):
    """The first `count` changes, flat."""
    found = []
    for response in stream:
        found += list(response.changes)
        if len(found) >= count:
            break
    return found


def error_of(stream):
    with pytest.raises(grpc.RpcError) as error:
        for _ in stream:
            pass
    return harness.Refused(error.value)


def make_instances(client, count, start=0):
    return [client.RegisterInstance(name=f"i-{i:04}", environment="production").result.revision for i in range(start, start + count)]


def test_past_then_live_in_order_each_once(world):
    server = world.server()
    client = server.client()
    base = client.GetStats().revision
    past = make_instances(client, 50)
    stream = client.watch(from_revision=base)
    writer = threading.Thread(target=make_instances, args=(server.client(), 50, 50))
    writer.start()
    seen = changes_of(stream, 100)
    writer.join()
    stream.cancel()
    assert [c.revision for c in seen[:50]] == past
    revisions = [c.revision for c in seen]
    assert revisions == sorted(set(revisions)) and len(revisions) == 100
    assert [c.events[0].instance.name for c in seen] == [f"i-{i:04}" for i in range(100)]
    assert all(c.method == "RegisterInstance" and c.by == "anonymous" for c in seen)


def test_resumes_over_a_restart(world):
    server = world.server()
    client = server.client()
    base = client.GetStats().revision
    make_instances(client, 10)
    seen = changes_of(client.watch(from_revision=base), 10)[:4]
    server.kill()
    server.start()
    client = server.client()
    make_instances(client, 5, 10)
    rest = changes_of(client.watch(from_revision=seen[-1].revision), 11)
    assert [c.events[0].instance.name for c in seen + rest] == [f"i-{i:04}" for i in range(15)]


def test_filters_and_marks(world):
    client = world.server().client()
    base = client.GetStats().revision
    client.CreateWorkspace(name="other")
    client.RegisterInstance(workspace="other", name="foreign", environment="staging")
    client.RegisterInstance(name="a", environment="staging")
    client.RegisterInstance(name="b", environment="production")
    head = client.UpdateInstance(instance="a", labels={"x": "y"}).result.revision
    for fields, names in (
        ({}, ["a", "b", "a"]),
        ({"environment": "staging"}, ["a", "a"]),
        ({"instance": "b"}, ["b"]),
        ({"kinds": [3]}, []),
        ({"kinds": [9]}, ["a", "b", "a"]),
        ({"workspace": "other", "kinds": [9]}, ["foreign"]),
    ):
        stream = client.watch(from_revision=base, **fields)
        seen, last = [], 0
        for response in stream:
            seen += [event.instance.name for change in response.changes for event in change.events if event.HasField("instance")]
            last = response.revision
            if last >= head:
                break
        stream.cancel()
        assert seen == names, fields


def test_below_the_floor_and_above_the_head_are_out_of_range(world):
    client = world.server().client()
    make_instances(client, 10)
    head = client.GetStats().revision
    refused = error_of(client.watch(from_revision=head + 5))
    assert (refused.code, refused.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_AHEAD")
    assert refused.metadata == {"floor": "0", "head": str(head)}
    floor = client.Compact(revision=head - 3).floor
    head = client.GetStats().revision
    refused = error_of(client.watch(from_revision=floor - 1))
    assert (refused.code, refused.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")
    assert refused.metadata == {"floor": str(floor), "head": str(head)}
    assert len(changes_of(client.watch(from_revision=floor), 3)) == 3
    assert client.Compact(revision=floor - 2).floor == floor
    harness.until(lambda: client.GetStats().log_records <= 8, 60, "pruning")


def test_history_survives_compaction(world):
    server, client, _, _ = world.shop()
    client.Promote(app="shop", version="v1", **{"from": "development"})
    harness.wait_published(client, "shop", "v1")
    client.Promote(app="shop", version="v1", **{"from": "staging"})
    client.Release(app="shop", version="v1")
    client.Compact()
    harness.until(lambda: client.GetStats().log_records <= 6, 60, "pruning")
    assert [p.to for p in client.ListPromotions(app="shop").promotions] == ["production", "staging"]
    assert len(client.ListReleaseHistory(app="shop").changes) == 1
    assert server.stop() == 0
    server.verify()


def test_a_watcher_that_never_reads_is_ended_and_loses_nothing(world):
    server = world.server()
    client = server.client()
    base = client.GetStats().revision
    # A reader whose own gRPC takes no more than the smallest window of HTTP/2 on its behalf.
    reader = server.client([("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65535)])
    stream = reader.watch(from_revision=0)
    next(iter(stream))  # open, and then it never reads again
    for start in range(0, 4000, 500):
        workers = [threading.Thread(target=make_instances, args=(server.client(), 125, start + 125 * i)) for i in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    harness.until(lambda: client.GetStats().watchers == 0, 60, "the slow watcher's end")
    seen = set(c.events[0].instance.name for c in changes_of(client.watch(from_revision=base), 4000))
    assert len(seen) == 4000


def test_streams_end_with_unavailable_when_the_server_stops(world):
    server = world.server()
    client = server.client()
    stream = client.watch(from_revision=0)
    next(iter(stream))
    outcome = []
    reader = threading.Thread(target=lambda: outcome.append(error_of(stream)))
    reader.start()
    assert server.stop(5) == 0
    reader.join(60)
    assert (outcome[0].code, outcome[0].reason) == (grpc.StatusCode.UNAVAILABLE, "STOPPING")

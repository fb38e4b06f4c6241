"""Agents take turns at a Git host: no more fetch from it at once than the server lets, and all get what they are told to have."""
import os
import socket

import pytest
import harness

AGENTS = 6


def fetching(server):
    return server.metric("sluice_agents_fetching"), server.metric("sluice_agents_waiting_to_fetch")


def test_no_more_than_the_bound_at_once(world):
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n", "apps/shop/big.bin": os.urandom(400_000).hex()})
    host = world.git_host("git")
    server = world.server(["--fetches-per-host", "1"])
    client = server.client()
    client.CreateApp(name="shop", repository_url=host.url(repository))
    harness.wait_content(client, "shop", "v1")
    host.stop()
    silent = socket.create_server(("127.0.0.1", host.port))  # takes connections and says nothing: who has the turn keeps it
    agents = []
    for number in range(AGENTS):
        client.RegisterInstance(name=f"dev-{number}", environment="development")
        agents.append(world.agent(server, f"dev-{number}"))
    harness.until(lambda: fetching(server) == (1, AGENTS - 1), what="one that fetches, and all others wait")
    silent.close()
    host.start()
    seen = set()

    def all_serve():
        seen.add(fetching(server)[0])
        return all((agent.serves("shop") or {}).get("index.html") == "one\n" for agent in agents)

    harness.until(all_serve, 120, "all serve it")
    harness.until(lambda: fetching(server) == (0, 0), what="no turn is left over")
    assert max(seen) <= 1, seen


def test_who_holds_the_turn_and_dies_holds_up_nobody(world):
    server, client, _, host = world.shop("git", ["--fetches-per-host", "1"])
    host.stop()
    silent = socket.create_server(("127.0.0.1", host.port))  # takes connections and says nothing: the first agent's fetch stalls
    agents = []
    for number in range(2):
        client.RegisterInstance(name=f"dev-{number}", environment="development")
        agents.append(world.agent(server, f"dev-{number}"))
        harness.until(lambda: fetching(server)[0] == 1, 60, "somebody's turn")
    harness.until(lambda: fetching(server) == (1, 1), 60, "the second one waits")
    silent.close()
    host.start()
    agents[0].kill()
    harness.until(lambda: (agents[1].serves("shop") or {}).get("index.html") == "one\n", 60, "the second one serves it")
    assert fetching(server)[1] == 0


@pytest.mark.parametrize("bound", ["0", "1"])
def test_a_server_that_is_gone_holds_up_nobody(world, bound):
    """What the manifest named is fetched without a server, whether it gave turns or not."""
    server, client, _, host = world.shop("git", ["--fetches-per-host", bound])
    client.RegisterInstance(name="dev-1", environment="development")
    host.stop()
    agent = world.agent(server, "dev-1")
    harness.until(lambda: client.GetStatus(app="shop", with_instances=True).instances[0].error, 60, "it tried")
    server.kill()
    host.start()
    harness.until(lambda: (agent.serves("shop") or {}).get("index.html") == "one\n", 90, "served")

"""A big bundle whose connection is cut: each try goes on from the last whole part, and people see one number that grows."""
import json
import os
import subprocess
import sys

import harness
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault", "lib"))
from proxy import Proxy  # noqa: E402

MIB = 1 << 20
FILES, FILE_BYTES = 24, 4 * MIB  # in parts of 32 MiB: 8 files each, 3 parts
PARTS = 3
CUTS = (48 * MIB, 96 * MIB)  # in the middle of the second part, and, from its begin on, of the third
PATIENCE_S = 240


def write_big(repository):
    """96 MiB of noise; returns {path: content}."""
    for folder in (repository.work, repository.bare):
        harness.git("config", "core.compression", "0", cwd=folder)  # trying takes long
        harness.git("config", "pack.window", "0", cwd=folder)
    os.makedirs(os.path.join(repository.work, "apps/shop/data"))
    written = {}
    for number in range(FILES):
        path = f"data/{number:02}.bin"
        written[path] = os.urandom(FILE_BYTES)
        with open(os.path.join(repository.work, "apps/shop", path), "wb") as file:
            file.write(written[path])
    repository.commit({})
    return written


def percent(agent):
    done = subprocess.run([agent.binary, "status", "--state", agent.folder, "-o", "json"], capture_output=True, text=True, timeout=60)
    rows = json.loads(done.stdout).get("apps", []) if done.returncode == 0 else []
    return max((row.get("percent", 0) for row in rows), default=0)


def assert_serves(agent, written):
    top = os.path.realpath(agent.current("shop"))
    for path, data in written.items():
        with open(os.path.join(top, path), "rb") as file:
            assert file.read() == data, path


@pytest.mark.parametrize("scheme", ["git", "http"])
def test_a_cut_connection_costs_a_part_and_not_the_bundle(world, scheme):
    repository = world.repository()
    written = write_big(repository)
    host = world.git_host(scheme)
    proxy = world.add(Proxy(host.port))
    server = world.server(["--heartbeat", "500ms"])
    client = server.client()
    client.RegisterInstance(name="stg-1", environment="staging")
    client.CreateApp(name="shop", repository_url=f"{scheme}://127.0.0.1:{proxy.port}/apps.git")
    harness.wait_content(client, "shop", "v1", timeout=PATIENCE_S)
    client.Promote(app="shop", version="v1", **{"from": "development"})
    harness.wait_published(client, "shop", "v1", PATIENCE_S)
    assert len([ref for ref in repository.refs() if f"-of-{PARTS:02}" in ref]) == PARTS
    begin = proxy.bytes_down
    proxy.hold_from = begin + CUTS[0]
    agent = world.agent(server, "stg-1")
    for attempt, cut, following, whole_parts in ((1, CUTS[0], CUTS[1], 1), (2, CUTS[1], None, 2)):
        harness.until(lambda: proxy.bytes_down >= begin + cut, PATIENCE_S, "most of it")
        harness.until(lambda: percent(agent) >= 100 * whole_parts // PARTS, 60, "progress over all parts")
        proxy.hold_from = None if following is None else begin + following
        proxy.reset()
        agent.program.wait_line(rf"pull-failed .*attempt={attempt} .*REPOSITORY_UNREACHABLE", 60)
    harness.until(lambda: os.path.isdir(agent.current("shop")), PATIENCE_S, "it is served")
    assert_serves(agent, written)
    # Each byte about once: two tries that were cut, and of each at most the part that was on its way.
    size = FILES * FILE_BYTES
    assert size < proxy.bytes_down - begin < size * 1.5, proxy.bytes_down - begin

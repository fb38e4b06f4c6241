"""The server dies at each step of its work for Git, at named places (base/failpoint): exactly one commit per operation."""
import os
import re
import signal
from collections import Counter

import harness
import pytest

SLUICED = os.path.join(harness.ROOT, "tests/fault/sluiced_failpoints")
DEAD = -9
READY, SEALED, PUBLISHED = 2, 2, 3
FORM = "%s|%(trailers:key=Sluice-Operation,valueonly,separator=%x2C)"


def serve_until_struck(server, failpoint):
    """Ends killed, or stopped when nothing is owed any more and the place was not passed that often; says whether it was struck."""
    server.binary, server.env = SLUICED, {"SL_FAILPOINT": failpoint}
    try:
        server.start()
    except AssertionError:
        assert not server.program.running, server.program.lines
    else:
        client = server.client()
        try:
            harness.until(lambda: not server.program.running or not owed(client), 60, "the end of the server, or of its work")
        except harness.Refused:
            pass  # it was struck while it was asked
    server.program.kill(signal.SIGTERM)  # unless it was struck, or is about to be
    code = server.program.wait(60)
    server.program.end()
    struck = any(line.startswith("failpoint name=") for line in server.program.lines)
    assert code == (DEAD if struck else 0)
    server.binary, server.env = harness.SLUICED, None
    return struck


def owed(client):
    """Commits, tags and looks that are not done."""
    waiting = list(client.ListOwed(repository="apps").items)
    versions = client.ListVersions(app="shop").versions
    return waiting or [v for v in versions if v.content.state != READY or (v.state == SEALED and v.publication.state != PUBLISHED)]


@pytest.mark.parametrize("scheme", ["git", "file"])
@pytest.mark.parametrize("place", ["git-begin", "git-done", "git-recorded"])
def test_killed_at_each_step_there_is_one_commit_an_operation(world, place, scheme):
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"}, "by hand")
    host = world.git_host(scheme)
    server = world.server()
    client = server.client()
    client.CreateRepository(name="apps", url=host.url(repository))
    client.CreateApp(name="shop", repository="apps")
    harness.wait_content(client, "shop", "v1")
    harness.until(lambda: not owed(client), 60, "an empty outbox")
    host.stop()  # what is owed waits
    sent = client.UploadContent(app="shop", data=harness.archive({"index.html": "two\n"}), last=True).upload
    client.CreateVersion(app="shop", name="v2")
    client.CreateVersion(app="shop", name="v3", **{"from": "v1"})
    client.SealVersion(app="shop", version="v1")
    client.PushVersion(app="shop", version="v2", upload=sent, message="more")
    server.kill()
    host.start()
    struck = 0
    # At the first two places nothing is recorded yet: every second time one piece of work is let through.
    while serve_until_struck(server, f"{place}:crash:1"):
        struck += 1 + serve_until_struck(server, f"{place}:crash:2")
        server.verify()
        assert struck < 30
    assert struck >= 3, "two versions made, one pushed, one tag"
    server.start()
    content = harness.wait_content(client, "shop", "v2")
    harness.wait_published(client, "shop", "v1")
    lines = [line.split("|") for line in repository.log(FORM)]
    assert [line[0] for line in lines] == ["by hand", "App shop created", "Version v2 of shop created", "Version v3 of shop created", "Version v2 of shop : more"]
    assert set(Counter(line[1] for line in lines[1:]).values()) == {1} and all(re.fullmatch("opr_[a-z0-9]+", line[1]) for line in lines[1:])
    assert content.commit == repository.refs()["refs/heads/main"] and repository.show("apps/shop/index.html") == "two"
    assert sum("refs/tags/" in ref for ref in repository.refs()) == 1
    assert server.stop() == 0
    server.verify()

"""sluice.json: what a bundle requires is kept with the version's content; one that breaks a rule is refused by its name."""
import json
import os
import subprocess

import pytest
import harness

WHOLE = {"requires": {"constants": ["API_URL", "A"], "secrets": ["KEY"], "data_sources": [{"name": "main", "kind": "postgres"}]},
         "render": ["conf/app.json"]}
FILES = {"apps/shop/index.html": "one\n", "apps/shop/conf/app.json": "{}\n"}


@pytest.fixture
def shop(world):
    repository = world.repository()
    repository.commit({**FILES, "apps/shop/sluice.json": json.dumps(WHOLE)})
    server = world.server()
    client = server.client()
    client.CreateRepository(name="apps", url=world.git_host("file").url(repository))
    client.CreateApp(name="shop", repository="apps", no_commit=True)
    harness.wait_content(client, "shop", "v1")
    return server, client, repository


def contract(client, version="v1"):
    answer = client.GetVersion(app="shop", version=version)
    return answer.contract if answer.HasField("contract") else None


def reason(content):
    return content.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number[content.reason].name


def test_what_is_required_is_kept_and_shown(shop):
    server, client, repository = shop
    found = contract(client)
    assert (list(found.constants), list(found.secrets), list(found.render)) == (["A", "API_URL"], ["KEY"], ["conf/app.json"])
    assert [(s.name, s.kind) for s in found.data_sources] == [("main", "postgres")]
    # It goes with the content: into a version made from it, over a restart, and away with other content.
    client.CreateVersion(app="shop", name="v2", **{"from": "v1"}, no_commit=True)
    assert contract(client, "v2") == found
    server.kill()
    server.verify()
    server.start()
    client = server.client()
    assert contract(client) == found
    env = {**os.environ, "SLUICE_SERVER": f"127.0.0.1:{server.port}", "HOME": server.folder, "NO_COLOR": "1"}
    said = subprocess.run([harness.CLI, "version", "show", "shop", "v1"], env=env, capture_output=True, text=True, check=True).stdout
    assert all(word in said for word in ("API_URL", "KEY", "main (postgres)", "conf/app.json"))
    said = subprocess.run([harness.CLI, "version", "show", "shop", "v1", "-o", "json"], env=env, capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["contract"] == {"constants": ["A", "API_URL"], "secrets": ["KEY"], "render": ["conf/app.json"],
                                            "dataSources": WHOLE["requires"]["data_sources"]}
    repository.commit({}, "without", remove=["apps/shop/sluice.json"])
    client.SetVersionContent(app="shop", version="v2")
    harness.wait_content(client, "shop", "v2")
    assert contract(client, "v2") is None and contract(client) == found


@pytest.mark.parametrize("text,rule,says", [
    ("{", "CONTRACT_NOT_JSON", "line 1"),
    ('{"needs": {}}', "CONTRACT_KEY", "'needs'"),
    ('{"requires": {"secrets": ["a b"]}}', "CONTRACT_NAME", "'a b'"),
    ('{"requires": {"data_sources": [{"name": "x", "kind": "oracle"}]}}', "CONTRACT_KIND", "'oracle'"),
    ('{"render": ["../../etc/passwd"]}', "CONTRACT_PATH", "'../../etc/passwd'"),
    ('{"render": ["conf"]}', "CONTRACT_NO_FILE", "'conf'"),
])
def test_a_bad_one_is_refused(shop, text, rule, says):
    _, client, repository = shop
    repository.commit({"apps/shop/sluice.json": text})
    client.SetVersionContent(app="shop", version="v1")
    content = harness.wait_content(client, "shop", "v1", "FAILED")
    assert (reason(content), content.rule) == ("CONTENT_REASON_BUNDLE_REFUSED", rule)
    assert says in content.text and contract(client) is None
    # Nor is it pushed: nothing comes onto the branch.
    before = repository.log()
    sent = client.UploadContent(app="shop", data=harness.archive({"index.html": "two\n", "conf/x": "", "sluice.json": text}), last=True).upload
    client.PushVersion(app="shop", version="v1", upload=sent, message="bad")
    content = harness.wait_content(client, "shop", "v1", "FAILED")
    assert content.rule == rule and repository.log() == before

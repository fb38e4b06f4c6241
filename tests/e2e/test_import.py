"""Apps made of what a repository has already: listed with their last commits, each imported whole or not at all, sealed at once."""
import json
import os
import subprocess

import pytest
import harness

Refused = harness.Refused
TOOLJET = {
    ".meta/meta.json": json.dumps({"11-aa": {"git_app_name": "My App", "git_version_name": "v2", "git_version_id": "22-bb"},
                                   "33-cc": {"git_app_name": "CRM", "git_version_name": "v1"}}),
    "My App/v2.json": "{}\n", "CRM/v1.json": "{}\n",
}


@pytest.fixture
def plain(world):
    """A server, and repository `apps` behind git daemon with three folders for apps; none is one yet."""
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n", "apps/blog/index.html": "blog\n", "apps/bad/sluice.json": "{", "README": "x\n"}, "by hand")
    server = world.server()
    client = server.client()
    client.CreateRepository(name="apps", url=world.git_host("git").url(repository))
    return server, client, repository


def refused(call, **fields):
    with pytest.raises(Refused) as caught:
        call(**fields)
    return caught.value


def names(client):
    return [app.name for app in client.ListApps().apps]


def test_the_list_has_names_paths_commits_and_what_is_there(plain):
    _, client, repository = plain
    moved = repository.commit({"apps/blog/index.html": "moved\n"}, "Moved the blog")
    client.CreateApp(name="store", repository="apps", path="apps/shop", no_commit=True)
    found = client.ListImportable(repository="apps")
    assert found.commit == moved and found.ref == "refs/heads/main" and not found.cut
    assert [(a.name, a.path, a.app) for a in found.apps] == [("bad", "apps/bad", ""), ("blog", "apps/blog", ""), ("shop", "apps/shop", "store")]
    last = found.apps[1].last_commit
    assert (last.commit, last.message, last.author) == (moved, "Moved the blog", "Ada <ada@example.org>") and last.at.seconds > 0
    assert found.apps[2].last_commit.message == "by hand"
    assert refused(client.ListImportable, repository="apps", commit="nope").reason == "CONTENT_NOT_READY"
    assert refused(client.ListImportable, repository="none").reason == "REPOSITORY_NOT_FOUND"


def test_an_import_is_one_revision_with_a_sealed_version(plain):
    server, client, repository = plain
    tip = repository.refs()["refs/heads/main"]
    made = client.ImportApp(name="shop", display_name="The Shop", repository="apps", path="apps/shop", placement={"zone": "eu"})
    assert made.app.revision == made.version.revision == made.result.revision
    assert (made.app.display_name, made.app.path, made.app.repository) == ("The Shop", "apps/shop", "apps")
    version = made.version
    assert (version.name, version.state, version.environment, version.content.state) == ("v1", 2, "development", 2)
    assert version.content.commit == tip and version.content.files == 1
    # View-only by the ordinary rule: another state of it is another version.
    assert refused(client.SetVersionContent, app="shop", version="v1").reason == "VERSION_SEALED"
    harness.wait_published(client, "shop", "v1")
    assert repository.log() == ["by hand"]  # the tag, and no commit
    assert any(ref.startswith("refs/tags/sluice/shop/v1-") for ref in repository.refs())
    client.Promote(app="shop", version="v1", **{"from": "development"})
    client.CreateVersion(app="shop", name="v2", no_commit=True)
    assert harness.wait_content(client, "shop", "v2").digest == version.content.digest
    assert server.stop() == 0
    server.verify()


def test_it_is_at_the_commit_that_was_asked_for(plain):
    _, client, repository = plain
    listed = client.ListImportable(repository="apps")
    repository.commit({"apps/shop/index.html": "two\n", "apps/shop/more.html": "more\n"}, "later")
    made = client.ImportApp(name="shop", repository="apps", path="apps/shop", version_name="v7", commit=listed.commit)
    assert (made.version.name, made.version.content.commit, made.version.content.files) == ("v7", listed.commit, 1)


def test_nothing_is_half_imported(plain):
    _, client, _ = plain
    for fields, code, reason in (
            ({"path": "apps/none"}, "FAILED_PRECONDITION", "CONTENT_NOT_READY"), ({"path": "README"}, "FAILED_PRECONDITION", "CONTENT_NOT_READY"),
            ({"path": "apps/bad"}, "FAILED_PRECONDITION", "CONTENT_NOT_READY"), ({"commit": "nope"}, "FAILED_PRECONDITION", "CONTENT_NOT_READY"),
            ({"path": ""}, "INVALID_ARGUMENT", "MALFORMED"), ({"path": "../x"}, "INVALID_ARGUMENT", "MALFORMED"),
            ({"name": "My App"}, "INVALID_ARGUMENT", "NAME_INVALID"), ({"repository": "none"}, "NOT_FOUND", "REPOSITORY_NOT_FOUND")):
        said = refused(client.ImportApp, **{"name": "shop", "repository": "apps", "path": "apps/shop", **fields})
        assert (said.code.name, said.reason) == (code, reason), said
    said = refused(client.ImportApp, name="bad", repository="apps", path="apps/bad")
    assert (said.metadata["content_reason"], said.metadata["rule"]) == ("BUNDLE_REFUSED", "CONTRACT_NOT_JSON") and "'apps/bad'" in said.text
    assert names(client) == [] and list(client.ListOwed(repository="apps").items) == []


def test_a_known_folder_names_its_app_and_a_taken_name_wants_another(plain):
    _, client, _ = plain
    client.ImportApp(name="shop", repository="apps", path="apps/shop")
    said = refused(client.ImportApp, name="other", repository="apps", path="apps/shop")
    assert (said.code.name, said.reason) == ("ALREADY_EXISTS", "PATH_TAKEN") and "'shop'" in said.text
    said = refused(client.ImportApp, name="shop", repository="apps", path="apps/blog")
    assert (said.code.name, said.reason) == ("ALREADY_EXISTS", "NAME_TAKEN")
    assert names(client) == ["shop"]


def test_a_repetition_is_answered_without_git(plain):
    _, client, repository = plain
    write = {"request_id": "once"}
    tried = client.ImportApp(name="shop", repository="apps", path="apps/shop", write={"validate_only": True})
    assert tried.result.revision == 0 and tried.version.state == 2 and names(client) == []
    first = client.ImportApp(name="shop", repository="apps", path="apps/shop", write=write)
    harness.wait_published(client, "shop", "v1")
    os.rename(repository.bare, repository.bare + ".away")
    again = client.ImportApp(name="shop", repository="apps", path="apps/shop", write=write)
    assert again.result.replayed and again.version.id == first.version.id
    said = refused(client.ImportApp, name="blog", repository="apps", path="apps/blog")
    assert (said.code.name, said.metadata["content_reason"]) == ("UNAVAILABLE", "REPOSITORY_UNREACHABLE")
    assert names(client) == ["shop"]


def test_killed_meanwhile_there_is_the_whole_app_or_none(plain):
    """The server is killed while Git is read, and once it has answered."""
    server, client, _ = plain
    for path, name, timeout in (("apps/shop", "shop", 0.05), ("apps/blog", "blog", 20)):
        try:
            client.ImportApp(name=name, repository="apps", path=path, timeout=timeout)
        except Refused as said:
            assert said.code.name == "DEADLINE_EXCEEDED"
        server.kill()
        server.verify()
        server.start()
        client = server.client()
        for app in client.ListApps().apps:
            version = client.GetVersion(app=app.name, version="v1").version
            assert (version.state, version.content.state) == (2, 2)
    assert "blog" in names(client)


def test_what_another_sluice_wrote_is_imported_by_its_records(world):
    repository = world.repository()
    repository.commit({"apps/shop/index.html": "one\n"}, "by hand")
    first = world.server().client()
    first.CreateRepository(name="apps", url="file://" + repository.bare)
    first.CreateApp(name="shop", repository="apps", version_name="v3")
    harness.wait_content(first, "shop", "v3")
    harness.until(lambda: not first.ListOwed(repository="apps").items, 60, "the record is in Git")
    second = world.server(folder=world.path("second")).client()
    second.CreateRepository(name="theirs", url="file://" + repository.bare, publish=2)
    found = second.ListImportable(repository="theirs").apps
    assert [(a.name, a.path, a.version_name) for a in found] == [("shop", "apps/shop", "v3")]
    made = second.ImportApp(name="shop", repository="theirs", path="apps/shop", version_name="v3")
    assert made.version.publication.state == 3  # what is only read is published as it is


# --- the command ---------------------------------------------------------------------------


def sluice(server, *argv):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    env.update({"SLUICE_SERVER": f"127.0.0.1:{server.port}", "HOME": server.folder, "NO_COLOR": "1"})
    return subprocess.run([harness.CLI] + list(argv), capture_output=True, text=True, env=env, timeout=60)


def test_the_command_imports_from_tooljet(world):
    repository = world.repository("tools")
    repository.commit(TOOLJET, "From ToolJet")
    server = world.server()
    client = server.client()
    client.CreateRepository(name="tools", url="file://" + repository.bare)
    done = sluice(server, "import", "tools", "--list")
    assert done.returncode == 0 and "From ToolJet" in done.stdout and "My App" in done.stdout and names(client) == []
    assert sluice(server, "import", "tools", "-o", "name").stdout.split() == ["crm", "my-app"]
    # One that is not there keeps the other from nothing.
    done = sluice(server, "import", "tools", "My App", "Other")
    assert done.returncode == 3 and "app my-app is there, with version v2" in done.stdout and "'Other'" in done.stderr
    app = client.GetApp(app="my-app").app
    assert (app.display_name, app.path) == ("My App", "My App")
    assert client.GetVersion(app="my-app", version="v2").version.state == 2
    done = sluice(server, "import", "tools", "my-app")
    assert done.returncode == 3 and "app 'my-app' has path 'My App'" in done.stderr
    client.CreateApp(name="crm", repository="tools", path="elsewhere", no_commit=True)
    assert sluice(server, "import", "tools", "CRM").returncode == 3
    done = sluice(server, "import", "tools", "CRM", "--as", "sales", "--version", "v9", "-o", "json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["app"]["name"], made["app"]["displayName"], made["version"]["name"]) == ("sales", "CRM", "v9")
    assert sluice(server, "import", "tools", "My App", "CRM", "--as", "x").returncode == 64

"""What Sluice commits on a repository's branch by itself: which, how, in what order, exactly once, and what becomes of a refusal."""
import json
import os
import time

import grpc
import pytest
import harness

Refused = harness.Refused
FORM = "%s|%an|%cn|%(trailers:key=Sluice-Operation,valueonly,separator=%x2C)"
AUTOMATIC, NONE, PROMOTIONS = 1, 2, 3
FILES = {"apps/shop/index.html": "one\n", "apps/shop/deep/a.txt": "a\n", "README": "not an app\n"}


@pytest.fixture
def shop(world):
    """A server, and repository `apps` behind git daemon; no app yet."""
    repository = world.repository()
    repository.commit(FILES, "by hand")
    host = world.git_host("git")
    server = world.server()
    client = server.client()
    client.CreateRepository(name="apps", url=host.url(repository))
    return server, client, repository, host


def owed(client, repository="apps"):
    return list(client.ListOwed(repository=repository).items)


def settled(client, repository="apps"):
    """Nothing is owed any more."""
    harness.until(lambda: not owed(client, repository), 60, "an empty outbox")


def make_shop(client):
    client.CreateApp(name="shop", repository="apps")
    harness.wait_content(client, "shop", "v1")


def test_each_act_is_one_commit_with_its_words(shop):
    _, client, repository, _ = shop
    make_shop(client)
    settled(client)
    app = client.GetApp(app="shop").app
    client.CreateVersion(app="shop", name="v2", write={"reason": "because"})
    client.UpdateVersion(app="shop", version="v2", new_name="v2-beta")
    settled(client)
    harness.wait_content(client, "shop", "v1")
    client.Promote(app="shop", version="v1", **{"from": "development"})  # this repository does not ask for it
    harness.wait_published(client, "shop", "v1")
    tags = {ref: commit for ref, commit in repository.refs().items() if "tags" in ref}
    client.RenameApp(app="shop", new_name="store")
    settled(client)
    lines = [line.split("|") for line in repository.log(FORM)]
    assert [line[0] for line in lines] == [
        "by hand",
        "App shop created",
        "Version v2 of shop created",
        "Version v2-beta of shop: Version v2 is renamed to v2-beta",
        "Version v2-beta of store: App shop is renamed to store",
    ]
    assert {line[2] for line in lines[1:]} == {"sluice"} and {line[1] for line in lines[1:]} == {app.created_by}
    assert all(line[3].startswith("opr_") for line in lines[1:]) and len({line[3] for line in lines}) == 5
    # The folder moved with its record, in one commit; what is not of the app stays; slug and tags stay.
    assert harness.git("ls-tree", "-r", "--name-only", "main", cwd=repository.bare).splitlines() == [
        f".sluice/apps/{app.id}.json", "README", "apps/store/deep/a.txt", "apps/store/index.html"]
    assert harness.git("diff-tree", "--no-commit-id", "--name-only", "-r", "main", cwd=repository.bare).count("\n") == 4
    store = client.GetApp(app="store").app
    assert (store.path, store.slug, store.id) == ("apps/store", "shop", app.id)
    assert {ref: commit for ref, commit in repository.refs().items() if "tags" in ref} == tags
    # New content is taken from where the folder is now, old content stays what it was.
    client.SetVersionContent(app="store", version="v2-beta")
    assert harness.wait_content(client, "store", "v2-beta").path == "apps/store"
    assert harness.wait_content(client, "store", "v1").path == "apps/shop"


def test_the_record_has_the_same_bytes_for_the_same_state(shop):
    _, client, repository, _ = shop
    make_shop(client)
    settled(client)
    app = client.GetApp(app="shop").app
    text = repository.show(f".sluice/apps/{app.id}.json")
    record = json.loads(text)
    assert record == {"commit": {"author": app.created_by, "date": record["commit"]["date"], "message": "App shop created"},
                      "name": "shop", "path": "apps/shop", "version": "v1"}
    assert text == json.dumps(record, indent=2, sort_keys=True)
    date = harness.git("log", "-1", "--format=%aI %cI", "main", cwd=repository.bare).replace("+00:00", "").split()
    assert record["commit"]["date"].startswith(date[0]) and date[0] == date[1]


def test_commits_can_be_declined(world, shop):
    _, client, repository, host = shop
    client.CreateApp(name="shop", repository="apps", no_commit=True)
    client.CreateVersion(app="shop", name="v2", no_commit=True)
    for name, fields in (("silent", {"commits": NONE}), ("foreign", {"publish": 2}), ("loud", {"commits": PROMOTIONS})):
        other = world.repository(name)
        other.commit({f"apps/{name}/index.html": name}, "by hand")
        made = client.CreateRepository(name=name, url=host.url(other), **fields).repository
        assert made.commits == (PROMOTIONS if name == "loud" else NONE)
        client.CreateApp(name=name, repository=name)
        harness.wait_content(client, name, "v1")
        client.Promote(app=name, version="v1", **{"from": "development"})
    settled(client, "loud")
    assert harness.Repository.log(repository_of(world, "loud")) == ["by hand", "App loud created", "v1 Version of loud promoted from development to staging"]
    # An app that is the whole repository has no record: it would be part of the app.
    client.CreateApp(name="all", repository="loud", path=".")
    for name in ("silent", "foreign", "apps", "loud"):
        assert owed(client, name) == []
    assert repository.log() == ["by hand"]
    with pytest.raises(Refused) as refused:
        client.CreateRepository(name="odd", url=host.url(repository), publish=2, commits=AUTOMATIC)
    assert refused.value.fields == ["commits"]


def repository_of(world, name):
    found = harness.Repository.__new__(harness.Repository)
    found.bare = os.path.join(world.path("git"), name + ".git")
    return found


def test_an_empty_repository_gets_its_first_commit(world):
    repository = world.repository()
    client = world.server().client()
    client.CreateRepository(name="apps", url=world.git_host("http").url(repository))
    client.CreateApp(name="shop", repository="apps")
    settled(client)
    assert repository.log() == ["App shop created"]


# --- hosts that are away, and that say no --------------------------------------------------


def test_what_is_owed_goes_in_order_when_the_host_is_back(shop):
    server, client, repository, host = shop
    make_shop(client)
    settled(client)
    host.stop()
    for name in ("v2", "v3", "v4"):
        client.CreateVersion(app="shop", name=name, **{"from": "v1"})
    harness.until(lambda: owed(client)[0].failure == "REPOSITORY_UNREACHABLE", 60, "an attempt")
    items = owed(client)
    assert [item.text for item in items] == [f"Version {name} of shop created" for name in ("v2", "v3", "v4")]
    assert [item.attempts > 0 for item in items] == [True, False, False] and not any(item.parked for item in items)
    # An owed commit blocks no promotion.
    client.Promote(app="shop", version="v2", **{"from": "development"})
    assert client.GetRepository(repository="apps").repository.contact.owed_commits == 3
    server.kill()
    host.start()
    server.start()
    client = server.client()
    settled(client)
    assert repository.log()[1:] == ["App shop created"] + [f"Version {name} of shop created" for name in ("v2", "v3", "v4")]


def test_a_refusal_parks_the_item_and_lets_others_pass(shop):
    _, client, repository, _ = shop
    make_shop(client)
    settled(client)
    no = repository.hook("update", 'case $1 in refs/heads/*) git log -1 --format=%s $3 | grep -q v2 && { echo "no v2 here" >&2; exit 1; };; esac; exit 0\n')
    client.CreateVersion(app="shop", name="v2")
    client.CreateVersion(app="shop", name="v3")
    item = harness.until(lambda: next((i for i in owed(client) if i.parked), None), 60, "a parked item")
    assert (item.failure, item.app, item.text) == ("REF_PROTECTED", "shop", "Version v2 of shop created")
    assert "no v2 here" in item.failure_text
    harness.until(lambda: len(owed(client)) == 1, 60, "the one behind it")
    contact = client.GetRepository(repository="apps").repository.contact
    assert (contact.owed_commits, contact.parked_commits) == (1, 1)
    with pytest.raises(Refused) as refused:
        client.RetryOwed(repository="apps", owed="opr_nosuch")
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.NOT_FOUND, "OWED_NOT_FOUND")
    # Tried again: the same answer. The cause gone: it is made after all.
    client.RetryOwed(repository="apps", owed=item.id)
    harness.until(lambda: [i.parked for i in owed(client)] == [True], 60, "the same answer")
    os.unlink(no)
    client.RetryOwed(repository="apps", owed=item.id)
    settled(client)
    assert repository.log()[-2:] == ["Version v3 of shop created", "Version v2 of shop created"]
    # Given up: never made, and on record.
    repository.hook("pre-receive", "exit 1\n")
    client.CreateVersion(app="shop", name="v4")
    item = harness.until(lambda: next((i for i in owed(client) if i.parked), None), 60, "a parked item")
    client.DropOwed(repository="apps", owed=item.id, write={"reason": "not needed"})
    assert owed(client) == []
    record = client.ListAuditRecords(page={"page_size": 1}, method="DropOwed").records[0].entry
    assert (record.method, record.reason) == ("DropOwed", "not needed")


def test_a_tag_cannot_be_dropped(shop):
    _, client, repository, _ = shop
    make_shop(client)
    settled(client)
    repository.hook("pre-receive", "exit 1\n")
    client.SealVersion(app="shop", version="v1")
    item = harness.until(lambda: next((i for i in owed(client) if i.parked), None), 60, "a parked tag")
    assert item.id == client.GetVersion(app="shop", version="v1").version.id and item.text.startswith("refs/tags/sluice/shop/v1-")
    with pytest.raises(Refused) as refused:
        client.DropOwed(repository="apps", owed=item.id)
    assert refused.value.reason == "OWED_IS_NEEDED"
    os.unlink(os.path.join(repository.bare, "hooks/pre-receive"))
    client.RetryOwed(repository="apps", owed=item.id)
    harness.wait_published(client, "shop", "v1")


# --- others on the same branch ------------------------------------------------------------------


def test_a_folder_in_the_way_of_a_rename_is_a_conflict(shop):
    _, client, repository, _ = shop
    make_shop(client)
    settled(client)
    repository.commit({"apps/store/index.html": "somebody's\n"}, "by hand again")
    client.RenameApp(app="shop", new_name="store")
    item = harness.until(lambda: next((i for i in owed(client) if i.parked), None), 60, "a parked item")
    assert item.failure == "CONFLICT" and "apps/store" in item.failure_text
    assert client.GetApp(app="store").app.path == "apps/shop"
    repository.commit({}, "out of the way", remove=["apps/store"])
    client.RefreshRepository(repository="apps")
    settled(client)
    assert client.GetApp(app="store").app.path == "apps/store"
    # While it is to be moved somewhere, nobody else is put there.
    with pytest.raises(Refused) as refused:
        client.CreateApp(name="other", repository="apps", path="apps/store")
    assert refused.value.reason == "PATH_TAKEN"


def test_a_rewritten_branch_is_reported_and_never_followed_by_itself(shop):
    _, client, repository, _ = shop
    make_shop(client)
    settled(client)
    rewritten = harness.git("commit-tree", "-m", "rewritten", "main^{tree}", cwd=repository.bare)
    harness.git("update-ref", "refs/heads/main", rewritten, cwd=repository.bare)
    client.CreateVersion(app="shop", name="v2")
    item = harness.until(lambda: next((i for i in owed(client) if i.parked), None), 60, "a parked item")
    assert item.failure == "HISTORY_REWRITTEN" and rewritten in item.failure_text
    assert repository.log() == ["rewritten"]
    client.RefreshRepository(repository="apps")
    harness.until(lambda: [i.attempts > 0 and i.parked for i in owed(client)] == [True], 60, "the same answer")
    assert repository.log() == ["rewritten"]
    client.RefreshRepository(repository="apps", follow=True)
    settled(client)
    assert repository.log() == ["rewritten", "Version v2 of shop created"]


# --- kill -9 at each step ---------------------------------------------------------------------------

STEPS = {
    # name: (hook, what it does after the server is dead)
    "the push is under way, and fails": ("pre-receive", "exit 1"),
    "the push is under way, and goes on": ("pre-receive", "exit 0"),
    "the host is about to move the branch": ("update", "exit 0"),
    "the branch has moved, nobody was told": ("post-receive", "exit 0"),
}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step_there_is_exactly_one_commit(shop, world, step):
    server, client, repository, _ = shop
    make_shop(client)
    settled(client)
    hook, after = STEPS[step]
    mark = world.path("killed")
    # Once: the second time the server lives.
    script = f"[ -e {mark} ] && exit 0\ntouch {mark}\nkill -9 {server.program.process.pid}\nsleep 0.3\n{after}\n"
    path = repository.hook(hook, script)
    made = client.CreateVersion(app="shop", name="v2")
    client.RenameApp(app="shop", new_name="store")
    server.program.wait(60)
    server.program.end()
    assert os.path.exists(mark)
    os.unlink(path)
    server.verify()
    server.start()
    client = server.client()
    settled(client)
    assert repository.log()[1:] == ["App shop created", "Version v2 of shop created", "Version v2 of store: App shop is renamed to store"]
    assert client.GetApp(app="store").app.path == "apps/store"
    assert made.version.name == "v2"
    assert server.stop() == 0
    server.verify()


def test_killed_at_any_moment_there_is_exactly_one_commit(shop):
    """Where the hooks do not reach: between the command, the mirror, the host and the record of the result."""
    server, client, repository, _ = shop
    make_shop(client)
    settled(client)
    names = [f"n{i}" for i in range(12)]
    for at, name in enumerate(names):
        client.CreateVersion(app="shop", name=name, **{"from": "v1"}, write={"request_id": name})
        time.sleep(0.02 * at)  # any moment
        server.kill()
        server.start()
        client = server.client()
    settled(client)
    assert repository.log()[2:] == [f"Version {name} of shop created" for name in names]

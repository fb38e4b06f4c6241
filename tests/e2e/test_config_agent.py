"""Config on an instance, as a real agent makes it of what a scripted server tells: sealed, believed as manifests are, whole at every moment."""
import json
import os
import stat
import subprocess

import fake_plane
import harness
import pytest
import raw_git
import signer

AGENT_THAT_DIES = os.path.join(harness.ROOT, "tests/fault/sluice_agent_failpoints")
HEALTHY, NOT_READY, DEGRADED, ROLLED_BACK = 6, 7, 8, 10
TRANSIENT, MANIFEST_REFUSED = 1, 3
CONTRACT = {"requires": {"constants": ["API_URL"], "secrets": ["API_KEY"], "data_sources": [{"name": "main", "kind": "postgres"}]},
            "render": ["conf/app.json", "app.env"]}
FILES = {"sluice.json": json.dumps(CONTRACT), "index.html": "one\n", "app.env": "KEY={{secrets.API_KEY}}\n",
         "conf/app.json": '{"url": "{{constants.API_URL}}", "db": {{sources.main.host}}}\n'}
VALUES = [("c", "API_URL", "https://one"), ("s", "API_KEY", "marker-key"), ("o", "main", "postgres", "host", "db-one")]
# Writes down why it was called, and what it found then; fails when it is told to.
HOOK = """#!/bin/sh
echo "$SLUICE_REASON $(cat "$SLUICE_CONFIG/app.env" 2>/dev/null)" >>"{folder}/hooks"
test ! -e "{folder}/fail-$SLUICE_VERSION"
"""


def values(**changed):
    """VALUES with others; None leaves one out."""
    rows = [row[:-1] + (changed.get(row[1], row[-1]),) for row in VALUES]
    return [row for row in rows if row[-1] is not None]


class Told:
    """An agent that has pinned the key of the plane, and versions v1, v2 of the app `shop` in a repository."""

    def __init__(self, world, flags=(), env=None):
        self.world, self.key = world, signer.Signer()
        self.plane = world.add(fake_plane.FakePlane(world.services))
        self.plane.signer, self.plane.epoch = self.key, 1
        self.ids = {kind: fake_plane.an_id(kind, 7) for kind in ("app", "rep")}
        self.repository = world.repository()
        self.bundles = [self.bundle(1, FILES), self.bundle(2, {**FILES, "index.html": "two\n"})]
        hook = world.path("hook")
        with open(hook, "w", encoding="ascii") as file:
            file.write(HOOK.format(folder=world.folder))
        os.chmod(hook, 0o755)
        pins = signer.pin_files(world.path("pins"), 1, self.key)
        self.agent = world.add(harness.Agent(self.plane, world.path("agent"), "prod-1", pins + ["--hook", hook, *flags], env))
        self.agent.start()
        self.box_key = self.plane.wait_hello().box_key

    def bundle(self, number, files, **fields):
        commit = self.repository.commit({f"v{number}/{path}": text for path, text in files.items()}, f"v{number}")
        digest = raw_git.digest_of({path: text.encode() for path, text in files.items()})
        return self.plane.pb.Bundle(**{
            "version_id": fake_plane.an_id("ver", number), "version": f"v{number}", "repository_id": self.ids["rep"], "ref": "refs/heads/main",
            "url": "file://" + self.repository.bare, "commit": commit, "path": f"v{number}", "digest": digest, "files": len(files), "bytes": 1000,
            "tree": harness.git("rev-parse", f"main:v{number}", cwd=self.repository.bare), **fields})

    def config(self, rows, stamp, owner=None, by=None, **fields):
        """An AgentConfig; `owner`: whose it says within the box that it is."""
        app, instance, said = owner or (self.ids["app"], self.plane.instance_id, stamp)
        plain = b"".join(f.encode() + b"\0" for row in [*rows, (".", app, instance, said.hex())] for f in row)
        fields = {"app_id": self.ids["app"], "stamp": stamp, "key_epoch": 1, "box": signer.seal(fields.pop("to", self.box_key), plain), **fields}
        config = self.plane.pb.AgentConfig(**fields)
        config.signature = (by or self.key).config(self.plane.instance_id, config.app_id, config.stamp, config.box)
        return config

    def send(self, config):
        self.plane.say(self.plane.pb.SyncResponse(config=config).SerializeToString())

    def want(self, stamp, version=1, **fields):
        """The manifest that names it."""
        keep = self.bundles[:version]
        fields = {"app_id": self.ids["app"], "slug": "shop", "name": "shop", "activate": keep[-1].version_id, "config": stamp, **fields}
        self.plane.tell([self.plane.pb.ManifestApp(keep=keep, **fields)])

    def tell(self, rows, stamp, version=1):
        self.send(self.config(rows, stamp))
        self.want(stamp, version)

    def says(self, phase, version=1, since=0, **more):
        return self.plane.wait_report(self.bundles[version - 1].version_id, [phase], since=since, timeout=30, **more)

    # --- on disk ---

    def path(self, name="", version=1):
        folders = os.path.join(self.agent.folder, "apps/shop/configs")
        names = [n for n in os.listdir(folders) if n.startswith(f"v{version}-")] if os.path.isdir(folders) else []
        return os.path.join(folders, names[0], name) if names else None

    def read(self, name, version=1):
        path = self.path(name, version)
        if path is None or not os.path.exists(path):
            return None
        with open(path, encoding="utf-8") as file:
            return file.read()

    def url(self, version=1):
        text = self.read("config.json", version)
        return json.loads(text)["constants"]["API_URL"] if text else None

    def wait_url(self, value, version=1):
        harness.until(lambda: self.url(version) == value, 60, f"{value} in config.json")

    def hooks(self):
        with open(self.world.path("hooks"), encoding="utf-8") as file:
            return file.read().splitlines()

    def status(self):
        said = subprocess.run([harness.AGENT, "status", "--state", self.agent.folder], capture_output=True, text=True, check=True).stdout
        more = subprocess.run([harness.AGENT, "status", "--state", self.agent.folder, "-o", "json"], capture_output=True, text=True, check=True).stdout
        return said, json.loads(more)["apps"][0]

    def files_with(self, text):
        """Below the state folder, as paths from it."""
        found = subprocess.run(["grep", "-rl", "--binary-files=text", "-e", text, "."], cwd=self.agent.folder, capture_output=True, text=True, check=False)
        return found.stdout.split()


A, B, C = (bytes([n]) * 32 for n in (1, 2, 3))


@pytest.fixture
def told(world):
    return Told(world)


def test_a_version_is_served_with_its_config_and_not_before(told):
    told.want(A)
    waits = told.says(NOT_READY)
    assert "has not come from the server yet" in waits.error and waits.error_class == TRANSIENT and told.agent.serves("shop") is None
    told.send(told.config(values(API_KEY=None), A))
    lacks = told.says(NOT_READY, since=len(told.plane.reports) - 1)
    lacks = harness.until(lambda: next((r for r in told.plane.reports if "missing" in r.error), None), 60, "what is missing")
    assert lacks.error == "missing secret API_KEY" and list(lacks.config.missing) == ["secret API_KEY"] and lacks.config.missing_count == 1
    assert told.agent.serves("shop") is None and told.path() is None
    told.tell(VALUES, B)  # it becomes ready by itself
    well = told.says(HEALTHY)
    assert well.config.stamp == B and not well.config.missing
    assert told.agent.serves("shop")["app.env"] == "KEY={{secrets.API_KEY}}\n"  # the bundle is as it was
    assert json.loads(told.read("config.json")) == {
        "constants": {"API_URL": "https://one"}, "secrets": {"API_KEY": "marker-key"}, "sources": {"main": {"kind": "postgres", "host": "db-one"}}}
    assert told.read("env") == 'API_URL="https://one"\nAPI_KEY="marker-key"\nMAIN_HOST="db-one"\n'
    assert json.loads(told.read("conf/app.json")) == {"url": "https://one", "db": "db-one"} and told.read("app.env") == 'KEY="marker-key"\n'
    assert told.hooks() == ['activate KEY="marker-key"']
    for folder, _, names in os.walk(os.path.realpath(told.path())):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        for name in names:
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(told.path())).st_mode) == 0o700
    # Nowhere else in the clear, and not in the log.
    assert {os.path.basename(f) for f in told.files_with("marker-key")} == {"config.json", "env", "app.env"}
    assert not any("marker-key" in line for line in told.agent.program.lines)


def test_what_is_required_and_nothing_else_is_written(told):
    told.tell([*VALUES, ("c", "FOREIGN", "marker-foreign"), ("o", "other", "redis", "host", "marker-foreign")], A)
    told.says(HEALTHY)
    assert told.files_with("marker-foreign") == []


def test_a_change_is_written_anew_and_the_hook_called(told):
    told.tell(VALUES, A)
    told.says(HEALTHY)
    before = os.path.realpath(told.path())
    told.tell(values(API_URL="https://two", API_KEY="other-key"), B)
    told.wait_url("https://two")
    harness.until(lambda: told.hooks()[1:] == ['reload KEY="other-key"'], 60, "the hook's call")
    harness.until(lambda: not os.path.exists(before) and told.files_with("marker-key") == [], 60, "the end of the files before")
    assert told.agent.serves("shop")["index.html"] == "one\n"
    # The same under another stamp is no change; a hook that fails is told, and nothing is put back.
    told.tell(values(API_URL="https://two", API_KEY="other-key"), C)
    harness.until(lambda: told.plane.reports[-1].config.stamp == C, 60, "the new stamp")
    open(told.world.path("fail-v1"), "w", encoding="ascii").close()
    told.tell(values(API_KEY="third-key"), A)
    worse = told.says(DEGRADED)
    assert "hook" in worse.error and told.read("app.env") == 'KEY="third-key"\n' and len(told.hooks()) == 3
    os.unlink(told.world.path("fail-v1"))
    since = len(told.plane.reports)
    told.tell(VALUES, B)
    told.says(HEALTHY, since=since)
    assert told.hooks()[3:] == ['reload KEY="marker-key"']


def test_what_is_served_and_loses_a_value_keeps_its_files(told):
    told.tell(VALUES, A)
    told.says(HEALTHY)
    told.tell(values(API_KEY=None, main=None), B)
    lacks = told.says(NOT_READY)
    assert lacks.error == "missing secret API_KEY, data source main (postgres)" and lacks.active_version_id == lacks.version_id
    assert told.read("app.env") == 'KEY="marker-key"\n' and len(told.hooks()) == 1
    assert "missing: secret API_KEY" in told.status()[0] and told.status()[1]["config"]["missingCount"] == 2
    since = len(told.plane.reports)
    told.tell(values(API_URL="{{x}}\"'"), C)
    told.says(HEALTHY, since=since)
    told.wait_url("{{x}}\"'")


def test_a_reference_that_does_not_hold_says_where(told):
    told.bundles[1] = told.bundle(2, {**FILES, "conf/app.json": '{\n"user": "{{sources.main.user}}"}'})
    told.tell(VALUES, A)
    told.says(HEALTHY)
    told.want(A, 2)
    says = told.says(NOT_READY, 2)
    assert "conf/app.json: line 2: {{sources.main.user}}" in says.error and says.active_version_id == told.bundles[0].version_id
    told.tell([*VALUES, ("o", "main", "postgres", "user", "u")], B, 2)
    told.says(HEALTHY, 2)
    assert json.loads(told.read("conf/app.json", 2)) == {"user": "u"}


def test_a_draft_that_takes_other_content_is_judged_by_that(told):
    told.tell(VALUES, A)
    told.says(HEALTHY)
    first, more = told.bundles[0], {**CONTRACT, "requires": {**CONTRACT["requires"], "constants": ["API_URL", "LIMIT"]}}
    told.bundles[0] = told.bundle(3, {**FILES, "sluice.json": json.dumps(more), "index.html": "other\n"}, version_id=first.version_id, version="v1")
    told.want(A)
    assert told.says(NOT_READY).error == "missing constant LIMIT" and told.agent.serves("shop")["index.html"] == "one\n"
    told.tell([*VALUES, ("c", "LIMIT", "5")], B)
    harness.until(lambda: told.agent.serves("shop")["index.html"] == "other\n", 60, "the other content")


def test_a_version_that_is_put_back_has_its_files(told):
    told.send(told.config(VALUES, A))
    told.want(A, 2, activate=told.bundles[0].version_id)
    told.says(HEALTHY)
    harness.until(lambda: told.bundles[1].version_id in told.plane.reports[-1].staged_version_ids, 60, "v2 on disk")
    open(told.world.path("fail-v2"), "w", encoding="ascii").close()
    told.tell(values(API_KEY="other-key"), B, 2)
    told.says(ROLLED_BACK, 2)
    harness.until(lambda: told.hooks()[-1] == 'reload KEY="other-key"', 60, "config of now for what is served")
    assert told.hooks() == [f'{reason} KEY="{key}"' for reason, key in (
        ("activate", "marker-key"), ("activate", "other-key"), ("rollback", "marker-key"), ("reload", "other-key"))]
    assert told.agent.serves("shop")["index.html"] == "one\n"


def test_a_restart_without_a_server_goes_on(told):
    told.tell(VALUES, A)
    told.says(HEALTHY)
    told.agent.kill()
    told.plane.end()
    harness.remove_folder(os.path.join(told.agent.folder, "apps/shop/configs"))
    told.agent.start()  # what was lost is made again of what it holds
    told.wait_url("https://one")
    harness.until(lambda: told.hooks()[-1] == 'reload KEY="marker-key"', 60, "the hook's call")


def test_what_it_holds_is_said_in_its_hello(told):
    told.tell(VALUES, A)
    told.says(HEALTHY)
    told.agent.kill()
    told.agent.start()
    again = told.plane.wait_hello(2)
    assert again.inventory[0].config == A and again.inventory[0].last.config.stamp == A and again.box_key == told.box_key
    # A folder that lost its key cannot open it, and does not say that it could.
    told.agent.kill()
    os.unlink(os.path.join(told.agent.folder, "box.key"))
    told.agent.start()
    again = told.plane.wait_hello(3)
    assert again.inventory[0].config == b"" and again.box_key not in (b"", told.box_key)
    assert told.url() == "https://one"


def test_config_that_nobody_vouches_for_is_refused(told):
    told.tell(VALUES, A)
    told.says(HEALTHY)
    app, instance = told.ids["app"], told.plane.instance_id
    evil = values(API_URL="https://evil")
    stranger = told.config(evil, B, by=signer.Signer())
    other_instance = told.config(evil, B)
    other_instance.signature = told.key.config(fake_plane.an_id("ins", 9), app, B, other_instance.box)
    moved = told.config(evil, B)
    moved.stamp = C
    unsigned = told.config(evil, B)
    unsigned.signature = b""
    changed = told.config(evil, B)
    changed.box = signer.seal(told.box_key, b"c\0")
    believed = "not signed for this instance"
    rows = [(stranger, believed), (other_instance, believed), (moved, believed), (unsigned, believed), (changed, believed),
            (told.config(evil, B, key_epoch=2), believed),
            (told.config(evil, B, owner=(fake_plane.an_id("app", 9), instance, B)), "another app, instance or stamp"),
            (told.config(evil, B, owner=(app, fake_plane.an_id("ins", 9), B)), "another app, instance or stamp"),
            (told.config(evil, B, owner=(app, instance, C)), "another app, instance or stamp"),
            (told.config(evil, B, to=signer.Signer().public), "not sealed to the key"),
            (told.config([("c", "../x", "1")], B), "'../x' must be"), (told.config([*evil, *evil], B), "must be there once")]
    for number, (config, words) in enumerate(rows):
        told.send(config)
        refusal = told.plane.wait_refusal(words, number)
        assert refusal.error_class == MANIFEST_REFUSED
    told.want(B)
    harness.until(lambda: told.plane.reports[-1].sequence == told.plane.sequence, 60, "a report of the last manifest")
    assert told.url() == "https://one" and told.plane.reports[-1].phase == HEALTHY and len(told.hooks()) == 1
    # An older one that comes again is not taken for what the manifest names.
    told.tell(values(API_URL="https://two"), B)
    told.wait_url("https://two")
    told.send(told.config(VALUES, A))
    told.want(B)
    told.says(HEALTHY, since=len(told.plane.reports) - 1)
    assert told.url() == "https://two"


def test_overrides_win_count_as_set_and_stay_on_the_host(world):
    file = world.path("overrides")
    with open(file, "w", encoding="ascii") as out:
        out.write("# for the move\nSLUICE_CONST__API_URL=https://mine\n")
    os.chmod(file, 0o600)
    told = Told(world, ["--overrides", file], {"SLUICE_SECRET__API_KEY": "marker-mine"})
    told.tell(values(API_KEY=None), A)
    well = told.says(HEALTHY)
    assert list(well.config.overrides) == ["constant API_URL", "secret API_KEY"] and well.config.override_count == 2
    assert told.url() == "https://mine" and told.read("app.env") == 'KEY="marker-mine"\n'
    said, app = told.status()
    assert "override: secret API_KEY" in said and app["config"]["overrides"] == ["constant API_URL", "secret API_KEY"]
    assert b"marker-mine" not in b"".join(r.SerializeToString() for r in told.plane.reports) and "marker-mine" not in said
    # Nor does a list of processes have it, or what it starts.
    with open(f"/proc/{told.agent.program.process.pid}/environ", "rb") as file_of:
        assert b"marker-mine" not in file_of.read()
    told.tell(values(API_URL="https://two"), B)
    harness.until(lambda: told.plane.reports[-1].config.stamp == B, 60, "the new stamp")
    assert told.url() == "https://mine" and len(told.hooks()) == 1
    # Taken away again: the environment's.
    told.agent.kill()
    told.agent.env, told.agent.flags = None, [f for f in told.agent.flags if f not in ("--overrides", file)]
    told.agent.start()
    told.wait_url("https://two")


def test_overrides_of_others_are_refused(world):
    file = world.path("overrides")
    with open(file, "w", encoding="ascii") as out:
        out.write("SLUICE_CONST__A=1\n")
    os.chmod(file, 0o644)
    said = subprocess.run([harness.AGENT, "run", "--server", "127.0.0.1:1", "--instance", "x", "--state", world.path("s"), "--overrides", file],
                          capture_output=True, text=True, check=False)
    assert said.returncode == 64 and file in said.stderr


def test_everything_goes_with_the_app(told):
    told.tell(VALUES, A)
    told.says(HEALTHY)
    assert os.listdir(os.path.join(told.agent.folder, "config")) == [told.ids["app"]]
    told.plane.tell([], removed=[told.ids["app"]])
    harness.until(lambda: os.listdir(os.path.join(told.agent.folder, "config")) == [] and not os.path.exists(
        os.path.join(told.agent.folder, "apps/shop")), 30, "the end of the app")
    assert told.files_with("marker-key") == []


def test_a_server_that_tells_no_config_is_obeyed_as_before(told):
    told.want(b"")
    told.says(HEALTHY)
    assert told.path() is None and told.hooks() == ["activate "]
    told.tell(VALUES, A)  # and once it does: what is served gets it
    told.wait_url("https://one")


def test_what_only_renders_needs_no_values(told):
    told.bundles[0] = told.bundle(3, {"sluice.json": '{"render": ["env"]}', "env": "A='\\{{'\n", "index.html": "x\n"})
    told.want(b"")
    harness.until(lambda: told.read("env", 3) == "A='{{'\n", 60, "the rendered file")
    assert json.loads(told.read("config.json", 3)) == {"constants": {}, "secrets": {}, "sources": {}}


@pytest.mark.parametrize("place", ["config-keep", "config-kept", "config-written", "config-swapped"])
def test_killed_at_each_step_it_has_the_old_or_the_new(told, place):
    told.tell(VALUES, A)
    told.says(HEALTHY)
    told.agent.kill()
    told.agent.binary, told.agent.env = AGENT_THAT_DIES, {"SL_FAILPOINT": f"{place}:crash:1"}
    told.agent.start()
    told.plane.wait_hello(2)
    told.tell(values(API_URL="https://two", API_KEY="other-key"), B)
    assert told.agent.program.wait(60) == -9, told.agent.program.lines
    new = place == "config-swapped"
    assert told.url() == ("https://two" if new else "https://one")
    assert told.read("app.env") == ('KEY="other-key"\n' if new else 'KEY="marker-key"\n')
    told.agent.binary, told.agent.env = harness.AGENT, None
    told.agent.start()
    if told.plane.wait_hello(3).inventory[0].config != B:
        told.send(told.config(values(API_URL="https://two", API_KEY="other-key"), B))
    told.want(B)
    told.wait_url("https://two")
    harness.until(lambda: told.hooks()[-1] in ('reload KEY="other-key"', 'recover KEY="other-key"'), 60, "the hook's call")
    harness.until(lambda: told.files_with("marker-key") == [], 60, "the end of the files before")
    assert told.agent.serves("shop")["index.html"] == "one\n"

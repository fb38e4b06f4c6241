"""Config on its way: set at the server, read by an app in each environment; agents that enrolled, over TLS."""
import json
import os
import subprocess

import harness
import pytest
from people import admin_of, make_server, server  # noqa: F401 (fixtures)

ENVIRONMENTS = ["development", "staging", "production"]
CONTRACT = {"requires": {"constants": ["API_URL"], "secrets": ["API_KEY"], "data_sources": [{"name": "main", "kind": "postgres"}]},
            "render": ["conf/app.json"]}
FILES = {"apps/shop/sluice.json": json.dumps(CONTRACT), "apps/shop/index.html": "one\n",
         "apps/shop/conf/app.json": '{"url": "{{constants.API_URL}}", "key": "{{secrets.API_KEY}}", "db": "{{sources.main.host}}:{{sources.main.port}}"}\n'}


class Instance:
    """An agent that has enrolled, with a hook that writes down why it was called."""

    def __init__(self, company, environment):
        self.state, self.environment = company.world.path(environment), environment
        self.join, self.hook = company.world.path(environment + ".json"), company.world.path(environment + ".hook")
        with open(self.join, "w", encoding="utf-8") as file:
            file.write(company.admin("instance", "add", f"{environment}-1", "--env", environment).stdout)
        with open(self.hook, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\necho "$SLUICE_REASON" >>"{self.hook}s"\n')
        os.chmod(self.hook, 0o755)
        subprocess.run([harness.AGENT, "enroll", "--join", self.join, "--state", self.state], check=True, capture_output=True)
        self.world, self.program = company.world, None
        self.start()

    def start(self, *flags, env=None):
        argv = [harness.AGENT, "run", "--state", self.state, "--allow-local-repos", "--hook", self.hook, *flags]
        self.program = self.world.add(harness.Program(argv, env))

    def kill(self):
        self.program.kill()
        self.program.wait()

    def version(self):
        """The folder of what it serves."""
        link = os.path.join(self.state, "apps/shop/current")
        return os.path.basename(os.readlink(link)) if os.path.islink(link) else None

    def reads(self):
        """What the app finds there; None: nothing is served."""
        path = os.path.join(self.state, "apps/shop/configs", self.version() or "-", "conf/app.json")
        if not os.path.exists(path):
            return None
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def wait(self, **values):
        harness.until(lambda: values.items() <= (self.reads() or {}).items(), 60, f"{values} in {self.environment}")

    def hooks(self):
        return open(self.hook + "s", encoding="ascii").read().split() if os.path.exists(self.hook + "s") else []

    def has(self, text):
        return subprocess.run(["grep", "-rl", "-e", text, self.state], capture_output=True, check=False).stdout != b""


class Company:
    def __init__(self, world, server, folder):
        self.world, self.server = world, server
        self.admin = admin_of(server, folder / "admin")
        self.repository = world.repository()
        self.repository.commit(FILES, "by hand")

    def set(self, environment, url=None, key=None, host=None):
        if url is not None:
            self.admin("const", "set", "API_URL", "--env", environment, "--value", url)
        if key is not None:
            self.admin("secret", "set", "API_KEY", "--env", environment, stdin=key)
        if host is not None:
            self.admin("source", "set", "main", "--env", environment, f"host={host}", "database=shop", "user=shop", "--secret", "password=-",
                       stdin=f"password-{environment}")

    def create(self):
        self.admin("source", "add", "main", "--kind", "postgres")
        self.admin("app", "create", "shop", "--repo", "file://" + self.repository.bare, "--no-commit")

    def status(self, environment):
        rows = self.admin.json("status", "shop")["instances"]
        return next(r for r in rows if r["instance"] == f"{environment}-1")


@pytest.fixture
def company(world, server, tmp_path):
    return Company(world, server, tmp_path)


def test_an_app_reads_the_config_of_each_environment_and_of_no_other(company):
    for environment in ENVIRONMENTS:
        company.set(environment, f"https://{environment}.example.org", f"marker-{environment}")
    instances = {environment: Instance(company, environment) for environment in ENVIRONMENTS}
    company.create()
    for environment in ENVIRONMENTS:
        company.set(environment, host=f"db.{environment}")
    company.admin("wait", "shop", "--converged", "--env", "development")
    company.admin("promote", "shop", "v1", "--to", "staging", "--yes", "--wait")
    company.admin("wait", "shop", "v1", "--published")
    company.admin("promote", "shop", "v1", "--to", "production", "--yes", "--wait")
    company.admin("release", "shop", "v1", "--yes", "--wait")
    for environment, instance in instances.items():
        assert instance.reads() == {"url": f"https://{environment}.example.org", "key": f"marker-{environment}", "db": f"db.{environment}:5432"}
        assert instance.hooks()[0] == "activate"
    for environment, instance in instances.items():
        for other in ENVIRONMENTS:
            assert instance.has(f"marker-{other}") == (other == environment) and instance.has(f"password-{other}") == (other == environment)
    # A change goes where it was made, without a new version.
    before = {environment: (instance.version(), instance.hooks()) for environment, instance in instances.items()}
    company.set("staging", "https://two.example.org")
    instances["staging"].wait(url="https://two.example.org", key="marker-staging")
    harness.until(lambda: instances["staging"].hooks() == before["staging"][1] + ["reload"], 60, "the hook's call")
    assert instances["staging"].version() == before["staging"][0]
    for environment in ("development", "production"):
        assert (instances[environment].version(), instances[environment].hooks()) == before[environment]
    # So does one of a data source, and of a secret that its options refer to.
    company.admin("secret", "set", "DB_HOST", "--env", "production", stdin="hidden.db")
    company.admin("source", "set", "main", "--env", "production", "host={{secrets.DB_HOST}}")
    instances["production"].wait(db="hidden.db:5432")
    company.admin("secret", "set", "DB_HOST", "--env", "production", stdin="other.db")
    instances["production"].wait(db="other.db:5432")


def test_what_is_missing_is_said_and_makes_it_ready_once_it_is_set(company):
    company.set("development", "https://one", "key")
    instance = Instance(company, "development")
    company.create()
    company.set("development", host="db")
    instance.wait(url="https://one")
    # The next version requires more than there is.
    more = {**CONTRACT, "requires": {**CONTRACT["requires"], "constants": ["API_URL", "LIMIT"]}}
    company.repository.commit({"apps/shop/sluice.json": json.dumps(more), "apps/shop/index.html": "two\n"}, "more")
    company.admin("version", "create", "shop", "v2", "--no-commit")
    lacks = harness.until(lambda: (lambda s: s["phase"] == "PHASE_NOT_READY" and s)(company.status("development")), 60, "NOT_READY")
    assert "missing constant LIMIT" in lacks["error"] and lacks["config"]["missing"] == ["constant LIMIT"]
    assert instance.version().startswith("v1-") and instance.reads()["url"] == "https://one"
    assert "constant LIMIT" in company.admin("explain", "development-1", "shop").stdout
    company.admin("const", "set", "LIMIT", "--env", "production", "--value", "1")  # of another environment
    company.admin("const", "set", "LIMIT", "--env", "development", "--value", "")  # empty is set
    harness.until(lambda: (instance.version() or "").startswith("v2-"), 60, "v2")
    company.admin("wait", "shop", "--converged", "--env", "development")
    # What is served and loses a value keeps what it has.
    company.admin("const", "unset", "API_URL", "--env", "development")
    lacks = harness.until(lambda: (lambda s: s["phase"] == "PHASE_NOT_READY" and s)(company.status("development")), 60, "NOT_READY")
    assert "missing constant API_URL" in lacks["error"] and instance.reads()["url"] == "https://one" and instance.version().startswith("v2-")
    company.set("development", "https://two")
    instance.wait(url="https://two")


def test_without_a_server_config_stays_and_overrides_win(company):
    company.set("development", "https://one", "key")
    instance = Instance(company, "development")
    company.create()
    company.set("development", host="db")
    instance.wait(url="https://one", key="key")
    company.admin("wait", "shop", "--converged", "--env", "development")
    company.server.kill()
    instance.kill()
    instance.start(env={"SLUICE_CONST__API_URL": "https://mine", "SLUICE_SECRET__API_KEY": "marker-mine"})
    instance.wait(url="https://mine", key="marker-mine")
    harness.until(lambda: instance.hooks()[-1] == "reload", 60, "the hook's call")
    company.server.start()
    told = harness.until(lambda: (lambda s: s.get("config", {}).get("overrides") and s)(company.status("development")), 60, "overrides")
    assert told["config"]["overrides"] == ["constant API_URL", "secret API_KEY"] and "marker-mine" not in json.dumps(told)
    company.set("development", "https://two", "other")
    harness.until(lambda: company.status("development")["config"].get("current"), 60, "what is set now")
    assert instance.reads()["url"] == "https://mine"
    instance.kill()
    instance.start()
    instance.wait(url="https://two", key="other")


def test_another_identity_gets_it_sealed_anew(company):
    company.set("development", "https://one", "key")
    instance = Instance(company, "development")
    company.create()
    company.set("development", host="db")
    instance.wait(url="https://one")
    instance.kill()
    company.admin("instance", "revoke", "development-1", "--yes")
    with open(instance.join, "w", encoding="utf-8") as file:
        file.write(company.admin("instance", "rejoin", "development-1").stdout)
    subprocess.run([harness.AGENT, "enroll", "--join", instance.join, "--state", instance.state], check=True, capture_output=True)
    company.set("development", "https://two")
    instance.start()
    instance.wait(url="https://two")

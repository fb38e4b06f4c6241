"""Agents in a run: an app with versions of known content, with config if asked for (lib/stamps.py), what may be served, and how long they take to
converge."""
import time

import harness
from proxy import Proxy


class Fleet:
    """App c0 with `agents` production instances that serve what is released; each version has its own, whole set of files."""

    def __init__(self, run, server, agents=2, flags=(), reach=None, scheme="git", files=20, agent_env=None, prefix=(), git_proxy=False, stamps=None):
        self.run, self.server, self.files, self.stamps = run, server, files, stamps
        self.whole, self.number = [], 0
        self.repository, self.host = run.world.repository(), run.world.git_host(scheme)
        self.url = self.host.url(self.repository)
        self.git = None  # the proxy before the Git host, if one was asked for
        if git_proxy:
            self.git = run.world.add(Proxy(self.host.port))
            self.url = self.url.replace(f":{self.host.port}/", f":{self.git.port}/")
        client = server.client()
        client.CreateRepository(name="fleet", url=self.url)
        self.commit()
        client.CreateApp(name="fleet", repository="fleet")
        harness.wait_content(client, "fleet", "v1")
        if stamps:
            stamps.change(client)
        for i in range(agents):
            client.RegisterInstance(name=f"prod-{i}", environment="production")
        self.agents = [run.agent(server, f"prod-{i}", flags, reach, prefix, agent_env) for i in range(agents)]

    def commit(self):
        """Most files are the same in each version, one differs: a mix of two would be seen."""
        self.number += 1
        files = {f"{i}.txt": f"{i}\n" for i in range(self.files - 2)}
        files["version.txt"] = files["sub/again.txt"] = f"version {self.number}\n"
        files.update(self.stamps.files(self.number) if self.stamps else {})
        self.whole.append(files)
        self.repository.commit({f"apps/fleet/{path}": text for path, text in files.items()}, f"version {self.number}")

    def next_in_staging(self, client):
        """Commits, makes a version and takes it to staging, published."""
        self.commit()
        name = f"v{self.number}"
        client.CreateVersion(app="fleet", name=name)
        self.to_staging(client, name)
        return name

    def next_version(self, client):
        """The same up to production; not released yet."""
        name = self.next_in_staging(client)
        self.to_production(client, name)
        return name

    def to_staging(self, client, name):
        harness.wait_content(client, "fleet", name, timeout=90)
        client.Promote(app="fleet", version=name, **{"from": "development"})
        harness.wait_published(client, "fleet", name, 90)

    def to_production(self, client, name):
        client.Promote(app="fleet", version=name, **{"from": "staging"})

    def promote(self, client, name):
        self.to_staging(client, name)
        self.to_production(client, name)

    def release(self, client, name):
        return client.Release(app="fleet", version=name)

    def all_serve(self, files):
        return all(agent.serves("fleet") == files for agent in self.agents)

    def change_config(self, client, most=60):
        """And waits for it. As wait_serve()."""
        self.stamps.change(client)
        return self.wait_config(f"change {self.stamps.number} of config", most)

    def wait_config(self, what, most=60):
        return self._wait(lambda: all(self.stamps.has_last(agent) for agent in self.agents), what, most)

    def wait_serve(self, number, what, most=60):
        """Seconds until all agents serve version `number`; the run's evidence gets it as R7."""
        return self._wait(lambda: self.all_serve(self.whole[number - 1]), what, most)

    def _wait(self, condition, what, most):
        start, took = time.monotonic(), None
        while took is None and time.monotonic() - start < most + 15:
            try:
                took = time.monotonic() - start if condition() else None
            except OSError:
                pass  # removed while we read: an older version
            time.sleep(0.02)
        return (what, took, most)

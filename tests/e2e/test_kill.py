"""kill -9 of server and agent, in a loop, under load: nothing acknowledged is lost, the store stays sound, every instance
serves a whole version. Rounds: SLUICE_KILL_ROUNDS (100)."""
import os
import random
import threading
import time

import harness

ROUNDS = int(os.environ.get("SLUICE_KILL_ROUNDS", "100"))
SEED = int(os.environ.get("SLUICE_SEED", str(random.randrange(1 << 30))))


class Bot:
    """Makes versions and takes them to production, for ever; remembers every acknowledged step."""

    def __init__(self, server, app):
        self.server, self.app, self.stopping = server, app, False
        self.acknowledged = []  # (version, environment)
        self.released = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _try(self, client, method, request_id, **fields):
        """Until it is acknowledged, always with the same request id."""
        while not self.stopping:
            try:
                return getattr(client, method)(write={"request_id": request_id}, timeout=60, **fields)
            except harness.Refused as refused:
                if refused.code.name not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN"):
                    if refused.reason not in ("GATE_BLOCKED", "CONTENT_NOT_READY"):
                        raise
                time.sleep(0.05)  # between two tries
        return None

    def _run(self):
        client = self.server.client()
        number = 0
        while not self.stopping:
            number += 1
            name = f"n{number}"
            if self._try(client, "CreateVersion", f"{self.app}-{name}-create", app=self.app, name=name, **{"from": "v1"}) is None:
                return
            self.acknowledged.append((name, "development"))
            for source, target in (("development", "staging"), ("staging", "production")):
                if self._try(client, "Promote", f"{self.app}-{name}-{target}", app=self.app, version=name, **{"from": source}) is None:
                    return
                self.acknowledged.append((name, target))
            if self._try(client, "Release", f"{self.app}-{name}-release", app=self.app, version=name) is None:
                return
            self.released.append(name)

    def stop(self):
        self.stopping = True
        self.thread.join()


def check(client, bot):
    """All that was acknowledged is there, each once."""
    ranks = {"development": 1, "staging": 2, "production": 3}
    versions, token = {}, ""
    while True:
        answer = client.ListVersions(app=bot.app, page={"page_size": 1000, "page_token": token})
        for version in answer.versions:
            assert version.name not in versions
            versions[version.name] = version
        token = answer.page.next_page_token
        if not token:
            break
    for name, environment in list(bot.acknowledged):
        assert name in versions and ranks[versions[name].environment] >= ranks[environment], (name, environment)
    promotions, token = [], ""
    while True:
        answer = client.ListPromotions(app=bot.app, page={"page_size": 1000, "page_token": token})
        promotions += [(p.version.name, p.to) for p in answer.promotions]
        token = answer.page.next_page_token
        if not token:
            break
    assert len(promotions) == len(set(promotions)), "a promotion took effect twice"
    assert len([v for v in versions.values() if v.released]) <= 1


def test_kill_server_and_agents_in_a_loop(world):
    random.seed(SEED)
    print("seed", SEED)
    repository = world.repository()
    host = world.git_host("git")
    files = {f"apps/shop/{i}.txt": f"{i}\n" for i in range(20)}
    repository.commit(files)
    server = world.server(["--heartbeat", "2s"])
    client = server.client()
    whole = {f"{i}.txt": f"{i}\n" for i in range(20)}
    for i in (1, 2):
        client.RegisterInstance(name=f"prod-{i}", environment="production")
    client.CreateApp(name="shop", repository_url=host.url(repository))
    harness.wait_content(client, "shop", "v1")
    agents = [world.agent(server, f"prod-{i}") for i in (1, 2)]
    bot = Bot(server, "shop")
    try:
        harness.until(lambda: all(agent.serves("shop") for agent in agents), 60, "the first release")
        for round_number in range(ROUNDS):
            time.sleep(random.uniform(0.05, 0.4))  # any moment
            if round_number % 2 == 0:
                server.kill()
                if round_number % 10 == 0:
                    server.verify()
                server.start()
            agent = random.choice(agents)
            if round_number % 3 == 0:
                agent.kill()
                assert agent.serves("shop") == whole
                agent.start()
            for agent in agents:
                assert agent.serves("shop") == whole
            if round_number % 10 == 9:
                check(server.client(), bot)
    finally:
        bot.stop()
    client = server.client()
    check(client, bot)
    assert len(bot.released) >= 3, "too little load"
    waited = client.WaitFor(condition=1, app="shop", environment="production", timeout_ms=60000, timeout=70)
    assert waited.done, waited
    assert server.stop() == 0
    server.verify()

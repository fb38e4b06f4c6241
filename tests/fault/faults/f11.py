"""F11: the server is killed, and thousands of agents reconnect at once over TLS, among them some whose certificate has expired and some that were revoked.
99 % of the good ones are back within 60 s; none of the others is ever let in, as no HTTP/2 is ever heard by it; and who is revoked while it is
connected is out within 5 s. The eight recording clients get on."""
import time

from storm import Enroller, Storm

TEXT = "a reconnect storm over TLS with expired and revoked agents; revocation of those that are connected"
ROUNDS, FULL = 500, 5000  # agents
SECONDS = 30
BACK_S, OUT_S = 60, 5


def back(run, storm, what):
    goal = storm.wanted - storm.wanted // 100
    took = storm.run(lambda: storm.greeted >= goal, BACK_S + 15)
    run.note(f"{what}: 99 % of {storm.wanted} agents after {'never' if took is None else f'{took:.1f} s'}, {sum(a.dials for a in storm.agents.values())} dials so far")
    run.report.require(took is not None and took <= BACK_S, "R7", f"{what}: {storm.greeted} of {storm.wanted} agents after {BACK_S} s")
    refused(run, storm, what)


def refused(run, storm, what):
    run.report.judged.add("access")
    for name in sorted(storm.unwanted):
        if storm.agents[name].heard:
            run.report.found("access", f"{what}: {name} was let in")


def revoke(run, storm, client, names):
    """Those that are connected hear no more within 5 s of the acknowledgement, and are refused from then on."""
    since = {}
    for name in names:
        client.RevokeInstance(instance=name)
        since[name] = time.monotonic()
    storm.run(lambda: not any(storm.agents[name].greeted for name in names), OUT_S + 5)
    late = []
    for name in names:
        agent = storm.agents[name]
        out_s = time.monotonic() - since[name] if agent.greeted else agent.ended_at - since[name]
        late += [f"{name}: its stream went on for {out_s:.1f} s after it was revoked"] if agent.greeted or out_s > OUT_S else []
        storm.greeted -= agent.greeted
        storm.unwanted.add(name)
    storm.greeted = sum(agent.greeted for name, agent in storm.agents.items() if name not in storm.unwanted)
    run.report.require(not late, "access", "; ".join(late[:5]))
    run.note(f"{len(names)} connected agents revoked: the last was out {max(storm.agents[n].ended_at - since[n] for n in names):.1f} s after")
    storm.forget_heard()


def run(run):
    agents, some = run.rounds, max(run.rounds // 20, 4)
    server = run.server(["--door-rate", "0", "--door-peer-rate", "0"], tls=True, env={"SLUICE_ACCEPTS_PER_SECOND": "300", "SLUICE_AGENT_CERT_LIFE": "2s"})
    folder = run.world.path("agents")
    enroller = Enroller(server, folder)
    storm = run.world.add(Storm(server, run.random))
    expired = enroller.enroll_all([f"expired-{i}" for i in range(some)])
    server.stop()
    server.env["SLUICE_AGENT_CERT_LIFE"] = "24h"
    server.start()
    good = enroller.enroll_all([f"agent-{i}" for i in range(agents - 2 * some)])
    revoked = enroller.enroll_all([f"revoked-{i}" for i in range(some)])
    client = server.client()
    for name in revoked:
        client.RevokeInstance(instance=name)
    storm.unwanted = set(expired) | set(revoked)
    storm.add({**expired, **good, **revoked}, folder + "/key.pem")
    run.load(server, watchers=1)
    back(run, storm, "first connection")
    for what in ("after kill -9", "after another kill -9, some revoked meanwhile"):
        server.kill()
        storm.lose()
        server.start()
        back(run, storm, what)
        run.wait_progress(20)
        if what == "after kill -9":
            revoke(run, storm, client, run.random.sample(sorted(good), some))
    storm.run(lambda: False, 2)
    refused(run, storm, "at the end")
    run.count("agents", agents)
    run.finish(server)

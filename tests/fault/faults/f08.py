"""F8: clocks jump while programs run, of the server and of agents: an hour, 200 days and ten years, forward and back. Who is there is measured
monotonically, so nobody is late for it; request ids, log and stores hold; what has a date fails closed, and all is well again by itself once the
clock is right: certificates (those that the server renewed in a wrong future, too), manifests, tokens."""
import subprocess
import time

import grpc
import harness
import secure
from clock import DAY, HOUR, SEEN_S, YEARS, Clock, text
from fleet import Fleet

TEXT = "clocks of server and agents jump an hour, 200 days and ten years, forward and back"
ROUNDS, FULL = 1, 10
SECONDS = 125
ONLINE = 2
BACK_S = 60


def liveness(client, names):
    return [client.GetInstance(instance=name).instance.agent.liveness for name in names]


# --- in the clear: the eight clients, the change stream, agents -----------------------------------


def jump(run, client, fleet, clock, who, seconds):
    """Nobody is taken for late while it lasts, nor when it ends; a release that falls into it has arrived soon after."""
    names = [agent.instance for agent in fleet.agents]
    name = "v2" if client.GetRelease(app="fleet").release.version.name == "v1" else "v1"
    what = f"{who} {text(seconds)}"
    for move in (seconds, 0):
        clock.move(move)
        until, seen = time.monotonic() + SEEN_S + 1, set()
        while time.monotonic() < until:
            seen |= set(liveness(client, names))
            time.sleep(0.1)
        run.report.require(seen == {ONLINE}, "R7", f"{what}: liveness {sorted(seen)} with the clock at {move:+d} s")
        if move:
            fleet.release(client, name)
            time.sleep(1)
    run.count("jumps")
    return fleet.wait_serve(int(name[1:]), what)


def in_the_clear(run):
    server_clock, agent_clock = Clock(run.world.path("server-clock")), Clock(run.world.path("agent-clock"))
    server = run.server(["--heartbeat", "1s"], env=server_clock.env())
    fleet = Fleet(run, server, agent_env=agent_clock.env())
    client = server.client()
    fleet.promote(client, "v1")
    fleet.release(client, "v1")
    converged = [fleet.wait_serve(1, "first release")]
    fleet.next_version(client)
    run.observe(fleet.agents, "fleet")
    run.load(server, watchers=3)
    for _ in run.turns(part=0.5):
        for seconds in (HOUR, -HOUR, YEARS, -YEARS):
            converged.append(jump(run, client, fleet, server_clock, "server", seconds))
        for seconds in (YEARS, -YEARS):
            converged.append(jump(run, client, fleet, agent_clock, "agents", seconds))
    run.wait_progress(20)
    # Agents that came while the server was in the future take its word again when it is back.
    server_clock.move(YEARS)
    server.kill()
    server.start()
    client = server.client()
    names = [agent.instance for agent in fleet.agents]
    harness.until(lambda: liveness(client, names) == [ONLINE] * 2, BACK_S, "agents at the server of the future")
    server_clock.move(0)
    time.sleep(SEEN_S)
    name = "v2" if client.GetRelease(app="fleet").release.version.name == "v1" else "v1"
    fleet.release(client, name)
    converged.append(fleet.wait_serve(int(name[1:]), "agents that connected in a wrong future"))
    run.stop_load()
    evidence = run.evidence(server, log=run.kept())  # ten years on, the log's beginning is past its retention
    evidence.whole, evidence.converged = fleet.whole, converged
    run.finish(server, evidence)


# --- over TLS: what has a date -----------------------------------------------------------------------


class Dated:
    """A server with two enrolled agents, and everything that a wrong clock could let in or keep out."""

    def __init__(self, run):
        self.run, self.clock, self.agent_clock = run, Clock(run.world.path("dated-clock")), Clock(run.world.path("dated-agents"))
        self.server = run.server(["--heartbeat", "500ms"], folder=run.world.path("dated"), tls=True, env=self.clock.env())
        self.client = self.server.client()
        self.names, self.agents = ["dev-1", "dev-2"], []
        _, self.request = secure.make_key(run.world.path("request"))
        for name in self.names:
            self.client.RegisterInstance(name=name, environment="development")
            state = run.world.path(name)
            done = subprocess.run([harness.AGENT, "enroll", "--join", self.invite(name), "--state", state], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            program = run.world.add(harness.Program([harness.AGENT, "run", "--state", state], env=self.agent_clock.env()))
            self.agents.append(program)
        self.all_there("at the start")

    def invite(self, name):
        return self.server.invite(self.client, name, self.run.world.path(f"join-{name}-{time.monotonic_ns()}.json"))

    def require(self, condition, text):
        self.run.report.require(condition, "access", text)

    def fresh(self):
        """A client that shakes hands now."""
        return self.server.client()

    def answers(self, client, timeout=5):
        try:
            client.ListEnvironments(timeout=timeout, wait_for_ready=False)
            return "OK"
        except harness.Refused as refused:
            return refused.reason or refused.code.name

    def all_there(self, what):
        began = time.monotonic()

        def look():
            client = self.fresh()
            try:
                return liveness(client, self.names) == [ONLINE] * len(self.names)
            except harness.Refused:
                return False

        try:
            harness.until(look, BACK_S, "agents")
            self.run.note(f"{what}: agents and a new client are in after {time.monotonic() - began:.1f} s")
            self.run.report.judged.add("R7")
        except AssertionError:
            self.run.report.found("R7", f"{what}: agents or new clients were still out {BACK_S} s after the clock was right")
        self.client = self.fresh()
        self.run.report.require(self.server.program.running and all(agent.running for agent in self.agents), "R6", f"{what}: a program has ended")

    def server_jumps(self, seconds, calls, streams_end):
        """calls: what a new client hears while it lasts."""
        what, stream = f"server {text(seconds)}", self.client.watch()
        next(stream)
        self.clock.move(seconds)
        time.sleep(SEEN_S)
        heard = self.answers(self.fresh())
        self.require(heard in calls, f"{what}: a new client heard {heard}, not {calls}")
        if streams_end:
            self.require(ends_within(stream, 5), f"{what}: a stream whose certificate has expired went on")
            old = self.answers(self.client)
            self.require(old in ("CERTIFICATE_EXPIRED", "UNAVAILABLE"), f"{what}: an expired certificate heard {old}")
        stream.cancel()
        self.tokens(what, seconds)
        time.sleep(1.5)  # what the server does by the second it has done
        self.clock.move(0)
        time.sleep(SEEN_S)
        self.all_there(f"after {what}")
        self.run.count("jumps")

    def tokens(self, what, seconds):
        """One that was made before a jump forward has run out; nothing of what is made in a wrong time lets anybody in later."""
        if seconds < 30 * DAY:
            return
        try:
            self.server.door().Login(timeout=5, wait_for_ready=False, token=self.server.token, certificate_request=self.request)
            self.require(seconds < YEARS, f"{what}: a certificate was made after the CA's own end")
        except harness.Refused:
            pass

    def join_token_expires(self):
        join, state = self.invite("dev-2"), self.run.world.path("late")
        self.clock.move(HOUR)
        time.sleep(SEEN_S)
        done = subprocess.run([harness.AGENT, "enroll", "--join", join, "--state", state], capture_output=True, text=True)
        self.require(done.returncode != 0 and "unknown, used, expired or revoked" in done.stderr, f"a token of 15 minutes after an hour: {done.stderr}")
        self.clock.move(0)
        time.sleep(SEEN_S)

    def agents_jump(self, seconds):
        """They keep what they have; they are back when their clock is."""
        self.agent_clock.move(seconds)
        time.sleep(SEEN_S + 2)
        self.require(all(agent.running for agent in self.agents), f"agents {text(seconds)}: one has ended")
        self.agent_clock.move(0)
        time.sleep(SEEN_S)
        self.all_there(f"after agents {text(seconds)}")
        self.run.count("jumps")


def ends_within(stream, seconds):
    began = time.monotonic()
    try:
        while time.monotonic() - began < seconds + 3:
            next(stream)
    except (grpc.RpcError, StopIteration):
        return time.monotonic() - began <= seconds
    return False


def over_tls(run):
    dated = Dated(run)
    for _ in run.turns():
        dated.server_jumps(HOUR, ("OK",), False)
        dated.server_jumps(-HOUR, ("UNAVAILABLE",), False)
        dated.server_jumps(200 * DAY, ("UNAVAILABLE",), True)
        dated.server_jumps(YEARS, ("UNAVAILABLE",), True)
        dated.server_jumps(-YEARS, ("UNAVAILABLE",), False)
        for seconds in (HOUR, YEARS, -YEARS):
            dated.agents_jump(seconds)
    dated.join_token_expires()
    code = dated.server.stop()
    run.report.require(code == 0, "R6", f"SIGTERM: exit code {code}")
    run.verify(dated.server)


def run(run):
    in_the_clear(run)
    over_tls(run)

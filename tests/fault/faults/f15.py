"""F15: a Git host between which and us bits flip and packs are cut off: while the server resolves and publishes, and while agents fetch.
Damage may make an attempt fail; it never becomes content, and all is well when the damage ends. Then their mirrors are damaged on disk: bits
flip, files are cut short, objects are gone, refs are locked for ever; a mirror is mended or made anew. A tree with a link is refused."""
import os
import time

import harness
from fleet import Fleet

TEXT = "packs flipped and cut off on the wire, mirrors on disk; links in a tree"
ROUNDS, FULL = 6, 200
SECONDS = 70
DAMAGED_S = 2


class Damage:
    """Flips one bit in some of the pieces that pass downward, or cuts the connection there."""

    def __init__(self, random, cut):
        self.random, self.cut, self.done = random, cut, 0

    def __call__(self, piece, up, offset):
        if up or not piece or offset + len(piece) < 100 or self.random.random() < 0.3:
            return piece
        self.done += 1
        if self.cut:
            raise OSError("cut")
        at = self.random.randrange(len(piece))
        return piece[:at] + bytes([piece[at] ^ (1 << self.random.randrange(8))]) + piece[at + 1:]


def run(run):
    server = run.server(["--heartbeat", "1s", "--git-deadline", "5s"])
    fleet = Fleet(run, server, agents=1, flags=["--git-deadline", "5s"], git_proxy=True)
    client = server.client()
    fleet.promote(client, "v1")
    fleet.release(client, "v1")
    converged = [fleet.wait_serve(1, "first release")]
    run.observe(fleet.agents, "fleet")
    run.load(server, watchers=2, count=4)
    for number in run.turns(least=2):
        server_side(run, fleet, client, number % 2 == 1)
        name = f"v{fleet.number}"
        damage = fleet.git.change = Damage(run.random, number % 2 == 0)
        fleet.to_production(client, name)
        fleet.release(client, name)
        time.sleep(DAMAGED_S)
        fleet.git.heal()
        run.count("pieces damaged on the way to agents", damage.done)
        converged.append(fleet.wait_serve(fleet.number, f"round {number}: damaged fetch"))
        converged.append(on_disk(run, fleet, client, number))
    link_in_tree(run, fleet, client)
    evidence = run.evidence(server)
    evidence.whole, evidence.converged = fleet.whole, converged
    run.finish(server, evidence)


def server_side(run, fleet, client, cut):
    """A version whose content and tag pass through damage; it ends with exactly what was committed."""
    damage = fleet.git.change = Damage(run.random, cut)
    fleet.commit()
    name = f"v{fleet.number}"
    commit = harness.git("rev-parse", "HEAD", cwd=fleet.repository.work)
    tree = harness.git("rev-parse", "HEAD:apps/fleet", cwd=fleet.repository.work)
    client.CreateVersion(app="fleet", name=name, commit=commit)
    time.sleep(DAMAGED_S)
    fleet.git.heal()
    fleet.git.reset()
    client.RefreshRepository(repository="fleet")
    run.count("pieces damaged on the way to the server", damage.done)
    content = harness.until(lambda: settled(client, name), 60, f"content of {name}")
    if content.state != 2:  # the damage was taken for an answer, such as a commit that is not there: ask again
        run.count(f"contents that failed with reason {content.reason}")
        client.SetVersionContent(app="fleet", version=name, commit=commit)
        content = harness.wait_content(client, "fleet", name, timeout=60)
    run.report.require((content.commit, content.tree) == (commit, tree), "R6", f"{name}: commit {content.commit}, tree {content.tree}, not {commit}, {tree}")
    fleet.to_staging(client, name)


def on_disk(run, fleet, client, number):
    """The server resolves and publishes over a damaged mirror, then an agent fetches into one."""
    agent = fleet.agents[0]
    damage_mirrors(run, fleet.server.folder, number)
    fleet.commit()
    name, commit = f"v{fleet.number}", harness.git("rev-parse", "HEAD", cwd=fleet.repository.work)
    tree = harness.git("rev-parse", "HEAD:apps/fleet", cwd=fleet.repository.work)
    client.CreateVersion(app="fleet", name=name)
    try:
        content = harness.wait_content(client, "fleet", name, timeout=60)
    except AssertionError:
        raise AssertionError(f"{name}, damaged mirror: {client.GetVersion(app='fleet', version=name).version.content}") from None
    run.report.require((content.commit, content.tree) == (commit, tree), "R6", f"{name}, damaged mirror: {content.commit}, {content.tree}, not {commit}, {tree}")
    fleet.to_staging(client, name)
    damage_mirrors(run, agent.folder, number + 1)
    fleet.to_production(client, name)
    fleet.release(client, name)
    return fleet.wait_serve(fleet.number, f"round {number}: damaged mirrors")


def damage_mirrors(run, folder, number):
    """Every mirror below the folder; how, goes round by number."""
    files = [os.path.join(top, file) for top, _, names in os.walk(os.path.join(folder, "mirrors")) for file in names]
    objects = sorted(file for file in files if f"{os.sep}objects{os.sep}" in file)
    run.report.require(objects, "run", f"{folder}: no mirror to damage")
    kind = ("flipped", "cut short", "gone", "refs", "locked")[number % 5]
    refs = [file for file in files if os.path.basename(file) in ("HEAD", "packed-refs") or f"{os.sep}refs{os.sep}" in file]
    run.count(f"mirrors damaged: {kind}")
    if kind == "locked":
        return lock(refs)
    if kind == "refs":
        objects = refs
    for file in objects if kind in ("gone", "refs") else run.random.sample(objects, max(len(objects) // 2, 1)):
        size = os.path.getsize(file)
        os.chmod(file, 0o600)
        if kind == "gone":
            os.unlink(file)
        elif kind == "cut short" or size == 0:
            os.truncate(file, size // 2)
        else:
            with open(file, "r+b") as out:
                at = run.random.randrange(size)
                out.seek(at)
                byte = out.read(1)[0]
                out.seek(at)
                out.write(bytes([byte ^ (1 << run.random.randrange(8))]))
    return None


def lock(files):
    """As of a process that was killed while it wrote them."""
    for file in files:
        with open(file + ".lock", "w", encoding="ascii") as out:
            out.write("half")


def settled(client, name):
    content = client.GetVersion(app="fleet", version=name).version.content
    waits = content.state == 1 or (content.state == 3 and content.reason == 1)
    return None if waits else content


def link_in_tree(run, fleet, client):
    """A link must not become content, neither as a link nor as what it leads to."""
    link = os.path.join(fleet.repository.work, "apps/fleet/link")
    os.symlink("/etc/hostname", link)
    fleet.repository.commit({})
    client.CreateVersion(app="fleet", name="evil")
    content = harness.until(lambda: settled(client, "evil"), 60, "content of the version with a link")
    run.report.require(content.state == 3 and content.reason == 10 and content.rule == "LINK", "R5", f"a tree with a link: {content}")
    os.unlink(link)
    fleet.repository.commit({})
    run.count("trees with a link")

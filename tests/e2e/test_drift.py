"""Local changes to what an instance serves: found, told, and by its policy put back."""
import hashlib
import json
import os
import shutil
import signal
import stat
import struct
import subprocess

import harness

REPORT, CORRECT = 1, 2
HEALTHY = 6
FILES = {"apps/shop/index.html": "one\n", "apps/shop/css/site.css": "body {}\n", "apps/shop/run.sh": "#!/bin/sh\n"}
SERVED = {"index.html": "one\n", "css/site.css": "body {}\n", "run.sh": "#!/bin/sh\n"}


class Shop:
    """App `shop` on one instance of production, served; the agent looks five times a second."""

    def __init__(self, world, policy, flags=()):
        self.world, self.repository = world, world.repository()
        self.repository.commit(FILES)
        self.host = world.git_host("git")
        self.server = world.server(["--heartbeat", "2s"])
        self.client = self.server.client()
        self.client.RegisterInstance(name="prod-1", environment="production", drift=policy)
        self.agent = world.agent(self.server, "prod-1", ["--drift-every", "200ms", *flags])
        self.client.CreateApp(name="shop", repository_url=self.host.url(self.repository), version_name="v1")
        harness.wait_content(self.client, "shop", "v1")
        self.client.Promote(app="shop", version="v1", **{"from": "development"})
        harness.wait_published(self.client, "shop", "v1")
        self.client.Promote(app="shop", version="v1", **{"from": "staging"})
        self.client.Release(app="shop", version="v1")
        harness.until(lambda: self.agent.serves("shop") == SERVED and self.status().phase == HEALTHY, 60, "v1 served")
        self.top = os.path.realpath(self.agent.current("shop"))

    def status(self):
        return self.client.GetStatus(app="shop", with_instances=True).instances[0]

    def modified(self):
        return sorted(self.status().drift.files)

    def finds(self, *files):
        harness.until(lambda: self.modified() == sorted(files), 60, f"{files} reported")
        status = self.status()
        assert status.drift.modified == len(files)
        # Apart from phase and health.
        assert status.phase == HEALTHY and status.converged

    def is_whole(self):
        """Served as it was, by link, content and modes."""
        try:
            modes = [(stat.S_IMODE(os.stat(folder).st_mode), {stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode) for name in names})
                     for folder, _, names in os.walk(self.top)]
            return self.agent.serves("shop") == SERVED and os.path.realpath(self.agent.current("shop")) == self.top and all(
                folder == 0o555 and files == {0o444} for folder, files in modes)
        except FileNotFoundError:  # it is about to be
            return False

    def is_back(self, corrected):
        """What was changed shows until it is put back; a look in the middle of a change counts it twice."""
        harness.until(lambda: self.is_whole() and self.status().drift.corrected >= corrected and self.status().drift.modified == 0, what="put back")

    def change(self, act):
        """While the agent does not put half of it back."""
        self.agent.program.kill(signal.SIGSTOP)
        try:
            act()
        finally:
            self.agent.program.kill(signal.SIGCONT)

    def path(self, name):
        return os.path.join(self.top, name)

    def edit(self, name, text):
        folder = os.path.dirname(self.path(name))
        mode = stat.S_IMODE(os.stat(folder).st_mode)
        os.chmod(folder, 0o755)
        if os.path.lexists(self.path(name)) and not os.path.islink(self.path(name)):
            os.chmod(self.path(name), 0o644)
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(self.path(name), 0o444)
        os.chmod(folder, mode)


def opened(folder, act):
    os.chmod(folder, 0o755)
    act()
    os.chmod(folder, 0o555)


def lead_away(path):
    os.unlink(path)
    os.symlink("/etc/hostname", path)


def test_what_was_changed_is_reported_and_left(world):
    shop = Shop(world, REPORT)
    assert shop.server.metric("sluice_modified_apps") == 0
    shop.edit("index.html", "mine\n")
    shop.finds("index.html")
    shop.edit("new.html", "more\n")
    shop.finds("index.html", "new.html")
    assert shop.server.metric("sluice_modified_apps") == 1
    why = shop.client.Explain(instance="prod-1", app="shop")
    step = next(s for s in why.steps if s.subject == "drift")
    assert "MODIFIED" in step.text and "index.html" in step.text and "REPORT" in step.text
    assert "serves version 'v1'" in why.conclusion
    said = subprocess.run([harness.AGENT, "status", "--state", shop.agent.folder], capture_output=True, text=True, timeout=60).stdout
    assert "MODIFIED" in said and "modified: index.html" in said
    cli = [harness.CLI, "--server", f"127.0.0.1:{shop.server.port}"]
    assert "MODIFIED" in subprocess.run([*cli, "status", "shop"], capture_output=True, text=True, timeout=60).stdout
    # A restart of either forgets nothing, also with the Git host away.
    shop.host.stop()
    shop.agent.kill()
    said = subprocess.run([harness.AGENT, "status", "-o", "json", "--state", shop.agent.folder], capture_output=True, text=True, timeout=60).stdout
    assert json.loads(said)["apps"][0]["modifiedFiles"] == ["index.html", "new.html"]
    shop.server.kill()
    shop.client = shop.server.start().client()
    shop.agent.start()
    shop.finds("index.html", "new.html")
    assert shop.agent.serves("shop")["index.html"] == "mine\n"
    # Put right by hand, it is not modified any more.
    shop.edit("index.html", "one\n")
    opened(shop.top, lambda: os.unlink(shop.path("new.html")))
    shop.finds()
    assert shop.status().drift.corrected == 0


def test_every_kind_of_change_is_found_and_put_back(world):
    shop = Shop(world, CORRECT)
    shop.host.stop()  # what it has is enough
    link = shop.agent.current("shop")
    elsewhere = world.path("elsewhere")
    os.makedirs(elsewhere)
    changes = [
        lambda: shop.edit("index.html", "mine\n"),
        lambda: opened(shop.top, lambda: os.unlink(shop.path("index.html"))),
        lambda: shop.edit("css/new.css", "new\n"),
        lambda: os.chmod(shop.path("run.sh"), 0o755),
        lambda: opened(shop.top, lambda: lead_away(shop.path("index.html"))),
        lambda: os.chmod(shop.top, 0o777),
        lambda: (os.chmod(shop.top, 0o755), os.rename(shop.top, world.path("taken"))),
        lambda: (os.unlink(link), os.symlink(elsewhere, link)),
        lambda: os.unlink(link),
        lambda: (shutil.rmtree(shop.top), os.symlink(elsewhere, shop.top)),
    ]
    for number, change in enumerate(changes, 1):
        shop.change(change)
        shop.is_back(number)
    assert shop.server.metric("sluice_corrections_total") >= len(changes)
    assert not any(name for name in os.listdir(os.path.join(shop.agent.folder, "staging")) if name.startswith("new")), "nothing is left over"


def test_it_serves_one_or_the_other_while_it_is_put_back(world):
    shop = Shop(world, CORRECT)
    for number in range(1, 6):
        shop.edit("index.html", f"mine {number}\n")
        seen = set()

        def whole():
            found = shop.agent.serves("shop")
            seen.add(found["index.html"])
            assert set(found) == set(SERVED), found
            return shop.status().drift.corrected >= number and found == SERVED

        harness.until(whole, 60, "put back")
        assert seen <= {f"mine {number}\n", "one\n"}


def print_of(top):
    """What agent/drift/scan.c makes of a folder."""
    sums = [0] * 4

    def add(path, name, parent):
        st = os.lstat(path)
        facts = struct.pack("=7Q4q", parent, st.st_ino, st.st_dev, st.st_size, st.st_mode, st.st_uid << 32 | st.st_gid, st.st_nlink,
                            st.st_ctime_ns // 10**9, st.st_ctime_ns % 10**9, st.st_mtime_ns // 10**9, st.st_mtime_ns % 10**9)
        lanes = struct.unpack(">4Q", hashlib.blake2b(facts + name.encode() + b"\0", digest_size=32).digest())
        sums[:] = [(a + b) % 2**64 for a, b in zip(sums, lanes)]
        if stat.S_ISDIR(st.st_mode):
            for entry in os.listdir(path):
                add(os.path.join(path, entry), entry, st.st_ino)

    add(top, "", 0)
    return struct.pack("=4Q", *sums)


def test_a_change_that_no_look_shows_is_found_by_its_bytes(world):
    shop = Shop(world, CORRECT)
    state, before = os.path.join(shop.agent.folder, "state"), print_of(shop.top)
    harness.until(lambda: before in open(state, "rb").read(), 60, "the print on record")
    shop.agent.kill()
    shop.edit("index.html", "two\n")
    with open(state, "rb") as file:
        forged = file.read().replace(before, print_of(shop.top))
    with open(state, "wb") as file:
        file.write(forged)
    shop.agent.start()
    shop.agent.program.wait_line("connected")
    harness.until(lambda: shop.status().liveness == 2, 60, "the agent")
    assert shop.agent.serves("shop")["index.html"] == "two\n" and shop.modified() == []
    shop.agent.kill()
    shop.agent.flags += ["--compare-every", "300ms"]
    shop.agent.start()
    shop.is_back(1)


def test_a_lost_mirror_is_fetched_for_it(world):
    shop = Shop(world, CORRECT)
    shutil.rmtree(os.path.join(shop.agent.folder, "mirrors"))
    os.makedirs(os.path.join(shop.agent.folder, "mirrors"))
    shop.edit("index.html", "mine\n")
    shop.is_back(1)


def test_a_policy_that_changes_acts_on_what_is_there(world):
    shop = Shop(world, REPORT)
    shop.edit("index.html", "mine\n")
    shop.finds("index.html")
    shop.client.UpdateInstance(instance="prod-1", drift=CORRECT)
    shop.is_back(1)


def test_what_is_bound_over_the_folder_is_found(world):
    shop = Shop(world, CORRECT)
    other = world.path("other")
    shutil.copytree(shop.top, other)
    subprocess.run(["mount", "--bind", other, shop.top], check=True)
    try:
        harness.until(lambda: "." in shop.modified(), 60, "the mount")
        harness.until(lambda: any("mounted" in line for line in shop.agent.program.lines), 60, "why it is not put back")
    finally:
        subprocess.run(["umount", "-l", shop.top], check=True)
    harness.until(lambda: shop.status().drift.modified == 0, 60, "nothing modified any more")

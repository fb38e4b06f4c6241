"""An agent's folder in the hands of somebody else: mirrors poisoned between runs, names taken, links laid out; and what a server can say
beside manifests."""
import os
import stat
import threading
import time

import pytest
import harness
import hostile_host
import hostile_world
import raw_git

NEW = {"index.html": b"<h1>new</h1>\n", "a/b/c.txt": b"c\n"}


@pytest.fixture
def victim(services):
    world = harness.World(services)
    made = hostile_world.Victim(services, world.path("victim"))
    try:
        yield made.start()
    finally:
        made.end()
        world.end()


@pytest.fixture
def trap():
    made = hostile_host.Trap()
    yield made
    made.end()


def publish(victim, files, name="next"):
    """A further version in the good repository: its bundle."""
    root = victim.objects.folder(files)
    commit = victim.objects.commit(root, message=name.encode())
    victim.host.server.repositories["good"].refs[f"refs/tags/{name}"] = commit
    return victim.bundle(victim.good_url, commit, root, raw_git.digest_of(files), version=name, repository=1, ref=f"refs/tags/{name}")


def mirror(victim):
    return os.path.join(victim.folder, "agent/mirrors", victim.good.repository_id + ".git")


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)


def add_config(text):
    def poison(top, victim, trap):
        with open(os.path.join(top, "config"), "a", encoding="ascii") as file:
            file.write(text.format(trap=trap.port, good=victim.good_url, outside=os.path.join(victim.folder, "outside"),
                                   owned=os.path.join(victim.folder, "outside/owned")))

    return poison


def hooks(top, victim, trap):
    for hook in ("post-checkout", "pre-push", "reference-transaction", "post-update", "fsmonitor-watchman", "post-index-change"):
        write(os.path.join(top, "hooks", hook), f"#!/bin/sh\ntouch {victim.folder}/outside/owned\n", 0o755)


def alternates(top, victim, trap):
    write(os.path.join(top, "objects/info/alternates"), f"{victim.folder}/outside\n../../../../../outside\n")


def config_is_a_fifo(top, victim, trap):
    os.unlink(os.path.join(top, "config"))
    os.mkfifo(os.path.join(top, "config"))


def config_leads_out(top, victim, trap):
    os.unlink(os.path.join(top, "config"))
    os.symlink(os.path.join(victim.folder, "outside/home/.gitconfig"), os.path.join(top, "config"))


def config_is_gone(top, victim, trap):
    os.unlink(os.path.join(top, "config"))


def config_is_garbage(top, victim, trap):
    write(os.path.join(top, "config"), "\x01[[[\n")


def head_is_gone(top, victim, trap):
    os.unlink(os.path.join(top, "HEAD"))


def objects_lead_out(top, victim, trap):
    os.rename(os.path.join(top, "objects"), os.path.join(top, "was"))
    os.symlink(os.path.join(victim.folder, "outside"), os.path.join(top, "objects"))


def refs_lead_out(top, victim, trap):
    os.rename(os.path.join(top, "refs"), os.path.join(top, "was"))
    os.symlink(os.path.join(victim.folder, "outside"), os.path.join(top, "refs"))


def packed_refs_lie(top, victim, trap):
    write(os.path.join(top, "packed-refs"), "# pack-refs with: peeled\n" + "4" * 40 + " refs/../../../outside/owned\n")


def commondir(top, victim, trap):
    write(os.path.join(top, "commondir"), f"{victim.folder}/outside\n")


def packs_are_garbage(top, victim, trap):
    folder = os.path.join(top, "objects/pack")
    for name in os.listdir(folder):
        os.chmod(os.path.join(folder, name), 0o600)
        write(os.path.join(folder, name), "owned\n")


POISONS = {
    "hooks": hooks,
    "fsmonitor": add_config("[core]\n\tfsmonitor = touch {owned}\n\thooksPath = {outside}\n"),
    "ssh-command": add_config("[core]\n\tsshCommand = touch {owned}\n\tgitProxy = touch {owned}\n\taskPass = touch {owned}\n"),
    "filters": add_config('[filter "x"]\n\tsmudge = touch {owned}\n\tprocess = touch {owned}\n\trequired = true\n[core]\n\tattributesFile = {outside}\n'),
    "instead-of": add_config('[url "http://127.0.0.1:{trap}/"]\n\tinsteadOf = {good}\n\tinsteadOf = http://\n'),
    "instead-of-file": add_config('[url "file://{outside}/"]\n\tinsteadOf = http://\n'),
    "proxy": add_config("[http]\n\tproxy = http://127.0.0.1:{trap}\n\tsslVerify = false\n"),
    "include": add_config("[include]\n\tpath = {outside}/home/.gitconfig\n\tpath = ../../../../etc/passwd\n"),
    "worktree": add_config("[core]\n\tworktree = {outside}\n\tbare = false\n"),
    "format": add_config("[core]\n\trepositoryformatversion = 99\n"),
    "remote": add_config('[remote "x"]\n\turl = http://127.0.0.1:{trap}/\n\tfetch = +refs/*:refs/*\n\tuploadpack = touch {owned}\n'),
    "alternates": alternates,
    "config-is-a-fifo": config_is_a_fifo,
    "config-leads-out": config_leads_out,
    "config-is-gone": config_is_gone,
    "config-is-garbage": config_is_garbage,
    "head-is-gone": head_is_gone,
    "objects-lead-out": objects_lead_out,
    "refs-lead-out": refs_lead_out,
    "packed-refs-lie": packed_refs_lie,
    "commondir": commondir,
    "packs-are-garbage": packs_are_garbage,
}


@pytest.mark.parametrize("case", POISONS)
def test_a_poisoned_mirror_gives_the_right_bytes_or_an_error(services, trap, case):
    world = harness.World(services)
    victim = hostile_world.Victim(services, world.path("victim"), ["--git-deadline", "2s"])
    try:
        victim.start()
        POISONS[case](mirror(victim), victim, trap)
        outside = os.path.join(victim.folder, "outside")
        before = hostile_world.tree_hash(outside)
        bundle = publish(victim, NEW)
        victim.offer(bundle)
        victim.plane._wait(lambda: any(r.version_id == bundle.version_id and (r.error or r.phase == hostile_world.HEALTHY) for r in victim.plane.reports), 20,
                           case)
        healthy = any(r.version_id == bundle.version_id and r.phase == hostile_world.HEALTHY for r in victim.plane.reports)
        victim.assert_serving(NEW if healthy else None)
        assert hostile_world.tree_hash(outside) == before and not trap.caught
        assert healthy or case in ("config-is-a-fifo", "objects-lead-out", "refs-lead-out", "commondir", "worktree", "config-leads-out", "include"), \
            [r.error for r in victim.plane.reports if r.error][-1]
        victim.assert_answers()
    finally:
        victim.end()
        world.end()


# --- the places where a version goes ---------------------------------------------------


def version_folder(victim, bundle):
    return os.path.join(victim.folder, "agent/apps/shop/versions", f"{bundle.version}-{bundle.digest.hex()[:12]}")


def taken_by_a_folder(victim, bundle):
    write(os.path.join(version_folder(victim, bundle), "index.html"), "owned\n")


def taken_by_a_file(victim, bundle):
    write(version_folder(victim, bundle), "owned\n")


def taken_by_a_link(victim, bundle):
    os.symlink(os.path.join(victim.folder, "outside"), version_folder(victim, bundle))


def taken_by_a_dangling_link(victim, bundle):
    os.symlink("../../../../nowhere", version_folder(victim, bundle))


def current_new_is_taken(victim, bundle):
    os.symlink(os.path.join(victim.folder, "outside"), os.path.join(victim.folder, "agent/apps/shop/current.new"))


def current_points_out(victim, bundle):
    link = os.path.join(victim.folder, "agent/apps/shop/current")
    os.unlink(link)
    os.symlink(os.path.join(victim.folder, "outside"), link)


def staging_holds_links(victim, bundle):
    staging = os.path.join(victim.folder, "agent/staging")
    os.symlink(os.path.join(victim.folder, "outside"), os.path.join(staging, "new-0000000000000000"))
    os.makedirs(os.path.join(staging, "old-1111111111111111/below"))
    os.symlink(os.path.join(victim.folder, "outside"), os.path.join(staging, "old-1111111111111111/below/out"))


PLACES = [taken_by_a_folder, taken_by_a_file, taken_by_a_link, taken_by_a_dangling_link, current_new_is_taken, current_points_out, staging_holds_links]


@pytest.mark.parametrize("case", PLACES, ids=lambda case: case.__name__)
def test_a_place_that_is_taken_is_freed_and_nothing_else_changes(victim, case):
    outside = os.path.join(victim.folder, "outside")
    before = hostile_world.tree_hash(outside)
    bundle = publish(victim, NEW)
    case(victim, bundle)
    victim.offer(bundle)
    victim.report(bundle, [hostile_world.HEALTHY])
    victim.assert_serving(NEW)
    assert os.path.realpath(victim.agent.current("shop")) == version_folder(victim, bundle)
    assert os.stat(outside).st_mode & 0o777 == 0o755 and hostile_world.tree_hash(outside) == before


def test_current_that_points_out_is_put_right_at_start(victim):
    outside = os.path.join(victim.folder, "outside")
    before = hostile_world.tree_hash(outside)
    victim.agent.kill()
    current_points_out(victim, None)
    victim.agent.start()
    harness.until(lambda: os.path.realpath(victim.agent.current("shop")).startswith(os.path.join(victim.folder, "agent/apps/shop/versions/")), 60, "current")
    victim.assert_serving()
    assert hostile_world.tree_hash(outside) == before


def test_a_state_that_names_what_is_outside_is_refused(victim):
    """Its names become folders: one that leads elsewhere would be removed there."""
    victim.agent.kill()
    path = os.path.join(victim.folder, "agent/state")
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data.replace(b"\x04shop", b"\x04../x"))
    before = hostile_world.tree_hash(victim.folder, ["agent/lock"])
    victim.agent.start()
    assert victim.agent.program.wait(60) != 0
    assert hostile_world.tree_hash(victim.folder, ["agent/lock"]) == before


class Swapper:
    """While somebody stages: each folder that appears below staging is moved away and replaced by a link to outside."""

    def __init__(self, victim, what):
        self.staging, self.outside = os.path.join(victim.folder, "agent/staging"), os.path.join(victim.folder, "outside")
        self.what, self.swapped, self._stop = what, 0, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            for name in os.listdir(self.staging):
                top = os.path.join(self.staging, name)
                if name.startswith("new-") and ".swapped" not in name:
                    self._swap(os.path.join(top, "a") if self.what == "inner" else top, f"{top}.swapped{self.swapped}")
            time.sleep(0.0002)  # lets others run

    def _swap(self, path, aside):
        try:
            st = os.lstat(path)
            if stat.S_ISDIR(st.st_mode) and (self.what != "finished" or st.st_mode & 0o777 == 0o555):
                os.rename(path, aside)
                os.symlink(self.outside, path)
                self.swapped += 1
        except OSError:
            pass

    def end(self):
        self._stop.set()
        self._thread.join()


def swap_while_staging(victim, what, turn):
    """Offers a version while somebody swaps; whether that came off, and the version's files."""
    files = {f"a/f{i:04d}": b"x" * 100 + str(turn).encode() for i in range(2000)}
    bundle = publish(victim, files, f"turn{turn}")
    swapper = Swapper(victim, what)
    try:
        victim.offer(bundle)
        victim.plane._wait(lambda: any(r.version_id == bundle.version_id and (r.error or r.phase == hostile_world.HEALTHY) for r in victim.plane.reports), 60,
                           "an end")
    finally:
        swapper.end()
    return swapper.swapped, files


@pytest.mark.parametrize("what", ["inner", "staging", "finished"])
def test_a_folder_swapped_for_a_link_while_staging_leads_nowhere(victim, what):
    outside = os.path.join(victim.folder, "outside")
    os.chmod(outside, 0o700)
    before = hostile_world.tree_hash(outside)
    for turn in range(50):  # the moment may be missed
        swapped, files = swap_while_staging(victim, what, turn)
        assert hostile_world.tree_hash(outside) == before and os.stat(outside).st_mode & 0o777 == 0o700
        if swapped:
            break
    assert swapped
    # The old version or the new one, whole.
    victim.assert_serving(files if "index.html" not in victim.agent.serves("shop") else None)


# --- what a server can say beside manifests ---------------------------------------------


def test_hosts_at_private_addresses_need_to_be_allowed(services, trap):
    world = harness.World(services)
    victim = hostile_world.Victim(services, world.path("victim"))
    try:
        victim.start()
        victim.agent.kill()
        victim.agent.flags += ["--allow-local-repos=false"]
        victim.agent.start()
        victim.plane.wait_hello(2)
        for host in ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "localhost", "x.localhost.", "10.1.2.3", "169.254.169.254",
                     "192.168.0.1", "0.0.0.0", "[fe80::1]", "[fd00::1]"):
            bundle = victim.bundle(f"https://{host}:{trap.port}/x.git", "7" * 40, "7" * 40)
            victim.offer(bundle)
            report = victim.report(bundle, error_class=hostile_world.PERMANENT)
            assert "--allow-local-repos" in report.error, report.error
        for url in (f"http://127.0.0.1:{trap.port}/x", "git://example.org/x", "file:///etc"):
            bundle = victim.bundle(url, "7" * 40, "7" * 40)
            victim.offer(bundle)
            assert "--allow-local-repos" in victim.report(bundle, error_class=hostile_world.PERMANENT).error
        assert not trap.caught
        victim.assert_serving()
    finally:
        victim.end()
        world.end()


def test_messages_that_are_none_end_the_stream_and_no_more(victim):
    before = victim.outside()
    for raw in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x00"):
        count = len(victim.plane.hellos)
        victim.plane.say(raw)
        victim.plane.wait_hello(count + 1)
    victim.assert_answers()
    victim.assert_serving()
    assert victim.outside() == before


def test_unknown_messages_and_commands_are_passed_over(victim):
    pb, before = victim.plane.pb, victim.outside()
    for raw in (b"", b"\xa2\x06\x01x", pb.SyncResponse(command=pb.AgentCommand(kind=2)).SerializeToString(),
                pb.SyncResponse(command=pb.AgentCommand()).SerializeToString(), victim.plane.pace(heartbeat_ms=0, jitter_percent=4000000000, backoff_min_ms=0),
                victim.plane.pace(heartbeat_ms=1, backoff_max_ms=0)):
        victim.plane.say(raw)
        victim.assert_answers()
    for _ in range(2000):
        victim.plane.say(victim.plane.pace())
    victim.assert_answers()
    victim.assert_serving()
    assert victim.outside() == before


def test_a_server_of_another_instance_is_not_obeyed(victim):
    victim.plane.say(victim.plane.pace(instance_id="ins_" + "z" * 20))
    victim.agent.program.wait_line("instance-mismatch")
    victim.assert_serving()


def test_a_manifest_that_wants_nothing_takes_nothing_down(victim):
    """Absent is not removed: only what `removed` names is taken down."""
    before = victim.outside()
    victim.plane.tell([])
    victim.plane.tell([], removed=["app_" + "z" * 20, "../../outside", ""])
    victim.plane.wait_beat()
    victim.assert_serving()
    assert victim.outside() == before


def test_another_app_under_the_same_slug_does_not_take_the_folder(victim):
    bundle = publish(victim, NEW)
    other = victim.entry([bundle], app_id=victim.new_id("app"))
    victim.plane.tell([other])
    victim.plane.wait_beat()
    victim.plane.wait_beat()
    victim.assert_serving()

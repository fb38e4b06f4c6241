"""What the hostile tests stand on: a tree of files outside that must not change, an agent that serves something good meanwhile."""
import hashlib
import os
import stat
import sys

import fake_plane
import harness
import hostile_host
import pytest
import raw_git

sys.path.insert(0, os.path.join(harness.ROOT, "tests/data/hostile"))

HEALTHY, FAILED, STAGED, PENDING = 6, 9, 4, 1
TRANSIENT, PERMANENT = 1, 2
GOOD = {"index.html": b"<h1>good</h1>\n", "css/site.css": b"h1 { color: green }\n"}


def tree_hash(top, skip=()):
    """Over every path below `top`: kind, mode, link, content, and when a file was last written. `skip`: paths from `top`."""
    whole = hashlib.sha256()
    for folder, folders, names in os.walk(top):
        folders.sort()
        inner = os.path.relpath(folder, top)
        folders[:] = [f for f in folders if os.path.normpath(os.path.join(inner, f)) not in skip]
        for name in sorted(folders + names):
            path = os.path.join(folder, name)
            shown = os.path.normpath(os.path.join(inner, name))
            if shown in skip:
                continue
            st = os.lstat(path)
            whole.update(f"{shown}\0{st.st_mode:o}\0".encode("utf-8", "surrogateescape"))
            if stat.S_ISLNK(st.st_mode):
                whole.update(os.readlink(path).encode())
            elif stat.S_ISREG(st.st_mode):
                with open(path, "rb") as file:
                    whole.update(f"{st.st_mtime_ns}\0".encode() + file.read())
    return whole.hexdigest()


def make_outside(folder):
    """Files that somebody would like to change."""
    for path in ("home/.ssh/authorized_keys", "home/.gitconfig", "etc/cron.d/job", "srv/index.html"):
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="ascii") as file:
            file.write("untouched\n")
    return folder


class Victim:
    """A real agent under a fake control plane, with the app `shop` served from a good bundle. Everything that it may not touch is hashed."""

    def __init__(self, services, folder, flags=()):
        self.folder = folder
        make_outside(os.path.join(folder, "outside"))
        self.host = hostile_host.HostileHost()
        self.plane = fake_plane.FakePlane(services)
        self.agent = harness.Agent(self.plane, os.path.join(folder, "agent"), "prod-1", ["--log-level", "debug"] + list(flags))
        self.app, self._number = fake_plane.an_id("app", 1), 100
        self.objects = raw_git.Objects()
        root = self.objects.folder(GOOD)
        commit = self.objects.commit(root)
        self.good_url = self.host.host("good", hostile_host.Hosted(self.objects, {"refs/heads/main": commit}))
        self.good = self.bundle(self.good_url, commit, root, raw_git.digest_of(GOOD), version="good", repository=1)

    def start(self):
        self.agent.start()
        self.plane.wait_hello()
        self.plane.tell([self.entry([self.good])])
        self.plane.wait_report(self.good.version_id, [HEALTHY])
        self.assert_serving()
        return self

    def new_id(self, prefix):
        self._number += 1
        return fake_plane.an_id(prefix, self._number)

    def bundle(self, url, commit, tree, digest=None, version="evil", repository=None, **fields):
        fields = {"ref": "refs/heads/main", "files": 2, "bytes": 100, "version_id": self.new_id("ver"), **fields}
        repository = fake_plane.an_id("rep", repository) if repository else self.new_id("rep")
        return self.plane.pb.Bundle(**{"version": version, "repository_id": repository, "url": url, "commit": commit, "tree": tree,
                                       "digest": digest or os.urandom(32),
                                       **fields})

    def entry(self, keep, activate=None, **fields):
        """The app's entry, which activates the last of `keep`."""
        fields = {"app_id": self.app, "slug": "shop", "name": "shop", **fields}
        return self.plane.pb.ManifestApp(keep=keep, activate=keep[-1].version_id if activate is None else activate, **fields)

    def offer(self, bundle):
        """Tells the agent to go from the good version to this one."""
        self.plane.tell([self.entry([self.good, bundle])])

    def report(self, bundle, phases=(FAILED,), error_class=0, **more):
        """What the agent says of it at last; what will be tried again is PENDING with an error."""
        if error_class == TRANSIENT:
            phases = (PENDING,)
        return self.plane.wait_report(bundle.version_id, phases, error_class if error_class == TRANSIENT else None, **more)

    def outside(self, bundle=None):
        """Hash of all that a bundle may not change: everything but staging, its own mirror and the agent's own book."""
        skip = ["agent/staging", "agent/state", "agent/state.new", "agent/pulling", "agent/lock"]
        if bundle is not None:
            skip.append(f"agent/mirrors/{bundle.repository_id}.git")
        return tree_hash(self.folder, skip)

    def assert_serving(self, files=None):
        assert self.agent.program.running, self.agent.program.lines[-20:]
        top = self.agent.current("shop")
        found = {}
        for folder, _, names in os.walk(os.path.realpath(top)):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    found[os.path.relpath(file.name, os.path.realpath(top))] = file.read()
        assert found == (GOOD if files is None else files)

    def assert_answers(self):
        """It lives: a manifest that is right is taken."""
        self.plane.tell([self.entry([self.good])])
        self.agent.program.wait_line(f" manifest .*sequence={self.plane.sequence} |event=manifest .*sequence={self.plane.sequence} |"
                                     f"manifest sequence={self.plane.sequence} ")

    def end(self):
        self.agent.end()
        self.plane.end()
        self.host.end()


@pytest.fixture(scope="module")
def host():
    made = hostile_host.HostileHost()
    yield made
    made.end()


def victim(name, flags=()):
    """A fixture: one for the tests of a file, which serves."""

    @pytest.fixture(scope="module")
    def fixture(services, short_folder):
        made = Victim(services, os.path.join(short_folder, name), flags)
        try:
            yield made.start()
        finally:
            made.end()

    return fixture

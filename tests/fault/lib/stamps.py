"""Config of a fleet's app in a run: a constant and a secret that are set to the same number, one after the other, and files that show both. What an
instance finds beside what it serves must be a whole set of files of one moment."""
import base64
import json
import os
import stat

from world import link

CONSTANT, SECRET = 1, 2
MANY = 400  # lines of a file of several pages
CONTRACT = {"requires": {"constants": ["STAMP"], "secrets": ["SEAL"]}, "render": ["stamp.json", "sub/stamp.env", "many.txt"]}


class Stamps:
    """`number` is what they were set to last; `flags` are the server's: it needs a key to seal values with."""

    def __init__(self, run):
        self.run, self.number = run, 0
        key = run.world.path("master.key")
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(base64.b64encode(run.random.randbytes(32)))
        self.flags = ["--master-key-file", key]

    @staticmethod
    def files(version):
        """What makes a version of the app one that asks for them; its number is rendered, too."""
        return {"sluice.json": json.dumps(CONTRACT), **rendered(version, "{{constants.STAMP}}", "{{secrets.SEAL}}")}

    def change(self, client):
        self.number += 1
        for name, kind in (("STAMP", CONSTANT), ("SEAL", SECRET)):
            client.SetConfigValue(name=name, kind=kind, environment="production", value=f"{name.lower()}-{self.number}")
        self.run.count("changes of config")

    def look(self, agent, slug="fleet", modes=True):
        """Whether it serves something; what it finds beside that is judged. None: it was changed while we looked."""
        served = link(agent.current(slug))
        if served is None:
            return False
        configs = os.path.join(agent.folder, "apps", slug, "configs")
        placed = link(os.path.join(configs, os.path.basename(served)))
        found = read_set(os.path.join(configs, placed), modes) if placed else None
        if (link(agent.current(slug)), link(os.path.join(configs, os.path.basename(served)))) != (served, placed):
            return None
        self.run.report.judged.add("R5")
        wrong = self.wrong(int(os.path.basename(served)[1:].split("-")[0]), found)
        if wrong:
            self.run.report.found("R5", f"{agent.folder}: config beside {served}: {wrong}")
        self.run.count("looks at config")
        return True

    def wrong(self, version, found):
        """None: it is whole, and of one moment."""
        try:
            values = json.loads(found["config.json"])
            stamp, seal = values["constants"]["STAMP"], values["secrets"]["SEAL"]
        except (TypeError, KeyError, ValueError):
            return f"no config.json in {found if found is None else sorted(found)}"
        pairs = [(f"stamp-{n}", f"seal-{n - back}") for n in range(1, self.number + 1) for back in (0, 1)]
        if (stamp, seal) not in pairs:
            return f"{stamp} and {seal} were never there together"
        whole = {"constants": {"STAMP": stamp}, "secrets": {"SEAL": seal}, "sources": {}}
        expected = {**rendered(version, stamp, seal, '"'), "env": f'STAMP="{stamp}"\nSEAL="{seal}"\n', "config.json": found["config.json"] if values == whole else None}
        different = [path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)]
        return f"{stamp} and {seal}, but not so in {sorted(different)}" if different else None

    def has_last(self, agent, slug="fleet"):
        """Whether that instance has been told of the last change."""
        path = os.path.join(agent.folder, "apps", slug, "configs", os.path.basename(link(agent.current(slug)) or "-"), "sub/stamp.env")
        try:
            with open(path, encoding="utf-8") as file:
                return f'"seal-{self.number}"' in file.read()
        except OSError:
            return False


def rendered(version, stamp, seal, quote=""):
    """The files as they are rendered; in *.env values are quoted."""
    return {"stamp.json": json.dumps({"version": version, "stamp": stamp, "seal": seal}), "many.txt": f"{version}\n" + MANY * f"{stamp} {seal}\n",
            "sub/stamp.env": f"VERSION={version}\nSTAMP={quote}{stamp}{quote}\nSEAL={quote}{seal}{quote}\n"}


def read_set(top, modes):
    """{path: text}; a file that others may read counts as another one. None: it went away while we read."""
    found = {}
    try:
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8", errors="replace") as file:
                    wide = modes and stat.S_IMODE(os.fstat(file.fileno()).st_mode) != 0o600
                    found[os.path.relpath(path, top) + (" (not 0600)" if wide else "")] = file.read()
    except FileNotFoundError:
        return None
    return found

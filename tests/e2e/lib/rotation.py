"""New master keys of a server, and what dies on the way."""
import os
import subprocess

import harness
from harness import Program

FAILPOINTS = os.path.join(harness.ROOT, "tests/fault/sluiced_failpoints")
PLACES = ["master-written", "master-wrap", "master-rename", "master-renamed"]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def key_of(server):
    return os.path.join(server.folder, "keys/master.key")


def write_key(server, text):
    with open(key_of(server), "wb") as file:
        file.write(text)


def rotate(server, failpoint=None):
    program, env = (FAILPOINTS, {**os.environ, "SL_FAILPOINT": failpoint}) if failpoint else (harness.SLUICED, None)
    return subprocess.run([program, "keys", "rotate-master", "--data", server.folder], capture_output=True, text=True, timeout=90, env=env)


def refuses(server, old):
    """No server starts with an older master key."""
    kept = read(key_of(server))
    write_key(server, old)
    refused = subprocess.run([harness.SLUICED, "serve", "--data", server.folder, "--listen", "127.0.0.1:0", "--door-listen", "127.0.0.1:0"],
                             capture_output=True, text=True, timeout=30, env={**os.environ, "SLUICE_MAP_SIZE": "1G"})
    assert refused.returncode != 0 and "is not the one that this store was written with" in refused.stderr, refused
    write_key(server, kept)


def dies_at(server, failpoint, act):
    """The server serves with a failpoint, act() is done, and it dies there. What it wrote to its log."""
    server.binary, server.env = FAILPOINTS, {"SL_FAILPOINT": failpoint}
    server.start()
    act()
    assert server.program.wait(60) == -9
    lines = server.program.lines
    server.program.end()
    server.binary, server.env = harness.SLUICED, None
    return lines


def killed_rotation(server, place, serving, check):
    """The command dies at the place, or where a server serves (and the place is not the command's own) the server does. It goes on by
    itself; check() holds then, and no server starts with the key of before."""
    before, by_server = read(key_of(server)), serving and place != "master-written"
    if not serving or by_server:
        assert server.stop() == 0
    if by_server:
        commands = []
        struck = dies_at(server, f"{place}:crash:1",
                         lambda: commands.append(Program([harness.SLUICED, "keys", "rotate-master", "--data", server.folder])))
        commands[0].end()
    else:
        done = rotate(server, f"{place}:crash:1")
        assert done.returncode == -9
        struck = done.stderr.splitlines()
    assert [line for line in struck if line.startswith(f"failpoint name={place} ")]
    if not serving or by_server:
        assert os.path.exists(key_of(server) + ".next") == (place != "master-renamed")
        server.start()
    harness.until(lambda: not os.path.exists(key_of(server) + ".next"), 60, "the end of the rotation")
    assert read(key_of(server)) != before
    check()
    assert server.stop() == 0
    server.verify()
    refuses(server, before)
    server.start()
    check()

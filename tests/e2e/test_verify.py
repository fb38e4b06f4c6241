"""sluiced verify: a store as it was left, and damaged ones; a folder that a server holds."""
import os
import random
import re
import shutil
import subprocess

import harness


def verify(folder):
    return subprocess.run([harness.SLUICED, "verify", folder], capture_output=True, text=True, errors="replace", timeout=60)


def fill(client):
    for i in range(30):
        client.CreateRepository(name=f"r{i}", url=f"https://git.invalid/r{i}.git")
        client.CreateApp(name=f"a{i}", repository=f"r{i}")
        client.RegisterInstance(name=f"i{i}", environment="development")


def damage(kind, data, dice):
    """The bytes of a store that went wrong: cut off, a page of noise, noise in a page's head, bits turned."""
    pages = len(data) // 4096
    if kind == 0:
        return data[: dice.randrange(len(data) // 2)]
    data = bytearray(data)
    if kind == 1:
        at = dice.randrange(2, pages) * 4096
        data[at : at + 4096] = dice.randbytes(4096)
    elif kind == 2:
        at = dice.randrange(2, pages) * 4096
        for _ in range(4):
            data[at + dice.randrange(32)] = dice.randrange(256)
    else:
        for _ in range(50):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(data)


def pages(path):
    """The file without what lies behind its last page, which is nobody's."""
    with open(path, "rb") as file:
        data = file.read().rstrip(b"\0")
    return data + bytes(-len(data) % 4096)


def test_a_damaged_store_is_an_answer_and_not_a_crash(world):
    server = world.server()
    fill(server.client())
    assert server.stop() == 0
    server.verify()
    good = pages(os.path.join(server.folder, "data.mdb"))
    dice = random.Random(7)
    found = 0
    for i in range(80):
        copy = world.path(f"copy{i}")
        os.makedirs(copy)
        with open(os.path.join(copy, "data.mdb"), "wb") as file:
            file.write(damage(i % 4, good, dice))
        done = verify(copy)
        # Damage may lie in a page that is free, or turn a text into another one.
        assert done.returncode in (0, 3), (i, done)
        found += done.returncode == 3
        if done.returncode == 3:
            assert done.stderr or "faults" in done.stdout, done
        if i % 4 == 0:
            assert done.returncode == 3 and done.stderr, done
        shutil.rmtree(copy)
    assert found > 40


def test_what_is_no_store_is_refused_with_a_text(world):
    for make in (lambda f: None, os.makedirs, lambda f: (os.makedirs(f), open(os.path.join(f, "data.mdb"), "wb").close())):
        folder = world.path("nothing")
        shutil.rmtree(folder, ignore_errors=True)
        make(folder)
        done = verify(folder)
        assert done.returncode == 3 and folder in done.stderr, done


def test_a_folder_has_one_server(world):
    server = world.server()
    second = world.add(harness.Server(server.services, server.folder))
    try:
        second.start()
        assert False, "the second server started"
    except AssertionError as error:
        assert f"pid {server.program.process.pid}" in str(error)
    assert second.program.wait(60) == 1
    held = verify(server.folder)
    assert held.returncode == 3 and str(server.program.process.pid) in held.stderr
    assert server.client().ListEnvironments().environments


def serve(folder):
    argv = [harness.SLUICED, "serve", "--insecure", "--data", folder, "--listen", "127.0.0.1:0", "--metrics-listen", ""]
    return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=60, env={**os.environ, "SLUICE_MAP_SIZE": "1G"})


def test_a_server_refuses_a_file_that_was_cut_short(world):
    server = world.server()
    fill(server.client())
    assert server.stop() == 0
    path = os.path.join(server.folder, "data.mdb")
    left = len(pages(path))
    for _ in range(4):
        left //= 2
        os.truncate(path, left)
        done = serve(server.folder)
        assert done.returncode == 1 and "cut short" in done.stderr, done


def test_a_server_refuses_a_change_log_that_it_cannot_read(world):
    """It would not know which request ids have taken effect."""
    server, marked = world.server(), "marked-" + "z" * 100
    client = server.client()
    client.RegisterInstance(name="one", environment="staging", write={"request_id": "r", "reason": marked})
    client.RegisterInstance(name="two", environment="staging", write={"request_id": "s"})
    assert server.stop() == 0
    path = os.path.join(server.folder, "data.mdb")
    with open(path, "rb") as file:
        data = file.read()
    good = bytes([len(marked)]) + marked.encode()
    assert good in data
    with open(path, "wb") as file:
        file.write(data.replace(good, b"\xff" + good[1:]))  # a length of thousands
    done = serve(server.folder)
    assert done.returncode == 1 and re.search(r"log record of revision \d+: .* does not parse", done.stderr), done
    assert verify(server.folder).returncode == 3

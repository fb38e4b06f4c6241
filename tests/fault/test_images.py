"""The models of a disk after a power cut: what is certain, what may be lost, what is parsed from strace."""
import os
import random
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import diskmodel  # noqa: E402
import powercut  # noqa: E402


def op(kind, offset=0, data=b"", name="data.mdb", begin=0.0, end=0.0):
    return powercut.Operation(kind, name, begin, end, offset, data)


OPERATIONS = [op(powercut.WRITE, 0, b"a" * 8192), op(powercut.SYNC), op(powercut.WRITE, 4096, b"b" * 4096), op(powercut.WRITE_DURABLE, 16, b"m" * 8),
              op(powercut.WRITE, 0, b"c" * 1024)]


@pytest.mark.parametrize("done, shape, expected", [
    (1, "synced", b""),
    (1, "all", b"a" * 8192),
    (2, "synced", b"a" * 8192),
    (3, "synced", b"a" * 8192),
    (3, "all", b"a" * 4096 + b"b" * 4096),
    (4, "synced", b"a" * 16 + b"m" * 8 + b"a" * 8168),
    (5, "all", b"c" * 1024 + b"a" * 3072 + b"b" * 4096),
])
def test_certain_and_written(done, shape, expected):
    disk = powercut.Disk(OPERATIONS)
    disk.advance(done)
    assert bytes(disk.images(shape, random.Random(1))["data.mdb"]) == expected


def test_random_images_keep_what_is_certain_and_lose_whole_pages():
    seen = set()
    for seed in range(40):
        disk = powercut.Disk(OPERATIONS)
        disk.advance(3)
        image = bytes(disk.images("random", random.Random(seed))["data.mdb"])
        assert image[24:4096] == b"a" * 4072 and image[:16] == b"a" * 16
        assert image[4096:] in (b"a" * 4096, b"b" * 4096)
        seen.add(image)
    assert len(seen) > 2


def test_torn_images_end_at_a_sector():
    for seed in range(40):
        disk = powercut.Disk(OPERATIONS)
        disk.advance(4)
        image = bytes(disk.images("torn", random.Random(seed))["data.mdb"])
        assert image[:1024].count(b"c") in (0, 512, 1024)


def test_each_file_has_its_own_syncs():
    disk = powercut.Disk([op(powercut.WRITE, 0, b"a" * 512), op(powercut.WRITE, 0, b"j" * 512, "journal-0"), op(powercut.SYNC, name="journal-0")])
    disk.advance(3)
    assert disk.images("synced", random.Random(1)) == {"data.mdb": b"", "journal-0": b"j" * 512}


def test_what_is_written_during_a_sync_is_not_certain():
    disk = powercut.Disk([op(powercut.WRITE, 0, b"a" * 512, begin=1, end=2), op(powercut.WRITE, 512, b"b" * 512, begin=3.5, end=3.6),
                          op(powercut.SYNC, begin=3, end=4), op(powercut.SYNC, begin=5, end=6)])
    disk.advance(3)
    assert disk.images("synced", random.Random(1))["data.mdb"] == b"a" * 512
    disk.advance(4)
    assert disk.images("synced", random.Random(1))["data.mdb"] == b"a" * 512 + b"b" * 512


def calls(*lines):
    disk = diskmodel.Disk("/top")
    for call, text in lines:
        disk.apply(call, text)
    return disk


SWITCH = [("mkdirat", 'AT_FDCWD</>, "/top/staging", 0755'), ("mkdir", '"/top/apps", 0755'), ("fsync", "3</top>"),
          ("openat2", '5</top/staging>, "new", {flags=O_WRONLY|O_CREAT|O_EXCL, mode=0444}, 24'), ("write", '6</top/staging/new>, "ab\\0\\x41\\n", 5'),
          ("syncfs", "5</top/staging>"), ("renameat2", 'AT_FDCWD</>, "/top/staging/new", AT_FDCWD</>, "/top/apps/v1", RENAME_NOREPLACE'),
          ("symlink", '"v1", "/top/apps/current.new"'), ("rename", '"/top/apps/current.new", "/top/apps/current"')]


def test_what_was_synced_is_there(tmp_path):
    calls(*SWITCH).write_image(tmp_path / "image", "synced", random.Random(1))
    assert sorted(os.listdir(tmp_path / "image")) == ["apps", "staging"]
    assert (tmp_path / "image/staging/new").read_bytes() == b"ab\0A\n"
    assert os.listdir(tmp_path / "image/apps") == []


def test_everything(tmp_path):
    calls(*SWITCH).write_image(tmp_path / "image", "all", random.Random(1))
    assert sorted(os.listdir(tmp_path / "image/apps")) == ["current", "v1"]
    assert os.readlink(tmp_path / "image/apps/current") == "v1"
    assert os.listdir(tmp_path / "image/staging") == []


def test_a_folder_loses_its_last_changes_first(tmp_path):
    seen = set()
    for seed in range(60):
        folder = tmp_path / str(seed)
        calls(*SWITCH).write_image(folder, "random", random.Random(seed))
        found = set(os.listdir(folder / "apps"))
        assert "v1" in found or not found
        seen.add(frozenset(found))
    assert {frozenset(), frozenset({"v1"}), frozenset({"v1", "current"})} <= seen


def test_what_is_outside_does_not_count():
    disk = calls(("openat", 'AT_FDCWD</>, "/etc/x", O_WRONLY|O_CREAT, 0600'), ("mkdir", '"/top/mirrors", 0755'), ("mkdir", '"/topping", 0755'))
    assert disk.root.now == {}


def test_lines_of_strace_are_put_together(tmp_path):
    log = tmp_path / "log"
    log.write_text('12 openat(AT_FDCWD</>, "/top/a", O_WRONLY|O_CREAT, 0600) = 3</top/a>\n12 fsync(3</top/a> <unfinished ...>\n'
                   '13 mkdir("/top/b", 0755) = -1 EEXIST (File exists)\n13 mkdir("/top/c", 0755) = 0\n12 <... fsync resumed>) = 0\n12 +++ exited with 0 +++\n')
    assert diskmodel.read_calls(log) == [("openat", 'AT_FDCWD</>, "/top/a", O_WRONLY|O_CREAT, 0600'), ("mkdir", '"/top/c", 0755'), ("fsync", "3</top/a>")]

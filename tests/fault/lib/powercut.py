"""Rebuilds what a disk may hold after the power was cut, from what powercut.c recorded.

The model: a write is on disk for certain when a sync of its file that began after it has ended, or when the file was open with
O_DSYNC. Of what is written and not synced any part may be on disk, page by page, in any order; a page is torn at a sector.
"""
import struct
from typing import NamedTuple

WRITE, WRITE_DURABLE, SYNC, TRUNCATE = 1, 2, 3, 4
HEAD = struct.Struct("=IIQQQQ")
PAGE, SECTOR = 4096, 512
SHAPES = ("synced", "all", "random", "torn")


class Operation(NamedTuple):
    op: int
    name: str
    begin: float  # seconds of CLOCK_MONOTONIC, as time.monotonic() has them
    end: float
    offset: int
    data: bytes


def read_operations(path, names):
    """What was done to these files, in order."""
    found = []
    with open(path, "rb") as file:
        while True:
            head = file.read(HEAD.size)
            if len(head) < HEAD.size:
                return found
            op, name_size, begin, end, offset, size = HEAD.unpack(head)
            of, data = file.read(name_size).decode(), file.read(size)
            if of in names:
                found.append(Operation(op, of, begin / 1e9, end / 1e9, offset, data))


class Disk:
    """Files on their way through their operations: what of each is certain, and what is written since."""

    def __init__(self, operations):
        self.operations, self.at = operations, 0
        names = {operation.name for operation in operations}
        self.certain = {name: bytearray() for name in names}
        self.pending = {name: [] for name in names}

    def advance(self, count):
        """After the first `count` operations have ended; only forward."""
        while self.at < count:
            self._apply(self.operations[self.at])
            self.at += 1

    def _apply(self, operation):
        certain, pending = self.certain[operation.name], self.pending[operation.name]
        if operation.op == WRITE_DURABLE:
            put(certain, operation.offset, operation.data)
        elif operation.op == SYNC:
            # What was written while the sync was under way may have come too late for it.
            late = [each for each in pending if each.end > operation.begin]
            for each in pending[:len(pending) - len(late)]:
                apply(certain, each)
            self.pending[operation.name] = late
        else:
            pending.append(operation)

    def images(self, shape, random):
        """{name: the file as it may be found when the power goes while the next operation is under way}."""
        following = self.operations[self.at] if self.at < len(self.operations) else None
        return {name: self._image(name, following if following is not None and following.name == name else None, shape, random)
                for name in sorted(self.certain)}

    def _image(self, name, following, shape, random):
        image, pending = bytearray(self.certain[name]), self.pending[name]
        if shape == "synced":
            return image
        if shape in ("all", "torn"):
            for each in pending:
                apply(image, each)
            if shape == "torn" and following is not None and following.op in (WRITE, WRITE_DURABLE):
                cut = random.randrange(0, len(following.data) + SECTOR)
                put(image, following.offset, following.data[:at_sector(following.offset, cut)])
            return image
        open_writes = pending + ([following] if following is not None and following.op != SYNC else [])
        pieces = [piece for each in open_writes for piece in split(each) if random.random() < 0.5]
        # Two writes of one page reach the disk in their order; those of different pages in any, which a subset says it all about.
        for offset, data in pieces:
            put(image, offset, data)
        return image


def split(operation):
    if operation.op == TRUNCATE:
        return []
    found, at = [], 0
    while at < len(operation.data):
        size = min(PAGE - (operation.offset + at) % PAGE, len(operation.data) - at)
        found.append((operation.offset + at, operation.data[at:at + size]))
        at += size
    return found


def at_sector(offset, size):
    """The largest length up to `size` that ends at a sector's end."""
    return max(0, (offset + size) // SECTOR * SECTOR - offset)


def apply(image, operation):
    if operation.op == TRUNCATE:
        if operation.offset < len(image):
            del image[operation.offset:]
        else:
            image.extend(bytes(operation.offset - len(image)))
    else:
        put(image, operation.offset, operation.data)


def put(image, offset, data):
    if offset > len(image):
        image.extend(bytes(offset - len(image)))
    image[offset:offset + len(data)] = data

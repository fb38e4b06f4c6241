"""Git objects and packs as bytes, whatever is in them: git itself refuses to write, and to send, much of what is needed here."""
import hashlib
import struct
import zlib

TYPES = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
WHO = b"Eve <eve@example.org> 1700000000 +0000"


def hex_id(kind, data):
    return hashlib.sha1(kind.encode() + b" %d\0" % len(data) + data).hexdigest()


def tree_bytes(entries):
    """entries: (mode text, name bytes, hex id), in this very order."""
    return b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)


class Objects:
    """What a repository holds: {hex id: (kind, bytes)}."""

    def __init__(self):
        self.all = {}

    def add(self, kind, data):
        oid = hex_id(kind, data)
        self.all[oid] = (kind, data)
        return oid

    def blob(self, data):
        return self.add("blob", data)

    def tree(self, entries):
        """entries: (mode, name, content); content is bytes (a file), a list (a folder) or a hex id."""
        rows = []
        for mode, name, content in entries:
            if isinstance(content, list):
                content = self.tree(content)
            elif isinstance(content, bytes):
                content = self.blob(content)
            rows.append((mode, name, content))
        return self.add("tree", tree_bytes(rows))

    def commit(self, tree, parents=(), message=b"m\n", who=WHO):
        lines = [b"tree " + tree.encode()] + [b"parent " + p.encode() for p in parents]
        return self.add("commit", b"\n".join(lines + [b"author " + who, b"committer " + who]) + b"\n\n" + message)

    def tag(self, target, kind="commit", name=b"t"):
        return self.add("tag", b"object %s\ntype %s\ntag %s\ntagger %s\n\nm\n" % (target.encode(), kind.encode(), name, WHO))

    def folder(self, files):
        """{path: bytes} -> tree id; folders by '/'."""
        below, rows = {}, []
        for path, data in files.items():
            head, _, rest = path.partition("/")
            if rest:
                below.setdefault(head, {})[rest] = data
            else:
                rows.append((head.encode(), "100644", self.blob(data)))
        rows += [(name.encode(), "40000", self.folder(inner)) for name, inner in below.items()]
        rows.sort(key=lambda row: row[0] + (b"/" if row[1] == "40000" else b""))
        return self.add("tree", tree_bytes([(mode, name, oid) for name, mode, oid in rows]))


def digest_of(files, runnable=()):
    """The digest of a bundle {path: bytes}, by the rule."""
    whole = hashlib.blake2b(digest_size=32)
    for path in sorted(files, key=lambda p: p.encode()):
        data = files[path]
        mode = b"100755" if path in runnable else b"100644"
        whole.update(mode + b" %d " % len(data) + hashlib.blake2b(data, digest_size=32).hexdigest().encode() + b" " + path.encode() + b"\0")
    return whole.digest()


# --- packs ---------------------------------------------------------------------------


def entry_head(number, size):
    """Type and size of a pack's entry; the size need not be true."""
    out, size, byte = bytearray(), size >> 4, (number << 4) | (size & 15)
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    out.append(byte)
    return bytes(out)


def entry(kind, data, size=None):
    return entry_head(TYPES[kind], len(data) if size is None else size) + zlib.compress(data, 1)


def seal(count, entries, version=2):
    body = b"PACK" + struct.pack(">II", version, count) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def pack(objects):
    """objects: {hex id: (kind, bytes)}."""
    return seal(len(objects), [entry(kind, data) for kind, data in objects.values()])


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def ref_delta(base, delta):
    return entry_head(7, len(delta)) + bytes.fromhex(base) + zlib.compress(delta)


def ofs_delta(back, delta):
    """A delta of the entry that begins `back` bytes before this one."""
    out = [back & 0x7F]
    while back > 0x7F:
        back = (back >> 7) - 1
        out.insert(0, back & 0x7F | 0x80)
    return entry_head(6, len(delta)) + bytes(out) + zlib.compress(delta)


def copy_all(size, times):
    """A delta that copies its base, of less than 2^24 bytes, `times` times."""
    return varint(size) + varint(size * times) + (b"\xf0" + struct.pack("<I", size)[:3]) * times


def delta_bomb(gigabytes):
    """Entries of some hundred kilobytes whose last is `gigabytes` long."""
    size, last = 1000, b"0" * 1000
    entries = [entry("blob", last)]
    for times in (16, 16, 60):
        entries.append(ofs_delta(len(entries[-1]), copy_all(size, times)))
        size *= times
    times = (gigabytes << 30) // size
    entries.append(ofs_delta(len(entries[-1]), copy_all(size, times)))
    return entries

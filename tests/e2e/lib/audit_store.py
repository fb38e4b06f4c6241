"""The tables of a stopped server's store, to be changed by the byte and written anew, as somebody with the disk could."""
import hashlib
import os
import subprocess

SEAL = 44  # size of the body, sequence, hash: behind each record
TABLES = ("store/log", "store/refusals")


class Store:
    """All tables of a stopped server's store, to be changed by the byte and written anew."""

    def __init__(self, folder):
        lines = subprocess.run(["mdb_dump", "-a", folder], check=True, capture_output=True, text=True).stdout.splitlines()
        self.heads, self.tables, head = {}, {}, []
        for line in lines:
            if not line.startswith(" "):
                head = head + [line] if line != "VERSION=3" else [line]
                if line.startswith("database="):
                    name = line[len("database="):]
                    self.heads[name], self.tables[name] = head, []
                elif line == "HEADER=END":
                    self.heads[name], pair = head, []
                continue
            pair.append(bytes.fromhex(line.strip()))
            if len(pair) == 2:
                self.tables[name].append(tuple(pair))
                pair = []

    def write(self, folder):
        os.makedirs(folder)
        text = []
        for name, table in self.tables.items():
            text += self.heads[name] + [f" {part.hex()}" for pair in table for part in pair] + ["DATA=END"]
        subprocess.run(["mdb_load", folder], input="\n".join(text) + "\n", check=True, capture_output=True, text=True)
        return folder

    def sequence(self, value):
        return int.from_bytes(value[-SEAL + 4:-SEAL + 12], "big")

    def chained(self):
        """(sequence, table, index) of every record."""
        return sorted((self.sequence(value), name, at) for name in TABLES for at, (_, value) in enumerate(self.tables[name]))

    def _set_head(self, sequence, hashed):
        meta = dict(self.tables["store/meta"])
        state = bytearray(meta[b"store/state"])
        state[24:32], state[32:64] = sequence.to_bytes(8, "big"), hashed
        meta[b"store/state"] = bytes(state)
        self.tables["store/meta"] = sorted(meta.items())

    def cut_after(self, sequence):
        """Drops the refusals after it, and makes the state fit: by itself the store is sound."""
        for number, name, at in reversed(self.chained()):
            if number > sequence:
                assert name == "store/refusals", "a change was made after it"
                del self.tables[name][at]
        last, name, at = self.chained()[-1]
        assert last == sequence
        self._set_head(sequence, self.tables[name][at][1][-32:])

    def seal_anew(self):
        """Computes every hash again from what the records say now."""
        before = bytes(32)
        for number, name, at in self.chained():
            key, value = self.tables[name][at]
            size = int.from_bytes(value[-SEAL:-SEAL + 4], "big")
            body, rest = value[:size], value[size:-SEAL]
            content = hashlib.blake2b(rest, digest_size=32).digest() if name == "store/log" else b""
            hashed = hashlib.blake2b(before + number.to_bytes(8, "big") + size.to_bytes(4, "big") + body + content, digest_size=32).digest()
            self.tables[name][at] = (key, value[:-32] + hashed)
            before = hashed
        self._set_head(number, before)

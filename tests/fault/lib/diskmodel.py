"""A file system after a power cut, rebuilt from the system calls of an agent (and its Git worker) as strace tells them.

The model is what POSIX promises: an entry of a folder is on disk for certain once the folder was synced (fsync, syncfs) after it
was made; so is a file's content. Of the rest anything may be there: of each folder the first few of its changes, of each file a part.
"""
import os
import re

CALLS = ("open,openat,openat2,write,pwrite64,ftruncate,rename,renameat,renameat2,mkdir,mkdirat,symlink,symlinkat,unlink,unlinkat,rmdir,fsync,"
         "fdatasync,syncfs")
SHAPES = ("synced", "all", "random", "random")
LINE = re.compile(r"^(\d+) +(.*)$")
CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)(?:<.*>)?")


def strace(log):
    return ["strace", "-f", "-qq", "-y", "-x", "-s", "1000000", "-e", "signal=none", "-e", "trace=" + CALLS, "-o", log]


def read_calls(path):
    """[(call, text of its arguments)] of those that succeeded, in the order in which they ended."""
    found, begun = [], {}
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            match = LINE.match(line.rstrip("\n"))
            if not match:
                continue
            pid, text = match.groups()
            if text.endswith("<unfinished ...>"):
                begun[pid] = text[:-len("<unfinished ...>")].rstrip()
                continue
            if text.startswith("<... "):
                text = begun.pop(pid, "") + text[text.index("resumed>") + len("resumed>"):]
            call = CALL.match(text)
            if call and int(call.group(3)) >= 0:
                found.append((call.group(1), call.group(2)))
    return found


TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>|([^,"\s][^,]*))')


def arguments(text):
    """Strings as bytes, descriptors as their paths, the rest as text."""
    found = []
    for string, _, path, other in TOKEN.findall(text):
        if other:
            found.append(other.strip())
        elif path:
            found.append(("fd", path))
        else:
            found.append(string.encode("latin-1", "surrogateescape").decode("unicode_escape").encode("latin-1"))
    return [each for each in found if each != ""]


class Node:
    def __init__(self, kind, target=None):
        self.kind = kind  # folder, file, link
        self.target = target
        self.now, self.certain, self.changes = {}, {}, []  # a folder's entries; its changes since the last sync
        self.data, self.synced = b"", b""

    def set(self, name, node):
        self.changes.append((name, node))
        if node is None:
            self.now.pop(name, None)
        else:
            self.now[name] = node

    def sync(self):
        self.certain, self.changes, self.synced = dict(self.now), [], self.data

    def sync_below(self, seen=None):
        self.sync()
        for node in self.now.values():
            node.sync_below()


class Disk:
    """Everything below `top` but what `ignore` names (folders of the top)."""

    def __init__(self, top, ignore=("mirrors",)):
        self.top, self.ignore, self.root = top, ignore, Node("folder")

    # --- finding -------------------------------------------------------------------

    def _parts(self, path):
        path = os.path.normpath(path)
        if path == self.top:
            return []
        if not path.startswith(self.top + "/"):
            return None
        parts = path[len(self.top) + 1:].split("/")
        return None if parts[0] in self.ignore else parts

    def _find(self, path):
        parts = self._parts(path)
        node = self.root if parts is not None else None
        for part in parts or []:
            node = node.now.get(part) if node is not None else None
        return node

    def _place(self, path):
        """(folder, name) of a path; (None, None): not ours."""
        parts = self._parts(path)
        if not parts:
            return None, None
        return self._find(os.path.dirname(os.path.normpath(path))), parts[-1]

    # --- calls ------------------------------------------------------------------------

    def apply(self, call, text):
        """True when it changed or synced something here."""
        given = arguments(text)
        if call in ("write", "pwrite64", "fsync", "fdatasync", "syncfs", "ftruncate"):
            return self._on_descriptor(call, given)
        paths = self._paths(given)
        if call in ("open", "openat", "openat2"):
            return self._open(paths, text)
        if call in ("mkdir", "mkdirat"):
            return self._make(paths[0], Node("folder"))
        if call in ("symlink", "symlinkat"):
            target = next(each for each in given if isinstance(each, bytes)).decode()
            return self._make(paths[-1], Node("link", target))
        if call in ("unlink", "unlinkat", "rmdir"):
            return self._make(paths[0], None)
        return self._rename(paths[0], paths[1])

    def _paths(self, given):
        """Names joined to the descriptor before them."""
        found, folder = [], ""
        for each in given:
            if isinstance(each, tuple):
                folder = each[1]
            elif isinstance(each, bytes):
                found.append(os.path.join(folder, each.decode("utf-8", "surrogateescape")))
                folder = ""
        return found

    def _open(self, paths, text):
        if "O_CREAT" not in text and "O_TRUNC" not in text:
            return False
        folder, name = self._place(paths[0])
        if folder is None:
            return False
        node = folder.now.get(name)
        if node is None:
            folder.set(name, Node("file"))
        elif "O_TRUNC" in text:
            node.data = b""
        return True

    def _make(self, path, node):
        folder, name = self._place(path)
        if folder is None:
            return False
        folder.set(name, node)
        return True

    def _rename(self, source, target):
        old, old_name = self._place(source)
        new, new_name = self._place(target)
        if old is None or new is None:
            return False
        node = old.now.get(old_name)
        new.set(new_name, node)
        old.set(old_name, None)
        return True

    def _on_descriptor(self, call, given):
        path = given[0][1] if isinstance(given[0], tuple) else ""
        if call == "syncfs":
            self.root.sync_below()
            return True
        node = self._find(path) if path.startswith("/") else None
        if node is None:
            return False
        if call in ("fsync", "fdatasync"):
            node.sync()
        elif call == "ftruncate":
            node.data = node.data[:int(given[1])]
        elif call == "write":
            node.data += given[1]
        else:
            at = int(given[3])
            node.data = node.data[:at].ljust(at, b"\0") + given[1] + node.data[at + len(given[1]):]
        return True

    # --- images -----------------------------------------------------------------------

    def write_image(self, folder, shape, random):
        os.makedirs(folder)
        self._write(self.root, folder, shape, random)

    def _write(self, node, path, shape, random):
        for name, each in self._entries(node, shape, random).items():
            place = os.path.join(path, name)
            if each.kind == "folder":
                os.makedirs(place)
                self._write(each, place, shape, random)
            elif each.kind == "link":
                os.symlink(each.target, place)
            else:
                with open(place, "wb") as file:
                    file.write(self._content(each, shape, random))

    def _entries(self, node, shape, random):
        if shape == "all":
            return node.now
        entries = dict(node.certain)
        if shape == "random":
            for name, each in node.changes[:random.randrange(len(node.changes) + 1)]:
                if each is None:
                    entries.pop(name, None)
                else:
                    entries[name] = each
        return entries

    def _content(self, node, shape, random):
        if shape == "all" or node.data == node.synced:
            return node.data
        if shape == "synced":
            return node.synced
        return random.choice([node.synced, node.data[:random.randrange(len(node.data) + 1)], bytes(len(node.data))])

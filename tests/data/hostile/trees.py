"""Bundles that must not come in, and odd ones that must: {id: (what makes the root tree, rule or None)}.

A rule is the name that server and agent give it. None: the bundle is fine, and every byte of it arrives as it was.
Each function takes raw_git.Objects and returns the root tree's id.
"""
FILE, RUN, DIR, LINK, GITLINK = "100644", "100755", "40000", "120000", "160000"
INDEX = (FILE, b"index.html", b"<h1>evil</h1>\n")


def entries(*rows):
    """A root of these entries, in this order, after one good file."""
    return lambda objects: objects.tree([INDEX] + list(rows))


def name(text, mode=FILE):
    content = b"owned\n" if mode != DIR else [(FILE, b"x", b"owned\n")]
    return entries((mode, text, content))


def raw(data):
    """A root tree of these bytes."""
    return lambda objects: objects.add("tree", data)


def chain(levels, top=b"d"):
    def make(objects):
        tree = objects.tree([INDEX])
        for _ in range(levels):
            tree = objects.tree([(DIR, top, tree)])
        return tree

    return make


def fan(width, levels):
    """width ** levels files, by `levels` trees."""

    def make(objects):
        tree = objects.tree([(FILE, b"f%05d" % i, b"x\n") for i in range(width)])
        for _ in range(levels - 1):
            tree = objects.tree([(DIR, b"d%05d" % i, tree) for i in range(width)])
        return tree

    return make


def wide(count):
    return lambda objects: objects.tree([(FILE, b"f%06d" % i, b"x\n") for i in range(count)])


def folders_only(levels):
    """2 ** levels folders and not one file."""

    def make(objects):
        tree = objects.tree([])
        for _ in range(levels):
            tree = objects.tree([(DIR, b"a", tree), (DIR, b"b", tree)])
        return tree

    return make


def is_a_blob(objects):
    return objects.blob(b"not a tree\n")


def folder_is_a_blob(objects):
    return objects.tree([INDEX, (DIR, b"sub", objects.blob(b"not a tree\n"))])


def file_is_a_tree(objects):
    return objects.tree([INDEX, (FILE, b"sub", objects.tree([INDEX]))])


def no_such_folder(objects):
    return objects.tree([INDEX, (DIR, b"sub", "1" * 40)])


def no_such_file(objects):
    return objects.tree([INDEX, (FILE, b"gone", "2" * 40)])


ZERO = b"\0" * 20

REFUSED = {
    # --- names that lead elsewhere
    "dot-dot-file": (name(b".."), "NAME_DOT_DOT"),
    "dot-dot-folder": (name(b"..", DIR), "NAME_DOT_DOT"),
    "dot-dot-below": (entries((DIR, b"a", [(DIR, b"..", [(DIR, b"..", [(FILE, b"owned", b"x")])])])), "NAME_DOT_DOT"),
    "dot-file": (name(b"."), "NAME_DOT"),
    "dot-folder": (name(b".", DIR), "NAME_DOT"),
    "absolute": (name(b"/etc/cron.d/owned"), "NAME_SLASH"),
    "slashes": (name(b"//"), "NAME_SLASH"),
    "double-slash": (name(b"a//b"), "NAME_SLASH"),
    "climbing": (name(b"../../owned"), "NAME_SLASH"),
    "trailing-slash": (name(b"a/", DIR), "NAME_SLASH"),
    "backslash": (name(b"..\\..\\owned"), "NAME_BACKSLASH"),
    "drive": (name(b"C:\\owned"), "NAME_BACKSLASH"),
    "empty-name": (name(b""), "NAME_EMPTY"),
    "empty-folder-name": (name(b"", DIR), "NAME_EMPTY"),
    "long-256": (name(b"n" * 256), "NAME_TOO_LONG"),
    "long-4096": (name(b"n" * 4096), "NAME_TOO_LONG"),
    "path-too-long": (chain(5, b"n" * 250), "PATH_TOO_LONG"),
    "newline": (name(b"a\nb"), "NAME_CONTROL"),
    "escape": (name(b"\x1b]0;owned\x07"), "NAME_CONTROL"),
    "delete": (name(b"a\x7f"), "NAME_CONTROL"),
    "c1": (name(b"a\xc2\x9b2J"), "NAME_CONTROL"),
    "not-utf8": (name(b"a\xff"), "NAME_NOT_UTF8"),
    "overlong-dots": (name(b"\xc0\xae\xc0\xae"), "NAME_NOT_UTF8"),
    "surrogate": (name(b"\xed\xa0\x80"), "NAME_NOT_UTF8"),
    # --- .git in all spellings
    "git-folder": (entries((DIR, b".git", [(DIR, b"hooks", [(RUN, b"post-checkout", b"#!/bin/sh\ntouch owned\n")])])), "NAME_DOT_GIT"),
    "git-file": (name(b".git"), "NAME_DOT_GIT"),
    "git-upper": (name(b".GIT", DIR), "NAME_DOT_GIT"),
    "git-mixed": (name(b".gIt", DIR), "NAME_DOT_GIT"),
    "git-space": (name(b".git ", DIR), "NAME_DOT_GIT"),
    "git-dot": (name(b".git.", DIR), "NAME_DOT_GIT"),
    "git-dot-space-dot": (name(b".git. .", DIR), "NAME_DOT_GIT"),
    "git-short": (name(b"git~1", DIR), "NAME_DOT_GIT"),
    "git-short-upper": (name(b"GIT~1", DIR), "NAME_DOT_GIT"),
    "git-short-2": (name(b"git~2", DIR), "NAME_DOT_GIT"),
    "git-stream": (name(b".git::$INDEX_ALLOCATION", DIR), "NAME_DOT_GIT"),
    "git-stream-short": (name(b"git~1:x", DIR), "NAME_DOT_GIT"),
    "git-zero-width": (name(b".g\xe2\x80\x8cit", DIR), "NAME_DOT_GIT"),
    "git-byte-order-mark": (name(b"\xef\xbb\xbf.git", DIR), "NAME_DOT_GIT"),
    "git-right-to-left": (name(b".gi\xe2\x80\xaet", DIR), "NAME_DOT_GIT"),
    "git-below": (entries((DIR, b"a", [(DIR, b"b", [(DIR, b".Git", [INDEX])])])), "NAME_DOT_GIT"),
    # --- twins
    "twin-same": (entries((FILE, b"a", b"1"), (FILE, b"a", b"2")), "NAME_TWIN"),
    "twin-case": (entries((FILE, b"README", b"1"), (FILE, b"readme", b"2")), "NAME_TWIN"),
    "twin-file-and-folder": (entries((FILE, b"a", b"1"), (DIR, b"a", [INDEX])), "NAME_TWIN"),
    "twin-folders": (entries((DIR, b"A", [INDEX]), (DIR, b"a", [INDEX])), "NAME_TWIN"),
    "twin-unicode-form": (entries((FILE, "caf\u00e9".encode(), b"1"), (FILE, "cafe\u0301".encode(), b"2")), "NAME_TWIN"),
    "twin-unicode-case": (entries((FILE, "CAF\u00c9".encode(), b"1"), (FILE, "cafe\u0301".encode(), b"2")), "NAME_TWIN"),
    "twin-sharp-s": (entries((FILE, "stra\u00dfe".encode(), b"1"), (FILE, b"STRASSE", b"2")), "NAME_TWIN"),
    "twin-kelvin": (entries((FILE, "\u212a".encode(), b"1"), (FILE, b"k", b"2")), "NAME_TWIN"),
    # --- what is no file
    "link-absolute": (entries((LINK, b"passwd", b"/etc/passwd")), "LINK"),
    "link-out": (entries((LINK, b"up", b"../../../..")), "LINK"),
    "link-inside": (entries((LINK, b"alias", b"index.html")), "LINK"),
    "link-then-file-through-it": (entries((LINK, b"d", b"/tmp"), (DIR, b"d", [(FILE, b"owned", b"x")])), "LINK"),
    "file-then-link-twin": (entries((DIR, b"D", [(FILE, b"owned", b"x")]), (LINK, b"d", b"/tmp")), "LINK"),
    "link-below": (entries((DIR, b"a", [(DIR, b"b", [(LINK, b"l", b"../../../x")])])), "LINK"),
    "gitmodules-link": (entries((LINK, b".gitmodules", b".git/config")), "LINK"),
    "gitlink": (entries((GITLINK, b"module", "3" * 40)), "GITLINK"),
    "gitmodules-and-gitlink": (
        entries((FILE, b".gitmodules", b'[submodule "x"]\npath = x\nurl = ext::sh -c touch% /tmp/owned\nupdate = !touch owned\n'),
                (GITLINK, b"x", "3" * 40)), "GITLINK"),
    "setuid": (name(b"su", "104755"), "SPECIAL_FILE"),
    "setgid": (name(b"sg", "102755"), "SPECIAL_FILE"),
    "sticky": (name(b"st", "101777"), "SPECIAL_FILE"),
    "all-may-write": (name(b"w", "100666"), "SPECIAL_FILE"),
    "character-device": (name(b"null", "20666"), "SPECIAL_FILE"),
    "block-device": (name(b"sda", "60660"), "SPECIAL_FILE"),
    "fifo": (name(b"pipe", "10644"), "SPECIAL_FILE"),
    "socket": (name(b"sock", "140644"), "SPECIAL_FILE"),
    "mode-zero": (name(b"f", "0"), "SPECIAL_FILE"),
    "mode-folder-with-bits": (entries(("40755", b"f", [INDEX])), "SPECIAL_FILE"),
    # --- trees that are none
    "tree-cut": (raw(b"100644 index.html\0" + ZERO[:7]), "MALFORMED"),
    "tree-garbage": (raw(b"\xff" * 64), "MALFORMED"),
    "tree-without-nul": (raw(b"100644 index.html"), "MALFORMED"),
    "tree-long-mode": (raw(b"100644100644100644 f\0" + ZERO), "MALFORMED"),
    "tree-mode-in-words": (raw(b"file f\0" + ZERO), "MALFORMED"),
    # --- too much
    "deep-65": (chain(65), "TOO_DEEP"),
    "fan-10-million-files": (fan(10, 7), "TOO_MANY_FILES"),
    "endless-folders": (folders_only(60), "TOO_MANY_FILES"),
}

# What ends with another reason than BUNDLE_REFUSED: {id: (make, server's reason, the agent's words)}.
BROKEN = {
    "no-files": (lambda objects: objects.tree([]), "BUNDLE_EMPTY", "BUNDLE_EMPTY"),
    "folders-without-files": (folders_only(3), "BUNDLE_EMPTY", "BUNDLE_EMPTY"),
    # Git ends a name at its NUL: what follows is an id that nobody has, and then no entry any more.
    "nul-in-name": (name(b"a\0../../owned"), "BUNDLE_REFUSED", "MIRROR_CORRUPT"),
    "root-is-a-blob": (is_a_blob, "REPOSITORY_UNREACHABLE", "MIRROR_CORRUPT"),
    "folder-is-a-blob": (folder_is_a_blob, "REPOSITORY_UNREACHABLE", "MIRROR_CORRUPT"),
    "file-is-a-tree": (file_is_a_tree, "REPOSITORY_UNREACHABLE", "MIRROR_CORRUPT"),
    "folder-is-missing": (no_such_folder, "REPOSITORY_UNREACHABLE", "MIRROR_CORRUPT"),
    "file-is-missing": (no_such_file, "REPOSITORY_UNREACHABLE", "MIRROR_CORRUPT"),
}

ATTRIBUTES = b"* text=auto eol=crlf ident filter=owned working-tree-encoding=UTF-16 export-subst\n*.txt export-ignore\n"

# Odd and harmless: {id: {path: bytes}}; all of it must arrive, and byte by byte.
FINE = {
    "attributes-alter-nothing": {
        ".gitattributes": ATTRIBUTES, "unix.txt": b"a\nb\n", "dos.txt": b"a\r\nb\r\n", "mixed.txt": b"a\r\nb\nc\r", "id.txt": b"$Id$\n$Format:%H$\n",
        "bytes.bin": bytes(range(256)), "sub/.gitattributes": b"* filter=lfs diff=lfs merge=lfs -text\n",
        "sub/no-pointer": b"# version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
    },
    "gitattributes-of-8-mb": {".gitattributes": b"* ident filter=x\n" * 500000, "index.html": b"x\n"},
    "gitmodules-alone": {".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% /tmp/owned\n', "index.html": b"x\n"},
    "almost-git": {".gitignore": b"*\n", ".github/x": b"x\n", "git~/x": b"x\n", "...": b"x\n", "..a": b"x\n", "a..": b"x\n", "gitx": b"x\n"},
    "options-and-shell": {"-rf": b"x\n", "--help": b"x\n", "$(touch owned)": b"x\n", "`id`": b"x\n", "a;b|c&d": b"x\n", "*": b"x\n", "a\"b'c": b"x\n", "%s%n": b"x\n"},
    "names-of-255-bytes": {"n" * 255: b"x\n", "\u20ac" * 85: b"x\n"},
    "other-systems": {"con": b"x\n", "aux.txt": b"x\n", "a:b": b"x\n", "index.html": b"x\n"},
    "deep-64": {"d/" * 64 + "f": b"x\n"},
}

"""What a caller can ask a server for that it must refuse at once."""

URLS = {
    "option": "--upload-pack=touch owned",
    "ext": "ext::sh -c touch% owned",
    "fd": "fd::17",
    "folder": "/etc",
    "relative": "../x",
    "scp": "git@example.org:x.git",
    "scheme": "ftp://example.org/x",
    "scheme-upper": "HTTPS://example.org/x",
    "scheme-in-scheme": "git+ssh://example.org/x",
    "javascript": "javascript:alert(1)",
    "password": "https://eve:secret@example.org/x",
    "password-empty-user": "https://:secret@example.org/x",
    "token": "https://ghp_secret@example.org/x",
    "user-option": "ssh://-oProxyCommand=touch@example.org/x",
    "host-option": "ssh://-oProxyCommand=touch/x",
    "host-missing": "https:///x",
    "path-missing": "https://example.org",
    "backslash": "https://example.org\\@127.0.0.1/x",
    "newline": "https://example.org/x\nHost: y",
    "return": "https://example.org/x\r\n",
    "space": "https://example.org/a b",
    "quote": "https://example.org/a'b",
    "escape": "https://example.org/\x1b[2J",
    "fragment": "https://example.org/x#y",
    "query": "https://example.org/x?y",
    "not-ascii": "https://ex\u00e4mple.org/x",
    "port-zero": "https://example.org:0/x",
    "port-large": "https://example.org:65536/x",
    "port-words": "https://example.org:https/x",
    "brackets": "https://[::1/x",
    "file-host": "file://example.org/x",
    "file-root": "file:///",
    "file-escaped": "file:///tmp/%2e%2e/etc",
    "long": "https://example.org/" + "a" * 2000,
    "empty": "",
}

# Of a version's commit, looked for on the host and not found, or refused: never more than a name.
REVISIONS = ["--upload-pack=touch owned", "-x", "refs/heads/../../../etc/passwd", "../x", "main:owned", "+main", "refs/*", "HEAD~1", "main^{tree}", "@{-1}",
             "main@{upstream}", "a b", "a\\b", "$(touch owned)", "`id`", ":/m", "0" * 40, "." * 100]

PATHS = ["..", "../..", "apps/../..", "/etc", "apps//x", "apps/", ".git", "apps/.GIT/hooks", "a\\b", "a\nb", "a\x1bb", "./apps", "apps/./x", "x" * 2000,
         "git~1", "apps/.git /x"]

NAMES = ["..", ".", "a/b", "/etc", "../x", "A", "-x", "x-", "a b", "a\nb", "\u00e4", "x" * 51, ".git", "a.b", "a%2fb", "$(id)"]

VERSION_NAMES = ["..", "a..b", "a/b", "-x", ".x", "x.", "x.lock", "ver_x", "a b", "a\nb", "a:b", "a~1", "a^", "x" * 26, "\u00e4", "a@{b"]

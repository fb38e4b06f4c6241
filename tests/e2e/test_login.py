"""sluice login and what follows from it: contexts, renewal while they are used, ends, and no token anywhere."""
import glob
import json
import os
import pty
import shutil
import signal
import stat
import subprocess
import threading
import time

import harness
import pytest
from people import Person, admin_of, make_server, server, sluiced_token  # noqa: F401 (fixtures)

REFUSED = "the token is unknown, used, expired or revoked"


def secret_of(token):
    return token.strip().rsplit("_", 1)[1]


# --- logging in ---------------------------------------------------------------------------


def test_a_login_file_makes_a_context_that_all_commands_use(server, tmp_path):
    admin = admin_of(server, tmp_path / "admin")
    assert admin("whoami", "-o", "json").stdout and admin.json("whoami")["principal"] == "admin"
    shown = admin.json("context", "show")
    assert (shown["name"], shown["principal"], shown["server"], shown["workspace"]) == ("default", "admin", f"127.0.0.1:{server.port}", "default")
    assert shown["current"] and not shown["expired"] and shown["door"] == f"127.0.0.1:{server.door_port}"
    admin("principal", "add", "alice", "--role", "viewer")
    alice = Person(tmp_path / "alice")
    file = tmp_path / "alice.login"
    file.write_text(admin("token", "create", "alice", "--login").stdout)
    assert file.read_text().count("\n") == 1  # a line, to paste
    said = alice("login", "--token-file", file)
    assert "as alice" in said.stdout and "context default is in use" in said.stdout
    assert alice.json("whoami")["principal"] == "alice"
    assert alice("workspace", "add", "mine", code=2).stderr.count("'alice'") == 1


def test_a_bare_token_needs_address_and_ca_once(server, tmp_path):
    person = Person(tmp_path / "me")
    ca = os.path.join(server.folder, "keys/ca.pem")
    assert "nothing was given" in person("login", code=64, stdin="\n").stderr
    assert "--server" in person("login", code=64, stdin=server.token).stderr
    assert "--ca" in person("login", "--server", f"127.0.0.1:{server.port}", code=64, stdin=server.token).stderr
    there = ["--server", f"127.0.0.1:{server.port}", "--door", f"127.0.0.1:{server.door_port}", "--ca", ca]
    person("login", *there, stdin=server.token + "\n")
    before = person.json("context", "show")
    person("login", stdin="\n " + server.token + " \n")  # again: the context knows the rest
    again = person.json("context", "show")
    assert again["identityId"] != before["identityId"] and again["server"] == before["server"]
    assert person.json("whoami")["identityId"] == again["identityId"]


def test_files_are_for_their_owner_only_and_the_key_stays(server, tmp_path):
    old = os.umask(0o000)
    try:
        admin = admin_of(server, tmp_path / "admin")
    finally:
        os.umask(old)
    for name in ("key.pem", "cert.pem", "ca.pem", "context.json"):
        assert stat.S_IMODE(os.stat(admin.path("contexts/default", name)).st_mode) == 0o600, name
    assert stat.S_IMODE(os.stat(admin.path("contexts/default")).st_mode) == 0o700
    assert sorted(os.listdir(admin.path("contexts/default"))) == ["ca.pem", "cert.pem", "context.json", "key.pem"]
    middle = admin.read("key.pem").splitlines()[1]
    for folder, _, names in os.walk(server.folder):
        for name in names:
            if not name.endswith(".sock"):
                with open(os.path.join(folder, name), "rb") as file:
                    assert middle.encode() not in file.read(), name
    os.chmod(admin.path("contexts/default/key.pem"), 0o644)
    assert "0600" in admin("whoami", code=64).stderr
    os.chmod(admin.path("contexts/default/key.pem"), 0o600)
    os.chmod(admin.path("contexts/default"), 0o755)
    assert "0700" in admin("whoami", code=64).stderr


def test_a_terminal_is_asked_without_echo(server, tmp_path):
    person = Person(tmp_path / "me")
    login = sluiced_token(server, "--login").stdout
    ours, theirs = pty.openpty()
    program = subprocess.Popen([harness.CLI, "login"], env=person.env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    shown = b""
    while b"not shown" not in shown:
        shown += os.read(ours, 4096)
    os.write(ours, login.encode())
    assert program.wait(60) == 0
    os.close(theirs)
    try:
        while True:
            more = os.read(ours, 4096)
            shown += more
            if not more:
                break
    except OSError:
        pass
    os.close(ours)
    assert b"logged in to" in shown and secret_of(json.loads(login)["token"]).encode() not in shown


def test_ctrl_c_gives_the_terminal_back(tmp_path):
    import termios

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)[3]
    program = subprocess.Popen([harness.CLI, "login"], env=Person(tmp_path / "me").env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    shown = b""
    while b"not shown" not in shown:
        shown += os.read(ours, 4096)
    assert not termios.tcgetattr(theirs)[3] & termios.ECHO
    program.send_signal(signal.SIGINT)
    assert program.wait(60) == -signal.SIGINT
    assert termios.tcgetattr(theirs)[3] == before
    os.close(ours)
    os.close(theirs)


def test_tokens_that_are_no_good_are_refused_alike(server, tmp_path):
    admin = admin_of(server, tmp_path / "admin")
    admin("principal", "add", "ci", "--bot", "--role", "viewer")
    short = admin("token", "create", "ci", "--life", "1s", "--login").stdout
    revoked = admin("token", "create", "ci", "--login").stdout
    admin("token", "revoke", [t for t in admin.json("token", "ls", "ci")["tokens"] if t["id"][4:] in revoked][0]["id"])
    disabled = admin("token", "create", "ci", "--login").stdout
    made_up = json.loads(disabled)
    made_up["token"] = made_up["token"][:-5] + "aaaaa"
    unknown = dict(made_up, token="slc_" + "a" * 20 + "_" + "b" * 52)
    join_like = dict(made_up, token="jtk_something")
    admin("principal", "disable", "ci")
    time.sleep(1.5)  # the first one's life is a second
    said = set()
    for text in (short, revoked, disabled, json.dumps(made_up), json.dumps(unknown), json.dumps(join_like)):
        done = Person(tmp_path / "nobody")("login", code=3, stdin=text)
        said.add((done.stdout, done.stderr))
        assert json.loads(text)["token"][4:] not in done.stderr + done.stdout
    assert len(said) == 1 and REFUSED in said.pop()[1]
    assert not os.path.exists(Person(tmp_path / "nobody").path("contexts/default"))


def test_what_is_no_token_says_nothing_of_itself(server, tmp_path):
    person = Person(tmp_path / "me")
    good = json.loads(sluiced_token(server, "--login").stdout)
    for text in ("", "  \n", "two words", json.dumps({**good, "more": 1}), json.dumps({k: v for k, v in good.items() if k != "ca"}), "{" + good["token"]):
        done = person("login", code=64, stdin=text)
        assert secret_of(good["token"]) not in done.stderr and "sluice: " in done.stderr
    assert "Permission" in person("login", "--token-file", "/proc/1/mem", code=64).stderr or os.geteuid() == 0
    assert "No such file" in person("login", "--token-file", str(tmp_path / "none"), code=64).stderr


def test_another_ca_is_not_believed(make_server, tmp_path):
    one, other = make_server(), make_server()
    login = json.loads(sluiced_token(one, "--login").stdout)
    login["ca"] = other.ca.decode()
    done = Person(tmp_path / "me")("login", code=3, stdin=json.dumps(login))
    assert secret_of(login["token"]) not in done.stderr
    # And the token has not been shown to anybody: it still logs in.
    login["ca"] = one.ca.decode()
    Person(tmp_path / "me")("login", stdin=json.dumps(login))


# --- contexts -------------------------------------------------------------------------------


def test_contexts_of_two_servers_are_kept_apart(make_server, tmp_path):
    one, other = make_server(), make_server()
    person = Person(tmp_path / "me")
    person("login", stdin=sluiced_token(one, "--login").stdout)
    wrong = person("login", code=64, stdin=sluiced_token(other, "--login").stdout)
    assert "--context" in wrong.stderr and person.json("context", "show")["server"].endswith(str(one.port))
    person("login", "--context", "other", stdin=sluiced_token(other, "--login").stdout)
    listed = {c["name"]: c for c in person.json("context", "ls")["contexts"]}
    assert set(listed) == {"default", "other"} and listed["other"]["current"] and not listed["default"]["current"]
    assert person("context", "ls", "-o", "name").stdout == "default\nother\n"
    table = person("context", "ls").stdout
    assert "in use" in table and "admin" in table and f"127.0.0.1:{one.port}" in table and listed["other"]["expiresAt"] in table
    person("workspace", "add", "of-other")
    person("--context", "default", "workspace", "add", "of-one")
    assert "of-other" in person("workspace", "ls").stdout
    person("context", "use", "default")
    assert "of-one" in person("workspace", "ls").stdout and "of-other" not in person("workspace", "ls").stdout
    # By the environment; with the address of another server the context in use has no say.
    person.env["SLUICE_CONTEXT"] = "other"
    assert "of-other" in person("workspace", "ls").stdout
    del person.env["SLUICE_CONTEXT"]
    assert "is sluiced running there" in person("--server", f"127.0.0.1:{other.port}", "workspace", "ls", code=3).stderr
    assert "of-one" in person("--server", f"127.0.0.1:{one.port}", "workspace", "ls").stdout
    assert "no context 'third'" in person("--context", "third", "whoami", code=64).stderr
    for words in (("use", "third"), ("show", "third"), ("rm", "third", "--yes")):
        assert "no context 'third': run: sluice context ls" in person("context", *words, code=64).stderr
    assert "a name is" in person("context", "use", "../x", code=64).stderr
    assert "--yes" in person("context", "rm", "default", code=64).stderr
    person("context", "rm", "default", "--yes")
    assert not os.path.exists(person.path("contexts/default")) and not os.path.lexists(person.path("current"))
    assert person("context", "ls", "-o", "name").stdout == "other\n"
    assert "no context is in use" in person("context", "show", code=64).stderr
    # A place that leads nowhere is none.
    person("context", "use", "other")
    os.rename(person.path("contexts/other"), person.path("contexts/moved"))
    assert "is sluiced running there" in person("--server", "127.0.0.1:1", "whoami", code=3).stderr


def test_a_workspace_of_the_login_and_of_the_command(server, tmp_path):
    admin = admin_of(server, tmp_path / "admin")
    admin("workspace", "add", "team")
    admin("-w", "team", "principal", "add", "tom", "--role", "admin")
    tom = Person(tmp_path / "tom")
    tom("login", stdin=admin("-w", "team", "token", "create", "tom", "--login").stdout)
    tom("repo", "add", "ours", "https://git.example.org/ours.git")
    assert tom("repo", "ls", "-o", "name").stdout == "ours\n"
    assert admin("repo", "ls", "-o", "name").stdout == "" and admin("-w", "team", "repo", "ls", "-o", "name").stdout == "ours\n"
    assert "default" in tom("-w", "default", "repo", "ls", code=3).stderr


# --- ends --------------------------------------------------------------------------------


def test_a_revoked_one_is_out_at_once(server, tmp_path):
    admin = admin_of(server, tmp_path / "admin")
    admin("principal", "add", "eve", "--role", "viewer")
    eve = Person(tmp_path / "eve")
    eve("login", stdin=admin("token", "create", "eve", "--login").stdout)
    watch = eve.start("watch")
    harness.until(lambda: admin.json("admin", "stats").get("watchers"), what="her watch")
    admin("principal", "disable", "eve")
    _, err = watch.communicate(timeout=60)
    assert watch.returncode == 3 and "sluice login" in err, err
    assert "sluice login" in eve("whoami", code=3).stderr


# --- the locked-out ----------------------------------------------------------------------------


def test_logout_ends_the_identity_there_and_the_key_here(server, tmp_path):
    admin = admin_of(server, tmp_path / "admin")
    admin("principal", "add", "alice", "--role", "viewer")
    alice, elsewhere = Person(tmp_path / "alice"), Person(tmp_path / "elsewhere")
    for person in (alice, elsewhere):
        person("login", stdin=admin("token", "create", "alice", "--login").stdout)
    mine = alice.json("whoami")["identityId"]
    shutil.copytree(alice.home, tmp_path / "thief", symlinks=True)
    thief = Person(tmp_path / "thief")
    watching = thief.start("watch")
    assert "alice" in alice("logout").stdout
    assert alice.json("context", "ls")["contexts"] == []
    assert not os.path.exists(alice.path("contexts/default"))
    assert watching.wait(60) != 0  # a copy of the files is worth nothing any more
    assert thief("whoami", code=3).stderr
    assert elsewhere.json("whoami")["identityId"] != mine
    assert alice("logout", code=64).stderr.count("no context is in use") == 1
    record = [r for r in admin.audit() if r["entry"]["method"] == "Logout"]
    assert [(r["entry"]["principal"], r["entry"].get("refusal")) for r in record] == [("alice", None)]


def test_logout_of_another_workspace_and_of_one_of_several(server, tmp_path):
    admin = admin_of(server, tmp_path / "admin")
    admin("workspace", "add", "team")
    admin("principal", "add", "bert", "--role", "viewer", "--workspace", "team")
    bert = Person(tmp_path / "bert")
    bert("login", "--context", "team", stdin=admin("token", "create", "bert", "--login", "--workspace", "team").stdout)
    bert("login", "--context", "again", stdin=admin("token", "create", "bert", "--login", "--workspace", "team").stdout)
    assert bert("logout", "--context", "team", "-o", "name").stdout == "team\n"
    assert [c["name"] for c in bert.json("context", "ls")["contexts"]] == ["again"]
    assert bert.json("whoami")["principal"] == "bert"


def test_logout_without_the_server_keeps_the_context(server, tmp_path):
    admin = admin_of(server, tmp_path / "admin")
    server.stop()
    assert admin("logout", "--timeout", "1s", code=None).returncode != 0
    assert admin.json("context", "show")["name"] == "default"
    server.start()
    admin("logout")


def test_sluiced_token_on_a_running_server(server, tmp_path):
    path = os.path.join(server.folder, "admin.sock")
    assert stat.S_ISSOCK(os.stat(path).st_mode) and stat.S_IMODE(os.stat(path).st_mode) == 0o600
    admin = admin_of(server, tmp_path / "admin")
    # Locked out: the last who administers is kept, but nobody has its key or token.
    tokens = {sluiced_token(server).stdout for _ in range(2)}
    assert len(tokens) == 2 and all(t.startswith("slc_") and t.count("\n") == 1 for t in tokens)
    entries = [r["entry"] for r in admin.audit()]
    assert sum(e["method"] == "token" and e["principal"] == "sluiced" for e in entries) == 4  # init, login, two
    listed = admin.json("token", "ls", "admin")["tokens"]
    assert "made on the server's host" in {t["description"] for t in listed}
    server.stop()
    assert not os.path.exists(path)


def test_sluiced_token_on_a_stopped_server_and_one_that_was_killed(server, tmp_path):
    admin = admin_of(server, tmp_path / "admin")
    server.kill()
    assert os.path.exists(os.path.join(server.folder, "admin.sock"))  # left behind, and in nobody's way
    login = sluiced_token(server, "--login", "--server", f"127.0.0.1:{server.port}", "--door", f"127.0.0.1:{server.door_port}").stdout
    server.start()
    again = Person(tmp_path / "again")
    again("login", stdin=login)
    assert again.json("whoami")["principal"] == "admin"
    assert sum(r["entry"]["method"] == "token" for r in again.audit()) == 3
    admin("login", stdin=sluiced_token(server).stdout)
    server.stop()
    server.verify()


def test_sluiced_token_is_for_the_servers_user(server, tmp_path):
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*become, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs another user")
    path = os.path.join(server.folder, "admin.sock")
    code = "import socket,sys; s=socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]); s.send(b'token'); print(s.recv(65536))"
    nobody = [*become, "/usr/bin/python3", "-c", code, path]
    for parent in (server.folder, str(tmp_path), os.path.dirname(str(tmp_path))):
        os.chmod(parent, 0o755)  # not even where the folders are opened up
    done = subprocess.run(nobody, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "slc_" not in done.stdout
    os.chmod(path, 0o666)
    done = subprocess.run(nobody, capture_output=True, text=True, timeout=30)
    assert "slc_" not in done.stdout
    if "Permission" not in done.stderr:  # it came as far as the server
        server.program.wait_line("admin-token-refused uid=65534")


def test_sluiced_token_says_why_not(server, tmp_path):
    assert "keys" in sluiced_token_of(tmp_path / "nothing").stderr
    assert not os.path.exists(tmp_path / "nothing")
    server.stop()
    insecure = harness.Server(None, server.folder).start()
    try:
        assert "holds it" in sluiced_token_of(server.folder).stderr
    finally:
        insecure.end()


def sluiced_token_of(folder):
    done = subprocess.run([harness.SLUICED, "token", "--data", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and done.stdout == ""
    return done


# --- no token anywhere ----------------------------------------------------------------------------


class Looker:
    """Reads the command lines and environments of all processes, over and over."""

    def __init__(self, secrets):
        self.secrets, self.found, self.ended = secrets, [], threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self):
        while not self.ended.wait(0.01):
            for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
                try:
                    with open(path, "rb") as file:
                        text = file.read()
                except OSError:
                    continue
                self.found += [path for secret in self.secrets if secret.encode() in text]

    def end(self):
        self.ended.set()
        self.thread.join()


def test_a_token_is_in_no_command_line_log_error_or_file(server, tmp_path):
    bare, login = sluiced_token(server).stdout, sluiced_token(server, "--login").stdout
    secrets = [secret_of(bare), secret_of(json.loads(login)["token"]), secret_of(server.token)]
    looker = Looker(secrets)
    person = Person(tmp_path / "me")
    said = []
    said.append(person("login", stdin=login))
    said.append(person("login", stdin=bare))
    person("principal", "add", "ci", "--role", "viewer")
    said.append(person("login", stdin=bare.strip()[:-1] + "x", code=3))
    said.append(person("audit", "ls"))
    looker.end()
    assert not looker.found
    said.append(person("token", "revoke", bare.strip(), code=64))  # who puts it there himself is not told it again
    server.stop()
    texts = [done.stdout + done.stderr for done in said] + server.program.lines
    for top in (person.home, server.folder):
        for folder, _, names in os.walk(top):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    texts.append(file.read().decode("latin-1"))
    for secret in secrets:
        assert not [text for text in texts if secret in text]

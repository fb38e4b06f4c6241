"""Contexts of `sluice login` while their certificates run out: who renews them, when, and what happens to those that nobody did."""
import json
import signal
import time

import harness
from people import admin_of, make_server, sluiced_token  # noqa: F401 (fixtures)


def seconds_left(context):
    return time.mktime(time.strptime(context["expiresAt"][:19] + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.mktime(time.gmtime())


def test_any_command_renews_in_the_second_half(make_server, tmp_path):
    server = make_server("--login-cert-life", "20s")
    admin = admin_of(server, tmp_path / "admin")
    key, first = admin.read("key.pem"), admin.read("cert.pem")
    admin("env", "ls")
    assert admin.read("cert.pem") == first  # not before
    seen = {first}

    def renewed_twice():
        admin("env", "ls")
        seen.add(admin.read("cert.pem"))
        return len(seen) == 3

    harness.until(renewed_twice, 120, "two renewals")
    assert admin.read("key.pem") == key
    notes = json.loads(admin.read("context.json"))
    assert notes["renewals"] == len(seen) - 1 and "asked_nonce" not in notes


def test_long_commands_renew_too(make_server, tmp_path):
    server = make_server("--login-cert-life", "14s")
    admin = admin_of(server, tmp_path / "admin")
    repository = harness.Repository(str(tmp_path))
    repository.commit({"apps/shop/index.html": "one"})
    admin("app", "create", "shop", "--repo", "file://" + repository.bare, "--path", "apps/shop")
    admin("instance", "add", "dev-1", "--env", "development")
    watch = admin.start("watch", "-o", "name", "--app", "shop")
    began = time.monotonic()
    waited = admin("wait", "shop", "--env", "development", "--all", "--timeout", "20s", code=4)
    assert time.monotonic() - began > 19 and "did not come in time" in waited.stderr, waited.stderr
    for i in range(3):
        admin("version", "note", "shop", "v1", f"note {i}")
    revisions = [note["revision"] for note in admin.json("version", "note", "shop", "v1")["notes"]]
    seen = []
    while not seen or seen[-1] != revisions[-1]:
        line = watch.stdout.readline()
        assert line, watch.stderr.read()
        seen.append(line.strip())
    assert seen[-3:] == revisions and len(seen) == len(set(seen))
    watch.send_signal(signal.SIGINT)
    assert watch.wait(60) == 0


def test_many_commands_at_once_renew_once(make_server, tmp_path):
    server = make_server("--login-cert-life", "20s")
    admin = admin_of(server, tmp_path / "admin")
    for turn in range(2):
        time.sleep(max(0, seconds_left(admin.json("context", "show")) - 9))  # into the second half
        commands = [admin.start("env", "ls") for _ in range(8)]
        for command in commands:
            out, err = command.communicate(timeout=60)
            assert command.returncode == 0 and err == "" and "production" in out, err
        assert json.loads(admin.read("context.json"))["renewals"] == turn + 1


def test_a_lost_answer_is_asked_for_in_the_same_words(make_server, tmp_path):
    server = make_server("--login-cert-life", "24s")
    admin = admin_of(server, tmp_path / "admin")
    before = {name: admin.read(name) for name in ("cert.pem", "context.json")}
    time.sleep(12.5)  # into the second half
    # The answer is lost: what was there before it, with the words that it was asked for with.
    nonce = "0123456789abcdef0123456789abcdef"
    notes = json.loads(before["context.json"])
    for _ in range(2):
        with open(admin.path("contexts/default/context.json"), "w", encoding="ascii") as file:
            json.dump({**notes, "asked_nonce": nonce}, file)
        with open(admin.path("contexts/default/cert.pem"), "w", encoding="ascii") as file:
            file.write(before["cert.pem"])
        assert admin("env", "ls").stderr == ""
        assert json.loads(admin.read("context.json"))["renewals"] == 1
    # A copy of the files does not know them: it is not renewed, and told so; it goes on as long as its certificate does.
    for name, text in before.items():
        with open(admin.path("contexts/default", name), "w", encoding="ascii") as file:
            file.write(text)
    said = admin("env", "ls").stderr
    assert "is not renewed" in said and "there is a copy" in said and "sluice login" in said


def test_a_server_that_is_away_breaks_no_context(make_server, tmp_path):
    server = make_server("--login-cert-life", "24s")
    admin = admin_of(server, tmp_path / "admin")
    server.stop()
    time.sleep(12.5)  # into the second half
    assert "is sluiced running there" in admin("env", "ls", code=3).stderr
    server.start()
    admin("env", "ls")
    assert json.loads(admin.read("context.json"))["renewals"] == 1


def test_an_expired_one_says_what_to_do(make_server, tmp_path):
    server = make_server("--login-cert-life", "2s")
    admin = admin_of(server, tmp_path / "admin")
    time.sleep(3)  # its life is two seconds
    said = admin("whoami", code=3).stderr
    assert "has expired" in said and "sluice login" in said
    assert admin.json("context", "show")["expired"] and "expired: sluice login" in admin("context", "ls").stdout
    assert server.stop() == 0
    server.flags.remove("--login-cert-life")
    server.flags.remove("2s")
    server.start()
    admin("login", stdin=sluiced_token(server).stdout)  # a bare token is enough
    admin("whoami")

"""Clients over TLS that do a lot at once are not taken for floods (base/tls/frames.h): hundreds of calls made, hundreds cancelled in the moment they
were made, hundreds of streams ended together, many connections of one identity."""
import concurrent.futures
import json
import os
import pathlib
import pwd
import subprocess
import time

import grpc
import harness
import pytest
from people import admin_of, make_server, server  # noqa: F401 (fixtures)

HUNDREDS = 300
WHOAMI, WATCH = "/sluice.v1.AccessService/WhoAmI", "/sluice.v1.WatchService/Watch"
NODE = """
const fs = require('node:fs'), grpc = require('@grpc/grpc-js');
const [ca, key, cert] = ['CA', 'KEY', 'CERT'].map((name) => fs.readFileSync(process.env[`SLUICE_TLS_${name}`]));
const client = new grpc.Client(process.env.SLUICE_SERVER, grpc.credentials.createSsl(ca, key, cert));
const same = (bytes) => bytes, nothing = Buffer.alloc(0), count = Number(process.argv[1]);
const ask = () => { let call; const answer = new Promise((resolve) => { call = client.makeUnaryRequest('WHOAMI', same, same, nothing, (error) => resolve(error ? error.code : 0)); });
  return { call, answer }; };
const all = () => Array.from({ length: count }, ask);
const told = async (asked) => { const codes = {}; for (const { answer } of asked) { const code = await answer; codes[code] = (codes[code] ?? 0) + 1; } return codes; };
(async () => {
  const first = await told(all());
  const fleeting = all(); fleeting.forEach(({ call }) => call.cancel());
  const cancelled = await told(fleeting);
  const watching = Array.from({ length: count }, () => client.makeServerStreamRequest('WATCH', same, same, nothing));
  const ends = watching.map((call) => new Promise((resolve) => { call.on('error', (error) => resolve(error.code)); call.on('data', () => {}); }));
  await told([ask()]);
  watching.forEach((call) => call.cancel());
  const ended = {}; for (const end of ends) { const code = await end; ended[code] = (ended[code] ?? 0) + 1; }
  console.log(JSON.stringify({ first, cancelled, ended, last: await told(all()) }));
  process.exit(0);
})();
""".replace("WHOAMI", WHOAMI).replace("WATCH", WATCH)


@pytest.fixture
def busy(make_server, tmp_path):
    """A server without a bound for calls, and its first administrator; at the end nobody was hung up on."""
    server = make_server("--calls-per-second", "0")
    yield server, admin_of(server, tmp_path / "admin")
    assert not [line for line in server.program.lines if "peer-cut-off" in line]


def tls_files(person):
    return {name.upper(): os.path.join(person.path("contexts/default"), f"{name}.pem") for name in ("ca", "cert", "key")}


def channel_of(server, person):
    data = {name: pathlib.Path(path).read_bytes() for name, path in tls_files(person).items()}
    credentials = grpc.ssl_channel_credentials(data["CA"], data["KEY"], data["CERT"])
    return grpc.secure_channel(f"127.0.0.1:{server.port}", credentials, [("grpc.use_local_subchannel_pool", 1)])


def test_hundreds_of_calls_are_made_and_answered(busy):
    with channel_of(*busy) as channel:
        ask = channel.unary_unary(WHOAMI)
        for _ in range(3):
            asked = [ask.future(b"", timeout=60) for _ in range(2 * HUNDREDS)]
            assert all(b"admin" in each.result() for each in asked)


def test_hundreds_of_calls_are_cancelled_in_the_moment_they_are_made(busy):
    with channel_of(*busy) as channel:
        ask = channel.unary_unary(WHOAMI)
        ask(b"", timeout=60)
        asked = [ask.future(b"", timeout=60) for _ in range(HUNDREDS)]
        for each in asked:
            each.cancel()
        assert b"admin" in ask(b"", timeout=60)


def test_hundreds_of_streams_end_together(busy):
    with channel_of(*busy) as channel:
        watching = [channel.unary_stream(WATCH)(b"", timeout=120) for _ in range(HUNDREDS)]
        channel.unary_unary(WHOAMI)(b"", timeout=60)
        time.sleep(0.5)  # most of them are open by then; none needs to be
        for each in watching:
            each.cancel()
        assert b"admin" in channel.unary_unary(WHOAMI)(b"", timeout=60)


def test_many_commands_of_one_identity_at_once(busy):
    _, admin = busy
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in pool.map(lambda _: admin("whoami", code=None), range(60)):
            assert done.returncode == 0, done.stderr


def node_modules():
    home = pathlib.Path(pwd.getpwuid(os.getuid()).pw_dir)
    return next(iter(sorted((home / ".cache" / "sluice-npm").glob("*/node_modules/@grpc/grpc-js"))), None)


@pytest.mark.skipif(node_modules() is None, reason="bazel/install-npm has not run on this machine")
def test_a_client_in_node_does_all_of_that(busy):
    server, admin = busy
    env = {**admin.env, **{f"SLUICE_TLS_{name}": path for name, path in tls_files(admin).items()}, "SLUICE_SERVER": f"127.0.0.1:{server.port}",
           "NODE_PATH": str(node_modules().parent.parent)}
    done = subprocess.run(["node", "-e", NODE, str(HUNDREDS)], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    all_of_them, cancelled = {"0": HUNDREDS}, str(grpc.StatusCode.CANCELLED.value[0])
    told = json.loads(done.stdout)
    assert (told["first"], told["last"]) == (all_of_them, all_of_them)
    assert told["cancelled"].get(cancelled) == told["ended"].get(cancelled) == HUNDREDS

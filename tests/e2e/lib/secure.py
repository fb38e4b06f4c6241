"""A sluiced with keys and a door, and clients that the door let in: keys and requests are made by openssl(1)."""
import json
import os
import re
import subprocess

import grpc
import harness


def make_key(folder):
    """A P-256 key and a request for it: (key PEM, request PEM); the key lies in <folder>/key.pem."""
    os.makedirs(folder, exist_ok=True)
    key, request = os.path.join(folder, "key.pem"), os.path.join(folder, "request.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/", "-out", request], check=True, capture_output=True)
    return open(key, "rb").read(), open(request, encoding="ascii").read()


def request_of(folder, key):
    """A request with this key (PEM)."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "asked.key")
    with open(path, "wb") as file:
        file.write(key)
    return subprocess.run(["openssl", "req", "-new", "-key", path, "-subj", "/"], check=True, capture_output=True, text=True).stdout


def enroll(server, folder, token, request, box_key=b"k" * 32):
    """The door's reply to an agent whose key lies in that folder."""
    done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", folder + "/key.pem"], input=b"sluice enroll v1\0" + token.split(".")[0].encode() + b"\0" + box_key,
                          capture_output=True, check=True)
    return server.door().Enroll(token=token, certificate_request=request, box_key=box_key, signature=done.stdout)


class TlsClient(harness.Client):
    """A client of a port with TLS; without key and certificate that of the door."""

    def __init__(self, services, port, ca, key=None, certificate=None):
        super().__init__(services, port)
        self.channel.close()
        self.channel = grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca, key, certificate),
                                           options=[("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100),
                                                    ("grpc.max_reconnect_backoff_ms", 500)])


class SecureServer(harness.Server):
    """Port and door stay the same over restarts."""

    def __init__(self, services, folder, flags=(), env=None):
        super().__init__(services, folder, flags, env)
        self.door_port = 0
        done = subprocess.run([harness.SLUICED, "init", "--data", folder], check=True, capture_output=True, text=True)
        self.token = re.search(r"slc_[a-z2-7_]+", done.stdout + done.stderr).group(0)
        with open(os.path.join(folder, "keys/ca.pem"), "rb") as file:
            self.ca = file.read()

    def start(self):
        argv = [self.binary, "serve", "--data", self.folder, "--listen", f"127.0.0.1:{self.port}", "--door-listen",
                f"127.0.0.1:{self.door_port}", "--metrics-listen", "127.0.0.1:0", "--allow-local-repos"]
        self.program = harness.Program(self.prefix + argv + self.flags, env={**self.defaults, **(self.env or {})})
        found = self.program.wait_line(r"listening port=(\d+) metrics_port=(\d+) door_port=(\d+)")
        self.port, self.metrics_port, self.door_port = (int(found.group(i)) for i in (1, 2, 3))
        return self

    def door(self):
        client = TlsClient(self.services, self.door_port, self.ca)
        self._clients.append(client)
        return client

    def admitted(self, key, certificate):
        client = TlsClient(self.services, self.port, self.ca, key, certificate.encode())
        self._clients.append(client)
        return client

    def login(self, folder, token=None):
        """A client of the main port by an access token (the first administrator's), and the reply of the door."""
        key, request = make_key(folder)
        reply = self.door().Login(token=token or self.token, certificate_request=request)
        return self.admitted(key, reply.certificate), reply

    def invite(self, admin, name, path):
        """A join file for that instance."""
        reply = admin.InviteInstance(instance=name)
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"server": f"127.0.0.1:{self.port}", "door": f"127.0.0.1:{reply.door_port}", "ca": reply.ca, "workspace": "default", "instance": name,
                       "token": reply.secret}, file)
        return path

    def door_child(self):
        """The pid of the door's child; 0: none now."""
        done = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(self.program.process.pid)], capture_output=True, text=True)
        for line in done.stdout.splitlines():
            pid, args = line.split(None, 1)
            if args.strip() == "sluiced door":
                return int(pid)
        return 0

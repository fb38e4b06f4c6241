"""A Git host that lies: smart HTTP on loopback, each repository with a behaviour of its own."""
import http.server
import socket
import threading
import time

import raw_git


def line(data):
    return b"%04x" % (len(data) + 4) + data


class Hosted:
    """One repository: refs {name: hex id}, objects, and what it does instead of what it should."""

    def __init__(self, objects, refs, head="refs/heads/main", **behaviour):
        self.objects, self.refs, self.head = objects, refs, head
        self.behaviour = behaviour  # advertise, pack, status, headers, drip, endless
        self.asked = 0

    def advertisement(self):
        if "advertise" in self.behaviour:
            return self.behaviour["advertise"]
        caps = b"\0ofs-delta allow-any-sha1-in-want"
        if self.head in self.refs:
            caps += b" symref=HEAD:" + self.head.encode()
        rows = [("HEAD", self.refs[self.head])] if self.head in self.refs else []
        rows += sorted(self.refs.items())
        out = line(b"# service=git-upload-pack\n") + b"0000"
        for name, oid in rows or [("capabilities^{}", "0" * 40)]:
            out += line(oid.encode() + b" " + name.encode("utf-8", "surrogateescape") + caps + b"\n")
            caps = b""
        return out + b"0000"

    def packed(self):
        if "pack" in self.behaviour:
            return self.behaviour["pack"]
        return line(b"NAK\n") + raw_git.pack(self.objects.all)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _repository(self):
        found = self.server.repositories.get(self.path.split(".git/")[0].lstrip("/"))
        if found is None:
            self.send_error(404)
        else:
            found.asked += 1
        return found

    def _odd(self, hosted):
        """Answers by the behaviour; True: nothing is left to say."""
        status = hosted.behaviour.get("status", 200)
        if status == 200:
            return False
        self.send_response(status)
        for name, value in hosted.behaviour.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _send(self, hosted, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", hosted.behaviour.get("type", kind))
        if hosted.behaviour.get("endless") and "result" in kind or hosted.behaviour.get("endless_refs") and "advertisement" in kind:
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
            self._endless(hosted.behaviour.get("endless") or hosted.behaviour["endless_refs"])
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        pause = hosted.behaviour.get("drip")
        if not pause:
            self.wfile.write(body)
            return
        for at in range(len(body)):
            self.wfile.write(body[at:at + 1])
            self.wfile.flush()
            if self.server.stopping.wait(pause):
                return

    def _endless(self, block):
        self.close_connection = True
        until = time.monotonic() + 60
        while time.monotonic() < until and not self.server.stopping.is_set():
            self.wfile.write(block)

    def _guarded(self, answer):
        try:
            answer()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_GET(self):
        hosted = self._repository()
        if hosted is None or self._odd(hosted):
            return
        if hosted.behaviour.get("hang"):
            self.server.stopping.wait(60)
            self.close_connection = True
            return
        self._guarded(lambda: self._send(hosted, "application/x-git-upload-pack-advertisement", hosted.advertisement()))

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        hosted = self._repository()
        if hosted is None:
            return
        self._guarded(lambda: self._send(hosted, "application/x-git-upload-pack-result", hosted.packed()))


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Clients that are killed hang up."""


class HostileHost:
    def __init__(self):
        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.repositories, self.server.stopping = {}, threading.Event()
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def host(self, name, hosted):
        self.server.repositories[name] = hosted
        return f"http://127.0.0.1:{self.port}/{name}.git"

    def end(self):
        self.server.stopping.set()
        self.server.shutdown()
        self.server.server_close()


class Trap:
    """A port that nobody may connect to; `caught` holds who did, and what came first."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.caught = self._socket.getsockname()[1], []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    self.caught.append(connection.recv(4096))
                except OSError:
                    self.caught.append(b"")

    def end(self):
        self._socket.close()

"""What end-to-end tests stand on: real programs, started and ended by the test, and a client that is not ours (grpcio).

Binaries come from Bazel's runfiles; the API's Python classes are made by protoc at the start of a run.
"""
import glob
import importlib
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import grpc
import guard

ROOT = os.environ.get("SLUICE_ROOT", os.getcwd())
SLUICED = os.path.join(ROOT, "server/sluiced")
AGENT = os.path.join(ROOT, "agent/sluice-agent")
CLI = os.path.join(ROOT, "client/cli/sluice")


def is_sanitized():
    """Whether the programs are built with a sanitizer: those have no seccomp filter, and bear no preloaded library before their own."""
    with open(SLUICED, "rb") as file:
        program = file.read()
    return b"__asan_init" in program or b"__tsan_init" in program



# --- the API's classes ---------------------------------------------------------


def load_api(out):
    """Compiles proto/**.proto into `out` and returns {"AppService": {"CreateApp": (request, response, streams)}}."""
    os.makedirs(out, exist_ok=True)
    protos = [p for p in glob.glob(os.path.join(ROOT, "proto/sluice/v1/*.proto"))]
    protos += glob.glob(os.path.join(ROOT, "proto/google/rpc/*.proto"))
    subprocess.run(["protoc", "-I", os.path.join(ROOT, "proto"), "--python_out", out] + protos, check=True)
    # google.rpc is ours, google.protobuf the library's: one package path for both.
    sys.path.insert(0, out)
    import google

    google.__path__ = list(google.__path__) + [os.path.join(out, "google")]
    services = {}
    for path in glob.glob(os.path.join(out, "sluice/v1/*_pb2.py")):
        module = importlib.import_module("sluice.v1." + os.path.basename(path)[:-3])
        for name, service in module.DESCRIPTOR.services_by_name.items():
            services[name] = service
    return services


def message_class(descriptor):
    from google.protobuf import message_factory

    return message_factory.MessageFactory().GetPrototype(descriptor)


class Refused(Exception):
    """A call that did not end with OK: code, text, reason of the closed list, metadata, gates, fields."""

    def __init__(self, error):
        self.code = error.code()
        self.text = error.details()
        self.reason, self.metadata, self.gates, self.fields = "", {}, [], []
        for key, value in error.trailing_metadata() or []:
            if key == "grpc-status-details-bin":
                self._read(value)
        super().__init__(f"{self.code.name} {self.reason}: {self.text}")

    def _read(self, value):
        from google.rpc import error_details_pb2, status_pb2

        status = status_pb2.Status.FromString(value)
        assert status.code == self.code.value[0] and status.message == self.text
        for detail in status.details:
            if detail.type_url.endswith("ErrorInfo"):
                info = error_details_pb2.ErrorInfo.FromString(detail.value)
                assert info.domain == "sluice"
                self.reason, self.metadata = info.reason, dict(info.metadata)
            if detail.type_url.endswith("PreconditionFailure"):
                failure = error_details_pb2.PreconditionFailure.FromString(detail.value)
                self.gates = [(v.type, v.subject, v.description) for v in failure.violations]
            if detail.type_url.endswith("BadRequest"):
                self.fields = [v.field for v in error_details_pb2.BadRequest.FromString(detail.value).field_violations]


class Client:
    """client.CreateApp(name="shop", ...) -> response. Method names are unique in the API."""

    def __init__(self, services, port, options=(), credentials=None):
        """credentials: grpc.ssl_channel_credentials(); None: no TLS."""
        target = f"127.0.0.1:{port}"
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)] + list(options)
        self.channel = grpc.insecure_channel(target, options) if credentials is None else grpc.secure_channel(target, credentials, options)
        self._methods = {}
        for service in services.values():
            for method in service.methods:
                self._methods[method.name] = (service.full_name, method)

    def close(self):
        self.channel.close()

    def request(self, method, /, **fields):
        _, descriptor = self._methods[method]
        return message_class(descriptor.input_type)(**fields)

    def __getattr__(self, method):
        if method.startswith("_") or method not in self._methods:
            raise AttributeError(method)

        def call(timeout=60, wait_for_ready=True, **fields):
            service, descriptor = self._methods[method]
            stub = self.channel.unary_unary(
                f"/{service}/{method}",
                request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=message_class(descriptor.output_type).FromString,
            )
            try:
                return stub(self.request(method, **fields), timeout=timeout, wait_for_ready=wait_for_ready)
            except grpc.RpcError as error:
                raise Refused(error) from None

        return call

    def stream(self, method, timeout=None, **fields):
        """The stream itself: iterate it, cancel() it; ends with grpc.RpcError."""
        service, descriptor = self._methods[method]
        stub = self.channel.unary_stream(
            f"/{service}/{method}",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=message_class(descriptor.output_type).FromString,
        )
        return stub(self.request(method, **fields), timeout=timeout, wait_for_ready=True)

    def watch(self, timeout=None, **fields):
        return self.stream("Watch", timeout, **fields)


# --- programs --------------------------------------------------------------------

GUARD = guard.Guard()


class Program:
    """One process, its stderr kept and searched; killed when the test ends."""

    def __init__(self, argv, env=None, cwd=None):
        self.argv = argv
        self.lines = []
        self._news = threading.Condition()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        environment.update(env or {})
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, cwd=cwd, text=True,
                                        errors="replace", start_new_session=True)
        GUARD.watch(self.process.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_line(self, pattern, timeout=60):
        deadline = time.monotonic() + timeout
        with self._news:
            seen = 0
            while True:
                for line in self.lines[seen:]:
                    found = re.search(pattern, line)
                    if found:
                        return found
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                    raise AssertionError(f"no line '{pattern}' from {self.argv[0]} (exit {self.process.poll()}):\n" + "\n".join(self.lines[-40:]))
                self._news.wait(min(left, 0.2))

    @property
    def running(self):
        return self.process.poll() is None

    def kill(self, number=signal.SIGKILL):
        if self.running:
            self.process.send_signal(number)

    def wait(self, timeout=60):
        return self.process.wait(timeout)

    def end(self):
        if self.running:
            guard.kill_group(self.process.pid)
        self.process.wait(60)
        GUARD.forget(self.process.pid)
        self._reader.join(20)
        self.process.stderr.close()


class Server:
    """A sluiced on its own folder and port, which stop and start keep."""

    prefix = []  # what to run it under, such as strace
    binary = SLUICED
    # In the environment, so that a test's flags win.
    defaults = {"SLUICE_MAP_SIZE": "1G", "SLUICE_DISK_RESERVE": "1M", "SLUICE_POLL_EVERY": "0"}

    def __init__(self, services, folder, flags=(), env=None):
        self.services, self.folder, self.flags, self.env = services, folder, list(flags), env
        self.port = free_port()
        self.program = None
        self._clients = []

    def start(self):
        argv = [self.binary, "serve", "--insecure", "--data", self.folder, "--listen", f"127.0.0.1:{self.port}", "--metrics-listen", "127.0.0.1:0"]
        self.program = Program(self.prefix + argv + self.flags, env={**self.defaults, **(self.env or {})})
        found = self.program.wait_line(r"listening port=(\d+) metrics_port=(\d+)")
        self.port, self.metrics_port = int(found.group(1)), int(found.group(2))
        return self

    def client(self, options=()):
        client = Client(self.services, self.port, options)
        self._clients.append(client)
        return client

    def metric(self, name):
        """The value of a metric without labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=60) as page:
            return float(re.search(rf"^{name} (\S+)$", page.read().decode(), re.M).group(1))

    def kill(self):
        self.program.kill()
        self.program.wait()
        self.program.end()

    def stop(self, timeout=60):
        self.program.kill(signal.SIGTERM)
        code = self.program.wait(timeout)
        self.program.end()
        return code

    def verify(self):
        """The store must be sound; no server may have it open."""
        done = subprocess.run([SLUICED, "verify", self.folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def end(self):
        for client in self._clients:
            client.close()
        if self.program is not None:
            self.program.end()


class Agent:
    """A sluice-agent with its state folder, which is also what the instance serves from."""

    prefix, env, binary = [], None, AGENT

    def __init__(self, server, folder, instance, flags=(), env=None):
        self.server, self.folder, self.instance, self.flags = server, folder, instance, list(flags)
        self.env = env or self.env
        self.program = None

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        argv = [self.binary, "run", "--server", f"127.0.0.1:{self.server.port}", "--instance", self.instance, "--state", self.folder] + self.flags
        self.program = Program(self.prefix + argv, env=self.env)
        return self

    def kill(self):
        self.program.kill()
        self.program.wait()
        self.program.end()

    def end(self):
        if self.program is not None:
            self.program.end()

    def current(self, slug):
        return os.path.join(self.folder, "apps", slug, "current")

    def serves(self, slug):
        """{path: content} of what the instance serves; None: nothing."""
        while True:
            top = os.path.realpath(self.current(slug))  # once: it may be flipped while we read
            if not os.path.isdir(top):
                return None
            try:
                return files_of(top)
            except FileNotFoundError:  # and the one before be removed
                if os.path.realpath(self.current(slug)) == top and os.path.isdir(top):
                    raise


def files_of(top):
    """{path: content} of all files below a folder."""
    found = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8", errors="replace") as file:
                found[os.path.relpath(path, top)] = file.read()
    return found


def holding(folder, marks):
    """The files below it that have one of these texts: [(path, mark)]."""
    found = []
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    held = file.read()
                found += [(path, mark) for mark in marks if mark.encode() in held]
    return found


# --- Git -------------------------------------------------------------------------------


GIT_ENV = {
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
}


def git(*argv, cwd=None):
    return subprocess.run(["git"] + list(argv), cwd=cwd, check=True, capture_output=True, text=True, env={**os.environ, **GIT_ENV}).stdout.strip()


class Repository:
    """A bare repository at <top>/<name>.git and a work tree to commit from."""

    def __init__(self, top, name="apps"):
        self.top, self.name = top, name
        self.bare = os.path.join(top, name + ".git")
        self.work = os.path.join(top, name + ".work")
        git("init", "-q", "--bare", "-b", "main", self.bare)
        git("init", "-q", "-b", "main", self.work)
        git("config", "http.receivepack", "true", cwd=self.bare)

    def commit(self, files, message="change", remove=()):
        """files: {path: text}; returns the commit id, pushed."""
        for path, text in files.items():
            full = os.path.join(self.work, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        for path in remove:
            git("rm", "-q", "-r", path, cwd=self.work)
        git("add", "-A", cwd=self.work)
        git("commit", "-q", "-m", message, cwd=self.work)
        self.push()
        return git("rev-parse", "HEAD", cwd=self.work)

    def push(self, tries=20):
        """On top of what is there: Sluice commits on the branch, too."""
        for left in range(tries, 0, -1):
            if "refs/heads/main" in self.refs():
                git("fetch", "-q", self.bare, "main", cwd=self.work)
                git("rebase", "-q", "FETCH_HEAD", cwd=self.work)
            try:
                return git("push", "-q", self.bare, "main", cwd=self.work)
            except subprocess.CalledProcessError:
                assert left > 1, "somebody else is always faster"

    def log(self, form="%s", ref="main"):
        """One line for each commit of the branch, oldest first."""
        return git("log", "--reverse", f"--format={form}", ref, cwd=self.bare).splitlines()

    def show(self, path, ref="main"):
        return git("show", f"{ref}:{path}", cwd=self.bare)

    def hook(self, name, script):
        path = os.path.join(self.bare, "hooks", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(path, 0o755)
        return path

    def refs(self):
        return dict(reversed(line.split()) for line in git("for-each-ref", "--format=%(objectname) %(refname)", cwd=self.bare).splitlines())


def archive(files):
    """What UploadContent takes; files: {path: text}, what ends with .sh can be run."""
    whole = b""
    for path, text in files.items():
        data, name = text if isinstance(text, bytes) else text.encode(), path.encode()
        whole += len(name).to_bytes(4, "big") + name + bytes([path.endswith(".sh")]) + len(data).to_bytes(8, "big") + data
    return whole


_given = set()


def free_port():
    """A port that stays free while nobody listens there, as over a restart: none that the kernel gives to whoever binds or connects."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first = int(file.read().split()[0])
    while True:
        port = random.randrange(first // 2, first)
        with socket.socket() as s:
            if port not in _given and s.connect_ex(("127.0.0.1", port)) != 0:
                _given.add(port)
                return port


class GitHost:
    """Serves the repositories below a folder: file, git (git daemon) or http (nginx, fcgiwrap, git http-backend)."""

    def __init__(self, top, scheme):
        self.top, self.scheme = top, scheme
        self.port = None if scheme == "file" else free_port()
        self.programs = []

    def url(self, repository):
        if self.scheme == "file":
            return "file://" + repository.bare
        return f"{self.scheme}://127.0.0.1:{self.port}/{repository.name}.git"

    def start(self):
        if self.scheme == "git":
            self.programs = [Program(["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={self.port}", f"--base-path={self.top}",
                                      "--export-all", "--enable=receive-pack", self.top], env=GIT_ENV)]
            wait_port(self.port)
        elif self.scheme == "http":
            self._start_http()
        return self

    def _start_http(self):
        state = os.path.join(self.top, "nginx")
        os.makedirs(state, exist_ok=True)
        socket_path = f"/tmp/sl-fcgi-{os.getpid()}-{self.port}"
        temp = "\n".join(f"{kind}_temp_path {state}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{state}/nginx.conf", "w", encoding="ascii") as file:
            file.write(f"""daemon off; master_process off; pid {state}/pid; error_log stderr;
{"user root;" if os.geteuid() == 0 else ""}
events {{}}
http {{ access_log off; client_max_body_size 0; {temp}
 server {{ listen 127.0.0.1:{self.port}; location / {{
  fastcgi_pass unix:{socket_path}; fastcgi_buffering off;
  fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
  fastcgi_param GIT_PROJECT_ROOT {self.top}; fastcgi_param PATH_INFO $uri; fastcgi_param QUERY_STRING $query_string;
  fastcgi_param REQUEST_METHOD $request_method; fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
  fastcgi_param REMOTE_USER ada; fastcgi_param REMOTE_ADDR $remote_addr; fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol; }} }} }}
""")
        self._socket = socket_path
        self.programs = [
            Program(["/usr/sbin/fcgiwrap", "-c", "4", "-s", f"unix:{socket_path}"], env=GIT_ENV),
            Program(["/usr/sbin/nginx", "-p", state, "-c", f"{state}/nginx.conf", "-e", "stderr"]),
        ]
        wait_port(self.port)

    def stop(self):
        for program in self.programs:
            program.end()
        self.programs = []
        if self.scheme == "http" and os.path.exists(self._socket):
            os.unlink(self._socket)

    end = stop


# --- disks ---------------------------------------------------------------------------------


class SmallDisk:
    """A tmpfs; needs root, and is mounted outside Bazel's sandbox only."""

    def __init__(self, path, megabytes):
        os.makedirs(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", path], check=True)
        self.path = path

    def resize(self, megabytes):
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", self.path], check=True)

    def end(self):
        subprocess.run(["umount", "-l", self.path], check=True)


def fill(path, leave):
    """A file that leaves `leave` bytes."""
    stat = os.statvfs(os.path.dirname(path))
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(stat.f_bavail * stat.f_frsize - leave, 1))


# --- all together --------------------------------------------------------------------------


def remove_folder(folder):
    """Also where bundles are read-only."""
    for top, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(top, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


class World:
    """Everything that a test starts, in a folder of its own; ended in reverse."""

    def __init__(self, services):
        # Short paths: socket names have 107 bytes at most.
        self.services, self.folder = services, tempfile.mkdtemp(prefix="sl-", dir="/tmp")
        self._things, self._numbers = [], itertools.count(1)

    def path(self, name):
        return os.path.join(self.folder, name)

    def add(self, thing):
        self._things.append(thing)
        return thing

    def server(self, flags=(), folder=None, env=None):
        return self.add(Server(self.services, folder or self.path("server"), flags, env)).start()

    def agent(self, server, instance, flags=(), env=None):
        return self.add(Agent(server, self.path(f"agent-{instance}"), instance, flags, env)).start()

    def repository(self, name="apps"):
        os.makedirs(self.path("git"), exist_ok=True)
        return Repository(self.path("git"), name)

    def git_host(self, scheme="file"):
        os.makedirs(self.path("git"), exist_ok=True)
        return self.add(GitHost(self.path("git"), scheme)).start()

    def shop(self, scheme="file", flags=()):
        """A server, its client, the repository and its host; version v1 of app `shop` is READY."""
        repository = self.repository()
        repository.commit({"apps/shop/index.html": "one\n"})
        host, server = self.git_host(scheme), self.server(flags)
        client = server.client()
        client.CreateApp(name="shop", repository_url=host.url(repository))
        wait_content(client, "shop", "v1")
        return server, client, repository, host

    def end(self):
        for thing in reversed(self._things):
            thing.end()
        self._things = []
        remove_folder(self.folder)


# --- waiting -------------------------------------------------------------------------------


def wait_port(port, timeout=60):
    def connects():
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex(("127.0.0.1", port)) == 0

    until(connects, timeout, f"port {port}")


def until(condition, timeout=60, what="condition"):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come within {timeout} s"
        time.sleep(0.05)  # between two looks


def wait_content(client, app, version, state="READY", timeout=60):
    def look():
        content = client.GetVersion(app=app, version=version).version.content
        name = content.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number[content.state].name
        return content if name == "CONTENT_STATE_" + state else None

    return until(look, timeout, f"content {state} of {app} {version}")


def wait_published(client, app, version, timeout=60):
    return until(lambda: client.GetVersion(app=app, version=version).version.publication.state == 3, timeout, f"publication of {app} {version}")


def environment():
    """PATH with the folders where Debian puts daemons."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for tool in ("git", "protoc"):
        assert shutil.which(tool), f"{tool} is not installed"

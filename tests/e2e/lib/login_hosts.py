"""Git hosts that want to know who comes: https with users (nginx, TLS 1.3), ssh with keys (OpenSSH, git-shell)."""
import getpass
import os
import subprocess

from harness import GIT_ENV, Program, free_port, wait_port


class TlsHost:
    """Everything below `top`: `writer` may push, `reader` may not; both have passwords of their own."""

    def __init__(self, top, writer, reader):
        self.top, self.port = top, free_port()
        self.state = os.path.join(top, "nginx")
        self._socket = f"/tmp/sl-fcgi-{os.getpid()}-{self.port}"
        os.makedirs(self.state, exist_ok=True)
        self.ca = os.path.join(self.state, "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=git",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{self.state}/key.pem", "-out", self.ca], check=True, capture_output=True)
        with open(f"{self.state}/users", "w", encoding="ascii") as file:
            file.write(f"writer:{{PLAIN}}{writer}\nreader:{{PLAIN}}{reader}\n")
        self.programs = []

    def url(self, repository):
        return f"https://127.0.0.1:{self.port}/{repository.name}.git"

    def start(self):
        temp = "\n".join(f"{kind}_temp_path {self.state}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{self.state}/nginx.conf", "w", encoding="ascii") as file:
            file.write(f"""daemon off; master_process off; pid {self.state}/pid; error_log stderr;
{"user root;" if os.geteuid() == 0 else ""}
events {{}}
http {{ access_log off; client_max_body_size 0; {temp}
 server {{ listen 127.0.0.1:{self.port} ssl; ssl_protocols TLSv1.3; ssl_certificate {self.ca}; ssl_certificate_key {self.state}/key.pem;
  auth_basic git; auth_basic_user_file {self.state}/users;
  location / {{
  set $act "$remote_user:$arg_service$uri"; if ($act ~ "^reader:.*git-receive-pack") {{ return 403; }}
  fastcgi_pass unix:{self._socket}; fastcgi_buffering off;
  fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
  fastcgi_param GIT_PROJECT_ROOT {self.top}; fastcgi_param PATH_INFO $uri; fastcgi_param QUERY_STRING $query_string;
  fastcgi_param REQUEST_METHOD $request_method; fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
  fastcgi_param REMOTE_USER $remote_user; fastcgi_param REMOTE_ADDR $remote_addr; fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol; }} }} }}
""")
        self.programs = [
            Program(["/usr/sbin/fcgiwrap", "-c", "4", "-s", f"unix:{self._socket}"], env=GIT_ENV),
            Program(["/usr/sbin/nginx", "-p", self.state, "-c", f"{self.state}/nginx.conf", "-e", "stderr"]),
        ]
        wait_port(self.port)
        return self

    def end(self):
        for program in self.programs:
            program.end()
        if os.path.exists(self._socket):
            os.unlink(self._socket)


class SshHost:
    """git-shell behind sshd; nobody may come until allow()."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        os.makedirs(folder)
        for kind in ("ed25519", "ecdsa"):
            subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", kind, "-f", f"{folder}/host_{kind}"], check=True)
        self.authorized = f"{folder}/authorized_keys"
        self.known_hosts = f"{folder}/known_hosts"
        with open(self.known_hosts, "w", encoding="ascii") as known:
            for kind in ("ed25519", "ecdsa"):
                with open(f"{folder}/host_{kind}.pub", encoding="ascii") as file:
                    known.write(f"[127.0.0.1]:{self.port} {file.read()}")
        self.program = None

    def url(self, repository):
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{repository.bare}"

    def allow(self, *public_keys, write=True):
        """These and no others: {key: may it write}."""
        with open(self.authorized, "a", encoding="ascii") as file:
            for key in public_keys:
                deny = "" if write else ("case \\\"$SSH_ORIGINAL_COMMAND\\\" in git-receive-pack*) "
                                         "echo 'ERROR: The key you are authenticating with has been marked as read only.' >&2; exit 1;; esac; ")
                file.write(f'restrict,command="{deny}/usr/bin/git-shell -c \\"$SSH_ORIGINAL_COMMAND\\"" {key}\n')

    def start(self):
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        open(self.authorized, "a", encoding="ascii").close()
        with open(f"{self.folder}/sshd_config", "w", encoding="ascii") as file:
            file.write(f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host_ed25519\nHostKey {self.folder}/host_ecdsa\n"
                       f"AuthorizedKeysFile {self.authorized}\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
                       "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nLogLevel ERROR\n")
        self.program = Program(["/usr/sbin/sshd", "-D", "-e", "-f", f"{self.folder}/sshd_config"])
        wait_port(self.port)
        return self

    def end(self):
        if self.program is not None:
            self.program.end()

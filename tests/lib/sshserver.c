#include "tests/lib/sshserver.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/gitserver.h"
#include "tests/lib/process.h"

enum { START_MS = 20000, STOP_MS = 5000, FILE_ROOM = 16384, PATH_ROOM = 200 };

struct sshserver {
	uint16_t port;
	char user[64], dir[64];
	struct process *sshd;
};

static const char *const key_names[SSHSERVER_KEYS] = {"writer", "reader", "stranger", "rsa",
						      "locked"};

static void die(const char *what)
{
	(void)fprintf(stderr, "sshserver: %s\n", what);
	abort();
}

static char *path_of(const struct sshserver *server, const char *name, char path[static PATH_ROOM])
{
	(void)snprintf(path, PATH_ROOM, "%s/%s", server->dir, name);
	return path;
}

static char *read_file(const struct sshserver *server, const char *name)
{
	char path[PATH_ROOM];
	char *text = calloc(1, FILE_ROOM);
	FILE *file = fopen(path_of(server, name, path), "re");
	if (file == NULL || text == NULL || fread(text, 1, FILE_ROOM - 1, file) == 0) {
		die(path);
	}
	(void)fclose(file);
	return text;
}

static void write_file(const struct sshserver *server, const char *name, const char *mode,
		       const char *text)
{
	char path[PATH_ROOM];
	FILE *file = fopen(path_of(server, name, path), mode);
	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
		die(path);
	}
}

static void make_key(const struct sshserver *server, const char *name, const char *type,
		     const char *form)
{
	char path[PATH_ROOM];
	const char *bits = strcmp(type, "rsa") == 0 ? "2048" : "256";
	const char *phrase = strcmp(name, "locked") == 0 ? "open sesame" : "";
	const char *args[] = {"-q",
			      "-N",
			      phrase,
			      "-C",
			      "test",
			      "-t",
			      type,
			      "-b",
			      bits,
			      "-f",
			      path_of(server, name, path),
			      "-m",
			      form,
			      NULL};
	(void)unlink(path);
	if (process_run(&(struct process_options){.program = "ssh-keygen", .args = args}, START_MS,
			NULL, NULL) != 0) {
		die("ssh-keygen");
	}
}

static void make_host_keys(const struct sshserver *server)
{
	make_key(server, "host_ed25519", "ed25519", "RFC4716");
	make_key(server, "host_ecdsa", "ecdsa", "RFC4716");
}

static void add_authorized(const struct sshserver *server, const char *name, const char *command)
{
	char public[PATH_ROOM], line[FILE_ROOM];
	(void)snprintf(public, sizeof(public), "%s.pub", name);
	char *text = read_file(server, public);
	(void)snprintf(line, sizeof(line), "restrict,command=\"%s\" %s", command, text);
	write_file(server, "authorized_keys", "ae", line);
	free(text);
}

#define WRITE_COMMAND "/usr/bin/git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\""
#define READ_COMMAND                                                                               \
	"case \\\"$SSH_ORIGINAL_COMMAND\\\" in git-receive-pack*) echo 'ERROR: The key you are "   \
	"authenticating with has been marked as read only.' >&2; exit 1;; esac; " WRITE_COMMAND

static void write_config(const struct sshserver *server)
{
	static const char form[] =
	    "ListenAddress 127.0.0.1\nPort %1$u\nHostKey %2$s/host_ed25519\nHostKey "
	    "%2$s/host_ecdsa\nAuthorizedKeysFile %2$s/authorized_keys\nPidFile none\n"
	    "StrictModes no\nUsePAM no\nPasswordAuthentication no\n"
	    "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
	    "LogLevel ERROR\nMaxStartups 100\n";
	char text[2048];
	(void)snprintf(text, sizeof(text), form, server->port, server->dir);
	write_file(server, "sshd_config", "we", text);
}

static void start(struct sshserver *server)
{
	char config[PATH_ROOM];
	const char *args[] = {"-D", "-e", "-f", path_of(server, "sshd_config", config), NULL};
	if (geteuid() == 0 && mkdir("/run/sshd", 0755) != 0 && errno != EEXIST) {
		die("/run/sshd");
	}
	server->sshd =
	    process_start(&(struct process_options){.program = "/usr/sbin/sshd", .args = args});
	if (!gitserver_wait(server->port, START_MS)) {
		char *said = process_stderr(server->sshd);
		die(said);
	}
}

static void stop(struct sshserver *server)
{
	int status = 0;
	process_kill(server->sshd, SIGCONT);
	process_kill(server->sshd, SIGTERM);
	(void)process_wait(server->sshd, STOP_MS, &status);
	process_free(server->sshd);
}

struct sshserver *sshserver_new(void)
{
	struct sshserver *server = calloc(1, sizeof(*server));
	const struct passwd *self = getpwuid(geteuid());
	if (server == NULL || self == NULL) {
		die("no memory, or nobody");
	}
	(void)snprintf(server->user, sizeof(server->user), "%s", self->pw_name);
	(void)snprintf(server->dir, sizeof(server->dir), "/tmp/sl-ssh-XXXXXX");
	if (mkdtemp(server->dir) == NULL) {
		die("no scratch folder");
	}
	server->port = gitserver_free_port();
	make_host_keys(server);
	make_key(server, "writer", "ed25519", "RFC4716");
	make_key(server, "reader", "ecdsa", "PEM");
	make_key(server, "stranger", "ed25519", "RFC4716");
	make_key(server, "rsa", "rsa", "RFC4716");
	make_key(server, "locked", "ed25519", "RFC4716");
	add_authorized(server, "writer", WRITE_COMMAND);
	add_authorized(server, "reader", READ_COMMAND);
	add_authorized(server, "rsa", WRITE_COMMAND);
	write_config(server);
	start(server);
	return server;
}

void sshserver_free(struct sshserver *server)
{
	if (server == NULL) {
		return;
	}
	stop(server);
	const char *args[] = {"-rf", server->dir, NULL};
	(void)process_run(&(struct process_options){.program = "/bin/rm", .args = args}, STOP_MS,
			  NULL, NULL);
	free(server);
}

char *sshserver_url(const struct sshserver *server, const char *path,
		    char url[static SSHSERVER_URL_SIZE])
{
	(void)snprintf(url, SSHSERVER_URL_SIZE, "ssh://%s@127.0.0.1:%u%s", server->user,
		       server->port, path);
	return url;
}

char *sshserver_key(const struct sshserver *server, enum sshserver_key key)
{
	return read_file(server, key_names[key]);
}

char *sshserver_known_hosts(const struct sshserver *server)
{
	char *all = calloc(1, FILE_ROOM);
	char *first = read_file(server, "host_ed25519.pub");
	char *second = read_file(server, "host_ecdsa.pub");
	if (all == NULL) {
		die("out of memory");
	}
	(void)snprintf(all, FILE_ROOM,
		       "# as ssh-keyscan prints them\n[127.0.0.1]:%1$u %2$s[127.0.0.1]:%1$u %3$s",
		       server->port, first, second);
	free(first);
	free(second);
	return all;
}

void sshserver_rekey(struct sshserver *server)
{
	stop(server);
	make_host_keys(server);
	start(server);
}

void sshserver_allow(struct sshserver *server, const char *public_key)
{
	write_file(server, "new.pub", "we", public_key);
	add_authorized(server, "new", WRITE_COMMAND);
	write_file(server, "authorized_keys", "ae", "\n");
}

void sshserver_pause(struct sshserver *server)
{
	process_kill(server->sshd, SIGSTOP);
}

void sshserver_resume(struct sshserver *server)
{
	process_kill(server->sshd, SIGCONT);
}

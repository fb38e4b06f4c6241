#include "tests/lib/gitserver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/process.h"
#include "tests/lib/wait.h"

enum { START_MS = 10000, STOP_MS = 5000, PEM_ROOM = 8192 };

struct gitserver {
	enum gitserver_kind kind;
	uint16_t port;
	char root[400];
	char user[64], password[64]; /* "": everybody */
	char reader[64], names[128];
	char scratch[64]; /* HTTP: sockets, configuration; short, for a socket's path has 107 bytes
			   */
	struct process *front, *back; /* git daemon, or nginx and fcgiwrap */
};

static void die(const char *what)
{
	(void)fprintf(stderr, "gitserver: %s\n", what);
	abort();
}

static int loopback(uint16_t port, struct sockaddr_in *ret_address)
{
	*ret_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	ret_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		die("no socket");
	}
	return fd;
}

uint16_t gitserver_free_port(void)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int fd = loopback(0, &address);
	if (bind(fd, (struct sockaddr *)&address, size) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
		die("no free port");
	}
	(void)close(fd);
	return ntohs(address.sin_port);
}

static bool answers(uint16_t port)
{
	struct sockaddr_in address;
	int fd = loopback(port, &address);
	bool connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	(void)close(fd);
	return connected;
}

bool gitserver_wait(uint16_t port, unsigned timeout_ms)
{
	return WAIT_FOR(answers(port), timeout_ms);
}

static void write_file(const struct gitserver *server, const char *name, const char *text)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", server->scratch, name);
	FILE *file = fopen(path, "we");
	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
		die(path);
	}
}

static void start_git(struct gitserver *server)
{
	char port[32], base[440];
	(void)snprintf(port, sizeof(port), "--port=%u", server->port);
	(void)snprintf(base, sizeof(base), "--base-path=%s", server->root);
	const char *args[] = {"--listen=127.0.0.1",
			      port,
			      base,
			      "--reuseaddr",
			      "--export-all",
			      "--enable=receive-pack",
			      "--enable=upload-pack",
			      "--informative-errors",
			      server->root,
			      NULL};
	const char *env[] = {"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", NULL};
	/* Not by way of `git daemon`: that would be two processes, and pausing the first stops
	 * nothing. */
	server->front = process_start(&(struct process_options){
	    .program = "/usr/lib/git-core/git-daemon", .args = args, .env = env});
}

/* A key and a certificate that signs itself, made anew for every server. */
static void make_certificate(const struct gitserver *server)
{
	char key[100], certificate[100], names[160];
	(void)snprintf(key, sizeof(key), "%s/key.pem", server->scratch);
	(void)snprintf(certificate, sizeof(certificate), "%s/cert.pem", server->scratch);
	(void)snprintf(names, sizeof(names), "subjectAltName=%s", server->names);
	const char *args[] = {"req",    "-x509",         "-newkey",
			      "ec",     "-pkeyopt",      "ec_paramgen_curve:prime256v1",
			      "-nodes", "-days",         "2",
			      "-subj",  "/CN=localhost", "-addext",
			      names,    "-keyout",       key,
			      "-out",   certificate,     NULL};
	const struct process_options options = {.program = "/usr/bin/openssl", .args = args};
	if (access(certificate, F_OK) != 0 && process_run(&options, START_MS, NULL, NULL) != 0) {
		die("openssl makes no certificate");
	}
}

char *gitserver_ca_pem(const struct gitserver *server)
{
	char path[100];
	char *pem = calloc(1, PEM_ROOM);
	(void)snprintf(path, sizeof(path), "%s/cert.pem", server->scratch);
	FILE *file = fopen(path, "re");
	if (file == NULL || pem == NULL || fread(pem, 1, PEM_ROOM - 1, file) == 0) {
		die(path);
	}
	(void)fclose(file);
	return pem;
}

static void write_nginx(const struct gitserver *server)
{
	static const char form[] =
	    "daemon off;\nmaster_process off;\nerror_log stderr;\npid %1$s/pid;\n%2$s"
	    "events { worker_connections 64; }\n"
	    "http {\n  access_log off;\n  client_max_body_size 0;\n  client_body_temp_path "
	    "%1$s/body;\n"
	    "  proxy_temp_path %1$s/proxy;\n  fastcgi_temp_path %1$s/fastcgi;\n  uwsgi_temp_path "
	    "%1$s/uwsgi;\n"
	    "  scgi_temp_path %1$s/scgi;\n"
	    "  server {\n    listen 127.0.0.1:%3$u%6$s;\n%4$s"
	    "    location / {\n%7$s      fastcgi_pass unix:%1$s/s;\n"
	    "      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;\n"
	    "      fastcgi_param GIT_PROJECT_ROOT %5$s;\n      fastcgi_param GIT_HTTP_EXPORT_ALL "
	    "1;\n"
	    "      fastcgi_param GIT_CONFIG_NOSYSTEM 1;\n      fastcgi_param GIT_CONFIG_GLOBAL "
	    "/dev/null;\n"
	    "      fastcgi_param GIT_CONFIG_COUNT 1;\n      fastcgi_param GIT_CONFIG_KEY_0 "
	    "http.receivepack;\n"
	    "      fastcgi_param GIT_CONFIG_VALUE_0 true;\n"
	    "      fastcgi_param PATH_INFO $uri;\n      fastcgi_param QUERY_STRING $query_string;\n"
	    "      fastcgi_param REQUEST_METHOD $request_method;\n      fastcgi_param CONTENT_TYPE "
	    "$content_type;\n"
	    "      fastcgi_param CONTENT_LENGTH $content_length;\n      fastcgi_param REMOTE_USER "
	    "$remote_user;\n"
	    "      fastcgi_param REMOTE_ADDR $remote_addr;\n      fastcgi_param "
	    "HTTP_CONTENT_ENCODING $http_content_encoding;\n"
	    "    }\n  }\n}\n";
	char text[4600], login[200] = "", tls[400] = "", reader[300] = "";
	if (server->kind == GITSERVER_HTTPS) {
		make_certificate(server);
		(void)snprintf(tls, sizeof(tls),
			       " ssl;\n    ssl_protocols TLSv1.3;\n    ssl_certificate "
			       "%s/cert.pem;\n    ssl_certificate_key %s/key.pem",
			       server->scratch, server->scratch);
	}
	if (server->user[0] != '\0') {
		char line[300];
		(void)snprintf(line, sizeof(line), "%s:{PLAIN}%s\n%s:{PLAIN}%s\n", server->user,
			       server->password, server->reader, server->password);
		write_file(server, "users", line);
		(void)snprintf(login, sizeof(login),
			       "    auth_basic git;\n    auth_basic_user_file %s/users;\n",
			       server->scratch);
	}
	if (server->reader[0] != '\0') {
		(void)snprintf(reader, sizeof(reader),
			       "      set $act \"$remote_user:$arg_service$uri\";\n"
			       "      if ($act ~ \"^%s:.*git-receive-pack\") { return 403; }\n",
			       server->reader);
	}
	(void)snprintf(text, sizeof(text), form, server->scratch,
		       geteuid() == 0 ? "user root;\n" : "", server->port, login, server->root, tls,
		       reader);
	write_file(server, "nginx.conf", text);
}

static bool socket_is_there(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static void start_http(struct gitserver *server)
{
	char socket_path[100], bound[120], config[100];
	(void)snprintf(socket_path, sizeof(socket_path), "%s/s", server->scratch);
	(void)snprintf(bound, sizeof(bound), "unix:%s", socket_path);
	(void)snprintf(config, sizeof(config), "%s/nginx.conf", server->scratch);
	(void)unlink(socket_path);
	write_nginx(server);
	const char *back[] = {"-c", "4", "-s", bound, NULL};
	server->back =
	    process_start(&(struct process_options){.program = "/usr/sbin/fcgiwrap", .args = back});
	if (!WAIT_FOR(socket_is_there(socket_path), START_MS)) {
		die("fcgiwrap does not start");
	}
	const char *front[] = {"-e", "stderr", "-p", server->scratch, "-c", config, NULL};
	server->front =
	    process_start(&(struct process_options){.program = "/usr/sbin/nginx", .args = front});
}

static void end(struct process **process)
{
	if (*process != NULL) {
		int status = 0;
		process_kill(*process, SIGCONT);
		process_kill(*process, SIGTERM);
		(void)process_wait(*process, STOP_MS, &status);
		process_free(*process);
		*process = NULL;
	}
}

void gitserver_stop(struct gitserver *server)
{
	end(&server->front);
	end(&server->back);
	if (!WAIT_FOR(!answers(server->port), STOP_MS)) {
		die("somebody still listens");
	}
}

void gitserver_start(struct gitserver *server)
{
	if (server->kind == GITSERVER_GIT) {
		start_git(server);
	} else {
		start_http(server);
	}
	if (!WAIT_FOR(answers(server->port), START_MS)) {
		char *said = process_stderr(server->front);
		die(said);
	}
}

struct gitserver *gitserver_new(const struct gitserver_options *options)
{
	struct gitserver *server = calloc(1, sizeof(*server));
	if (server == NULL) {
		die("out of memory");
	}
	server->kind = options->kind;
	server->port = gitserver_free_port();
	(void)snprintf(server->root, sizeof(server->root), "%s", options->root);
	(void)snprintf(server->user, sizeof(server->user), "%s",
		       options->user == NULL ? "" : options->user);
	(void)snprintf(server->password, sizeof(server->password), "%s",
		       options->password == NULL ? "" : options->password);
	(void)snprintf(server->reader, sizeof(server->reader), "%s",
		       options->reader == NULL ? "" : options->reader);
	(void)snprintf(server->names, sizeof(server->names), "%s",
		       options->names == NULL ? "DNS:localhost" : options->names);
	(void)snprintf(server->scratch, sizeof(server->scratch), "/tmp/sl-git-XXXXXX");
	if (mkdtemp(server->scratch) == NULL) {
		die("no scratch folder");
	}
	gitserver_start(server);
	return server;
}

static void remove_scratch(const struct gitserver *server)
{
	const char *args[] = {"-rf", server->scratch, NULL};
	(void)process_run(&(struct process_options){.program = "/bin/rm", .args = args}, STOP_MS,
			  NULL, NULL);
}

void gitserver_free(struct gitserver *server)
{
	if (server == NULL) {
		return;
	}
	end(&server->front);
	end(&server->back);
	remove_scratch(server);
	free(server);
}

char *gitserver_url(const struct gitserver *server, const char *name,
		    char url[static GITSERVER_URL_SIZE])
{
	/* The certificate is for a name. */
	static const char *const begins[] = {
	    [GITSERVER_GIT] = "git://127.0.0.1",
	    [GITSERVER_HTTP] = "http://127.0.0.1",
	    [GITSERVER_HTTPS] = "https://localhost",
	};
	(void)snprintf(url, GITSERVER_URL_SIZE, "%s:%u/%s", begins[server->kind], server->port,
		       name);
	return url;
}

uint16_t gitserver_port(const struct gitserver *server)
{
	return server->port;
}

void gitserver_pause(struct gitserver *server)
{
	process_kill(server->front, SIGSTOP);
}

void gitserver_resume(struct gitserver *server)
{
	process_kill(server->front, SIGCONT);
}

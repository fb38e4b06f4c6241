#include "tests/bench/servers.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "grpc/health/v1/health.pb-c.h"
#include "tests/bench/die.h"
#include "tests/bench/host.h"
#include "tests/bench/load.h"
#include "tests/bench/secure.h"
#include "tests/lib/gitserver.h"
#include "tests/lib/process.h"

enum { START_MS = 120000, STOP_MS = 30000, ARGS_MAX = 32, POLL_US = 200, PATH_BYTES = 512 };

/* The program, under taskset when it is pinned. */
static struct process *start(const char *program, const char *const *args, bool pinned)
{
	char core[16];
	const char *all[ARGS_MAX] = {"-c", core, program};
	const char *const env[] = {"GOMAXPROCS=1", "ETCD_UNSUPPORTED_ARCH=", NULL};
	(void)snprintf(core, sizeof(core), "%d", host_server_core());
	size_t count = 3;
	for (size_t i = 0; args[i] != NULL && count + 1 < ARGS_MAX; i++) {
		all[count++] = args[i];
	}
	const struct process_options options = {.program = pinned ? "taskset" : program,
						.args = pinned ? all : args,
						.env = pinned ? env : NULL};
	return process_start(&options);
}

/* The files of a server that is not ours, in a folder with keys. */
struct key_paths {
	char ca[PATH_BYTES], cert[PATH_BYTES], key[PATH_BYTES];
};

static void key_paths(const char *folder, struct key_paths *ret_paths)
{
	const char *in = folder != NULL ? folder : "";
	(void)snprintf(ret_paths->ca, PATH_BYTES, "%s/keys/ca.pem", in);
	(void)snprintf(ret_paths->cert, PATH_BYTES, "%s/keys/server.pem", in);
	(void)snprintf(ret_paths->key, PATH_BYTES, "%s/keys/server.key", in);
}

static bool connects(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	if (fd >= 0) {
		(void)close(fd);
	}
	return ok;
}

static bool serving(int port)
{
	SL_AUTO(sl_buf_fini) struct sl_buf reply = {0};
	int status = load_call(port, "/grpc.health.v1.Health/Check", SL_BYTES("", 0), &reply, NULL);
	Grpc__Health__V1__HealthCheckResponse *health =
	    status == 0
		? grpc__health__v1__health_check_response__unpack(NULL, reply.size, reply.data)
		: NULL;
	bool yes =
	    health != NULL &&
	    health->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	if (health != NULL) {
		grpc__health__v1__health_check_response__free_unpacked(health, NULL);
	}
	return yes;
}

/* Polls the port, then asks for its health: the bare server has none, and listens at once. */
static void wait_ready(struct bench_server *server, const char *name, bool health)
{
	while (!connects(server->port) || (health && !serving(server->port))) {
		int status = 0;
		if (process_wait(server->process, 0, &status) ||
		    sl_clock_mono_us() - server->started_us > START_MS * 1000ull) {
			char *words = process_stderr(server->process);
			die("%s does not start: %s", name, words);
		}
		(void)usleep(POLL_US);
	}
	server->ready_us = sl_clock_mono_us();
}

/* guarded: as many connections a second as it accepts by default; else all. */
static struct process *start_sluiced(const char *data, bool pinned, int port, bool guarded)
{
	SL_AUTO(sl_free_auto) char *program = process_runfile("server/sluiced");
	bool secure = secure_has_keys(data);
	char listen[32];
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%d", port);
	const char *const args[] = {"serve",
				    "--data",
				    data,
				    "--listen",
				    listen,
				    "--metrics-listen",
				    "",
				    "--disk-reserve",
				    "1M",
				    "--log-level",
				    "warn",
				    "--calls-per-second",
				    "0",
				    secure ? "--door-listen=" : "--insecure",
				    guarded ? NULL : "--accepts-per-second",
				    "0",
				    NULL};
	secure_serve(port, secure ? data : NULL);
	return start(program, args, pinned);
}

struct bench_server servers_sluiced(const char *data, bool pinned)
{
	struct bench_server server = {.port = gitserver_free_port(),
				      .started_us = sl_clock_mono_us()};
	server.process = start_sluiced(data, pinned, server.port, false);
	wait_ready(&server, "sluiced", true);
	return server;
}

void servers_sluiced_crash(struct bench_server *server, const char *data)
{
	int status = 0;
	process_kill(server->process, SIGKILL);
	(void)process_wait(server->process, STOP_MS, &status);
	process_free(server->process);
	server->started_us = sl_clock_mono_us();
	server->process = start_sluiced(data, false, server->port, true);
}

struct bench_server servers_etcd(const char *data, bool pinned, const char *keys)
{
	int port = gitserver_free_port(), peer = gitserver_free_port();
	struct key_paths paths;
	char client_url[64], peer_url[64], cluster[96];
	(void)snprintf(client_url, sizeof(client_url), "%s://127.0.0.1:%d",
		       keys != NULL ? "https" : "http", port);
	(void)snprintf(peer_url, sizeof(peer_url), "http://127.0.0.1:%d", peer);
	(void)snprintf(cluster, sizeof(cluster), "default=%s", peer_url);
	key_paths(keys, &paths);
	const char *const args[] = {"--data-dir",
				    data,
				    "--listen-client-urls",
				    client_url,
				    "--advertise-client-urls",
				    client_url,
				    "--listen-peer-urls",
				    peer_url,
				    "--initial-advertise-peer-urls",
				    peer_url,
				    "--initial-cluster",
				    cluster,
				    "--logger",
				    "zap",
				    "--log-level",
				    "error",
				    "--quota-backend-bytes",
				    "8589934592",
				    keys != NULL ? "--client-cert-auth" : NULL,
				    "--trusted-ca-file",
				    paths.ca,
				    "--cert-file",
				    paths.cert,
				    "--key-file",
				    paths.key,
				    NULL};
	struct bench_server server = {.port = port, .started_us = sl_clock_mono_us()};
	secure_serve(port, keys);
	server.process = start("/usr/bin/etcd", args, pinned);
	wait_ready(&server, "etcd", true);
	return server;
}

struct bench_server servers_bare(size_t reply_bytes, bool pinned, const char *keys)
{
	SL_AUTO(sl_free_auto) char *program = process_runfile("tests/bench/bare_server");
	struct key_paths paths;
	char bytes[32];
	(void)snprintf(bytes, sizeof(bytes), "%zu", reply_bytes);
	key_paths(keys, &paths);
	const char *const args[] = {bytes, keys != NULL ? paths.ca : NULL, paths.cert, paths.key,
				    NULL};
	struct bench_server server = {.started_us = sl_clock_mono_us()};
	server.process = start(program, args, pinned);
	SL_AUTO(sl_free_auto)
	char *line = process_wait_line(server.process, "listening", NULL, START_MS);
	if (line == NULL) {
		die("bare_server does not start");
	}
	server.port = (int)process_line_number(line, "port=");
	secure_serve(server.port, keys);
	wait_ready(&server, "bare_server", false);
	return server;
}

void servers_stop(struct bench_server *server)
{
	int status = 0;
	if (server->process == NULL) {
		return;
	}
	process_kill(server->process, SIGTERM);
	if (!process_wait(server->process, STOP_MS, &status)) {
		(void)fprintf(stderr, "bench: a server did not stop, and is killed\n");
	}
	process_free(SL_TAKE(server->process));
}

uint64_t servers_resident(const struct bench_server *server)
{
	return host_process_bytes(process_pid(server->process), "VmRSS:");
}

uint64_t servers_private(const struct bench_server *server)
{
	return host_process_bytes(process_pid(server->process), "RssAnon:");
}

double servers_cpu_us(const struct bench_server *server)
{
	char path[64];
	double total_us = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)process_pid(server->process));
	DIR *tasks = need(opendir(path));
	for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
		char schedstat[sizeof(path) + sizeof(task->d_name) + 16];
		unsigned long long ran_ns = 0;
		(void)snprintf(schedstat, sizeof(schedstat), "%s/%s/schedstat", path, task->d_name);
		FILE *file = task->d_name[0] != '.' ? fopen(schedstat, "re") : NULL;
		if (file != NULL) { /* a thread that ended meanwhile does not count */
			total_us += fscanf(file, "%llu", &ran_ns) == 1 ? (double)ran_ns / 1000 : 0;
			(void)fclose(file);
		}
	}
	(void)closedir(tasks);
	return total_us;
}

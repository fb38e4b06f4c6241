/* turns: real agents that are told of a release at once and pull it from one Git host: how many
 * connections the host has at once, and how long until all serve it; with turns and without. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "tests/bench/cli.h"
#include "tests/bench/die.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/lib/gitrepo.h"
#include "tests/lib/gitserver.h"
#include "tests/lib/process.h"

enum {
	AGENTS = 200,
	AGENTS_QUICK = 4,
	FILES = 10,
	FILE_BYTES = 100 << 10,
	STOP_MS = 30000,
	LOOK_US = 2000,
	LINE_BYTES = 256,
	NAME_BYTES = 64,
	TCP_ESTABLISHED = 1,
};
/* Of `--fetches-per-host`; 0: no turns. */
static const char *const bounds[] = {"0", "50", "10"};

#define CLAIM(text, of)                                                                            \
	{                                                                                          \
		.id = "turns", .what = text, .unit = of, .less_is_better = true                    \
	}
static const struct claim claims[][2] = {
    {CLAIM("200 agents pull a release, no turns: connections at once", ""),
     CLAIM("until all serve it", "s")},
    {CLAIM("50 at a time: connections at once", ""), CLAIM("until all serve it", "s")},
    {CLAIM("10 at a time: connections at once", ""), CLAIM("until all serve it", "s")},
};

/* Connections that a port has now. */
static unsigned connections(uint16_t port)
{
	char line[LINE_BYTES];
	unsigned count = 0;
	FILE *file = fopen("/proc/net/tcp", "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		unsigned local = 0, state = 0;
		count += sscanf(line, " %*u: %*x:%x %*x:%*x %x", &local, &state) == 2 &&
			 local == port && state == TCP_ESTABLISHED;
	}
	if (file != NULL) {
		(void)fclose(file);
	}
	return count;
}

/* A thread that looks all the time. */
struct looking {
	uint16_t port;
	atomic_bool over;
	unsigned most;
};

static void *look(void *ctx)
{
	struct looking *looking = ctx;
	while (!atomic_load(&looking->over)) {
		unsigned now = connections(looking->port);
		looking->most = now > looking->most ? now : looking->most;
		(void)usleep(LOOK_US);
	}
	return NULL;
}

static void commit(const struct gitrepo *repo, const char *message)
{
	static uint8_t bytes[FILE_BYTES];
	for (unsigned i = 0; i < FILES; i++) {
		char name[NAME_BYTES];
		(void)snprintf(name, sizeof(name), "apps/shop/asset-%u.bin", i);
		sl_random(bytes, sizeof(bytes));
		gitrepo_write(repo, name, bytes, sizeof(bytes));
	}
	gitrepo_commit(repo, message, NULL);
}

static void start_agents(int port, unsigned count, struct process **ret_agents)
{
	SL_AUTO(sl_free_auto) char *program = process_runfile("agent/sluice-agent");
	char address[32];
	(void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
	for (unsigned i = 0; i < count; i++) {
		SL_AUTO(sl_free_auto) char *state = host_path("turns-state-%u", i);
		char name[NAME_BYTES];
		(void)snprintf(name, sizeof(name), "agent-%u", i);
		const char *const args[] = {"run", "--server",    address, "--instance",
					    name,  "--state",     state,   "--disk-reserve",
					    "1M",  "--log-level", "warn",  NULL};
		const struct process_options options = {.program = program, .args = args};
		ret_agents[i] = process_start(&options);
	}
}

static void end_agents(unsigned count, struct process **agents)
{
	for (unsigned i = 0; i < count; i++) {
		process_kill(agents[i], SIGTERM);
	}
	for (unsigned i = 0; i < count; i++) {
		int status = 0;
		(void)process_wait(agents[i], STOP_MS, &status);
		process_free(agents[i]);
		SL_AUTO(sl_free_auto) char *state = host_path("turns-state-%u", i);
		host_remove(state);
	}
}

static void wait_staging(int port, const char *version)
{
	cli_run(port, "wait", "shop", version, "--env", "staging", "--all", "--timeout", "10m",
		NULL);
}

/* A release to all of staging: from the promotion until all serve it. */
static double release(int port, uint16_t git_port, const struct gitrepo *repo, double *ret_most)
{
	struct looking looking = {.port = git_port};
	pthread_t thread;
	commit(repo, "Next");
	cli_run(port, "version", "create", "shop", "v2", "--commit", "main", "--no-commit", NULL);
	sync();
	if (pthread_create(&thread, NULL, look, &looking) != 0) {
		die("no thread");
	}
	uint64_t started = sl_clock_mono_us();
	cli_run(port, "promote", "shop", "v2", "--to", "staging", NULL);
	wait_staging(port, "v2");
	double took_s = (double)(sl_clock_mono_us() - started) / 1e6;
	atomic_store(&looking.over, true);
	(void)pthread_join(thread, NULL);
	*ret_most = looking.most;
	return took_s;
}

static void measure(struct bench *bench, size_t which)
{
	unsigned count = bench->options.quick ? AGENTS_QUICK : AGENTS;
	SL_AUTO(sl_free_auto) char *data = host_path("turns-data");
	SL_AUTO(sl_free_auto) char *dir = host_path("turns-git");
	SL_AUTO(sl_free_auto)
	struct process **agents = need(calloc(count, sizeof(struct process *)));
	struct gitrepo repo;
	char url[GITSERVER_URL_SIZE];
	if (mkdir(dir, 0700) != 0) {
		die("cannot make '%s'", dir);
	}
	gitrepo_init(&repo, dir);
	commit(&repo, "First");
	const struct gitserver_options options = {.kind = GITSERVER_GIT, .root = dir};
	struct gitserver *host = gitserver_new(&options);
	(void)setenv("SLUICE_FETCHES_PER_HOST", bounds[which], 1);
	struct bench_server server = servers_sluiced(data, false);
	(void)unsetenv("SLUICE_FETCHES_PER_HOST");
	fleet_register(server.port, "agent", count, "staging", "shop");
	cli_run(server.port, "app", "create", "shop", "--repo",
		gitserver_url(host, "origin.git", url), "--no-commit", NULL);
	cli_run(server.port, "promote", "shop", "v1", "--to", "staging", NULL);
	start_agents(server.port, count, agents);
	wait_staging(server.port, "v1");
	double most = 0, took_s = release(server.port, gitserver_port(host), &repo, &most);
	report_add(bench->report, &claims[which][0], "free", &most, NULL, 1);
	report_add(bench->report, &claims[which][1], "free", &took_s, NULL, 1);
	report_follow(bench->report);
	end_agents(count, agents);
	servers_stop(&server);
	gitserver_free(host);
	host_remove(data);
	host_remove(dir);
}

void row_turns(struct bench *bench)
{
	for (size_t i = 0; i < SL_COUNT(bounds); i++) {
		measure(bench, i);
	}
	report_note(
	    bench->report,
	    "turns: %d real agents, server and git daemon on the same cores; a bundle of 1 MB, of "
	    "which all files are new; connections are looked for every 2 ms, those of the "
	    "server among them",
	    AGENTS);
}

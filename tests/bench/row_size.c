/* P17: an idle agent's memory, and how large our own code is. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"
#include "sluice/v1/app.pb-c.h"
#include "sluice/v1/fleet.pb-c.h"
#include "tests/bench/die.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/load.h"
#include "tests/bench/rows.h"
#include "tests/lib/gitrepo.h"
#include "tests/lib/process.h"

enum {
	FILES = 70,
	FILE_BYTES = 100 << 10,
	REQUEST_BYTES = 1024,
	TOOL_MS = 60000,
	WAIT_MS = 60000,
	IDLE_S = 5,
	STOP_MS = 30000
};

#define AT_MOST(text, of, the_floor, the_aim)                                                      \
	{                                                                                          \
		.id = "P17", .what = text, .unit = of, .floor = the_floor, .aim = the_aim,         \
		.less_is_better = true                                                             \
	}
static const struct claim resident = AT_MOST("agent: idle memory, resident", "MB", 16, 10);
static const struct claim private_part =
    AT_MOST("of that, its own (no code, no files)", "MB", 0, 0);
static const struct claim agent_size = AT_MOST("agent: stripped binary", "MB", 1, 1);
static const struct claim server_size = AT_MOST("server: stripped binary", "MB", 2, 2);

/* The C libraries are Debian's, shared: what is in the file is ours and generated code. */
static double stripped_mb(const char *runfile)
{
	SL_AUTO(sl_free_auto) char *program = process_runfile(runfile);
	SL_AUTO(sl_free_auto) char *out = host_path("stripped");
	const char *const args[] = {"-s", "-o", out, program, NULL};
	const struct process_options options = {.program = "strip", .args = args};
	struct stat info;
	if (process_run(&options, TOOL_MS, NULL, NULL) != 0 || stat(out, &info) != 0) {
		die("cannot strip '%s'", program);
	}
	host_remove(out);
	return (double)info.st_size / 1e6;
}

/* An app of 7 MB in a repository of its own. */
static void create_app(int port, const char *dir)
{
	static char file[FILE_BYTES + 1];
	struct gitrepo repo;
	char url[sizeof(repo.bare) + 16];
	if (mkdir(dir, 0700) != 0) {
		die("cannot make '%s'", dir);
	}
	gitrepo_init(&repo, dir);
	for (unsigned i = 0; i < FILES; i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "asset-%02u.txt", i);
		for (unsigned b = 0; b < FILE_BYTES; b++) {
			file[b] = (char)('a' + (b * 7919u + i) % 26);
		}
		gitrepo_write(&repo, name, file, FILE_BYTES);
	}
	gitrepo_commit(&repo, "The app", NULL);
	(void)snprintf(url, sizeof(url), "file://%s", repo.bare);
	Sluice__V1__CreateAppRequest create = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	Sluice__V1__CreateAppRequest__PlacementEntry entry =
	    SLUICE__V1__CREATE_APP_REQUEST__PLACEMENT_ENTRY__INIT;
	Sluice__V1__CreateAppRequest__PlacementEntry *entries[] = {&entry};
	entry.key = (char *)"app";
	entry.value = create.name = (char *)"shop";
	create.repository_url = url;
	create.placement = entries;
	create.n_placement = 1;
	fleet_call(port, "/sluice.v1.AppService/CreateApp", &create.base);
}

static void wait_converged(int port)
{
	SL_AUTO(sl_buf_fini) struct sl_buf reply = {0};
	uint8_t bytes[REQUEST_BYTES];
	char text[200];
	Sluice__V1__WaitForRequest wait = SLUICE__V1__WAIT_FOR_REQUEST__INIT;
	wait.condition = SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONVERGED;
	wait.app = (char *)"shop";
	wait.environment = (char *)"development";
	wait.timeout_ms = WAIT_MS / 3; /* the caller waits half a minute at most */
	size_t size = sluice__v1__wait_for_request__pack(&wait, bytes);
	if (load_call(port, "/sluice.v1.FleetService/WaitFor", SL_BYTES(bytes, size), &reply,
		      text) != 0) {
		die("WaitFor: %s", text);
	}
	Sluice__V1__WaitForResponse *response =
	    sluice__v1__wait_for_response__unpack(NULL, reply.size, reply.data);
	if (response == NULL || !response->done) {
		die("the agent does not get its app: %s", response == NULL ? "" : response->text);
	}
	sluice__v1__wait_for_response__free_unpacked(response, NULL);
}

static void measure_agent(struct bench *bench, const struct bench_server *server)
{
	SL_AUTO(sl_free_auto) char *program = process_runfile("agent/sluice-agent");
	SL_AUTO(sl_free_auto) char *state = host_path("agent-state");
	SL_AUTO(sl_free_auto) char *repository = host_path("agent-git");
	char address[32];
	(void)snprintf(address, sizeof(address), "127.0.0.1:%d", server->port);
	const char *const args[] = {"run",     "--server", address, "--instance",
				    "agent-0", "--state",  state,   "--disk-reserve",
				    "1M",      NULL};
	const struct process_options options = {.program = program, .args = args};
	fleet_register(server->port, "agent", 1, "development", "shop");
	create_app(server->port, repository);
	struct process *agent = process_start(&options);
	wait_converged(server->port);
	(void)sleep(IDLE_S);
	double all = (double)host_process_bytes(process_pid(agent), "VmRSS:") / 1e6;
	double own = (double)host_process_bytes(process_pid(agent), "RssAnon:") / 1e6;
	report_add(bench->report, &resident, "free", &all, NULL, 1);
	report_add(bench->report, &private_part, "free", &own, NULL, 1);
	int status = 0;
	process_kill(agent, SIGTERM);
	(void)process_wait(agent, STOP_MS, &status);
	process_free(agent);
}

void row_size(struct bench *bench)
{
	SL_AUTO(sl_free_auto) char *data = host_path("size");
	struct bench_server server = servers_sluiced(data, false);
	measure_agent(bench, &server);
	servers_stop(&server);
	double agent = stripped_mb("agent/sluice-agent"), sluiced = stripped_mb("server/sluiced");
	report_add(bench->report, &agent_size, "", &agent, NULL, 1);
	report_add(bench->report, &server_size, "", &sluiced, NULL, 1);
	report_note(bench->report,
		    "P17: an agent that serves one app of 7 MB, %d s after it was healthy; the "
		    "binaries as this build made them (-c opt), Debian's shared libraries aside",
		    IDLE_S);
	host_remove(data);
}

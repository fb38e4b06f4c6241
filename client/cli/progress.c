/* Waiting for instances: one long call waits on the server in a thread of its own, so that
 * nothing that fails meanwhile is missed; this thread says how far things are. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "client/cli/cli.h"

enum {
	WAIT_DEFAULT_MS = 5 * 60 * 1000,
	SHOW_EVERY_MS = 1000,
	SHOW_FIRST_MS = 300, /* what is already there needs no progress */
	NAP_MS = 20,
	GRACE_MS = 10 * 1000,
	SLICE_MIN_MS = 1000,
};

void cli_progress(struct cli *cli, const char *line)
{
	if (line[0] == '\0' || strcmp(cli->progress, line) == 0) {
		return;
	}
	(void)snprintf(cli->progress, sizeof(cli->progress), "%s", line);
	if (isatty(fileno(cli->talk))) {
		(void)fputs("\r\033[K", cli->talk);
		cli_paint(cli, TEXT_FAINT, "%.78s", line);
	} else {
		cli_say(cli, "%s\n", line);
	}
	(void)fflush(cli->talk);
}

void cli_progress_end(struct cli *cli)
{
	if (cli->progress[0] != '\0' && isatty(fileno(cli->talk))) {
		(void)fputs("\r\033[K", cli->talk);
		(void)fflush(cli->talk);
	}
	cli->progress[0] = '\0';
}

uint64_t cli_wait_ms(const struct cli *cli)
{
	return cli->flags.timeout_ms != 0 ? cli->flags.timeout_ms : WAIT_DEFAULT_MS;
}

static bool is_staging(const struct cli_wait *wait)
{
	return wait->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED;
}

/* Whether the instance is one that the wait is still about. */
static bool matters(const struct cli_wait *wait, const Sluice__V1__InstanceStatus *s)
{
	const char *only = wait->instance;
	if (only != NULL && strcmp(only, s->instance) != 0 && strcmp(only, s->instance_id) != 0) {
		return false;
	}
	return is_staging(wait)
		   ? s->phase == SLUICE__V1__PHASE__PHASE_FETCHING ||
			 s->phase == SLUICE__V1__PHASE__PHASE_VERIFYING || s->error[0] != '\0'
		   : !s->converged;
}

/* "; prod-1 FETCHING 40 %, prod-2 not connected": those that are not there yet. */
static void add_instances(const struct cli_wait *wait, const Sluice__V1__GetStatusResponse *status,
			  char *line, size_t size)
{
	size_t used = strlen(line);
	const char *separator = "; ";
	for (size_t i = 0; i < status->n_instances && used < size; i++) {
		const Sluice__V1__InstanceStatus *s = status->instances[i];
		char phase[TEXT_SIZE];
		char percent[16] = "";
		if (!matters(wait, s)) {
			continue;
		}
		if (s->phase == SLUICE__V1__PHASE__PHASE_FETCHING && s->percent > 0) {
			(void)snprintf(percent, sizeof(percent), " %u %%", s->percent);
		}
		bool online = s->liveness == SLUICE__V1__LIVENESS__LIVENESS_ONLINE;
		int more = snprintf(
		    line + used, size - used, "%s%s %s%s", separator, s->instance,
		    online ? text_enum(phase, &sluice__v1__phase__descriptor, (int)s->phase)
			   : "not connected",
		    percent);
		used += more > 0 ? (size_t)more : 0;
		separator = ", ";
	}
}

static void describe(const struct cli_wait *wait, const Sluice__V1__GetStatusResponse *status,
		     char *line, size_t size)
{
	line[0] = '\0';
	for (size_t a = 0; a < status->n_apps; a++) {
		const Sluice__V1__AppStatus *app = status->apps[a];
		for (size_t e = 0; e < app->n_environments; e++) {
			const Sluice__V1__EnvironmentStatus *env = app->environments[e];
			(void)snprintf(line, size, "%s: %u of %u %s", env->environment,
				       is_staging(wait) ? env->staged : env->ok, env->instances,
				       is_staging(wait) ? "have it on disk" : "serve it");
		}
	}
	add_instances(wait, status, line, size);
}

static void show_instances(struct cli *cli, const struct cli_wait *wait)
{
	Sluice__V1__GetStatusRequest request = SLUICE__V1__GET_STATUS_REQUEST__INIT;
	Sluice__V1__GetStatusResponse *status = NULL;
	char line[CLI_PROGRESS_SIZE];
	request.workspace = cli->workspace;
	request.app = cli_str(wait->app);
	request.environment = cli_str(wait->environment);
	request.with_instances = true;
	/* A courtesy: when it fails, the wait itself tells why. */
	if (sluice_get_status(cli->client, NULL, &request, &status, NULL) == SLUICE_OK) {
		describe(wait, status, line, sizeof(line));
		cli_progress(cli, line);
		sluice_message_free(status);
	}
}

static void show(struct cli *cli, const struct cli_wait *wait)
{
	char line[CLI_PROGRESS_SIZE];
	if (wait->environment != NULL && wait->environment[0] != '\0') {
		show_instances(cli, wait);
		return;
	}
	bool content = wait->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONTENT;
	(void)snprintf(line, sizeof(line), "%s %s: %s", wait->app, wait->version,
		       content ? "getting its content from Git" : "publishing it in Git");
	cli_progress(cli, line);
}

/* The call that waits, and what came of it. */
struct waiter {
	struct cli *cli;
	Sluice__V1__WaitForRequest request;
	Sluice__V1__WaitForResponse *response; /* the thread's until `over` */
	sluice_error error;                    /* likewise */
	atomic_bool over;
};

static void *wait_on_server(void *arg)
{
	struct waiter *w = arg;
	const sluice_call call = {.timeout_ms = w->request.timeout_ms + GRACE_MS};
	(void)sluice_wait_for(w->cli->client, &call, &w->request, &w->response, &w->error);
	atomic_store(&w->over, true);
	return NULL;
}

static void show_until_over(struct waiter *w, const struct cli_wait *wait)
{
	uint64_t due = sl_clock_mono_ms() + SHOW_FIRST_MS;
	while (!atomic_load(&w->over)) {
		const struct timespec nap = {.tv_nsec = NAP_MS * 1000000L};
		if (sl_clock_mono_ms() >= due) {
			show(w->cli, wait);
			due = sl_clock_mono_ms() + SHOW_EVERY_MS;
		}
		(void)nanosleep(&nap, NULL);
	}
}

static Sluice__V1__WaitForRequest request_of(const struct cli *cli, const struct cli_wait *wait)
{
	Sluice__V1__WaitForRequest request = SLUICE__V1__WAIT_FOR_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.condition = wait->condition;
	request.app = cli_str(wait->app);
	request.version = cli_str(wait->version != NULL ? wait->version : "");
	request.environment = cli_str(wait->environment != NULL ? wait->environment : "");
	request.instance = cli_str(wait->instance != NULL ? wait->instance : "");
	request.require_all = wait->all;
	return request;
}

static void wait_once(struct waiter *w, const struct cli_wait *wait)
{
	pthread_t thread;
	sluice_error_clear(&w->error);
	atomic_store(&w->over, false);
	if (pthread_create(&thread, NULL, wait_on_server, w) != 0) {
		(void)wait_on_server(w); /* without progress, then */
		return;
	}
	show_until_over(w, wait);
	(void)pthread_join(thread, NULL);
}

/* As long as there is time, but no longer than the certificate needs no renewal. */
static void wait_in_slices(struct waiter *w, const struct cli_wait *wait)
{
	uint64_t now = sl_clock_mono_ms(), end = now + cli_wait_ms(w->cli);
	do {
		(void)cli_client(w->cli);
		uint64_t left = end - now, until = cli_renews_in_ms(w->cli);
		uint64_t slice = until < SLICE_MIN_MS ? SLICE_MIN_MS : until;
		w->request.timeout_ms = (uint32_t)(slice < left ? slice : left);
		wait_once(w, wait);
		now = sl_clock_mono_ms();
	} while (strcmp(w->error.reason, "WAIT_TIMEOUT") == 0 && now < end);
}

/* True: *ret_response has the server's word. False: cli->error says why not. */
static bool wait_and_show(struct cli *cli, const struct cli_wait *wait,
			  Sluice__V1__WaitForResponse **ret_response)
{
	struct waiter w = {
	    .cli = cli, .request = request_of(cli, wait), .error = SLUICE_ERROR_INIT};
	wait_in_slices(&w, wait);
	cli_progress_end(cli);
	sluice_error_clear(&cli->error);
	cli->error = w.error;
	*ret_response = w.response;
	return w.response != NULL && cli_keep(cli, w.response);
}

static int tell_failure(struct cli *cli, const Sluice__V1__WaitForResponse *response)
{
	cli_paint(cli, TEXT_BAD, "failed");
	cli_say(cli, ": %s\n", response->text);
	for (size_t i = 0; i < response->n_failures; i++) {
		const Sluice__V1__InstanceStatus *s = response->failures[i];
		char phase[TEXT_SIZE];
		cli_say(cli, "  %s: %s %s%s%s\n", s->instance, cli_ref(s->subject),
			text_enum(phase, &sluice__v1__phase__descriptor, (int)s->phase),
			s->error[0] != '\0' ? ": " : "", s->error);
	}
	if (response->n_failures > 0) {
		cli_say(cli,
			"  run: sluice explain %s %s; after mending: sluice instance retry %s\n",
			response->failures[0]->instance, cli->app != NULL ? cli->app : "APP",
			response->failures[0]->instance);
	}
	return CLI_FAILED;
}

int cli_wait(struct cli *cli, const struct cli_wait *wait,
	     Sluice__V1__WaitForResponse **ret_response)
{
	Sluice__V1__WaitForResponse *response = NULL;
	bool answered = wait_and_show(cli, wait, &response);
	if (ret_response != NULL) {
		*ret_response = response;
	}
	if (!answered) {
		return cli_fail(cli);
	}
	if (!response->done) {
		return tell_failure(cli, response);
	}
	cli_paint(cli, TEXT_GOOD, "done");
	cli_say(cli, ": %s\n", response->text);
	return CLI_DONE;
}

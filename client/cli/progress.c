/* Waiting for instances and contents: the server waits, a second at a time; in between
 * the talk says how far things are. One line, updated in place on a terminal; elsewhere
 * a line whenever it changes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "client/cli/cli.h"

enum {
	WAIT_DEFAULT_MS = 5 * 60 * 1000,
	SLICE_MS = 1000,
	GRACE_MS = 10 * 1000,
	LINE_MAX_BYTES = 400
};

struct progress {
	struct cli *cli;
	const struct cli_wait *wait;
	bool terminal;
	char line[LINE_MAX_BYTES]; /* what was shown last */
};

static void show(struct progress *p, const char *line)
{
	if (strcmp(p->line, line) == 0) {
		return;
	}
	(void)snprintf(p->line, sizeof(p->line), "%s", line);
	if (p->terminal) {
		(void)fputs("\r\033[K", p->cli->talk);
		cli_paint(p->cli, TEXT_FAINT, "%.*s", 78, line);
	} else {
		cli_say(p->cli, "%s\n", line);
	}
	(void)fflush(p->cli->talk);
}

static void clear(struct progress *p)
{
	if (p->terminal && p->line[0] != '\0') {
		(void)fputs("\r\033[K", p->cli->talk);
		(void)fflush(p->cli->talk);
	}
}

static bool matters(const struct progress *p, const Sluice__V1__InstanceStatus *s)
{
	const char *only = p->wait->instance;
	bool staged = p->wait->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED;
	if (only != NULL && strcmp(only, s->instance) != 0 && strcmp(only, s->instance_id) != 0) {
		return false;
	}
	return staged ? s->phase == SLUICE__V1__PHASE__PHASE_FETCHING ||
			    s->phase == SLUICE__V1__PHASE__PHASE_VERIFYING || s->error[0] != '\0'
		      : !s->converged;
}

/* "prod-1 FETCHING 40 %, prod-2 offline" of those that are not there yet, into `line`. */
static void add_instances(const struct progress *p, const Sluice__V1__GetStatusResponse *status,
			  char *line, size_t size)
{
	size_t used = strlen(line);
	for (size_t i = 0; i < status->n_instances && used < size; i++) {
		const Sluice__V1__InstanceStatus *s = status->instances[i];
		char phase[TEXT_SIZE];
		char percent[16] = "";
		if (!matters(p, s)) {
			continue;
		}
		if (s->phase == SLUICE__V1__PHASE__PHASE_FETCHING && s->percent > 0) {
			(void)snprintf(percent, sizeof(percent), " %u %%", s->percent);
		}
		bool online = s->liveness == SLUICE__V1__LIVENESS__LIVENESS_ONLINE;
		int more =
		    snprintf(line + used, size - used, "%s%s %s%s",
			     i == 0 || line[used - 1] == ' ' ? "" : ", ", s->instance,
			     online ? text_enum(phase, &sluice__v1__phase__descriptor, s->phase)
				    : "not connected",
			     percent);
		used += more > 0 ? (size_t)more : 0;
	}
}

static const Sluice__V1__EnvironmentStatus *
find_environment(const Sluice__V1__GetStatusResponse *status, const char *name)
{
	for (size_t a = 0; a < status->n_apps; a++) {
		const Sluice__V1__AppStatus *app = status->apps[a];
		for (size_t e = 0; e < app->n_environments; e++) {
			if (strcmp(app->environments[e]->environment, name) == 0) {
				return app->environments[e];
			}
		}
	}
	return NULL;
}

static void describe_instances(struct progress *p, char *line, size_t size)
{
	struct cli *cli = p->cli;
	Sluice__V1__GetStatusRequest request = SLUICE__V1__GET_STATUS_REQUEST__INIT;
	Sluice__V1__GetStatusResponse *status = NULL;
	sluice_error ignored =
	    SLUICE_ERROR_INIT; /* progress is a courtesy: the wait itself tells */
	request.workspace = cli->workspace;
	request.app = cli_str(p->wait->app);
	request.environment = cli_str(p->wait->environment);
	request.with_instances = true;
	if (sluice_get_status(cli->client, &cli->call, &request, &status, &ignored) != SLUICE_OK) {
		sluice_error_clear(&ignored);
		return;
	}
	const Sluice__V1__EnvironmentStatus *e = find_environment(status, p->wait->environment);
	if (e != NULL) {
		bool staged =
		    p->wait->condition == SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED;
		(void)snprintf(line, size, "%s: %u of %u %s; ", e->environment,
			       staged ? e->staged : e->ok, e->instances,
			       staged ? "have it on disk" : "serve it");
		add_instances(p, status, line, size);
		size_t length = strlen(line);
		if (length > 1 && line[length - 2] == ';') {
			line[length - 2] = '\0';
		}
	}
	sluice_message_free(status);
}

static void describe(struct progress *p)
{
	char line[LINE_MAX_BYTES] = "";
	switch (p->wait->condition) {
	case SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONTENT:
		(void)snprintf(line, sizeof(line), "%s %s: getting its content from Git",
			       p->wait->app, p->wait->version);
		break;
	case SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_PUBLISHED:
		(void)snprintf(line, sizeof(line), "%s %s: publishing it in Git", p->wait->app,
			       p->wait->version);
		break;
	default:
		describe_instances(p, line, sizeof(line));
		break;
	}
	if (line[0] != '\0') {
		show(p, line);
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

static bool is_patience(const sluice_error *error)
{
	return error->code == SLUICE_DEADLINE_EXCEEDED;
}

/* True: *ret_response has the server's word. False: cli->error says why not. */
static bool wait_slices(struct progress *p, Sluice__V1__WaitForResponse **ret_response)
{
	struct cli *cli = p->cli;
	uint64_t total = cli->flags.timeout_ms != 0 ? cli->flags.timeout_ms : WAIT_DEFAULT_MS;
	uint64_t end = sl_clock_mono_ms() + total;
	Sluice__V1__WaitForRequest request = request_of(cli, p->wait);
	for (bool first = true;; first = false) {
		uint64_t now = sl_clock_mono_ms();
		uint64_t left = end > now ? end - now : 0;
		/* The first slice is short: what is already there needs no progress line. */
		uint64_t slice = first ? SLICE_MS / 4 : SLICE_MS;
		request.timeout_ms = (uint32_t)(left < slice ? left : slice) + 1;
		const sluice_call call = {.timeout_ms = request.timeout_ms + GRACE_MS};
		if (sluice_wait_for(cli->client, &call, &request, ret_response, &cli->error) ==
		    SLUICE_OK) {
			return cli_keep(cli, *ret_response);
		}
		if (!is_patience(&cli->error) || left <= slice) {
			return false;
		}
		describe(p);
	}
}

static int tell_failure(struct cli *cli, const Sluice__V1__WaitForResponse *response)
{
	cli_paint(cli, TEXT_BAD, "failed");
	cli_say(cli, ": %s\n", response->text);
	for (size_t i = 0; i < response->n_failures; i++) {
		const Sluice__V1__InstanceStatus *s = response->failures[i];
		char phase[TEXT_SIZE];
		cli_say(cli, "  %s: %s %s%s%s\n", s->instance, cli_ref(s->subject),
			text_enum(phase, &sluice__v1__phase__descriptor, s->phase),
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
	struct progress p = {.cli = cli, .wait = wait, .terminal = isatty(fileno(cli->talk)) != 0};
	Sluice__V1__WaitForResponse *response = NULL;
	bool answered = wait_slices(&p, &response);
	clear(&p);
	if (ret_response != NULL) {
		*ret_response = answered ? response : NULL;
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

static int tell_content(struct cli *cli, const char *app, const char *version)
{
	Sluice__V1__GetVersionRequest request = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	Sluice__V1__GetVersionResponse *response = NULL;
	request.workspace = cli->workspace;
	request.app = cli_str(app);
	request.version = cli_str(version);
	if (!CLI_CALL(cli, get_version, &request, &response)) {
		return cli_fail(cli);
	}
	const Sluice__V1__Content *content = response->version->content;
	char reason[TEXT_SIZE];
	if (content == NULL) {
		return CLI_FAILED;
	}
	(void)cli_complain(
	    CLI_FAILED, "the content of %s %s cannot be had: %s%s%s: %s", app, version,
	    text_enum(reason, &sluice__v1__content_reason__descriptor, content->reason),
	    content->rule[0] != '\0' ? " " : "", content->rule, content->text);
	bool retries =
	    content->reason == SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE;
	if (retries) {
		(void)fputs(
		    "  it is tried again by itself; at once with: sluice repo refresh NAME\n",
		    stderr);
		return CLI_FAILED;
	}
	(void)fprintf(stderr, "  mend the repository, then run: sluice version set %s %s\n", app,
		      version);
	return CLI_FAILED;
}

int cli_wait_content(struct cli *cli, const char *app, const char *version)
{
	const struct cli_wait wait = {.condition =
					  SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONTENT,
				      .app = app,
				      .version = version};
	struct progress p = {.cli = cli, .wait = &wait, .terminal = isatty(fileno(cli->talk)) != 0};
	Sluice__V1__WaitForResponse *response = NULL;
	bool answered = wait_slices(&p, &response);
	clear(&p);
	if (!answered) {
		return cli_fail(cli);
	}
	return response->done ? CLI_DONE : tell_content(cli, app, version);
}

/* sluice status, explain: what runs where, and why. */
#include <string.h>

#include "client/cli/commands.h"

enum { ENVIRONMENTS_MAX = 16 };

struct status_flags {
	const char *environment;
};
static const struct sl_flag status_flags[] = {
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct status_flags, environment),
     .max = 64,
     .help = "Only this environment."},
    {.name = NULL},
};

static enum text_color color_of(const Sluice__V1__EnvironmentStatus *e)
{
	if (e->failed > 0) {
		return TEXT_BAD;
	}
	if (e->instances == 0 || e->selected == NULL) {
		return TEXT_FAINT;
	}
	return e->ok == e->instances ? TEXT_GOOD : TEXT_BUSY;
}

static const char *symbol_of(const Sluice__V1__EnvironmentStatus *e)
{
	if (e->failed > 0) {
		return "✗";
	}
	if (e->instances == 0 || e->selected == NULL) {
		return "·";
	}
	return e->ok == e->instances ? "✓" : "…";
}

/* "✓ v2 3/3 pinned, 1 failed" */
static void put_cell(struct table *table, const Sluice__V1__EnvironmentStatus *e)
{
	char failed[32] = "";
	char away[32] = "";
	if (e->failed > 0) {
		(void)snprintf(failed, sizeof(failed), ", %u failed", e->failed);
	}
	if (e->unreachable > 0) {
		(void)snprintf(away, sizeof(away), ", %u away", e->unreachable);
	}
	table_put(table, color_of(e), "%s %s %u/%u%s%s%s", symbol_of(e), cli_ref(e->selected),
		  e->ok, e->instances, e->pinned ? " pinned" : "", failed, away);
}

/* What has nothing to do with versions, and must be seen all the same. */
static void say_concerns(const struct cli *cli, const Sluice__V1__GetStatusResponse *status)
{
	for (size_t i = 0; i < status->n_concerns; i++) {
		const Sluice__V1__InstanceConcern *concern = status->concerns[i];
		char at[TEXT_SIZE];
		for (size_t a = 0; a < concern->n_alerts; a++) {
			cli_paint(cli, TEXT_BAD, "! %s (%s)", concern->instance,
				  concern->environment);
			cli_say(cli, " %s: %s\n", text_time(at, concern->alerts[a]->last_at),
				concern->alerts[a]->text);
		}
		if (concern->n_alerts > 0) {
			cli_say(cli,
				"  more: sluice instance show %s; when that is settled: sluice "
				"instance clear %s\n",
				concern->instance, concern->instance);
		}
		if (concern->refused[0] != '\0') {
			cli_paint(cli, TEXT_BAD, "! %s (%s)", concern->instance,
				  concern->environment);
			cli_say(cli,
				" its agent does not believe the server, %llu times since it "
				"started: %s\n  what that means: SECURITY.md, \"When an agent "
				"refuses\"\n",
				(unsigned long long)concern->refusals, concern->refused);
		}
	}
}

static int overview(const struct cli *cli, const Sluice__V1__GetStatusResponse *status)
{
	const char *headings[ENVIRONMENTS_MAX + 3] = {"APP", "RELEASED"};
	size_t count = status->n_apps > 0 ? status->apps[0]->n_environments : 0;
	count = count < ENVIRONMENTS_MAX ? count : ENVIRONMENTS_MAX;
	for (size_t e = 0; e < count; e++) {
		headings[2 + e] = status->apps[0]->environments[e]->environment;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < status->n_apps; i++) {
		const Sluice__V1__AppStatus *app = status->apps[i];
		table_put(table, TEXT_STRONG, "%s", app->app);
		table_put(table, app->released != NULL ? TEXT_GOOD : TEXT_FAINT, "%s",
			  cli_ref(app->released));
		for (size_t e = 0; e < count; e++) {
			if (e < app->n_environments) {
				put_cell(table, app->environments[e]);
			} else {
				table_put(table, TEXT_FAINT, "-");
			}
		}
	}
	return cli_end_table(table);
}

static int environments(const struct cli *cli, const Sluice__V1__AppStatus *app)
{
	static const char *const headings[] = {"ENVIRONMENT", "RUNS",   "NEWEST", "VERSIONS", "OK",
					       "ON THE WAY",  "FAILED", "AWAY",   "ON DISK",  NULL};
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < app->n_environments; i++) {
		const Sluice__V1__EnvironmentStatus *e = app->environments[i];
		table_put(table, TEXT_STRONG, "%s", e->environment);
		table_put(table, color_of(e), "%s %s%s", symbol_of(e), cli_ref(e->selected),
			  e->pinned ? " pinned" : "");
		table_put(table, TEXT_PLAIN, "%s", cli_ref(e->newest));
		table_put(table, TEXT_PLAIN, "%u", e->versions);
		table_put(table, TEXT_PLAIN, "%u/%u", e->ok, e->instances);
		table_put(table, e->pending > 0 ? TEXT_BUSY : TEXT_PLAIN, "%u", e->pending);
		table_put(table, e->failed > 0 ? TEXT_BAD : TEXT_PLAIN, "%u", e->failed);
		table_put(table, e->unreachable > 0 ? TEXT_BUSY : TEXT_PLAIN, "%u", e->unreachable);
		table_put(table, TEXT_PLAIN, "%u", e->staged);
	}
	return cli_end_table(table);
}

/* "FETCHING 40 %" */
static const char *phase_text(char text[static TEXT_SIZE], const Sluice__V1__InstanceStatus *s)
{
	char phase[TEXT_SIZE];
	bool pulling = s->phase == SLUICE__V1__PHASE__PHASE_FETCHING ||
		       s->phase == SLUICE__V1__PHASE__PHASE_VERIFYING;
	(void)snprintf(text, TEXT_SIZE, pulling && s->percent > 0 ? "%s %u %%" : "%s",
		       text_enum(phase, &sluice__v1__phase__descriptor, (int)s->phase), s->percent);
	return text;
}

static enum text_color phase_color(const Sluice__V1__InstanceStatus *s)
{
	switch (s->phase) {
	case SLUICE__V1__PHASE__PHASE_HEALTHY:
	case SLUICE__V1__PHASE__PHASE_STAGED:
		return TEXT_GOOD;
	case SLUICE__V1__PHASE__PHASE_FAILED:
	case SLUICE__V1__PHASE__PHASE_ROLLED_BACK:
	case SLUICE__V1__PHASE__PHASE_DEGRADED:
	case SLUICE__V1__PHASE__PHASE_NOT_READY:
		return TEXT_BAD;
	default:
		return TEXT_BUSY;
	}
}

static const char *instance_symbol(const Sluice__V1__InstanceStatus *s)
{
	if (s->liveness != SLUICE__V1__LIVENESS__LIVENESS_ONLINE &&
	    s->liveness != SLUICE__V1__LIVENESS__LIVENESS_LATE) {
		return "?";
	}
	if (s->converged) {
		return "✓";
	}
	return phase_color(s) == TEXT_BAD ? "✗" : "…";
}

static const char *work_mark(const Sluice__V1__WorkingCopy *copy)
{
	if (copy == NULL || copy->edited == 0) {
		return copy != NULL && copy->behind ? "behind" : "";
	}
	return copy->behind ? "edited, behind" : "edited";
}

/* What is overridden there is no error, and nobody is to be surprised by it. */
static bool is_overridden(const Sluice__V1__InstanceStatus *s)
{
	return s->config != NULL && s->config->override_count > 0;
}

/* The agent's own word, else why it was not sent the values of its config. */
static const char *error_of(const Sluice__V1__InstanceStatus *s)
{
	bool silent = s->error[0] == '\0' && s->config != NULL;
	return silent ? s->config->error : s->error;
}

static int instances(const struct cli *cli, const Sluice__V1__GetStatusResponse *status)
{
	static const char *const headings[] = {
	    "INSTANCE", "ENVIRONMENT", "AGENT", "WANTED", "SERVES", "PHASE", "MARK", "ERROR", NULL};
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < status->n_instances; i++) {
		const Sluice__V1__InstanceStatus *s = status->instances[i];
		bool online = s->liveness == SLUICE__V1__LIVENESS__LIVENESS_ONLINE;
		char text[TEXT_SIZE];
		table_put(table, TEXT_STRONG, "%s %s", instance_symbol(s), s->instance);
		table_put(table, TEXT_PLAIN, "%s", s->environment);
		table_put(table, online ? TEXT_GOOD : TEXT_BAD, "%s",
			  text_enum(text, &sluice__v1__liveness__descriptor, (int)s->liveness));
		table_put(table, TEXT_PLAIN, "%s", cli_ref(s->desired));
		table_put(table, s->converged ? TEXT_GOOD : TEXT_BUSY, "%s", cli_ref(s->active));
		table_put(table, phase_color(s), "%s", phase_text(text, s));
		bool modified = s->drift != NULL && s->drift->modified > 0;
		table_put(table, TEXT_BUSY, "%s%s%s%s%s%s", s->paused ? "paused " : "",
			  s->orphaned ? "orphaned " : "", s->update != NULL ? "update " : "",
			  modified ? "MODIFIED " : "", is_overridden(s) ? "overridden " : "",
			  work_mark(s->working_copy));
		table_put(table, TEXT_BAD, "%s", error_of(s));
	}
	return cli_end_table(table);
}

static int detail(const struct cli *cli, const Sluice__V1__GetStatusResponse *status)
{
	for (size_t i = 0; i < status->n_apps; i++) {
		const Sluice__V1__AppStatus *app = status->apps[i];
		cli_paint(cli, TEXT_STRONG, "%s", app->app);
		cli_say(cli, ": %s%s\n",
			app->released != NULL ? "released is " : "nothing is released",
			app->released != NULL ? cli_ref(app->released) : "");
		for (size_t u = 0; u < app->n_share_urls; u++) {
			cli_say(cli, "  %s\n", app->share_urls[u]);
		}
		if (app->lease != NULL) {
			cli_say(cli, "  written by %s, for %s\n", app->lease->instance,
				app->lease->by);
		}
		int code = environments(cli, app);
		if (code != CLI_DONE) {
			return code;
		}
	}
	if (status->n_instances > 0) {
		cli_say(cli, "\n");
	}
	return instances(cli, status);
}

static int status_run(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct status_flags *flags = config;
	Sluice__V1__GetStatusRequest request = SLUICE__V1__GET_STATUS_REQUEST__INIT;
	cli->app = args->count > 0 ? args->items[0] : NULL;
	request.workspace = cli->workspace;
	request.app = cli_str(cli->app != NULL ? cli->app : "");
	request.environment = cli_str(flags->environment);
	request.with_instances = cli->app != NULL;
	const Sluice__V1__GetStatusResponse *status =
	    cli_list(cli, SLUICE_RPC_GetStatus, &request.base);
	if (status == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &status->base)) {
		return CLI_DONE;
	}
	bool whole = cli->app == NULL || cli->output == CLI_NAME;
	int code = whole ? overview(cli, status) : detail(cli, status);
	if (code == CLI_DONE && cli->output == CLI_TABLE) {
		say_concerns(cli, status);
	}
	return code;
}

static int explain_run(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__ExplainRequest request = SLUICE__V1__EXPLAIN_REQUEST__INIT;
	Sluice__V1__ExplainResponse *response = NULL;
	static const char *const headings[] = {" ", "LINK", "FOUND", NULL};
	cli->app = args->items[1];
	request.workspace = cli->workspace;
	request.instance = cli_str(args->items[0]);
	request.app = cli_str(args->items[1]);
	if (!CLI_CALL(cli, explain, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed(cli, &response->base,
			response->status != NULL ? cli_ref(response->status->active) : "-")) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < response->n_steps; i++) {
		const Sluice__V1__ExplainStep *step = response->steps[i];
		table_put(table, step->ok ? TEXT_GOOD : TEXT_BAD, "%s", step->ok ? "✓" : "✗");
		table_put(table, TEXT_STRONG, "%s", step->subject);
		table_put(table, TEXT_PLAIN, "%s", step->text);
	}
	int code = cli_end_table(table);
	cli_say(cli, "%s\n", response->conclusion);
	if (response->advice[0] != '\0') {
		cli_say(cli, "%s\n", response->advice);
	}
	return code;
}

const struct cli_command cli_cmd_status = {
    .about =
	{.name = "status",
	 .synopsis = "[APP]",
	 .summary = "Show what runs where: apps, environments and, of one app, instances",
	 .description =
	     "The signs: ✓ all serve it, … on the way, ✗ something failed, ? the "
	     "agent is not connected, · nothing to run. Below, with !: instances with alerts, and "
	     "those whose agents refuse what the server says.",
	 .args_max = 1,
	 .flags = status_flags},
    .run = status_run,
    .config_size = sizeof(struct status_flags),
};
const struct cli_command cli_cmd_explain = {
    .about = {.name = "explain",
	      .synopsis = "INSTANCE APP",
	      .summary = "Say why an instance runs, or does not run, a version",
	      .args_min = 2,
	      .args_max = 2},
    .run = explain_run,
};

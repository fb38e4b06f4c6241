/* sluice instance: running deployments. */
#include <string.h>

#include "base/clock/clock.h"
#include "client/cli/commands.h"
#include "client/cli/instance.h"
#include "client/cli/invite.h"

struct add_flags {
	const char *environment, *url, *pull, *drift;
	uint64_t ttl_ms;
	struct sl_flag_list labels;
};
#define ADD(field) offsetof(struct add_flags, field)
static const struct sl_flag add_flags[] = {
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = ADD(environment),
     .max = 64,
     .required = true,
     .help = "Its environment, for life."},
    {.name = "url",
     .kind = SL_FLAG_TEXT,
     .offset = ADD(url),
     .max = 1023,
     .placeholder = "URL",
     .help = "Where users reach it, without a slash at the end."},
    {.name = "label",
     .kind = SL_FLAG_PAIRS,
     .offset = ADD(labels),
     .max = 200,
     .help = "What placements of apps match; may be repeated."},
    INSTANCE_PULL_FLAG(
	struct add_flags, pull, .fallback = "auto",
	.help = "auto: it fetches by itself what it is told to have. manual: each step waits "
		"for `sluice pull`."),
    INSTANCE_DRIFT_FLAG(struct add_flags, drift, .fallback = "report",
			.help = "About files that are changed there: report says so, correct puts "
				"them back."),
    CLI_TTL_FLAG(struct add_flags, ttl_ms),
    {.name = NULL},
};

struct ls_flags {
	const char *environment;
	struct sl_flag_list labels;
};
static const struct sl_flag ls_flags[] = {
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct ls_flags, environment),
     .max = 64,
     .help = "Only of this environment."},
    {.name = "label",
     .kind = SL_FLAG_PAIRS,
     .offset = offsetof(struct ls_flags, labels),
     .max = 200,
     .help = "Only with this label; may be repeated."},
    {.name = NULL},
};

struct retry_flags {
	const char *app;
};
static const struct sl_flag retry_flags[] = {
    {.name = "app",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct retry_flags, app),
     .max = 64,
     .help = "Only this app; without it all that ended."},
    {.name = NULL},
};

static enum text_color live_color(Sluice__V1__Liveness liveness)
{
	switch (liveness) {
	case SLUICE__V1__LIVENESS__LIVENESS_ONLINE:
		return TEXT_GOOD;
	case SLUICE__V1__LIVENESS__LIVENESS_LATE:
		return TEXT_BUSY;
	case SLUICE__V1__LIVENESS__LIVENESS_OFFLINE:
		return TEXT_BAD;
	default:
		return TEXT_FAINT;
	}
}

static int add(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct add_flags *flags = config;
	Sluice__V1__RegisterInstanceRequest request = SLUICE__V1__REGISTER_INSTANCE_REQUEST__INIT;
	Sluice__V1__RegisterInstanceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(args->items[0]);
	request.environment = cli_str(flags->environment);
	request.public_url = cli_str(flags->url);
	request.pull = instance_pull_mode(flags->pull);
	request.drift = instance_drift_policy(flags->drift);
	request.n_labels = flags->labels.count;
	request.labels = cli_pairs(
	    cli, &flags->labels, &sluice__v1__register_instance_request__labels_entry__descriptor);
	if (!CLI_CALL(cli, register_instance, &request, &response)) {
		return cli_fail(cli);
	}
	bool printed = cli_printed(cli, &response->base, response->instance->name);
	if (!printed && cli->secure) {
		return cli_invite(cli, response->instance->name, flags->ttl_ms);
	}
	if (!printed) {
		cli_say(cli,
			"instance %s is registered in %s; on its host run: sluice-agent --server "
			"%s --instance %s --state DIR\n",
			response->instance->name, response->instance->environment, cli->server,
			response->instance->name);
	}
	return CLI_DONE;
}

static void put_labels(struct table *table, const Sluice__V1__Instance *in)
{
	char text[400] = "";
	size_t used = 0;
	for (size_t i = 0; i < in->n_labels && used < sizeof(text); i++) {
		int more = snprintf(text + used, sizeof(text) - used, "%s%s=%s", i > 0 ? "," : "",
				    in->labels[i]->key, in->labels[i]->value);
		used += more > 0 ? (size_t)more : 0;
	}
	table_put(table, TEXT_PLAIN, "%s", text);
}

static void put_row(struct table *table, const Sluice__V1__Instance *in)
{
	const Sluice__V1__AgentView *agent = in->agent;
	Sluice__V1__Liveness liveness =
	    agent != NULL ? agent->liveness : SLUICE__V1__LIVENESS__LIVENESS_NEVER;
	char text[TEXT_SIZE];
	table_put(table, TEXT_STRONG, "%s", in->name);
	table_put(table, TEXT_PLAIN, "%s", in->environment);
	table_put(table, live_color(liveness), "%s%s",
		  text_enum(text, &sluice__v1__liveness__descriptor, (int)liveness),
		  in->paused ? ", paused" : "");
	table_put(table, TEXT_PLAIN, "%s",
		  text_age(text, agent != NULL ? agent->last_seen_at : NULL, sl_clock_unix_ms()));
	table_put(table, TEXT_PLAIN, "%s", agent != NULL ? agent->agent_version : "");
	put_labels(table, in);
	table_put(table, TEXT_PLAIN, "%s", in->public_url);
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args;
	static const char *const headings[] = {"NAME",    "ENVIRONMENT", "AGENT", "SEEN",
					       "VERSION", "LABELS",      "URL",   NULL};
	const struct ls_flags *flags = config;
	Sluice__V1__ListInstancesRequest request = SLUICE__V1__LIST_INSTANCES_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.environment = cli_str(flags->environment);
	request.n_labels = flags->labels.count;
	request.labels = cli_pairs(cli, &flags->labels,
				   &sluice__v1__list_instances_request__labels_entry__descriptor);
	const Sluice__V1__ListInstancesResponse *list =
	    cli_list(cli, SLUICE_RPC_ListInstances, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_instances; i++) {
		put_row(table, list->instances[i]);
	}
	return cli_end_table(table);
}

static int show(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__GetInstanceResponse *response = NULL;
	const Sluice__V1__Instance *in = instance_get(cli, args->items[0], &response);
	char text[TEXT_SIZE];
	if (in == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed(cli, &response->base, in->name)) {
		return CLI_DONE;
	}
	cli_fact(cli, "name", "%s", in->name);
	cli_fact(cli, "id", "%s", in->id);
	cli_fact(cli, "environment", "%s", in->environment);
	for (size_t i = 0; i < in->n_labels; i++) {
		cli_fact(cli, i == 0 ? "labels" : "", "%s=%s", in->labels[i]->key,
			 in->labels[i]->value);
	}
	cli_fact(cli, "url", "%s", in->public_url);
	cli_fact(cli, "paused", "%s", in->paused ? "yes: nothing new is activated there" : "no");
	cli_fact(cli, "pull", "%s", instance_pull_name(in));
	cli_fact(cli, "drift", "%s", instance_drift_name(in));
	cli_fact(cli, "registered", "%s by %s", text_time(text, in->created_at), in->created_by);
	if (in->identity != NULL) {
		cli_fact(cli, "identity", "%s%s", in->identity->id,
			 in->identity->revoked_at != NULL ? ", revoked" : "");
		cli_fact(cli, "certificate", "until %s, renewed %llu times",
			 text_time(text, in->identity->certificate_expires_at),
			 (unsigned long long)in->identity->renewals);
	}
	for (size_t i = 0; i < in->n_alerts; i++) {
		cli_fact(cli, "alert", "%s", in->alerts[i]->text);
	}
	for (size_t i = 0; i < response->n_leases; i++) {
		cli_fact(cli, i == 0 ? "writes on" : "", "%s until %s", response->leases[i]->app,
			 text_time(text, response->leases[i]->expires_at));
	}
	if (in->agent != NULL) {
		cli_fact(
		    cli, "agent", "%s",
		    text_enum(text, &sluice__v1__liveness__descriptor, (int)in->agent->liveness));
		cli_fact(cli, "seen", "%s", text_time(text, in->agent->last_seen_at));
		cli_fact(cli, "program", "%s", in->agent->agent_version);
		cli_fact(cli, "dials from", "%s", in->agent->peer);
		cli_fact(cli, "manifest", "%llu", (unsigned long long)in->agent->sequence);
		if (in->agent->key_epoch != 0) {
			cli_fact(cli, "manifest key", "epoch %u", (unsigned)in->agent->key_epoch);
		}
		if (in->agent->refusals != 0) {
			cli_fact(cli, "refused", "%llu manifests or keys",
				 (unsigned long long)in->agent->refusals);
		}
		cli_fact(cli, "last error", "%s", in->agent->last_error);
	}
	return CLI_DONE;
}

static int tell(const struct cli *cli, const ProtobufCMessage *message,
		const Sluice__V1__Instance *in, const char *done)
{
	if (!cli_printed(cli, message, in->name)) {
		cli_say(cli, "instance %s %s\n", in->name, done);
	}
	return CLI_DONE;
}

static int pause_instance(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__PauseInstanceRequest request = SLUICE__V1__PAUSE_INSTANCE_REQUEST__INIT;
	Sluice__V1__PauseInstanceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.instance = cli_str(args->items[0]);
	if (!CLI_CALL(cli, pause_instance, &request, &response)) {
		return cli_fail(cli);
	}
	return tell(cli, &response->base, response->instance,
		    "is paused: nothing new is activated there");
}

static int resume_instance(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__ResumeInstanceRequest request = SLUICE__V1__RESUME_INSTANCE_REQUEST__INIT;
	Sluice__V1__ResumeInstanceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.instance = cli_str(args->items[0]);
	if (!CLI_CALL(cli, resume_instance, &request, &response)) {
		return cli_fail(cli);
	}
	return tell(cli, &response->base, response->instance, "goes on");
}

static int retry_instance(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct retry_flags *flags = config;
	Sluice__V1__RetryInstanceRequest request = SLUICE__V1__RETRY_INSTANCE_REQUEST__INIT;
	Sluice__V1__RetryInstanceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.instance = cli_str(args->items[0]);
	request.app = cli_str(flags->app);
	if (!CLI_CALL(cli, retry_instance, &request, &response)) {
		return cli_fail(cli);
	}
	return tell(cli, &response->base, response->instance, "tries again");
}

static int rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__RemoveInstanceRequest request = SLUICE__V1__REMOVE_INSTANCE_REQUEST__INIT;
	Sluice__V1__RemoveInstanceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.instance = cli_str(args->items[0]);
	enum cli_exit go =
	    cli_confirm(cli, "Remove instance %s (its agent keeps serving and stops dialling)?",
			args->items[0]);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, remove_instance, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli, "instance %s is removed; its agent keeps serving and stops dialling\n",
			args->items[0]);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_instance_add = {
    .about = {.name = "instance add",
	      .synopsis = "NAME --env ENV > join.json",
	      .summary = "Register an instance; with TLS print its agent's join file",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = add_flags,
	      .examples =
		  (const struct sl_example[]){{"sluice instance add prod-1 --env production --url "
					       "https://www.example.org --label zone=eu",
					       "One that users reach."},
					      {NULL, NULL}}},
    .run = add,
    .config_size = sizeof(struct add_flags),
};
const struct cli_command cli_cmd_instance_ls = {
    .about = {.name = "instance ls",
	      .synopsis = "",
	      .summary = "List the instances and their agents",
	      .flags = ls_flags},
    .run = ls,
    .config_size = sizeof(struct ls_flags),
};
const struct cli_command cli_cmd_instance_show = {
    .about = {.name = "instance show",
	      .synopsis = "NAME",
	      .summary = "Show an instance and its agent",
	      .args_min = 1,
	      .args_max = 1},
    .run = show,
};
const struct cli_command cli_cmd_instance_pause = {
    .about = {.name = "instance pause",
	      .synopsis = "NAME",
	      .summary = "Activate nothing new there until resumed",
	      .args_min = 1,
	      .args_max = 1},
    .run = pause_instance,
};
const struct cli_command cli_cmd_instance_resume = {
    .about = {.name = "instance resume",
	      .synopsis = "NAME",
	      .summary = "Lift the pause",
	      .args_min = 1,
	      .args_max = 1},
    .run = resume_instance,
};
const struct cli_command cli_cmd_instance_retry = {
    .about = {.name = "instance retry",
	      .synopsis = "NAME",
	      .summary = "Repeat attempts that ended FAILED or ROLLED_BACK",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = retry_flags},
    .run = retry_instance,
    .config_size = sizeof(struct retry_flags),
};
const struct cli_command cli_cmd_instance_rm = {
    .about = {.name = "instance rm",
	      .synopsis = "NAME",
	      .summary = "Remove an instance; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = rm,
};

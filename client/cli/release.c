/* sluice release, rollback: what users see. */
#include <string.h>

#include "client/cli/commands.h"

struct wait_flags {
	bool wait;
};
static const struct sl_flag release_flags[] = {
    {.name = "wait",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct wait_flags, wait),
     .help = "Wait until the instances that users reach serve it."},
    {.name = NULL},
};

struct rollback_flags {
	const char *to;
	bool wait;
};
static const struct sl_flag rollback_flags[] = {
    {.name = "to",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct rollback_flags, to),
     .max = 64,
     .placeholder = "V",
     .help = "A version that was released before; without it the previous release that is neither "
	     "blocked nor gone."},
    {.name = "wait",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct rollback_flags, wait),
     .help = "Wait until the instances that users reach serve it."},
    {.name = NULL},
};

static void tell_reach(const struct cli *cli, const Sluice__V1__ReleaseReach *reach)
{
	if (reach == NULL) {
		return;
	}
	cli_say(cli, "instances: %u ready, %u on the way, %u not connected\n", reach->ready,
		reach->not_ready, reach->unreachable);
	for (size_t i = 0; i < reach->n_share_urls; i++) {
		cli_say(cli, "  %s\n", reach->share_urls[i]);
	}
}

static int wait_for_users(struct cli *cli, const char *version)
{
	const Sluice__V1__Environment *environment = cli_environment(cli, NULL);
	if (environment == NULL) {
		return cli_fail(cli);
	}
	const struct cli_wait wait = {
	    .condition = SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONVERGED,
	    .app = cli->app,
	    .version = version,
	    .environment = environment->name,
	};
	return cli_wait(cli, &wait, NULL);
}

static int release(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct wait_flags *flags = config;
	const struct cli_plan wanted = {.action = SLUICE__V1__PLAN_ACTION__PLAN_ACTION_RELEASE,
					.app = args->items[0],
					.version = args->items[1]};
	Sluice__V1__Plan *plan = NULL;
	int code = cli_plan(cli, &wanted, &plan);
	if (code != CLI_DONE) {
		return code;
	}
	enum cli_exit go =
	    cli_confirm(cli, "Release %s %s to users?", plan->app, cli_ref(plan->version));
	if (go != CLI_DONE) {
		return go;
	}
	Sluice__V1__ReleaseRequest request = SLUICE__V1__RELEASE_REQUEST__INIT;
	Sluice__V1__ReleaseResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = plan->app_id;
	request.version = plan->version->id;
	request.plan_hash = plan->plan_hash;
	if (!CLI_CALL(cli, release, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli->output == CLI_TABLE) {
		cli_say(cli, "%s %s is released\n", response->release->app,
			cli_ref(response->release->version));
		tell_reach(cli, response->reach);
	}
	code = flags->wait ? wait_for_users(cli, plan->version->id) : CLI_DONE;
	(void)cli_printed(cli, &response->base, cli_ref(response->release->version));
	return code;
}

/* A rollback is planned to where the server would go; the act names that version, so that it
 * is the one that was shown. */
static int rollback(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct rollback_flags *flags = config;
	const struct cli_plan wanted = {.action = SLUICE__V1__PLAN_ACTION__PLAN_ACTION_ROLLBACK,
					.app = args->items[0],
					.version = flags->to};
	Sluice__V1__Plan *plan = NULL;
	int code = cli_plan(cli, &wanted, &plan);
	if (code != CLI_DONE) {
		return code;
	}
	enum cli_exit go =
	    cli_confirm(cli, "Roll %s back to %s?", plan->app, cli_ref(plan->version));
	if (go != CLI_DONE) {
		return go;
	}
	Sluice__V1__RollbackRequest request = SLUICE__V1__ROLLBACK_REQUEST__INIT;
	Sluice__V1__RollbackResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = plan->app_id;
	request.to = cli_str(flags->to);
	request.plan_hash = plan->plan_hash;
	if (!CLI_CALL(cli, rollback, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli->output == CLI_TABLE) {
		cli_say(cli,
			"%s is rolled back from %s to %s; its configuration is not rolled back\n",
			response->release->app, cli_ref(response->from),
			cli_ref(response->release->version));
		tell_reach(cli, response->reach);
	}
	code = flags->wait ? wait_for_users(cli, plan->version->id) : CLI_DONE;
	(void)cli_printed(cli, &response->base, cli_ref(response->release->version));
	return code;
}

static int history(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	static const char *const headings[] = {"REVISION", "AT", "WHAT",   "FROM",
					       "TO",       "BY", "REASON", NULL};
	Sluice__V1__ListReleaseHistoryRequest request =
	    SLUICE__V1__LIST_RELEASE_HISTORY_REQUEST__INIT;
	cli->app = args->items[0];
	request.workspace = cli->workspace;
	request.app = cli_str(cli->app);
	const Sluice__V1__ListReleaseHistoryResponse *list =
	    cli_list(cli, SLUICE_RPC_ListReleaseHistory, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_changes; i++) {
		const Sluice__V1__ReleaseChange *c = list->changes[i];
		char text[TEXT_SIZE];
		table_put(table, TEXT_PLAIN, "%llu", (unsigned long long)c->revision);
		table_put(table, TEXT_PLAIN, "%s", text_time(text, c->at));
		table_put(
		    table, TEXT_STRONG, "%s",
		    text_enum(text, &sluice__v1__release_change_kind__descriptor, (int)c->kind));
		table_put(table, TEXT_PLAIN, "%s", cli_ref(c->from));
		table_put(table, TEXT_PLAIN, "%s", cli_ref(c->to));
		table_put(table, TEXT_PLAIN, "%s", c->by);
		table_put(table, TEXT_PLAIN, "%s", c->reason);
	}
	return cli_end_table(table);
}

static int withdraw(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__WithdrawReleaseRequest request = SLUICE__V1__WITHDRAW_RELEASE_REQUEST__INIT;
	Sluice__V1__WithdrawReleaseResponse *response = NULL;
	cli->app = args->items[0];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	enum cli_exit go =
	    cli_confirm(cli, "Withdraw the release of %s: users will see nothing?", cli->app);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, withdraw_release, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, cli_ref(response->withdrawn))) {
		cli_say(cli, "%s: the release of %s is withdrawn\n", cli->app,
			cli_ref(response->withdrawn));
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_release = {
    .about = {.name = "release",
	      .synopsis = "APP V",
	      .summary = "Make a version in production the one that users see",
	      .description = "Shows the plan with all its gates, asks on a terminal unless --yes, "
			     "then acts on exactly that plan.",
	      .args_min = 2,
	      .args_max = 2,
	      .flags = release_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice release shop v2 --yes --wait",
		       "For a script: no question, and wait until users see it."},
		      {NULL, NULL}}},
    .run = release,
    .config_size = sizeof(struct wait_flags),
};
const struct cli_command cli_cmd_release_history = {
    .about = {.name = "release history",
	      .synopsis = "APP",
	      .summary = "List every change of what users see, newest first",
	      .args_min = 1,
	      .args_max = 1},
    .run = history,
};
const struct cli_command cli_cmd_release_withdraw = {
    .about = {.name = "release withdraw",
	      .synopsis = "APP",
	      .summary = "Release nothing: instances take the app down; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = withdraw,
};
const struct cli_command cli_cmd_rollback = {
    .about = {.name = "rollback",
	      .synopsis = "APP",
	      .summary =
		  "Go back to the previous release, or to a version that was released before",
	      .description = "Shows the plan with all its gates, asks on a terminal unless --yes, "
			     "then acts on exactly that plan.",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = rollback_flags,
	      .examples = (const struct sl_example[]){{"sluice rollback shop --wait",
						       "Back to what users saw before."},
						      {NULL, NULL}}},
    .run = rollback,
    .config_size = sizeof(struct rollback_flags),
};

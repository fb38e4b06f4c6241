/* sluice updates, pull: what an instance has yet to fetch, and the word that it may. */
#include "base/clock/clock.h"
#include "client/cli/commands.h"

struct pull_flags {
	const char *version;
	bool wait;
};
static const struct sl_flag pull_flags[] = {
    {.name = "version",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct pull_flags, version),
     .max = 64,
     .placeholder = "V",
     .help = "This version, of those that the instance is told to have; without it the one that "
	     "`sluice updates` shows."},
    {.name = "wait",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct pull_flags, wait),
     .help = "Wait until the instance has it on disk, verified."},
    {.name = NULL},
};

struct updates_flags {
	const char *app;
};
static const struct sl_flag updates_flags[] = {
    {.name = "app",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct updates_flags, app),
     .max = 64,
     .help = "Instead: the commits of this app's branch that belong to no version yet."},
    {.name = NULL},
};

static void put_step(struct table *table, const Sluice__V1__Update *update)
{
	char text[TEXT_SIZE];
	table_put(table, TEXT_STRONG, "%s", update->app);
	table_put(table, TEXT_PLAIN, "%s", cli_ref(update->from));
	table_put(table, TEXT_PLAIN, "%s", cli_ref(update->to));
	table_put(table, TEXT_PLAIN, "%.12s", update->commit);
	table_put(table, TEXT_PLAIN, "%s", text_bytes(text, update->bytes));
	table_put(table, update->held ? TEXT_BUSY : TEXT_GOOD, "%s",
		  update->held ? "waits for sluice pull" : "may be fetched");
}

static int list_steps(struct cli *cli)
{
	static const char *const headings[] = {"APP",   "SERVES", "UPDATE", "COMMIT",
					       "BYTES", "STATE",  NULL};
	Sluice__V1__ListUpdatesRequest request = SLUICE__V1__LIST_UPDATES_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.instance = cli_str(cli->instance);
	const Sluice__V1__ListUpdatesResponse *list =
	    cli_list(cli, SLUICE_RPC_ListUpdates, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	if (list->n_updates == 0 && cli->output == CLI_TABLE) {
		cli_say(cli, "instance %s has all that it is told to have\n", cli->instance);
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_updates; i++) {
		put_step(table, list->updates[i]);
	}
	return cli_end_table(table);
}

static int list_commits(const struct cli *cli, Sluice__V1__CommitInfo *const *commits, size_t count,
			bool cut)
{
	static const char *const headings[] = {"COMMIT", "WHEN",    "AUTHOR",
					       "FILES",  "MESSAGE", NULL};
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < count; i++) {
		char text[TEXT_SIZE];
		table_put(table, TEXT_STRONG, "%.12s", commits[i]->commit);
		table_put(table, TEXT_PLAIN, "%s", text_time(text, commits[i]->at));
		table_put(table, TEXT_PLAIN, "%s", commits[i]->author);
		table_put(table, TEXT_PLAIN, "%llu", (unsigned long long)commits[i]->files);
		table_put(table, TEXT_PLAIN, "%s", commits[i]->message);
	}
	int code = cli_end_table(table);
	if (cut && cli->output == CLI_TABLE) {
		cli_say(cli, "and more\n");
	}
	return code;
}

/* The step of one app; NULL with *ret_response unset: cli->error says why. */
static const Sluice__V1__Update *find_step(struct cli *cli,
					   Sluice__V1__CheckForUpdatesResponse **ret_response)
{
	Sluice__V1__CheckForUpdatesRequest request = SLUICE__V1__CHECK_FOR_UPDATES_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.instance = cli_str(cli->instance);
	request.app = cli_str(cli->app);
	return CLI_CALL(cli, check_for_updates, &request, ret_response) ? (*ret_response)->update
									: NULL;
}

static int say_none(const struct cli *cli)
{
	cli_say(cli, "instance %s has what it is told to have of %s\n", cli->instance, cli->app);
	return CLI_DONE;
}

static int show_step(struct cli *cli)
{
	Sluice__V1__CheckForUpdatesResponse *response = NULL;
	const Sluice__V1__Update *update = find_step(cli, &response);
	if (response == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &response->base)) {
		return CLI_DONE;
	}
	if (update == NULL) {
		return say_none(cli);
	}
	if (cli->output == CLI_TABLE) {
		cli_say(cli, "%s: %s -> %s, %s\n", update->app, cli_ref(update->from),
			cli_ref(update->to),
			update->held ? "waits for sluice pull" : "may be fetched");
	}
	if (response->failure[0] != '\0') {
		return cli_complain(CLI_FAILED, "its commits cannot be listed: %s",
				    response->failure);
	}
	return list_commits(cli, response->commits, response->n_commits, response->cut);
}

static int show_branch(struct cli *cli, const char *app)
{
	Sluice__V1__ListNewCommitsRequest request = SLUICE__V1__LIST_NEW_COMMITS_REQUEST__INIT;
	Sluice__V1__ListNewCommitsResponse *response = NULL;
	cli->app = app;
	request.workspace = cli->workspace;
	request.app = cli_str(app);
	if (!CLI_CALL(cli, list_new_commits, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &response->base)) {
		return CLI_DONE;
	}
	if (cli->output == CLI_TABLE) {
		cli_say(cli, "%s: %s%zu new commits on %s, which is at %.12s\n", app,
			response->cut ? "more than " : "", response->n_commits, response->ref,
			response->tip);
	}
	return list_commits(cli, response->commits, response->n_commits, response->cut);
}

static int updates_run(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct updates_flags *flags = config;
	if ((args->count == 0) == (flags->app[0] == '\0')) {
		return cli_complain(CLI_USAGE, "updates takes either an instance or --app");
	}
	if (args->count == 0) {
		return show_branch(cli, flags->app);
	}
	cli->instance = args->items[0];
	cli->app = args->count > 1 ? args->items[1] : NULL;
	return cli->app != NULL ? show_step(cli) : list_steps(cli);
}

/* What is pulled is the step that was seen: not what came in between. */
static int pull_run(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct pull_flags *flags = config;
	Sluice__V1__CheckForUpdatesResponse *seen = NULL;
	Sluice__V1__PullRequest request = SLUICE__V1__PULL_REQUEST__INIT;
	Sluice__V1__PullResponse *response = NULL;
	cli->instance = args->items[0];
	cli->app = args->items[1];
	request.version = cli_str(flags->version);
	if (flags->version[0] == '\0') {
		const Sluice__V1__Update *update = find_step(cli, &seen);
		if (seen == NULL) {
			return cli_fail(cli);
		}
		if (update == NULL) {
			return cli_printed(cli, &seen->base, NULL) ? CLI_DONE : say_none(cli);
		}
		request.version = update->to->id;
		request.commit = update->commit;
	}
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.instance = cli_str(cli->instance);
	request.app = cli_str(cli->app);
	if (!CLI_CALL(cli, pull, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, cli_ref(response->version))) {
		cli_say(cli, "instance %s may fetch %s of %s\n", cli->instance,
			cli_ref(response->version), cli->app);
	}
	const struct cli_wait wait = {.condition =
					  SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED,
				      .app = cli->app,
				      .version = response->version->id,
				      .environment = response->instance->environment,
				      .instance = response->instance->id,
				      .all = true};
	return flags->wait ? cli_wait(cli, &wait, NULL) : CLI_DONE;
}

const struct cli_command cli_cmd_updates = {
    .about =
	{.name = "updates",
	 .synopsis = "INSTANCE [APP] | --app APP",
	 .summary =
	     "List what an instance has yet to fetch; of one app with its commits; or what is "
	     "new on its branch",
	 .description =
	     "An update is the step from the version that the instance serves to one that it is "
	     "told to have. A MANUAL instance fetches it after sluice pull.",
	 .args_max = 2,
	 .flags = updates_flags},
    .run = updates_run,
    .config_size = sizeof(struct updates_flags),
};
const struct cli_command cli_cmd_pull = {
    .about = {.name = "pull",
	      .synopsis = "INSTANCE APP",
	      .summary = "Let a MANUAL instance fetch its next step",
	      .description = "Just the step that is pending now: a version that is promoted "
			     "meanwhile or later waits for a pull of its own.",
	      .args_min = 2,
	      .args_max = 2,
	      .flags = pull_flags},
    .run = pull_run,
    .config_size = sizeof(struct pull_flags),
};

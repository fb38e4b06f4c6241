/* sluice repo owed, retry, drop: what is owed to a repository's host. */
#include "base/clock/clock.h"
#include "client/cli/commands.h"

static const char *state_text(const Sluice__V1__OwedItem *item)
{
	if (item->parked) {
		return "refused";
	}
	return item->attempts > 0 ? "tried again" : "waits";
}

static void put_row(struct table *table, const Sluice__V1__OwedItem *item)
{
	char text[TEXT_SIZE];
	table_put(table, TEXT_STRONG, "%s", item->id);
	table_put(table, TEXT_PLAIN, "%s",
		  text_enum(text, &sluice__v1__owed_kind__descriptor, (int)item->kind));
	table_put(table, TEXT_PLAIN, "%s", item->app);
	table_put(table, item->parked ? TEXT_BAD : TEXT_PLAIN, "%s", state_text(item));
	table_put(table, TEXT_PLAIN, "%u", item->attempts);
	table_put(table, TEXT_PLAIN, "%s", item->failure[0] != '\0' ? item->failure : "-");
	table_put(table, TEXT_PLAIN, "%s", item->text);
}

static int owed(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	static const char *const headings[] = {"ID",    "KIND",    "APP",  "STATE",
					       "TRIES", "FAILURE", "WHAT", NULL};
	Sluice__V1__ListOwedRequest request = SLUICE__V1__LIST_OWED_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.repository = cli_str(args->items[0]);
	const Sluice__V1__ListOwedResponse *list =
	    cli_list(cli, SLUICE_RPC_ListOwed, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_items; i++) {
		put_row(table, list->items[i]);
	}
	return cli_end_table(table);
}

static int retry(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__RetryOwedRequest request = SLUICE__V1__RETRY_OWED_REQUEST__INIT;
	Sluice__V1__RetryOwedResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.repository = cli_str(args->items[0]);
	request.owed = cli_str(args->items[1]);
	if (!CLI_CALL(cli, retry_owed, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[1])) {
		cli_say(cli, "%s is tried now\n", args->items[1]);
	}
	return CLI_DONE;
}

static int drop(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__DropOwedRequest request = SLUICE__V1__DROP_OWED_REQUEST__INIT;
	Sluice__V1__DropOwedResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.repository = cli_str(args->items[0]);
	request.owed = cli_str(args->items[1]);
	enum cli_exit go =
	    cli_confirm(cli, "Give up commit %s (it will never be made)?", args->items[1]);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, drop_owed, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[1])) {
		cli_say(cli, "%s is no longer owed\n", args->items[1]);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_repo_owed = {
    .about = {.name = "repo owed",
	      .synopsis = "NAME",
	      .summary = "List what is owed to a repository's host: tags, and commits in order",
	      .args_min = 1,
	      .args_max = 1},
    .run = owed,
};
const struct cli_command cli_cmd_repo_retry = {
    .about = {.name = "repo retry",
	      .synopsis = "NAME ID",
	      .summary = "Try something now that is owed and was refused",
	      .args_min = 2,
	      .args_max = 2},
    .run = retry,
};
const struct cli_command cli_cmd_repo_drop = {
    .about = {.name = "repo drop",
	      .synopsis = "NAME ID",
	      .summary = "Give up a commit that is owed; asks first",
	      .args_min = 2,
	      .args_max = 2},
    .run = drop,
};

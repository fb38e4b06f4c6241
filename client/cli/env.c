/* sluice env: the fixed steps of the path to users. */
#include <string.h>

#include "client/cli/commands.h"

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	static const char *const headings[] = {"NAME", "RANK", "ID", "SERVES USERS", NULL};
	Sluice__V1__ListEnvironmentsResponse *list = cli_environments(cli);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_environments; i++) {
		const Sluice__V1__Environment *e = list->environments[i];
		table_put(table, TEXT_STRONG, "%s", e->name);
		table_put(table, TEXT_PLAIN, "%u", e->rank);
		table_put(table, TEXT_FAINT, "%s", e->id);
		table_put(table, TEXT_PLAIN, "%s", e->serves_users ? "yes" : "no");
	}
	return cli_end_table(table);
}

Sluice__V1__ListEnvironmentsResponse *cli_environments(struct cli *cli)
{
	Sluice__V1__ListEnvironmentsRequest request = SLUICE__V1__LIST_ENVIRONMENTS_REQUEST__INIT;
	Sluice__V1__ListEnvironmentsResponse *response = NULL;
	request.workspace = cli->workspace;
	return CLI_CALL(cli, list_environments, &request, &response) ? response : NULL;
}

const Sluice__V1__Environment *cli_environment(struct cli *cli, const char *name)
{
	const Sluice__V1__ListEnvironmentsResponse *list = cli_environments(cli);
	for (size_t i = 0; list != NULL && i < list->n_environments; i++) {
		const Sluice__V1__Environment *e = list->environments[i];
		bool found = name != NULL ? strcmp(e->name, name) == 0 || strcmp(e->id, name) == 0
					  : e->serves_users;
		if (found) {
			return e;
		}
	}
	return NULL;
}

const struct cli_command cli_cmd_env_ls = {
    .about = {.name = "env ls",
	      .synopsis = "",
	      .summary = "List the environments, in the order in which versions pass them"},
    .run = ls,
};

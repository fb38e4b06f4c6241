/* sluice env: the fixed steps of the path to users, and how strict their gates are. */
#include <string.h>

#include "client/cli/commands.h"

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	static const char *const headings[] = {"NAME",         "RANK",     "ID",
					       "SERVES USERS", "CONTRACT", NULL};
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
		char text[TEXT_SIZE];
		table_put(table, TEXT_STRONG, "%s", e->name);
		table_put(table, TEXT_PLAIN, "%u", e->rank);
		table_put(table, TEXT_FAINT, "%s", e->id);
		table_put(table, TEXT_PLAIN, "%s", e->serves_users ? "yes" : "no");
		table_put(table, TEXT_PLAIN, "%s",
			  text_enum(text, &sluice__v1__gate_strictness__descriptor,
				    e->policy != NULL ? (int)e->policy->contract : 0));
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

struct set_flags {
	const char *contract;
};
static const struct sl_flag set_flags[] = {
    {.name = "contract",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct set_flags, contract),
     .required = true,
     .choices = "warn|block",
     .help = "What its gate `contract` does when something is missing that a version requires."},
    {.name = NULL},
};

static int set(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct set_flags *flags = config;
	Sluice__V1__SetEnvironmentPolicyRequest request =
	    SLUICE__V1__SET_ENVIRONMENT_POLICY_REQUEST__INIT;
	Sluice__V1__SetEnvironmentPolicyResponse *response = NULL;
	cli->environment = args->items[0];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.environment = cli_str(args->items[0]);
	request.contract = strcmp(flags->contract, "block") == 0
			       ? SLUICE__V1__GATE_STRICTNESS__GATE_STRICTNESS_BLOCK
			       : SLUICE__V1__GATE_STRICTNESS__GATE_STRICTNESS_WARN;
	if (!CLI_CALL(cli, set_environment_policy, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli, "%s: contract %s\n", response->policy->environment, flags->contract);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_env_set = {
    .about = {.name = "env set",
	      .synopsis = "ENV --contract warn|block",
	      .summary = "Set how strict the gates of an environment are",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = set_flags},
    .run = set,
    .config_size = sizeof(struct set_flags),
};

/* sluice workspace: tenants. */
#include "base/clock/clock.h"
#include "client/cli/commands.h"

static int show(const struct cli *cli, const ProtobufCMessage *message,
		const Sluice__V1__Workspace *workspace, const char *done)
{
	if (!cli_printed(cli, message, workspace->name)) {
		cli_say(cli, "workspace %s %s\n", workspace->name, done);
	}
	return CLI_DONE;
}

static int add(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__CreateWorkspaceRequest request = SLUICE__V1__CREATE_WORKSPACE_REQUEST__INIT;
	Sluice__V1__CreateWorkspaceResponse *response = NULL;
	request.write = &cli->write;
	request.name = cli_str(args->items[0]);
	if (!CLI_CALL(cli, create_workspace, &request, &response)) {
		return cli_fail(cli);
	}
	return show(cli, &response->base, response->workspace, "is there");
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	static const char *const headings[] = {"NAME", "AGE", "BY", NULL};
	Sluice__V1__ListWorkspacesRequest request = SLUICE__V1__LIST_WORKSPACES_REQUEST__INIT;
	const Sluice__V1__ListWorkspacesResponse *list =
	    cli_list(cli, SLUICE_RPC_ListWorkspaces, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_workspaces; i++) {
		const Sluice__V1__Workspace *w = list->workspaces[i];
		char age[TEXT_SIZE];
		table_put(table, TEXT_STRONG, "%s", w->name);
		table_put(table, TEXT_PLAIN, "%s",
			  text_age(age, w->created_at, sl_clock_unix_ms()));
		table_put(table, TEXT_FAINT, "%s", w->created_by);
	}
	return cli_end_table(table);
}

static int rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__DeleteWorkspaceRequest request = SLUICE__V1__DELETE_WORKSPACE_REQUEST__INIT;
	Sluice__V1__DeleteWorkspaceResponse *response = NULL;
	request.workspace = cli_str(args->items[0]);
	request.write = &cli->write;
	enum cli_exit go = cli_confirm(cli, "Remove workspace %s?", args->items[0]);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, delete_workspace, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli, "workspace %s is removed\n", args->items[0]);
	}
	return CLI_DONE;
}

static int rotate_key(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	Sluice__V1__RotateWorkspaceKeyRequest request =
	    SLUICE__V1__ROTATE_WORKSPACE_KEY_REQUEST__INIT;
	Sluice__V1__RotateWorkspaceKeyResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	if (!CLI_CALL(cli, rotate_workspace_key, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, cli->workspace)) {
		cli_say(cli, "what is sealed in the workspace has a new key\n");
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_workspace_add = {
    .about = {.name = "workspace add",
	      .synopsis = "NAME",
	      .summary = "Make a workspace: a tenant with apps, versions and instances of its own",
	      .args_min = 1,
	      .args_max = 1},
    .run = add,
};
const struct cli_command cli_cmd_workspace_ls = {
    .about = {.name = "workspace ls", .synopsis = "", .summary = "List the workspaces"},
    .run = ls,
};
const struct cli_command cli_cmd_workspace_rm = {
    .about = {.name = "workspace rm",
	      .synopsis = "NAME",
	      .summary = "Remove a workspace that holds nothing any more; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = rm,
};
const struct cli_command cli_cmd_workspace_rekey = {
    .about = {.name = "workspace rekey",
	      .synopsis = "",
	      .summary = "Seal all credentials of the workspace with a new key"},
    .run = rotate_key,
};

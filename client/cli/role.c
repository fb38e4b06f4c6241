/* sluice role: named lists of rights. */
#include <string.h>

#include "client/cli/access.h"
#include "client/cli/commands.h"

struct role_flags {
	const char *description;
};
static const struct sl_flag role_flags[] = {
    {.name = "description",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct role_flags, description),
     .max = 200,
     .help = "For people."},
    {.name = NULL},
};

/* "verb[,verb]...[:PATTERN[:ENV]]". False: a word is no verb, which has been said. */
static bool read_right(struct cli *cli, const char *text, Sluice__V1__Right *right)
{
	char *verbs = sl_arena_strdup(&cli->arena, text), *rest = NULL;
	sluice__v1__right__init(right);
	right->verbs = SL_ARENA_ARRAY(&cli->arena, Sluice__V1__Verb, strlen(text) + 1);
	if (verbs == NULL || right->verbs == NULL) {
		return false;
	}
	char *apps = strchr(verbs, ':');
	char *environment = apps == NULL ? NULL : strchr(apps + 1, ':');
	if (environment != NULL) {
		*environment = '\0';
		right->environment = environment + 1;
	}
	if (apps != NULL) {
		*apps = '\0';
		right->apps = apps + 1;
	}
	for (char *verb = strtok_r(verbs, ",", &rest); verb != NULL;
	     verb = strtok_r(NULL, ",", &rest)) {
		right->verbs[right->n_verbs] = access_verb(verb);
		if (right->verbs[right->n_verbs++] == 0) {
			(void)cli_complain(
			    CLI_USAGE,
			    "'%s' is no verb: view, edit, promote, approve, release, "
			    "rollback, configure, reveal, manage-instances, "
			    "manage-freezes, override or administer",
			    verb);
			return false;
		}
	}
	return true;
}

static Sluice__V1__Right **read_rights(struct cli *cli, const struct sl_args *args,
				       size_t *ret_count)
{
	size_t count = args->count - 1;
	Sluice__V1__Right *rights = SL_ARENA_ARRAY(&cli->arena, Sluice__V1__Right, count);
	Sluice__V1__Right **list = SL_ARENA_ARRAY(&cli->arena, Sluice__V1__Right *, count);
	for (size_t i = 0; rights != NULL && list != NULL && i < count; i++) {
		if (!read_right(cli, args->items[i + 1], &rights[i])) {
			return NULL;
		}
		list[i] = &rights[i];
	}
	*ret_count = count;
	return list;
}

static const char *right_text(struct cli *cli, const Sluice__V1__Right *right)
{
	const char *text = "";
	char verb[TEXT_SIZE];
	for (size_t i = 0; i < right->n_verbs; i++) {
		text = sl_arena_printf(&cli->arena, "%s%s%s", text, i == 0 ? "" : ",",
				       access_verb_word(verb, right->verbs[i]));
	}
	bool all = strcmp(right->apps, "*") == 0;
	if (right->environment[0] != '\0') {
		return sl_arena_printf(&cli->arena, "%s:%s:%s", text, right->apps,
				       right->environment);
	}
	return all ? text : sl_arena_printf(&cli->arena, "%s:%s", text, right->apps);
}

static const char *rights_text(struct cli *cli, const Sluice__V1__Role *role)
{
	const char *text = "";
	for (size_t i = 0; i < role->n_rights; i++) {
		text = sl_arena_printf(&cli->arena, "%s%s%s", text, i == 0 ? "" : " ",
				       right_text(cli, role->rights[i]));
	}
	return text;
}

static int told(struct cli *cli, const ProtobufCMessage *message, const Sluice__V1__Role *role)
{
	if (!cli_printed(cli, message, role->name)) {
		cli_say(cli, "role %s: %s\n", role->name, rights_text(cli, role));
	}
	return CLI_DONE;
}

static int add(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct role_flags *flags = config;
	Sluice__V1__CreateRoleRequest request = SLUICE__V1__CREATE_ROLE_REQUEST__INIT;
	Sluice__V1__CreateRoleResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(args->items[0]);
	request.description = cli_str(flags->description);
	request.rights = read_rights(cli, args, &request.n_rights);
	if (request.rights == NULL) {
		return CLI_USAGE;
	}
	return CLI_CALL(cli, create_role, &request, &response)
		   ? told(cli, &response->base, response->role)
		   : cli_fail(cli);
}

static int set(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct role_flags *flags = config;
	Sluice__V1__UpdateRoleRequest request = SLUICE__V1__UPDATE_ROLE_REQUEST__INIT;
	Sluice__V1__UpdateRoleResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.role = cli_str(args->items[0]);
	request.description = cli_str(flags->description);
	request.rights = read_rights(cli, args, &request.n_rights);
	if (request.rights == NULL) {
		return CLI_USAGE;
	}
	return CLI_CALL(cli, update_role, &request, &response)
		   ? told(cli, &response->base, response->role)
		   : cli_fail(cli);
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	static const char *const headings[] = {"NAME", "KIND", "RIGHTS", NULL};
	Sluice__V1__ListRolesRequest request = SLUICE__V1__LIST_ROLES_REQUEST__INIT;
	request.workspace = cli->workspace;
	const Sluice__V1__ListRolesResponse *list =
	    cli_list(cli, SLUICE_RPC_ListRoles, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_roles; i++) {
		const Sluice__V1__Role *role = list->roles[i];
		table_put(table, TEXT_STRONG, "%s", role->name);
		table_put(table, TEXT_PLAIN, "%s", role->built_in ? "built in" : "own");
		table_put(table, TEXT_PLAIN, "%s", rights_text(cli, role));
	}
	return cli_end_table(table);
}

static int show(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__GetRoleRequest request = SLUICE__V1__GET_ROLE_REQUEST__INIT;
	Sluice__V1__GetRoleResponse *response = NULL;
	request.workspace = cli->workspace;
	request.role = cli_str(args->items[0]);
	if (!CLI_CALL(cli, get_role, &request, &response)) {
		return cli_fail(cli);
	}
	const Sluice__V1__Role *role = response->role;
	if (cli_printed(cli, &response->base, role->name)) {
		return CLI_DONE;
	}
	cli_fact(cli, "name", "%s", role->name);
	cli_fact(cli, "kind", "%s", role->built_in ? "built in" : "own");
	cli_fact(cli, "description", "%s", role->description);
	for (size_t i = 0; i < role->n_rights; i++) {
		cli_fact(cli, i == 0 ? "rights" : "", "%s", right_text(cli, role->rights[i]));
	}
	return CLI_DONE;
}

static int rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__DeleteRoleRequest request = SLUICE__V1__DELETE_ROLE_REQUEST__INIT;
	Sluice__V1__DeleteRoleResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.role = cli_str(args->items[0]);
	if (!CLI_CALL(cli, delete_role, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli, "role %s is removed\n", args->items[0]);
	}
	return CLI_DONE;
}

static const struct sl_example examples[] = {
    {"sluice role add shipper view release,rollback:'shop-*':production",
     "Sees everything; releases and rolls back the shop's apps."},
    {NULL, NULL}};

const struct cli_command cli_cmd_role_add = {
    .about = {.name = "role add",
	      .synopsis = "NAME VERB[,VERB]...[:PATTERN[:ENV]]...",
	      .summary = "Make a role of your own",
	      .flags = role_flags,
	      .examples = examples,
	      .args_min = 2,
	      .args_max = 51},
    .run = add,
    .config_size = sizeof(struct role_flags),
};
const struct cli_command cli_cmd_role_set = {
    .about = {.name = "role set",
	      .synopsis = "NAME VERB[,VERB]...[:PATTERN[:ENV]]...",
	      .summary = "Say anew what a role of your own may do, for all who have it",
	      .flags = role_flags,
	      .args_min = 2,
	      .args_max = 51},
    .run = set,
    .config_size = sizeof(struct role_flags),
};
const struct cli_command cli_cmd_role_ls = {
    .about = {.name = "role ls", .synopsis = "", .summary = "List the roles"},
    .run = ls,
};
const struct cli_command cli_cmd_role_show = {
    .about = {.name = "role show",
	      .synopsis = "NAME",
	      .summary = "Show what a role may do",
	      .args_min = 1,
	      .args_max = 1},
    .run = show,
};
const struct cli_command cli_cmd_role_rm = {
    .about = {.name = "role rm",
	      .synopsis = "NAME",
	      .summary = "Remove a role of your own that nobody has any more",
	      .args_min = 1,
	      .args_max = 1},
    .run = rm,
};

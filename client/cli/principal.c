/* sluice principal, grant, revoke, whoami: people and bots, and what they may do. */
#include <string.h>

#include "base/clock/clock.h"
#include "client/cli/access.h"
#include "client/cli/commands.h"

/* --- shared by principals and roles ------------------------------------------------------- */

Sluice__V1__Verb access_verb(const char *word)
{
	char name[TEXT_SIZE];
	for (int verb = 1; verb <= (int)SLUICE__V1__VERB__VERB_ADMINISTER; verb++) {
		if (strcmp(access_verb_word(name, (Sluice__V1__Verb)verb), word) == 0) {
			return (Sluice__V1__Verb)verb;
		}
	}
	return SLUICE__V1__VERB__VERB_UNSPECIFIED;
}

const char *access_verb_word(char buffer[static TEXT_SIZE], Sluice__V1__Verb verb)
{
	(void)text_enum(buffer, &sluice__v1__verb__descriptor, (int)verb);
	for (char *c = buffer; *c != '\0'; c++) {
		*c = *c == '_' ? '-' : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	}
	return buffer;
}

/* "releaser", "view: shop-* in production" */
static const char *grant_text(struct cli *cli, const Sluice__V1__Grant *grant)
{
	char verb[TEXT_SIZE];
	const char *what =
	    grant->role[0] != '\0' ? grant->role : access_verb_word(verb, grant->verb);
	bool all = strcmp(grant->apps, "*") == 0;
	return sl_arena_printf(&cli->arena, "%s%s%s%s%s", what, all ? "" : " on ",
			       all ? "" : grant->apps, grant->environment[0] != '\0' ? " in " : "",
			       grant->environment);
}

static const char *grants_text(struct cli *cli, const Sluice__V1__Principal *p)
{
	const char *text = p->n_grants == 0 ? "-" : "";
	for (size_t i = 0; i < p->n_grants; i++) {
		text = sl_arena_printf(&cli->arena, "%s%s%s", text, i == 0 ? "" : ", ",
				       grant_text(cli, p->grants[i]));
	}
	return text;
}

static const char *kind_text(Sluice__V1__PrincipalKind kind)
{
	return kind == SLUICE__V1__PRINCIPAL_KIND__PRINCIPAL_KIND_BOT ? "bot" : "person";
}

static int told(struct cli *cli, const ProtobufCMessage *message, const Sluice__V1__Principal *p,
		const char *done)
{
	if (!cli_printed(cli, message, p->name)) {
		cli_say(cli, "%s %s %s: %s\n", kind_text(p->kind), p->name, done,
			p->n_grants == 0 ? "may do nothing yet" : grants_text(cli, p));
	}
	return CLI_DONE;
}

/* --- principal add, ls, show ----------------------------------------------------------------- */

struct add_flags {
	bool bot;
	const char *description;
	struct sl_flag_list roles;
};
static const struct sl_flag add_flags[] = {
    {.name = "bot",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct add_flags, bot),
     .help = "A program, not a person."},
    {.name = "role",
     .kind = SL_FLAG_LIST,
     .offset = offsetof(struct add_flags, roles),
     .min = 1,
     .max = 50,
     .placeholder = "ROLE",
     .help = "What it may do, on all apps and in all environments of the role. More than once for "
	     "more roles; sluice grant says it more narrowly."},
    {.name = "description",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct add_flags, description),
     .max = 200,
     .help = "For people."},
    {.name = NULL},
};

static int add(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct add_flags *flags = config;
	Sluice__V1__CreatePrincipalRequest request = SLUICE__V1__CREATE_PRINCIPAL_REQUEST__INIT;
	Sluice__V1__CreatePrincipalResponse *response = NULL;
	Sluice__V1__Grant *grants =
	    SL_ARENA_ARRAY(&cli->arena, Sluice__V1__Grant, flags->roles.count + 1);
	Sluice__V1__Grant **list =
	    SL_ARENA_ARRAY(&cli->arena, Sluice__V1__Grant *, flags->roles.count + 1);
	if (grants == NULL || list == NULL) {
		return cli_complain(CLI_FAILED, "out of memory");
	}
	for (size_t i = 0; i < flags->roles.count; i++) {
		sluice__v1__grant__init(&grants[i]);
		grants[i].role = cli_str(flags->roles.items[i]);
		list[request.n_grants++] = &grants[i];
	}
	request.grants = list;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(args->items[0]);
	request.kind = flags->bot ? SLUICE__V1__PRINCIPAL_KIND__PRINCIPAL_KIND_BOT
				  : SLUICE__V1__PRINCIPAL_KIND__PRINCIPAL_KIND_PERSON;
	request.description = cli_str(flags->description);
	return CLI_CALL(cli, create_principal, &request, &response)
		   ? told(cli, &response->base, response->principal, "is there")
		   : cli_fail(cli);
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	static const char *const headings[] = {"NAME", "KIND", "STATE", "AGE", "GRANTS", NULL};
	Sluice__V1__ListPrincipalsRequest request = SLUICE__V1__LIST_PRINCIPALS_REQUEST__INIT;
	request.workspace = cli->workspace;
	const Sluice__V1__ListPrincipalsResponse *list =
	    cli_list(cli, SLUICE_RPC_ListPrincipals, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_principals; i++) {
		const Sluice__V1__Principal *p = list->principals[i];
		char age[TEXT_SIZE];
		table_put(table, TEXT_STRONG, "%s", p->name);
		table_put(table, TEXT_PLAIN, "%s", kind_text(p->kind));
		table_put(table, p->disabled ? TEXT_BAD : TEXT_PLAIN, "%s",
			  p->disabled ? "disabled" : "ok");
		table_put(table, TEXT_PLAIN, "%s",
			  text_age(age, p->created_at, sl_clock_unix_ms()));
		table_put(table, TEXT_PLAIN, "%s", grants_text(cli, p));
	}
	return cli_end_table(table);
}

static int show(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__GetPrincipalRequest request = SLUICE__V1__GET_PRINCIPAL_REQUEST__INIT;
	Sluice__V1__GetPrincipalResponse *response = NULL;
	char text[TEXT_SIZE];
	request.workspace = cli->workspace;
	request.principal = cli_str(args->items[0]);
	if (!CLI_CALL(cli, get_principal, &request, &response)) {
		return cli_fail(cli);
	}
	const Sluice__V1__Principal *p = response->principal;
	if (cli_printed(cli, &response->base, p->name)) {
		return CLI_DONE;
	}
	cli_fact(cli, "name", "%s", p->name);
	cli_fact(cli, "id", "%s", p->id);
	cli_fact(cli, "kind", "%s", kind_text(p->kind));
	cli_fact(cli, "description", "%s", p->description);
	cli_fact(cli, "state", "%s", p->disabled ? "disabled: may do nothing" : "ok");
	cli_fact(cli, "made", "%s by %s", text_time(text, p->created_at), p->created_by);
	for (size_t i = 0; i < p->n_grants; i++) {
		cli_fact(cli, i == 0 ? "may" : "", "%s", grant_text(cli, p->grants[i]));
	}
	return CLI_DONE;
}

/* --- principal disable, enable, rm --- */

static int disable(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__DisablePrincipalRequest request = SLUICE__V1__DISABLE_PRINCIPAL_REQUEST__INIT;
	Sluice__V1__DisablePrincipalResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.principal = cli_str(args->items[0]);
	if (!CLI_CALL(cli, disable_principal, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->principal->name)) {
		cli_say(cli, "%s may do nothing until it is enabled\n", response->principal->name);
	}
	return CLI_DONE;
}

static int enable(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__EnablePrincipalRequest request = SLUICE__V1__ENABLE_PRINCIPAL_REQUEST__INIT;
	Sluice__V1__EnablePrincipalResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.principal = cli_str(args->items[0]);
	return CLI_CALL(cli, enable_principal, &request, &response)
		   ? told(cli, &response->base, response->principal, "is enabled")
		   : cli_fail(cli);
}

static int rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__DeletePrincipalRequest request = SLUICE__V1__DELETE_PRINCIPAL_REQUEST__INIT;
	Sluice__V1__DeletePrincipalResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.principal = cli_str(args->items[0]);
	enum cli_exit go =
	    cli_confirm(cli, "Remove %s, with its grants and access tokens?", args->items[0]);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, delete_principal, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli, "%s is removed\n", args->items[0]);
	}
	return CLI_DONE;
}

/* --- grant, revoke --- */

struct grant_flags {
	const char *apps, *environment;
};
static const struct sl_flag grant_flags[] = {
    {.name = "apps",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct grant_flags, apps),
     .fallback = "*",
     .max = 64,
     .placeholder = "PATTERN",
     .help = "On the apps whose first name fits: '*' is any run of characters, '?' any one."},
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct grant_flags, environment),
     .max = 64,
     .placeholder = "ENV",
     .help = "In this environment; without it in all."},
    {.name = NULL},
};

/* A word is a verb's or a role's name; the verbs are a closed list. */
static Sluice__V1__Grant grant_of(const char *word, const struct grant_flags *flags)
{
	Sluice__V1__Grant grant = SLUICE__V1__GRANT__INIT;
	grant.verb = access_verb(word);
	grant.role = cli_str(grant.verb == 0 ? word : "");
	grant.apps = cli_str(flags->apps);
	grant.environment = cli_str(flags->environment);
	return grant;
}

static int give(struct cli *cli, const struct sl_args *args, void *config)
{
	Sluice__V1__CreateGrantRequest request = SLUICE__V1__CREATE_GRANT_REQUEST__INIT;
	Sluice__V1__CreateGrantResponse *response = NULL;
	Sluice__V1__Grant grant = grant_of(args->items[1], config);
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.principal = cli_str(args->items[0]);
	request.grant = &grant;
	return CLI_CALL(cli, create_grant, &request, &response)
		   ? told(cli, &response->base, response->principal, "may now")
		   : cli_fail(cli);
}

static int take_back(struct cli *cli, const struct sl_args *args, void *config)
{
	Sluice__V1__DeleteGrantRequest request = SLUICE__V1__DELETE_GRANT_REQUEST__INIT;
	Sluice__V1__DeleteGrantResponse *response = NULL;
	Sluice__V1__Grant grant = grant_of(args->items[1], config);
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.principal = cli_str(args->items[0]);
	request.grant = &grant;
	return CLI_CALL(cli, delete_grant, &request, &response)
		   ? told(cli, &response->base, response->principal, "keeps")
		   : cli_fail(cli);
}

/* --- whoami --- */

static int whoami(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	Sluice__V1__WhoAmIRequest request = SLUICE__V1__WHO_AM_IREQUEST__INIT;
	Sluice__V1__WhoAmIResponse *response = NULL;
	char text[TEXT_SIZE];
	if (!CLI_CALL(cli, who_am_i, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed(cli, &response->base, response->principal)) {
		return CLI_DONE;
	}
	cli_fact(cli, "name", "%s", response->principal);
	cli_fact(cli, "kind", "%s", response->kind);
	cli_fact(cli, "id", "%s", response->id);
	cli_fact(cli, "workspace", "%s", response->workspace);
	if (response->certificate_expires_at != NULL) {
		cli_fact(cli, "until", "%s", text_time(text, response->certificate_expires_at));
	}
	if (response->everything) {
		cli_fact(cli, "may", "do everything: the server asks nobody who it is");
	}
	for (size_t i = 0; i < response->n_rights; i++) {
		cli_fact(cli, i == 0 ? "may" : "", "%s", grant_text(cli, response->rights[i]));
	}
	return CLI_DONE;
}

/* --- the rows --- */

const struct cli_command cli_cmd_principal_add = {
    .about = {.name = "principal add",
	      .synopsis = "NAME [--bot] [--role ROLE]...",
	      .summary = "Make a person or a bot; sluice token create lets it log in",
	      .flags = add_flags,
	      .args_min = 1,
	      .args_max = 1},
    .run = add,
    .config_size = sizeof(struct add_flags),
};
const struct cli_command cli_cmd_principal_ls = {
    .about = {.name = "principal ls", .synopsis = "", .summary = "List people and bots"},
    .run = ls,
};
const struct cli_command cli_cmd_principal_show = {
    .about = {.name = "principal show",
	      .synopsis = "NAME",
	      .summary = "Show one, with what it may do",
	      .args_min = 1,
	      .args_max = 1},
    .run = show,
};
const struct cli_command cli_cmd_principal_disable = {
    .about = {.name = "principal disable",
	      .synopsis = "NAME",
	      .summary = "Take everything away from it for now; its open streams end",
	      .args_min = 1,
	      .args_max = 1},
    .run = disable,
};
const struct cli_command cli_cmd_principal_enable = {
    .about = {.name = "principal enable",
	      .synopsis = "NAME",
	      .summary = "Give it back",
	      .args_min = 1,
	      .args_max = 1},
    .run = enable,
};
const struct cli_command cli_cmd_principal_rm = {
    .about = {.name = "principal rm",
	      .synopsis = "NAME",
	      .summary = "Remove it with its grants and access tokens; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = rm,
};
const struct cli_command cli_cmd_grant = {
    .about = {.name = "grant",
	      .synopsis = "PRINCIPAL ROLE|VERB [--apps PATTERN] [--env ENV]",
	      .summary = "Let a principal do what a role does, or one thing",
	      .flags = grant_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice grant alice releaser --apps 'shop-*'",
		       "What a releaser does, for some apps."},
		      {"sluice grant ci promote --env staging", "One verb, in one environment."},
		      {NULL, NULL}},
	      .args_min = 2,
	      .args_max = 2},
    .run = give,
    .config_size = sizeof(struct grant_flags),
};
const struct cli_command cli_cmd_revoke = {
    .about = {.name = "revoke",
	      .synopsis = "PRINCIPAL ROLE|VERB [--apps PATTERN] [--env ENV]",
	      .summary = "Take a grant back; in the words in which it was given",
	      .flags = grant_flags,
	      .args_min = 2,
	      .args_max = 2},
    .run = take_back,
    .config_size = sizeof(struct grant_flags),
};
const struct cli_command cli_cmd_whoami = {
    .about = {.name = "whoami",
	      .synopsis = "",
	      .summary = "Show who the server takes you for, and what you may do"},
    .run = whoami,
};

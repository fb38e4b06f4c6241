/* sluice context: the logins of this user. */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"

static void put_fields(struct sl_json_writer *writer, const struct login_context *login,
		       bool current)
{
	char until[SL_CLOCK_TEXT_SIZE];
	sl_json_put_text(writer, "name", login->name);
	sl_json_put_bool(writer, "current", current);
	sl_json_put_text(writer, "principal", login->principal);
	sl_json_put_text(writer, "server", login->server);
	sl_json_put_text(writer, "door", login->door);
	sl_json_put_text(writer, "workspace", login->workspace);
	sl_json_put_text(writer, "identityId", login->identity_id);
	sl_json_put_text(writer, "expiresAt", sl_clock_text(until, login->not_after_ms));
	sl_json_put_bool(writer, "expired", login_context_is_over(login, sl_clock_unix_ms()));
	sl_json_put_text(writer, "folder", login->folder);
}

static bool is_current(const char *name)
{
	SL_AUTO(sl_free_auto) char *current = NULL;
	return context_current(&current, NULL) == SL_OK && current != NULL &&
	       strcmp(current, name) == 0;
}

static int print_json(struct sl_json_writer *writer)
{
	SL_AUTO(sl_free_auto) char *text = sl_json_finish(writer);
	if (text == NULL) {
		return cli_complain(CLI_FAILED, "out of memory");
	}
	(void)fputs(text, stdout);
	return CLI_DONE;
}

bool context_printed(const struct cli *cli, const struct login_context *login)
{
	if (cli->output == CLI_NAME) {
		(void)puts(login->name);
	}
	if (cli->output == CLI_JSON) {
		struct sl_json_writer writer = {.style = SL_JSON_PRETTY};
		sl_json_open_object(&writer, NULL);
		put_fields(&writer, login, is_current(login->name));
		sl_json_close(&writer);
		(void)print_json(&writer);
	}
	return cli->output != CLI_TABLE;
}

/* --- ls ------------------------------------------------------------------------------------ */

static int ls_json(const struct context_names *names)
{
	struct sl_json_writer writer = {.style = SL_JSON_PRETTY};
	sl_json_open_object(&writer, NULL);
	sl_json_open_list(&writer, "contexts");
	for (size_t i = 0; i < names->count; i++) {
		SL_AUTO(login_context_free_auto) struct login_context *login = NULL;
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		sl_json_open_object(&writer, NULL);
		if (context_load(names->items[i], &login, &err) == SL_OK) {
			put_fields(&writer, login, is_current(login->name));
		} else {
			sl_json_put_text(&writer, "name", names->items[i]);
			sl_json_put_text(&writer, "error", err.msg);
		}
		sl_json_close(&writer);
	}
	sl_json_close(&writer);
	sl_json_close(&writer);
	return print_json(&writer);
}

static void put_row(struct table *table, const char *name)
{
	SL_AUTO(login_context_free_auto) struct login_context *login = NULL;
	char until[SL_CLOCK_TEXT_SIZE];
	bool current = is_current(name), whole = context_load(name, &login, NULL) == SL_OK;
	table_put(table, TEXT_STRONG, "%s", name);
	table_put(table, TEXT_GOOD, "%s", current ? "in use" : "");
	table_put(table, TEXT_PLAIN, "%s", whole ? login->principal : "-");
	table_put(table, TEXT_PLAIN, "%s", whole ? login->server : "-");
	table_put(table, TEXT_PLAIN, "%s", whole ? login->workspace : "-");
	bool over = whole && login_context_is_over(login, sl_clock_unix_ms());
	table_put(table, over || !whole ? TEXT_BAD : TEXT_PLAIN, "%s%s",
		  whole ? sl_clock_text(until, login->not_after_ms) : "not whole: sluice login",
		  over ? " (expired: sluice login)" : "");
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	static const char *const headings[] = {"NAME",      "",      "PRINCIPAL", "SERVER",
					       "WORKSPACE", "UNTIL", NULL};
	SL_AUTO(context_names_fini) struct context_names names = {0};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	(void)args, (void)config;
	if (context_names(&names, &err) != SL_OK) {
		return cli_fail_here(&err);
	}
	if (cli->output == CLI_JSON) {
		return ls_json(&names);
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < names.count; i++) {
		put_row(table, names.items[i]);
	}
	return cli_end_table(table);
}

/* --- show, use, rm ------------------------------------------------------------------------- */

/* The one that is named, else the one in use. */
static sl_code find(const struct cli *cli, const struct sl_args *args,
		    struct login_context **ret_login, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *current = NULL;
	const char *name = args->count > 0
			       ? args->items[0]
			       : context_or_environment(cli->flags.context, "SLUICE_CONTEXT");
	sl_code code = name != NULL ? SL_OK : context_current(&current, err);
	name = name != NULL ? name : current;
	if (code == SL_OK && name == NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "no context is in use: run: sluice login");
	}
	return code != SL_OK ? code : context_load(name, ret_login, err);
}

static int show(struct cli *cli, const struct sl_args *args, void *config)
{
	SL_AUTO(login_context_free_auto) struct login_context *login = NULL;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char until[SL_CLOCK_TEXT_SIZE];
	(void)config;
	if (find(cli, args, &login, &err) != SL_OK) {
		return cli_fail_here(&err);
	}
	if (context_printed(cli, login)) {
		return CLI_DONE;
	}
	bool over = login_context_is_over(login, sl_clock_unix_ms());
	cli_fact(cli, "Context:", "%s%s", login->name, is_current(login->name) ? " (in use)" : "");
	cli_fact(cli, "Principal:", "%s", login->principal);
	cli_fact(cli, "Server:", "%s", login->server);
	cli_fact(cli, "Door:", "%s", login->door);
	cli_fact(cli, "Workspace:", "%s", login->workspace);
	cli_fact(cli, "Identity:", "%s", login->identity_id);
	cli_fact(cli, "Until:", "%s%s", sl_clock_text(until, login->not_after_ms),
		 over ? " (expired: sluice login)" : "");
	cli_fact(cli, "Files:", "%s/{ca,cert,key}.pem", login->folder);
	return CLI_DONE;
}

static int use(struct cli *cli, const struct sl_args *args, void *config)
{
	SL_AUTO(login_context_free_auto) struct login_context *login = NULL;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	(void)config;
	sl_code code = context_load(args->items[0], &login, &err);
	code = code != SL_OK ? code : context_use(login->name, &err);
	if (code != SL_OK) {
		return cli_fail_here(&err);
	}
	if (!context_printed(cli, login)) {
		cli_say(cli, "context %s is in use: %s on %s\n", login->name, login->principal,
			login->server);
	}
	return CLI_DONE;
}

static int rm(struct cli *cli, const struct sl_args *args, void *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	(void)config;
	enum cli_exit go = cli_confirm(cli, "Remove context %s with its key?", args->items[0]);
	if (go != CLI_DONE) {
		return go;
	}
	if (context_remove(args->items[0], &err) != SL_OK) {
		return cli_fail_here(&err);
	}
	cli_say(cli, "context %s is removed; its key is gone with it\n", args->items[0]);
	return CLI_DONE;
}

const struct cli_command cli_cmd_context_ls = {
    .about = {.name = "context ls",
	      .synopsis = "",
	      .summary = "List this user's logins: who, on which server, until when"},
    .run = ls,
    .offline = true,
};
const struct cli_command cli_cmd_context_show = {
    .about = {.name = "context show",
	      .synopsis = "[NAME]",
	      .summary = "Show a login, and where its key and certificate lie",
	      .description = "Without NAME that of --context, else the one in use.",
	      .args_max = 1},
    .run = show,
    .offline = true,
};
const struct cli_command cli_cmd_context_use = {
    .about = {.name = "context use",
	      .synopsis = "NAME",
	      .summary = "Run commands as this login from now on",
	      .args_min = 1,
	      .args_max = 1},
    .run = use,
    .offline = true,
};
const struct cli_command cli_cmd_context_rm = {
    .about = {.name = "context rm",
	      .synopsis = "NAME",
	      .summary = "Remove a login with its key; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = rm,
    .offline = true,
};

/* sluice source: what apps connect to, set for each environment. */
#include <string.h>

#include "base/crypto/secret.h"
#include "client/cli/commands.h"
#include "client/cli/config_value.h"
#include "client/cli/secret_input.h"
#include "client/cli/source_test.h"

/* --- add ------------------------------------------------------------------------------------ */

struct add_flags {
	const char *kind;
};
static const struct sl_flag add_flags[] = {
    {.name = "kind",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct add_flags, kind),
     .required = true,
     .choices = "postgres|mysql|mongodb|redis|s3|rest|graphql|smtp|generic",
     .help = "What it is: says which options there are. generic takes any."},
    {.name = NULL},
};

static int add(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct add_flags *flags = config;
	Sluice__V1__CreateSourceRequest request = SLUICE__V1__CREATE_SOURCE_REQUEST__INIT;
	Sluice__V1__CreateSourceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(args->items[0]);
	request.kind = cli_str(flags->kind);
	if (!CLI_CALL(cli, create_source, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->source->name)) {
		cli_say(cli,
			"data source %s is there; set it for each environment: sluice source "
			"set %s --env ENV KEY=VALUE...\n",
			response->source->name, response->source->name);
	}
	return CLI_DONE;
}

/* --- set ------------------------------------------------------------------------------------ */

struct set_flags {
	const char *environment;
	struct sl_flag_list secrets, unset;
};
static const struct sl_flag set_flags[] = {
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct set_flags, environment),
     .min = 1,
     .required = true,
     .placeholder = "ENV",
     .help = "The environment."},
    {.name = "secret",
     .kind = SL_FLAG_PAIRS,
     .offset = offsetof(struct set_flags, secrets),
     .placeholder = "KEY=-|KEY=@FILE",
     .help = "A secret option, from standard input or a file; never its value itself."},
    {.name = "unset",
     .kind = SL_FLAG_LIST,
     .offset = offsetof(struct set_flags, unset),
     .placeholder = "KEY",
     .help = "An option to take away."},
    {.name = NULL},
};

enum { SECRETS_MAX = 16 };

/* What is read lies in secret memory. */
struct secrets {
	char *texts[SECRETS_MAX]; /* owned */
};

static void secrets_fini(struct secrets *secrets)
{
	for (size_t i = 0; i < SECRETS_MAX; i++) {
		sl_secret_free(SL_TAKE(secrets->texts[i]));
	}
}

/* "KEY=VALUE" as an entry; the key is cut out into the arena. NULL: it has complained. */
static Sluice__V1__SetSourceRequest__OptionsEntry *option_of(struct cli *cli, const char *text)
{
	char *key = sl_arena_strdup(&cli->arena, text);
	char *equals = key != NULL ? strchr(key, '=') : NULL;
	Sluice__V1__SetSourceRequest__OptionsEntry *entry =
	    SL_ARENA_NEW(&cli->arena, Sluice__V1__SetSourceRequest__OptionsEntry);
	if (equals == NULL || equals == key || entry == NULL) {
		(void)cli_complain(CLI_USAGE, "'%s' must be KEY=VALUE", text);
		return NULL;
	}
	*equals = '\0';
	sluice__v1__set_source_request__options_entry__init(entry);
	entry->key = key;
	entry->value = equals + 1;
	return entry;
}

static bool read_options(struct cli *cli, const struct sl_args *args,
			 Sluice__V1__SetSourceRequest *request)
{
	request->options =
	    SL_ARENA_ARRAY(&cli->arena, Sluice__V1__SetSourceRequest__OptionsEntry *, args->count);
	for (size_t i = 1; request->options != NULL && i < args->count; i++) {
		request->options[request->n_options] = option_of(cli, args->items[i]);
		if (request->options[request->n_options++] == NULL) {
			return false;
		}
	}
	return request->options != NULL;
}

/* "KEY=-" or "KEY=@FILE". */
static bool read_secret(struct cli *cli, const char *text, char **ret_text,
			Sluice__V1__SetSourceRequest__SecretsEntry *entry)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char *key = sl_arena_strdup(&cli->arena, text);
	char *equals = key != NULL ? strchr(key, '=') : NULL;
	bool standard = equals != NULL && strcmp(equals, "=-") == 0;
	if (equals == NULL || (!standard && (equals[1] != '@' || equals[2] == '\0'))) {
		size_t named = strcspn(text, "=");
		(void)cli_complain(CLI_USAGE,
				   "--secret %.*s must be KEY=- (standard input) or "
				   "KEY=@FILE",
				   (int)named, text);
		return false;
	}
	*equals = '\0';
	if (secret_input_value(standard ? "-" : equals + 2, key, ret_text, &err) != SL_OK) {
		(void)cli_fail_here(&err);
		return false;
	}
	sluice__v1__set_source_request__secrets_entry__init(entry);
	entry->key = key;
	entry->value = *ret_text;
	return true;
}

static bool read_secrets(struct cli *cli, const struct sl_flag_list *list, struct secrets *secrets,
			 Sluice__V1__SetSourceRequest *request)
{
	Sluice__V1__SetSourceRequest__SecretsEntry *entries =
	    SL_ARENA_ARRAY(&cli->arena, Sluice__V1__SetSourceRequest__SecretsEntry, SECRETS_MAX);
	request->secrets =
	    SL_ARENA_ARRAY(&cli->arena, Sluice__V1__SetSourceRequest__SecretsEntry *, SECRETS_MAX);
	if (list->count > SECRETS_MAX) {
		(void)cli_complain(CLI_USAGE, "at most %d secrets at once", SECRETS_MAX);
		return false;
	}
	for (size_t i = 0; entries != NULL && request->secrets != NULL && i < list->count; i++) {
		if (!read_secret(cli, list->items[i], &secrets->texts[i], &entries[i])) {
			return false;
		}
		request->secrets[request->n_secrets++] = &entries[i];
	}
	return entries != NULL && request->secrets != NULL;
}

static const Sluice__V1__SourceSetting *setting_in(const Sluice__V1__DataSource *source,
						   const char *environment)
{
	for (size_t i = 0; i < source->n_settings; i++) {
		if (strcmp(source->settings[i]->environment, environment) == 0) {
			return source->settings[i];
		}
	}
	return NULL;
}

/* "database, user"; cut to fit. */
static const char *missing_text(char buffer[static TEXT_SIZE],
				const Sluice__V1__SourceSetting *setting)
{
	size_t size = 0;
	buffer[0] = '\0';
	for (size_t i = 0; i < setting->n_missing && size < TEXT_SIZE; i++) {
		size += (size_t)snprintf(buffer + size, TEXT_SIZE - size, "%s%s", i > 0 ? ", " : "",
					 setting->missing[i]);
	}
	return buffer;
}

static int set(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct set_flags *flags = config;
	SL_AUTO(secrets_fini) struct secrets secrets = {.texts = {NULL}};
	Sluice__V1__SetSourceRequest request = SLUICE__V1__SET_SOURCE_REQUEST__INIT;
	Sluice__V1__SetSourceResponse *response = NULL;
	cli->environment = flags->environment;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.source = cli_str(args->items[0]);
	request.environment = cli_str(flags->environment);
	request.unset = (char **)(uintptr_t)flags->unset.items;
	request.n_unset = flags->unset.count;
	if (!read_options(cli, args, &request) ||
	    !read_secrets(cli, &flags->secrets, &secrets, &request)) {
		return CLI_USAGE;
	}
	if (!CLI_CALL(cli, set_source, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed(cli, &response->base, args->items[0])) {
		return CLI_DONE;
	}
	const Sluice__V1__SourceSetting *setting = setting_in(response->source, flags->environment);
	char missing[TEXT_SIZE] = "";
	if (setting != NULL) {
		(void)missing_text(missing, setting);
	}
	cli_say(cli, "data source %s is set in %s%s%s%s\n", args->items[0], flags->environment,
		response->result->revision == 0 ? ", as it was" : "",
		missing[0] != '\0' ? "; still missing: " : "", missing);
	return CLI_DONE;
}

/* --- ls, show --------------------------------------------------------------------------------- */

static void put_setting(struct table *table, const Sluice__V1__SourceSetting *setting)
{
	char missing[TEXT_SIZE];
	if (setting == NULL) {
		table_put(table, TEXT_FAINT, "(hidden)");
	} else if (setting->n_options == 0) {
		table_put(table, TEXT_FAINT, "(unset)");
	} else if (setting->n_missing > 0) {
		table_put(table, TEXT_BAD, "missing: %s", missing_text(missing, setting));
	} else {
		table_put(table, TEXT_GOOD, "set");
	}
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	struct config_columns columns;
	Sluice__V1__ListSourcesRequest request = SLUICE__V1__LIST_SOURCES_REQUEST__INIT;
	request.workspace = cli->workspace;
	const Sluice__V1__ListSourcesResponse *list =
	    cli_list(cli, SLUICE_RPC_ListSources, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	if (!config_columns_init(cli, "NAME", "KIND", &columns)) {
		return cli_fail(cli);
	}
	struct table *table = cli_table(cli, columns.headings);
	for (size_t i = 0; i < list->n_sources; i++) {
		const Sluice__V1__DataSource *source = list->sources[i];
		table_put(table, TEXT_STRONG, "%s", source->name);
		for (size_t e = 0; e < columns.list->n_environments; e++) {
			put_setting(table, setting_in(source, columns.list->environments[e]->name));
		}
		table_put(table, TEXT_PLAIN, "%s", source->kind);
	}
	return cli_end_table(table);
}

static const Sluice__V1__SourceOption *option_in(const Sluice__V1__SourceSetting *setting,
						 const char *name)
{
	for (size_t i = 0; i < setting->n_options; i++) {
		if (strcmp(setting->options[i]->name, name) == 0) {
			return setting->options[i];
		}
	}
	return NULL;
}

/* Shown before, in an environment before this one. */
static bool is_shown(const Sluice__V1__DataSource *source, size_t before, const char *name)
{
	for (size_t i = 0; i < before; i++) {
		if (option_in(source->settings[i], name) != NULL) {
			return true;
		}
	}
	return false;
}

static void put_option(struct table *table, const struct config_columns *columns,
		       const Sluice__V1__DataSource *source, const char *name)
{
	table_put(table, TEXT_STRONG, "%s", name);
	for (size_t e = 0; e < columns->list->n_environments; e++) {
		const Sluice__V1__SourceSetting *setting =
		    setting_in(source, columns->list->environments[e]->name);
		const Sluice__V1__SourceOption *option =
		    setting != NULL ? option_in(setting, name) : NULL;
		Sluice__V1__ConfigValue value = SLUICE__V1__CONFIG_VALUE__INIT;
		value.state = SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNSET;
		if (option != NULL) {
			value.state = option->state;
			value.value = option->value;
		}
		config_put_value(table,
				 option != NULL && option->secret
				     ? SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET
				     : SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL,
				 setting != NULL ? &value : NULL);
	}
}

static int show(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	struct config_columns columns;
	Sluice__V1__GetSourceRequest request = SLUICE__V1__GET_SOURCE_REQUEST__INIT;
	Sluice__V1__GetSourceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.source = cli_str(args->items[0]);
	if (!CLI_CALL(cli, get_source, &request, &response)) {
		return cli_fail(cli);
	}
	const Sluice__V1__DataSource *source = response->source;
	if (cli_printed(cli, &response->base, source->name)) {
		return CLI_DONE;
	}
	if (!config_columns_init(cli, "OPTION", NULL, &columns)) {
		return cli_fail(cli);
	}
	cli_fact(cli, "kind", "%s", source->kind);
	struct table *table = cli_table(cli, columns.headings);
	for (size_t s = 0; s < source->n_settings; s++) {
		for (size_t i = 0; i < source->settings[s]->n_options; i++) {
			const char *name = source->settings[s]->options[i]->name;
			if (!is_shown(source, s, name)) {
				put_option(table, &columns, source, name);
			}
		}
	}
	int shown = cli_end_table(table);
	return shown != CLI_DONE ? shown : source_show_tests(cli, source);
}

/* --- rm --- */

static int rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__DeleteSourceRequest request = SLUICE__V1__DELETE_SOURCE_REQUEST__INIT;
	Sluice__V1__DeleteSourceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.source = cli_str(args->items[0]);
	enum cli_exit go = cli_confirm(
	    cli, "Remove data source %s and its options in all environments?", args->items[0]);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, delete_source, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli, "data source %s is removed\n", args->items[0]);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_source_add = {
    .about = {.name = "source add",
	      .synopsis = "NAME --kind KIND",
	      .summary = "Make a data source, which is set for each environment",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = add_flags},
    .run = add,
    .config_size = sizeof(struct add_flags),
};
const struct cli_command cli_cmd_source_set = {
    .about =
	{.name = "source set",
	 .synopsis = "NAME --env ENV [KEY=VALUE...]",
	 .summary = "Set options of a data source in one environment; all others stay",
	 .description = "A value may refer to {{constants.NAME}} and {{secrets.NAME}}, which stand "
			"for what they are in the environment at hand.",
	 .args_min = 1,
	 .args_max = 65,
	 .flags = set_flags,
	 .examples =
	     (const struct sl_example[]){
		 {"sluice source set main --env staging host=db.staging.example.org database=shop "
		  "user=shop --secret password=@password.txt",
		  "A database of staging."},
		 {NULL, NULL}}},
    .run = set,
    .config_size = sizeof(struct set_flags),
};
const struct cli_command cli_cmd_source_ls = {
    .about = {.name = "source ls",
	      .synopsis = "",
	      .summary = "List the data sources, and where each is set"},
    .run = ls,
};
const struct cli_command cli_cmd_source_show = {
    .about = {.name = "source show",
	      .synopsis = "NAME",
	      .summary = "Show a data source's options, all environments side by side, and its "
			 "last tests",
	      .args_min = 1,
	      .args_max = 1},
    .run = show,
};
const struct cli_command cli_cmd_source_rm = {
    .about = {.name = "source rm",
	      .synopsis = "NAME",
	      .summary = "Remove a data source in all environments; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = rm,
};

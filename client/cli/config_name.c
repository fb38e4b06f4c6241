/* sluice const, sluice secret: one name, one value per environment. */
#include <string.h>
#include <unistd.h>

#include "base/crypto/secret.h"
#include "client/cli/commands.h"
#include "client/cli/config_value.h"
#include "client/cli/secret_input.h"

#define GLOBAL SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL
#define SECRET SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET

static const char *noun(Sluice__V1__ConfigKind kind)
{
	return kind == SECRET ? "secret" : "constant";
}

/* --- set ---------------------------------------------------------------------------------- */

struct set_flags {
	const char *environment, *value, *value_file;
};
#define ENV_FLAG(config)                                                                           \
	{                                                                                          \
		.name = "env", .kind = SL_FLAG_TEXT,                                               \
		.offset = offsetof(struct config, environment), .min = 1, .required = true,        \
		.placeholder = "ENV", .help = "The environment."                                   \
	}
#define VALUE_FILE_FLAG                                                                            \
	{                                                                                          \
		.name = "value-file", .kind = SL_FLAG_TEXT,                                        \
		.offset = offsetof(struct set_flags, value_file), .placeholder = "FILE",           \
		.help = "Holds the value; its last line end is not part of it."                    \
	}
static const struct sl_flag const_set_flags[] = {
    ENV_FLAG(set_flags),
    {.name = "value",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct set_flags, value),
     .max = 10000,
     .help = "The value; may be empty."},
    VALUE_FILE_FLAG,
    {.name = NULL},
};
static const struct sl_flag secret_set_flags[] = {
    ENV_FLAG(set_flags),
    VALUE_FILE_FLAG,
    {.name = NULL},
};

static int set_value(struct cli *cli, Sluice__V1__ConfigKind kind, const char *name,
		     const char *environment, const char *value)
{
	Sluice__V1__SetConfigValueRequest request = SLUICE__V1__SET_CONFIG_VALUE_REQUEST__INIT;
	Sluice__V1__SetConfigValueResponse *response = NULL;
	cli->environment = environment;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(name);
	request.kind = kind;
	request.environment = cli_str(environment);
	request.value = cli_str(value);
	if (!CLI_CALL(cli, set_config_value, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, name)) {
		cli_say(cli, "%s %s is set in %s%s\n", noun(kind), name, environment,
			response->result->revision == 0 ? ", as it was" : "");
	}
	return CLI_DONE;
}

/* From a file, or from standard input. */
static int set_input(struct cli *cli, Sluice__V1__ConfigKind kind, const char *name,
		     const struct set_flags *flags)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *value = NULL;
	sl_code code = secret_input_value(flags->value_file, "value", &value, &err);
	return code != SL_OK ? cli_fail_here(&err)
			     : set_value(cli, kind, name, flags->environment, value);
}

static int const_set(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct set_flags *flags = config;
	bool standard = args->count > 1 && strcmp(args->items[1], "-") == 0;
	bool given = sl_args_given(args, "value"), file = flags->value_file[0] != '\0';
	if ((args->count > 1 && !standard) || given + file + standard != 1) {
		return cli_complain(
		    CLI_USAGE, "say one of --value V, --value-file FILE and - (standard input)");
	}
	return given ? set_value(cli, GLOBAL, args->items[0], flags->environment, flags->value)
		     : set_input(cli, GLOBAL, args->items[0], flags);
}

static int secret_set(struct cli *cli, const struct sl_args *args, void *config)
{
	return set_input(cli, SECRET, args->items[0], config);
}

/* --- ls, show -------------------------------------------------------------------------------- */

static const Sluice__V1__ConfigValue *value_in(const Sluice__V1__ConfigName *config,
					       const char *environment)
{
	for (size_t i = 0; i < config->n_values; i++) {
		if (strcmp(config->values[i]->environment, environment) == 0) {
			return config->values[i];
		}
	}
	return NULL;
}

static int list(struct cli *cli, Sluice__V1__ConfigKind kind)
{
	struct config_columns columns;
	Sluice__V1__ListConfigNamesRequest request = SLUICE__V1__LIST_CONFIG_NAMES_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.kind = kind;
	const Sluice__V1__ListConfigNamesResponse *names =
	    cli_list(cli, SLUICE_RPC_ListConfigNames, &request.base);
	if (names == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &names->base)) {
		return CLI_DONE;
	}
	if (!config_columns_init(cli, "NAME", NULL, &columns)) {
		return cli_fail(cli);
	}
	struct table *table = cli_table(cli, columns.headings);
	for (size_t i = 0; i < names->n_configs; i++) {
		table_put(table, TEXT_STRONG, "%s", names->configs[i]->name);
		for (size_t e = 1; columns.headings[e] != NULL; e++) {
			config_put_value(table, kind,
					 value_in(names->configs[i], columns.headings[e]));
		}
	}
	return cli_end_table(table);
}

static int const_ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	return list(cli, GLOBAL);
}

static int secret_ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	return list(cli, SECRET);
}

static int const_show(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	static const char *const headings[] = {"ENVIRONMENT", "VALUE", "SET", "BY", NULL};
	Sluice__V1__GetConfigNameRequest request = SLUICE__V1__GET_CONFIG_NAME_REQUEST__INIT;
	Sluice__V1__GetConfigNameResponse *response = NULL;
	request.workspace = cli->workspace;
	request.name = cli_str(args->items[0]);
	request.kind = GLOBAL;
	if (!CLI_CALL(cli, get_config_name, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed(cli, &response->base, response->config->name)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < response->config->n_values; i++) {
		const Sluice__V1__ConfigValue *value = response->config->values[i];
		char at[TEXT_SIZE];
		table_put(table, TEXT_STRONG, "%s", value->environment);
		config_put_value(table, GLOBAL, value);
		table_put(table, TEXT_PLAIN, "%s", text_time(at, value->set_at));
		table_put(table, TEXT_PLAIN, "%s", value->set_by);
	}
	return cli_end_table(table);
}

/* --- unset, rm -------------------------------------------------------------------------------- */

struct env_flags {
	const char *environment;
};
static const struct sl_flag env_flags[] = {ENV_FLAG(env_flags), {.name = NULL}};

static int unset(struct cli *cli, Sluice__V1__ConfigKind kind, const char *name,
		 const struct env_flags *flags)
{
	Sluice__V1__UnsetConfigValueRequest request = SLUICE__V1__UNSET_CONFIG_VALUE_REQUEST__INIT;
	Sluice__V1__UnsetConfigValueResponse *response = NULL;
	cli->environment = flags->environment;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(name);
	request.kind = kind;
	request.environment = cli_str(flags->environment);
	if (!CLI_CALL(cli, unset_config_value, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, name)) {
		cli_say(cli, "%s %s is unset in %s\n", noun(kind), name, flags->environment);
	}
	return CLI_DONE;
}

static int const_unset(struct cli *cli, const struct sl_args *args, void *config)
{
	return unset(cli, GLOBAL, args->items[0], config);
}

static int secret_unset(struct cli *cli, const struct sl_args *args, void *config)
{
	return unset(cli, SECRET, args->items[0], config);
}

static int rm(struct cli *cli, Sluice__V1__ConfigKind kind, const char *name)
{
	Sluice__V1__DeleteConfigNameRequest request = SLUICE__V1__DELETE_CONFIG_NAME_REQUEST__INIT;
	Sluice__V1__DeleteConfigNameResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(name);
	request.kind = kind;
	enum cli_exit go =
	    cli_confirm(cli, "Remove %s %s and its values in all environments?", noun(kind), name);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, delete_config_name, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, name)) {
		cli_say(cli, "%s %s is removed\n", noun(kind), name);
	}
	return CLI_DONE;
}

static int const_rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	return rm(cli, GLOBAL, args->items[0]);
}

static int secret_rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	return rm(cli, SECRET, args->items[0]);
}

/* --- reveal --- */

static int reveal(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct env_flags *flags = config;
	Sluice__V1__RevealSecretRequest request = SLUICE__V1__REVEAL_SECRET_REQUEST__INIT;
	Sluice__V1__RevealSecretResponse *response = NULL;
	cli->environment = flags->environment;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(args->items[0]);
	request.environment = cli_str(flags->environment);
	if (!CLI_CALL(cli, reveal_secret, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed_json(cli, &response->base)) { /* as it is, for a pipe */
		(void)fputs(response->secret, stdout);
		(void)fputs(isatty(STDOUT_FILENO) ? "\n" : "", stdout);
	}
	return CLI_DONE;
}

/* --- rows --- */

const struct cli_command cli_cmd_const_set = {
    .about =
	{.name = "const set",
	 .synopsis = "NAME --env ENV --value V|--value-file FILE|-",
	 .summary = "Set a constant in one environment; the others keep theirs",
	 .args_min = 1,
	 .args_max = 2,
	 .flags = const_set_flags,
	 .examples =
	     (const struct sl_example[]){
		 {"sluice const set API_URL --env staging --value https://api.staging.example.org",
		  "Staging has its own."},
		 {NULL, NULL}}},
    .run = const_set,
    .config_size = sizeof(struct set_flags),
};
const struct cli_command cli_cmd_const_ls = {
    .about = {.name = "const ls",
	      .synopsis = "",
	      .summary = "List the constants, all environments side by side"},
    .run = const_ls,
};
const struct cli_command cli_cmd_const_show = {
    .about = {.name = "const show",
	      .synopsis = "NAME",
	      .summary = "Show a constant: its values, when they were set and by whom",
	      .args_min = 1,
	      .args_max = 1},
    .run = const_show,
};
const struct cli_command cli_cmd_const_unset = {
    .about = {.name = "const unset",
	      .synopsis = "NAME --env ENV",
	      .summary = "Take the value of a constant away in one environment",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = env_flags},
    .run = const_unset,
    .config_size = sizeof(struct env_flags),
};
const struct cli_command cli_cmd_const_rm = {
    .about = {.name = "const rm",
	      .synopsis = "NAME",
	      .summary = "Remove a constant in all environments; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = const_rm,
};
const struct cli_command cli_cmd_secret_set = {
    .about = {.name = "secret set",
	      .synopsis = "NAME --env ENV",
	      .summary = "Set a secret in one environment, from standard input or a file",
	      .description =
		  "Typed on a terminal, it is not shown. It is kept encrypted, and shown again "
		  "by `secret reveal` only. The mask, ********, leaves it as it is.",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = secret_set_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice secret set DB_PASSWORD --env production < password.txt",
		       "Never on the command line, where others see it."},
		      {NULL, NULL}}},
    .run = secret_set,
    .config_size = sizeof(struct set_flags),
};
const struct cli_command cli_cmd_secret_ls = {
    .about = {.name = "secret ls",
	      .synopsis = "",
	      .summary = "List the secrets, masked, all environments side by side"},
    .run = secret_ls,
};
const struct cli_command cli_cmd_secret_reveal = {
    .about = {.name = "secret reveal",
	      .synopsis = "NAME --env ENV",
	      .summary =
		  "Print a secret of one environment; needs a right of its own, and is on record",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = env_flags},
    .run = reveal,
    .config_size = sizeof(struct env_flags),
};
const struct cli_command cli_cmd_secret_unset = {
    .about = {.name = "secret unset",
	      .synopsis = "NAME --env ENV",
	      .summary = "Take the value of a secret away in one environment",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = env_flags},
    .run = secret_unset,
    .config_size = sizeof(struct env_flags),
};
const struct cli_command cli_cmd_secret_rm = {
    .about = {.name = "secret rm",
	      .synopsis = "NAME",
	      .summary = "Remove a secret in all environments; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = secret_rm,
};

/* sluice config apply: config from a file without secrets, as `config export` writes it.
 *
 *   { "constants": { NAME: { ENV: VALUE } },
 *     "secrets":   { NAME: { ENV: FROM } },
 *     "sources":   { NAME: { "kind": KIND, "options": { ENV: { KEY: VALUE } },
 *                            "secrets": { ENV: { KEY: FROM } } } } }
 *
 * FROM says where the value is when the file is applied: {"env": VARIABLE}, {"file": PATH}, or {}:
 * it is set already. What the file does not name stays as it is. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/secret.h"
#include "base/json/json.h"
#include "client/cli/commands.h"
#include "client/cli/config_value.h"
#include "client/cli/secret_input.h"

#define GLOBAL SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL
#define SECRET SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET

enum { VALUE_MAX = 10000, PATH_BYTES_MAX = 4096 };

struct apply {
	struct cli *cli;
	struct config_lists lists;
	const Sluice__V1__ListEnvironmentsResponse *environments;
	bool checks; /* the first pass: is the file whole and well formed? Nothing is done */
	bool dry_run;
	size_t changes;
	enum cli_exit code; /* CLI_DONE: so far all went well */
	struct sl_err err;  /* else what is wrong; empty: it has been said */
};

/* In the words of *err. */
static bool fail(struct apply *a, struct sl_err *err)
{
	a->code = CLI_USAGE;
	sl_err_move(&a->err, err);
	return false;
}

#define REFUSE(a, exit, ...)                                                                       \
	((a)->code = (exit), (void)sl_err_set(&(a)->err, SL_INVALID_ARGUMENT, __VA_ARGS__), false)

static bool call_failed(struct apply *a)
{
	a->code = cli_fail(a->cli);
	return false;
}

/* One line of the diff. */
static void tell(struct apply *a, const char *mark, const char *fmt, ...) SL_PRINTF(3, 4);
static void tell(struct apply *a, const char *mark, const char *fmt, ...)
{
	SL_AUTO(sl_free_auto) char *text = NULL;
	va_list args;
	va_start(args, fmt);
	int length = vasprintf(&text, fmt, args);
	va_end(args);
	if (length < 0) {
		text = NULL;
		return;
	}
	a->changes += strcmp(mark, "!") != 0;
	if (a->cli->output == CLI_TABLE) {
		cli_say(a->cli, "%s %s\n", mark, text);
	}
}

static bool knows_environment(struct apply *a, const char *name)
{
	for (size_t i = 0; i < a->environments->n_environments; i++) {
		if (strcmp(a->environments->environments[i]->name, name) == 0) {
			return true;
		}
	}
	return REFUSE(a, CLI_USAGE, "no environment '%s': run: sluice env ls", name);
}

/* Secret memory: the value that `from` names; NULL in *ret_value: it names none. */
static bool read_from(struct apply *a, const char *name, const struct sl_json *from,
		      char **ret_value)
{
	static const char *const keys[] = {"env", "file", NULL};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *variable = NULL, *path = NULL;
	sl_code code = sl_json_check_keys(from, keys, &err);
	code = code != SL_OK ? code : sl_json_get_text(from, "env", VALUE_MAX, &variable, &err);
	code = code != SL_OK ? code : sl_json_get_text(from, "file", PATH_BYTES_MAX, &path, &err);
	if (code == SL_OK && path != NULL && strcmp(path, "-") == 0) {
		code = sl_err_set(&err, SL_INVALID_ARGUMENT, "%s: a file must be named", name);
	}
	if (code == SL_OK && path != NULL) {
		code = secret_input_value(path, name, ret_value, &err);
	}
	if (code != SL_OK) {
		return fail(a, &err);
	}
	const char *held = variable != NULL ? getenv(variable) : NULL;
	if (variable != NULL && (held == NULL || path != NULL)) {
		return REFUSE(a, CLI_USAGE, "%s: %s", name,
			      path != NULL ? "say either env or file"
					   : "its environment variable is not set");
	}
	if (held != NULL) {
		*ret_value = sl_secret_text(held, strlen(held));
	}
	return true;
}

/* --- constants and secrets --- */

static const Sluice__V1__ConfigValue *value_now(const struct apply *a, const char *name,
						const char *environment)
{
	for (size_t i = 0; i < a->lists.names->n_configs; i++) {
		const Sluice__V1__ConfigName *config = a->lists.names->configs[i];
		for (size_t v = 0; strcmp(config->name, name) == 0 && v < config->n_values; v++) {
			if (strcmp(config->values[v]->environment, environment) == 0) {
				return config->values[v];
			}
		}
	}
	return NULL;
}

static bool set_value(struct apply *a, Sluice__V1__ConfigKind kind, const char *name,
		      const char *environment, const char *value, bool *ret_changed)
{
	Sluice__V1__SetConfigValueRequest request = SLUICE__V1__SET_CONFIG_VALUE_REQUEST__INIT;
	Sluice__V1__SetConfigValueResponse *response = NULL;
	request.workspace = a->cli->workspace;
	request.write = &a->cli->write;
	request.name = cli_str(name);
	request.kind = kind;
	request.environment = cli_str(environment);
	request.value = cli_str(value);
	if (!CLI_CALL(a->cli, set_config_value, &request, &response)) {
		return call_failed(a);
	}
	*ret_changed = response->result->revision != 0;
	return true;
}

static bool apply_constant(struct apply *a, const char *name, const char *environment,
			   const struct sl_json *values)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *value = NULL;
	bool changed = false;
	if (sl_json_get_text(values, environment, VALUE_MAX, &value, &err) != SL_OK) {
		return fail(a, &err);
	}
	const Sluice__V1__ConfigValue *now = value_now(a, name, environment);
	bool there = now != NULL && config_is_there(now->state);
	if (a->checks || (there && strcmp(now->value, value) == 0)) {
		return true;
	}
	tell(a, there ? "~" : "+", "constant %s in %s: %s%s%s", name, environment,
	     there ? now->value : "", there ? " -> " : "", value);
	return a->dry_run || set_value(a, GLOBAL, name, environment, value, &changed);
}

static bool apply_secret(struct apply *a, const char *name, const char *environment,
			 const struct sl_json *values)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *value = NULL;
	const struct sl_json *from = NULL;
	bool changed = true;
	if (sl_json_get_object(values, environment, &from, &err) != SL_OK) {
		return fail(a, &err);
	}
	if (!read_from(a, name, from, &value) || a->checks) {
		return a->checks && a->code == CLI_DONE;
	}
	const Sluice__V1__ConfigValue *now = value_now(a, name, environment);
	bool there = now != NULL && config_is_there(now->state);
	if (value == NULL) {
		if (!there) {
			tell(a, "!", "secret %s in %s: it is unset, and the file has no value",
			     name, environment);
		}
		return true;
	}
	if (!a->dry_run && !set_value(a, SECRET, name, environment, value, &changed)) {
		return false;
	}
	if (changed) {
		tell(a, there ? "~" : "+", "secret %s in %s%s", name, environment,
		     a->dry_run && there ? " (not compared)" : "");
	}
	return true;
}

typedef bool apply_value(struct apply *a, const char *name, const char *environment,
			 const struct sl_json *values);

/* { NAME: { ENV: ... } } */
static bool each_value(struct apply *a, const struct sl_json *root, const char *key,
		       apply_value *fn)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct sl_json *names = NULL, *values = NULL;
	if (sl_json_get_object(root, key, &names, &err) != SL_OK) {
		return fail(a, &err);
	}
	for (const char *name = names != NULL ? sl_json_next_key(names, NULL) : NULL; name != NULL;
	     name = sl_json_next_key(names, name)) {
		if (sl_json_get_object(names, name, &values, &err) != SL_OK) {
			return fail(a, &err);
		}
		for (const char *env = sl_json_next_key(values, NULL); env != NULL;
		     env = sl_json_next_key(values, env)) {
			if (!knows_environment(a, env) || !fn(a, name, env, values)) {
				return false;
			}
		}
	}
	return true;
}

/* --- data sources --- */

static const Sluice__V1__DataSource *source_now(const struct apply *a, const char *name)
{
	for (size_t i = 0; i < a->lists.sources->n_sources; i++) {
		if (strcmp(a->lists.sources->sources[i]->name, name) == 0) {
			return a->lists.sources->sources[i];
		}
	}
	return NULL;
}

static const Sluice__V1__SourceOption *option_now(const struct apply *a, const char *name,
						  const char *environment, const char *key)
{
	const Sluice__V1__DataSource *source = source_now(a, name);
	for (size_t s = 0; source != NULL && s < source->n_settings; s++) {
		const Sluice__V1__SourceSetting *setting = source->settings[s];
		for (size_t i = 0;
		     strcmp(setting->environment, environment) == 0 && i < setting->n_options;
		     i++) {
			if (strcmp(setting->options[i]->name, key) == 0 &&
			    config_is_there(setting->options[i]->state)) {
				return setting->options[i];
			}
		}
	}
	return NULL;
}

static bool set_option(struct apply *a, const char *name, const char *environment,
		       Sluice__V1__SetSourceRequest *request, bool *ret_changed)
{
	Sluice__V1__SetSourceResponse *response = NULL;
	request->workspace = a->cli->workspace;
	request->write = &a->cli->write;
	request->source = cli_str(name);
	request->environment = cli_str(environment);
	if (!CLI_CALL(a->cli, set_source, request, &response)) {
		return call_failed(a);
	}
	*ret_changed = response->result->revision != 0;
	return true;
}

static bool apply_option(struct apply *a, const char *name, const char *environment,
			 const struct sl_json *options, const char *key)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__SetSourceRequest request = SLUICE__V1__SET_SOURCE_REQUEST__INIT;
	Sluice__V1__SetSourceRequest__OptionsEntry
	    entry = SLUICE__V1__SET_SOURCE_REQUEST__OPTIONS_ENTRY__INIT,
	    *entries[] = {&entry};
	const char *value = NULL;
	bool changed = false;
	if (sl_json_get_text(options, key, VALUE_MAX, &value, &err) != SL_OK) {
		return fail(a, &err);
	}
	const Sluice__V1__SourceOption *now = option_now(a, name, environment, key);
	if (a->checks || (now != NULL && !now->secret && strcmp(now->value, value) == 0)) {
		return true;
	}
	tell(a, now != NULL ? "~" : "+", "source %s in %s, %s: %s%s%s", name, environment, key,
	     now != NULL ? now->value : "", now != NULL ? " -> " : "", value);
	entry.key = cli_str(key);
	entry.value = cli_str(value);
	request.options = entries;
	request.n_options = 1;
	return a->dry_run || set_option(a, name, environment, &request, &changed);
}

static bool apply_secret_option(struct apply *a, const char *name, const char *environment,
				const struct sl_json *options, const char *key)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *value = NULL;
	Sluice__V1__SetSourceRequest request = SLUICE__V1__SET_SOURCE_REQUEST__INIT;
	Sluice__V1__SetSourceRequest__SecretsEntry
	    entry = SLUICE__V1__SET_SOURCE_REQUEST__SECRETS_ENTRY__INIT,
	    *entries[] = {&entry};
	const struct sl_json *from = NULL;
	bool changed = true;
	if (sl_json_get_object(options, key, &from, &err) != SL_OK) {
		return fail(a, &err);
	}
	if (!read_from(a, key, from, &value) || a->checks) {
		return a->checks && a->code == CLI_DONE;
	}
	const Sluice__V1__SourceOption *now = option_now(a, name, environment, key);
	if (value == NULL) {
		if (now == NULL) {
			tell(a, "!", "source %s in %s, %s: it is unset, and the file has no value",
			     name, environment, key);
		}
		return true;
	}
	entry.key = cli_str(key);
	entry.value = value;
	request.secrets = entries;
	request.n_secrets = 1;
	if (!a->dry_run && !set_option(a, name, environment, &request, &changed)) {
		return false;
	}
	if (changed) {
		tell(a, now != NULL ? "~" : "+", "source %s in %s, secret %s%s", name, environment,
		     key, a->dry_run && now != NULL ? " (not compared)" : "");
	}
	return true;
}

typedef bool apply_key(struct apply *a, const char *name, const char *environment,
		       const struct sl_json *options, const char *key);

/* { ENV: { KEY: ... } } */
static bool each_option(struct apply *a, const char *name, const struct sl_json *source,
			const char *which, apply_key *fn)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct sl_json *settings = NULL, *options = NULL;
	if (sl_json_get_object(source, which, &settings, &err) != SL_OK) {
		return fail(a, &err);
	}
	for (const char *env = settings != NULL ? sl_json_next_key(settings, NULL) : NULL;
	     env != NULL; env = sl_json_next_key(settings, env)) {
		if (!knows_environment(a, env)) {
			return false;
		}
		if (sl_json_get_object(settings, env, &options, &err) != SL_OK) {
			return fail(a, &err);
		}
		for (const char *key = sl_json_next_key(options, NULL); key != NULL;
		     key = sl_json_next_key(options, key)) {
			if (!fn(a, name, env, options, key)) {
				return false;
			}
		}
	}
	return true;
}

static bool make_source(struct apply *a, const char *name, const char *kind)
{
	Sluice__V1__CreateSourceRequest request = SLUICE__V1__CREATE_SOURCE_REQUEST__INIT;
	Sluice__V1__CreateSourceResponse *response = NULL;
	const Sluice__V1__DataSource *now = source_now(a, name);
	if (kind[0] == '\0') {
		return REFUSE(a, CLI_USAGE, "data source %s has no kind", name);
	}
	if (now != NULL && strcmp(now->kind, kind) != 0) {
		return REFUSE(a, CLI_REFUSED,
			      "data source %s is of kind %s, not %s: that is fixed for its life",
			      name, now->kind, kind);
	}
	if (a->checks || now != NULL) {
		return true;
	}
	tell(a, "+", "source %s (%s)", name, kind);
	request.workspace = a->cli->workspace;
	request.write = &a->cli->write;
	request.name = cli_str(name);
	request.kind = cli_str(kind);
	return a->dry_run || CLI_CALL(a->cli, create_source, &request, &response) ? true
										  : call_failed(a);
}

static bool apply_source(struct apply *a, const char *name, const struct sl_json *source)
{
	static const char *const keys[] = {"kind", "options", "secrets", NULL};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *kind = "";
	sl_code code = sl_json_check_keys(source, keys, &err);
	code = code != SL_OK ? code : sl_json_get_text(source, "kind", 50, &kind, &err);
	if (code != SL_OK) {
		return fail(a, &err);
	}
	return make_source(a, name, kind) &&
	       each_option(a, name, source, "options", apply_option) &&
	       each_option(a, name, source, "secrets", apply_secret_option);
}

static bool each_source(struct apply *a, const struct sl_json *root)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct sl_json *sources = NULL, *source = NULL;
	if (sl_json_get_object(root, "sources", &sources, &err) != SL_OK) {
		return fail(a, &err);
	}
	for (const char *name = sources != NULL ? sl_json_next_key(sources, NULL) : NULL;
	     name != NULL; name = sl_json_next_key(sources, name)) {
		if (sl_json_get_object(sources, name, &source, &err) != SL_OK) {
			return fail(a, &err);
		}
		if (!apply_source(a, name, source)) {
			return false;
		}
	}
	return true;
}

/* --- both passes --- */

static bool apply_all(struct apply *a, const struct sl_json *root)
{
	static const char *const keys[] = {"constants", "secrets", "sources", NULL};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (sl_json_check_keys(root, keys, &err) != SL_OK) {
		return fail(a, &err);
	}
	return each_value(a, root, "constants", apply_constant) &&
	       each_value(a, root, "secrets", apply_secret) && each_source(a, root);
}

enum cli_exit config_file_check(const struct sl_json *root,
				const Sluice__V1__ListEnvironmentsResponse *environments,
				const struct config_lists *lists, struct sl_err *err)
{
	struct apply a = {.lists = *lists, .environments = environments, .checks = true};
	(void)apply_all(&a, root);
	sl_err_move(err, &a.err);
	return a.code;
}

struct apply_flags {
	const char *file;
	bool dry_run;
};
static const struct sl_flag apply_flags[] = {
    {.name = "file",
     .letter = 'f',
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct apply_flags, file),
     .min = 1,
     .required = true,
     .placeholder = "FILE",
     .help = "What is to be, as `sluice config export` prints it."},
    {.name = "dry-run",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct apply_flags, dry_run),
     .help = "Only say what would change."},
    {.name = NULL},
};

static void json_free(struct sl_json **root)
{
	sl_json_free(*root);
}

static int apply(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct apply_flags *flags = config;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(json_free) struct sl_json *root = NULL;
	struct apply a = {.cli = cli, .dry_run = flags->dry_run};
	(void)args;
	if (sl_json_read_file(flags->file, &root, &err) != SL_OK) {
		return cli_complain(CLI_USAGE, "%s", err.msg);
	}
	a.environments = cli_environments(cli);
	if (a.environments == NULL || !config_lists_read(cli, &a.lists)) {
		return cli_fail(cli);
	}
	a.code = config_file_check(root, a.environments, &a.lists, &a.err);
	if (a.code == CLI_DONE) {
		(void)apply_all(&a, root);
	}
	if (a.code != CLI_DONE && a.err.code != SL_OK) {
		(void)cli_complain(a.code, "%s", a.err.msg);
	}
	sl_err_clear(&a.err);
	if (a.code == CLI_DONE && cli->output == CLI_TABLE) {
		cli_say(cli, "%zu changes%s\n", a.changes, a.dry_run ? " would be made" : "");
	}
	return a.code;
}

const struct cli_command cli_cmd_config_apply = {
    .about =
	{.name = "config apply",
	 .synopsis = "-f FILE",
	 .summary = "Set what a file of `config export` says; what it does not name stays",
	 .description =
	     "The value of a secret is where the file says: {\"env\": VARIABLE} or {\"file\": "
	     "PATH}; "
	     "{} leaves it as it is. The file is looked at as a whole before anything is done; "
	     "applying it again changes nothing.",
	 .flags = apply_flags,
	 .examples = (const struct sl_example[]){{"sluice config export > config.json && sluice "
						  "config apply -f config.json --dry-run",
						  "What has changed since the file was written."},
						 {NULL, NULL}}},
    .run = apply,
    .config_size = sizeof(struct apply_flags),
};

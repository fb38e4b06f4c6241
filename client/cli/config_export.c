/* sluice config export: config as a file without secrets, to be kept in Git; config_apply.c says
 * what is in it. */
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "client/cli/commands.h"
#include "client/cli/config_value.h"

#define GLOBAL SLUICE__V1__CONFIG_KIND__CONFIG_KIND_GLOBAL
#define SECRET SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET

static void put_from(struct sl_json_writer *out, const char *key)
{
	sl_json_open_object(out, key);
	sl_json_close(out);
}

static void put_names(struct sl_json_writer *out, const struct config_lists *lists,
		      Sluice__V1__ConfigKind kind, const char *key)
{
	sl_json_open_object(out, key);
	for (size_t i = 0; i < lists->names->n_configs; i++) {
		const Sluice__V1__ConfigName *config = lists->names->configs[i];
		if (config->kind != kind) {
			continue;
		}
		sl_json_open_object(out, config->name);
		for (size_t v = 0; v < config->n_values; v++) {
			const Sluice__V1__ConfigValue *value = config->values[v];
			if (config_is_there(value->state) && kind == SECRET) {
				put_from(out, value->environment);
			} else if (config_is_there(value->state)) {
				sl_json_put_text(out, value->environment, value->value);
			}
		}
		sl_json_close(out);
	}
	sl_json_close(out);
}

/* The options that are secret ones, or those that are not, by environment. */
static void put_options(struct sl_json_writer *out, const Sluice__V1__DataSource *source,
			bool secret)
{
	sl_json_open_object(out, secret ? "secrets" : "options");
	for (size_t s = 0; s < source->n_settings; s++) {
		const Sluice__V1__SourceSetting *setting = source->settings[s];
		sl_json_open_object(out, setting->environment);
		for (size_t i = 0; i < setting->n_options; i++) {
			const Sluice__V1__SourceOption *option = setting->options[i];
			if (option->secret != secret || !config_is_there(option->state)) {
				continue;
			}
			if (secret) {
				put_from(out, option->name);
			} else {
				sl_json_put_text(out, option->name, option->value);
			}
		}
		sl_json_close(out);
	}
	sl_json_close(out);
}

/* NULL: out of memory. */
static char *export_text(const struct config_lists *lists)
{
	struct sl_json_writer out = {.style = SL_JSON_PRETTY};
	sl_json_open_object(&out, NULL);
	put_names(&out, lists, GLOBAL, "constants");
	put_names(&out, lists, SECRET, "secrets");
	sl_json_open_object(&out, "sources");
	for (size_t i = 0; i < lists->sources->n_sources; i++) {
		const Sluice__V1__DataSource *source = lists->sources->sources[i];
		sl_json_open_object(&out, source->name);
		sl_json_put_text(&out, "kind", source->kind);
		put_options(&out, source, false);
		put_options(&out, source, true);
		sl_json_close(&out);
	}
	sl_json_close(&out);
	sl_json_close(&out);
	return sl_json_finish(&out);
}

/* A value that nobody can read would be lost by what is written. */
static const char *unreadable(const struct config_lists *lists)
{
	for (size_t i = 0; i < lists->names->n_configs; i++) {
		const Sluice__V1__ConfigName *config = lists->names->configs[i];
		for (size_t v = 0; v < config->n_values; v++) {
			if (config->values[v]->state ==
			    SLUICE__V1__CONFIG_STATE__CONFIG_STATE_UNREADABLE) {
				return config->name;
			}
		}
	}
	return NULL;
}

static int export(struct cli *cli, const struct sl_args *args, void *config)
{
	struct config_lists lists;
	(void)args, (void)config;
	if (!config_lists_read(cli, &lists)) {
		return cli_fail(cli);
	}
	const char *lost = unreadable(&lists);
	if (lost != NULL) {
		return cli_complain(CLI_FAILED, "the server cannot read the value of '%s'", lost);
	}
	SL_AUTO(sl_free_auto) char *text = export_text(&lists);
	if (text == NULL) {
		return cli_complain(CLI_FAILED, "out of memory");
	}
	(void)fputs(text, stdout);
	return CLI_DONE;
}

const struct cli_command cli_cmd_config_export = {
    .about = {.name = "config export",
	      .synopsis = "",
	      .summary =
		  "Print constants, secrets' names and data sources as JSON, without secrets"},
    .run = export,
};

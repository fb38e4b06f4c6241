/* Targets: the command lines of sluiced serve, sluice-agent and sluice: sl_command_find,
 * sl_command_parse, what each checks after. Property: no crash; what is taken is within the bounds
 * of its row, and a server that may start without TLS listens on loopback only; what is refused
 * says why and leaves the config untouched.
 *
 * The first byte picks the program, the rest is its arguments, one a line. */
#include <stdlib.h>
#include <string.h>

#include "agent/config/config.h"
#include "base/mem/own.h"
#include "client/cli/cli.h"
#include "server/config/config.h"

enum { ARGS_MAX = 64, CONFIG_MAX = 4096, UNTOUCHED = 0x5a, TEXT_MAX = 4096 };

static const struct sl_command *const server_commands[] = {&server_serve_command, NULL};
static const struct sl_program server_program = {
    .name = "sluiced", .version = "0", .summary = ".", .commands = server_commands};

static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

/* --- a row's bounds --- */

static bool is_choice(const char *choices, const char *text)
{
	size_t length = strlen(text);
	for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
		at += *at == '|' ? 1 : 0;
		if (strncmp(at, text, length) == 0 && (at[length] == '|' || at[length] == '\0')) {
			return true;
		}
	}
	return false;
}

static void check_text(const struct sl_flag *flag, const char *text)
{
	bool given = text != NULL && text[0] != '\0';
	expect(text != NULL && strlen(text) <= (flag->max != 0 ? flag->max : TEXT_MAX));
	expect(!flag->required || strlen(text) >= flag->min);
	expect(flag->choices == NULL || !given || is_choice(flag->choices, text));
}

static void check_list(const struct sl_flag *flag, const struct sl_flag_list *list)
{
	expect((list->count == 0) == (list->items == NULL));
	for (size_t i = 0; i < list->count; i++) {
		expect(flag->kind != SL_FLAG_PAIRS ||
		       (list->items[i][0] != '=' && strchr(list->items[i], '=') != NULL));
	}
}

static void check_row(const struct sl_flag *flag, const char *config)
{
	const void *field = config + flag->offset;
	switch (flag->kind) {
	case SL_FLAG_TEXT:
		check_text(flag, *(const char *const *)field);
		break;
	case SL_FLAG_INT:
	case SL_FLAG_BYTES:
	case SL_FLAG_DURATION:
		expect(flag->fallback == NULL || *(const uint64_t *)field >= flag->min);
		expect(flag->max == 0 || *(const uint64_t *)field <= flag->max);
		break;
	case SL_FLAG_LIST:
	case SL_FLAG_PAIRS:
		check_list(flag, field);
		break;
	case SL_FLAG_BOOL:
		expect(*(const unsigned char *)field <= 1);
		break;
	}
}

static void check_rows(const struct sl_flag *flags, const char *config)
{
	for (; flags != NULL && flags->name != NULL; flags++) {
		check_row(flags, config);
	}
}

/* --- the programs --- */

static void after_server(const struct sl_command *command, void *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct server_config *server = config;
	if (command != &server_serve_command || server_config_settle(server, &err) != SL_OK) {
		return;
	}
	const char *const on[] = {"127.", "localhost:", "[::1]:", "[0", "[::ffff"};
	bool loopback = false;
	for (size_t i = 0; i < SL_COUNT(on); i++) {
		loopback = loopback || strncmp(server->listen, on[i], strlen(on[i])) == 0;
	}
	expect(loopback || !server->insecure);
}

static void after_agent(const struct sl_command *command, void *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (strcmp(command->name, "run") != 0) {
		return; /* the others set fewer fields */
	}
	expect(agent_config_check(config, &err) == SL_OK || err.msg[0] != '\0');
	struct git_limits limits = agent_config_limits(config);
	expect(limits.name_bytes <= 255);
}

static size_t server_config_size(const struct sl_command *command)
{
	(void)command;
	return sizeof(struct server_config);
}

static size_t agent_config_size(const struct sl_command *command)
{
	(void)command;
	return sizeof(struct agent_config);
}

static size_t cli_config_size(const struct sl_command *command)
{
	return SL_CONTAINER_OF(command, const struct cli_command, about)->config_size;
}

static const struct {
	const struct sl_program *program;
	size_t globals_size;
	size_t (*config_size)(const struct sl_command *command);
	void (*after)(const struct sl_command *command, void *config);
} programs[] = {
    {&server_program, 0, server_config_size, after_server},
    {&agent_program, 0, agent_config_size, after_agent},
    {&cli_program, sizeof(struct cli_globals), cli_config_size, NULL},
};

static bool is_untouched(const char *config, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (config[i] != UNTOUCHED) {
			return false;
		}
	}
	return true;
}

static void parse(unsigned which, const struct sl_found *found)
{
	_Alignas(16) static char globals[CONFIG_MAX], config[CONFIG_MAX];
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct sl_args args = {.help = false};
	struct sl_target to_globals = {globals, programs[which].globals_size};
	struct sl_target to_config = {config, programs[which].config_size(found->command)};
	expect(to_config.size <= CONFIG_MAX && to_globals.size <= CONFIG_MAX);
	memset(globals, UNTOUCHED, sizeof(globals));
	memset(config, UNTOUCHED, sizeof(config));
	if (sl_command_parse(programs[which].program, found, to_globals, to_config, &args, &err) !=
	    SL_OK) {
		expect(err.msg[0] != '\0' && is_untouched(globals, sizeof(globals)) &&
		       is_untouched(config, sizeof(config)));
		return;
	}
	if (!args.help && !args.version) {
		check_rows(programs[which].program->flags, globals);
		check_rows(found->command->flags, config);
		expect(args.count >= found->command->args_min &&
		       args.count <= found->command->args_max);
		if (programs[which].after != NULL) {
			programs[which].after(found->command, config);
		}
	}
	sl_args_fini(&args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *argv[ARGS_MAX];
	int argc = 0;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (size < 1) {
		return 0;
	}
	unsigned which = data[0] % SL_COUNT(programs);
	SL_AUTO(sl_free_auto) char *text = calloc(1, size);
	expect(text != NULL);
	memcpy(text, data + 1, size - 1);
	char *line = text;
	for (char *arg = strsep(&line, "\n"); arg != NULL && argc < ARGS_MAX;
	     arg = strsep(&line, "\n")) {
		argv[argc++] = arg;
	}
	struct sl_found found = {.command = NULL};
	if (sl_command_find(programs[which].program, argc, argv, &found, &err) != SL_OK) {
		expect(err.msg[0] != '\0');
		return 0;
	}
	if (found.command != NULL) {
		parse(which, &found);
	}
	return 0;
}

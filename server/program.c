#include "server/program.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "base/flags/flags.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "base/version.h"
#include "server/init.h"
#include "server/keys.h"
#include "server/restore.h"
#include "server/token.h"
#include "server/vault_commands.h"
#include "server/verify.h"

enum { EXIT_FAILED = 3, EXIT_USAGE = 64 };

static const struct sl_exit_code exit_codes[] = {
    {0, "done"},
    {EXIT_FAILED, "failed"},
    {EXIT_USAGE, "the command line is wrong"},
    {0, NULL},
};

static const struct sl_command man_command = {
    .name = "man",
    .synopsis = "[roff|markdown]",
    .summary = "Print this program's man page, or its flags as Markdown",
    .args_max = 1,
};

static const struct sl_command *const commands[] = {&server_init_command,
						    &server_serve_command,
						    &server_restore_command,
						    &server_verify_command,
						    &server_token_command,
						    &server_keys_export_command,
						    &server_keys_show_command,
						    &server_keys_rotate_command,
						    &server_keys_recover_command,
						    &server_rotate_master_command,
						    &server_vault_reset_command,
						    &man_command,
						    NULL};

static const struct sl_program program = {
    .name = "sluiced",
    .version = SLUICE_VERSION,
    .summary = "The control plane of Sluice",
    .description = "Holds which versions of which apps exist, where each has been promoted to and "
		   "which one is released, and tells "
		   "agents what to run.",
    .commands = commands,
    .exit_codes = exit_codes,
};

static int usage_error(const struct sl_err *err)
{
	(void)fprintf(stderr, "sluiced: %s\n", err->msg);
	return EXIT_USAGE;
}

/* What the flags of a command fill. */
union config {
	struct server_config serve;
	struct restore_config restore;
	struct init_config init;
	struct keys_config keys;
	struct token_config token;
	struct vault_config vault;
};

static int run_command(const struct sl_found *found, union config *config,
		       const struct sl_args *args, int (*serve)(const struct server_config *))
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (found->command == &server_verify_command) {
		return server_verify(args->items[0]);
	}
	if (found->command == &server_restore_command) {
		return server_restore(args->items[0], &config->restore);
	}
	if (found->command == &server_init_command) {
		return server_init_keys(&config->init);
	}
	if (found->command == &server_token_command) {
		return server_token(&config->token);
	}
	if (found->command == &server_keys_export_command) {
		return server_keys_export(args->items[0], &config->keys);
	}
	if (found->command == &server_keys_show_command) {
		return server_keys_show(&config->keys);
	}
	if (found->command == &server_keys_rotate_command) {
		return server_keys_rotate(&config->keys);
	}
	if (found->command == &server_keys_recover_command) {
		return server_keys_recover(&config->keys);
	}
	if (found->command == &server_rotate_master_command) {
		return server_rotate_master(&config->vault);
	}
	if (found->command == &server_vault_reset_command) {
		return server_vault_reset(&config->vault);
	}
	if (found->command == &man_command) {
		const char *form = args->count > 0 ? args->items[0] : NULL;
		sl_code code = sl_command_page(stdout, &program, 8, form, &err);
		return code == SL_OK ? EXIT_SUCCESS : usage_error(&err);
	}
	enum sl_log_level level = SL_LOG_INFO;
	if (server_config_settle(&config->serve, &err) != SL_OK ||
	    sl_log_level_parse(config->serve.log_level, &level, &err) != SL_OK) {
		return usage_error(&err);
	}
	sl_log_level_set(level);
	return serve(&config->serve);
}

int program_run(int argc, char **argv, int (*serve)(const struct server_config *config))
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct sl_found found;
	const char *const *words = (const char *const *)(argv + 1);
	if (!sl_crypto_init()) {
		(void)fprintf(stderr, "sluiced: the machine gives no random numbers\n");
		return EXIT_FAILED;
	}
	if (sl_command_find(&program, argc - 1, words, &found, &err) != SL_OK) {
		return usage_error(&err);
	}
	if (found.version) {
		(void)printf("sluiced %s\n", SLUICE_VERSION);
		return EXIT_SUCCESS;
	}
	if (found.command == NULL) {
		sl_command_help(stdout, &program, &found, sl_help_width(stdout));
		return argc > 1 ? EXIT_SUCCESS : EXIT_USAGE;
	}
	static union config config;
	struct sl_args args;
	struct sl_target target = {.config = &config, .size = sizeof(config)};
	if (sl_command_parse(&program, &found, (struct sl_target){NULL, 0}, target, &args, &err) !=
	    SL_OK) {
		return usage_error(&err);
	}
	int status = EXIT_SUCCESS;
	if (args.help) {
		sl_command_help(stdout, &program, &found, sl_help_width(stdout));
	} else {
		status = run_command(&found, &config, &args, serve);
	}
	sl_args_fini(&args);
	return status;
}

#include "server/keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/ca/export.h"

enum { EXIT_FAILED = 3, EXIT_USAGE = 64 };

static const struct sl_flag export_flags[] = {
    {.name = "data",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct keys_config, data),
     .min = 1,
     .required = true,
     .placeholder = "DIR",
     .help = "The data folder; its keys are in DIR/keys. A server may run on it."},
    {.name = NULL},
};

static const struct sl_exit_code exit_codes[] = {
    {0, "FILE holds all keys"},
    {EXIT_FAILED, "it could not be made, or was there; nothing was left behind"},
    {EXIT_USAGE, "the command line is wrong"},
    {0, NULL},
};

const struct sl_command server_keys_export_command = {
    .name = "keys export",
    .synopsis = "FILE --data DIR",
    .summary = "Copy the server's keys to one file",
    .description = "FILE (0600) is a tar archive of DIR/keys: `tar -xpf FILE -C DIR` puts it back. "
		   "Whoever has it is the server: keep it where secrets are kept.",
    .args_min = 1,
    .args_max = 1,
    .flags = export_flags,
    .env_prefix = "SLUICE_",
    .exit_codes = exit_codes,
};

int server_keys_export(const char *file, const struct keys_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	size_t count = 0;
	if (ca_export(config->data, file, sl_clock_unix_ms(), &count, &err) != SL_OK) {
		(void)fprintf(stderr, "sluiced: keys export: %s\n", err.msg);
		return EXIT_FAILED;
	}
	(void)printf("%s holds the %zu key files of %s\n", file, count, config->data);
	return EXIT_SUCCESS;
}

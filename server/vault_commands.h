/* vault_commands: `sluiced keys rotate-master --data DIR` and `sluiced vault reset --data DIR`. */
#ifndef SL_SERVER_VAULT_COMMANDS_H
#define SL_SERVER_VAULT_COMMANDS_H

#include "base/flags/flags.h"

struct vault_config {
	const char *data, *master_key_file;
	bool forget;
};
extern const struct sl_command server_rotate_master_command, server_vault_reset_command;

/* Each prints what it did, or why not on stderr. Returns the exit code. */
int server_rotate_master(const struct vault_config *config);
int server_vault_reset(const struct vault_config *config);

#endif

/* init: `sluiced init --data DIR`: the keys of a new server, and its first principal. */
#ifndef SL_SERVER_INIT_H
#define SL_SERVER_INIT_H

#include "base/flags/flags.h"

struct init_config {
	const char *data;
	struct sl_flag_list names;
	const char *master_key_file;
};
extern const struct sl_command server_init_command;

/* Prints what it did and the secrets that are shown once, or why not on stderr. Returns the exit
 * code. */
int server_init_keys(const struct init_config *config);

#endif

/* keys: `sluiced keys export FILE --data DIR`: all key files in one. */
#ifndef SL_SERVER_KEYS_H
#define SL_SERVER_KEYS_H

#include "base/flags/flags.h"

struct keys_config {
	const char *data;
};
extern const struct sl_command server_keys_export_command;

/* Returns the exit code. */
int server_keys_export(const char *file, const struct keys_config *config);

#endif

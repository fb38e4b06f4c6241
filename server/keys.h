/* keys: `sluiced keys export FILE --data DIR`: all key files in one; `sluiced keys
 * show-manifest|rotate-manifest|recover-manifest --data DIR`: the next key that manifests are
 * signed with. */
#ifndef SL_SERVER_KEYS_H
#define SL_SERVER_KEYS_H

#include "base/flags/flags.h"

struct keys_config {
	const char *data;
	uint64_t epoch; /* of recover-manifest */
};
extern const struct sl_command server_keys_export_command, server_keys_rotate_command,
    server_keys_recover_command, server_keys_show_command;

/* Each prints what it did, or why not on stderr. Returns the exit code. */
int server_keys_show(const struct keys_config *config);
int server_keys_rotate(const struct keys_config *config);
/* Reads the recovery key from stdin. */
int server_keys_recover(const struct keys_config *config);
int server_keys_export(const char *file, const struct keys_config *config);

#endif

/* restore: `sluiced restore FILE --data DIR`: a new data folder of a backup. */
#ifndef SL_SERVER_RESTORE_H
#define SL_SERVER_RESTORE_H

#include "base/flags/flags.h"

struct restore_config {
	const char *data;
	uint64_t raise; /* times 2^32 */
};
extern const struct sl_command server_restore_command;

/* Prints what it did, or why not on stderr. Returns the exit code. */
int server_restore(const char *file, const struct restore_config *config);

#endif

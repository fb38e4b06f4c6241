/* verify: `sluiced verify DIR`: is a store sound? */
#ifndef SL_SERVER_VERIFY_COMMAND_H
#define SL_SERVER_VERIFY_COMMAND_H

#include "base/flags/flags.h"

extern const struct sl_command server_verify_command;

/* Prints what it found, or why it could not look on stderr. Returns the exit code. Before any
 * other thread is started: it forks. */
int server_verify(const char *folder);

#endif

/* program: the command line of sluiced: finds the command, fills what its flags are about, runs it.
 */
#ifndef SL_SERVER_PROGRAM_H
#define SL_SERVER_PROGRAM_H

#include "server/config/config.h"

/* Returns the exit status. `serve` is what `sluiced serve` does. */
int program_run(int argc, char **argv, int (*serve)(const struct server_config *config));

#endif

/* cli: the command line, called by the bench as a person would.
 *
 * Threads: one. */
#ifndef SL_BENCH_CLI_H
#define SL_BENCH_CLI_H

/* Runs `sluice ARGUMENTS` up to NULL against the server in the clear on this port; dies when it
 * fails. Returns how long it took, in milliseconds. */
double cli_run(int port, ...) __attribute__((sentinel));

#endif

/* context: which server and workspace a command is about.
 *
 * Each is looked for on the command line, in SLUICE_SERVER and SLUICE_WORKSPACE, and in
 * the context file: $XDG_CONFIG_HOME/sluice/context.json, else ~/.config/sluice/context.json:
 *
 *   { "server": "127.0.0.1:7443", "workspace": "default" }
 *
 * Threads: reads the environment; none of its own. */
#ifndef SL_CLIENT_CLI_CONTEXT_H
#define SL_CLIENT_CLI_CONTEXT_H

#include "base/err/err.h"

#define CONTEXT_SERVER_DEFAULT "127.0.0.1:7443"

struct context {
	char *server, *workspace; /* owned; workspace is "" when nobody names one */
};

/* Empty flags count as not given. SL_INVALID_ARGUMENT names what is wrong in the file; a file
 * that is not there is fine, and one that is not needed is not read. */
SL_MUST_USE sl_code context_find(const char *server_flag, const char *workspace_flag,
				 struct context *ret_context, struct sl_err *err);
void context_fini(struct context *context);

#endif

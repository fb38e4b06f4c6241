/* context: which server and workspace a command is about, and as whom it goes there.
 *
 * Who is named by --context or SLUICE_CONTEXT is one of those that `sluice login` made
 * (context_store.h). Else server and workspace are looked for on the command line and in
 * SLUICE_SERVER and SLUICE_WORKSPACE, and the context in use says the rest: unless another server
 * than its own was named, or a certificate by --tls-cert and the like. Without any: the file
 * $XDG_CONFIG_HOME/sluice/context.json, else ~/.config/sluice/context.json:
 *
 *   { "server": "127.0.0.1:7443", "workspace": "default" }
 *
 * Threads: reads the environment; none of its own. */
#ifndef SL_CLIENT_CLI_CONTEXT_H
#define SL_CLIENT_CLI_CONTEXT_H

#include "client/cli/context_store.h"

#define CONTEXT_SERVER_DEFAULT "127.0.0.1:7443"

/* The flags; NULL and "" count as not given. */
struct context_wish {
	const char *context, *server, *workspace;
	bool own_tls; /* somebody else's files: the context in use has no say */
};

struct context {
	char *server, *workspace;    /* owned; workspace is "" when nobody names one */
	struct login_context *login; /* owned; NULL: none */
};

/* SL_INVALID_ARGUMENT names what is wrong in the file, or that there is no such context;
 * SL_FAILED_PRECONDITION what of it is not whole. A file that is not there is fine, and one that is
 * not needed is not read. */
SL_MUST_USE sl_code context_find(const struct context_wish *wish, struct context *ret_context,
				 struct sl_err *err);
void context_fini(struct context *context);

/* A flag's value, else that of the variable; NULL: neither says anything. */
const char *context_or_environment(const char *flag, const char *variable);

#endif

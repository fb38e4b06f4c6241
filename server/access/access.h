/* access: before every call: who is it, may it.
 *
 * Until certificates come, `sluiced serve` runs only with --insecure on
 * loopback: every caller is the principal "anonymous" and may do everything.
 * The verb in a method's row is what a right will be about (SEMANTICS, "Who may
 * do what"); a row without one is refused at start. */
#ifndef SL_SERVER_ACCESS_H
#define SL_SERVER_ACCESS_H

#include "base/err/err.h"
#include "server/rpc/rpc.h"
#include "server/rules/rights.h"

struct access_caller {
	const char *principal; /* static or as long as the call */
};

/* Who calls. SL_UNAUTHENTICATED is for later; today it cannot fail. */
SL_MUST_USE sl_code access_identify(const struct rpc_call *call, struct access_caller *ret_caller,
				    struct sl_err *err);
SL_MUST_USE sl_code access_identify_stream(const struct rpc_stream *stream,
					   struct access_caller *ret_caller, struct sl_err *err);

#endif

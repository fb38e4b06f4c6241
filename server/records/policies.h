/* policies: how strict the gates of an environment are.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_POLICIES_H
#define SL_SERVER_RECORDS_POLICIES_H

#include "server/records/records.h"

/* The environment's; the defaults, with revision 0, when none was set. */
SL_MUST_USE sl_code policy_get(const struct store_view *view, struct sl_arena *arena,
			       uint32_t workspace, uint32_t environment,
			       Sluice__Store__V1__PolicyRecord **ret_policy, struct sl_err *err);
/* SL_ABORTED / STALE_REVISION. What is as wanted already stays as it is. */
SL_MUST_USE sl_code policies_decide_set(struct decision *d, uint32_t environment,
					Sluice__V1__GateStrictness contract,
					Sluice__Store__V1__PolicyRecord **ret_policy,
					struct sl_err *err);

#endif

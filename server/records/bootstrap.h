/* bootstrap: what every store holds from its first start on, and how its log is pruned. */
#ifndef SL_SERVER_BOOTSTRAP_H
#define SL_SERVER_BOOTSTRAP_H

#include "server/records/records.h"

/* Makes the workspace `default` when the store is new. Waits for the commit. Before anything else
 * is submitted. */
SL_MUST_USE sl_code records_bootstrap(struct store *store, uint64_t now_ms, struct sl_err *err);

/* May this log record below the floor go? Promotions and releases are read from the log for good;
 * kept replies (from revision `oldest_reply` on) stay until they are too old. For
 * store_options.prune. */
enum store_prune records_prune(struct sl_bytes record, uint64_t revision, uint64_t oldest_reply);

/* The newest revision that was made before `before_ms`; 0: none. For raising the floor by age: a
 * few reads. */
SL_MUST_USE sl_code records_revision_before(const struct store_view *view, uint64_t before_ms,
					    uint64_t *ret_revision, struct sl_err *err);

/* How long the log and the audit sequence are kept; audit 0: for good. */
struct records_keep {
	uint64_t log_ms, audit_ms;
};
/* Submits a command that raises the floor to what is older, and cuts the audit sequence there;
 * answers nobody. Any thread. */
void records_retain(struct store *store, uint64_t now_ms, const struct records_keep *keep);

#endif

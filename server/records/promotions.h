/* promotions: the command that moves a version one environment further, and the
 * record of every move.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_PROMOTIONS_H
#define SL_SERVER_RECORDS_PROMOTIONS_H

#include "server/records/plans.h"
#include "server/records/records.h"
#include "sluice/v1/promotion.pb-c.h"

/* What is asked; nothing is NULL. */
struct promotion_request {
	const char *app, *version; /* names or ids */
	const char *from;          /* where the caller believes it is */
	const char *to;            /* "": the next one */
	struct sl_bytes plan_hash; /* size 0: any */
};

/* What was done. In d->arena. */
struct promotion_outcome {
	Sluice__V1__Promotion *promotion;
	Sluice__V1__Version *version;
	struct plan_pins pins; /* that keep it from running there */
	Sluice__V1__Gate **warnings;
	size_t warning_count;
};

/* Inside a decide(). A draft is sealed by the same command. Of two at once exactly one wins: the
 * other one is SL_ABORTED / STALE_EXPECTATION (metadata `environment` has the current one).
 * SL_ABORTED / STALE_REVISION, STALE_PLAN; SL_FAILED_PRECONDITION / LAST_ENVIRONMENT, GATE_BLOCKED;
 * SL_NOT_FOUND. */
SL_MUST_USE sl_code promotions_decide(struct decision *d, const struct promotion_request *request,
				      struct promotion_outcome *ret_outcome, struct sl_err *err);

/* The promotion of this revision, from the log. SL_NOT_FOUND / PROMOTION_NOT_FOUND, also when it is
 * another workspace's. */
SL_MUST_USE sl_code promotions_get(const struct wire *in, uint64_t revision,
				   Sluice__V1__Promotion **ret_promotion, struct sl_err *err);

/* SL_NOT_FOUND / PROMOTION_NOT_FOUND. */
sl_code promotion_not_found(uint64_t revision, struct sl_err *err);

#endif

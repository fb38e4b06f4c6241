/* selections: pins: which version an environment, or one instance of it, runs instead of the
 * newest.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_SELECTIONS_H
#define SL_SERVER_RECORDS_SELECTIONS_H

#include "server/records/records.h"
#include "server/records/wire.h"
#include "sluice/v1/fleet.pb-c.h"

/* Which pin; nothing is NULL. */
struct selection_place {
	const char *app;         /* name or id */
	const char *environment; /* name or id */
	const char *instance;    /* name or id; "": the whole environment's */
};

struct record_key selection_key(uint32_t workspace, const char *app_id, uint32_t environment,
				const char *instance_id);

/* Inside a decide(). Pins a version until cleared or until it stops being eligible; pinning what is
 * pinned is a success that changes nothing. SL_FAILED_PRECONDITION / NOT_SUPPORTED_THERE: the last
 * environment runs what is released, or the instance is of another environment; NOT_ELIGIBLE.
 * SL_ABORTED / STALE_REVISION. SL_NOT_FOUND. */
SL_MUST_USE sl_code selections_decide_select(struct decision *d,
					     const struct selection_place *place,
					     const char *version,
					     Sluice__V1__Selection **ret_selection,
					     struct sl_err *err);

/* Inside a decide(). *ret_selected: what is selected there now, NULL: nothing. Clearing what is not
 * pinned is a success that changes nothing. SL_ABORTED / STALE_REVISION. SL_NOT_FOUND. */
SL_MUST_USE sl_code selections_decide_clear(struct decision *d, const struct selection_place *place,
					    Sluice__V1__VersionRef **ret_selected,
					    struct sl_err *err);

/* One pin of a walk over table selections as the API tells it; `key` is the walk's. The version may
 * be gone. */
SL_MUST_USE sl_code selections_wire(const struct wire *in, const Sluice__Store__V1__AppRecord *app,
				    struct sl_bytes key, struct sl_bytes value,
				    Sluice__V1__Selection **ret_selection, struct sl_err *err);

#endif

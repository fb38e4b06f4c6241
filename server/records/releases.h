/* releases: the commands that move an app's release pointer, its stack, and the
 * record of every move.
 *
 * The decide functions are called inside a decide() (server/store/store.h). What
 * they return lies in d->arena and is as it will be stored. A refusal leaves
 * changes in d that the caller drops with the command. Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_RELEASES_H
#define SL_SERVER_RECORDS_RELEASES_H

#include "server/records/plans.h"
#include "server/records/records.h"
#include "sluice/v1/release.pb-c.h"

/* What a command made of the pointer. */
struct release_outcome {
	const Sluice__Store__V1__AppRecord *app;
	/* What the caller is told of the pointer now; `previous` is where Rollback would go from
	 * here. */
	Sluice__V1__Release *release;
	uint32_t released; /* number of the released version; 0: none. For wire_version() */
	Sluice__V1__VersionRef *version; /* the same for people; NULL: none */
	Sluice__V1__VersionRef *from;    /* what was released before; NULL: nothing */
	char **skipped;                  /* rollback: entries passed by, with why */
	size_t skipped_count;
	struct plan *plan; /* release, rollback: what it was decided on; NULL: nothing changed */
};

/* Releases a version in production. What is released already is a success that changes nothing.
 * SL_ABORTED / STALE_REVISION, STALE_PLAN; SL_FAILED_PRECONDITION / GATE_BLOCKED; SL_NOT_FOUND. */
SL_MUST_USE sl_code releases_decide_release(struct decision *d, const char *app,
					    const char *version, struct sl_bytes plan_hash,
					    struct release_outcome *ret_outcome,
					    struct sl_err *err);
/* SL_FAILED_PRECONDITION / RELEASE_NOT_FOUND when nothing is released. */
SL_MUST_USE sl_code releases_decide_withdraw(struct decision *d, const char *app,
					     struct release_outcome *ret_outcome,
					     struct sl_err *err);
/* Goes back to `to` (name or id), or when it is "" to PREVIOUS. A target that is released already
 * is a success that changes nothing. One that was popped off the stack before is pushed again.
 * SL_ABORTED / STALE_REVISION, STALE_PLAN; SL_FAILED_PRECONDITION / GATE_BLOCKED, NO_PREVIOUS;
 * SL_NOT_FOUND. */
SL_MUST_USE sl_code releases_decide_rollback(struct decision *d, const char *app, const char *to,
					     struct sl_bytes plan_hash,
					     struct release_outcome *ret_outcome,
					     struct sl_err *err);

/* The same as parts of BlockVersion(RECALL) of the released version: expected_revision is left to
 * the caller, events, history and facts are written, and the version that is released now is never
 * the target ("previous" passes it by; named, it is SL_FAILED_PRECONDITION /
 * RELEASED_NEEDS_DECISION). `to` is a name or id, or "" for PREVIOUS. */
SL_MUST_USE sl_code releases_decide_rollback_in(struct decision *d,
						const Sluice__Store__V1__AppRecord *app,
						const char *to, struct release_outcome *ret_outcome,
						struct sl_err *err);
SL_MUST_USE sl_code releases_decide_withdraw_in(struct decision *d,
						const Sluice__Store__V1__AppRecord *app,
						struct release_outcome *ret_outcome,
						struct sl_err *err);

/* The pointer as the API tells it. */
SL_MUST_USE sl_code releases_get(const struct wire *in, const Sluice__Store__V1__AppRecord *app,
				 Sluice__V1__Release **ret_release, struct sl_err *err);

/* The change that a revision made, from the log. SL_DATA_LOSS: the index names a revision whose
 * record lacks it. */
SL_MUST_USE sl_code releases_read_change(const struct wire *in, uint64_t revision,
					 const char *app_id, Sluice__V1__ReleaseChange **ret_change,
					 struct sl_err *err);

#endif

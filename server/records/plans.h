/* plans: what an act would find. One function per act gathers everything that its
 * gates look at from a view and evaluates them; Plan and the act itself call the
 * same one.
 *
 * Everything lies in the arena of the caller's. Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_PLANS_H
#define SL_SERVER_RECORDS_PLANS_H

#include "server/records/records.h"
#include "server/records/wire.h"
#include "server/rules/gates.h"
#include "server/rules/rights.h"
#include "sluice/v1/promotion.pb-c.h"

/* Who asks for a plan, and what that one may do. */
struct plan_asker {
	const char *principal;
	const struct rights *rights; /* NULL, or everything: no right is asked for */
};

/* What a plan is made on. */
struct plan_base {
	struct wire in;
	struct plan_asker asker;
	const Sluice__Store__V1__AppRecord *app;
	const Sluice__Store__V1__ReleaseRecord
	    *release; /* the app's pointer; NULL: never released */
};

struct plan {
	const Sluice__Store__V1__AppRecord *app;
	Sluice__Store__V1__VersionRecord *version;
	Sluice__Store__V1__PublicationRecord *publication; /* NULL: not sealed */
	uint32_t target;                                   /* environment number */
	struct gates_input input;
	struct gates gates;
	uint8_t hash[SL_HASH_BYTES];
	uint64_t policy_revision; /* of what the target's policy decided; 0: nothing */
	uint32_t stack_depth; /* rollback: of the target's newest entry in the stack; 0: it is not
				 in it */
	/* Rollback: entries passed by on the way to PREVIOUS, with why. */
	char **skipped;
	size_t skipped_count;
};

/* `asker` NULL: nobody in particular. */
SL_MUST_USE sl_code plan_base_load(const struct wire *in, const Sluice__Store__V1__AppRecord *app,
				   const struct plan_asker *asker, struct plan_base *ret_base,
				   struct sl_err *err);

/* target 0: the environment after the version's own.
 * SL_FAILED_PRECONDITION / LAST_ENVIRONMENT: it is in the last one. */
SL_MUST_USE sl_code plan_promote(const struct plan_base *base,
				 Sluice__Store__V1__VersionRecord *version, uint32_t target,
				 struct plan *ret_plan, struct sl_err *err);
/* Counts instances: walks all of the workspace's. */
SL_MUST_USE sl_code plan_release(const struct plan_base *base,
				 Sluice__Store__V1__VersionRecord *version, struct plan *ret_plan,
				 struct sl_err *err);
/* `to`: name or id; "": PREVIOUS.
 * SL_FAILED_PRECONDITION / NO_PREVIOUS: nothing to go back to. SL_NOT_FOUND: no such version. */
SL_MUST_USE sl_code plan_rollback(const struct plan_base *base, const char *to,
				  struct plan *ret_plan, struct sl_err *err);

/* What an act asks of its plan: the hash that the caller saw still holds (size 0: any), and every
 * gate lets through. SL_ABORTED / STALE_PLAN; SL_FAILED_PRECONDITION / GATE_BLOCKED with every gate
 * that holds back in the details. */
SL_MUST_USE sl_code plan_require(const struct plan *plan, struct sl_bytes plan_hash,
				 struct sl_err *err);

/* The gates that warn, as the API tells them. */
Sluice__V1__Gate **plan_warnings(const struct plan *plan, struct sl_arena *arena,
				 size_t *ret_count);

/* What keeps the version from running in `target` once it is in: pins in force for another version.
 * In the arena. */
struct plan_pins {
	Sluice__V1__VersionRef *environment; /* NULL: no pin of the whole environment */
	Sluice__V1__Selection **instances;   /* pins of one instance each, the first 100 */
	size_t instance_count;
};
SL_MUST_USE sl_code plan_pins(const struct plan_base *base, const struct plan *plan,
			      struct plan_pins *ret_pins, struct sl_err *err);

/* The whole plan as the API tells it, with what the target runs now and how many instances have the
 * version. */
SL_MUST_USE sl_code plan_wire(const struct plan_base *base, const struct plan *plan,
			      Sluice__V1__Plan **ret_plan, struct sl_err *err);

#endif

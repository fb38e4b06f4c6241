/* pushes: drafts that a development instance commits and pushes by itself.
 *
 * PushWorkingCopy owes a commit (table owed) that names the instance instead of an upload, and
 * gives the instance the app's lease (table leases): until it ends or is broken no other one
 * pushes. The instance's agent is told the order on its stream until it answers, or until
 * the order's time is over. Then gitsync looks for the commit: so every order ends in one commit,
 * or in none and the word that there is none. */
#ifndef SL_SERVER_RECORDS_PUSHES_H
#define SL_SERVER_RECORDS_PUSHES_H

#include "server/records/commits.h"
#include "server/records/wire.h"
#include "sluice/v1/agent.pb-c.h"

/* The longest time of an order; how much later nobody waits for an answer any more; how long a
 * lease lasts behind the last push. */
enum { PUSH_MAX_MS = 300000, PUSH_GRACE_MS = 5000, LEASE_MS = 3600000 };

/* --- leases ------------------------------------------------------------------------------ */

/* The one that holds at that time; SL_NOT_FOUND leaves *err alone: none does. */
SL_MUST_USE sl_code lease_get(const struct store_view *view, struct sl_arena *arena,
			      uint32_t workspace, const char *app_id, uint64_t now_ms,
			      Sluice__Store__V1__LeaseRecord **ret_lease, struct sl_err *err);
/* NULL when its instance is gone, or memory is out. */
Sluice__V1__Lease *wire_lease(const struct wire *w, const Sluice__Store__V1__AppRecord *app,
			      const Sluice__Store__V1__LeaseRecord *lease);
/* The same of the app's, as it is at that time; *ret_lease stays NULL when there is none. */
SL_MUST_USE sl_code lease_show(const struct wire *w, const Sluice__Store__V1__AppRecord *app,
			       uint64_t now_ms, Sluice__V1__Lease **ret_lease, struct sl_err *err);
/* Those of one instance, by app id. */
SL_MUST_USE sl_code leases_of_instance(const struct wire *w, const char *instance_id,
				       uint64_t now_ms, Sluice__V1__Lease ***ret_leases,
				       size_t *ret_count, struct sl_err *err);
/* SL_NOT_FOUND / LEASE_NOT_FOUND. */
SL_MUST_USE sl_code leases_decide_break(struct decision *d, const Sluice__Store__V1__AppRecord *app,
					Sluice__Store__V1__LeaseRecord **ret_lease,
					struct sl_err *err);

/* --- orders -------------------------------------------------------------------------------- */

/* The app's newest draft in development. SL_FAILED_PRECONDITION / NO_DRAFT. */
SL_MUST_USE sl_code pushes_find_draft(const struct store_view *view, struct sl_arena *arena,
				      uint32_t workspace, const Sluice__Store__V1__AppRecord *app,
				      Sluice__Store__V1__VersionRecord **ret_version,
				      struct sl_err *err);

/* SL_FAILED_PRECONDITION: NOT_SUPPORTED_THERE (no development instance, or the app is not placed
 * there), LEASE_HELD, PUSH_UNDER_WAY, CONTENT_NOT_READY (the app's folder is about to move), and
 * what versions_decide_push() says. */
SL_MUST_USE sl_code pushes_decide_order(struct decision *d, const Sluice__Store__V1__AppRecord *app,
					Sluice__Store__V1__VersionRecord *version,
					const Sluice__Store__V1__InstanceRecord *instance,
					const struct commit_push *push,
					Sluice__Store__V1__LeaseRecord **ret_lease,
					struct sl_err *err);

/* The order that waits for an instance, without login. SL_NOT_FOUND: there is none. */
struct push_order {
	const char *instance_id;
	Sluice__V1__AgentPush *message; /* in the arena */
};
SL_MUST_USE sl_code push_order_get(const struct store_view *view, struct sl_arena *arena,
				   uint32_t workspace, const Sluice__Store__V1__AppRecord *app,
				   uint64_t now_ms, struct push_order *ret_order,
				   struct sl_err *err);

/* What the agent of an instance said; the strings are not to be trusted. What is not of an order
 * that waits for it changes nothing. */
SL_MUST_USE sl_code pushes_decide_answer(struct decision *d, const char *instance_id,
					 const Sluice__V1__AgentPushed *answer, struct sl_err *err);

/* What a look for the commit of an instance's push means when there is none. */
Sluice__V1__ContentReason push_reason(const Sluice__Store__V1__OwedCommit *commit);
/* In words, in the arena. */
const char *push_text(struct sl_arena *arena, const Sluice__Store__V1__OwedCommit *commit);

#endif

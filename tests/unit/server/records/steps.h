/* steps: a real store in a scratch folder, and the commands that move versions, called by name.
 * What Git and agents would report is written by the commands that record it.
 *
 * Everything that is returned lies in steps.arena until the end of the test. Teardown closes the
 * store and verifies it. */
#ifndef SL_TESTS_RECORDS_STEPS_H
#define SL_TESTS_RECORDS_STEPS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/records/desired_load.h"
#include "server/records/promotions.h"
#include "server/records/releases.h"
#include "server/records/selections.h"

enum { STEPS_WORKSPACE = 1 }; /* number of `default` */

struct steps {
	char *path;
	struct store *store;
	struct sl_arena arena;
	uint64_t now_ms;            /* of the last command; each is a second later */
	uint64_t expected_revision; /* of the next command only */
	const char *reason;         /* of the next command only; NULL: none */
	/* Of the last command: */
	sl_code code;
	struct sl_err err;
	uint64_t revision; /* 0: it changed nothing */
	bool history;
	Sluice__V1__Event **events;
	size_t event_count;
	Sluice__V1__AuditObject object;
	struct promotion_outcome promotion;
	struct release_outcome release;
	Sluice__V1__Selection *selection;
	Sluice__V1__VersionRef *selected;
};

int steps_setup(void **state);
int steps_teardown(void **state);

/* Any command. */
typedef sl_code steps_decide(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err);
sl_code steps_run(struct steps *s, steps_decide *decide, const void *in);
/* The last command was refused so, changed nothing and says what it was about. */
void steps_refused(const struct steps *s, sl_code code, enum sl_reason reason, const char *says);
/* It was done; or, it was a success that changed nothing. */
void steps_done(const struct steps *s);
void steps_same(const struct steps *s);
/* The metadata of the last error; "" when there is none of this key. And how many gates it lists.
 */
const char *steps_meta(const struct steps *s, const char *key);
size_t steps_gates(const struct steps *s);
/* The event of a kind that the last command made; must be there. */
const Sluice__V1__Event *steps_event(const struct steps *s, Sluice__V1__EventKind kind);

/* --- what comes before; all must succeed -------------------------------------------- */

/* App `shop` in a repository that takes tags or not, with v1, RESOLVING. */
void steps_shop(struct steps *s, Sluice__V1__PublishMode publish);
void steps_version(struct steps *s, const char *name);
void steps_ready(struct steps *s, const char *version, uint8_t digest_fill);
/* The same, with what its sluice.json requires. */
void steps_requires(struct steps *s, const char *version, uint8_t digest_fill,
		    Sluice__V1__Contract *contract);
void steps_failed(struct steps *s, const char *version, Sluice__V1__ContentReason reason);
void steps_seal(struct steps *s, const char *version);
void steps_published(struct steps *s, const char *version);
void steps_publish_failed(struct steps *s, const char *version, Sluice__V1__ContentReason reason);
/* READY (digest: 32 times the last character of its name), published, in production. Makes the
 * version unless it is v1. */
void steps_produce(struct steps *s, const char *version);
/* An instance without labels; returns its id. */
const char *steps_instance(struct steps *s, const char *name, uint32_t environment);
/* Its agent has these versions of `shop` on disk. */
void steps_staged(struct steps *s, const char *instance_id, const char *version);

/* --- commands ------------------------------------------------------------------------- */

sl_code steps_promote(struct steps *s, const char *version, const char *from);
sl_code steps_release(struct steps *s, const char *version);
sl_code steps_withdraw(struct steps *s);
sl_code steps_rollback(struct steps *s, const char *to);
sl_code steps_block(struct steps *s, const char *version, Sluice__V1__BlockMode mode,
		    const char *rollback_to);
sl_code steps_unblock(struct steps *s, const char *version);
sl_code steps_select(struct steps *s, const char *version, const char *environment,
		     const char *instance);
sl_code steps_clear(struct steps *s, const char *environment, const char *instance);

/* --- looking -------------------------------------------------------------------------- */

Sluice__Store__V1__AppRecord *steps_app(struct steps *s);
Sluice__Store__V1__VersionRecord *steps_get(struct steps *s, const char *version);
/* NULL: none. */
Sluice__Store__V1__FactsRecord *steps_facts(struct steps *s, const char *version,
					    uint32_t environment);
Sluice__Store__V1__ReleaseRecord *steps_pointer(struct steps *s);
/* The plan of an act now. */
sl_code steps_plan(struct steps *s, enum gates_action action, const char *version,
		   struct plan *ret_plan);
Sluice__V1__Plan *steps_plan_wire(struct steps *s, enum gates_action action, const char *version);
/* What the rules make of the store; "v2 by pin keeps v2 v3". instance_id "": the environment. */
const char *steps_desired(struct steps *s, uint32_t environment, const char *instance_id);

#endif

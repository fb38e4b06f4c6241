#include "server/records/releases.h"

#include "base/mem/own.h"
#include "server/records/history.h"
#include "server/records/release_stack.h"
#include "server/records/versions.h"
#include "server/rules/releases.h"

/* A change of the pointer on its way. */
struct change {
	struct decision *d;
	struct plan_base base;
	struct plan plan;
	Sluice__V1__ReleaseChangeKind kind;
	Sluice__Store__V1__VersionRecord *from, *to; /* NULL: nothing */
	uint32_t depth;                              /* of the stack afterwards */
};

static uint32_t released_number(const struct plan_base *base)
{
	return base->release != NULL ? base->release->version : 0;
}

static sl_code begin(struct change *c, const Sluice__Store__V1__AppRecord *app, struct sl_err *err)
{
	struct decision *d = c->d;
	struct wire in = wire_of(d);
	const struct plan_asker asker = {.principal = d->principal, .rights = d->rights};
	sl_code code = plan_base_load(&in, app, &asker, &c->base, err);
	uint32_t released = code == SL_OK ? released_number(&c->base) : 0;
	d->object.app_id = app->id;
	d->object.environment = ENV_PRODUCTION;
	if (released == 0) {
		return code;
	}
	code = version_get(d->view, d->arena, d->workspace, app->id, released, &c->from, err);
	return code != SL_NOT_FOUND
		   ? code
		   : sl_err_set(err, SL_DATA_LOSS,
				"app '%s' has released version number %u, which is gone", app->id,
				released);
}

static sl_code expect(const struct change *c, struct sl_err *err)
{
	const Sluice__Store__V1__ReleaseRecord *release = c->base.release;
	return decision_expect(c->d, "the release of app", c->base.app->name,
			       release != NULL ? release->revision : 0, err);
}

/* --- what is told --------------------------------------------------------------------- */

/* `release` NULL: never released. It may be one that is not stored yet: what lies below the top of
 * its stack is. */
static sl_code wire_release(const struct plan_base *base,
			    const Sluice__Store__V1__ReleaseRecord *release,
			    Sluice__V1__Release **ret_release, struct sl_err *err)
{
	struct release_target previous;
	sl_code code = release_stack_previous(&base->in, base->app->id, release, &previous, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__V1__Release *told = SL_ARENA_NEW(base->in.arena, Sluice__V1__Release);
	if (told == NULL) {
		return sl_err_no_memory(err);
	}
	sluice__v1__release__init(told);
	told->app_id = base->app->id;
	told->app = base->app->name;
	told->previous = wire_version_ref_get(&base->in, base->app->id, previous.version);
	if (release != NULL) {
		told->version = wire_version_ref_get(&base->in, base->app->id, release->version);
		told->at = wire_time(base->in.arena, release->at_ms);
		told->by = release->by;
		told->revision = release->revision;
	}
	*ret_release = told;
	return SL_OK;
}

static Sluice__V1__ReleaseChange *change_of(const struct change *c)
{
	const struct decision *d = c->d;
	Sluice__V1__ReleaseChange *told = SL_ARENA_NEW(d->arena, Sluice__V1__ReleaseChange);
	if (told == NULL) {
		return NULL;
	}
	sluice__v1__release_change__init(told);
	told->revision = d->revision;
	told->app_id = c->base.app->id;
	told->app = c->base.app->name;
	told->kind = c->kind;
	told->from = c->from != NULL ? wire_version_ref(d->arena, c->from) : NULL;
	told->to = c->to != NULL ? wire_version_ref(d->arena, c->to) : NULL;
	told->at = wire_time(d->arena, d->now_ms);
	told->by = (char *)d->principal;
	told->reason = (char *)d->reason;
	told->skipped = c->plan.skipped;
	told->n_skipped = c->plan.skipped_count;
	return told;
}

/* --- writing --------------------------------------------------------------------------- */

/* The stack's entry at c->depth, unless it is there already. */
static void put_entry(const struct change *c)
{
	struct decision *d = c->d;
	Sluice__Store__V1__ReleaseEntryRecord entry = SLUICE__STORE__V1__RELEASE_ENTRY_RECORD__INIT;
	entry.version = c->to->number;
	entry.revision = d->revision;
	entry.version_id = c->to->id;
	entry.version_name = c->to->name;
	struct record_key key = release_entry_key(d->workspace, c->base.app->id, c->depth);
	decision_put(d, TABLE_RELEASE_STACK, &key, &entry.base);
}

/* Facts remember the first release of a version for good. */
static sl_code put_facts(const struct change *c, struct sl_err *err)
{
	struct decision *d = c->d;
	const char *app_id = c->base.app->id;
	Sluice__Store__V1__FactsRecord *facts = NULL;
	sl_code code = facts_get(&c->base.in, c->to, ENV_PRODUCTION, &facts, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_DATA_LOSS,
				  "version '%s' is in production and has no facts there",
				  c->to->id);
	}
	if (code != SL_OK || facts->first_released_ms != 0) {
		return code;
	}
	facts->first_released_ms = d->now_ms;
	struct record_key key = facts_key(d->workspace, app_id, c->to->number, ENV_PRODUCTION);
	decision_put(d, TABLE_FACTS, &key, &facts->base);
	return SL_OK;
}

static Sluice__Store__V1__ReleaseRecord *put_pointer(const struct change *c)
{
	struct decision *d = c->d;
	Sluice__Store__V1__ReleaseRecord *pointer =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__ReleaseRecord);
	if (pointer == NULL) {
		return NULL;
	}
	sluice__store__v1__release_record__init(pointer);
	pointer->version = c->to != NULL ? c->to->number : 0;
	pointer->depth = c->depth;
	pointer->at_ms = d->now_ms;
	pointer->by = (char *)d->principal;
	pointer->revision = d->revision;
	struct record_key key = KEY(d->workspace, key_text(k, c->base.app->id));
	decision_put(d, TABLE_RELEASES, &key, &pointer->base);
	return pointer;
}

static void add_history(const struct change *c)
{
	struct decision *d = c->d;
	struct record_key key =
	    KEY(d->workspace, key_text(k, c->base.app->id), key_u64(k, d->revision));
	decision_put_bytes(d, TABLE_RELEASE_HISTORY, &key, SL_BYTES("", 0));
	Sluice__V1__Event *event = decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED,
						  SLUICE__V1__EVENT_KIND__EVENT_KIND_RELEASE,
						  c->base.app->id, ENV_PRODUCTION, NULL);
	event->object_case = SLUICE__V1__EVENT__OBJECT_RELEASE;
	event->release = change_of(c);
	d->history = true;
}

static sl_code tell(const struct change *c, const Sluice__Store__V1__ReleaseRecord *pointer,
		    bool changed, struct release_outcome *ret_outcome, struct sl_err *err)
{
	struct sl_arena *arena = c->d->arena;
	struct release_outcome outcome = {.app = c->base.app,
					  .released = pointer != NULL ? pointer->version : 0};
	sl_code code = wire_release(&c->base, pointer, &outcome.release, err);
	if (code != SL_OK) {
		return code;
	}
	outcome.version = outcome.release->version;
	outcome.from = c->from != NULL ? wire_version_ref(arena, c->from) : NULL;
	outcome.skipped = c->plan.skipped;
	outcome.skipped_count = c->plan.skipped_count;
	if (changed && c->kind != SLUICE__V1__RELEASE_CHANGE_KIND__RELEASE_CHANGE_KIND_WITHDRAWN) {
		outcome.plan = sl_arena_dup(arena, &c->plan, sizeof(c->plan));
	}
	*ret_outcome = outcome;
	return SL_OK;
}

static sl_code write_change(struct change *c, struct release_outcome *ret_outcome,
			    struct sl_err *err)
{
	sl_code code = c->to != NULL ? put_facts(c, err) : SL_OK;
	if (code != SL_OK) {
		return code;
	}
	const Sluice__Store__V1__ReleaseRecord *pointer = put_pointer(c);
	add_history(c);
	if (pointer == NULL) {
		return sl_err_no_memory(err);
	}
	return tell(c, pointer, true, ret_outcome, err);
}

static uint32_t stack_depth(const struct plan_base *base)
{
	return base->release != NULL ? base->release->depth : 0;
}

/* --- release ---------------------------------------------------------------------------- */

/* Number of the version on top of the stack; 0: it is empty. */
static sl_code read_top(const struct change *c, uint32_t *ret_top, struct sl_err *err)
{
	const struct decision *d = c->d;
	struct record_key key =
	    release_entry_key(d->workspace, c->base.app->id, stack_depth(&c->base));
	Sluice__Store__V1__ReleaseEntryRecord *entry = NULL;
	*ret_top = 0;
	if (stack_depth(&c->base) == 0) {
		return SL_OK;
	}
	sl_code code =
	    record_get(d->view, d->arena, TABLE_RELEASE_STACK, &key,
		       &sluice__store__v1__release_entry_record__descriptor, &entry, err);
	if (code == SL_OK) {
		*ret_top = entry->version;
	}
	return code;
}

static sl_code push(struct change *c, struct sl_err *err)
{
	uint32_t top = 0;
	sl_code code = read_top(c, &top, err);
	if (code != SL_OK) {
		return code;
	}
	uint32_t depth = stack_depth(&c->base);
	c->depth = release_push_depth(depth, top, c->to->number);
	if (c->depth != depth) {
		put_entry(c);
	}
	return SL_OK;
}

/* The gates say what they say; the error names the app and the version. */
static sl_code require(struct change *c, struct sl_bytes plan_hash, struct sl_err *err)
{
	c->d->object.version_id = c->plan.version->id;
	sl_code code = plan_require(&c->plan, plan_hash, err);
	bool back = c->plan.input.action == GATES_ROLLBACK;
	return code == SL_FAILED_PRECONDITION
		   ? sl_err_wrap(err, "%s version '%s' of app '%s'",
				 back ? "rollback to" : "release of", c->plan.version->name,
				 c->base.app->name)
		   : code;
}

static sl_code release_other(struct change *c, struct sl_bytes plan_hash,
			     struct release_outcome *ret_outcome, struct sl_err *err)
{
	sl_code code = plan_release(&c->base, c->to, &c->plan, err);
	code = code != SL_OK ? code : require(c, plan_hash, err);
	code = code != SL_OK ? code : push(c, err);
	return code != SL_OK ? code : write_change(c, ret_outcome, err);
}

sl_code releases_decide_release(struct decision *d, const char *app, const char *version,
				struct sl_bytes plan_hash, struct release_outcome *ret_outcome,
				struct sl_err *err)
{
	struct change c = {.d = d,
			   .kind = SLUICE__V1__RELEASE_CHANGE_KIND__RELEASE_CHANGE_KIND_RELEASED};
	Sluice__Store__V1__AppRecord *record = NULL;
	sl_code code = app_find(d->view, d->arena, d->workspace, app, &record, err);
	code = code != SL_OK
		   ? code
		   : version_find(d->view, d->arena, d->workspace, record, version, &c.to, err);
	code = code != SL_OK ? code : begin(&c, record, err);
	code = code != SL_OK ? code : expect(&c, err);
	if (code != SL_OK) {
		return code;
	}
	if (released_number(&c.base) == c.to->number) {
		return tell(&c, c.base.release, false, ret_outcome, err);
	}
	return release_other(&c, plan_hash, ret_outcome, err);
}

/* --- withdraw --------------------------------------------------------------------------- */

static sl_code withdraw(struct change *c, struct release_outcome *ret_outcome, struct sl_err *err)
{
	if (c->from == NULL) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_RELEASE_NOT_FOUND,
		    "nothing of app '%s' is released, so there is nothing to withdraw",
		    c->base.app->name);
	}
	c->kind = SLUICE__V1__RELEASE_CHANGE_KIND__RELEASE_CHANGE_KIND_WITHDRAWN;
	c->depth = stack_depth(&c->base);
	return write_change(c, ret_outcome, err);
}

sl_code releases_decide_withdraw(struct decision *d, const char *app,
				 struct release_outcome *ret_outcome, struct sl_err *err)
{
	struct change c = {.d = d};
	Sluice__Store__V1__AppRecord *record = NULL;
	sl_code code = app_find(d->view, d->arena, d->workspace, app, &record, err);
	code = code != SL_OK ? code : begin(&c, record, err);
	code = code != SL_OK ? code : expect(&c, err);
	return code != SL_OK ? code : withdraw(&c, ret_outcome, err);
}

sl_code releases_decide_withdraw_in(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				    struct release_outcome *ret_outcome, struct sl_err *err)
{
	struct change c = {.d = d};
	sl_code code = begin(&c, app, err);
	return code != SL_OK ? code : withdraw(&c, ret_outcome, err);
}

/* --- rollback --------------------------------------------------------------------------- */

static sl_code roll_back(struct change *c, struct sl_bytes plan_hash,
			 struct release_outcome *ret_outcome, struct sl_err *err)
{
	sl_code code = require(c, plan_hash, err);
	if (code != SL_OK) {
		return code;
	}
	c->kind = SLUICE__V1__RELEASE_CHANGE_KIND__RELEASE_CHANGE_KIND_ROLLBACK;
	c->to = c->plan.version;
	c->depth = release_pop_depth(stack_depth(&c->base), c->plan.stack_depth);
	if (c->plan.stack_depth == 0) {
		put_entry(c);
	}
	return write_change(c, ret_outcome, err);
}

sl_code releases_decide_rollback(struct decision *d, const char *app, const char *to,
				 struct sl_bytes plan_hash, struct release_outcome *ret_outcome,
				 struct sl_err *err)
{
	struct change c = {.d = d};
	Sluice__Store__V1__AppRecord *record = NULL;
	sl_code code = app_find(d->view, d->arena, d->workspace, app, &record, err);
	code = code != SL_OK ? code : begin(&c, record, err);
	code = code != SL_OK ? code : expect(&c, err);
	code = code != SL_OK ? code : plan_rollback(&c.base, to, &c.plan, err);
	if (code != SL_OK) {
		return code;
	}
	if (released_number(&c.base) == c.plan.version->number) {
		return tell(&c, c.base.release, false, ret_outcome, err);
	}
	return roll_back(&c, plan_hash, ret_outcome, err);
}

sl_code releases_decide_rollback_in(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				    const char *to, struct release_outcome *ret_outcome,
				    struct sl_err *err)
{
	struct change c = {.d = d};
	sl_code code = begin(&c, app, err);
	code = code != SL_OK ? code : plan_rollback(&c.base, to, &c.plan, err);
	if (code != SL_OK) {
		return code;
	}
	if (released_number(&c.base) == c.plan.version->number) {
		return sl_err_because(
		    err, SL_FAILED_PRECONDITION, SL_REASON_RELEASED_NEEDS_DECISION,
		    "app '%s' cannot be rolled back to version '%s', which is what is released",
		    app->name, c.plan.version->name);
	}
	return roll_back(&c, SL_BYTES_NONE, ret_outcome, err);
}

/* --- reading ---------------------------------------------------------------------------- */

sl_code releases_get(const struct wire *in, const Sluice__Store__V1__AppRecord *app,
		     Sluice__V1__Release **ret_release, struct sl_err *err)
{
	struct plan_base base;
	sl_code code = plan_base_load(in, app, NULL, &base, err);
	return code != SL_OK ? code : wire_release(&base, base.release, ret_release, err);
}

sl_code releases_read_change(const struct wire *in, uint64_t revision, const char *app_id,
			     Sluice__V1__ReleaseChange **ret_change, struct sl_err *err)
{
	Sluice__V1__Event *event = NULL;
	sl_code code = history_event(in, revision, SLUICE__V1__EVENT_KIND__EVENT_KIND_RELEASE,
				     app_id, &event, err);
	if (code == SL_OK && event->object_case == SLUICE__V1__EVENT__OBJECT_RELEASE) {
		*ret_change = event->release;
		return SL_OK;
	}
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	return sl_err_set(
	    err, SL_DATA_LOSS,
	    "the release history names revision %lu, and the log has no release of it",
	    (unsigned long)revision);
}

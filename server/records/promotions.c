#include "server/records/promotions.h"

#include <string.h>

#include "server/records/commits.h"
#include "server/records/history.h"
#include "server/records/versions.h"

/* A promotion on its way. */
struct move {
	struct decision *d;
	struct plan_base base;
	struct plan plan;
	Sluice__Store__V1__AppRecord *app;
	Sluice__Store__V1__VersionRecord *version;
	Sluice__Store__V1__PublicationRecord *publication; /* NULL: not sealed */
	uint32_t from, to;                                 /* to 0: the next one */
};

static sl_code find(struct move *m, const struct promotion_request *request, struct sl_err *err)
{
	struct decision *d = m->d;
	sl_code code = app_find(d->view, d->arena, d->workspace, request->app, &m->app, err);
	code = code != SL_OK ? code
			     : version_find(d->view, d->arena, d->workspace, m->app,
					    request->version, &m->version, err);
	code = code != SL_OK ? code : environment_find(request->from, &m->from, err);
	if (code == SL_OK && request->to[0] != '\0') {
		code = environment_find(request->to, &m->to, err);
	}
	return code;
}

/* Is the version what and where the caller believes? */
static sl_code expect(const struct move *m, struct sl_err *err)
{
	if (m->version->environment == m->from) {
		return decision_expect(m->d, "version", m->version->name, m->version->revision,
				       err);
	}
	sl_code code = sl_err_because(
	    err, SL_ABORTED, SL_REASON_STALE_EXPECTATION,
	    "version '%s' of app '%s' is in %s, not in %s as expected", m->version->name,
	    m->app->name, environment_name(m->version->environment), environment_name(m->from));
	sl_err_meta(err, "environment", "%s", environment_name(m->version->environment));
	return code;
}

static sl_code plan_move(struct move *m, struct sl_bytes plan_hash, struct sl_err *err)
{
	struct decision *d = m->d;
	struct wire in = wire_of(d);
	const struct plan_asker asker = {.principal = d->principal, .rights = d->rights};
	sl_code code = plan_base_load(&in, m->app, &asker, &m->base, err);
	code = code != SL_OK ? code : plan_promote(&m->base, m->version, m->to, &m->plan, err);
	if (code != SL_OK) {
		return code;
	}
	d->object.app_id = m->app->id;
	d->object.version_id = m->version->id;
	d->object.environment = m->plan.target;
	code = plan_require(&m->plan, plan_hash, err);
	return code == SL_FAILED_PRECONDITION
		   ? sl_err_wrap(err, "version '%s' of app '%s' to %s", m->version->name,
				 m->app->name, m->plan.input.target.name)
		   : code;
}

/* --- writing -------------------------------------------------------------------- */

static Sluice__V1__Promotion *promotion_of(const struct move *m)
{
	const struct decision *d = m->d;
	Sluice__V1__Promotion *promotion = SL_ARENA_NEW(d->arena, Sluice__V1__Promotion);
	if (promotion == NULL) {
		return NULL;
	}
	sluice__v1__promotion__init(promotion);
	promotion->revision = d->revision;
	promotion->app_id = m->app->id;
	promotion->app = m->app->name;
	promotion->version = wire_version_ref(d->arena, m->version);
	promotion->from = (char *)environment_name(m->from);
	promotion->to = (char *)environment_name(m->plan.target);
	promotion->at = wire_time(d->arena, d->now_ms);
	promotion->by = (char *)d->principal;
	promotion->reason = (char *)d->reason;
	promotion->plan_hash.data = sl_arena_dup(d->arena, m->plan.hash, sizeof(m->plan.hash));
	promotion->plan_hash.len = promotion->plan_hash.data != NULL ? sizeof(m->plan.hash) : 0;
	promotion->commit = m->version->content->commit;
	promotion->digest = m->version->content->digest;
	return promotion;
}

static void put_indexes(const struct move *m)
{
	struct decision *d = m->d;
	struct record_key by_app =
	    KEY(d->workspace, key_text(k, m->app->id), key_u64(k, d->revision));
	struct record_key by_revision = KEY(d->workspace, key_u64(k, d->revision));
	decision_put_bytes(d, TABLE_PROMOTIONS, &by_app, SL_BYTES("", 0));
	decision_put_bytes(d, TABLE_PROMOTIONS_BY_REVISION, &by_revision,
			   sl_bytes_text(m->app->id));
}

static void add_events(const struct move *m, const struct promotion_outcome *outcome)
{
	struct decision *d = m->d;
	Sluice__V1__Event *moved = decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED,
						  SLUICE__V1__EVENT_KIND__EVENT_KIND_PROMOTION,
						  m->app->id, m->plan.target, NULL);
	moved->object_case = SLUICE__V1__EVENT__OBJECT_PROMOTION;
	moved->promotion = outcome->promotion;
	Sluice__V1__Event *changed = decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED,
						    SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION,
						    m->app->id, m->plan.target, NULL);
	changed->object_case = SLUICE__V1__EVENT__OBJECT_VERSION;
	changed->version = outcome->version;
	d->history = true;
}

static sl_code write_move(struct move *m, struct promotion_outcome *outcome, struct sl_err *err)
{
	struct decision *d = m->d;
	m->publication = m->plan.publication;
	if (m->version->state != SLUICE__V1__VERSION_STATE__VERSION_STATE_SEALED) {
		sl_code code = version_seal_in(d, m->app, m->version, &m->publication, err);
		if (code != SL_OK) {
			return code;
		}
	}
	sl_code code = version_enter_in(d, m->version, m->plan.target, err);
	if (code != SL_OK) {
		return code;
	}
	version_put(d, m->version);
	put_indexes(m);
	struct wire wire = wire_of(d);
	uint32_t released = m->base.release != NULL ? m->base.release->version : 0;
	outcome->version = wire_version(&wire, m->version, m->app, m->publication, released);
	outcome->promotion = promotion_of(m);
	outcome->warnings = plan_warnings(&m->plan, d->arena, &outcome->warning_count);
	add_events(m, outcome);
	code = commits_owe_promoted(d, m->app, m->version, m->from, m->plan.target, err);
	return code != SL_OK ? code : plan_pins(&m->base, &m->plan, &outcome->pins, err);
}

sl_code promotions_decide(struct decision *d, const struct promotion_request *request,
			  struct promotion_outcome *ret_outcome, struct sl_err *err)
{
	struct move m = {.d = d};
	struct promotion_outcome outcome = {0};
	sl_code code = find(&m, request, err);
	code = code != SL_OK ? code : expect(&m, err);
	code = code != SL_OK ? code : plan_move(&m, request->plan_hash, err);
	code = code != SL_OK ? code : write_move(&m, &outcome, err);
	if (code == SL_OK) {
		*ret_outcome = outcome;
	}
	return code;
}

sl_code promotion_not_found(uint64_t revision, struct sl_err *err)
{
	return sl_err_because(err, SL_NOT_FOUND, SL_REASON_PROMOTION_NOT_FOUND,
			      "no promotion of revision %lu", (unsigned long)revision);
}

/* --- reading -------------------------------------------------------------------- */

sl_code promotions_get(const struct wire *in, uint64_t revision,
		       Sluice__V1__Promotion **ret_promotion, struct sl_err *err)
{
	Sluice__V1__Event *event = NULL;
	sl_code code = history_event(in, revision, SLUICE__V1__EVENT_KIND__EVENT_KIND_PROMOTION,
				     NULL, &event, err);
	if (code == SL_OK && event->object_case == SLUICE__V1__EVENT__OBJECT_PROMOTION) {
		*ret_promotion = event->promotion;
		return SL_OK;
	}
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	return promotion_not_found(revision, err);
}

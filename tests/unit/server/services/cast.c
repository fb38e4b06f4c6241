#include "tests/unit/server/services/cast.h"

#include <stdio.h>
#include <string.h>

#include "base/id/id.h"
#include "server/fleet/fleet.h"
#include "server/records/principals.h"
#include "server/services/requests.h"

static const struct sl_token_key token_key = {{3}};

void cast_begin(struct cast *c)
{
	void *state = NULL;
	*c = (struct cast){.w = NULL};
	(void)world_setup(&state);
	struct world *w = c->w = state;
	assert_int_equal(requests_new(100, 1000000, &w->services.requests, &w->err), SL_OK);
	assert_int_equal(
	    fleet_new(&(struct fleet_options){.store = w->store}, &w->services.fleet, &w->err),
	    SL_OK);
	(void)world_repository(w, "web", SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS);
	(void)world_app(w, "shop", "web");
	world_produce(w, "shop", "v1", true);
	(void)world_version(w, "shop", "tested");
	world_ready(w, "shop", "tested", 5);
	world_promote(w, "shop", "tested");
	world_published(w, "shop", "tested");
	(void)world_version(w, "shop", "draft");
	world_ready(w, "shop", "draft", 9);
	(void)world_app(w, "blog", "web");
	(void)world_instance(w, "dev-1", ENV_DEVELOPMENT);
	calls_people(w);
	assert_int_equal(calls_make(w, "CreateWorkspace",
				    calls_request(w, "CreateWorkspace", "name=acme", "", ""), NULL),
			 SL_OK);
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(w->store, &view, &w->err), SL_OK);
	assert_int_equal(workspace_find(view, "acme", &c->acme, &w->err), SL_OK);
	store_view_end(view);
	const struct access_options options = {.store = w->store, .token_key = &token_key};
	assert_int_equal(access_new(&options, &c->closed, &w->err), SL_OK);
}

void cast_end(struct cast *c)
{
	void *state = c->w;
	fleet_stop(c->w->services.fleet);
	access_free(c->closed == c->w->services.access ? NULL : c->closed);
	access_free(c->w->services.access);
	requests_free(c->w->services.requests);
	struct fleet *fleet = c->w->services.fleet;
	assert_int_equal(world_teardown(&state), 0);
	fleet_free(fleet);
}

/* --- identities --- */

static sl_code put_identity(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const Sluice__Store__V1__IdentityRecord *record = in;
	struct record_key key = identity_key(record->id);
	(void)out, (void)err;
	decision_put(d, TABLE_IDENTITIES, &key, &record->base);
	access_changed(d);
	return SL_OK;
}

const char *cast_come_as(struct cast *c, uint32_t workspace, const char *subject, bool agent,
			 bool revoked)
{
	struct world *w = c->w;
	Sluice__Store__V1__IdentityRecord record = SLUICE__STORE__V1__IDENTITY_RECORD__INIT;
	record.id = sl_arena_strdup(&w->arena, sl_id_new("idn").text);
	record.kind = agent ? SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_AGENT
			    : SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_PRINCIPAL;
	record.workspace = workspace;
	record.subject_id = (char *)subject;
	record.revoked_ms = revoked ? 1 : 0;
	record.revision = 1;
	assert_int_equal(world_run(w, put_identity, &record, NULL), SL_OK);
	c->peer = (struct rpc_peer_identity){.not_after_ms = UINT64_MAX};
	(void)snprintf(c->peer.uri, sizeof(c->peer.uri), "spiffe://sluice/%s/%s/%s",
		       agent ? "agent" : "principal", subject, record.id);
	w->peer = &c->peer;
	return record.id;
}

const char *cast_come_with(struct cast *c, uint32_t workspace, const char *const *grants,
			   size_t count)
{
	static unsigned number;
	char *name = sl_arena_printf(&c->w->arena, "p%u", ++number);
	const char *id = calls_principal(c->w, workspace, name, grants, count);
	(void)cast_come_as(c, workspace, id, false, false);
	return id;
}

sl_code cast_try(struct cast *c, const struct sample *sample)
{
	return calls_make(c->w, sample->method,
			  calls_request(c->w, sample->method, sample->fields, "", ""), NULL);
}

uint64_t cast_head(struct cast *c)
{
	struct store_stats stats;
	store_stats_read(c->w->store, &stats);
	return stats.revision;
}

void cast_must_be(const struct cast *c, const struct sample *sample, const char *who, sl_code code,
		  enum sl_reason reason)
{
	if (c->w->code != code || c->w->err.reason != reason) {
		fail_msg("%s %s as %s: %s %s: %s", sample->method, sample->fields, who,
			 sl_code_name(c->w->code), sl_reason_name(c->w->err.reason), c->w->err.msg);
	}
}

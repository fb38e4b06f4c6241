#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"

static char *text(const char *borrowed)
{
	return (char *)(uintptr_t)borrowed; /* protobuf-c never writes through it */
}

static Google__Protobuf__Timestamp *now_stamp(struct sl_arena *arena)
{
	Google__Protobuf__Timestamp *at = SL_ARENA_NEW(arena, Google__Protobuf__Timestamp);
	if (at != NULL) {
		uint64_t now = sl_clock_unix_ms();
		google__protobuf__timestamp__init(at);
		at->seconds = (int64_t)(now / 1000);
		at->nanos = (int32_t)(now % 1000 * 1000000);
	}
	return at;
}

/* A version's content may have been set anew: only what the manifest means by
 * its id counts as staged. */
static bool is_staged(const struct loop *loop, const struct state_app *app,
		      const struct state_version *version)
{
	const Sluice__V1__ManifestApp *want = manifest_app(loop->manifest, app->id);
	const Sluice__V1__Bundle *bundle = want != NULL ? manifest_bundle(want, version->id) : NULL;
	return version->on_disk && version->id[0] != '\0' &&
	       (bundle == NULL || reconcile_version(app, bundle) == version);
}

static size_t staged_ids(const struct loop *loop, const struct state_app *app,
			 struct sl_arena *arena, char ***ret_ids)
{
	char **ids = SL_ARENA_ARRAY(arena, char *, app->version_count + 1);
	size_t count = 0;
	for (size_t i = 0; ids != NULL && i < app->version_count; i++) {
		if (is_staged(loop, app, app->versions[i])) {
			ids[count++] = app->versions[i]->id;
		}
	}
	*ret_ids = ids;
	return count;
}

static const char *active_id(const struct state_app *app)
{
	const struct state_version *active = state_active(app);
	return active != NULL ? active->id : "";
}

static Sluice__V1__Drift *drift_of(const struct run *run, struct sl_arena *arena)
{
	struct state_modified *modified = run->app->modified;
	Sluice__V1__Drift *drift =
	    modified == NULL && run->corrected == 0 ? NULL : SL_ARENA_NEW(arena, Sluice__V1__Drift);
	if (drift == NULL) {
		return NULL;
	}
	sluice__v1__drift__init(drift);
	drift->corrected = run->corrected;
	drift->modified = modified != NULL ? modified->count : 0;
	drift->files = SL_ARENA_ARRAY(arena, char *, STATE_MODIFIED_MAX);
	for (size_t i = 0; modified != NULL && drift->files != NULL && i < modified->file_count;
	     i++) {
		drift->files[drift->n_files++] = modified->files[i];
	}
	return drift;
}

static Sluice__V1__HeldConfig *config_of(const struct run *run, struct sl_arena *arena)
{
	const struct state_app *app = run->app;
	return app->config_size == 0 ? NULL
				     : sluice__v1__held_config__unpack(
					   sl_arena_protobuf(arena), app->config_size, app->config);
}

static Sluice__V1__AgentReport *make_report(const struct loop *loop, const struct run *run,
					    const struct reconcile_view *view,
					    struct sl_arena *arena)
{
	Sluice__V1__AgentReport *report = SL_ARENA_NEW(arena, Sluice__V1__AgentReport);
	if (report == NULL) {
		return NULL;
	}
	sluice__v1__agent_report__init(report);
	report->app_id = run->app->id;
	report->version_id = text(view->subject != NULL ? view->subject->id : "");
	report->phase = view->phase;
	uint32_t attempt = view->subject != NULL ? view->subject->attempt : 1;
	report->attempt = attempt == 0 ? 1 : attempt;
	report->sequence = loop->state->sequence;
	report->error_class = view->error_class;
	report->error = text(view->error);
	report->active_version_id = text(active_id(run->app));
	report->n_staged_version_ids =
	    staged_ids(loop, run->app, arena, &report->staged_version_ids);
	report->percent = view->percent / 25 * 25;
	report->working_copy = drafts_view(loop, run, arena);
	report->drift = drift_of(run, arena);
	report->config = config_of(run, arena);
	return report;
}

static struct reconcile_view view_of(const struct loop *loop, const struct run *run)
{
	struct run *pulling = NULL;
	const struct state_version *pulled = work_pulled(loop, &pulling);
	struct reconcile_activity activity = {.activating = run->sm.at != RUN_QUIET};
	if (pulled != NULL && pulling == run) {
		activity.pulling = pulled;
		activity.verifying = pull_is_verifying(loop->pull);
		activity.percent = pull_percent(loop->pull);
	}
	struct reconcile_input in = loop_input(loop, run);
	return reconcile_view(&in, run->app, &activity);
}

/* Of everything but the time: whether there is something to tell. */
static bool report_hash(const Sluice__V1__AgentReport *report, struct sl_arena *arena,
			uint8_t out[static SL_HASH_BYTES])
{
	size_t size = sluice__v1__agent_report__get_packed_size(report);
	uint8_t *bytes = sl_arena_alloc(arena, size);
	if (bytes == NULL) {
		return false;
	}
	(void)sluice__v1__agent_report__pack(report, bytes);
	sl_hash(out, bytes, size, NULL, 0);
	return true;
}

static bool send(struct loop *loop, Sluice__V1__AgentReport *report, struct sl_arena *arena)
{
	report->at = now_stamp(arena);
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_REPORT;
	request.report = report;
	return session_send(loop->session, &request);
}

/* A version that is not the subject: once, then the subject again, so that the
 * last word about an app is about what it serves. False: not now. */
static bool tell_aside(struct loop *loop, struct run *run, struct sl_arena *arena)
{
	const struct state_version *version = state_version_by_id(run->app, run->aside_id);
	struct reconcile_view subject = view_of(loop, run);
	if (version == NULL || version == subject.subject) {
		run->aside_id[0] = '\0';
		return true;
	}
	struct reconcile_view view = reconcile_view_of(version);
	Sluice__V1__AgentReport *report = make_report(loop, run, &view, arena);
	if (report == NULL || !send(loop, report, arena)) {
		return false;
	}
	run->aside_id[0] = '\0';
	run->told = false;
	return true;
}

/* False: the session takes no more now. */
static bool tell(struct loop *loop, struct run *run, struct sl_arena *arena)
{
	uint8_t hash[SL_HASH_BYTES];
	if (run->app->id[0] == '\0') {
		return true; /* nobody knows which app it is */
	}
	if (run->aside_id[0] != '\0' && !tell_aside(loop, run, arena)) {
		return false;
	}
	struct reconcile_view view = view_of(loop, run);
	Sluice__V1__AgentReport *report = make_report(loop, run, &view, arena);
	if (report == NULL || !report_hash(report, arena, hash)) {
		return false;
	}
	if (run->told && memcmp(hash, run->told_hash, SL_HASH_BYTES) == 0) {
		return true;
	}
	if (!send(loop, report, arena)) {
		return false;
	}
	run->told = true;
	memcpy(run->told_hash, hash, SL_HASH_BYTES);
	log_debug("told", "app=%s version=%s phase=%d", run->app->slug, report->version_id,
		  (int)report->phase);
	return true;
}

enum { REFUSAL_EVERY_MS = 1000 };

/* At most one a second: a server that goes on and on is told of the last one, with their number. */
static void tell_refusal(struct loop *loop)
{
	uint64_t now = sl_clock_mono_ms();
	if (now < loop->refusal_mono_ms + REFUSAL_EVERY_MS) {
		loop_wake_at(loop, loop->refusal_mono_ms + REFUSAL_EVERY_MS);
		return;
	}
	struct sl_arena arena;
	sl_arena_init(&arena, 0);
	Sluice__V1__AgentRefusal refusal = SLUICE__V1__AGENT_REFUSAL__INIT;
	refusal.error_class = SLUICE__V1__ERROR_CLASS__ERROR_CLASS_MANIFEST_REFUSED;
	refusal.error = loop->refusal_why;
	refusal.sequence = loop->state->sequence;
	refusal.count = loop->refusals;
	refusal.at = now_stamp(&arena);
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_REFUSAL;
	request.refusal = &refusal;
	if (session_send(loop->session, &request)) {
		loop->refusal_due = false;
		loop->refusal_mono_ms = now;
	}
	sl_arena_fini(&arena);
}

void report_step(struct loop *loop)
{
	bool on = loop->session != NULL && session_is_greeted(loop->session);
	if (on && loop->refusal_due) {
		tell_refusal(loop);
	}
	for (size_t i = 0; on && i < loop->run_count; i++) {
		struct sl_arena arena;
		sl_arena_init(&arena, 0);
		on = tell(loop, loop->runs[i], &arena) && pushes_tell(loop, loop->runs[i]);
		sl_arena_fini(&arena);
	}
}

static Sluice__V1__AppInventory *inventory_of(const struct loop *loop, const struct run *run,
					      struct sl_arena *arena)
{
	Sluice__V1__AppInventory *inventory = SL_ARENA_NEW(arena, Sluice__V1__AppInventory);
	struct reconcile_view view = view_of(loop, run);
	Sluice__V1__AgentReport *report = make_report(loop, run, &view, arena);
	if (inventory == NULL || report == NULL) {
		return NULL;
	}
	report->at = now_stamp(arena);
	sluice__v1__app_inventory__init(inventory);
	inventory->app_id = run->app->id;
	inventory->slug = run->app->slug;
	inventory->active_version_id = report->active_version_id;
	inventory->n_staged_version_ids = report->n_staged_version_ids;
	inventory->staged_version_ids = report->staged_version_ids;
	inventory->last = report;
	inventory->orphaned = view.orphaned;
	const uint8_t *stamp = held_stamp(&loop->held, run->app->id);
	if (stamp != NULL) {
		inventory->config = (ProtobufCBinaryData){
		    .data = sl_arena_dup(arena, stamp, SL_HASH_BYTES), .len = SL_HASH_BYTES};
	}
	return inventory;
}

/* What is sealed for an agent that has no identity. */
static void put_box_key(const struct loop *loop, Sluice__V1__AgentHello *hello,
			struct sl_arena *arena)
{
	hello->box_key.data = sl_arena_alloc(arena, SL_BOX_PUBLIC_BYTES);
	if (hello->box_key.data != NULL) {
		hello->box_key.len = SL_BOX_PUBLIC_BYTES;
		sl_box_public(loop->own_key, hello->box_key.data);
	}
}

void report_greet(void *ctx, Sluice__V1__AgentHello *hello, struct sl_arena *arena)
{
	struct loop *loop = ctx;
	const struct state *state = loop->state;
	loop->greet_mono_ms = sl_clock_mono_ms();
	source_tests_drop(loop);
	hello->workspace = text(loop->config->workspace);
	hello->instance = text(loop->config->instance);
	hello->instance_id = text(state->instance_id);
	hello->agent_version = text(AGENT_VERSION);
	hello->protocol = 1;
	hello->manifest_trees = true;
	/* What another key signed says nothing of the order of this one's. */
	bool in_order = state->trust.epoch == 0 || !state->trust.order_open;
	hello->sequence = in_order ? state->sequence : 0;
	hello->key_epoch = state->trust.epoch;
	if (state->trust.epoch != 0) {
		hello->manifest_key = (ProtobufCBinaryData){.data = loop->state->trust.manifest_key,
							    .len = SL_SIGN_PUBLIC_BYTES};
	}
	if (state->manifest != NULL && in_order) {
		hello->manifest_digest.data = sl_arena_alloc(arena, SL_HASH_BYTES);
		if (hello->manifest_digest.data != NULL) {
			hello->manifest_digest.len = SL_HASH_BYTES;
			sl_hash(hello->manifest_digest.data, state->manifest, state->manifest_size,
				NULL, 0);
		}
	}
	if (loop->identity == NULL) {
		put_box_key(loop, hello, arena);
	}
	hello->inventory = SL_ARENA_ARRAY(arena, Sluice__V1__AppInventory *, loop->run_count + 1);
	for (size_t i = 0; !sl_arena_failed(arena) && i < loop->run_count; i++) {
		if (loop->runs[i]->app->id[0] != '\0') {
			hello->inventory[hello->n_inventory++] =
			    inventory_of(loop, loop->runs[i], arena);
		}
	}
}

/* What the Hello said need not be said again. */
void report_greeted(void *ctx)
{
	struct loop *loop = ctx;
	for (size_t i = 0; i < loop->run_count; i++) {
		struct run *run = loop->runs[i];
		struct sl_arena arena;
		sl_arena_init(&arena, 0);
		struct reconcile_view view = view_of(loop, run);
		Sluice__V1__AgentReport *report = make_report(loop, run, &view, &arena);
		run->told = report != NULL && report_hash(report, &arena, run->told_hash);
		run->aside_id[0] = '\0';
		sl_arena_fini(&arena);
	}
}

void report_forget(struct loop *loop)
{
	for (size_t i = 0; i < loop->run_count; i++) {
		loop->runs[i]->told = false;
	}
}

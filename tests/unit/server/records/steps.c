#include "tests/unit/server/records/steps.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "base/id/id.h"
#include "server/records/apps.h"
#include "server/records/bootstrap.h"
#include "server/records/placement.h"
#include "server/records/repositories.h"
#include "server/records/statuses.h"
#include "server/records/verify.h"
#include "server/records/versions.h"
#include "tests/lib/tmpdir.h"

int steps_setup(void **state)
{
	struct steps *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	assert_true(sl_crypto_init());
	s->path = tmpdir_new();
	s->now_ms = 1800000000000u;
	s->err = (struct sl_err)SL_ERR_INIT;
	sl_arena_init(&s->arena, 0);
	struct store_options options = {.path = s->path,
					.map_bytes = 64 << 20,
					.queue_max = 64,
					.tables = record_table_names,
					.table_count = TABLE_COUNT};
	assert_int_equal(store_open(&options, &s->store, &s->err), SL_OK);
	assert_int_equal(records_bootstrap(s->store, s->now_ms, &s->err), SL_OK);
	*state = s;
	return 0;
}

int steps_teardown(void **state)
{
	struct steps *s = *state;
	uint64_t checked = 0, faults = 0;
	store_free(s->store);
	sl_err_clear(&s->err);
	sl_code code = records_verify(s->path, stderr, &checked, &faults, &s->err);
	sl_err_clear(&s->err);
	sl_arena_fini(&s->arena);
	tmpdir_free(s->path);
	free(s);
	return code == SL_OK && checked > 0 && faults == 0 ? 0 : -1;
}

/* --- commands --------------------------------------------------------------------- */

struct command {
	struct store_cmd cmd;
	struct steps *s;
	steps_decide *decide;
	const void *in;
	sem_t finished;
};

static sl_code command_decide(struct store_cmd *cmd, const struct store_view *view,
			      struct store_changes *changes, struct sl_err *err)
{
	struct command *c = SL_CONTAINER_OF(cmd, struct command, cmd);
	struct steps *s = c->s;
	struct decision d = {
	    .view = view,
	    .changes = changes,
	    .arena = &s->arena,
	    .revision = store_changes_revision(changes),
	    .now_ms = s->now_ms,
	    .workspace = STEPS_WORKSPACE,
	    .workspace_name = "default",
	    .principal = "ann",
	    .method = "Test",
	    .reason = s->reason != NULL ? s->reason : "",
	    .expected_revision = s->expected_revision,
	    .object = SLUICE__V1__AUDIT_OBJECT__INIT,
	};
	static const uint8_t secret[32] = "only for tests, and always so";
	d.secret = secret;
	for (size_t i = 0; i < DECISION_IDS; i++) {
		d.ids[i] = sl_arena_strdup(d.arena, sl_id_new("new").text + 4);
	}
	sl_code code = c->decide(&d, s, c->in, err);
	s->object = d.object;
	s->history = code == SL_OK && d.history;
	s->events = d.events;
	s->event_count = code == SL_OK ? d.event_count : 0;
	if (code == SL_OK && d.changed) {
		decision_log(&d, NULL);
	}
	assert_true(d.changed || d.event_count == 0);
	return code;
}

static void command_done(struct store_cmd *cmd)
{
	sem_post(&SL_CONTAINER_OF(cmd, struct command, cmd)->finished);
}

sl_code steps_run(struct steps *s, steps_decide *decide, const void *in)
{
	struct command c = {
	    .s = s,
	    .decide = decide,
	    .in = in,
	    .cmd = {.decide = command_decide, .done = command_done, .err = SL_ERR_INIT}};
	sl_err_clear(&s->err);
	s->now_ms += 1000;
	sem_init(&c.finished, 0, 0);
	assert_int_equal(store_submit(s->store, &c.cmd, &s->err), SL_OK);
	while (sem_wait(&c.finished) != 0) {
	}
	sem_destroy(&c.finished);
	assert_false(sl_arena_failed(&s->arena));
	s->code = c.cmd.code;
	s->revision = c.cmd.revision;
	s->expected_revision = 0;
	s->reason = NULL;
	sl_err_move(&s->err, &c.cmd.err);
	assert_int_equal(s->code, s->err.code);
	return s->code;
}

void steps_refused(const struct steps *s, sl_code code, enum sl_reason reason, const char *says)
{
	if (s->code != code || s->err.reason != reason || strstr(s->err.msg, says) == NULL) {
		fail_msg("%s / %s '%s', not %s / %s '%s'", sl_code_name(s->code),
			 sl_reason_name(s->err.reason), s->err.msg, sl_code_name(code),
			 sl_reason_name(reason), says);
	}
	assert_int_equal(s->revision, 0);
}

void steps_done(const struct steps *s)
{
	if (s->code != SL_OK || s->revision == 0) {
		fail_msg("%s / %s, revision %lu: %s", sl_code_name(s->code),
			 sl_reason_name(s->err.reason), (unsigned long)s->revision, s->err.msg);
	}
}

void steps_same(const struct steps *s)
{
	if (s->code != SL_OK || s->revision != 0) {
		fail_msg("%s, revision %lu: %s", sl_code_name(s->code), (unsigned long)s->revision,
			 s->err.msg);
	}
}

const char *steps_meta(const struct steps *s, const char *key)
{
	for (const struct sl_detail *at = s->err.details; at != NULL; at = at->next) {
		if (at->kind == SL_DETAIL_METADATA && strcmp(at->subject, key) == 0) {
			return at->text;
		}
	}
	return "";
}

size_t steps_gates(const struct steps *s)
{
	size_t count = 0;
	for (const struct sl_detail *at = s->err.details; at != NULL; at = at->next) {
		count += at->kind == SL_DETAIL_GATE ? 1 : 0;
	}
	return count;
}

const Sluice__V1__Event *steps_event(const struct steps *s, Sluice__V1__EventKind kind)
{
	for (size_t i = 0; i < s->event_count; i++) {
		if (s->events[i]->kind == kind) {
			return s->events[i];
		}
	}
	fail_msg("no event of kind %d", (int)kind);
	return NULL;
}

/* --- what comes before -------------------------------------------------------------- */

static sl_code repository_decide(struct decision *d, struct steps *s, const void *in,
				 struct sl_err *err)
{
	Sluice__Store__V1__RepositoryRecord *record = NULL;
	(void)s;
	return repositories_decide_create(d, in, &record, err);
}

static sl_code app_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	struct app_created created;
	(void)s;
	return apps_decide_create(d, in, &created, err);
}

void steps_shop(struct steps *s, Sluice__V1__PublishMode publish)
{
	struct repository_new repository = {.name = "code",
					    .url = "https://example.com/code.git",
					    .branch = "",
					    .publish = publish};
	struct app_new app = {.name = "shop",
			      .display_name = "",
			      .repository = "code",
			      .repository_url = "",
			      .path = "",
			      .version_name = "",
			      .commit = ""};
	(void)steps_run(s, repository_decide, &repository);
	steps_done(s);
	(void)steps_run(s, app_decide, &app);
	steps_done(s);
}

/* For commands that are about one version of `shop`. */
struct about {
	const char *version;
	Sluice__V1__BlockMode mode;
	const char *rollback_to;
};

static sl_code find(struct decision *d, const struct about *about,
		    Sluice__Store__V1__AppRecord **ret_app,
		    Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	sl_code code = app_find(d->view, d->arena, d->workspace, "shop", ret_app, err);
	return code != SL_OK ? code
			     : version_find(d->view, d->arena, d->workspace, *ret_app,
					    about->version, ret_version, err);
}

static sl_code version_decide(struct decision *d, struct steps *s, const void *in,
			      struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	(void)s;
	sl_code code = app_find(d->view, d->arena, d->workspace, "shop", &app, err);
	struct version_wanted wanted = {.name = in, .description = "", .from = "", .commit = ""};
	return code != SL_OK ? code : versions_decide_create(d, app, &wanted, &version, err);
}

void steps_version(struct steps *s, const char *name)
{
	(void)steps_run(s, version_decide, name);
	steps_done(s);
}

static sl_code content_decide(struct decision *d, struct steps *s, const void *in,
			      struct sl_err *err)
{
	(void)s;
	return versions_decide_content_result(d, in, err);
}

void steps_ready(struct steps *s, const char *version, uint8_t digest_fill)
{
	steps_requires(s, version, digest_fill, NULL);
}

void steps_requires(struct steps *s, const char *version, uint8_t digest_fill,
		    Sluice__V1__Contract *contract)
{
	const Sluice__Store__V1__VersionRecord *record = steps_get(s, version);
	uint8_t digest[32];
	memset(digest, digest_fill, sizeof(digest));
	struct version_content_result result = {
	    .app_id = record->app_id,
	    .version = record->number,
	    .generation = record->content->generation,
	    .commit = "0123456789abcdef0123456789abcdef01234567",
	    .tree = "89abcdef0123456789abcdef0123456789abcdef",
	    .ref = "refs/heads/main",
	    .digest = digest,
	    .files = 3,
	    .bytes = 300,
	    .contract = contract,
	};
	(void)steps_run(s, content_decide, &result);
	steps_done(s);
}

void steps_failed(struct steps *s, const char *version, Sluice__V1__ContentReason reason)
{
	const Sluice__Store__V1__VersionRecord *record = steps_get(s, version);
	struct version_content_result result = {.app_id = record->app_id,
						.version = record->number,
						.generation = record->content->generation,
						.reason = reason,
						.text = "it did not work",
						.next_ms = s->now_ms + 60000};
	(void)steps_run(s, content_decide, &result);
	steps_done(s);
}

static sl_code seal_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	Sluice__Store__V1__PublicationRecord *publication = NULL;
	(void)s;
	sl_code code = find(d, in, &app, &version, err);
	return code != SL_OK ? code : versions_decide_seal(d, app, version, &publication, err);
}

void steps_seal(struct steps *s, const char *version)
{
	(void)steps_run(s, seal_decide, &(struct about){.version = version});
	steps_done(s);
}

static sl_code publish_decide(struct decision *d, struct steps *s, const void *in,
			      struct sl_err *err)
{
	(void)s;
	return versions_decide_publish_result(d, in, err);
}

void steps_published(struct steps *s, const char *version)
{
	const Sluice__Store__V1__VersionRecord *record = steps_get(s, version);
	struct version_publish_result result = {.app_id = record->app_id,
						.version = record->number,
						.commit =
						    "fedcba9876543210fedcba9876543210fedcba98"};
	(void)steps_run(s, publish_decide, &result);
	steps_done(s);
}

void steps_publish_failed(struct steps *s, const char *version, Sluice__V1__ContentReason reason)
{
	const Sluice__Store__V1__VersionRecord *record = steps_get(s, version);
	struct version_publish_result result = {.app_id = record->app_id,
						.version = record->number,
						.reason = reason,
						.text = "the host said no",
						.next_ms = s->now_ms + 60000};
	(void)steps_run(s, publish_decide, &result);
	steps_done(s);
}

void steps_produce(struct steps *s, const char *version)
{
	if (strcmp(version, "v1") != 0) {
		steps_version(s, version);
	}
	steps_ready(s, version, (uint8_t)version[strlen(version) - 1]);
	assert_int_equal(steps_promote(s, version, "development"), SL_OK);
	steps_published(s, version);
	assert_int_equal(steps_promote(s, version, "staging"), SL_OK);
}

struct instance {
	const char *id, *name;
	uint32_t environment;
};

static sl_code instance_decide(struct decision *d, struct steps *s, const void *in,
			       struct sl_err *err)
{
	const struct instance *instance = in;
	Sluice__Store__V1__InstanceRecord record = SLUICE__STORE__V1__INSTANCE_RECORD__INIT;
	(void)s, (void)err;
	record.id = (char *)instance->id;
	record.name = (char *)instance->name;
	record.environment = instance->environment;
	record.revision = d->revision;
	struct record_key by_id = KEY(d->workspace, key_text(k, record.id));
	struct record_key by_name = KEY(d->workspace, key_text(k, record.name));
	decision_put(d, TABLE_INSTANCES, &by_id, &record.base);
	decision_put_bytes(d, TABLE_INSTANCES_BY_NAME, &by_name, sl_bytes_text(record.id));
	placement_put(d, &record);
	return SL_OK;
}

const char *steps_instance(struct steps *s, const char *name, uint32_t environment)
{
	struct instance instance = {sl_arena_strdup(&s->arena, sl_id_new("ins").text), name,
				    environment};
	(void)steps_run(s, instance_decide, &instance);
	steps_done(s);
	return instance.id;
}

struct staged {
	const char *instance_id, *app_id, *version_id;
};

static sl_code staged_decide(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	const struct staged *staged = in;
	Sluice__Store__V1__StatusRecord record = SLUICE__STORE__V1__STATUS_RECORD__INIT;
	char *ids[] = {(char *)staged->version_id};
	(void)s, (void)err;
	record.version_id = ids[0];
	record.phase = SLUICE__V1__PHASE__PHASE_STAGED;
	record.n_staged_version_ids = 1;
	record.staged_version_ids = ids;
	record.at_ms = d->now_ms;
	status_put(d, staged->instance_id, staged->app_id, false, &record);
	return SL_OK;
}

void steps_staged(struct steps *s, const char *instance_id, const char *version)
{
	const Sluice__Store__V1__VersionRecord *record = steps_get(s, version);
	struct staged staged = {instance_id, record->app_id, record->id};
	(void)steps_run(s, staged_decide, &staged);
	steps_done(s);
}

/* --- commands ------------------------------------------------------------------------ */

static sl_code promote_decide(struct decision *d, struct steps *s, const void *in,
			      struct sl_err *err)
{
	return promotions_decide(d, in, &s->promotion, err);
}

sl_code steps_promote(struct steps *s, const char *version, const char *from)
{
	struct promotion_request request = {
	    .app = "shop", .version = version, .from = from, .to = ""};
	return steps_run(s, promote_decide, &request);
}

static sl_code release_decide(struct decision *d, struct steps *s, const void *in,
			      struct sl_err *err)
{
	return releases_decide_release(d, "shop", in, SL_BYTES_NONE, &s->release, err);
}

sl_code steps_release(struct steps *s, const char *version)
{
	return steps_run(s, release_decide, version);
}

static sl_code withdraw_decide(struct decision *d, struct steps *s, const void *in,
			       struct sl_err *err)
{
	(void)in;
	return releases_decide_withdraw(d, "shop", &s->release, err);
}

sl_code steps_withdraw(struct steps *s)
{
	return steps_run(s, withdraw_decide, NULL);
}

static sl_code rollback_decide(struct decision *d, struct steps *s, const void *in,
			       struct sl_err *err)
{
	return releases_decide_rollback(d, "shop", in, SL_BYTES_NONE, &s->release, err);
}

sl_code steps_rollback(struct steps *s, const char *to)
{
	return steps_run(s, rollback_decide, to);
}

static sl_code block_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	const struct about *about = in;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	uint32_t released = 0;
	(void)s;
	struct version_recall recall = {.rollback_to = about->rollback_to,
					.keep_serving = strcmp(about->rollback_to, "keep") == 0,
					.withdraw = strcmp(about->rollback_to, "withdraw") == 0};
	sl_code code = find(d, about, &app, &version, err);
	return code != SL_OK
		   ? code
		   : versions_decide_block(d, app, version, about->mode, &recall, &released, err);
}

sl_code steps_block(struct steps *s, const char *version, Sluice__V1__BlockMode mode,
		    const char *rollback_to)
{
	return steps_run(
	    s, block_decide,
	    &(struct about){.version = version, .mode = mode, .rollback_to = rollback_to});
}

static sl_code unblock_decide(struct decision *d, struct steps *s, const void *in,
			      struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	(void)s;
	sl_code code = find(d, in, &app, &version, err);
	return code != SL_OK ? code : versions_decide_unblock(d, app, version, err);
}

sl_code steps_unblock(struct steps *s, const char *version)
{
	return steps_run(s, unblock_decide, &(struct about){.version = version});
}

struct pin {
	struct selection_place place;
	const char *version;
};

static sl_code select_decide(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	const struct pin *pin = in;
	return selections_decide_select(d, &pin->place, pin->version, &s->selection, err);
}

sl_code steps_select(struct steps *s, const char *version, const char *environment,
		     const char *instance)
{
	struct pin pin = {{.app = "shop", .environment = environment, .instance = instance},
			  version};
	return steps_run(s, select_decide, &pin);
}

static sl_code clear_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	return selections_decide_clear(d, in, &s->selected, err);
}

sl_code steps_clear(struct steps *s, const char *environment, const char *instance)
{
	struct selection_place place = {
	    .app = "shop", .environment = environment, .instance = instance};
	s->selected = NULL;
	return steps_run(s, clear_decide, &place);
}

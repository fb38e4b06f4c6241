#include "tests/bench/seed.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/id/id.h"
#include "base/mem/own.h"
#include "server/records/apps.h"
#include "server/records/bootstrap.h"
#include "server/records/promotions.h"
#include "server/records/releases.h"
#include "server/records/repositories.h"
#include "server/records/versions.h"
#include "server/records/wire.h"
#include "tests/bench/die.h"

enum { WINDOW = 4096, TEXT = 64, KEPT_BYTES = 16, DEFAULT_WORKSPACE = 1, DIGEST_BYTES = 32 };

struct seed {
	struct store *store;
	sem_t room; /* commands that may still be queued */
};

struct step;
typedef sl_code step_decide(struct decision *d, const struct step *step, struct sl_err *err);

/* One command: what it does, to which app and version. */
struct step {
	struct store_cmd cmd;
	struct seed *seed;
	step_decide *decide;
	struct sl_arena arena;
	struct sl_id ids[DECISION_IDS];
	uint64_t now_ms;
	uint8_t request_key[KEPT_BYTES], payload_hash[KEPT_BYTES];
	unsigned app, version;
	uint64_t count;
	const char *method, *from;
};

/* --- what is done ----------------------------------------------------------------- */

static sl_code find(struct decision *d, const struct step *step, Sluice__Store__V1__AppRecord **app,
		    Sluice__Store__V1__VersionRecord **version, struct sl_err *err)
{
	char *app_name = sl_arena_printf(d->arena, SEED_APP_NAME, step->app);
	char *version_name = sl_arena_printf(d->arena, "v%u", step->version);
	sl_code code = app_find(d->view, d->arena, d->workspace, app_name, app, err);
	if (code != SL_OK || version == NULL) {
		return code;
	}
	return version_find(d->view, d->arena, d->workspace, *app, version_name, version, err);
}

static sl_code make_repository(struct decision *d, const struct step *step, struct sl_err *err)
{
	(void)step;
	Sluice__Store__V1__RepositoryRecord *made = NULL;
	const struct repository_new repository = {
	    .name = "origin",
	    .url = "git://127.0.0.1:1/origin.git",
	    .branch = "main",
	    .publish = SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE,
	};
	return repositories_decide_create(d, &repository, &made, err);
}

static sl_code make_app(struct decision *d, const struct step *step, struct sl_err *err)
{
	struct app_created made;
	char *name = sl_arena_printf(d->arena, SEED_APP_NAME, step->app);
	char *key = sl_arena_strdup(d->arena, "app");
	const struct app_new app = {
	    .name = name,
	    .display_name = "",
	    .repository = "origin",
	    .repository_url = "",
	    .path = "",
	    .placement = labels_sorted(d->arena, &key, &name, 1),
	    .placement_count = 1,
	    .version_name = "",
	    .commit = "",
	};
	return apps_decide_create(d, &app, &made, err);
}

static sl_code make_ready(struct decision *d, const struct step *step, struct sl_err *err)
{
	static const char commit[] = "5f0e3c1a9b7d2f4e6a8c0b1d3e5f708192a3b4c5";
	static const char tree[] = "c5b4a3928170f5e3d1b0c8a6e4f2d7b9a1c3e0f5";
	uint8_t digest[DIGEST_BYTES];
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = find(d, step, &app, NULL, err);
	if (code != SL_OK) {
		return code;
	}
	sl_hash(digest, app->id, strlen(app->id), NULL, 0);
	const struct version_content_result result = {
	    .app_id = app->id,
	    .version = 1,
	    .generation = 1,
	    .commit = commit,
	    .tree = tree,
	    .ref = "refs/heads/main",
	    .digest = digest,
	    .files = 70,
	    .bytes = 7 << 20,
	    .subject = "Version v1 of the app",
	    .author = "Ann Author <ann@example.org>",
	    .commit_s = 1700000000,
	};
	return versions_decide_content_result(d, &result, err);
}

static sl_code make_version(struct decision *d, const struct step *step, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *made = NULL;
	sl_code code = find(d, step, &app, NULL, err);
	const struct version_wanted wanted = {
	    .name = sl_arena_printf(d->arena, "v%u", step->version),
	    .description = "",
	    .from = "v1",
	    .commit = "",
	};
	return code != SL_OK ? code : versions_decide_create(d, app, &wanted, &made, err);
}

static sl_code promote(struct decision *d, const struct step *step, struct sl_err *err)
{
	struct promotion_outcome outcome;
	const struct promotion_request request = {
	    .app = sl_arena_printf(d->arena, SEED_APP_NAME, step->app),
	    .version = sl_arena_printf(d->arena, "v%u", step->version),
	    .from = step->from,
	    .to = "",
	};
	return promotions_decide(d, &request, &outcome, err);
}

static sl_code release(struct decision *d, const struct step *step, struct sl_err *err)
{
	struct release_outcome outcome;
	char *app = sl_arena_printf(d->arena, SEED_APP_NAME, step->app);
	char *version = sl_arena_printf(d->arena, "v%u", step->version);
	return releases_decide_release(d, app, version, SL_BYTES_NONE, &outcome, err);
}

static sl_code describe(struct decision *d, const struct step *step, struct sl_err *err)
{
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	sl_code code = find(d, step, &app, &version, err);
	char *text =
	    sl_arena_printf(d->arena, "Description number %lu", (unsigned long)step->count);
	return code != SL_OK ? code : versions_decide_update(d, app, version, "", text, err);
}

/* --- how it is written --------------------------------------------------------------- */

/* A reply about as large as those of the calls that do the same: the event's object again. */
static struct sl_bytes reply_of(struct decision *d)
{
	if (d->event_count == 0) {
		return SL_BYTES_NONE;
	}
	const ProtobufCMessage *event = &d->events[d->event_count - 1]->base;
	uint8_t *bytes = sl_arena_alloc(d->arena, protobuf_c_message_get_packed_size(event) + 1);
	return bytes == NULL ? SL_BYTES_NONE
			     : SL_BYTES(bytes, protobuf_c_message_pack(event, bytes));
}

static sl_code step_decided(struct store_cmd *cmd, const struct store_view *view,
			    struct store_changes *changes, struct sl_err *err)
{
	struct step *step = SL_CONTAINER_OF(cmd, struct step, cmd);
	struct decision d = {
	    .view = view,
	    .changes = changes,
	    .arena = &step->arena,
	    .revision = store_changes_revision(changes),
	    .now_ms = step->now_ms,
	    .workspace = DEFAULT_WORKSPACE,
	    .workspace_name = "default",
	    .principal = "bench",
	    .method = step->method,
	    .reason = "",
	    .object = SLUICE__V1__AUDIT_OBJECT__INIT,
	};
	for (unsigned i = 0; i < DECISION_IDS; i++) {
		d.ids[i] = step->ids[i].text + 4; /* behind the prefix */
	}
	sl_code code = workspace_find(view, "default", &d.workspace, err);
	code = code != SL_OK ? code : step->decide(&d, step, err);
	if (code == SL_OK) {
		const struct decision_reply kept = {
		    .request_key = SL_BYTES(step->request_key, KEPT_BYTES),
		    .payload_hash = SL_BYTES(step->payload_hash, KEPT_BYTES),
		    .reply = reply_of(&d),
		};
		decision_log(&d, &kept);
	}
	return code;
}

static void step_done(struct store_cmd *cmd)
{
	struct step *step = SL_CONTAINER_OF(cmd, struct step, cmd);
	if (cmd->code != SL_OK) {
		die("seeding: %s of app %u, version %u: %s", step->method, step->app, step->version,
		    cmd->err.msg);
	}
	(void)sem_post(&step->seed->room);
	sl_arena_fini(&step->arena);
	free(step);
}

static void submit(struct seed *seed, const struct step *what)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct step *step = need(malloc(sizeof(*step)));
	*step = *what;
	step->seed = seed;
	step->cmd =
	    (struct store_cmd){.decide = step_decided, .done = step_done, .err = SL_ERR_INIT};
	step->now_ms = sl_clock_unix_ms();
	sl_arena_init(&step->arena, 0);
	for (unsigned i = 0; i < DECISION_IDS; i++) {
		step->ids[i] = sl_id_new("new");
	}
	sl_random(step->request_key, KEPT_BYTES);
	sl_random(step->payload_hash, KEPT_BYTES);
	while (sem_wait(&seed->room) != 0) {
	}
	need_ok(store_submit(seed->store, &step->cmd, &err), &err, "seeding");
}

/* Returns how many commands that were. */
static uint64_t submit_app(struct seed *seed, unsigned app, unsigned versions)
{
	uint64_t count = 2;
	submit(seed, &(struct step){.decide = make_app, .app = app, .method = "CreateApp"});
	submit(seed, &(struct step){.decide = make_ready, .app = app, .method = "Resolve"});
	for (unsigned v = 2; v <= versions; v++, count++) {
		submit(seed, &(struct step){.decide = make_version,
					    .app = app,
					    .version = v,
					    .method = "CreateVersion"});
	}
	for (unsigned v = 1; v <= SEED_IN_STAGING; v++, count++) {
		submit(seed, &(struct step){.decide = promote,
					    .app = app,
					    .version = v,
					    .from = "development",
					    .method = "Promote"});
	}
	for (unsigned v = 1; v <= SEED_IN_PRODUCTION; v++, count++) {
		submit(seed, &(struct step){.decide = promote,
					    .app = app,
					    .version = v,
					    .from = "staging",
					    .method = "Promote"});
	}
	for (unsigned v = 1; v <= 2; v++, count++) {
		submit(seed, &(struct step){
				 .decide = release, .app = app, .version = v, .method = "Release"});
	}
	return count;
}

static void wait_all(struct seed *seed)
{
	for (unsigned i = 0; i < WINDOW; i++) {
		while (sem_wait(&seed->room) != 0) {
		}
	}
}

void seed_write(const char *path, const struct seed_shape *shape)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct store_options options = {
	    .path = path,
	    .map_bytes = (uint64_t)64 << 30,
	    .queue_max = WINDOW,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	};
	struct seed seed = {0};
	(void)sem_init(&seed.room, 0, WINDOW);
	need_ok(store_open(&options, &seed.store, &err), &err, "seeding");
	need_ok(records_bootstrap(seed.store, sl_clock_unix_ms(), &err), &err, "seeding");
	submit(&seed, &(struct step){.decide = make_repository, .method = "CreateRepository"});
	uint64_t count = 2; /* the workspace and the repository */
	for (unsigned app = 0; app < shape->apps; app++) {
		count += submit_app(&seed, app, shape->versions);
	}
	for (uint64_t i = 0; count < shape->records; i++, count++) {
		submit(&seed, &(struct step){.decide = describe,
					     .app = (unsigned)(i * 7919 % shape->apps),
					     .version = shape->versions - (unsigned)(i % 4),
					     .count = i,
					     .method = "UpdateVersion"});
	}
	wait_all(&seed);
	store_free(seed.store);
	(void)sem_destroy(&seed.room);
}

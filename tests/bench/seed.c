#include "tests/bench/seed.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "server/records/apps.h"
#include "server/records/promotions.h"
#include "server/records/releases.h"
#include "server/records/repositories.h"
#include "server/records/versions.h"
#include "server/records/wire.h"
#include "tests/bench/steps.h"

enum { DIGEST_BYTES = 32 };

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

/* --- how much of it --------------------------------------------------------------------- */

/* Returns how many commands that were. */
static uint64_t add_app(struct steps *steps, unsigned app, unsigned versions)
{
	uint64_t count = 2;
	steps_add(steps, &(struct step){.decide = make_app, .app = app, .method = "CreateApp"});
	steps_add(steps, &(struct step){.decide = make_ready, .app = app, .method = "Resolve"});
	for (unsigned v = 2; v <= versions; v++, count++) {
		steps_add(steps, &(struct step){.decide = make_version,
						.app = app,
						.version = v,
						.method = "CreateVersion"});
	}
	for (unsigned v = 1; v <= SEED_IN_STAGING; v++, count++) {
		steps_add(steps, &(struct step){.decide = promote,
						.app = app,
						.version = v,
						.from = "development",
						.method = "Promote"});
	}
	for (unsigned v = 1; v <= SEED_IN_PRODUCTION; v++, count++) {
		steps_add(steps, &(struct step){.decide = promote,
						.app = app,
						.version = v,
						.from = "staging",
						.method = "Promote"});
	}
	for (unsigned v = 1; v <= 2; v++, count++) {
		steps_add(steps,
			  &(struct step){
			      .decide = release, .app = app, .version = v, .method = "Release"});
	}
	return count;
}

void seed_write(const char *path, const struct seed_shape *shape)
{
	struct steps *steps = steps_open(path);
	steps_add(steps, &(struct step){.decide = make_repository, .method = "CreateRepository"});
	uint64_t count = 2; /* the workspace and the repository */
	for (unsigned app = 0; app < shape->apps; app++) {
		count += add_app(steps, app, shape->versions);
	}
	for (uint64_t i = 0; shape->apps > 0 && count < shape->records; i++, count++) {
		steps_add(steps, &(struct step){.decide = describe,
						.app = (unsigned)(i * 7919 % shape->apps),
						.version = shape->versions - (unsigned)(i % 4),
						.count = i,
						.method = "UpdateVersion"});
	}
	steps_close(steps);
}

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/reconcile/reconcile.h"
#include "agent/trust/trust.h"
#include "base/crypto/crypto.h"
#include "base/mem/arena.h"

static bool is_bundle(const struct state_version *version, const Sluice__V1__Bundle *bundle)
{
	return version->digest_known && strcmp(version->id, bundle->version_id) == 0 &&
	       memcmp(version->digest, bundle->digest.data, SL_HASH_BYTES) == 0;
}

struct state_version *reconcile_version(const struct state_app *app,
					const Sluice__V1__Bundle *bundle)
{
	for (size_t i = 0; i < app->version_count; i++) {
		if (is_bundle(app->versions[i], bundle)) {
			return app->versions[i];
		}
	}
	return NULL;
}

/* Where a bundle comes from: another place is worth another attempt. */
static uint64_t source_of(const Sluice__V1__Bundle *bundle)
{
	const char *const texts[] = {bundle->repository_id, bundle->url,  bundle->ref,
				     bundle->commit,        bundle->path, bundle->tree};
	struct sl_hasher hasher;
	uint8_t hash[SL_HASH_BYTES];
	sl_hasher_init(&hasher);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		sl_hasher_add(&hasher, texts[i], strlen(texts[i]) + 1);
	}
	if (bundle->login != 0) { /* what was refused may come with other credentials */
		sl_hasher_add(&hasher, &bundle->login, sizeof(bundle->login));
	}
	sl_hasher_end(&hasher, hash);
	return sl_get_be64(hash);
}

static void reopen(struct state_version *version)
{
	version->outcome = STATE_OPEN;
	version->transient = false;
	version->error[0] = '\0';
	version->failed = 0;
	version->retry_at_ms = 0;
	version->attempt_open = false;
}

/* What was found or imported and has this content; NULL: none. */
static struct state_version *find_nameless(const struct state_app *app,
					   const Sluice__V1__Bundle *bundle)
{
	for (size_t i = 0; i < app->version_count; i++) {
		struct state_version *version = app->versions[i];
		if (version->id[0] == '\0' && version->digest_known && version->on_disk &&
		    memcmp(version->digest, bundle->digest.data, SL_HASH_BYTES) == 0) {
			return version;
		}
	}
	return NULL;
}

/* An entry for the bundle: a new one, or one of the same content. */
static struct state_version *add_version(struct state_app *app, const Sluice__V1__Bundle *bundle)
{
	char folder[STATE_FOLDER_SIZE], hex[25];
	(void)state_folder(folder, bundle->version, bundle->digest.data);
	struct state_version *there = find_nameless(app, bundle);
	there = there != NULL ? there : state_version_by_folder(app, folder);
	bool same =
	    there != NULL && (!there->digest_known ||
			      memcmp(there->digest, bundle->digest.data, SL_HASH_BYTES) == 0);
	if (same) { /* found on disk, imported, or the content of a version that was deleted */
		(void)state_text(there->id, sizeof(there->id), bundle->version_id);
		(void)state_text(there->name, sizeof(there->name), bundle->version);
		memcpy(there->digest, bundle->digest.data, SL_HASH_BYTES);
		there->digest_known = true;
		reopen(there);
		return there;
	}
	struct state_version *version =
	    state_version_add(app, bundle->version_id, bundle->version, bundle->digest.data);
	if (version != NULL && there != NULL) {
		(void)snprintf(version->folder, sizeof(version->folder), "%.32s-%s",
			       bundle->version, sl_hex(hex, bundle->digest.data, 12));
	}
	return version;
}

/* So that it can be compared and put back when no manifest names it any more. */
static bool keep_bundle(struct state_version *version, const Sluice__V1__Bundle *bundle)
{
	struct sl_arena arena;
	sl_arena_init(&arena, 0);
	size_t size = sluice__v1__bundle__get_packed_size(bundle);
	uint8_t *bytes = sl_arena_alloc(&arena, size + 1);
	bool kept = bytes != NULL;
	if (kept) {
		(void)sluice__v1__bundle__pack(bundle, bytes);
		kept = state_version_bundle(version, SL_BYTES(bytes, size));
	}
	sl_arena_fini(&arena);
	return kept;
}

static bool merge_bundle(const struct state *state, struct state_app *app,
			 const Sluice__V1__ManifestApp *want, const Sluice__V1__Bundle *bundle)
{
	struct state_version *version = reconcile_version(app, bundle);
	if (version == NULL) {
		version = add_version(app, bundle);
	}
	if (version == NULL) {
		return false;
	}
	if (!keep_bundle(version, bundle)) {
		return false;
	}
	version->imported_unix_ms = 0;
	uint64_t source = source_of(bundle);
	bool moved = version->source != source && version->outcome == STATE_FAILED;
	if (moved || want->retries > version->retries) {
		reopen(version);
	}
	version->source = source;
	version->release_missing = !trust_may_activate(state, app->id, bundle);
	version->retries = want->retries;
	return true;
}

/* A version that was put back is tried again once another one was wanted in between. */
static void merge_wanted(struct state_app *app, const Sluice__V1__ManifestApp *want)
{
	if (strcmp(app->wanted_id, want->activate) == 0) {
		return;
	}
	(void)state_text(app->wanted_id, sizeof(app->wanted_id), want->activate);
	const Sluice__V1__Bundle *bundle = manifest_bundle(want, want->activate);
	struct state_version *version = bundle != NULL ? reconcile_version(app, bundle) : NULL;
	if (version != NULL && version->outcome == STATE_ROLLED_BACK) {
		reopen(version);
	}
}

static bool is_wanted(const struct state_version *version, const Sluice__V1__ManifestApp *want)
{
	for (size_t i = 0; i < want->n_keep; i++) {
		if (is_bundle(version, want->keep[i])) {
			return true;
		}
	}
	return false;
}

static void forget_unwanted(struct state_app *app, const Sluice__V1__ManifestApp *want)
{
	for (size_t i = app->version_count; i > 0; i--) {
		struct state_version *version = app->versions[i - 1];
		bool pointed_at = strcmp(version->folder, app->active) == 0 ||
				  strcmp(version->folder, app->flip.to) == 0 ||
				  strcmp(version->folder, app->flip.from) == 0;
		if (!version->on_disk && !pointed_at && !is_wanted(version, want)) {
			state_version_remove(app, version);
		}
	}
}

/* The app's entry: its own, one that was found on disk under its slug, or a new one. */
static struct state_app *merge_app(struct state *state, const Sluice__V1__ManifestApp *want)
{
	struct state_app *app = state_app_by_id(state, want->app_id);
	if (app != NULL) {
		return app;
	}
	app = state_app_by_slug(state, want->slug);
	if (app != NULL && app->id[0] == '\0') {
		(void)state_text(app->id, sizeof(app->id), want->app_id);
		return app;
	}
	return state_app_add(state, want->app_id, want->slug);
}

sl_code reconcile_merge(struct state *state, const Sluice__V1__Manifest *manifest,
			struct sl_err *err)
{
	for (size_t i = 0; i < manifest->n_apps; i++) {
		const Sluice__V1__ManifestApp *want = manifest->apps[i];
		struct state_app *app = merge_app(state, want);
		bool whole = app != NULL;
		for (size_t j = 0; whole && j < want->n_keep; j++) {
			whole = merge_bundle(state, app, want, want->keep[j]);
		}
		if (!whole) {
			return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "out of memory for app '%s'",
					  want->slug);
		}
		merge_wanted(app, want);
		forget_unwanted(app, want);
	}
	return SL_OK;
}

bool reconcile_clashes(const struct state *state, const struct state_app *app)
{
	return state_app_by_slug(state, app->slug) != app;
}

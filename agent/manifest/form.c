#include "agent/manifest/form.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/manifest/manifest.h"
#include "base/crypto/crypto.h"
#include "base/id/id.h"
#include "base/mem/own.h"

enum { SLUG_MAX = 50, VERSION_MAX = 25 };

static bool in(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

static bool is_slug(const char *text)
{
	size_t length = strlen(text);
	return length >= 1 && length <= SLUG_MAX && strspn(text, LOWER DIGIT "-") == length &&
	       text[0] != '-' && text[length - 1] != '-';
}

static bool is_version(const char *text)
{
	size_t length = strlen(text);
	return length >= 1 && length <= VERSION_MAX && in(text[0], LOWER UPPER DIGIT) &&
	       strspn(text, LOWER UPPER DIGIT "._+-") == length && strstr(text, "..") == NULL;
}

static bool is_oid(const char *text)
{
	return strlen(text) == 40 && strspn(text, DIGIT "abcdef") == 40;
}

static sl_code bad(struct sl_err *err, const Sluice__V1__ManifestApp *app, const char *field,
		   const char *value, const char *rule)
{
	return sl_err_set(err, SL_INVALID_ARGUMENT, "manifest: app %.32s: %s '%.64s' must be %s",
			  app->app_id, field, value, rule);
}

static sl_code check_bundle(const Sluice__V1__ManifestApp *app, const Sluice__V1__Bundle *bundle,
			    struct sl_err *err)
{
	if (!sl_id_is(bundle->version_id, "ver")) {
		return bad(err, app, "version_id", bundle->version_id, "an id");
	}
	if (!is_version(bundle->version)) {
		return bad(err, app, "version", bundle->version, "a version name");
	}
	if (!sl_id_is(bundle->repository_id, "rep")) {
		return bad(err, app, "repository_id", bundle->repository_id, "an id");
	}
	if (!is_oid(bundle->commit) || !is_oid(bundle->tree)) {
		return bad(err, app, "commit and tree",
			   is_oid(bundle->commit) ? bundle->tree : bundle->commit, "40 hex digits");
	}
	if (bundle->digest.len != SL_HASH_BYTES) {
		return bad(err, app, "digest of version", bundle->version, "of 32 bytes");
	}
	return SL_OK;
}

static sl_code check_keep(const Sluice__V1__ManifestApp *app, struct sl_err *err)
{
	bool found = app->activate[0] == '\0', work = false;
	for (size_t i = 0; i < app->n_keep; i++) {
		sl_code code = check_bundle(app, app->keep[i], err);
		if (code != SL_OK) {
			return code;
		}
		found = found || strcmp(app->keep[i]->version_id, app->activate) == 0;
		work = work || strcmp(app->keep[i]->version_id, app->work) == 0;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(app->keep[i]->version_id, app->keep[j]->version_id) == 0) {
				return bad(err, app, "keep", app->keep[i]->version_id,
					   "named once");
			}
		}
	}
	if (app->pulled != NULL && app->pulled->digest.len != SL_HASH_BYTES) {
		return bad(err, app, "digest of pulled", app->pulled->version_id, "of 32 bytes");
	}
	if (app->config.len != 0 && app->config.len != SL_HASH_BYTES) {
		return bad(err, app, "config", "", "of 32 bytes");
	}
	if (app->take_down && app->activate[0] != '\0') {
		return bad(err, app, "activate", app->activate, "empty beside take_down");
	}
	if (app->work[0] != '\0' && !work) {
		return bad(err, app, "work", app->work, "in keep");
	}
	return found ? SL_OK : bad(err, app, "activate", app->activate, "in keep");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts, then looks at neighbours: a manifest may name thousands. */
static const char *find_twin(const char **texts, size_t count)
{
	if (count > 1) {
		qsort(texts, count, sizeof(texts[0]), by_text);
	}
	for (size_t i = 1; i < count; i++) {
		if (strcmp(texts[i - 1], texts[i]) == 0) {
			return texts[i];
		}
	}
	return NULL;
}

static sl_code check_twins(const Sluice__V1__Manifest *manifest, struct sl_err *err)
{
	size_t apps = manifest->n_apps, removed = manifest->n_removed;
	SL_AUTO(sl_free_auto) const char **texts = calloc(apps + removed + 1, sizeof(*texts));
	if (texts == NULL) {
		return sl_err_no_memory(err);
	}
	for (size_t i = 0; i < apps; i++) {
		texts[i] = manifest->apps[i]->slug;
	}
	const char *twin = find_twin(texts, apps);
	if (twin != NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "manifest: two apps have the slug '%s'",
				  twin);
	}
	for (size_t i = 0; i < apps; i++) {
		texts[i] = manifest->apps[i]->app_id;
	}
	for (size_t i = 0; i < removed; i++) {
		texts[apps + i] = manifest->removed[i];
	}
	twin = find_twin(texts, apps + removed);
	if (twin != NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "manifest: app %.32s is named twice",
				  twin);
	}
	return SL_OK;
}

sl_code manifest_check_app(const Sluice__V1__ManifestApp *app, struct sl_err *err)
{
	if (!sl_id_is(app->app_id, "app")) {
		return bad(err, app, "app_id", app->app_id, "an id");
	}
	return is_slug(app->slug) ? check_keep(app, err)
				  : bad(err, app, "slug", app->slug, "a name");
}

sl_code form_check(const Sluice__V1__Manifest *manifest, struct sl_err *err)
{
	if (!sl_id_is(manifest->instance_id, "ins")) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "manifest: instance_id '%.32s' must be an id",
				  manifest->instance_id);
	}
	if (!is_slug(manifest->environment)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "manifest: environment '%.64s' must be a name",
				  manifest->environment);
	}
	for (size_t i = 0; i < manifest->n_apps; i++) {
		sl_code code = manifest_check_app(manifest->apps[i], err);
		if (code != SL_OK) {
			return code;
		}
	}
	return check_twins(manifest, err);
}

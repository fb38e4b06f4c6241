#include "agent/state/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"

struct state *state_new(void)
{
	return calloc(1, sizeof(struct state));
}

static void version_free(struct state_version *version)
{
	free(version->bundle);
	free(version);
}

static void app_free(struct state_app *app)
{
	for (size_t i = 0; i < app->version_count; i++) {
		version_free(app->versions[i]);
	}
	free(app->versions);
	free(app->modified);
	free(app->config);
	free(app);
}

void state_free(struct state *state)
{
	if (state == NULL) {
		return;
	}
	for (size_t i = 0; i < state->app_count; i++) {
		app_free(state->apps[i]);
	}
	free(state->apps);
	free(state->manifest);
	free(state);
}

struct state_app *state_app_by_id(const struct state *state, const char *id)
{
	for (size_t i = 0; i < state->app_count; i++) {
		if (strcmp(state->apps[i]->id, id) == 0) {
			return state->apps[i];
		}
	}
	return NULL;
}

struct state_app *state_app_by_slug(const struct state *state, const char *slug)
{
	for (size_t i = 0; i < state->app_count; i++) {
		if (strcmp(state->apps[i]->slug, slug) == 0) {
			return state->apps[i];
		}
	}
	return NULL;
}

struct state_version *state_version_by_id(const struct state_app *app, const char *id)
{
	for (size_t i = 0; i < app->version_count; i++) {
		if (id[0] != '\0' && strcmp(app->versions[i]->id, id) == 0) {
			return app->versions[i];
		}
	}
	return NULL;
}

struct state_version *state_version_by_folder(const struct state_app *app, const char *folder)
{
	for (size_t i = 0; i < app->version_count; i++) {
		if (folder[0] != '\0' && strcmp(app->versions[i]->folder, folder) == 0) {
			return app->versions[i];
		}
	}
	return NULL;
}

struct state_version *state_active(const struct state_app *app)
{
	return state_version_by_folder(app, app->active);
}

/* Room for one more pointer; false when out of memory. */
static bool reserve(void ***items, size_t count)
{
	void **grown = realloc(*items, (count + 1) * sizeof(void *));
	if (grown == NULL) {
		return false;
	}
	*items = grown;
	return true;
}

struct state_app *state_app_add(struct state *state, const char *id, const char *slug)
{
	SL_AUTO(sl_free_auto) struct state_app *app = calloc(1, sizeof(*app));
	if (app == NULL || !state_text(app->id, sizeof(app->id), id) ||
	    !state_text(app->slug, sizeof(app->slug), slug) ||
	    !reserve((void ***)&state->apps, state->app_count)) {
		return NULL;
	}
	struct state_app *added = SL_TAKE(app);
	state->apps[state->app_count++] = added;
	return added;
}

struct state_version *state_version_add(struct state_app *app, const char *id, const char *name,
					const uint8_t *digest)
{
	SL_AUTO(sl_free_auto) struct state_version *version = calloc(1, sizeof(*version));
	if (version == NULL || !state_text(version->id, sizeof(version->id), id) ||
	    !state_text(version->name, sizeof(version->name), name) ||
	    !reserve((void ***)&app->versions, app->version_count)) {
		return NULL;
	}
	if (digest != NULL) {
		memcpy(version->digest, digest, SL_HASH_BYTES);
		version->digest_known = true;
		(void)state_folder(version->folder, name, digest);
	}
	struct state_version *added = SL_TAKE(version);
	app->versions[app->version_count++] = added;
	return added;
}

/* Keeps a copy in the place of what was there. */
static bool replace(uint8_t **data, size_t *size, struct sl_bytes with)
{
	if (sl_bytes_equal(SL_BYTES(*data, *size), with)) {
		return true;
	}
	uint8_t *copy = malloc(with.size + 1);
	if (copy == NULL) {
		return false;
	}
	if (with.size > 0) {
		memcpy(copy, with.data, with.size);
	}
	free(*data);
	*data = copy;
	*size = with.size;
	return true;
}

bool state_version_bundle(struct state_version *version, struct sl_bytes bundle)
{
	return replace(&version->bundle, &version->bundle_size, bundle);
}

bool state_app_config(struct state_app *app, struct sl_bytes config)
{
	return replace(&app->config, &app->config_size, config);
}

void state_app_remove(struct state *state, struct state_app *app)
{
	for (size_t i = 0; i < state->app_count; i++) {
		if (state->apps[i] != app) {
			continue;
		}
		memmove(&state->apps[i], &state->apps[i + 1],
			(state->app_count - i - 1) * sizeof(state->apps[0]));
		state->app_count--;
		app_free(app);
		return;
	}
}

void state_version_remove(struct state_app *app, struct state_version *version)
{
	for (size_t i = 0; i < app->version_count; i++) {
		if (app->versions[i] != version) {
			continue;
		}
		memmove(&app->versions[i], &app->versions[i + 1],
			(app->version_count - i - 1) * sizeof(app->versions[0]));
		app->version_count--;
		version_free(version);
		return;
	}
}

const char *state_folder(char out[static STATE_FOLDER_SIZE], const char *name,
			 const uint8_t digest[static SL_HASH_BYTES])
{
	char hex[13];
	(void)sl_hex(hex, digest, 6);
	(void)snprintf(out, STATE_FOLDER_SIZE, "%.32s-%s", name, hex);
	return out;
}

void state_modified_add(struct state_modified *modified, const char *path)
{
	modified->count++;
	if (modified->file_count < STATE_MODIFIED_MAX) {
		state_error_text(modified->files[modified->file_count++], path);
	}
}

bool state_text(char *out, size_t size, const char *text)
{
	size_t length = strlen(text);
	bool fits = length < size;
	length = fits ? length : size - 1;
	memcpy(out, text, length);
	out[length] = '\0';
	return fits;
}

void state_error_text(char out[static STATE_ERROR_SIZE], const char *text)
{
	bool fits = state_text(out, STATE_ERROR_SIZE, text);
	size_t length = strlen(out);
	/* A character that was cut in the middle goes as a whole. */
	while (!fits && length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80) {
		length--;
	}
	out[length] = '\0';
	for (char *at = out; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f) {
			*at = ' ';
		}
	}
}

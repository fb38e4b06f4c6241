#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/state/state_internal.h"
#include "agent_state.pb-c.h"
#include "base/mem/own.h"

enum { FORMAT = 1 };

typedef Sluice__Agent__V1__StoredState stored_state;
typedef Sluice__Agent__V1__StoredApp stored_app;
typedef Sluice__Agent__V1__StoredVersion stored_version;
typedef Sluice__Agent__V1__StoredFlip stored_flip;

SL_DEFINE_AUTO(struct state *, state_free);

/* protobuf-c never writes through these pointers. */
static char *text(const char *borrowed)
{
	return (char *)(uintptr_t)borrowed;
}

static stored_version *encode_version(const struct state_version *version, struct sl_arena *arena)
{
	stored_version *to = SL_ARENA_NEW(arena, stored_version);
	if (to == NULL) {
		return NULL;
	}
	sluice__agent__v1__stored_version__init(to);
	to->id = text(version->id);
	to->name = text(version->name);
	to->folder = text(version->folder);
	if (version->digest_known) {
		to->digest.data = (uint8_t *)(uintptr_t)version->digest;
		to->digest.len = SL_HASH_BYTES;
	}
	to->on_disk = version->on_disk;
	to->outcome = version->outcome;
	to->retries = version->retries;
	to->attempt = version->attempt;
	to->error = text(version->error);
	to->source = version->source;
	to->transient = version->transient;
	to->release_missing = version->release_missing;
	to->not_ready = text(version->not_ready);
	to->imported_ms = version->imported_unix_ms;
	to->bundle = (ProtobufCBinaryData){.data = version->bundle, .len = version->bundle_size};
	if (version->print_known) {
		to->print.data = (uint8_t *)(uintptr_t)version->print;
		to->print.len = STATE_PRINT_BYTES;
	}
	return to;
}

static void encode_modified(const struct state_modified *modified, struct sl_arena *arena,
			    stored_app *to)
{
	to->modified_files = SL_ARENA_ARRAY(arena, char *, STATE_MODIFIED_MAX);
	for (size_t i = 0; to->modified_files != NULL && i < modified->file_count; i++) {
		to->modified_files[to->n_modified_files++] = text(modified->files[i]);
	}
	to->modified = modified->count;
}

static stored_app *encode_app(const struct state_app *app, struct sl_arena *arena)
{
	stored_app *to = SL_ARENA_NEW(arena, stored_app);
	stored_flip *flip = SL_ARENA_NEW(arena, stored_flip);
	stored_version **versions = SL_ARENA_ARRAY(arena, stored_version *, app->version_count);
	Sluice__Agent__V1__StoredWork *work = SL_ARENA_NEW(arena, Sluice__Agent__V1__StoredWork);
	if (to == NULL || flip == NULL || versions == NULL || work == NULL) {
		return NULL;
	}
	sluice__agent__v1__stored_app__init(to);
	to->id = text(app->id);
	to->slug = text(app->slug);
	to->versions = versions;
	to->n_versions = app->version_count;
	for (size_t i = 0; i < app->version_count; i++) {
		versions[i] = encode_version(app->versions[i], arena);
	}
	to->active = text(app->active);
	to->previous = text(app->previous);
	if (app->flip.reason != STATE_FLIP_NONE) {
		sluice__agent__v1__stored_flip__init(flip);
		flip->to = text(app->flip.to);
		flip->from = text(app->flip.from);
		flip->reason = app->flip.reason;
		to->flip = flip;
	}
	to->flipped_ms = app->flipped_unix_ms;
	to->degraded = app->degraded;
	to->wanted_id = text(app->wanted_id);
	to->config = (ProtobufCBinaryData){.data = app->config, .len = app->config_size};
	if (app->work.version_id[0] != '\0') {
		sluice__agent__v1__stored_work__init(work);
		work->version_id = text(app->work.version_id);
		work->commit = text(app->work.commit);
		work->tree = text(app->work.tree);
		work->repository_id = text(app->work.repository_id);
		work->url = text(app->work.url);
		to->work = work;
	}
	if (app->modified != NULL) {
		encode_modified(app->modified, arena, to);
	}
	return to;
}

static void encode_scalars(const struct state *state, stored_state *to)
{
	to->format = FORMAT;
	to->workspace = text(state->workspace);
	to->instance = text(state->instance);
	to->instance_id = text(state->instance_id);
	to->environment = text(state->environment);
	to->manifest.data = state->manifest;
	to->manifest.len = state->manifest_size;
	to->sequence = state->sequence;
	to->expires_ms = state->expires_unix_ms;
	to->key_epoch = state->key_epoch;
	to->time_floor_ms = state->time_floor_unix_ms;
	to->removed = state->removed;
	to->last_error = text(state->last_error);
	to->last_error_ms = state->last_error_unix_ms;
	to->clock_offset_ms = state->clock_offset_ms;
	to->connected_ms = state->connected_unix_ms;
}

static ProtobufCBinaryData key_bytes(bool known, const uint8_t *key)
{
	return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)key,
				     .len = known ? SL_SIGN_PUBLIC_BYTES : 0};
}

static void encode_trust(const struct state_trust *trust, Sluice__Agent__V1__StoredTrust *to)
{
	to->epoch = trust->epoch;
	to->manifest_key = key_bytes(trust->epoch != 0, trust->manifest_key);
	to->recovery_key = key_bytes(trust->recovery_known, trust->recovery_key);
	to->recovered_epoch = trust->recovered_epoch;
	to->order_open = trust->order_open;
	to->given_epoch = trust->given_epoch;
	to->given_key = key_bytes(trust->given_epoch != 0, trust->given_key);
	to->proven_ms = trust->proven_unix_ms;
	to->release_key = key_bytes(trust->release_known, trust->release_key);
}

sl_code state_encode(const struct state *state, struct sl_arena *arena, struct sl_bytes *ret_bytes,
		     struct sl_err *err)
{
	stored_state to = SLUICE__AGENT__V1__STORED_STATE__INIT;
	Sluice__Agent__V1__StoredTrust trust = SLUICE__AGENT__V1__STORED_TRUST__INIT;
	encode_scalars(state, &to);
	encode_trust(&state->trust, &trust);
	to.trust = &trust;
	to.apps = SL_ARENA_ARRAY(arena, stored_app *, state->app_count);
	to.n_apps = state->app_count;
	for (size_t i = 0; i < state->app_count && to.apps != NULL; i++) {
		to.apps[i] = encode_app(state->apps[i], arena);
	}
	size_t size =
	    sl_arena_failed(arena) ? 0 : sluice__agent__v1__stored_state__get_packed_size(&to);
	uint8_t *data = sl_arena_alloc(arena, size);
	if (sl_arena_failed(arena)) {
		return sl_err_no_memory(err);
	}
	(void)sluice__agent__v1__stored_state__pack(&to, data);
	*ret_bytes = SL_BYTES(data, size);
	return SL_OK;
}

/* Names become folders below apps/: one that leads elsewhere must never be moved or removed. */
static bool is_folder_name(const char *text)
{
	return text[0] != '\0' && text[0] != '.' && strchr(text, '/') == NULL;
}

static bool is_folder_name_or_none(const char *text)
{
	return text[0] == '\0' || is_folder_name(text);
}

static bool names_are_fine(const stored_app *from)
{
	bool fine = is_folder_name(from->slug) && is_folder_name_or_none(from->active) &&
		    is_folder_name_or_none(from->previous);
	for (size_t i = 0; fine && i < from->n_versions; i++) {
		fine = is_folder_name_or_none(from->versions[i]->folder);
	}
	return fine && (from->flip == NULL || (is_folder_name_or_none(from->flip->to) &&
					       is_folder_name_or_none(from->flip->from)));
}

static bool decode_version(const stored_version *from, struct state_app *app)
{
	bool known = from->digest.len == SL_HASH_BYTES;
	struct state_version *version =
	    state_version_add(app, from->id, from->name, known ? from->digest.data : NULL);
	if (version == NULL ||
	    !state_text(version->folder, sizeof(version->folder), from->folder)) {
		return false;
	}
	version->on_disk = from->on_disk;
	version->outcome = from->outcome <= STATE_ROLLED_BACK ? from->outcome : STATE_OPEN;
	version->retries = from->retries;
	version->attempt = from->attempt;
	version->source = from->source;
	version->transient = from->transient;
	version->release_missing = from->release_missing;
	state_error_text(version->not_ready, from->not_ready);
	version->imported_unix_ms = from->imported_ms;
	state_error_text(version->error, from->error);
	struct sl_bytes bundle = SL_BYTES(from->bundle.data, from->bundle.len);
	if (bundle.size > 0 && !state_version_bundle(version, bundle)) {
		return false;
	}
	version->print_known = from->print.len == STATE_PRINT_BYTES;
	if (version->print_known) {
		memcpy(version->print, from->print.data, STATE_PRINT_BYTES);
	}
	return true;
}

static bool decode_modified(const stored_app *from, struct state_app *app)
{
	if (from->modified == 0) {
		return true;
	}
	app->modified = calloc(1, sizeof(*app->modified));
	for (size_t i = 0; app->modified != NULL && i < from->n_modified_files; i++) {
		state_modified_add(app->modified, from->modified_files[i]);
	}
	if (app->modified != NULL) {
		app->modified->count = from->modified;
	}
	return app->modified != NULL;
}

static bool decode_app(const stored_app *from, struct state *state)
{
	struct state_app *app =
	    names_are_fine(from) ? state_app_add(state, from->id, from->slug) : NULL;
	bool whole = app != NULL && state_text(app->active, sizeof(app->active), from->active) &&
		     state_text(app->previous, sizeof(app->previous), from->previous) &&
		     state_text(app->wanted_id, sizeof(app->wanted_id), from->wanted_id);
	whole = whole && decode_modified(from, app) &&
		state_app_config(app, SL_BYTES(from->config.data, from->config.len));
	for (size_t i = 0; whole && i < from->n_versions; i++) {
		whole = decode_version(from->versions[i], app);
	}
	if (whole && from->flip != NULL) {
		uint32_t reason = from->flip->reason;
		bool known = reason == STATE_FLIP_ROLLBACK || reason == STATE_FLIP_RELOAD;
		app->flip.reason = known ? reason : STATE_FLIP_ACTIVATE;
		whole = state_text(app->flip.to, sizeof(app->flip.to), from->flip->to) &&
			state_text(app->flip.from, sizeof(app->flip.from), from->flip->from);
	}
	if (whole && from->work != NULL) {
		struct state_work *work = &app->work;
		whole = state_text(work->version_id, sizeof(work->version_id),
				   from->work->version_id) &&
			state_text(work->commit, sizeof(work->commit), from->work->commit) &&
			state_text(work->tree, sizeof(work->tree), from->work->tree) &&
			state_text(work->repository_id, sizeof(work->repository_id),
				   from->work->repository_id) &&
			state_text(work->url, sizeof(work->url), from->work->url);
	}
	if (whole) {
		app->flipped_unix_ms = from->flipped_ms;
		app->degraded = from->degraded;
	}
	return whole;
}

/* False: neither a key nor none. */
static bool decode_key(ProtobufCBinaryData from, uint8_t out[static SL_SIGN_PUBLIC_BYTES],
		       bool *ret_known)
{
	*ret_known = from.len == SL_SIGN_PUBLIC_BYTES;
	if (*ret_known) {
		memcpy(out, from.data, SL_SIGN_PUBLIC_BYTES);
	}
	return *ret_known || from.len == 0;
}

/* A state that has pinned something half would believe too much: it is refused. */
static bool decode_trust(const Sluice__Agent__V1__StoredTrust *from, struct state_trust *trust)
{
	bool pinned = false, given = false;
	if (from == NULL) {
		return true;
	}
	trust->epoch = from->epoch;
	trust->recovered_epoch = from->recovered_epoch;
	trust->order_open = from->order_open;
	trust->given_epoch = from->given_epoch;
	trust->proven_unix_ms = from->proven_ms;
	return decode_key(from->manifest_key, trust->manifest_key, &pinned) &&
	       decode_key(from->recovery_key, trust->recovery_key, &trust->recovery_known) &&
	       decode_key(from->given_key, trust->given_key, &given) &&
	       decode_key(from->release_key, trust->release_key, &trust->release_known) &&
	       pinned == (from->epoch != 0) && given == (from->given_epoch != 0);
}

static bool decode_scalars(const stored_state *from, struct state *state)
{
	state->sequence = from->sequence;
	state->expires_unix_ms = from->expires_ms;
	state->key_epoch = from->key_epoch;
	state->time_floor_unix_ms = from->time_floor_ms;
	state->removed = from->removed;
	state->last_error_unix_ms = from->last_error_ms;
	state->clock_offset_ms = from->clock_offset_ms;
	state->connected_unix_ms = from->connected_ms;
	state_error_text(state->last_error, from->last_error);
	if (from->manifest.len > 0) {
		state->manifest = malloc(from->manifest.len);
		if (state->manifest == NULL) {
			return false;
		}
		memcpy(state->manifest, from->manifest.data, from->manifest.len);
		state->manifest_size = from->manifest.len;
	}
	return decode_trust(from->trust, &state->trust) &&
	       state_text(state->workspace, sizeof(state->workspace), from->workspace) &&
	       state_text(state->instance, sizeof(state->instance), from->instance) &&
	       state_text(state->instance_id, sizeof(state->instance_id), from->instance_id) &&
	       state_text(state->environment, sizeof(state->environment), from->environment);
}

sl_code state_decode(struct sl_bytes bytes, struct state **ret_state, struct sl_err *err)
{
	struct sl_arena arena;
	sl_arena_init(&arena, 0);
	SL_AUTO(state_free_auto) struct state *state = state_new();
	const stored_state *from = sluice__agent__v1__stored_state__unpack(
	    sl_arena_protobuf(&arena), bytes.size, bytes.data);
	sl_code code = SL_OK;
	if (from == NULL || state == NULL || from->format == 0) {
		code = sl_err_set(err, SL_DATA_LOSS, "%zu bytes are not a state", bytes.size);
	} else if (from->format > FORMAT) {
		code =
		    sl_err_set(err, SL_FAILED_PRECONDITION,
			       "written by a newer agent (format %" PRIu32 ", this one knows %d)",
			       from->format, FORMAT);
	} else if (!decode_scalars(from, state)) {
		code = sl_err_set(err, SL_DATA_LOSS, "a text or a key breaks its rule");
	}
	for (size_t i = 0; code == SL_OK && i < from->n_apps; i++) {
		if (!decode_app(from->apps[i], state)) {
			code = sl_err_set(err, SL_DATA_LOSS, "app '%s' breaks its rules",
					  from->apps[i]->slug);
		}
	}
	sl_arena_fini(&arena);
	if (code == SL_OK) {
		*ret_state = SL_TAKE(state);
	}
	return code;
}

#include "agent/manifest/manifest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/manifest/form.h"
#include "agent/trust/trust.h"
#include "base/mem/own.h"

SL_DEFINE_AUTO(Sluice__V1__Manifest *, manifest_free);

void manifest_free(Sluice__V1__Manifest *manifest)
{
	if (manifest != NULL) {
		sluice__v1__manifest__free_unpacked(manifest, NULL);
	}
}

uint64_t manifest_time_ms(const Google__Protobuf__Timestamp *at)
{
	if (at == NULL || at->seconds < 0 || at->seconds > INT64_MAX / 1000 || at->nanos < 0) {
		return 0;
	}
	return (uint64_t)at->seconds * 1000 + (uint64_t)at->nanos / 1000000;
}

static sl_code refused(struct sl_err *err)
{
	err->reason = SL_REASON_MANIFEST_REFUSED;
	return err->code;
}

/* Rule 1, second half: what the pinned key signed says so itself. */
static sl_code check_epoch(const struct state *state, const Sluice__V1__Manifest *manifest,
			   struct sl_err *err)
{
	bool pinned = state->trust.epoch != 0;
	if (manifest->key_epoch == state->trust.epoch && (pinned || state->key_epoch == 0)) {
		return SL_OK;
	}
	return sl_err_set(err, SL_FAILED_PRECONDITION,
			  "manifest has key epoch %" PRIu32 ", this agent has %s %" PRIu32,
			  manifest->key_epoch, pinned ? "pinned" : "accepted",
			  pinned ? state->trust.epoch : state->key_epoch);
}

/* Rule 3. */
static sl_code check_instance(const struct state *state, const Sluice__V1__Manifest *manifest,
			      struct sl_err *err)
{
	if (state->instance_id[0] == '\0' ||
	    strcmp(manifest->instance_id, state->instance_id) == 0) {
		return SL_OK;
	}
	return sl_err_set(err, SL_FAILED_PRECONDITION,
			  "manifest is for instance %s, this folder belongs to %s",
			  manifest->instance_id, state->instance_id);
}

/* Rule 4. */
static sl_code check_order(const struct state *state, struct sl_bytes body,
			   const Sluice__V1__Manifest *manifest, struct sl_err *err)
{
	if (state->manifest == NULL || (state->trust.epoch != 0 && state->trust.order_open)) {
		return SL_OK;
	}
	if (manifest->sequence > state->sequence) {
		return SL_OK;
	}
	bool same = sl_bytes_equal(body, SL_BYTES(state->manifest, state->manifest_size));
	if (manifest->sequence == state->sequence && same) {
		return SL_OK;
	}
	return sl_err_set(err, SL_FAILED_PRECONDITION,
			  "manifest has sequence %" PRIu64 ", %" PRIu64 " was accepted before%s",
			  manifest->sequence, state->sequence,
			  manifest->sequence == state->sequence ? " with another body" : "");
}

/* Rule 5. */
static sl_code check_expiry(const Sluice__V1__Manifest *manifest, uint64_t now_unix_ms,
			    struct sl_err *err)
{
	uint64_t expires = manifest_time_ms(manifest->expires_at);
	if (expires == 0) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "manifest has no expires_at");
	}
	if (expires <= now_unix_ms) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "manifest expired %" PRIu64 " s ago by the server's clock",
				  (now_unix_ms - expires) / 1000);
	}
	return SL_OK;
}

static sl_code check_signed(const struct state *state, struct sl_bytes body,
			    const Sluice__V1__Manifest *manifest, uint64_t now_unix_ms,
			    struct sl_err *err)
{
	sl_code code = check_epoch(state, manifest, err);
	code = code != SL_OK ? code : form_check(manifest, err);
	code = code != SL_OK ? code : check_instance(state, manifest, err);
	code = code != SL_OK ? code : check_order(state, body, manifest, err);
	return code != SL_OK ? code : check_expiry(manifest, now_unix_ms, err);
}

sl_code manifest_accept(const struct state *state,
			const Sluice__V1__SignedManifest *signed_manifest, uint64_t now_unix_ms,
			Sluice__V1__Manifest **ret_manifest, struct sl_err *err)
{
	struct sl_bytes body = SL_BYTES(signed_manifest->body.data, signed_manifest->body.len);
	sl_code code = trust_check_manifest(state, signed_manifest, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(manifest_free_auto)
	Sluice__V1__Manifest *manifest = sluice__v1__manifest__unpack(NULL, body.size, body.data);
	if (manifest == NULL) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MANIFEST_REFUSED,
				      "%zu bytes are not a manifest", body.size);
	}
	code = check_signed(state, body, manifest, now_unix_ms, err);
	if (code != SL_OK) {
		return code == SL_RESOURCE_EXHAUSTED ? code : refused(err);
	}
	*ret_manifest = SL_TAKE(manifest);
	return SL_OK;
}

sl_code manifest_of_state(const struct state *state, Sluice__V1__Manifest **ret_manifest,
			  struct sl_err *err)
{
	*ret_manifest = NULL;
	if (state->manifest == NULL) {
		return SL_OK;
	}
	SL_AUTO(manifest_free_auto)
	Sluice__V1__Manifest *manifest =
	    sluice__v1__manifest__unpack(NULL, state->manifest_size, state->manifest);
	if (manifest == NULL) {
		return sl_err_set(err, SL_DATA_LOSS, "the stored manifest does not parse");
	}
	sl_code code = form_check(manifest, err);
	if (code == SL_OK) {
		*ret_manifest = SL_TAKE(manifest);
	}
	return code;
}

sl_code manifest_store(struct state *state, struct sl_bytes body,
		       const Sluice__V1__Manifest *manifest, struct sl_err *err)
{
	uint8_t *copy = malloc(body.size + 1);
	if (copy == NULL) {
		return sl_err_no_memory(err);
	}
	memcpy(copy, body.data, body.size);
	free(state->manifest);
	state->manifest = copy;
	state->manifest_size = body.size;
	state->sequence = manifest->sequence;
	state->key_epoch = manifest->key_epoch;
	state->trust.order_open = false;
	state->expires_unix_ms = manifest_time_ms(manifest->expires_at);
	/* Forms were checked: ids and names fit. */
	(void)state_text(state->instance_id, sizeof(state->instance_id), manifest->instance_id);
	(void)state_text(state->environment, sizeof(state->environment), manifest->environment);
	return SL_OK;
}

sl_code manifest_refresh(struct state *state, const Sluice__V1__NotModified *not_modified,
			 struct sl_err *err)
{
	uint64_t expires = manifest_time_ms(not_modified->expires_at);
	sl_code code = trust_check_refresh(state, not_modified, err);
	if (code != SL_OK || state->manifest == NULL) {
		return code;
	}
	if (not_modified->sequence > state->sequence) {
		state->sequence = not_modified->sequence;
	}
	if (expires > state->expires_unix_ms) {
		state->expires_unix_ms = expires;
	}
	return SL_OK;
}

const Sluice__V1__ManifestApp *manifest_app(const Sluice__V1__Manifest *manifest, const char *id)
{
	for (size_t i = 0; manifest != NULL && i < manifest->n_apps; i++) {
		if (strcmp(manifest->apps[i]->app_id, id) == 0) {
			return manifest->apps[i];
		}
	}
	return NULL;
}

const Sluice__V1__Bundle *manifest_bundle(const Sluice__V1__ManifestApp *app,
					  const char *version_id)
{
	for (size_t i = 0; i < app->n_keep; i++) {
		if (*version_id != '\0' && strcmp(app->keep[i]->version_id, version_id) == 0) {
			return app->keep[i];
		}
	}
	return NULL;
}

bool manifest_removes(const Sluice__V1__Manifest *manifest, const char *app_id)
{
	for (size_t i = 0; manifest != NULL && i < manifest->n_removed; i++) {
		if (strcmp(manifest->removed[i], app_id) == 0) {
			return true;
		}
	}
	return false;
}

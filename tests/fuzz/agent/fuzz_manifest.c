/* Targets: what a server sends to an agent: SyncResponse, manifest_accept, manifest_store,
 * reconcile_merge, manifest_refresh.
 * Property: no crash; an accepted manifest names only what can be one folder's name, is accepted
 * again as the same, is not accepted once a later one was, and comes back from the state. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/manifest/manifest.h"
#include "agent/reconcile/reconcile.h"
#include "base/mem/own.h"

enum { NOW_MS = 1000 };

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void check_folder_name(const char *name)
{
	expect(name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
	       strstr(name, "..") == NULL && strlen(name) < STATE_FOLDER_SIZE);
}

static void check_state(const struct state *state)
{
	for (size_t i = 0; i < state->app_count; i++) {
		const struct state_app *app = state->apps[i];
		check_folder_name(app->slug);
		for (size_t j = 0; j < app->version_count; j++) {
			check_folder_name(app->versions[j]->folder);
		}
	}
}

static void check_manifest(const Sluice__V1__Manifest *manifest)
{
	for (size_t i = 0; i < manifest->n_apps; i++) {
		const Sluice__V1__ManifestApp *app = manifest->apps[i];
		check_folder_name(app->slug);
		expect(app->activate[0] == '\0' || manifest_bundle(app, app->activate) != NULL);
		for (size_t j = 0; j < app->n_keep; j++) {
			check_folder_name(app->keep[j]->repository_id);
			expect(app->keep[j]->digest.len == SL_HASH_BYTES);
		}
	}
}

static void accept_one(struct state *state, const Sluice__V1__SignedManifest *envelope)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__Manifest *manifest = NULL, *again = NULL;
	struct sl_bytes body = SL_BYTES(envelope->body.data, envelope->body.len);
	if (manifest_accept(state, envelope, NOW_MS, &manifest, &err) != SL_OK) {
		expect(err.msg[0] != '\0');
		return;
	}
	check_manifest(manifest);
	expect(manifest_store(state, body, manifest, &err) == SL_OK);
	expect(reconcile_merge(state, manifest, &err) == SL_OK);
	check_state(state);
	manifest_free(manifest);
	expect(manifest_of_state(state, &again, &err) == SL_OK && again != NULL);
	manifest_free(again);
	expect(manifest_accept(state, envelope, NOW_MS, &again, &err) == SL_OK);
	manifest_free(again);
	if (state->sequence < UINT64_MAX) {
		state->sequence++;
		expect(manifest_accept(state, envelope, NOW_MS, &again, &err) != SL_OK);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state *state = state_new();
	Sluice__V1__SyncResponse *message = sluice__v1__sync_response__unpack(NULL, size, data);
	expect(state != NULL);
	if (message != NULL &&
	    message->message_case == SLUICE__V1__SYNC_RESPONSE__MESSAGE_MANIFEST) {
		accept_one(state, message->manifest);
	}
	if (message != NULL &&
	    message->message_case == SLUICE__V1__SYNC_RESPONSE__MESSAGE_NOT_MODIFIED) {
		manifest_refresh(state, message->not_modified);
		expect(state->sequence == 0); /* nothing was accepted yet */
	}
	if (message != NULL) {
		sluice__v1__sync_response__free_unpacked(message, NULL);
	}
	state_free(state);
	return 0;
}

/* manifest: the whole desired state of this instance, once it is believed.
 *
 * Pure: no I/O, no clock. A manifest comes from the wire or from the state
 * file; both ways it goes through the same checks of form. */
#ifndef SL_AGENT_MANIFEST_H
#define SL_AGENT_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/state/state.h"
#include "base/err/err.h"
#include "sluice/v1/agent.pb-c.h"

/* Believes a manifest or says why not. The rules, in their order:
 *
 *   1. signed by the pinned key, over exactly these bytes or the root that they lead to, and of
 *      its epoch (with no key pinned: not signed at all, epoch 0); nothing is read before that is
 *      sure;
 *   2. well-formed: ids, names, digests, no app or slug twice, `activate` in `keep`;
 *   3. for this instance (a fresh folder takes the instance that the server names);
 *   4. above the last accepted sequence, or equal with the same body; the first one of a key is
 *      accepted whatever was before: order begins anew with it;
 *   5. not expired at `now_unix_ms`, which is the server's time.
 *
 * SL_FAILED_PRECONDITION or SL_INVALID_ARGUMENT, MANIFEST_REFUSED, says which rule. The caller
 * frees *ret_manifest with manifest_free(). */
SL_MUST_USE sl_code manifest_accept(const struct state *state,
				    const Sluice__V1__SignedManifest *signed_manifest,
				    uint64_t now_unix_ms, Sluice__V1__Manifest **ret_manifest,
				    struct sl_err *err);

/* The form of one app's entry, by the rules that a manifest's has to keep. SL_INVALID_ARGUMENT
 * names the app, the value and the rule. */
SL_MUST_USE sl_code manifest_check_app(const Sluice__V1__ManifestApp *app, struct sl_err *err);

/* The manifest that the state holds; NULL with SL_OK when there is none. */
SL_MUST_USE sl_code manifest_of_state(const struct state *state,
				      Sluice__V1__Manifest **ret_manifest, struct sl_err *err);

/* Body, sequence, expiry and names go into the state. SL_RESOURCE_EXHAUSTED: out of memory, state
 * untouched. */
SL_MUST_USE sl_code manifest_store(struct state *state, struct sl_bytes body,
				   const Sluice__V1__Manifest *manifest, struct sl_err *err);

/* What the agent has is still right, at a later sequence and with a later expiry, if whoever signs
 * manifests says so. SL_FAILED_PRECONDITION: that is not sure; nothing changed. */
SL_MUST_USE sl_code manifest_refresh(struct state *state,
				     const Sluice__V1__NotModified *not_modified,
				     struct sl_err *err);

uint64_t manifest_time_ms(const Google__Protobuf__Timestamp *at); /* 0 when unset or before 1970 */

/* Borrowed from the manifest; NULL: not there. */
const Sluice__V1__ManifestApp *manifest_app(const Sluice__V1__Manifest *manifest, const char *id);
const Sluice__V1__Bundle *manifest_bundle(const Sluice__V1__ManifestApp *app,
					  const char *version_id);
bool manifest_removes(const Sluice__V1__Manifest *manifest, const char *app_id);

void manifest_free(Sluice__V1__Manifest *manifest); /* NULL is fine */

#endif

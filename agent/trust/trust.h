/* trust: whom this agent believes, and how that changes.
 *
 *   pinned by enrolment or --manifest-key: key of epoch n
 *     | announced by the key of epoch n: key of epoch n+1, and so on
 *     | announced by the recovery key: any epoch above the last one that it spoke for
 *
 * Nothing else changes the pinned key. So whoever steals a manifest key can lead
 * agents along a chain of his own, and the recovery key leads them back from
 * anywhere. With every new key order begins anew, and so does what is proven of
 * the time: that is the way out for agents that were told too high a sequence.
 *
 * A state without pinned key believes servers that sign nothing, and no others.
 * Pure but for reading files of pins. Refusals are SL_FAILED_PRECONDITION /
 * MANIFEST_REFUSED. */
#ifndef SL_AGENT_TRUST_H
#define SL_AGENT_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/state/state.h"
#include "base/err/err.h"
#include "sluice/v1/agent.pb-c.h"

/* --- pinning ---------------------------------------------------------------------------- */

struct trust_pin {
	uint32_t epoch; /* 0: no manifest key is given */
	uint8_t manifest_key[SL_SIGN_PUBLIC_BYTES];
	bool recovery_given;
	uint8_t recovery_key[SL_SIGN_PUBLIC_BYTES];
	bool release_given, release_none; /* none: it is demanded no more */
	uint8_t release_key[SL_SIGN_PUBLIC_BYTES];
};

/* Reads what flags name: paths, NULL or "" for not given; release may be "none".
 * SL_INVALID_ARGUMENT and others name flag, file and rule. */
SL_MUST_USE sl_code trust_read_pin(const char *manifest, const char *recovery, const char *release,
				   struct trust_pin *ret_pin, struct sl_err *err);

/* What is given takes the place of what is there. A manifest key that was given before counts no
 * second time: the state has gone on from it. True: something changed. */
bool trust_pin(struct state *state, const struct trust_pin *pin);

/* --- believing -------------------------------------------------------------------------- */

/* Walks the announcements as far as they hold. What is known already is passed by. *ret_changed
 * also on failure: those before the one that does not hold count. */
SL_MUST_USE sl_code trust_walk(struct state *state, const Sluice__V1__ManifestKeys *keys,
			       bool *ret_changed, struct sl_err *err);

/* Did the pinned key sign these bytes, by themselves or in a tree of others? Before anything in
 * them is read. */
SL_MUST_USE sl_code trust_check_manifest(const struct state *state,
					 const Sluice__V1__SignedManifest *signed_manifest,
					 struct sl_err *err);
/* Is it about the manifest that the state holds, and did the pinned key sign it? */
SL_MUST_USE sl_code trust_check_refresh(const struct state *state,
					const Sluice__V1__NotModified *refresh, struct sl_err *err);
/* Did the pinned key vouch for this box, for this instance, app and stamp? Before it is opened. */
SL_MUST_USE sl_code trust_check_config(const struct state *state,
				       const Sluice__V1__AgentConfig *config, struct sl_err *err);
/* Does a demanded release signature hold? True when none is demanded. */
bool trust_may_activate(const struct state *state, const char *app_id,
			const Sluice__V1__Bundle *bundle);

/* --- time -------------------------------------------------------------------------------- */

/* What expires then was signed at most seven days before: it is not earlier than that now. Returns
 * 0 while nothing is pinned. */
uint64_t trust_proven_ms(const struct state *state, uint64_t expires_unix_ms);

#endif

/* reconcile: desired and actual in, the next step out.
 *
 * Pure: no I/O, no clock; times come in. merge() brings the state's list of
 * apps and versions in line with a manifest, next() says what one app needs
 * now, view() says what the server is told about it. */
#ifndef SL_AGENT_RECONCILE_H
#define SL_AGENT_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/manifest/manifest.h"
#include "agent/state/state.h"
#include "base/err/err.h"
#include "sluice/v1/fleet.pb-c.h"

/* Adds what the manifest names, adopts what was found on disk, forgets entries
 * that are neither wanted nor on disk, and opens ended attempts again whose
 * entry changed. SL_RESOURCE_EXHAUSTED: out of memory. */
SL_MUST_USE sl_code reconcile_merge(struct state *state, const Sluice__V1__Manifest *manifest,
				    struct sl_err *err);

/* True while another app, which came first, has the app's folder. */
bool reconcile_clashes(const struct state *state, const struct state_app *app);

/* The entry of a bundle: same id, same digest; NULL: not merged. */
struct state_version *reconcile_version(const struct state_app *app,
					const Sluice__V1__Bundle *bundle);

/* May this bundle be fetched, when it is not on disk? A MANUAL instance waits for Pull. */
bool reconcile_may_fetch(const Sluice__V1__Manifest *manifest, const Sluice__V1__ManifestApp *want,
			 const Sluice__V1__Bundle *bundle);

/* How long a version that was imported from a file waits to be named by a manifest: 30 days. */
#define RECONCILE_IMPORTED_KEPT_MS (30ull * 24 * 3600 * 1000)

enum reconcile_kind {
	RECONCILE_REST,      /* nothing to do; wake_mono_ms says until when */
	RECONCILE_FETCH,     /* bundle, version: fetch, verify, stage */
	RECONCILE_ACTIVATE,  /* version: flip to it */
	RECONCILE_TAKE_DOWN, /* serve nothing */
	RECONCILE_FORGET,    /* removed and not served: delete the folder */
	RECONCILE_PRUNE,     /* version: delete its folder */
	RECONCILE_RELOAD,    /* write the config of what is served anew */
};

struct reconcile_step {
	enum reconcile_kind kind;
	bool urgent; /* FETCH: of the version to activate */
	const Sluice__V1__Bundle *bundle;
	struct state_version *version;
	uint64_t wake_mono_ms; /* REST: 0 never */
};

struct reconcile_input {
	const struct state *state;
	const Sluice__V1__Manifest *manifest; /* NULL: none accepted yet */
	bool busy;                            /* a hook of this app runs: no flip now */
	bool reload_due;      /* the config of what is served is another than what is written */
	uint64_t now_unix_ms; /* the server's time */
	uint64_t now_mono_ms;
	uint64_t settled_mono_ms; /* when the app's last flip was seen through; pruning waits a
				     while after it */
	unsigned keep_extra;      /* versions kept beyond the manifest's */
	uint64_t prune_after_ms;  /* pause from settled_mono_ms until one is deleted */
};

/* Does the version wait for its config, or has lost some? Its `not_ready` says what is missing. */
bool reconcile_is_ready(const struct state_version *version);

struct reconcile_step reconcile_next(const struct reconcile_input *in, const struct state_app *app);

/* What is going on with an app right now. */
struct reconcile_activity {
	const struct state_version *pulling; /* NULL: none */
	bool verifying;
	uint32_t percent;
	bool activating; /* a flip is not seen through: hook or probe */
};

struct reconcile_view {
	const struct state_version *subject; /* NULL: none */
	Sluice__V1__Phase phase;
	Sluice__V1__ErrorClass error_class;
	const char *error; /* borrowed from the state, or static */
	uint32_t percent;
	bool orphaned;
	bool held; /* PENDING, since the subject waits for Pull */
};

struct reconcile_view reconcile_view(const struct reconcile_input *in, const struct state_app *app,
				     const struct reconcile_activity *activity);
/* How one version stands that is not the app's subject: STAGED, FAILED, PENDING. */
struct reconcile_view reconcile_view_of(const struct state_version *version);

/* Milliseconds to wait after `failed` transient failures in a row (from 1):
 * from first_ms doubling to max_ms, then up to jitter_percent more by `random`. */
uint64_t reconcile_backoff_ms(unsigned failed, uint64_t first_ms, uint64_t max_ms,
			      unsigned jitter_percent, uint32_t random);

#endif

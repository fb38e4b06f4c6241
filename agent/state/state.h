/* state: what an agent knows and keeps between starts.
 *
 * In memory a plain struct; on disk one file, DIR/state, replaced as a whole
 * (write aside, fsync, rename, fsync of the folder), so that a crash leaves the
 * old one or the new one. DIR/lock is held for life by the one agent of a folder.
 *
 * Threads: one. Sizes of texts are those of their rules, with the NUL. */
#ifndef SL_AGENT_STATE_H
#define SL_AGENT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/crypto/sign.h"
#include "base/err/err.h"

enum {
	STATE_ID_SIZE = 32,
	STATE_SLUG_SIZE = 64,
	STATE_NAME_SIZE = 32,
	STATE_FOLDER_SIZE = 64, /* version name, dash, 12 hex digits (24 if those are taken) */
	STATE_ERROR_SIZE = 501,
	STATE_PRINT_BYTES = 32,
	STATE_MODIFIED_MAX = 20,
	STATE_BYTES_MAX = 64 << 20, /* of the file */
};

enum state_outcome { STATE_OPEN = 0, STATE_FAILED = 1, STATE_ROLLED_BACK = 2 };

struct state_version {
	char id[STATE_ID_SIZE]; /* "": found on disk, nobody knows which */
	char name[STATE_NAME_SIZE];
	char folder[STATE_FOLDER_SIZE];
	uint8_t digest[SL_HASH_BYTES];
	bool digest_known;
	bool on_disk;
	enum state_outcome outcome;
	uint32_t retries; /* of the manifest, that the outcome belongs to */
	uint32_t attempt;
	uint64_t source;      /* fingerprint of where the manifest says the bundle is */
	bool transient;       /* error is one that is tried again by itself */
	bool release_missing; /* lacks the signature that is demanded: not to be activated */
	char not_ready[STATE_ERROR_SIZE]; /* what of its config is missing; "": nothing */
	char error[STATE_ERROR_SIZE];
	uint8_t *bundle; /* owned; the manifest's word of where it comes from, packed; NULL: none */
	size_t bundle_size;
	uint64_t imported_unix_ms; /* from a file, and no manifest has named it since; else 0 */
	bool print_known;
	uint8_t print[STATE_PRINT_BYTES]; /* of the folder as it was written (agent/drift) */

	/* Not kept on disk. */
	bool print_due;       /* just written: the print is to be taken */
	bool attempt_open;    /* the attempt has not ended */
	unsigned failed;      /* transient failures in a row */
	uint64_t retry_at_ms; /* monotonic; not before */
};

enum state_flip_reason {
	STATE_FLIP_NONE = 0,
	STATE_FLIP_ACTIVATE = 1,
	STATE_FLIP_ROLLBACK = 2,
	STATE_FLIP_RELOAD = 3, /* the link stays: other config for what is served */
};

struct state_modified;

struct state_flip {
	enum state_flip_reason reason; /* NONE: no flip is under way */
	char to[STATE_FOLDER_SIZE];    /* "": no link */
	char from[STATE_FOLDER_SIZE];  /* "": there was no link */
};

enum { STATE_OID_SIZE = 41, STATE_URL_SIZE = 1024 };

/* A working copy of a draft. */
struct state_work {
	char version_id[STATE_ID_SIZE]; /* "": there is none that is known */
	char commit[STATE_OID_SIZE];    /* it was made from, or pushed as */
	char tree[STATE_OID_SIZE];      /* what differs from this is edited */
	char repository_id[STATE_ID_SIZE], url[STATE_URL_SIZE]; /* it is pushed nowhere else */
};

struct state_app {
	char id[STATE_ID_SIZE]; /* "": found on disk, nobody knows which */
	char slug[STATE_SLUG_SIZE];
	struct state_version **versions; /* owned, oldest first */
	size_t version_count;
	char active[STATE_FOLDER_SIZE]; /* where `current` points; "": no link */
	char previous[STATE_FOLDER_SIZE];
	struct state_flip flip;
	uint64_t flipped_unix_ms;
	bool degraded;
	char wanted_id[STATE_ID_SIZE]; /* what the manifest last told to activate */
	struct state_work work;
	struct state_modified *modified; /* owned; NULL: what is served is as it was put there */
	uint8_t *config; /* owned; what is told of its config, a packed HeldConfig; NULL: nothing */
	size_t config_size;
};

/* What somebody changed of what is served. */
struct state_modified {
	uint64_t count;
	size_t file_count; /* of those: told by name, "." is the folder, "current" the link */
	char files[STATE_MODIFIED_MAX][STATE_ERROR_SIZE];
};

/* Whom the agent believes: agent/trust has the rules. */
struct state_trust {
	uint32_t epoch; /* of manifest_key; 0: none is pinned */
	uint8_t manifest_key[SL_SIGN_PUBLIC_BYTES];
	bool recovery_known;
	uint8_t recovery_key[SL_SIGN_PUBLIC_BYTES];
	uint32_t recovered_epoch; /* the recovery key has spoken for epochs up to this one */
	bool order_open;          /* no manifest of this key was accepted yet */
	uint32_t given_epoch;     /* pinned by hand or enrolment, before any announcement */
	uint8_t given_key[SL_SIGN_PUBLIC_BYTES];
	uint64_t proven_unix_ms; /* signed words prove that it is not earlier; 0: nothing does */
	bool release_known;      /* a release key's signature is demanded */
	uint8_t release_key[SL_SIGN_PUBLIC_BYTES];
};

struct state {
	char workspace[STATE_SLUG_SIZE];
	char instance[STATE_SLUG_SIZE];
	char instance_id[STATE_ID_SIZE]; /* "": no server has said it */
	char environment[STATE_SLUG_SIZE];
	uint8_t *manifest; /* owned; body of the last accepted one */
	size_t manifest_size;
	uint64_t sequence;
	uint64_t expires_unix_ms;
	uint32_t key_epoch;
	uint64_t time_floor_unix_ms; /* no time below this is believed */
	bool removed;
	struct state_app **apps; /* owned */
	size_t app_count;
	char last_error[STATE_ERROR_SIZE];
	uint64_t last_error_unix_ms;
	int64_t clock_offset_ms;
	uint64_t connected_unix_ms;
	struct state_trust trust;
};

struct state *state_new(void);
void state_free(struct state *state); /* NULL is fine */

/* Borrowed from the state until removed; NULL: none such. */
struct state_app *state_app_by_id(const struct state *state, const char *id);
struct state_app *state_app_by_slug(const struct state *state, const char *slug);
struct state_version *state_version_by_id(const struct state_app *app, const char *id);
struct state_version *state_version_by_folder(const struct state_app *app, const char *folder);
/* The one that `current` points at; NULL: none. */
struct state_version *state_active(const struct state_app *app);

/* A new entry at the end; NULL: out of memory, or a text is longer than its rule. */
struct state_app *state_app_add(struct state *state, const char *id, const char *slug);
struct state_version *state_version_add(struct state_app *app, const char *id, const char *name,
					const uint8_t *digest);
/* Keeps a copy; false: out of memory, the one before stays. */
bool state_version_bundle(struct state_version *version, struct sl_bytes bundle);
/* The same of an app's HeldConfig; size 0: there is none. */
bool state_app_config(struct state_app *app, struct sl_bytes config);
void state_app_remove(struct state *state, struct state_app *app);
void state_version_remove(struct state_app *app, struct state_version *version);

/* "<name>-<first 12 hex digits of digest>". Returns `out`. */
const char *state_folder(char out[static STATE_FOLDER_SIZE], const char *name,
			 const uint8_t digest[static SL_HASH_BYTES]);

/* One more file; beyond STATE_MODIFIED_MAX it is only counted. */
void state_modified_add(struct state_modified *modified, const char *path);

/* Cuts to `size`; false if something was cut. */
bool state_text(char *out, size_t size, const char *text);
/* For errors: cut at a whole character, control bytes become spaces. */
void state_error_text(char out[static STATE_ERROR_SIZE], const char *text);

/* Makes the folder, if it is not there. */
SL_MUST_USE sl_code state_make_dir(const char *dir, struct sl_err *err);

/* Takes DIR/lock for life of the process; the descriptor is never closed on
 * purpose. SL_FAILED_PRECONDITION: another agent has it. `dir` is made when missing. */
SL_MUST_USE sl_code state_lock(const char *dir, int *ret_fd, struct sl_err *err);
/* True while some process holds DIR/lock. */
bool state_is_locked(const char *dir);

/* Reads DIR/state. SL_NOT_FOUND: there is none. SL_DATA_LOSS: it is not one.
 * SL_FAILED_PRECONDITION: written by a newer agent. */
SL_MUST_USE sl_code state_load(const char *dir, struct state **ret_state, struct sl_err *err);
/* Replaces DIR/state; on failure the old file is still whole.
 * SL_RESOURCE_EXHAUSTED: the disk is full. */
SL_MUST_USE sl_code state_save(const char *dir, const struct state *state, struct sl_err *err);

/* The pull under way, in DIR/pulling: for `status` only, never believed. */
struct state_pulling {
	char version_id[STATE_ID_SIZE];
	bool is_verifying; /* else it is fetched */
	unsigned percent;
};
void state_pulling_write(const char *dir, const struct state_pulling *pulling);
void state_pulling_clear(const char *dir);
/* False: there is none. An agent that was killed leaves one: see state_is_locked(). */
bool state_pulling_read(const char *dir, struct state_pulling *ret_pulling);

/* Puts `size` bytes into DIR/name the same way. `mode` as for open(). */
SL_MUST_USE sl_code state_write_file(const char *dir, const char *name, const void *data,
				     size_t size, unsigned mode, struct sl_err *err);

/* Up to `max` bytes of DIR/name, which is no link; the caller frees them. SL_NOT_FOUND: there is
 * none. SL_DATA_LOSS: it has more. */
SL_MUST_USE sl_code state_read_file(const char *dir, const char *name, size_t max,
				    uint8_t **ret_data, size_t *ret_size, struct sl_err *err);

#endif

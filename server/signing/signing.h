/* signing: the key that manifests are signed with, and how agents come to trust the next one.
 *
 *   DIR/manifest.key    the signing key in use: epoch and seed, 0600
 *   DIR/manifest.chain  every key since the first, each announced by the one before it or by the
 *                       recovery key: public, what agents are sent that know an older one
 *   DIR/recovery.pub    public half of the recovery key, whose private half only people have
 *
 * DIR is the folder of keys. It is in no backup of the store: a store that is
 * restored beside it goes on with the newest key.
 *
 * Threads: any; one lock inside. */
#ifndef SL_SERVER_SIGNING_H
#define SL_SERVER_SIGNING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/crypto/keytext.h"
#include "base/crypto/sign.h"
#include "base/err/err.h"
#include "base/vouch/vouch.h"

struct signing;

enum signing_by { SIGNING_FIRST, SIGNING_BY_PREVIOUS, SIGNING_BY_RECOVERY };

/* A key of the chain. */
struct signing_key {
	uint32_t epoch;
	enum signing_by by;
	uint64_t since_ms; /* unix; it is in use until the next one's */
	uint8_t public_key[SL_SIGN_PUBLIC_BYTES];
	uint8_t signature[SL_SIGNATURE_BYTES]; /* over vouch_key(); the first has none */
};

/* Makes the three files in `dir`, which is there; the recovery key's text (wipe it) is all that is
 * left of its private half. SL_ALREADY_EXISTS: one of them is there. */
SL_MUST_USE sl_code signing_init(const char *dir, uint64_t now_ms,
				 char ret_recovery[static SL_KEY_TEXT_SIZE], struct sl_err *err);

/* Reads and checks key and chain. SL_NOT_FOUND: there is no chain in `dir` (borrowed for life). */
SL_MUST_USE sl_code signing_open(const char *dir, struct signing **ret_signing, struct sl_err *err);
void signing_free(struct signing *signing); /* NULL is fine */

/* Reads the files again if they changed. On failure the key in use stays. */
SL_MUST_USE sl_code signing_reload(struct signing *signing, bool *ret_changed, struct sl_err *err);

/* The key in use. */
void signing_current(struct signing *signing, struct signing_key *ret_key);
void signing_recovery(struct signing *signing, uint8_t out[static SL_SIGN_PUBLIC_BYTES]);

/* Signs with the key in use, which must be the one of `epoch`: SL_ABORTED when another one came
 * into use since. */
SL_MUST_USE sl_code signing_sign(struct signing *signing, uint32_t epoch, const char *purpose,
				 struct sl_bytes message, uint8_t out[static SL_SIGNATURE_BYTES],
				 struct sl_err *err);

/* What an agent must be told that has pinned this key: all later ones. One that pinned a key which
 * is not of the chain (a stolen key announced it) gets what the recovery key announced last, and
 * what follows. The caller frees *ret_keys, NULL when there are none. */
SL_MUST_USE sl_code signing_missing(struct signing *signing, uint32_t epoch,
				    struct sl_bytes public_key, struct signing_key **ret_keys,
				    size_t *ret_count, struct sl_err *err);

/* All keys of the chain. The caller frees *ret_keys. */
SL_MUST_USE sl_code signing_keys(struct signing *signing, struct signing_key **ret_keys,
				 size_t *ret_count, struct sl_err *err);

/* --- for `sluiced keys`; also while a server runs, which sees it within a second ------------- */

/* The next key, announced by the one in use, which is gone afterwards. */
SL_MUST_USE sl_code signing_rotate(const char *dir, uint64_t now_ms, struct signing_key *ret_key,
				   struct sl_err *err);
/* The next key, announced by the recovery key; the one in use need not be there. `epoch` 0: the one
 * after the last of the chain; another one: if the chain is lost, too. */
SL_MUST_USE sl_code signing_recover(const char *dir, const char *recovery_text, uint32_t epoch,
				    uint64_t now_ms, struct signing_key *ret_key,
				    struct sl_err *err);

/* For --manifest-key of agents. Returns `out`. */
char *signing_public_text(const struct signing_key *key, char out[static SL_KEY_TEXT_SIZE]);

#endif

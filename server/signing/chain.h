/* chain: every manifest key since the first, as a file. Private to server/signing.
 *
 *   # epoch  since (unix ms)  announced by  key  signature
 *   1 1764312000000 first manifest-public-key:aaaa-... -
 *   2 1764398400000 previous manifest-public-key:aaaa-... 1f0c...
 *
 * A chain is whole: epochs grow, each signature holds. */
#ifndef SL_SERVER_SIGNING_CHAIN_H
#define SL_SERVER_SIGNING_CHAIN_H

#include "server/signing/signing.h"

#define CHAIN_FILE "manifest.chain"
#define KEY_FILE "manifest.key"
#define NEXT_FILE "manifest.key.next"
#define RECOVERY_FILE "recovery.pub"
enum { KEY_BYTES = 4 + SL_SIGN_SEED_BYTES, CHAIN_MAX = 4096 };

struct chain {
	struct signing_key *keys; /* owned; by epoch */
	size_t count;
	uint8_t recovery[SL_SIGN_PUBLIC_BYTES];
};

/* Chain and recovery key of the folder. SL_NOT_FOUND: there is no chain file. */
SL_MUST_USE sl_code chain_read(const char *dir, struct chain *ret_chain, struct sl_err *err);
/* A chain without keys yet. */
SL_MUST_USE sl_code chain_read_recovery(const char *dir, struct chain *ret_chain,
					struct sl_err *err);
SL_MUST_USE sl_code chain_write(const char *dir, const struct chain *chain, struct sl_err *err);
/* Copies the key to the end. */
SL_MUST_USE sl_code chain_add(struct chain *chain, const struct signing_key *key,
			      struct sl_err *err);
void chain_fini(struct chain *chain);

static inline const struct signing_key *chain_last(const struct chain *chain)
{
	return &chain->keys[chain->count - 1];
}

/* rotate.c: epoch and seed of KEY_FILE or NEXT_FILE. */
SL_MUST_USE sl_code signing_read_key(const char *dir, const char *name, uint32_t *ret_epoch,
				     struct sl_signer **ret_signer, struct sl_err *err);
/* The signer of the chain's last key, and the file that it is in. */
SL_MUST_USE sl_code signing_read_last(const char *dir, const struct chain *chain,
				      struct sl_signer **ret_signer, const char **ret_name,
				      struct sl_err *err);

#endif

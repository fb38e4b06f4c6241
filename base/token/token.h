/* token: secrets that strangers show once to be let in.
 *
 * A token is an id, which may be seen, and a secret, of which the server keeps a
 * keyed hash. The key is of the server's key folder and not in the store: who
 * reads the store can neither use a token nor try guesses on it. Access tokens are
 * written `slc_<id>_<secret>`, both without the id's prefix. Secrets are compared
 * in constant time. Pure; any thread. */
#ifndef SL_BASE_TOKEN_H
#define SL_BASE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err/err.h"
#include "base/id/id.h"

#define SL_TOKEN_KEY_BYTES 32
#define SL_TOKEN_HASH_BYTES 32
#define SL_TOKEN_RANDOM_BYTES 32 /* what a secret is made of */
#define SL_TOKEN_SECRET_SIZE 53  /* 52 characters [a-z2-7], NUL */
#define SL_TOKEN_TEXT_SIZE (4 + 20 + 1 + SL_TOKEN_SECRET_SIZE)

struct sl_token_key {
	uint8_t bytes[SL_TOKEN_KEY_BYTES];
};

/* Reads a key file: SL_TOKEN_KEY_BYTES bytes, no more and no less. With `make` an absent one is
 * made (0600, synced). SL_FAILED_PRECONDITION: it is not there, not as long, or cannot be read or
 * made. */
SL_MUST_USE sl_code sl_token_key_load(const char *path, bool make, struct sl_token_key *ret_key,
				      struct sl_err *err);

/* The secret's text of so many random bytes. */
void sl_token_secret(const uint8_t random[static SL_TOKEN_RANDOM_BYTES],
		     char ret_secret[static SL_TOKEN_SECRET_SIZE]);
/* `purpose` keeps kinds of tokens apart ("access", "join"): one is never good as another. */
void sl_token_hash(const struct sl_token_key *key, const char *purpose, const char *id,
		   const char *secret, uint8_t ret_hash[static SL_TOKEN_HASH_BYTES]);
/* Constant time. A hash of another size is never equal. */
bool sl_token_matches(const uint8_t hash[static SL_TOKEN_HASH_BYTES], const void *kept,
		      size_t kept_size);

/* "slc_<id>_<secret>" of an id "tok_...". */
void sl_token_text(const char *id, const char *secret, char ret_text[static SL_TOKEN_TEXT_SIZE]);
struct sl_token_parts {
	char id[SL_ID_SIZE]; /* "tok_..." */
	char secret[SL_TOKEN_SECRET_SIZE];
};
/* False: the text is no access token. */
bool sl_token_parse(const char *text, struct sl_token_parts *ret_parts);

/* Fills in SL_UNAUTHENTICATED / TOKEN_REFUSED, with one text whatever is wrong with a token and
 * whatever kind it is of: strangers are told no more. */
SL_MUST_USE sl_code sl_token_refused(struct sl_err *err);

#endif

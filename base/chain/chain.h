/* chain: the hash that ties an audit record to the one before it; for the server, which writes it,
 * and for those who check an export without one. BLAKE2b-256. Threads: any. */
#ifndef SL_BASE_CHAIN_H
#define SL_BASE_CHAIN_H

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"

/* Of: the hash before | sequence (8 bytes, big-endian) | size of the body (4) | body |
 * content_hash, which a change has and a refusal (NULL) has not. */
void sl_chain_hash(uint8_t out[static SL_HASH_BYTES], const uint8_t before[static SL_HASH_BYTES],
		   uint64_t sequence, struct sl_bytes body, const uint8_t *content_hash);

#endif

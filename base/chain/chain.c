#include "base/chain/chain.h"

void sl_chain_hash(uint8_t out[static SL_HASH_BYTES], const uint8_t before[static SL_HASH_BYTES],
		   uint64_t sequence, struct sl_bytes body, const uint8_t *content_hash)
{
	struct sl_hasher hasher;
	uint8_t numbers[12];
	sl_put_be64(numbers, sequence);
	sl_put_be32(numbers + 8, (uint32_t)body.size);
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, before, SL_HASH_BYTES);
	sl_hasher_add(&hasher, numbers, sizeof(numbers));
	sl_hasher_add(&hasher, body.data, body.size);
	if (content_hash != NULL) {
		sl_hasher_add(&hasher, content_hash, SL_HASH_BYTES);
	}
	sl_hasher_end(&hasher, out);
}

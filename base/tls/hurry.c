#include "base/tls/hurry.h"

#include <string.h>

#include "base/tls/tokens.h"

enum { TOKEN_US = 1000000 / TLS_HURRY_PER_SECOND };

/* Its own place, or that of who has spent least. */
static unsigned place_for(struct tls_hurry *hurry, const uint8_t *key)
{
	unsigned least = 0;
	for (unsigned i = 0; i < TLS_HURRY_KEYS; i++) {
		if (memcmp(hurry->list[i].key, key, TLS_HURRY_KEY) == 0) {
			return i;
		}
		least = hurry->list[i].spent_us < hurry->list[least].spent_us ? i : least;
	}
	memcpy(hurry->list[least].key, key, TLS_HURRY_KEY);
	hurry->list[least].spent_us = 0;
	return least;
}

bool tls_hurry_bears(struct tls_hurry *hurry, const uint8_t key[static TLS_HURRY_KEY],
		     uint32_t resets, uint64_t now_us)
{
	uint64_t *spent_us = &hurry->list[place_for(hurry, key)].spent_us;
	return tls_tokens_spend(spent_us, (uint64_t)resets * TOKEN_US,
				(uint64_t)TLS_HURRY_BURST * TOKEN_US, now_us);
}

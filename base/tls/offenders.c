#include "base/tls/offenders.h"

#include <string.h>

#include "base/mem/own.h"

static const struct tls_offender *find(const struct tls_offenders *offenders, const uint8_t *key)
{
	for (size_t i = 0; i < SL_COUNT(offenders->list); i++) {
		const struct tls_offender *one = &offenders->list[i];
		if (one->until_us != 0 && memcmp(one->key, key, sizeof(one->key)) == 0) {
			return one;
		}
	}
	return NULL;
}

/* Its own place, or that of who is out no longer, or of who comes in first. */
static struct tls_offender *place_for(struct tls_offenders *offenders, const uint8_t *key)
{
	const struct tls_offender *known = find(offenders, key);
	struct tls_offender *first = offenders->list;
	for (size_t i = 0; i < SL_COUNT(offenders->list); i++) {
		struct tls_offender *one = &offenders->list[i];
		if (one == known) {
			return one;
		}
		first = one->until_us < first->until_us ? one : first;
	}
	*first = (struct tls_offender){.until_us = 0};
	memcpy(first->key, key, sizeof(first->key));
	return first;
}

uint64_t tls_offenders_add(struct tls_offenders *offenders,
			   const uint8_t key[static TLS_OFFENDER_KEY], uint64_t now_us)
{
	struct tls_offender *one = place_for(offenders, key);
	if (one->until_us > now_us) {
		return one->until_us;
	}
	bool again = one->until_us != 0 && now_us - one->until_us < one->out_us;
	uint64_t out_us = again ? one->out_us * 2 : TLS_OFFENDER_FIRST_US;
	one->out_us = out_us < TLS_OFFENDER_LONGEST_US ? out_us : TLS_OFFENDER_LONGEST_US;
	one->until_us = now_us + one->out_us;
	return one->until_us;
}

bool tls_offenders_has(const struct tls_offenders *offenders,
		       const uint8_t key[static TLS_OFFENDER_KEY], uint64_t now_us)
{
	const struct tls_offender *one = find(offenders, key);
	return one != NULL && one->until_us > now_us;
}

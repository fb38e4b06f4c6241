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

/* Its own place, or that which is forgotten first. */
static void remember(struct tls_offenders *offenders, uint64_t from, uint64_t until_us)
{
	struct tls_origin *place = offenders->origins;
	for (size_t i = 0; i < SL_COUNT(offenders->origins) && place->from != from; i++) {
		struct tls_origin *one = &offenders->origins[i];
		place = one->from == from || one->until_us < place->until_us ? one : place;
	}
	if (from != 0 && (place->from != from || place->until_us < until_us)) {
		*place = (struct tls_origin){.from = from, .until_us = until_us};
	}
}

static uint64_t put_out(struct tls_offender *one, uint64_t now_us)
{
	if (one->until_us > now_us) {
		return one->until_us;
	}
	bool again = one->until_us != 0 && now_us - one->until_us < one->out_us;
	uint64_t out_us = again ? one->out_us * 2 : TLS_OFFENDER_FIRST_US;
	one->out_us = out_us < TLS_OFFENDER_LONGEST_US ? out_us : TLS_OFFENDER_LONGEST_US;
	one->until_us = now_us + one->out_us;
	return one->until_us;
}

uint64_t tls_offenders_add(struct tls_offenders *offenders,
			   const uint8_t key[static TLS_OFFENDER_KEY], uint64_t from,
			   uint64_t now_us)
{
	uint64_t until_us = put_out(place_for(offenders, key), now_us);
	remember(offenders, from, until_us);
	return until_us;
}

bool tls_offenders_meet(struct tls_offenders *offenders, const uint8_t key[static TLS_OFFENDER_KEY],
			uint64_t from, uint64_t now_us)
{
	const struct tls_offender *one = find(offenders, key);
	if (one == NULL || one->until_us <= now_us) {
		return false;
	}
	remember(offenders, from, one->until_us);
	return true;
}

bool tls_offenders_came_from(const struct tls_offenders *offenders, uint64_t from, uint64_t now_us)
{
	for (size_t i = 0; i < SL_COUNT(offenders->origins); i++) {
		const struct tls_origin *one = &offenders->origins[i];
		if (one->from == from && one->until_us > now_us) {
			return true;
		}
	}
	return false;
}

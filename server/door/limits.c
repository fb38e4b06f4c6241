#include "server/door/limits.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "server/rpc/pace.h"

enum { WAYS = 8, SETS = 512, KEY_BYTES = 8, HOST_SIZE = 64, SEED_BYTES = 16 };

struct slot {
	uint8_t key[KEY_BYTES];
	uint64_t next_us; /* when the next one would be on time; 0: free */
};

struct limits {
	struct pace peer, overall;
	uint64_t overall_next_us;
	uint8_t seed[SEED_BYTES]; /* strangers do not choose whom they share a set with */
	struct slot slots[SETS][WAYS];
};

sl_code limits_new(struct limit_rate peer, struct limit_rate overall, struct limits **ret_limits,
		   struct sl_err *err)
{
	struct limits *limits = calloc(1, sizeof(*limits));
	if (limits == NULL) {
		return sl_err_no_memory(err);
	}
	limits->peer = pace_of(peer.per_second, peer.burst);
	limits->overall = pace_of(overall.per_second, overall.burst);
	sl_random(limits->seed, sizeof(limits->seed));
	*ret_limits = limits;
	return SL_OK;
}

void limits_free(struct limits *limits)
{
	free(limits);
}

/* --- who ------------------------------------------------------------------------- */

/* The address between scheme and port, without brackets, "%5B" and zone. */
static void host_of(const char *peer, char host[static HOST_SIZE])
{
	const char *start = strchr(peer, ':');
	start = start == NULL ? peer : start + 1;
	const char *end = strrchr(start, ':');
	size_t length = end == NULL ? strlen(start) : (size_t)(end - start);
	length = length < HOST_SIZE - 1 ? length : HOST_SIZE - 1;
	size_t at = 0;
	for (size_t i = 0; i < length; i++) {
		bool encoded = start[i] == '%' && length - i >= 3 && start[i + 1] == '5';
		if (encoded) {
			i += 2;
			continue;
		}
		if (start[i] == '%') {
			break;
		}
		if (start[i] != '[' && start[i] != ']') {
			host[at++] = start[i];
		}
	}
	host[at] = '\0';
}

static void key_of_peer(const struct limits *limits, const char *peer,
			uint8_t key[static KEY_BYTES], size_t *ret_set)
{
	char host[HOST_SIZE];
	uint8_t address[16] = {0}, hash[SL_HASH_BYTES];
	host_of(peer, host);
	size_t size = 8; /* of IPv6, one network */
	if (inet_pton(AF_INET, host, address) == 1) {
		size = 4;
	} else if (inet_pton(AF_INET6, host, address) != 1) {
		size = 0; /* whoever says nothing shares one */
	}
	sl_hash(hash, address, size, limits->seed, sizeof(limits->seed));
	memcpy(key, hash, KEY_BYTES);
	*ret_set = (hash[8] | (size_t)hash[9] << 8) % SETS;
}

static struct slot *slot_of(struct limits *limits, const char *peer)
{
	uint8_t key[KEY_BYTES];
	size_t set = 0;
	key_of_peer(limits, peer, key, &set);
	struct slot *oldest = &limits->slots[set][0];
	for (size_t i = 0; i < WAYS; i++) {
		struct slot *slot = &limits->slots[set][i];
		if (slot->next_us != 0 && memcmp(slot->key, key, KEY_BYTES) == 0) {
			return slot;
		}
		oldest = slot->next_us < oldest->next_us ? slot : oldest;
	}
	memcpy(oldest->key, key, KEY_BYTES);
	oldest->next_us = 0;
	return oldest;
}

/* --- how often --------------------------------------------------------------------- */

bool limits_take(struct limits *limits, const char *peer, uint64_t now_us, uint64_t *ret_wait_ms)
{
	struct slot *slot = slot_of(limits, peer);
	uint64_t wait = pace_wait(&limits->peer, slot->next_us, now_us);
	if (wait == 0) {
		wait = pace_wait(&limits->overall, limits->overall_next_us, now_us);
	}
	if (wait != 0) {
		*ret_wait_ms = wait / 1000 + 1;
		return false;
	}
	slot->next_us = pace_after(&limits->peer, slot->next_us, now_us);
	limits->overall_next_us = pace_after(&limits->overall, limits->overall_next_us, now_us);
	return true;
}

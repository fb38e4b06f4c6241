#include "base/id/id.h"

#include <stdint.h>
#include <string.h>

#include "base/crypto/crypto.h"

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

enum { PREFIX = 4, RANDOM = SL_ID_SIZE - 1 - PREFIX };

struct sl_id sl_id_new(const char prefix[static 3])
{
	uint8_t random[RANDOM];
	sl_random(random, sizeof(random));
	struct sl_id id = {{prefix[0], prefix[1], prefix[2], '_'}};
	for (int i = 0; i < RANDOM; i++) {
		id.text[PREFIX + i] = alphabet[random[i] & 31];
	}
	return id;
}

bool sl_id_is(const char *text, const char prefix[static 3])
{
	return strlen(text) == SL_ID_SIZE - 1 && memcmp(text, prefix, 3) == 0 && text[3] == '_' &&
	       strspn(text + PREFIX, alphabet) == RANDOM;
}

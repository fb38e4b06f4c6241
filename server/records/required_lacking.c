/* What is missing, remembered by what it was found from: a slot holds the last of those whose hash
 * falls on it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/records/required.h"

enum { SLOTS = 64 };

/* Texts lie one after the other, each with its NUL. */
struct memory {
	uint8_t key[SL_HASH_BYTES];
	size_t named_count, total, required, size;
	char texts[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct memory *slots[SLOTS];

static void key_for(const struct wire *in, struct sl_bytes contract, uint32_t environment,
		    uint64_t generation, uint8_t out[static SL_HASH_BYTES])
{
	const uint64_t words[] = {store_view_serial(in->view), in->workspace, environment,
				  generation};
	struct sl_hasher hasher;
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, words, sizeof(words));
	sl_hasher_add(&hasher, contract.data, contract.size);
	sl_hasher_end(&hasher, out);
}

static bool recall(struct sl_arena *arena, const uint8_t key[static SL_HASH_BYTES],
		   struct required_lacking *ret_lacking)
{
	pthread_mutex_lock(&lock);
	const struct memory *found = slots[key[0] % SLOTS];
	bool same = found != NULL && memcmp(found->key, key, SL_HASH_BYTES) == 0;
	const char *texts = same ? sl_arena_dup(arena, found->texts, found->size + 1) : NULL;
	if (texts != NULL) {
		ret_lacking->named_count = found->named_count;
		ret_lacking->total = found->total;
		ret_lacking->required = found->required;
	}
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; texts != NULL && i < ret_lacking->named_count; i++) {
		ret_lacking->named[i] = texts;
		texts += strlen(texts) + 1;
	}
	return texts != NULL;
}

static void remember(const uint8_t key[static SL_HASH_BYTES],
		     const struct required_lacking *lacking)
{
	size_t size = 0;
	for (size_t i = 0; i < lacking->named_count; i++) {
		size += strlen(lacking->named[i]) + 1;
	}
	struct memory *made = calloc(1, sizeof(*made) + size + 1);
	if (made == NULL) {
		return; /* it is found out again */
	}
	memcpy(made->key, key, SL_HASH_BYTES);
	made->named_count = lacking->named_count;
	made->total = lacking->total;
	made->required = lacking->required;
	for (size_t i = 0; i < lacking->named_count; i++) {
		size_t text = strlen(lacking->named[i]) + 1;
		memcpy(made->texts + made->size, lacking->named[i], text);
		made->size += text;
	}
	pthread_mutex_lock(&lock);
	struct memory *before = slots[key[0] % SLOTS];
	slots[key[0] % SLOTS] = made;
	pthread_mutex_unlock(&lock);
	free(before);
}

static sl_code count_item(void *ctx, const struct required_item *item, struct sl_err *err)
{
	struct required_lacking *lacking = ctx;
	(void)err;
	lacking->required++;
	if (item->lacks != NULL && lacking->total++ < REQUIRED_NAMED) {
		lacking->named[lacking->named_count++] = item->lacks;
	}
	return SL_OK;
}

sl_code required_lacking(const struct wire *in, struct sl_bytes contract, uint32_t environment,
			 struct required_lacking *ret_lacking, struct sl_err *err)
{
	uint8_t key[SL_HASH_BYTES];
	uint64_t generation = 0;
	Sluice__V1__Contract *unpacked = NULL;
	*ret_lacking = (struct required_lacking){
	    .named = SL_ARENA_ARRAY(in->arena, const char *, REQUIRED_NAMED)};
	if (ret_lacking->named == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = required_generation(in->view, &generation, err);
	if (code != SL_OK) {
		return code;
	}
	key_for(in, contract, environment, generation, key);
	if (recall(in->arena, key, ret_lacking)) {
		return SL_OK;
	}
	code =
	    record_unpack(in->arena, contract, &sluice__v1__contract__descriptor, &unpacked, err);
	code = code != SL_OK
		   ? code
		   : required_each(in, unpacked, environment, count_item, ret_lacking, err);
	/* What a decision sees above what is committed may be decided anew, as something else. */
	if (code == SL_OK && generation <= store_view_committed(in->view)) {
		remember(key, ret_lacking);
	}
	return code;
}

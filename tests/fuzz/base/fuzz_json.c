/* Targets: sl_json_parse and the getters.
 * Property: no crash, and of what was parsed every key can be reached once, in order, and read by
 * exactly the getter of its type. */
#include <stdlib.h>

#include "base/json/json.h"

static void check(bool holds)
{
	if (!holds) {
		abort();
	}
}

/* How many getters take the key's value. */
static unsigned takers(const struct sl_json *object, const char *key)
{
	const char *text = NULL;
	uint64_t number = 0;
	bool flag = false;
	const struct sl_json *child = NULL;
	unsigned count = 0;
	count += sl_json_get_text(object, key, SIZE_MAX, &text, NULL) == SL_OK;
	count += sl_json_get_uint(object, key, 0, UINT64_MAX, &number, NULL) == SL_OK;
	count += sl_json_get_bool(object, key, &flag, NULL) == SL_OK;
	count += sl_json_get_object(object, key, &child, NULL) == SL_OK;
	count += sl_json_get_list(object, key, SIZE_MAX, &child, NULL) == SL_OK;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_json *root = NULL;
	if (sl_json_parse(SL_BYTES(data, size), &root, NULL) != SL_OK) {
		check(root == NULL);
		return 0;
	}
	size_t keys = 0;
	for (const char *key = sl_json_next_key(root, NULL); key != NULL;
	     key = sl_json_next_key(root, key)) {
		check(sl_json_has(root, key));
		check(takers(root, key) <= 1);
		keys++;
	}
	check(keys <= size);
	sl_json_free(root);
	return 0;
}

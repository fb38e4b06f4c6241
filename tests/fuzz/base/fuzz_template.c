/* Targets: template_check, template_render, in all formats.
 * Property: no crash; what checks well renders, but for a value that does not fit; a text without
 * braces renders to itself; and JSON stays JSON of as many keys whatever the values hold. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/json/json.h"
#include "base/template/template.h"

static void check(bool holds)
{
	if (!holds) {
		abort();
	}
}

/* A name's length says what is to be known of it. */
static enum template_fault look_up(void *ctx, const struct template_ref *ref,
				   const char **ret_value)
{
	*ret_value = ctx;
	size_t size = strlen(ref->name);
	return size > 40 ? TEMPLATE_UNSET : TEMPLATE_FINE;
}

/* Keys of the root; SIZE_MAX: it is no JSON. */
static size_t keys_of(const char *text, size_t size)
{
	struct sl_json *root = NULL;
	size_t keys = 0;
	if (sl_json_parse(SL_BYTES(text, size), &root, NULL) != SL_OK) {
		return SIZE_MAX;
	}
	for (const char *key = sl_json_next_key(root, NULL); key != NULL;
	     key = sl_json_next_key(root, key)) {
		keys++;
	}
	sl_json_free(root);
	return keys;
}

static char *render(struct template *template, const char *value, size_t *ret_size,
		    enum template_fault *ret_fault)
{
	char *text = NULL;
	template->ctx = (void *)(uintptr_t)value;
	sl_code code = template_render(template, &text, ret_size, ret_fault, NULL);
	check((code == SL_OK) == (text != NULL));
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(sl_crypto_init());
	for (int format = TEMPLATE_PLAIN; format <= TEMPLATE_ENV; format++) {
		struct template template = {.text = SL_BYTES(data, size),
					    .format = (enum template_format)format,
					    .look_up = look_up};
		enum template_fault fault = TEMPLATE_FINE;
		size_t tame_size = 0, wild_size = 0;
		bool good = template_check(&template, NULL, NULL) == SL_OK;
		char *tame = render(&template, "tame", &tame_size, NULL);
		char *wild = render(&template, "wild'\"\\\n},{$`\x01", &wild_size, &fault);
		check(good || (tame == NULL && wild == NULL));
		check(wild != NULL || !good || fault == TEMPLATE_QUOTE ||
		      fault == TEMPLATE_TOO_BIG);
		if (tame != NULL && memmem(data, size, "{{", 2) == NULL) {
			check(tame_size == size && memcmp(tame, data, size) == 0);
		}
		bool told = memmem(data, size, "wild", 4) != NULL; /* may be a key twice */
		size_t keys = format == TEMPLATE_JSON && !told && wild != NULL
				  ? keys_of(tame, tame_size)
				  : SIZE_MAX;
		check(keys == SIZE_MAX || wild_size > SL_JSON_MAX_BYTES ||
		      keys_of(wild, wild_size) == keys);
		sl_secret_free(tame);
		sl_secret_free(wild);
	}
	return 0;
}

#include "base/crypto/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <sodium.h>

void *sl_secret_new(size_t size)
{
	void *secret = sodium_malloc(size);
	if (secret != NULL) {
		sodium_memzero(secret, size); /* it comes filled with 0xdb */
	}
	return secret;
}

void sl_secret_free(void *secret)
{
	sodium_free(secret);
}

char *sl_secret_text(const void *text, size_t size)
{
	char *copy = sl_secret_new(size + 1);
	if (copy != NULL) {
		memcpy(copy, text, size);
	}
	return copy;
}

void sl_wipe(void *data, size_t size)
{
	sodium_memzero(data, size);
}

char *sl_base64(char *out, const void *data, size_t size)
{
	return sodium_bin2base64(out, SL_BASE64_SIZE(size), data, size,
				 sodium_base64_VARIANT_ORIGINAL);
}

bool sl_unbase64(void *out, size_t size, const char *text)
{
	size_t used = 0;
	return sodium_base642bin(out, size, text, strlen(text), " \t\r\n", &used, NULL,
				 sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       used == size;
}

sl_code sl_secret_harden(struct sl_err *err)
{
	const struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
		return sl_err_set(err, SL_INTERNAL, "cannot forbid core files: %s",
				  strerror(errno));
	}
	return SL_OK;
}

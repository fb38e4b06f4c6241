/* secret: memory for keys, and for what becomes one.
 *
 * Locked into memory as far as RLIMIT_MEMLOCK allows, between guard pages,
 * left out of core files, wiped when it is given back. A few pages each: for
 * keys, not for data. Any thread, after sl_crypto_init(). */
#ifndef SL_BASE_SECRET_H
#define SL_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/mem/own.h"

/* `size` zeroed bytes without alignment: for bytes and texts only. NULL: out of memory. */
void *sl_secret_new(size_t size);
void sl_secret_free(void *secret); /* NULL is fine */

/* A text with its NUL. NULL: out of memory. */
char *sl_secret_text(const void *text, size_t size);

/* What lay in ordinary memory for a moment; no compiler leaves it out. */
void sl_wipe(void *data, size_t size);

/* Standard base64 with padding, in time that does not depend on the bytes. `out` has
 * SL_BASE64_SIZE(size) bytes. Returns `out`. */
#define SL_BASE64_SIZE(size) (((size) + 2) / 3 * 4 + 1)
char *sl_base64(char *out, const void *data, size_t size);
/* Exactly `size` bytes, with white space around them or not; false otherwise. */
bool sl_unbase64(void *out, size_t size, const char *text);

/* Forbids core files and other programs' looks into this process. For daemons, at the start. */
SL_MUST_USE sl_code sl_secret_harden(struct sl_err *err);

SL_DEFINE_AUTO(void *, sl_secret_free);
static inline void sl_secret_text_auto(char **text)
{
	sl_secret_free(*text);
}

#endif

/* pem: DER as PEM, so that a fuzzer changes what is inside and not its base64. */
#ifndef SL_TESTS_FUZZ_PEM_H
#define SL_TESTS_FUZZ_PEM_H

#include <string.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"

enum { PEM_LINE_BYTES = 48 };

/* Input that begins as PEM does goes as it is; *buf is empty before, and ended by the caller. */
static inline struct sl_bytes as_pem(const uint8_t *data, size_t size, const char *kind,
				     struct sl_buf *buf)
{
	if (size >= 5 && memcmp(data, "-----", 5) == 0) {
		return SL_BYTES(data, size);
	}
	sl_buf_printf(buf, "-----BEGIN %s-----\n", kind);
	for (size_t at = 0; at < size; at += PEM_LINE_BYTES) {
		char line[SL_BASE64_SIZE(PEM_LINE_BYTES)];
		size_t left = size - at;
		sl_buf_printf(
		    buf, "%s\n",
		    sl_base64(line, data + at, left < PEM_LINE_BYTES ? left : PEM_LINE_BYTES));
	}
	sl_buf_printf(buf, "-----END %s-----\n", kind);
	return sl_buf_bytes(buf);
}

#endif

/* keytext: keys as texts that people copy, print and type.
 *
 *   recovery-key:mfrg-gzdf-mzwx-...      kind, colon, base32 (RFC 4648, lower case) in groups of 4
 *
 * The last 4 bytes are a checksum over kind and key: a slip of the pen, and a
 * key of another kind, are found before they are used. Dashes, blanks and case
 * do not count when a text is read. */
#ifndef SL_BASE_KEYTEXT_H
#define SL_BASE_KEYTEXT_H

#include <stddef.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"

enum {
	SL_KEY_TEXT_SIZE = 160,
	SL_KEY_LINE_SIZE = SL_KEY_TEXT_SIZE + 1,
	SL_KEY_TEXT_BYTES_MAX = 64
};

/* Kinds. A public half says so; what does not is a secret. */
#define SL_KEY_RECOVERY "recovery-key"
#define SL_KEY_RECOVERY_PUBLIC "recovery-public-key"
#define SL_KEY_MANIFEST "manifest-key"
#define SL_KEY_MANIFEST_PUBLIC "manifest-public-key" /* epoch (4 bytes, big-endian), key */
#define SL_KEY_RELEASE "release-key"
#define SL_KEY_RELEASE_PUBLIC "release-public-key"

/* Up to SL_KEY_TEXT_BYTES_MAX bytes. Returns `out`; wipe it if it is a secret. */
char *sl_key_text(char out[static SL_KEY_TEXT_SIZE], const char *kind, struct sl_bytes key);
/* The same with an end of line, as key files have it. */
char *sl_key_line(char out[static SL_KEY_LINE_SIZE], const char *kind, struct sl_bytes key);

/* Exactly `size` bytes of exactly this kind. SL_INVALID_ARGUMENT says what is wrong, without the
 * text. */
SL_MUST_USE sl_code sl_key_parse(const char *text, const char *kind, uint8_t *out, size_t size,
				 struct sl_err *err);

#endif

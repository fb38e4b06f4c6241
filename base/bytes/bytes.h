/* bytes: borrowed byte ranges, a growing buffer, hex.
 *
 * struct sl_buf is sticky: after the first failed allocation every later
 * append does nothing and sl_buf_failed() tells. No threads. */
#ifndef SL_BASE_BYTES_H
#define SL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes borrowed from someone else; the lender says for how long. */
struct sl_bytes {
	const uint8_t *data;
	size_t size;
};

#define SL_BYTES(pointer, bytes)                                                                   \
	((struct sl_bytes){.data = (const uint8_t *)(pointer), .size = (bytes)})
#define SL_BYTES_NONE ((struct sl_bytes){.data = NULL, .size = 0})

static inline struct sl_bytes sl_bytes_text(const char *text)
{
	return SL_BYTES(text, strlen(text));
}

bool sl_bytes_equal(struct sl_bytes a, struct sl_bytes b);
bool sl_bytes_starts_with(struct sl_bytes bytes, struct sl_bytes prefix);

struct sl_buf {
	uint8_t *data; /* owned */
	size_t size, room;
	bool failed;
};

/* {0} is an empty buffer. fini gives the memory back and empties it. */
void sl_buf_fini(struct sl_buf *buf);
void sl_buf_append(struct sl_buf *buf, const void *data, size_t size);
void sl_buf_printf(struct sl_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void sl_buf_clear(struct sl_buf *buf)
{
	buf->size = 0;
}
static inline struct sl_bytes sl_buf_bytes(const struct sl_buf *buf)
{
	return SL_BYTES(buf->data, buf->size);
}

/* Copies a text into a buffer of `size` bytes, cut to fit, always with a NUL. */
void sl_text_copy(char *out, size_t size, const char *text);

/* Bytes of the UTF-8 sequence at `text`, which ends with a NUL; 0 when it is none (RFC 3629:
 * shortest form, no surrogates, up to U+10FFFF). */
size_t sl_utf8_length(const unsigned char *text);

/* Big-endian integers: keys that sort as numbers do. */
void sl_put_be32(uint8_t out[static 4], uint32_t value);
void sl_put_be64(uint8_t out[static 8], uint64_t value);
uint32_t sl_get_be32(const uint8_t in[static 4]);
uint64_t sl_get_be64(const uint8_t in[static 8]);

/* Lower-case hex with a NUL: `out` has 2 * size + 1 bytes. Returns `out`. */
char *sl_hex(char *out, const uint8_t *data, size_t size);
/* Exactly 2 * size hex digits, either case; false otherwise. */
bool sl_unhex(uint8_t *out, size_t size, const char *hex);

#endif

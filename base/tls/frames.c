#include "base/tls/frames.h"

#include "base/bytes/bytes.h"
#include "base/tls/tokens.h"

enum {
	PREFACE_BYTES = 24,
	HEAD_BYTES = 9,
	SECOND_US = 1000000,
	TOKEN_US = SECOND_US / TLS_FRAMES_PER_SECOND,
	END_STREAM = 1,
	END_HEADERS = 4,
};

enum kind {
	DATA = 0,
	HEADERS = 1,
	RST_STREAM = 3,
	PUSH_PROMISE = 5,
	WINDOW_UPDATE = 8,
	CONTINUATION = 9,
};

static void open_stream(struct tls_frames *frames, uint32_t stream, uint64_t now_us)
{
	uint64_t passed_us = now_us - frames->recent_us;
	if (stream <= frames->last) {
		return; /* headers at a stream's end */
	}
	frames->last = stream;
	if (passed_us >= TLS_FRAMES_YOUNG_US) {
		bool long_ago = passed_us >= 2 * TLS_FRAMES_YOUNG_US;
		frames->young_from = long_ago ? stream : frames->recent_from;
		frames->recent_from = stream;
		frames->recent_us = now_us;
	}
}

static bool is_young(const struct tls_frames *frames, uint32_t stream, uint64_t now_us)
{
	return stream >= frames->young_from && now_us - frames->recent_us < 2 * TLS_FRAMES_YOUNG_US;
}

/* How many tokens it takes: nothing for what it takes to read a lot, or to ask for something, but
 * that strangers ask for one thing. */
static unsigned price(const struct tls_frames *frames, uint8_t kind, uint8_t flags,
		      bool young_reset)
{
	bool says_something = kind == DATA && (frames->payload != 0 || (flags & END_STREAM) != 0);
	bool asks = kind == HEADERS;
	if (says_something || kind == WINDOW_UPDATE || (asks && !frames->stranger)) {
		return 0;
	}
	return (young_reset || asks ? TLS_FRAMES_YOUNG : 1) *
	       (frames->stranger ? TLS_FRAMES_STRANGER : 1);
}

static bool spend(struct tls_frames *frames, unsigned tokens, uint64_t now_us)
{
	return tls_tokens_spend(&frames->spent_us, (uint64_t)tokens * TOKEN_US,
				(uint64_t)TLS_FRAMES_BURST * TOKEN_US, now_us);
}

static const char *begin(struct tls_frames *frames, uint64_t now_us)
{
	const uint8_t *head = frames->head;
	uint8_t kind = head[3], flags = head[4];
	uint32_t stream = sl_get_be32(head + 5) & INT32_MAX;
	frames->payload = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
	frames->head_size = 0;
	if (kind == HEADERS || kind == PUSH_PROMISE || kind == CONTINUATION) {
		uint32_t before = kind == CONTINUATION ? frames->block : 0;
		frames->block = before + frames->payload; /* at most 32 K + 16 M */
		if (frames->block > TLS_FRAMES_BLOCK_MAX) {
			return "a block of headers without end";
		}
		frames->block = (flags & END_HEADERS) != 0 ? 0 : frames->block;
	}
	if (kind == HEADERS) {
		open_stream(frames, stream, now_us);
	}
	bool young_reset = kind == RST_STREAM && is_young(frames, stream, now_us);
	frames->young_resets += young_reset;
	return spend(frames, price(frames, kind, flags, young_reset), now_us)
		   ? NULL
		   : "a flood of frames that cost nothing";
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

const char *tls_frames_take(struct tls_frames *frames, const uint8_t *bytes, size_t size,
			    uint64_t now_us)
{
	size_t at = least(size, (size_t)PREFACE_BYTES - frames->preface_size);
	frames->preface_size = (uint8_t)(frames->preface_size + at);
	while (at < size) {
		size_t skipped = least(size - at, frames->payload);
		frames->payload -= (uint32_t)skipped;
		at += skipped;
		for (; at < size && frames->payload == 0 && frames->head_size < HEAD_BYTES; at++) {
			frames->head[frames->head_size++] = bytes[at];
		}
		const char *wrong = frames->head_size == HEAD_BYTES ? begin(frames, now_us) : NULL;
		if (wrong != NULL) {
			return wrong;
		}
	}
	return NULL;
}

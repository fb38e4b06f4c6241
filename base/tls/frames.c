#include "base/tls/frames.h"

#include <stdbool.h>

enum {
	PREFACE_BYTES = 24,
	HEAD_BYTES = 9,
	SECOND_US = 1000000,
	TOKEN_US = SECOND_US / TLS_FRAMES_PER_SECOND,
	END_STREAM = 1,
	END_HEADERS = 4,
};

enum kind { DATA = 0, HEADERS = 1, PUSH_PROMISE = 5, WINDOW_UPDATE = 8, CONTINUATION = 9 };

/* What it takes to read a lot, or to ask for something. */
static bool is_cheap(uint8_t kind, uint8_t flags, uint32_t size)
{
	if (kind == DATA) {
		return size == 0 && (flags & END_STREAM) == 0;
	}
	return kind != HEADERS && kind != WINDOW_UPDATE;
}

static bool spend(struct tls_frames *frames, uint64_t now_us)
{
	uint64_t from_us = frames->spent_us > now_us ? frames->spent_us : now_us;
	frames->spent_us = from_us + TOKEN_US;
	return frames->spent_us - now_us <= (uint64_t)TLS_FRAMES_BURST * TOKEN_US;
}

static const char *begin(struct tls_frames *frames, uint64_t now_us)
{
	const uint8_t *head = frames->head;
	uint8_t kind = head[3], flags = head[4];
	frames->payload = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
	frames->head_size = 0;
	if (kind == HEADERS || kind == PUSH_PROMISE || kind == CONTINUATION) {
		uint32_t before = kind == CONTINUATION ? frames->block : 0;
		frames->block = before + frames->payload; /* at most 64 K + 16 M */
		if (frames->block > TLS_FRAMES_BLOCK_MAX) {
			return "a block of headers without end";
		}
		frames->block = (flags & END_HEADERS) != 0 ? 0 : frames->block;
	}
	return !is_cheap(kind, flags, frames->payload) || spend(frames, now_us)
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

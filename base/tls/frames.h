/* frames: looks along at the HTTP/2 frames that a client sends, for what gRPC 1.51 bears badly.
 *
 * - A block of headers that goes on and on: gRPC begins each string anew with every piece that
 *   comes, so one header of 16 MB holds up its thread for a minute (CVE-2023-33953).
 * - Frames that cost their sender nothing: PING, SETTINGS, PRIORITY, RST_STREAM, CONTINUATION,
 *   empty DATA, unknown ones.
 * - Streams reset as soon as they are opened (CVE-2023-44487): such a reset counts like four. A
 *   client that cancels all that it waits for is well below the bound, and so is one that
 *   cancels hundreds of calls in the moment it made them.
 *
 * Strangers, who show no certificate, come for a call or two: they have an eighth of all, and a
 * call of theirs counts like such a reset.
 *
 * Pure: no memory, no clock, no threads of its own. What is no HTTP/2 is gRPC's to refuse. */
#ifndef SL_BASE_TLS_FRAMES_H
#define SL_BASE_TLS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TLS_FRAMES_BLOCK_MAX =
	    32 << 10, /* bytes of one block of headers; gRPC itself refuses 16 K */
	TLS_FRAMES_BURST =
	    1536, /* cheap frames at once: the streams there may be, and half as many */
	TLS_FRAMES_PER_SECOND = 500,
	TLS_FRAMES_STRANGER = 8, /* they count so much more for a stranger */
	TLS_FRAMES_YOUNG = 4,    /* and so does the reset of a young stream */
	TLS_FRAMES_YOUNG_US =
	    50000, /* younger streams are young, those older than four times that not */
};

/* One connection, from its first byte on. All 0: new. */
struct tls_frames {
	bool stranger;
	uint8_t head[9];
	uint8_t head_size;    /* bytes of the next frame's head that are there */
	uint8_t preface_size; /* bytes of the client's preface that went by */
	uint32_t payload;     /* bytes of the frame that are still to come */
	uint32_t block;       /* bytes of the block of headers that is open */
	uint32_t last;        /* the highest stream there was */
	uint32_t recent_from; /* the first stream opened since recent_us */
	uint32_t young_from;  /* the first one opened in the time before that */
	uint64_t recent_us;
	uint64_t spent_us;     /* the whole token bucket: the time up to which tokens are spent */
	uint32_t young_resets; /* of young streams, ever */
};

/* What came next. NULL: go on; else what is wrong, a constant text: hang up. now_us never goes
 * back. */
const char *tls_frames_take(struct tls_frames *frames, const uint8_t *bytes, size_t size,
			    uint64_t now_us);

#endif

/* hurry: streams that were reset as soon as they were opened, counted over all connections of a
 * key: some more than one connection may (base/tls/frames.h), and not as many for each that it
 * opens. Whoever calls and thinks better of it has as many again every few seconds.
 *
 * Keys, as of offenders: what a bucket that is full again was about is forgotten, and beyond
 * TLS_HURRY_KEYS the fullest is.
 * Pure: no memory, no clock, no lock of its own. */
#ifndef SL_BASE_TLS_HURRY_H
#define SL_BASE_TLS_HURRY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	TLS_HURRY_KEY = 32,
	TLS_HURRY_KEYS = 64,
	TLS_HURRY_BURST = 512, /* resets at once */
	TLS_HURRY_PER_SECOND = 125,
};

/* All 0: nobody. */
struct tls_hurry {
	struct {
		uint8_t key[TLS_HURRY_KEY];
		uint64_t spent_us; /* the whole token bucket: up to then tokens are spent */
	} list[TLS_HURRY_KEYS];
};

/* A connection of this key reset so many young streams. False: that is too many for it. now_us
 * never goes back. */
bool tls_hurry_bears(struct tls_hurry *hurry, const uint8_t key[static TLS_HURRY_KEY],
		     uint32_t resets, uint64_t now_us);

#endif

/* offenders: who was hung up on for what it sent, and for how long it stays out: 5 s, and twice as
 * long each time it comes back to do the same, up to 5 min. After as long again without another
 * offence all is forgotten.
 *
 * By key, not by address: a colleague behind the same address is let in. Strangers have none.
 * Pure: no memory, no clock, no lock of its own. */
#ifndef SL_BASE_TLS_OFFENDERS_H
#define SL_BASE_TLS_OFFENDERS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	TLS_OFFENDERS = 64, /* more: who would be let in first is */
	TLS_OFFENDER_KEY = 32,
	TLS_OFFENDER_FIRST_US = 5000000,
	TLS_OFFENDER_LONGEST_US = 300000000,
};

struct tls_offender {
	uint8_t key[TLS_OFFENDER_KEY];
	uint64_t out_us;   /* for how long */
	uint64_t until_us; /* 0: nobody */
};

/* All 0: nobody. */
struct tls_offenders {
	struct tls_offender list[TLS_OFFENDERS];
};

/* Further connections of one that is out already do not count. Returns until when it is out. */
uint64_t tls_offenders_add(struct tls_offenders *offenders,
			   const uint8_t key[static TLS_OFFENDER_KEY], uint64_t now_us);
bool tls_offenders_has(const struct tls_offenders *offenders,
		       const uint8_t key[static TLS_OFFENDER_KEY], uint64_t now_us);

#endif

/* offenders: who was hung up on for what it sent, and for how long it stays out: 5 s, and twice as
 * long each time it comes back to do the same, up to 5 min. After as long again without another
 * offence all is forgotten.
 *
 * By key, not by address: a colleague behind the same address is let in. Strangers have none. To
 * see a key takes a handshake, so where it came from is remembered too, for as long as it is out:
 * what comes from there has to wait for its turn (server/rpc/porch.h).
 * Pure: no memory, no clock, no lock of its own. */
#ifndef SL_BASE_TLS_OFFENDERS_H
#define SL_BASE_TLS_OFFENDERS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	TLS_OFFENDERS = 64, /* more: who would be let in first is; so for origins */
	TLS_ORIGINS = 64,
	TLS_OFFENDER_KEY = 32,
	TLS_OFFENDER_FIRST_US = 5000000,
	TLS_OFFENDER_LONGEST_US = 300000000,
};

struct tls_offender {
	uint8_t key[TLS_OFFENDER_KEY];
	uint64_t out_us;   /* for how long */
	uint64_t until_us; /* 0: nobody */
};

/* Where one of them came from: a number for an address, or for all that are its holder's. */
struct tls_origin {
	uint64_t from, until_us;
};

/* All 0: nobody. */
struct tls_offenders {
	struct tls_offender list[TLS_OFFENDERS];
	struct tls_origin origins[TLS_ORIGINS];
};

/* `from` 0: it is not known, and nothing is remembered of it. Further connections of one that is
 * out already do not count. Returns until when it is out. */
uint64_t tls_offenders_add(struct tls_offenders *offenders,
			   const uint8_t key[static TLS_OFFENDER_KEY], uint64_t from,
			   uint64_t now_us);
/* Is it out? Here it comes again, from there. */
bool tls_offenders_meet(struct tls_offenders *offenders, const uint8_t key[static TLS_OFFENDER_KEY],
			uint64_t from, uint64_t now_us);
/* Is somebody out who came from there? */
bool tls_offenders_came_from(const struct tls_offenders *offenders, uint64_t from, uint64_t now_us);

#endif

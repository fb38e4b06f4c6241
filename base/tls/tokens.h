/* tokens: a token bucket in one number, the time up to which its tokens are spent (GCRA). Pure. */
#ifndef SL_BASE_TLS_TOKENS_H
#define SL_BASE_TLS_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

/* Spends what takes cost_us to come back. False: more than burst_us is spent then. now_us never
 * goes back. */
static inline bool tls_tokens_spend(uint64_t *spent_us, uint64_t cost_us, uint64_t burst_us,
				    uint64_t now_us)
{
	uint64_t from_us = *spent_us > now_us ? *spent_us : now_us;
	*spent_us = from_us + cost_us;
	return *spent_us - now_us <= burst_us;
}

#endif

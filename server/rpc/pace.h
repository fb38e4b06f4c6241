/* pace: so many a second on average, so many at once (GCRA). The whole state of a bucket is one
 * number: the time at which the next one would be on time. Pure. */
#ifndef SL_SERVER_RPC_PACE_H
#define SL_SERVER_RPC_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	uint64_t interval_us, slack_us; /* interval 0: no bound */
};

/* per_second 0: no bound. A burst is at least 1. */
static inline struct pace pace_of(uint64_t per_second, uint64_t burst)
{
	if (per_second == 0) {
		return (struct pace){.interval_us = 0};
	}
	uint64_t interval = 1000000 / per_second;
	interval = interval == 0 ? 1 : interval;
	return (struct pace){.interval_us = interval,
			     .slack_us = interval * (burst > 0 ? burst - 1 : 0)};
}

/* How long until one may pass; 0: now. */
static inline uint64_t pace_wait(const struct pace *pace, uint64_t next_us, uint64_t now_us)
{
	bool early = pace->interval_us != 0 && next_us > now_us + pace->slack_us;
	return early ? next_us - now_us - pace->slack_us : 0;
}

/* next_us once one has passed. */
static inline uint64_t pace_after(const struct pace *pace, uint64_t next_us, uint64_t now_us)
{
	return (next_us > now_us ? next_us : now_us) + pace->interval_us;
}

#endif

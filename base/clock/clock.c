#include "base/clock/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static uint64_t now_us(clockid_t id)
{
	struct timespec t;
	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

uint64_t sl_clock_unix_ms(void)
{
	return now_us(CLOCK_REALTIME) / 1000u;
}

uint64_t sl_clock_mono_ms(void)
{
	return now_us(CLOCK_MONOTONIC) / 1000u;
}

uint64_t sl_clock_mono_us(void)
{
	return now_us(CLOCK_MONOTONIC);
}

uint64_t sl_clock_steady_ms(void)
{
	static atomic_uint_least64_t ahead; /* of the monotonic clock; 0: not asked yet */
	uint64_t mono = sl_clock_mono_ms(), none = 0;
	uint64_t now_ahead = sl_clock_unix_ms() - mono;
	if (atomic_compare_exchange_strong(&ahead, &none, now_ahead)) {
		return mono + now_ahead;
	}
	return mono + none;
}

const char *sl_clock_text(char buffer[static SL_CLOCK_TEXT_SIZE], uint64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / 1000u);
	struct tm utc;
	(void)gmtime_r(&seconds, &utc);
	size_t used = strftime(buffer, SL_CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	(void)snprintf(buffer + used, SL_CLOCK_TEXT_SIZE - used, ".%03uZ",
		       (unsigned)(unix_ms % 1000u));
	return buffer;
}

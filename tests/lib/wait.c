#include "tests/lib/wait.h"

#include <time.h>

#include "base/clock/clock.h"

enum { PAUSE_MAX_MS = 20 };

uint64_t wait_deadline(unsigned timeout_ms)
{
	return sl_clock_mono_ms() + timeout_ms;
}

bool wait_pause(unsigned *polls, uint64_t deadline_mono_ms)
{
	uint64_t now = sl_clock_mono_ms();
	if (now >= deadline_mono_ms) {
		return false;
	}
	uint64_t ms = ++*polls < PAUSE_MAX_MS ? *polls : PAUSE_MAX_MS;
	if (ms > deadline_mono_ms - now) {
		ms = deadline_mono_ms - now;
	}
	struct timespec pause = {.tv_nsec = (long)ms * 1000 * 1000};
	(void)nanosleep(&pause, NULL);
	return true;
}

bool wait_until(bool (*holds)(void *ctx), void *ctx, unsigned timeout_ms)
{
	return WAIT_FOR(holds(ctx), timeout_ms);
}

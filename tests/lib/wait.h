/* wait: polls a condition until a deadline: instead of sleeping and hoping. */
#ifndef SL_TESTS_WAIT_H
#define SL_TESTS_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Calls holds(ctx) until it is true or timeout_ms are over; once at least, and
 * once more at the end. Returns its last answer. Any thread. */
bool wait_until(bool (*holds)(void *ctx), void *ctx, unsigned timeout_ms);

/* One poll's pause: 1 ms at first, up to 20 ms. False once the time is up.
 * `polls` starts at 0; deadline is on sl_clock_mono_ms()'s scale. */
bool wait_pause(unsigned *polls, uint64_t deadline_mono_ms);
uint64_t wait_deadline(unsigned timeout_ms);

/* The same for an expression: assert_true(WAIT_FOR(count() == 3, 5000)); */
#define WAIT_FOR(condition, timeout_ms)                                                            \
	({                                                                                         \
		uint64_t deadline_ = wait_deadline(timeout_ms);                                    \
		unsigned polls_ = 0;                                                               \
		bool holds_ = false;                                                               \
		while (!(holds_ = (condition)) && wait_pause(&polls_, deadline_)) {                \
		}                                                                                  \
		holds_;                                                                            \
	})

#endif

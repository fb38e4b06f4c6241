/* clock: the one place that asks the machine for the time.
 *
 * unix_ms stamps records; mono_ms measures: liveness, deadlines and back-off
 * use it, so that a clock that jumps hurts nobody. Any thread. */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t sl_clock_unix_ms(void); /* ms since 1970 */
uint64_t sl_clock_mono_ms(void); /* ms since some start; never goes back */
uint64_t sl_clock_mono_us(void);
/* The wall clock as it was when this was first asked, gone on monotonically: how old things are
 * that a clock that jumps must not age. */
uint64_t sl_clock_steady_ms(void);

/* RFC 3339 in UTC, "2026-11-22T10:43:31.120Z". Returns `buffer`. */
#define SL_CLOCK_TEXT_SIZE 32
const char *sl_clock_text(char buffer[static SL_CLOCK_TEXT_SIZE], uint64_t unix_ms);

#endif

/* histogram: how long calls took, in logarithmic buckets of 3 % width.
 *
 * Threads: one at a time. */
#ifndef SL_BENCH_HISTOGRAM_H
#define SL_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 1920

struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS]; /* {0} is an empty one */
	uint64_t count, sum_ns, max_ns;
};

void histogram_add(struct histogram *histogram, uint64_t ns);
/* The value that `part` (0.99) of all do not exceed, in microseconds; 0: empty. */
double histogram_us(const struct histogram *histogram, double part);
double histogram_mean_us(const struct histogram *histogram);

#endif

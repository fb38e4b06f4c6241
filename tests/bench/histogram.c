#include "tests/bench/histogram.h"

enum { SUB_BITS = 5, SUB = 1 << SUB_BITS };

static unsigned bucket_of(uint64_t ns)
{
	if (ns < SUB) {
		return (unsigned)ns;
	}
	unsigned msb = 63u - (unsigned)__builtin_clzll(ns);
	unsigned sub = (unsigned)(ns >> (msb - SUB_BITS)) & (SUB - 1);
	return (msb - SUB_BITS + 1) * SUB + sub;
}

/* The middle of the bucket. */
static double value_of(unsigned bucket)
{
	if (bucket < SUB) {
		return bucket;
	}
	unsigned shift = bucket / SUB - 1;
	return ((double)(SUB + bucket % SUB) + 0.5) * (double)(1ull << shift);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->buckets[bucket_of(ns)]++;
	histogram->count++;
	histogram->sum_ns += ns;
	if (ns > histogram->max_ns) {
		histogram->max_ns = ns;
	}
}

double histogram_us(const struct histogram *histogram, double part)
{
	uint64_t wanted = (uint64_t)(part * (double)histogram->count + 0.5);
	uint64_t seen = 0;
	for (unsigned i = 0; histogram->count > 0 && i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= wanted && seen > 0) {
			return value_of(i) / 1000.0;
		}
	}
	return 0;
}

double histogram_mean_us(const struct histogram *histogram)
{
	return histogram->count == 0
		   ? 0
		   : (double)histogram->sum_ns / (double)histogram->count / 1000.0;
}

/* Calls by method: a hash table that only grows, so that nobody waits. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/metrics/metrics_internal.h"

#define CODES 17
#define SLOTS (2 * METRICS_METHODS_MAX) /* a power of two, half empty at most */

/* Upper ends of the buckets in microseconds; the page shows seconds. */
static const uint64_t bounds_us[] = {100,     250,     500,     1000,    2500,   5000,
				     10000,   25000,   50000,   100000,  250000, 500000,
				     1000000, 2500000, 5000000, 10000000};
#define BOUNDS SL_COUNT(bounds_us)

struct method {
	const char *name; /* static */
	_Atomic uint64_t codes[CODES];
	_Atomic uint64_t buckets[BOUNDS + 1];
	_Atomic uint64_t sum_us;
	atomic_bool is_timed;
};

struct metrics_calls {
	_Atomic(struct method *) slots[SLOTS];
	atomic_uint used;
	struct method other;
};

static const struct metrics_family calls_family = {
    .name = "sluice_rpc_calls_total",
    .help = "Finished calls and streams by method and gRPC status code.",
    .type = METRICS_COUNTER,
};
static const struct metrics_family seconds_family = {
    .name = "sluice_rpc_seconds",
    .help = "Time from a unary call's arrival until its status was sent.",
    .type = METRICS_HISTOGRAM,
};

struct metrics_calls *metrics_calls_new(void)
{
	struct metrics_calls *calls = calloc(1, sizeof(*calls));
	if (calls != NULL) {
		calls->other.name = "other";
	}
	return calls;
}

void metrics_calls_free(struct metrics_calls *calls)
{
	for (size_t i = 0; calls != NULL && i < SLOTS; i++) {
		free(atomic_load(&calls->slots[i]));
	}
	free(calls);
}

static size_t hash(const char *text) /* FNV-1a */
{
	uint64_t value = 14695981039346656037u;
	for (; *text != '\0'; text++) {
		value = (value ^ (uint8_t)*text) * 1099511628211u;
	}
	return (size_t)value;
}

static struct method *method_new(struct metrics_calls *calls, const char *name)
{
	if (atomic_fetch_add(&calls->used, 1) >= METRICS_METHODS_MAX) {
		atomic_fetch_sub(&calls->used, 1);
		return NULL;
	}
	struct method *method = calloc(1, sizeof(*method));
	if (method == NULL) {
		atomic_fetch_sub(&calls->used, 1);
		return NULL;
	}
	method->name = name;
	return method;
}

/* Slots fill from NULL and never change again. */
static struct method *method_of(struct metrics_calls *calls, const char *name)
{
	struct method *fresh = NULL;
	for (size_t i = hash(name), end = i + SLOTS; i < end; i++) {
		_Atomic(struct method *) *slot = &calls->slots[i % SLOTS];
		struct method *found = atomic_load_explicit(slot, memory_order_acquire);
		if (found == NULL && fresh == NULL) {
			fresh = method_new(calls, name);
			if (fresh == NULL) {
				break;
			}
		}
		if (found == NULL && atomic_compare_exchange_strong(slot, &found, fresh)) {
			return fresh;
		}
		if (strcmp(found->name, name) == 0) { /* perhaps another thread's, just now */
			if (fresh != NULL) {
				free(fresh);
				atomic_fetch_sub(&calls->used, 1);
			}
			return found;
		}
	}
	return &calls->other;
}

static size_t bucket_of(uint64_t us)
{
	size_t i = 0;
	while (i < BOUNDS && us > bounds_us[i]) {
		i++;
	}
	return i;
}

void metrics_calls_count(struct metrics_calls *calls, const char *name, bool is_stream,
			 sl_code code, uint64_t us)
{
	struct method *method = method_of(calls, name);
	unsigned at = (unsigned)code < CODES ? (unsigned)code : SL_UNKNOWN;
	atomic_fetch_add_explicit(&method->codes[at], 1, memory_order_relaxed);
	if (is_stream) {
		return;
	}
	atomic_store_explicit(&method->is_timed, true, memory_order_relaxed);
	atomic_fetch_add_explicit(&method->buckets[bucket_of(us)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&method->sum_us, us, memory_order_relaxed);
}

static void collect_method(struct method *method, struct metrics_page *page)
{
	for (unsigned code = 0; code < CODES; code++) {
		uint64_t count = atomic_load_explicit(&method->codes[code], memory_order_relaxed);
		const struct metrics_label labels[] = {
		    {"method", method->name},
		    {"code", sl_code_name((sl_code)code)},
		};
		if (count > 0) {
			metrics_page_sample(page, &calls_family, labels, SL_COUNT(labels),
					    (double)count);
		}
	}
	if (!atomic_load_explicit(&method->is_timed, memory_order_relaxed)) {
		return;
	}
	double bounds[BOUNDS];
	uint64_t counts[BOUNDS + 1];
	for (size_t i = 0; i <= BOUNDS; i++) {
		counts[i] = atomic_load_explicit(&method->buckets[i], memory_order_relaxed);
		if (i < BOUNDS) {
			bounds[i] = (double)bounds_us[i] / 1e6;
		}
	}
	const struct metrics_label label = {"method", method->name};
	double sum = (double)atomic_load_explicit(&method->sum_us, memory_order_relaxed) / 1e6;
	metrics_page_histogram(page, &seconds_family, &label, 1, bounds, counts, BOUNDS, sum);
}

void metrics_calls_collect(void *ctx, struct metrics_page *page)
{
	struct metrics_calls *calls = ctx;
	for (size_t i = 0; i < SLOTS; i++) {
		struct method *method =
		    atomic_load_explicit(&calls->slots[i], memory_order_acquire);
		if (method != NULL) {
			collect_method(method, page);
		}
	}
	collect_method(&calls->other, page);
}

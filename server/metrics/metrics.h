/* metrics: what the server tells operators: GET /metrics /healthz /readyz over HTTP.
 *
 * Prometheus text on a loopback port. Two ways in: counts that parts keep here
 * (values, calls: atomics, any thread, no lock) and collectors, which are asked
 * at each scrape for what is only known then. Only this folder includes
 * <microhttpd.h>.
 *
 * Threads: one of its own, which serves HTTP and runs the collectors. */
#ifndef SL_SERVER_METRICS_H
#define SL_SERVER_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err/err.h"

struct metrics;
struct metrics_page;
struct metrics_value;

/* Listens on `listen`, "127.0.0.1:9443" or "[::1]:9443"; port 0 picks one.
 * SL_INVALID_ARGUMENT: not a numeric loopback address with a port;
 * SL_UNAVAILABLE: the port is taken. */
SL_MUST_USE sl_code metrics_new(const char *listen, struct metrics **ret_metrics,
				struct sl_err *err);
int metrics_port(const struct metrics *metrics);
/* Ends a running scrape first. No value or call may be counted afterwards. NULL is fine. */
void metrics_free(struct metrics *metrics);

/* /readyz answers 200 while ready, else 503; not ready at first. /healthz is always 200. Any
 * thread. */
void metrics_set_ready(struct metrics *metrics, bool ready);

/* --- families: one per metric name ------------------------------------------------- */

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* Usually static const. `name` is [a-zA-Z_][a-zA-Z0-9_]*, counters end in _total,
 * units are in the name (_bytes, _seconds). */
struct metrics_family {
	const char *name, *help;
	enum metrics_type type;
};

struct metrics_label {
	const char *name, *value; /* the value may be any text */
};

/* --- counts kept here ---------------------------------------------------------------- */

/* One number of the family, without labels when label_count is 0. Family and
 * labels are borrowed until metrics_free(). NULL when out of memory: the calls
 * below then do nothing. Any thread. */
struct metrics_value *metrics_value_new(struct metrics *metrics,
					const struct metrics_family *family,
					const struct metrics_label *labels, size_t label_count);
void metrics_value_add(struct metrics_value *value, int64_t by);
void metrics_value_set(struct metrics_value *value, int64_t to);

/* One finished call: counted by method and code (sluice_rpc_calls_total), and
 * unless it was a stream by time (sluice_rpc_seconds). `method` is a static
 * text; what is beyond METRICS_METHODS_MAX methods is counted as "other". Any thread. */
#define METRICS_METHODS_MAX 256
void metrics_call(struct metrics *metrics, const char *method, bool is_stream, sl_code code,
		  uint64_t microseconds);

/* --- collectors ---------------------------------------------------------------------- */

/* Called at each scrape, on the metrics thread; it may take locks but must be
 * quick. ctx must live until metrics_free(). Any thread. SL_RESOURCE_EXHAUSTED: out of memory. */
typedef void metrics_collect_fn(void *ctx, struct metrics_page *page);
SL_MUST_USE sl_code metrics_collect(struct metrics *metrics, metrics_collect_fn *collect, void *ctx,
				    struct sl_err *err);

/* One sample. Samples of one family may come from several collectors: the page
 * keeps them together, with HELP and TYPE once. */
void metrics_page_sample(struct metrics_page *page, const struct metrics_family *family,
			 const struct metrics_label *labels, size_t label_count, double value);

/* A histogram: counts[i] observations at most bounds[i] and above bounds[i - 1];
 * counts[bound_count] are those above all bounds. */
void metrics_page_histogram(struct metrics_page *page, const struct metrics_family *family,
			    const struct metrics_label *labels, size_t label_count,
			    const double *bounds, const uint64_t *counts, size_t bound_count,
			    double sum);

#endif

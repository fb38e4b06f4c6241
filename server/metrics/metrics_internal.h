/* metrics_internal: what the files of server/metrics share; nobody else may include it. */
#ifndef SL_SERVER_METRICS_INTERNAL_H
#define SL_SERVER_METRICS_INTERNAL_H

#include "base/bytes/bytes.h"
#include "server/metrics/metrics.h"

/* --- page.c ------------------------------------------------------------------------- */

struct page_family {
	struct page_family *next; /* in the order they came */
	const char *name;         /* borrowed until the page is written */
	struct sl_buf text;       /* HELP, TYPE and the samples */
};

/* {0} is an empty page. Out of memory is sticky. */
struct metrics_page {
	struct page_family *families;
	bool failed;
};

void metrics_page_fini(struct metrics_page *page);
/* Appends all families to *out; false when memory was short: the page is incomplete. */
bool metrics_page_write(const struct metrics_page *page, struct sl_buf *out);

/* --- calls.c ------------------------------------------------------------------------- */

struct metrics_calls;

struct metrics_calls *metrics_calls_new(void); /* NULL when out of memory */
void metrics_calls_free(struct metrics_calls *calls);
void metrics_calls_count(struct metrics_calls *calls, const char *method, bool is_stream,
			 sl_code code, uint64_t microseconds);
metrics_collect_fn metrics_calls_collect; /* ctx: struct metrics_calls */

#endif

/* collect: what the server's parts count, as Prometheus families. Part of main.c's wiring. */
#ifndef SL_SERVER_COLLECT_H
#define SL_SERVER_COLLECT_H

#include "server/metrics/metrics.h"

/* ctx: struct services *. Metrics thread. */
void collect_metrics(void *ctx, struct metrics_page *page);

#endif

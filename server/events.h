/* events: what the parts of the server tell each other. The ctx of each is the struct server. Part
 * of main.c's wiring. */
#ifndef SL_SERVER_EVENTS_H
#define SL_SERVER_EVENTS_H

#include "server/rpc/rpc.h"
#include "server/store/store.h"
#include "sluice/store/v1/records.pb-c.h"

/* The store's writer: something was committed, and may be pruned. */
void events_commit(void *ctx, uint64_t first, uint64_t last, uint64_t tables);
enum store_prune events_prune(void *ctx, uint64_t revision, struct sl_bytes record);
/* Store or log cannot be relied on any more: the server stops. Any thread. */
void events_storage_failed(void *ctx, const struct sl_err *err);
/* watch: a record of the log, in order, and that there are no more for now. */
void events_record(void *ctx, const struct store_view *view,
		   const Sluice__Store__V1__LogRecord *record);
void events_batch(void *ctx, const struct store_view *view);
/* The queue thread: time has gone by; a call is answered. */
void events_tick(void *ctx);
void events_finished(void *ctx, const struct rpc_method *method, sl_code code,
		     uint64_t microseconds);

#endif

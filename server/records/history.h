/* history: events read back from the log, where promotions and releases are kept for good.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_HISTORY_H
#define SL_SERVER_RECORDS_HISTORY_H

#include "server/records/records.h"
#include "server/records/wire.h"

/* The event of this kind and app (NULL: any) that a revision holds.
 * SL_NOT_FOUND leaves *err alone: no such revision, one of another workspace, or it holds none. */
SL_MUST_USE sl_code history_event(const struct wire *in, uint64_t revision,
				  Sluice__V1__EventKind kind, const char *app_id,
				  Sluice__V1__Event **ret_event, struct sl_err *err);

/* The id of an app, by name or id, of a deleted one by its id. SL_NOT_FOUND / APP_NOT_FOUND. */
SL_MUST_USE sl_code history_app_id(const struct wire *in, const char *name_or_id,
				   const char **ret_app_id, struct sl_err *err);

#endif

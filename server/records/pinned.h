/* pinned: which commits an app's versions hold, so that what is news on its branch can be told from
 * them. Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_PINNED_H
#define SL_SERVER_RECORDS_PINNED_H

#include "server/records/records.h"

enum { PINNED_MAX = 16 };

/* The commits of the newest PINNED_MAX versions that have content, each once, spaces between; in
 * the arena. "": none has. */
SL_MUST_USE sl_code pinned_commits(const struct store_view *view, struct sl_arena *arena,
				   uint32_t workspace, const char *app_id, const char **ret_ids,
				   struct sl_err *err);

#endif

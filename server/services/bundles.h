/* bundles: streams of VersionService.ExportBundle and AgentService.FetchBundle: one version's
 * content as a bundle file, sent at the reader's pace, from where the reader says.
 *
 * Threads: one of its own per stream, at most --bundles-max at once; the streams' events come on
 * the queue thread. */
#ifndef SL_SERVER_BUNDLES_H
#define SL_SERVER_BUNDLES_H

#include <stdint.h>

#include "base/err/err.h"
#include "server/gitsync/gitsync.h"
#include "server/rpc/rpc.h"

struct bundles;

struct bundles_options {
	struct gitsync *gitsync; /* borrowed */
	const char *data;        /* the server's data folder */
	uint64_t disk_reserve;   /* bytes that stay free */
	unsigned max;            /* streams at once */
};
SL_MUST_USE sl_code bundles_new(const struct bundles_options *options, struct bundles **ret_bundles,
				struct sl_err *err);
/* Ends what runs; none starts afterwards. Before the rpc server ends. NULL is fine. */
void bundles_stop(struct bundles *bundles);
/* Waits for the end of all. After gitsync_stop(), before rpc_server_free(). NULL is fine. */
void bundles_free(struct bundles *bundles);

struct bundles_stats {
	uint64_t sent;  /* to their ends */
	uint64_t bytes; /* of those, and of what readers left before its end */
};
/* NULL: all zero. Any thread. */
void bundles_stats_read(struct bundles *bundles, struct bundles_stats *ret_stats);

#endif

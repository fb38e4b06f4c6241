/* backup: streams of AdminService.Backup: a copy of the store is made in a file of the server's,
 * sent at the client's pace, and removed.
 *
 * Threads: one of its own per backup, so that neither copying nor a slow client holds up anybody;
 * the stream's events come on the queue thread. */
#ifndef SL_SERVER_BACKUP_H
#define SL_SERVER_BACKUP_H

#include "base/err/err.h"
#include "server/rpc/rpc.h"
#include "server/store/store.h"

struct backup;

/* Copies lie in DATA/backup; what a server that died has left there is removed. */
SL_MUST_USE sl_code backup_new(struct store *store, const char *data, struct backup **ret_backup,
			       struct sl_err *err);
/* Ends a backup that runs; none starts afterwards. Before the rpc server ends. NULL is fine. */
void backup_stop(struct backup *backup);
/* Waits for its end. Before store_free() and rpc_server_free(). NULL is fine. */
void backup_free(struct backup *backup);

/* The events of the method's row. */
extern const struct rpc_stream_events backup_events;

#endif

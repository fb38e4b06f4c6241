/* bundle_asked: what a reader of ExportBundle or FetchBundle asks for, and whether it may be had.
 *
 * Threads: the queue thread reads; what was read is its owner's. */
#ifndef SL_SERVER_BUNDLE_ASKED_H
#define SL_SERVER_BUNDLE_ASKED_H

#include "base/mem/arena.h"
#include "server/services/service.h"
#include "sluice/v1/agent.pb-c.h"

#define BUNDLE_EXPORT "/sluice.v1.VersionService/ExportBundle"
#define BUNDLE_FETCH "/sluice.v1.AgentService/FetchBundle"

struct bundle_asked {
	struct sl_arena arena; /* of what follows */
	Sluice__V1__BundleHead head;
	Sluice__V1__Bundle bundle; /* with url, ref and login; the head's has none */
	uint64_t offset; /* where the reader goes on, if the file starts as its digest says */
	struct sl_bytes start_digest;
};

/* Reads the request, and finds what it is about. When it fails nothing is left in *ret_asked. */
typedef sl_code bundle_asked_reader(const struct services *services, struct rpc_stream *stream,
				    struct sl_bytes message, struct bundle_asked *ret_asked,
				    struct sl_err *err);
bundle_asked_reader bundle_export_asked, bundle_fetch_asked;

#endif

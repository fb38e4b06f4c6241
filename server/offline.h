/* offline: the store of a server that does not run, for its commands. */
#ifndef SL_SERVER_OFFLINE_H
#define SL_SERVER_OFFLINE_H

#include "server/store/store.h"

/* Open for writing; store_free() it. SL_FAILED_PRECONDITION: a server runs on it. */
SL_MUST_USE sl_code server_open_offline(const char *data, struct store **ret_store,
					struct sl_err *err);

#endif

/* server: all parts of a running `sluiced serve`, and what they are wired with. */
#ifndef SL_SERVER_SERVER_H
#define SL_SERVER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/notify/notify.h"
#include "server/config/config.h"
#include "server/sealing.h"
#include "server/services/service.h"
#include "server/watch/watch.h"

struct server {
	struct services services; /* first: the ctx of every handler */
	struct server_config config;
	struct ca *ca; /* NULL: --insecure */
	struct desk *desk;
	struct door *door;   /* NULL: none */
	struct local *local; /* NULL: --insecure, or no socket could be made */
	struct watch_sight sight;
	char *keys;              /* owned; DIR/keys */
	struct signing *signing; /* NULL: --insecure, and no keys */
	struct sealing sealing;
	struct rpc_server *rpc;
	struct metrics *metrics;
	pthread_t signals;
	bool signals_started;
	bool recovering; /* it starts in recovery */
	atomic_bool storage_failed;
	atomic_bool wired;    /* all parts are there: the writer and watch may call them */
	uint64_t retained_ms; /* queue thread only, as what follows */
	struct sl_watchdog watchdog;
};

#endif

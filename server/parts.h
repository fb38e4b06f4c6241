/* parts: opens and starts each part of the server with what it takes of the flags and of the parts
 * before it, in this order; main.c ends them in reverse. What fails, or is not asked for, stays
 * NULL. Part of main.c's wiring. */
#ifndef SL_SERVER_PARTS_H
#define SL_SERVER_PARTS_H

#include "server/server.h"

SL_MUST_USE sl_code parts_open_keys(struct server *server, struct sl_err *err);
SL_MUST_USE sl_code parts_open_store(struct server *server, struct sl_err *err);
SL_MUST_USE sl_code parts_open_vault(struct server *server, struct sl_err *err);
SL_MUST_USE sl_code parts_start_admission(struct server *server, struct sl_err *err);
/* All that services work with; from here on the parts tell each other things (events.h). */
SL_MUST_USE sl_code parts_start_services(struct server *server, struct sl_err *err);
SL_MUST_USE sl_code parts_start_metrics(struct server *server, struct sl_err *err);
SL_MUST_USE sl_code parts_start_rpc(struct server *server, struct sl_err *err);
SL_MUST_USE sl_code parts_start_door(struct server *server, struct sl_err *err);
void parts_start_local(struct server *server);

#endif

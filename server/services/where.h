/* where: how those who are let in find the server: what join and login files say. */
#ifndef SL_SERVER_SERVICES_WHERE_H
#define SL_SERVER_SERVICES_WHERE_H

#include "server/services/service.h"

/* Texts in the arena; server and door are "" where the caller knows better. */
struct where {
	char *server, *door, *ca;
	uint32_t door_port;
};
/* services->ca is there. */
SL_MUST_USE sl_code where_find(const struct services *services, struct sl_arena *arena,
			       struct where *ret_where, struct sl_err *err);

#endif

#include "server/services/where.h"

#include "base/mem/own.h"
#include "server/ca/ca.h"
#include "server/config/config.h"

sl_code where_find(const struct services *services, struct sl_arena *arena, struct where *ret_where,
		   struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *ca = NULL;
	sl_code code = ca_trust(services->ca, &ca, err);
	if (code == SL_OK) {
		*ret_where = (struct where){
		    .server = sl_arena_strdup(arena, services->config->advertise),
		    .door = sl_arena_strdup(arena, services->config->door_advertise),
		    .ca = sl_arena_strdup(arena, ca),
		    .door_port = services->door_port,
		};
	}
	return code;
}

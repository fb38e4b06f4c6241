/* wire_internal: for the files that make API messages of records. */
#ifndef SL_SERVER_RECORDS_WIRE_INTERNAL_H
#define SL_SERVER_RECORDS_WIRE_INTERNAL_H

#include "server/records/wire.h"

/* A new, initialised API message in the arena, or return NULL from the caller. */
#define NEW(variable, type, init)                                                                  \
	type *variable = SL_ARENA_NEW(arena, type);                                                \
	if (variable == NULL) {                                                                    \
		return NULL;                                                                       \
	}                                                                                          \
	init(variable)

#endif

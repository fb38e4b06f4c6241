/* calls: methods called the way the server does it, from request bytes to reply bytes, on a world:
 * the generic path with a double of the transport. */
#ifndef SL_TESTS_SERVICES_CALLS_H
#define SL_TESTS_SERVICES_CALLS_H

#include "tests/unit/server/records/world.h"

/* Calls a method by its name ("CreateApp") and waits for the answer. The reply, unpacked, lies in
 * w->arena; ret_response may be NULL. w->code and w->err are the answer's. INTERNAL, DATA_LOSS and
 * UNIMPLEMENTED fail the test. */
sl_code calls_make(struct world *w, const char *method, const void *request, void *ret_response);

#endif

/* calls: methods called the way the server does it, from request bytes to reply bytes, on a world:
 * the generic path with a double of the transport. */
#ifndef SL_TESTS_SERVICES_CALLS_H
#define SL_TESTS_SERVICES_CALLS_H

#include "tests/unit/server/records/world.h"

/* Calls a method by its name ("CreateApp") and waits for the answer. The reply, unpacked, lies in
 * w->arena; ret_response may be NULL. w->code and w->err are the answer's. INTERNAL, DATA_LOSS and
 * UNIMPLEMENTED fail the test. */
sl_code calls_make(struct world *w, const char *method, const void *request, void *ret_response);

/* w->services.access, open and with a key for tokens; the principal tess, a viewer, with the access
 * token tok_aaaaaaaaaaaaaaaaaaaa; and the role looker, which nobody has. */
void calls_people(struct world *w);
/* A principal of these grants ("view", "promote shop-* staging" ...; a role or a verb, apps,
 * environment), in a workspace; its id "pri_..." is in w->arena. */
const char *calls_principal(struct world *w, uint32_t workspace, const char *name,
			    const char *const *grants, size_t count);

/* All services of the API. */
#define CALLS_SERVICES 15
extern const ProtobufCServiceDescriptor *const calls_services[CALLS_SERVICES];
/* A request of a method from "field=value field.part=value", in w->arena; values $V and $E are
 * those given. A repeated field gets one element. */
ProtobufCMessage *calls_request(struct world *w, const char *method, const char *fields,
				const char *version, const char *environment);

#endif

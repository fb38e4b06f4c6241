/* desk: what the door's askers get: limits first, then admission. For struct door_options. */
#ifndef SL_SERVER_DOOR_DESK_H
#define SL_SERVER_DOOR_DESK_H

#include "server/admission/admission.h"
#include "server/ca/ca.h"
#include "server/door/door.h"
#include "server/door/limits.h"

struct desk;

struct desk_options {
	struct admission *admission; /* borrowed, as the CA */
	struct ca *ca;
	struct limit_rate peer, overall;
};
SL_MUST_USE sl_code desk_new(const struct desk_options *options, struct desk **ret_desk,
			     struct sl_err *err);
void desk_free(struct desk *desk); /* NULL is fine */

/* With a desk as ctx. */
sl_code desk_answer(void *desk, const struct door_ask *ask, struct sl_buf *reply,
		    struct sl_err *err);
sl_code desk_certificate(void *desk, struct door_certificate *ret_certificate, struct sl_err *err);

#endif

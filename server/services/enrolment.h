/* enrolment: the methods of FleetService that let agents in and turn them out; rows in fleet.c. */
#ifndef SL_SERVER_SERVICES_ENROLMENT_H
#define SL_SERVER_SERVICES_ENROLMENT_H

#include "server/services/service.h"

sl_code enrolment_invite_check(const void *message, struct sl_err *err);
sl_code enrolment_invite_decide(struct decision *d, const void *message, void *reply,
				struct sl_err *err);
sl_code enrolment_revoke_check(const void *message, struct sl_err *err);
sl_code enrolment_revoke_decide(struct decision *d, const void *message, void *reply,
				struct sl_err *err);
sl_code enrolment_clear_check(const void *message, struct sl_err *err);
sl_code enrolment_clear_decide(struct decision *d, const void *message, void *reply,
			       struct sl_err *err);

#endif

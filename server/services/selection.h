/* selection: the three methods of FleetService that are about pins; the fleet's table refers to them. */
#ifndef SL_SERVER_SERVICES_SELECTION_H
#define SL_SERVER_SERVICES_SELECTION_H

#include "server/services/service.h"

SL_MUST_USE sl_code selection_select_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code selection_select_decide(struct decision *d, const void *message, void *reply, struct sl_err *err);
SL_MUST_USE sl_code selection_clear_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code selection_clear_decide(struct decision *d, const void *message, void *reply, struct sl_err *err);
SL_MUST_USE sl_code selection_list_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code selection_list_read(struct service_read *read, const void *message, void *reply, struct sl_err *err);

#endif

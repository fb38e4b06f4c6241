/* Shared by the files of plans. */
#ifndef SL_SERVER_RECORDS_PLANS_INTERNAL_H
#define SL_SERVER_RECORDS_PLANS_INTERNAL_H

#include "server/records/plans.h"

/* What the permission gate looks at: may the asker, and if not, who may. Only then are principals
 * looked at, all of them. */
SL_MUST_USE sl_code plan_gather_right(const struct plan_base *base, struct plan *plan,
				      struct sl_err *err);

/* What the contract gate looks at. */
SL_MUST_USE sl_code plan_gather_contract(const struct plan_base *base, struct plan *plan,
					 struct sl_err *err);

#endif

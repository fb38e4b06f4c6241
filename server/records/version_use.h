/* version_use: who holds on to a version or an app, so that it cannot be deleted. Called inside
 * decisions. */
#ifndef SL_SERVER_RECORDS_VERSION_USE_H
#define SL_SERVER_RECORDS_VERSION_USE_H

#include "server/records/records.h"

/* SL_FAILED_PRECONDITION / VERSION_IN_USE: it is released, or an instance of the workspace runs it
 * or is told to; names the first such. Costs a look at each instance that has said something of the
 * app, and at those that it is placed on if the version is selected or pinned anywhere. */
SL_MUST_USE sl_code version_unused(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				   const Sluice__Store__V1__VersionRecord *version,
				   struct sl_err *err);

/* SL_FAILED_PRECONDITION / APP_IN_USE: a version of it is released or pinned; names the first such.
 * Instances that run one take the app down when it is gone. */
SL_MUST_USE sl_code app_unused(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			       struct sl_err *err);

#endif

/* updates: which versions an instance that pulls by hand (MANUAL) may fetch, and the command that
 * lets it fetch one.
 *
 * An update is the step from the version that the instance has to one that it is told to have. What
 * is let through is one content of one version, and only the last one of each app is remembered: a
 * version that is promoted later, or another content, waits for a Pull of its own. Threads: as
 * records.h. */
#ifndef SL_SERVER_RECORDS_UPDATES_H
#define SL_SERVER_RECORDS_UPDATES_H

#include "server/records/records.h"

/* The step that Pull last let through; NULL: none. Borrowed from the instance. */
const Sluice__Store__V1__PullRecord *
updates_pulled(const Sluice__Store__V1__InstanceRecord *instance, const char *app_id);

/* Does the version wait there for Pull, when the instance does not have it? */
bool updates_hold(const Sluice__Store__V1__InstanceRecord *instance, const char *app_id,
		  const Sluice__Store__V1__VersionRecord *version);

/* What a caller means to let through; borrowed for the call. */
struct updates_wish {
	const char *instance, *app, *version; /* names or ids */
	const char *commit;                   /* that its content has; "": whatever it is */
};
/* SL_ABORTED / STALE_EXPECTATION: the instance is not told to have this version, or has it with
 * another commit. What an instance fetches anyway (AUTO), and what was let through before, is a
 * success that changes nothing. */
SL_MUST_USE sl_code updates_decide_pull(struct decision *d, const struct updates_wish *wish,
					Sluice__Store__V1__InstanceRecord **ret_instance,
					Sluice__Store__V1__VersionRecord **ret_version,
					struct sl_err *err);

#endif

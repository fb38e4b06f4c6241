/* bundles: a version's content as instances are told of it.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_BUNDLES_H
#define SL_SERVER_RECORDS_BUNDLES_H

#include "server/records/desired_load.h"
#include "sluice/v1/agent.pb-c.h"

/* What is borrowed lives as long as the records. False: the version's content is not READY. */
SL_MUST_USE bool bundle_fill(const struct desired_app *app,
			     const Sluice__Store__V1__RepositoryRecord *repository, uint32_t number,
			     Sluice__V1__Bundle *bundle);

/* What the manifest of an instance names by an id and a digest. SL_NOT_FOUND / VERSION_NOT_FOUND:
 * it names no such thing. In the arena. */
struct bundle_wish {
	uint32_t workspace;
	const char *app_id, *version_id;
	struct sl_bytes digest;
};
SL_MUST_USE sl_code bundle_of_manifest(const struct store_view *view, struct sl_arena *arena,
				       const Sluice__Store__V1__InstanceRecord *instance,
				       const struct bundle_wish *wish,
				       Sluice__Store__V1__AppRecord **ret_app,
				       Sluice__V1__Bundle *bundle, struct sl_err *err);

/* Any version of the app, by name or id. SL_FAILED_PRECONDITION / CONTENT_NOT_READY. In the arena.
 */
SL_MUST_USE sl_code bundle_of_version(const struct store_view *view, struct sl_arena *arena,
				      uint32_t workspace, const Sluice__Store__V1__AppRecord *app,
				      const char *version, Sluice__V1__Bundle *bundle,
				      struct sl_err *err);

#endif

/* desired_load: fills the input of rules/desired.h from a snapshot, with the versions that count:
 * what is pinned, released, or where Rollback would go, and of each environment those that came
 * last, back to as many as desired_choose() looks at that may run there.
 *
 * Costs a walk over the app's pins, a few reads of its release stack, and a look at each of these
 * versions, however many others there are. Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_DESIRED_LOAD_H
#define SL_SERVER_RECORDS_DESIRED_LOAD_H

#include "server/records/records.h"
#include "server/records/wire.h"
#include "server/rules/desired.h"

/* What desired_choose() needs of one app, and the records that it was read from:
 * both arrays are parallel to input.versions. All of it lies in the arena. */
struct desired_app {
	struct desired_input input;
	Sluice__Store__V1__VersionRecord **versions;
	Sluice__Store__V1__PublicationRecord **publications;    /* NULL: not sealed */
	Sluice__Store__V1__ReleaseSignatureRecord **signatures; /* NULL: none */
	Sluice__Store__V1__ReleaseRecord *release;              /* NULL: never released */
	/* How many versions have ever come to the environment, beyond development. */
	uint32_t came[ENV_COUNT + 1];
};
/* An app without versions, also one that is not there, is SL_OK with none. */
SL_MUST_USE sl_code desired_load(const struct store_view *view, struct sl_arena *arena,
				 uint32_t workspace, const char *app_id,
				 struct desired_app *ret_app, struct sl_err *err);

/* One version as the rules see it, but for when it entered where. publication NULL: not sealed. */
struct desired_version desired_version_of(const Sluice__Store__V1__VersionRecord *record,
					  const Sluice__Store__V1__PublicationRecord *publication);

/* The records of a version by number; NULL: there is none. Borrowed from the arena. */
const Sluice__Store__V1__VersionRecord *desired_version_record(const struct desired_app *app,
							       uint32_t number);
const Sluice__Store__V1__PublicationRecord *desired_publication(const struct desired_app *app,
								uint32_t number);
const Sluice__Store__V1__ReleaseSignatureRecord *desired_signature(const struct desired_app *app,
								   uint32_t number);

/* A block of any mode holds; one of mode RECALL does. */
bool desired_is_blocked(const Sluice__Store__V1__VersionRecord *version);
bool desired_is_recalled(const Sluice__Store__V1__VersionRecord *version);

/* Is the app placed on the instance? (Its labels; not whether anything is selected there.) */
bool desired_is_placed(const Sluice__Store__V1__AppRecord *app,
		       const Sluice__Store__V1__InstanceRecord *instance);

/* How one version stands to the instances of an environment that the app is placed on. */
struct desired_reach {
	uint32_t instances; /* that the app is placed on */
	uint32_t staged;    /* of those: with the version on disk, verified, as they last said */
};
/* Costs a look at each instance that the app is placed on, and none at others. */
SL_MUST_USE sl_code desired_count_staged(const struct wire *in,
					 const Sluice__Store__V1__AppRecord *app,
					 uint32_t environment, const char *version_id,
					 struct desired_reach *ret_reach, struct sl_err *err);

#endif

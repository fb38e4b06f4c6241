/* What the files of versions share; see versions.h. */
#ifndef SL_SERVER_RECORDS_VERSIONS_INTERNAL_H
#define SL_SERVER_RECORDS_VERSIONS_INTERNAL_H

#include "server/records/versions.h"

#define VERSION_NAME_ROOM 64 /* bytes of a version's name with NUL; the rule allows fewer */

sl_code records_out_of_memory(struct sl_err *err);

/* Notes what a refusal would be about; version may be NULL. */
void version_refusal(struct decision *d, const Sluice__Store__V1__AppRecord *app,
		     const Sluice__Store__V1__VersionRecord *version);

/* SL_ALREADY_EXISTS / NAME_TAKEN. */
SL_MUST_USE sl_code version_name_free(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				      const char *name, struct sl_err *err);
/* Index by name. */
void version_put_name(struct decision *d, const Sluice__Store__V1__VersionRecord *version);

/* Clears the content; what it was is what is pushed onto. */
SL_MUST_USE sl_code version_content_clear(struct decision *d,
					  const Sluice__Store__V1__AppRecord *app,
					  Sluice__Store__V1__VersionRecord *version,
					  const char *asked, struct sl_err *err);
/* The same, and owes looking for `asked`. The caller puts the version. */
SL_MUST_USE sl_code version_content_reset(struct decision *d,
					  const Sluice__Store__V1__AppRecord *app,
					  Sluice__Store__V1__VersionRecord *version,
					  const char *asked, struct sl_err *err);
/* The content of a new version, READY as it was found. */
SL_MUST_USE sl_code version_content_found(struct decision *d,
					  Sluice__Store__V1__VersionRecord *version,
					  const char *asked,
					  const struct version_content_result *found,
					  struct sl_err *err);
/* Writes the OwedRecord, due at once. */
void version_owe(struct decision *d, Sluice__Store__V1__OwedKind kind,
		 const Sluice__Store__V1__AppRecord *app,
		 const Sluice__Store__V1__VersionRecord *version);

#endif

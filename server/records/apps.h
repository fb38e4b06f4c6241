/* apps: the commands that change apps. Called inside decisions; see versions.h for what that means.
 */
#ifndef SL_SERVER_RECORDS_APPS_H
#define SL_SERVER_RECORDS_APPS_H

#include "server/records/records.h"

struct version_content_result;

/* Table apps_by_path: repository id, path, app id. A path that is too long for a key is replaced by
 * its hash. */
struct record_key app_path_key(uint32_t workspace, const char *repository_id, const char *path,
			       const char *app_id);
/* The app id at the end of such a key; borrowed from it. */
const char *app_path_key_app_id(struct sl_bytes key);

/* Texts are checked before (rules/names.h) and borrowed as long as the arena. */
struct app_new {
	const char *name, *display_name;
	const char *repository, *repository_url; /* one of them is "" */
	const char *path;                        /* "": apps/<name> */
	Sluice__Store__V1__Label **placement;    /* sorted */
	size_t placement_count;
	const char *version_name; /* "": v1 */
	const char *commit;
	bool no_commit;                             /* none on the repository's branch */
	const struct version_content_result *found; /* versions.h: the first version is SEALED with
						       it; NULL: a draft, for which it is looked */
};
/* What CreateApp or ImportApp made. */
struct app_created {
	Sluice__Store__V1__AppRecord *app;
	Sluice__Store__V1__VersionRecord *version;
	Sluice__Store__V1__RepositoryRecord *repository; /* found or made */
	Sluice__Store__V1__PublicationRecord
	    *publication; /* of a version that is SEALED; else NULL */
};
/* SL_ALREADY_EXISTS / NAME_TAKEN: another app has this name or slug; PATH_TAKEN names the app that
 * has repository and path. SL_NOT_FOUND: no such repository. */
SL_MUST_USE sl_code apps_decide_create(struct decision *d, const struct app_new *new_app,
				       struct app_created *ret_created, struct sl_err *err);

/* What apps_decide_create() would refuse, whatever is found in Git; *ret_repository is the one. */
SL_MUST_USE sl_code apps_check_new(struct decision *d, const struct app_new *new_app,
				   Sluice__Store__V1__RepositoryRecord **ret_repository,
				   struct sl_err *err);

/* *app is changed in place. Its own slug may be its name again. */
SL_MUST_USE sl_code apps_decide_rename(struct decision *d, Sluice__Store__V1__AppRecord *app,
				       const char *new_name, struct sl_err *err);
SL_MUST_USE sl_code apps_decide_update(struct decision *d, Sluice__Store__V1__AppRecord *app,
				       const char *display_name,
				       Sluice__Store__V1__Label **placement, size_t placement_count,
				       struct sl_err *err);

/* Removes app, versions, indexes, owed work, pointer and release stack; keeps a tombstone,
 * promotions, release history, facts and notes. SL_FAILED_PRECONDITION / APP_IN_USE. */
SL_MUST_USE sl_code apps_decide_delete(struct decision *d, Sluice__Store__V1__AppRecord *app,
				       struct sl_err *err);

/* Where the principal works on the app. `environment`: number, 0: the one last opened. `version`:
 * name or id, "": the one last opened there, else the newest there, else in the next lower
 * environment. Remembers the answer. SL_FAILED_PRECONDITION / NOT_ELIGIBLE: a version was named
 * that is not in this environment or beyond. */
SL_MUST_USE sl_code apps_decide_open(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				     uint32_t environment, const char *version,
				     uint32_t *ret_environment,
				     Sluice__Store__V1__VersionRecord **ret_version,
				     struct sl_err *err);

/* The app of a repository's folder. SL_NOT_FOUND leaves *err alone: there is none. */
SL_MUST_USE sl_code app_at_path(const struct store_view *view, struct sl_arena *arena,
				uint32_t workspace, const char *repository_id, const char *path,
				Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err);

/* SL_ALREADY_EXISTS / PATH_TAKEN: another app than `own_id` has the folder, or is to be moved
 * there. */
SL_MUST_USE sl_code app_path_free(struct decision *d,
				  const Sluice__Store__V1__RepositoryRecord *repository,
				  const char *path, const char *own_id, struct sl_err *err);

/* Puts *app with this command's revision, and adds its event; returns what the event tells, NULL
 * when memory is out. */
Sluice__V1__App *app_put_in(struct decision *d, Sluice__V1__EventType type,
			    Sluice__Store__V1__AppRecord *app);

#endif

/* versions: the commands that change versions: made, given content, renamed, sealed, blocked,
 * noted, deleted; and what Git workers report of them.
 *
 * Every function here is called inside a decide() (see store.h): it reads d->view, checks the
 * rules, and fills d. A refusal (any code but SL_OK) leaves changes in d that the caller drops with
 * the command. Records that are returned lie in d->arena and are as they will be stored. Threads:
 * the writer's. */
#ifndef SL_SERVER_RECORDS_VERSIONS_H
#define SL_SERVER_RECORDS_VERSIONS_H

#include "server/records/records.h"
#include "server/records/wire.h"
#include "server/rules/versions.h"
#include "sluice/v1/version.pb-c.h"

/* --- keys and look-ups ------------------------------------------------------------ */

struct record_key version_key(uint32_t workspace, const char *app_id,
			      uint32_t number); /* versions, publications */
struct record_key facts_key(uint32_t workspace, const char *app_id, uint32_t number,
			    uint32_t environment);
/* Table owed: workspace, kind (4 bytes), app id, number (4 bytes). */
struct record_key owed_key(uint32_t workspace, Sluice__Store__V1__OwedKind kind, const char *app_id,
			   uint32_t number);

/* Table versions_by_name: the name in lower case. */
struct record_key version_name_key(uint32_t workspace, const char *app_id, const char *name);

/* What is known of a version in an environment. SL_NOT_FOUND leaves *err alone: it has never been
 * there. */
SL_MUST_USE sl_code facts_get(const struct wire *in,
			      const Sluice__Store__V1__VersionRecord *version, uint32_t environment,
			      Sluice__Store__V1__FactsRecord **ret_facts, struct sl_err *err);

/* --- parts of other commands ------------------------------------------------------ */

/* Is the act allowed by the life cycle (rules/versions.h)? SL_FAILED_PRECONDITION with the rule's
 * reason, naming app, version, what it is like and what it would have to be like. Notes in
 * d->object what it is about. */
SL_MUST_USE sl_code version_check(struct decision *d, enum version_act act,
				  const Sluice__Store__V1__AppRecord *app,
				  const Sluice__Store__V1__VersionRecord *version,
				  struct sl_err *err);

/* Puts the record with this command's revision. */
void version_put(struct decision *d, Sluice__Store__V1__VersionRecord *version);

/* The version enters `environment`: sets environment and entered_revision in *version (the caller
 * puts it) and writes the facts of its coming there, and its entry (entries.h). */
SL_MUST_USE sl_code version_enter_in(struct decision *d, Sluice__Store__V1__VersionRecord *version,
				     uint32_t environment, struct sl_err *err);

/* Seals *version in place (the caller puts it): state, sealed_ms, sealed_by; chooses the ref once,
 * writes the publication and owes it to Git (publish = NONE: PUBLISHED at once, as the commit
 * itself). Already sealed: changes nothing, *ret_publication is the stored one.
 * SL_FAILED_PRECONDITION / CONTENT_NOT_READY. */
SL_MUST_USE sl_code version_seal_in(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				    Sluice__Store__V1__VersionRecord *version,
				    Sluice__Store__V1__PublicationRecord **ret_publication,
				    struct sl_err *err);

/* The app's first or next version, in development: number, record, indexes, facts, and its content
 * owed to Git (or copied from `from` when that is READY and `commit` is empty). Counts it in *app
 * (the caller puts that). `from` may be NULL. Adds the VERSION CREATED event. SL_ALREADY_EXISTS /
 * NAME_TAKEN. */
struct version_content_result;
struct version_new {
	const char *name, *description,
	    *commit;      /* checked; "" where allowed; borrowed as long as the arena */
	const char *path; /* of the app's folder */
	const Sluice__Store__V1__VersionRecord *from;
	bool from_content; /* `from` was named by the caller: without a commit its content is taken
			    */
	Sluice__Store__V1__PublicationRecord **ret_publication; /* with `found`: of the seal */
	const struct version_content_result
	    *found; /* READY: what Git has at `commit`. The version is SEALED with it. NULL: a draft
		     */
};
SL_MUST_USE sl_code version_create_in(struct decision *d, Sluice__Store__V1__AppRecord *app,
				      const struct version_new *new_version,
				      Sluice__Store__V1__VersionRecord **ret_version,
				      struct sl_err *err);

/* Adds a VERSION event with the version as it is now. publication and released_version as
 * wire_version() takes them. */
void version_event(struct decision *d, Sluice__V1__EventType type,
		   const Sluice__Store__V1__AppRecord *app,
		   const Sluice__Store__V1__VersionRecord *version,
		   const Sluice__Store__V1__PublicationRecord *publication,
		   uint32_t released_version);

/* Removes the version's rows and what is owed for it; facts and notes stay. Adds the VERSION
 * DELETED event. */
void version_remove_in(struct decision *d, const Sluice__Store__V1__AppRecord *app,
		       const Sluice__Store__V1__VersionRecord *version);

/* --- commands ----------------------------------------------------------------------- */

/* Each looks at d->expected_revision where its method has one, changes *version in place to what is
 * stored, and adds its events. app and version are as found in this command, in the arena. */

/* A new version as the caller asks for it; texts are checked, none is NULL. */
struct version_wanted {
	const char *name, *description;
	const char *from;   /* name or id; "": the default of rules/versions.h */
	const char *commit; /* "": the content of an explicit `from`, else the branch's tip */
	bool no_commit;     /* none on the repository's branch */
};
SL_MUST_USE sl_code versions_decide_create(struct decision *d, Sluice__Store__V1__AppRecord *app,
					   const struct version_wanted *wanted,
					   Sluice__Store__V1__VersionRecord **ret_version,
					   struct sl_err *err);
SL_MUST_USE sl_code versions_decide_set_content(struct decision *d,
						const Sluice__Store__V1__AppRecord *app,
						Sluice__Store__V1__VersionRecord *version,
						const char *commit, struct sl_err *err);
/* The version's content will be what is pushed (commits.h). */
struct commit_push;
SL_MUST_USE sl_code versions_decide_push(struct decision *d,
					 const Sluice__Store__V1__AppRecord *app,
					 Sluice__Store__V1__VersionRecord *version,
					 const struct commit_push *push, struct sl_err *err);
/* new_name "": as it is. */
SL_MUST_USE sl_code versions_decide_update(struct decision *d,
					   const Sluice__Store__V1__AppRecord *app,
					   Sluice__Store__V1__VersionRecord *version,
					   const char *new_name, const char *description,
					   struct sl_err *err);
/* What an offline key signed of it, which nobody checks here. SL_FAILED_PRECONDITION: a draft. */
SL_MUST_USE sl_code versions_decide_sign_release(struct decision *d,
						 const Sluice__Store__V1__AppRecord *app,
						 Sluice__Store__V1__VersionRecord *version,
						 struct sl_bytes signature, struct sl_err *err);
SL_MUST_USE sl_code versions_decide_seal(struct decision *d,
					 const Sluice__Store__V1__AppRecord *app,
					 Sluice__Store__V1__VersionRecord *version,
					 Sluice__Store__V1__PublicationRecord **ret_publication,
					 struct sl_err *err);
SL_MUST_USE sl_code versions_decide_delete(struct decision *d, Sluice__Store__V1__AppRecord *app,
					   const Sluice__Store__V1__VersionRecord *version,
					   struct sl_err *err);

/* What becomes of the release when the released version is recalled. */
struct version_recall {
	const char *rollback_to; /* name, id or "previous"; "": not asked for */
	bool withdraw, keep_serving;
};
/* *ret_released: number of the version that is released now; 0: none. RELEASED_NEEDS_DECISION. */
SL_MUST_USE sl_code versions_decide_block(struct decision *d,
					  const Sluice__Store__V1__AppRecord *app,
					  Sluice__Store__V1__VersionRecord *version,
					  Sluice__V1__BlockMode mode,
					  const struct version_recall *recall,
					  uint32_t *ret_released, struct sl_err *err);
SL_MUST_USE sl_code versions_decide_unblock(struct decision *d,
					    const Sluice__Store__V1__AppRecord *app,
					    Sluice__Store__V1__VersionRecord *version,
					    struct sl_err *err);
/* The version's revision stays. The note's own is d->revision. */
SL_MUST_USE sl_code versions_decide_note(struct decision *d,
					 const Sluice__Store__V1__AppRecord *app,
					 const Sluice__Store__V1__VersionRecord *version,
					 const char *text, Sluice__Store__V1__NoteRecord **ret_note,
					 struct sl_err *err);

/* --- what Git workers report ------------------------------------------------------- */

/* How looking for a version's content ended. Strings are borrowed for the call; NULL is "". */
struct version_content_result {
	const char *app_id;
	uint32_t version;    /* number */
	uint32_t generation; /* OwedRecord.generation of the work done */
	/* UNSPECIFIED: READY. REPOSITORY_UNREACHABLE: tried again at next_ms; also for what failed
	 * on this side (worker crashed, disk full, mirror corrupt), with a text that says so.
	 * Others end the attempt for good. */
	Sluice__V1__ContentReason reason;
	const char *text, *rule; /* of the failure */
	uint64_t next_ms;        /* REPOSITORY_UNREACHABLE: not before */
	/* READY: */
	const char *commit, *tree, *ref; /* hex, hex, "refs/heads/main" or "" */
	const uint8_t *digest;           /* 32 bytes */
	uint64_t files, bytes;
	const char *subject, *author;
	uint64_t commit_s;
	Sluice__V1__Contract *contract; /* in the arena; NULL: it has none */
	/* CONFLICT: with these; in the arena. */
	Sluice__Store__V1__CommitRecord **conflicts;
	size_t conflict_count;
};

/* Records it, if nothing newer was set: a version that is gone, sealed or of another generation
 * makes SL_OK with no change (d->changed stays false). READY fills the content; a final failure
 * ends the owed RESOLVE; unreachable leaves it owed with attempts + 1 and next_ms. The version's
 * revision changes; one VERSION UPDATED event. */
SL_MUST_USE sl_code versions_decide_content_result(struct decision *d,
						   const struct version_content_result *result,
						   struct sl_err *err);

/* How publishing a sealed version ended. */
struct version_publish_result {
	const char *app_id;
	uint32_t version;
	/* UNSPECIFIED: it is in Git as `commit`. REPOSITORY_UNREACHABLE: tried again at next_ms
	 * (also for what failed on this side). Others (LOGIN_REFUSED, PUSH_REFUSED, TAG_TAKEN,
	 * ...): parked until RefreshRepository. */
	Sluice__V1__ContentReason reason;
	const char *text;
	const char *commit; /* hex, of the parentless commit */
	uint64_t next_ms;
};

/* Records it: a version that is gone or published already makes SL_OK with no change. Writes the
 * publication (never the version: its revision stays); one VERSION UPDATED event. */
SL_MUST_USE sl_code versions_decide_publish_result(struct decision *d,
						   const struct version_publish_result *result,
						   struct sl_err *err);

#endif

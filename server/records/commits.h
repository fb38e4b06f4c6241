/* commits: what is owed to the branches of repositories, one commit per command.
 *
 * A row of table owed (kind COMMIT) is written by the command that owes the commit and
 * removed by the one that records that it is in Git; per repository the rows are done
 * in the order of their revisions. What is in a commit is taken from the app when it is owed, but
 * for the folder's path, which is where the commits before it have left it.
 *
 * No commit is owed where the repository wants none, and none for an app whose folder is
 * the whole repository: its record would be part of its own content. */
#ifndef SL_SERVER_RECORDS_COMMITS_H
#define SL_SERVER_RECORDS_COMMITS_H

#include "server/records/records.h"

struct version_content_result;

/* Table owed: workspace, kind (4 bytes), repository id, revision of the command that owes it. */
struct record_key owed_commit_key(uint32_t workspace, const char *repository_id, uint64_t revision);
/* Of any row. */
struct record_key owed_key_of(uint32_t workspace, const Sluice__Store__V1__OwedRecord *owed);

/* What is known of the repository's branch; SL_NOT_FOUND leaves *err alone: nothing yet. */
SL_MUST_USE sl_code branch_get(const struct store_view *view, struct sl_arena *arena,
			       uint32_t workspace, const char *repository_id,
			       Sluice__Store__V1__BranchRecord **ret_branch, struct sl_err *err);

/* --- parts of other commands: each owes one commit, or none --------------------------------- */

SL_MUST_USE sl_code commits_owe_created(struct decision *d,
					const Sluice__Store__V1__RepositoryRecord *repository,
					const Sluice__Store__V1__AppRecord *app,
					const Sluice__Store__V1__VersionRecord *version,
					struct sl_err *err);
/* Its folder is moved when it was called after the app. SL_ALREADY_EXISTS / PATH_TAKEN. */
SL_MUST_USE sl_code commits_owe_renamed(struct decision *d, const Sluice__Store__V1__AppRecord *app,
					const char *old_name, struct sl_err *err);
SL_MUST_USE sl_code commits_owe_version(struct decision *d, const Sluice__Store__V1__AppRecord *app,
					const Sluice__Store__V1__VersionRecord *version,
					struct sl_err *err);
SL_MUST_USE sl_code commits_owe_version_renamed(struct decision *d,
						const Sluice__Store__V1__AppRecord *app,
						const Sluice__Store__V1__VersionRecord *version,
						const char *old_name, struct sl_err *err);
SL_MUST_USE sl_code commits_owe_promoted(struct decision *d,
					 const Sluice__Store__V1__AppRecord *app,
					 const Sluice__Store__V1__VersionRecord *version,
					 uint32_t from, uint32_t to, struct sl_err *err);

/* What a version is pushed as. */
struct commit_push {
	const char *upload;      /* file in DIR/uploads; NULL: an instance pushes */
	const char *instance_id; /* NULL: none does */
	uint64_t expires_ms;     /* of an instance's push */
	const char *message;     /* one line */
	bool onto;
};
/* The version's content, just reset, is what this commit will be. SL_FAILED_PRECONDITION /
 * REPOSITORY_READ_ONLY. */
SL_MUST_USE sl_code commits_owe_push(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				     const Sluice__Store__V1__VersionRecord *version,
				     const struct commit_push *push, struct sl_err *err);
/* Other content is asked for, or the version goes: no push of it is owed any more.
 * SL_FAILED_PRECONDITION / PUSH_UNDER_WAY: an instance may be at it. */
SL_MUST_USE sl_code commits_forget_push(struct decision *d, const Sluice__Store__V1__AppRecord *app,
					uint32_t version, struct sl_err *err);

/* The app goes: nothing is owed for it any more. */
SL_MUST_USE sl_code commits_forget_app(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				       struct sl_err *err);
/* True in *ret_moves: a commit that moves the app's folder is owed. */
SL_MUST_USE sl_code commits_find_move(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				      bool *ret_moves, struct sl_err *err);
/* The commit that is owed with this operation. SL_NOT_FOUND leaves *err alone. */
SL_MUST_USE sl_code commits_find(struct decision *d, const char *repository_id,
				 const char *operation, Sluice__Store__V1__OwedRecord **ret_owed,
				 struct sl_err *err);
/* The name of the app (another than `app_id`) whose folder is to be moved to this path; NULL: none.
 */
SL_MUST_USE sl_code commits_path_wanted(struct decision *d, const char *repository_id,
					const char *path, const char *app_id, const char **ret_app,
					struct sl_err *err);

/* --- what a commit says, for who makes it; in the arena ------------------------------------- */

/* "" for ".", which is the root for people. */
const char *commit_folder_of(const char *path);
/* ".sluice/apps/<app id>.json"; "": an app that is the whole repository has no record, which would
 * be part of it. */
const char *commit_record_path(struct sl_arena *arena, const Sluice__Store__V1__AppRecord *app);
/* The app's record: the same state makes the same bytes. NULL: out of memory. */
char *commit_record(struct sl_arena *arena, const Sluice__Store__V1__OwedCommit *commit,
		    const char *path);
/* Where the branch was when Sluice wrote on it last; "": it is another branch, or the first time.
 * `branch` may be NULL. */
const char *commit_known_tip(const Sluice__Store__V1__RepositoryRecord *repository,
			     const Sluice__Store__V1__BranchRecord *branch, struct sl_arena *arena);

/* --- commands --------------------------------------------------------------------------------- */

/* How a commit ended. Strings are borrowed for the call. */
struct commit_result {
	const char *repository_id;
	uint64_t revision;   /* of the owed row */
	const char *failure; /* "": it is in Git; else a failure's name */
	bool transient;      /* tried again at next_ms; else parked */
	const char *text;
	uint64_t next_ms;
	const char *ref, *tip; /* the branch, and where it is now */
	/* Of a push: what it means for the version. One that is refused is owed no more. */
	const struct version_content_result *content;
};
/* A row that is gone makes SL_OK with no change. */
SL_MUST_USE sl_code commits_decide_result(struct decision *d, const struct commit_result *result,
					  struct sl_err *err);

/* An item that is owed, by the id that lists show: a commit's own, or a version's for its tag.
 * SL_NOT_FOUND / OWED_NOT_FOUND. */
SL_MUST_USE sl_code owed_find(const struct store_view *view, struct sl_arena *arena,
			      uint32_t workspace,
			      const Sluice__Store__V1__RepositoryRecord *repository, const char *id,
			      Sluice__Store__V1__OwedRecord **ret_owed, struct sl_err *err);
/* Due at once, and parked no more. */
SL_MUST_USE sl_code owed_decide_retry(struct decision *d, Sluice__Store__V1__OwedRecord *owed,
				      struct sl_err *err);
/* A commit that nobody wants any more. SL_FAILED_PRECONDITION / OWED_IS_NEEDED: a tag. */
SL_MUST_USE sl_code owed_decide_drop(struct decision *d, const Sluice__Store__V1__OwedRecord *owed,
				     struct sl_err *err);
/* Commits that are owed to the repository are due at once. With `follow`, whatever the branch has
 * become is taken as it is. Counts what is owed. */
SL_MUST_USE sl_code commits_decide_refresh(struct decision *d, const char *repository_id,
					   bool follow, uint32_t *ret_count, struct sl_err *err);

#endif

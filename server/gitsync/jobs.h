/* jobs: what one owed item asks of Git, and what its result means. Private to gitsync. */
#ifndef SL_SERVER_GITSYNC_JOBS_H
#define SL_SERVER_GITSYNC_JOBS_H

#include "base/git/git.h"
#include "server/gitsync/gitsync.h"
#include "server/logins/logins.h"
#include "server/records/records.h"

enum { GITSYNC_BACKOFF_MAX_MS = 300000 }; /* and up to a quarter more */

/* An owed item and the records that it is about, all in `arena`. */
struct gitsync_item {
	struct sl_arena arena;
	uint32_t workspace;
	Sluice__Store__V1__OwedRecord *owed;
	Sluice__Store__V1__RepositoryRecord *repository;
	Sluice__Store__V1__AppRecord *app;
	Sluice__Store__V1__VersionRecord *version;         /* not of a COMMIT */
	Sluice__Store__V1__PublicationRecord *publication; /* PUBLISH only */
	Sluice__Store__V1__PublicationRecord *before;      /* the one before; NULL: none */
	Sluice__Store__V1__BranchRecord *branch;           /* COMMIT only; NULL: not known yet */
};

/* A repository and where it belongs. */
struct gitsync_repository {
	uint32_t workspace;
	Sluice__Store__V1__RepositoryRecord *record;
};

/* Who the server is to its host, when it pushes or when it reads; `next`: with the keys that wait.
 * End it with repository_login_fini(), after the job was started. */
SL_MUST_USE sl_code gitsync_login(const struct gitsync_options *options,
				  const struct gitsync_repository *repository, bool push, bool next,
				  struct repository_login *ret_login, struct sl_err *err);
/* By its id, in whatever workspace. SL_NOT_FOUND: it is gone. */
SL_MUST_USE sl_code gitsync_repository_find(const struct gitsync_options *options, const char *id,
					    struct sl_arena *arena,
					    struct gitsync_repository *ret_repository,
					    struct sl_err *err);

/* Reads what the item refers to. SL_NOT_FOUND: something is gone, so nothing is owed any more. */
SL_MUST_USE sl_code gitsync_item_load(struct gitsync_item *item, const struct store_view *view,
				      struct sl_err *err);

/* Does the item's work; blocks. */
struct gitsync_worker_options {
	const struct gitsync_options *options;
	bool (*stop)(void *ctx);
	void *ctx;
};
SL_MUST_USE sl_code gitsync_item_run(const struct gitsync_item *item,
				     const struct gitsync_worker_options *worker,
				     struct git_result *ret_result, struct sl_err *err);

/* Fills what a COMMIT asks for; texts in the arena. */
void gitsync_commit_job(const struct gitsync_item *item, const char *data, struct git_job *job,
			struct sl_arena *arena);
/* DIR/uploads/<name> */
char *gitsync_upload_path(struct sl_arena *arena, const char *data, const char *name);

/* Records the result as a command and waits for its commit. Not recorded is not lost: the item
 * stays owed. */
SL_MUST_USE sl_code gitsync_item_record(struct store *store, const struct gitsync_item *item,
					const struct git_result *result, struct sl_err *err);
/* Removes an owed row that refers to something that is gone. */
SL_MUST_USE sl_code gitsync_item_drop(struct store *store, uint32_t workspace,
				      const struct sl_bytes *key, struct sl_err *err);

Sluice__V1__ContentReason gitsync_reason(enum git_failure failure);

/* DIR/mirrors/<id>.git */
char *gitsync_mirror_path(struct sl_arena *arena, const char *data, const char *repository_id);
void gitsync_remove_tree(const char *path);
/* Removes what killed jobs left in DIR/mirrors, and the mirrors of repositories that are gone. No
 * job may run. */
SL_MUST_USE sl_code gitsync_sweep_mirrors(const char *data, const struct store_view *view,
					  struct sl_err *err);

#endif

/* gitsync: repositories' mirrors, contents looked up, sealed versions published.
 *
 * Owed work lies in the store's table `owed`, written by the command that owes
 * it; gitsync does it in confined child processes and writes the results as
 * commands of its own. So a crash at any moment loses nothing: what is owed is
 * found again at start. Per repository one job at a time, in all --git-jobs.
 * A transient failure backs off (1 s, doubling to 5 min, with jitter); a refusal by
 * the host parks the item and lets others pass; commits on a branch go in the order in which they
 * came to be owed, tags and contents do not wait for them. While the store is in recovery nothing
 * of it is done.
 *
 * Mirrors: DIR/mirrors/<repository id>.git, removed with their repository.
 *
 * Threads: gitsync's own do the work; everything here may be called from any. */
#ifndef SL_SERVER_GITSYNC_H
#define SL_SERVER_GITSYNC_H

#include "base/err/err.h"
#include "base/git/git.h"
#include "base/mem/arena.h"
#include "server/store/store.h"
#include "sluice/v1/repository.pb-c.h"

struct gitsync;
struct vault;

struct gitsync_options {
	struct store *store;    /* borrowed */
	struct vault *vault;    /* opens credentials; borrowed. NULL: locked */
	const char *data;       /* the server's data folder; borrowed */
	bool allow_local;       /* file, git and http URLs, private addresses */
	unsigned jobs;          /* at once */
	unsigned deadline_ms;   /* of one job */
	uint64_t disk_reserve;  /* no upload takes of it; bytes */
	uint64_t poll_every_ms; /* pause between looks at a repository's refs; 0: none by itself */
};

/* Starts the threads; what is owed since the last run begins at once. */
SL_MUST_USE sl_code gitsync_new(const struct gitsync_options *options, struct gitsync **ret_gitsync,
				struct sl_err *err);
/* Kills running jobs and ends the threads; no command is submitted afterwards. Before store_free().
 */
void gitsync_stop(struct gitsync *gitsync);
void gitsync_free(struct gitsync *gitsync); /* NULL is fine */

/* Something may be owed: look. Cheap; called after commits. */
void gitsync_wake(struct gitsync *gitsync);

/* How the last contact with a repository went; in the arena, NULL when its memory has failed. */
Sluice__V1__RepositoryContact *gitsync_contact(struct gitsync *gitsync,
					       const struct store_view *view,
					       struct sl_arena *arena, uint32_t workspace,
					       const char *repository_id);

/* Asks the host for its refs when no owed work is due: for gitsync_contact() and gitsync_news().
 * Cheap; kept in memory only. Strings are copied. */
void gitsync_look(struct gitsync *gitsync, const char *repository_id, const char *url);

/* What the last look at an app's repository found. */
struct gitsync_news {
	uint64_t commits; /* on the branch that no version of the app holds */
	bool more;        /* there may be more than were counted */
	char tip[GIT_OID_TEXT], ref[GIT_REF_MAX]; /* of the branch */
	uint64_t at_ms;                           /* when the host last answered */
};
/* False: nothing is known yet. */
bool gitsync_news(struct gitsync *gitsync, const char *repository_id, const char *app_id,
		  struct gitsync_news *ret_news);

enum gitsync_kind {
	GITSYNC_DIFF,   /* what differs between two folders of commits */
	GITSYNC_LOG,    /* the commits that changed folder to_path, from to_commit back to
			   from_commit ("": all); what the mirror lacks is fetched */
	GITSYNC_NEW,    /* those from the branch's tip, which is fetched, back to the ids in
			   from_commit (spaces between); result: also commit and ref of the tip */
	GITSYNC_EXPORT, /* completes the bundle file `file` with folder to_path of to_commit, which
			   is fetched when the mirror lacks it */
};
/* Something that a mirror knows. Strings are copied; NULL is "". */
struct gitsync_question {
	enum gitsync_kind kind;
	const char *repository_id;
	const char *from_commit, *from_path, *to_commit, *to_path;
	const char *to_ref; /* LOG, EXPORT: through which to_commit is found on the host */
	const char *file;   /* EXPORT: absolute path */
	/* `result` is borrowed until it returns. On a thread of gitsync's, or the caller's own when
	 * nothing can be done. */
	void (*done)(void *ctx, const struct git_result *result);
	void *ctx;
};
/* Answers it by a job of its own, ahead of owed work. done() is called exactly once,
 * also when gitsync is stopping (failure WORKER_FAILED). */
void gitsync_ask(struct gitsync *gitsync, const struct gitsync_question *question);

/* Tries the repository's host and credentials: to read and, where something is pushed there, to
 * write (else `write` is NULL). done() is called exactly once; the results are borrowed until it
 * returns. On a thread of gitsync's, or the caller's own when nothing can be done. */
struct gitsync_try_request {
	const char *repository_id;
	bool next; /* with the keys that wait, where there are some */
	void (*done)(void *ctx, const struct git_result *read, const struct git_result *write);
	void *ctx;
};
void gitsync_try(struct gitsync *gitsync, const struct gitsync_try_request *request);

/* Reads what the repository's host has: GIT_RESOLVE or GIT_APPS, at a revision or, when that is "",
 * at the tip of the repository's branch. Strings are copied. done() is called exactly once; the
 * result is borrowed until it returns. On a thread of gitsync's, or the caller's own when nothing
 * can be done. */
struct gitsync_read_request {
	const char *repository_id;
	enum git_op op;
	const char *revision;
	const char *path; /* RESOLVE: the folder, "." is the root */
	void (*done)(void *ctx, const struct git_result *result);
	void *ctx;
};
void gitsync_read(struct gitsync *gitsync, const struct gitsync_read_request *request);

/* What the worker found as content of a version, without what it is of; the arena and `result` own
 * it. */
struct version_content_result;
struct version_content_result gitsync_content(struct sl_arena *arena,
					      const struct git_result *result);

/* Name of an upload's file: of this principal, whatever id is said; false: it cannot be one. */
enum { GITSYNC_UPLOAD_NAME = 128 };
bool gitsync_upload_name(char name[static GITSYNC_UPLOAD_NAME], uint32_t workspace,
			 const char *principal, const char *id);
struct gitsync_upload_request {
	const char *name;     /* copied */
	uint64_t offset;      /* the file ends behind the piece */
	struct sl_bytes data; /* copied */
	bool last;            /* on the disk before done() */
	/* `bytes`: what is there now. On a thread of gitsync's. */
	void (*done)(void *ctx, sl_code code, uint64_t bytes, const struct sl_err *err);
	void *ctx;
};
/* Writes a piece. SL_OK: done() will be called, exactly once; else it is not. Files that are not
 * pushed within a day go. */
SL_MUST_USE sl_code gitsync_upload(struct gitsync *gitsync,
				   const struct gitsync_upload_request *request,
				   struct sl_err *err);

/* The repository is gone: removes its mirror when no job runs on it. */
void gitsync_forget(struct gitsync *gitsync, const char *repository_id);

struct gitsync_stats {
	unsigned waiting, running; /* jobs */
	unsigned owed, parked;     /* tags */
	unsigned commits, parked_commits;
	uint64_t done, failed; /* jobs since the start */
	uint64_t looks;        /* at hosts' refs since the start */
};
void gitsync_stats_read(struct gitsync *gitsync, struct gitsync_stats *ret_stats);

#endif

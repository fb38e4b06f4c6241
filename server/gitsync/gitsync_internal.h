/* Shared by gitsync.c (threads), repositories.c (what is known of each in memory), questions.c
 * and looks.c. */
#ifndef SL_SERVER_GITSYNC_INTERNAL_H
#define SL_SERVER_GITSYNC_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/gitsync/gitsync.h"
#include "server/gitsync/jobs.h"

struct contact {
	struct contact *next;
	char repository_id[32];
	uint64_t at_ms;
	enum git_failure failure;
	char text[512];
};

struct question {
	struct question *next;
	enum gitsync_kind kind;
	char *repository_id, *from_commit, *from_path, *to_commit, *to_path, *to_ref,
	    *file; /* owned */
	void (*done)(void *ctx, const struct git_result *result);
	void *ctx;
};

struct look {
	struct look *next;
	char repository_id[32];
	char *url; /* owned */
};

/* What is asked of a host; first in what says what that is. */
struct visit {
	struct visit *next;
	char repository_id[32];
	/* Does it, answers, and frees it; also when gitsync is stopping. */
	void (*run)(struct gitsync *g, struct visit *visit);
};

/* News of one app: commits of the branch that no version of it holds. */
enum { GITSYNC_ID_ROOM = 32, GITSYNC_POLL_BUCKETS = 256 };
struct news_count {
	char app_id[GITSYNC_ID_ROOM];
	uint64_t commits;
	bool more; /* there may be more than were counted */
};

/* When a repository is looked at next, and what was found. */
struct poll {
	struct poll *next;
	char repository_id[GITSYNC_ID_ROOM];
	uint64_t due_mono_ms;
	unsigned failed;           /* looks in a row */
	uint64_t at_ms;            /* of the last look that was answered */
	char ref[GIT_REF_MAX];     /* of the branch */
	struct news_count *counts; /* owned */
	size_t count;
	char counted_tip[GIT_OID_TEXT]; /* that they are of */
	uint8_t counted_hash[SL_HASH_BYTES];
};

struct busy {
	struct busy *next;
	char repository_id[32];
};

struct gitsync {
	struct gitsync_options options;
	char data[PATH_MAX]; /* absolute */
	pthread_t *threads;
	unsigned started;
	atomic_bool stopping;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	uint64_t wakes; /* grows with every gitsync_wake() */
	struct busy *busy;
	struct contact *contacts;
	struct question *questions, **questions_end;
	struct look *looks;
	struct poll *polls[GITSYNC_POLL_BUCKETS];
	uint64_t polls_met_mono_ms;   /* when all repositories were met last; 0: never */
	struct visit *visits;         /* in order of coming */
	struct busy *forgotten;       /* repositories whose mirror is to go */
	struct upload_piece *uploads; /* in order of coming */
	unsigned upload_count;
	pthread_cond_t upload_wake;
	pthread_t upload_thread;
	bool uploads_run;
	struct gitsync_stats stats;
};

/* ctx: struct gitsync *. For jobs to look at. */
bool gitsync_is_stopping(void *ctx);

/* --- repositories.c; the first three with the lock held --------------------------------- */

bool gitsync_is_busy(const struct gitsync *g, const char *repository_id);
/* Makes it busy. False: it is already, or memory is out. */
bool gitsync_claim(struct gitsync *g, const char *repository_id);
void gitsync_set_idle(struct gitsync *g, const char *repository_id);
void gitsync_note_contact(struct gitsync *g, const char *repository_id,
			  const struct git_result *result);
/* Removes the mirrors of repositories that are gone, as they become idle. */
void gitsync_forget_some(struct gitsync *g);
void gitsync_repositories_fini(struct gitsync *g);

/* --- looks.c ----------------------------------------------------------------------------- */

/* Does the first look whose repository is idle. False: there is none. */
bool gitsync_look_one(struct gitsync *g);
/* The branch's full name; "": the host's default branch. NULL: out of memory. */
const char *gitsync_branch_ref(struct sl_arena *arena, const char *branch);
/* Asks the host of a repository that the caller has made busy for its refs. url NULL: its own. */
void gitsync_look_at(struct gitsync *g, const char *repository_id, const char *url);
/* Nobody wants it any more. Caller holds the lock. */
void gitsync_look_drop(struct gitsync *g, const char *repository_id);
void gitsync_looks_fini(struct gitsync *g);

/* --- news.c -------------------------------------------------------------------------------- */

/* Looks at the first repository whose time has come. False: there is none; *next_ms (wall clock)
 * becomes sooner when one will be due sooner. */
bool gitsync_poll_one(struct gitsync *g, uint64_t *next_ms);
/* A look came back; `job` is it, with its credentials. What it shows is fetched and counted. */
void gitsync_news_looked(struct gitsync *g, const struct gitsync_repository *repository,
			 const struct git_job *job, const struct git_result *looked);
/* The repository is polled from now on. Caller holds the lock, as below. */
void gitsync_news_meet(struct gitsync *g, const char *repository_id);
/* The repository is gone. */
void gitsync_news_drop(struct gitsync *g, const char *repository_id);
void gitsync_news_fini(struct gitsync *g);

/* --- visits.c: trials.c and readings.c go through it ---------------------------------------- */

/* Takes it over. False: it does not, gitsync is stopping. */
bool gitsync_visit_add(struct gitsync *g, struct visit *visit);
/* Does the first visit whose repository is idle. False: there is none. */
bool gitsync_visit_one(struct gitsync *g);
/* Answers all that wait; when no thread runs any more. */
void gitsync_visits_fini(struct gitsync *g);

/* --- uploads.c --------------------------------------------------------------------------- */

SL_MUST_USE sl_code gitsync_uploads_start(struct gitsync *g, struct sl_err *err);
/* Answers all that wait; `stopping` is set. */
void gitsync_uploads_stop(struct gitsync *g);

/* --- questions.c ------------------------------------------------------------------------- */

/* Answers the first question whose repository is idle. False: there is none. */
bool gitsync_answer_one(struct gitsync *g);
/* Answers all that wait; when no thread runs any more. */
void gitsync_questions_fini(struct gitsync *g);

#endif

/* loop_internal: what the files of agent/loop share. */
#ifndef SL_AGENT_LOOP_INTERNAL_H
#define SL_AGENT_LOOP_INTERNAL_H

#include "agent/activate/activate.h"
#include "agent/child/child.h"
#include "agent/config/config.h"
#include "agent/drift/drift.h"
#include "agent/held/held.h"
#include "agent/identity/identity.h"
#include "agent/logins/logins.h"
#include "agent/manifest/manifest.h"
#include "agent/probe/probe.h"
#include "agent/pull/pull.h"
#include "agent/reach/reach.h"
#include "agent/reconcile/reconcile.h"
#include "agent/session/session.h"
#include "agent/state/state.h"
#include "agent/trust/trust.h"
#include "base/bytes/bytes.h"
#include "base/sm/sm.h"
#include "base/tls/files.h"
#include "client/rpc/rpc.h"

/* What goes on with one app, beside what is kept on disk:
 *
 *   QUIET --flip--> HOOKING --> PROBING --> QUIET
 *                     ^  |         |
 *                     |  +----+----+ no: the previous version is put back
 *                     +-------+
 */
enum { RUN_QUIET, RUN_HOOKING, RUN_PROBING };

/* What is known of a working copy, beside what is kept on disk, and the order to push it. */
enum { DRAFT_FILES_MAX = 10, DRAFT_FILE_SIZE = 256 };
struct draft {
	bool looked; /* and nothing was done about what was seen yet */
	bool behind; /* the draft is at another commit */
	uint32_t edited;
	char files[DRAFT_FILES_MAX][DRAFT_FILE_SIZE];
	char error[STATE_ERROR_SIZE];
	uint64_t look_at_ms;             /* monotonic: not before */
	Sluice__V1__AgentPush *order;    /* owned; NULL: none since the start */
	struct logins login;             /* of the order */
	uint64_t push_at_ms;             /* monotonic: not before */
	unsigned failed;                 /* tries of the order */
	Sluice__V1__AgentPushed *answer; /* owned; NULL: the order is not done */
	bool answer_due;
};

/* The one job for working copies that is under way. */
enum draft_kind { DRAFT_NOTHING, DRAFT_MAKE, DRAFT_COMPARE, DRAFT_COMPARE_NEW, DRAFT_PUSH };
struct draft_task {
	enum draft_kind kind;
	struct git_worker *worker;
	char app_id[STATE_ID_SIZE];
	struct state_work wanted; /* MAKE, COMPARE_NEW: what the copy is then */
	char staging[ACTIVATE_PATH_SIZE];
};

/* Config of an app: what the last judgement was about, and what follows. */
struct values_seen {
	bool named; /* by the manifest */
	uint8_t told[SL_HASH_BYTES], held[SL_HASH_BYTES];
	char wanted[STATE_FOLDER_SIZE], active[STATE_FOLDER_SIZE];
};
struct values {
	bool looked; /* seen is so */
	struct values_seen seen;
	uint64_t look_at_ms; /* monotonic: again then; 0: when something changes */
	bool reload_due;     /* what is served has other files than it should */
};

struct run {
	struct sl_sm sm;
	struct state_app *app; /* borrowed from the state; the run goes before it */
	struct child *hook;    /* HOOKING */
	struct probe *probe;   /* PROBING, or a look at a healthy app */
	bool recovering;       /* the flip is finished after a crash */
	uint64_t probe_at_ms;  /* monotonic: the next probe begins */
	uint64_t probe_by_ms;  /* monotonic: PROBING ends */
	unsigned misses;
	char missed_why[200];         /* of the last probe that said no */
	uint64_t settled_ms;          /* monotonic: the last flip was seen through */
	uint64_t hold_until_ms;       /* monotonic: disk work of this app failed, not before */
	char aside_id[STATE_ID_SIZE]; /* a version to tell about that is not the app's subject */
	bool farewell; /* its folder is gone; the entry follows once the server knows */
	bool told;     /* told_hash is what the server knows */
	uint8_t told_hash[SL_HASH_BYTES];
	struct draft draft;
	struct values values;

	/* What somebody changed of what is served: drift.c. Times are monotonic. */
	uint64_t scan_at_ms, compare_at_ms, correct_at_ms; /* not before */
	bool link_lost, content_lost;                      /* as last seen */
	bool bad_known; /* bad_print is of a folder that was found modified */
	uint8_t bad_print[DRIFT_PRINT_BYTES];
	bool correct_due;
	unsigned correct_failed; /* in a row */
	uint64_t corrected;      /* since the start */
};

/* The one look at a folder that is under way. */
struct drifting {
	char app[STATE_ID_SIZE], folder[STATE_FOLDER_SIZE];
	bool records;              /* the print of what was just written is taken */
	struct drift_scan *scan;   /* NULL: over, or none */
	struct git_worker *worker; /* compares or fetches; NULL: neither */
	bool fetching, fetched;
	uint8_t print[DRIFT_PRINT_BYTES]; /* that the scan found */
};

/* The agent's turn to fetch: which host it wants it for, and which one the server was told. */
struct turn {
	bool given; /* the server gives turns */
	bool has;   /* `told`'s is the agent's */
	uint64_t asked_mono_ms;
	char wanted[GIT_HOST_SIZE], told[GIT_HOST_SIZE]; /* "": none */
};

/* A renewal under way: one call, asked and answered without waiting. */
struct renewing {
	struct crpc_channel *channel;
	struct crpc_stream *stream; /* NULL: none is under way */
	struct sl_buf request;      /* until gRPC has taken it */
	bool late, sent;
	unsigned failed;       /* in a row */
	uint64_t next_mono_ms; /* not before */
};

/* A data source that is looked at, or was: then until the answer has gone. */
enum { SOURCE_LOOKS = 4 };
struct source_look {
	char id[STATE_ID_SIZE]; /* "": none */
	struct reach *reach;    /* NULL: it could not begin */
	const Sluice__V1__SourceTest *found;
	Sluice__V1__SourceTest failed; /* found, where it could not begin */
	char why[STATE_ERROR_SIZE];
};

struct loop {
	const struct agent_config *config;
	struct identity *identity; /* NULL: none; borrowed */
	struct renewing renewing;
	char dir[ACTIVATE_PATH_SIZE]; /* absolute */
	struct state *state;
	Sluice__V1__Manifest *manifest; /* of the state; NULL: none */
	struct session *session;        /* NULL: the instance is removed */
	struct tls_files tls;           /* what the session uses */
	struct run **runs;              /* one per app of the state, in its order */
	size_t run_count;

	const struct overrides *overrides; /* of this host; borrowed */
	struct held held;                  /* config as the server told it */
	uint8_t *own_key;                  /* owned, secret: held's, without identity */
	uint64_t keep_at_ms;               /* monotonic: not before, after it could not be kept */

	struct logins logins; /* to repositories */
	struct pull *pull;    /* the one Git job; NULL: none */
	char pull_app[STATE_ID_SIZE], pull_version[STATE_ID_SIZE];
	uint8_t pull_digest[SL_HASH_BYTES];
	bool pull_repairs; /* what is served is put back, not staged */
	struct drifting drifting;
	struct state_pulling pulling; /* as written last */
	struct draft_task task;       /* never beside a pull */
	struct turn turn;
	struct source_look source_looks[SOURCE_LOOKS];

	bool dirty;              /* the state differs from its file */
	uint64_t save_at_ms;     /* monotonic: not before, after a failed save */
	bool sweeping;           /* staging holds what is to be removed */
	uint64_t wake_at_ms;     /* monotonic: soonest thing that a step asked for; 0: none */
	bool time_known;         /* the server has told its time */
	uint64_t time_unix_ms;   /* what it told */
	uint64_t time_mono_ms;   /* when */
	uint64_t greet_mono_ms;  /* when the last Hello was made */
	uint64_t time_slack_ms;  /* so much later it may be at the server, at most */
	uint64_t proven_mono_ms; /* when the state's proven_unix_ms was so */

	uint64_t refusals;        /* of what the server sent, since the start */
	bool refusal_due;         /* the server is to be told of the last one */
	uint64_t refusal_mono_ms; /* when it was last told of one */
	char refusal_why[STATE_ERROR_SIZE];
};

/* loop.c */
uint64_t loop_now_unix_ms(const struct loop *loop); /* the server's time, as far as it is known */
void loop_wake_at(struct loop *loop, uint64_t mono_ms);
uint32_t loop_random(void);
/* Writes the state now. A failure stays dirty and is tried again. */
SL_MUST_USE sl_code loop_save(struct loop *loop, struct sl_err *err);
/* A signed word that ends then was believed. */
void loop_prove_time(struct loop *loop, uint64_t expires_unix_ms);
void loop_note_error(struct loop *loop, const char *text); /* for `status` */
/* A run for each app of the state. SL_RESOURCE_EXHAUSTED: out of memory. */
SL_MUST_USE sl_code loop_sync_runs(struct loop *loop, struct sl_err *err);
struct reconcile_input loop_input(const struct loop *loop, const struct run *run);

/* run.c */
struct run *run_new(struct state_app *app);
void run_free(struct run *run); /* NULL is fine */
bool run_is_busy(const struct run *run);
/* Serve `version`; NULL: nothing. */
void run_activate(struct loop *loop, struct run *run, struct state_version *version);
/* Hook and probe of this app, as far as they can go now. */
void run_step(struct loop *loop, struct run *run);
/* Hook and probe after a flip that a crash cut short. */
void run_resume(struct loop *loop, struct run *run);
/* Writes the config of what is served anew, then hook and probe. */
void run_reload(struct loop *loop, struct run *run);
/* Puts the link where the flip under way wants it, then as run_resume(). */
void run_redo(struct loop *loop, struct run *run);

/* recover.c: brings state and disk in line at start. */
SL_MUST_USE sl_code recover(struct loop *loop, struct sl_err *err);

/* work.c: does what reconcile asks for. */
void work_step(struct loop *loop);
/* The transient failure of a version: error, back-off. */
void work_retry_later(struct loop *loop, struct state_version *version, const char *why);
/* The pull's version is no longer wanted, or is gone: stops it. */
void work_check_pull(struct loop *loop);
bool work_asks_server(const struct loop *loop); /* for bundles, instead of their Git hosts */
struct state_version *work_pulled(const struct loop *loop, struct run **ret_run); /* NULL: none */

/* Has a version that was fetched before written anew; drift_repaired() hears of the end. */
SL_MUST_USE sl_code work_repair(struct loop *loop, struct run *run, struct state_version *version,
				const Sluice__V1__Bundle *bundle, struct sl_err *err);

/* turns.c: when it may fetch from a Git host. */
/* True: now. Else the turn is waited for. */
bool turns_take(struct loop *loop, const char *url);
void turns_end(struct loop *loop); /* it has fetched, or does not want to any more */
void turns_step(struct loop *loop);
void turns_begin_stream(struct loop *loop, bool given);
void turns_hear(struct loop *loop, const Sluice__V1__FetchTurn *message);

/* values.c: config of what is served. */
SL_MUST_USE sl_code values_start(struct loop *loop, struct sl_err *err);
void values_stop(struct loop *loop);
/* What the server told, once it is believed. */
SL_MUST_USE sl_code values_take(struct loop *loop, const Sluice__V1__AgentConfig *config,
				struct sl_err *err);
void values_keep(struct loop *loop); /* on disk, as soon as that can be */
/* Says in the state what versions lack, and in the run whether files are to be written anew. */
void values_step(struct loop *loop, struct run *run);
/* Writes the version's files, unless they are there. SL_UNAVAILABLE: its values have not come. */
SL_MUST_USE sl_code values_place(struct loop *loop, struct run *run,
				 const struct state_version *version, struct sl_err *err);
void values_sweep(struct loop *loop, struct run *run); /* removes files that nobody needs */

/* drift.c: local changes to what is served are found, told and put back. */
void drift_step(struct loop *loop);
bool drift_is_fetching(const struct loop *loop);
void drift_repaired(struct loop *loop, struct run *run, const struct state_version *version,
		    sl_code code, struct sl_err *err);
void drift_forget(struct run *run); /* the app serves something else now */
void drift_drop(struct loop *loop); /* stops what is under way */

/* renew.c: the next certificate, in time; late ones at the door. */
void renew_step(struct loop *loop);
int renew_fd(const struct loop *loop); /* -1: none */
void renew_stop(struct loop *loop);
bool loop_open_session(struct loop *loop); /* loop.c; what fails is logged */

/* drafts.c: working copies of drafts, in development. */
/* One step of the job that is under way, or the next one is begun. */
void drafts_step(struct loop *loop);
int drafts_fd(const struct loop *loop); /* -1: none */
/* Of the app's copy, for reports; NULL: there is none. In the arena. */
Sluice__V1__WorkingCopy *drafts_view(const struct loop *loop, const struct run *run,
				     struct sl_arena *arena);
void drafts_stop(struct loop *loop);
void draft_fini(struct draft *draft);

/* pushes.c: orders to push a working copy. */
void pushes_order(struct loop *loop, const Sluice__V1__AgentPush *order);
/* Begins the push that is due. False: none is. */
bool pushes_begin(struct loop *loop, struct run *run);
void pushes_end(struct loop *loop, struct run *run, const struct git_result *result);
/* False: the session takes no more now. */
bool pushes_tell(struct loop *loop, struct run *run);

/* source_tests.c: orders to look whether data sources are reached. */
void source_tests_order(struct loop *loop, const Sluice__V1__AgentSourceTest *order);
void source_tests_step(struct loop *loop);
void source_tests_drop(struct loop *loop); /* nobody waits for them any more */

/* report.c: tells the server. */
void report_step(struct loop *loop);
void report_greet(void *loop, Sluice__V1__AgentHello *hello, struct sl_arena *arena);
void report_greeted(void *loop);
void report_forget(struct loop *loop); /* everything is told again */

/* server.c: hears the server. */
void server_message(void *loop, const Sluice__V1__SyncResponse *message);
void server_end(void *loop, const struct sl_err *err);

#endif

/* fleet: live agents: what each instance is told, what it says, whether it lives.
 *
 * What an instance is told is computed from a snapshot by rules/desired; nothing
 * of it is stored. What agents say lives here; only settled phases are written to
 * the store, coalesced. After a restart agents tell everything again.
 *
 * While the store is in recovery agents report, and that is all: they are sent nothing but their
 * pace and when to fetch, and nothing that they say is written.
 *
 * Threads: fleet_on_* run on watch's thread, the stream's events on the queue
 * thread, the rest on any; one lock inside. */
#ifndef SL_SERVER_FLEET_H
#define SL_SERVER_FLEET_H

#include "base/err/err.h"
#include "base/mem/arena.h"
#include "server/records/records.h"
#include "server/records/wire.h"
#include "server/rpc/rpc.h"
#include "server/signing/signing.h"
#include "server/store/store.h"
#include "sluice/v1/fleet.pb-c.h"

struct fleet;

/* Whose login to which repository. */
struct fleet_login_request {
	uint32_t workspace;
	const char *identity_id, *repository_id;
	bool push; /* for one push; else to read */
};

/* Whose values of an app's config. */
struct fleet_config_request {
	uint32_t workspace, environment;
	const char *instance_id, *app_id;
	const char *identity_id;  /* "": its agent has none */
	struct sl_bytes box_key;  /* that its agent told; empty: none */
	struct sl_bytes required; /* by the app's bundles: a packed Contract */
	const uint8_t *stamp;     /* required_stamp() of that */
};

struct fleet_options {
	struct store *store;     /* borrowed */
	struct signing *signing; /* borrowed; NULL: nothing is signed (--insecure without keys) */
	/* Seals a repository's login to an agent, see AgentLogin. SL_NOT_FOUND: the agent needs
	 * none. Under fleet's lock; must not block. NULL: nobody needs one. */
	sl_code (*login)(void *ctx, const struct store_view *view,
			 const struct fleet_login_request *request, struct sl_buf *ret_box,
			 uint64_t *ret_revision, struct sl_err *err);
	void *login_ctx;
	/* Seals the values of an app's config to an agent, see AgentConfig. SL_NOT_FOUND: it has no
	 * key; SL_ABORTED: the view has not what the stamp is of. As login(). NULL: nobody is told
	 * any. */
	sl_code (*config)(void *ctx, const struct store_view *view,
			  const struct fleet_config_request *request, struct sl_buf *ret_box,
			  struct sl_err *err);
	void *config_ctx;
	unsigned heartbeat_ms;     /* asked of agents */
	unsigned fetches_per_host; /* agents that fetch from one Git host at once; 0: any number */
	unsigned status_every_ms;  /* settled phases are written this often; 0: 100 */
	/* For tests; NULL: base/clock. Liveness and deadlines use the first, stamps and expiries
	 * the second. */
	uint64_t (*mono_ms)(void);
	uint64_t (*unix_ms)(void);
};

SL_MUST_USE sl_code fleet_new(const struct fleet_options *options, struct fleet **ret_fleet,
			      struct sl_err *err);
/* Ends every stream (UNAVAILABLE / STOPPING) and all waiting; writes nothing afterwards. Before the
 * rpc server stops. */
void fleet_stop(struct fleet *fleet);
void fleet_free(struct fleet *fleet); /* NULL is fine */

/* --- from watch: what was committed ------------------------------------------------- */

void fleet_on_record(struct fleet *fleet, const struct store_view *view,
		     const Sluice__Store__V1__LogRecord *record);
void fleet_on_batch(struct fleet *fleet, const struct store_view *view);

/* --- from the rpc server --------------------------------------------------------------- */

/* Queue thread, about every 100 ms: liveness, deadlines of waiters, statuses to write. */
void fleet_tick(struct fleet *fleet);

/* AgentService.Sync. */
void fleet_agent_message(struct fleet *fleet, struct rpc_stream *stream, struct sl_bytes message);
void fleet_agent_closed(struct fleet *fleet, struct rpc_stream *stream);
/* Its outbox is empty: a manifest that did not fit can go. */
void fleet_agent_drained(struct fleet *fleet, struct rpc_stream *stream);

/* --- looking at it ------------------------------------------------------------------------ */

/* In the arena; never NULL unless its memory has failed. */
Sluice__V1__AgentView *fleet_agent_view(struct fleet *fleet, struct sl_arena *arena,
					const char *instance_id);

/* An instance's working copy of an app, as far as memory knows. */
struct fleet_working_copy {
	bool connected;      /* its agent is */
	char version_id[32]; /* that it is of; "": there is none */
};
void fleet_working_copy_read(struct fleet *fleet, const char *instance_id, const char *app_id,
			     struct fleet_working_copy *ret_copy);
/* In the arena; NULL for NULL. */
Sluice__V1__WorkingCopy *fleet_working_copy_dup(struct sl_arena *arena,
						const Sluice__V1__WorkingCopy *copy);

/* --- tests of data sources ------------------------------------------------------------------ */

/* What became of one. */
enum fleet_tested {
	FLEET_TESTED,
	FLEET_TEST_OFFLINE,  /* the instance's agent is not connected */
	FLEET_TEST_TOO_MANY, /* it is at others already */
	FLEET_TEST_LATE,     /* it did not answer in time */
	FLEET_TEST_LOST,     /* it went away meanwhile, or answered nothing */
	FLEET_TEST_STOPPING, /* the server stops */
};
struct fleet_source_test {
	const char *instance_id;
	struct sl_bytes box; /* AgentSourceTest.box */
	uint32_t timeout_ms;
	/* Called once, not under fleet's lock: at once, on the queue thread, or on the one that
	 * stops. `test` is as the agent said, of FLEET_TESTED only, borrowed for the call. */
	void (*done)(void *ctx, enum fleet_tested how, const Sluice__V1__SourceTest *test);
	void *ctx;
};
/* Has an instance's agent look at a data source. Any thread; cheap. */
void fleet_test_source(struct fleet *fleet, const struct fleet_source_test *test);

/* How one instance stands to one app: as its agent said since the server started, else as stored.
 */
struct fleet_standing {
	const Sluice__Store__V1__InstanceRecord *instance;
	Sluice__V1__Liveness liveness;
	uint64_t sequence; /* of the manifest that the agent accepted; 0: none since the start */
	uint64_t sent;     /* of the manifest that was sent last; 0: none since the start */
	uint64_t position; /* manifests follow all changes up to this revision */
	/* What the agent said is about what it is told now, not about an earlier entry of the app.
	 */
	bool current;
	bool known; /* the agent has told something of the app; else what follows is empty */
	const char *refused; /* what the agent did not believe of the server's word; "" */
	const char *version_id, *active_version_id, *error;
	Sluice__V1__Phase phase;
	Sluice__V1__ErrorClass error_class;
	uint32_t attempt, percent;
	uint64_t at_ms;
	bool orphaned;
	char *const *staged; /* ids of the versions on disk, verified */
	size_t staged_count;
	const Sluice__V1__WorkingCopy *working_copy; /* as its agent said; NULL: none */
	const Sluice__V1__Drift *drift;              /* NULL: nothing was changed there */
	const Sluice__V1__HeldConfig *config;        /* as its agent said; NULL: nothing */
	/* Of what it is told: whether it requires any config, whether that is what the agent has,
	 * and why it was not sent; "". */
	bool config_required, config_current;
	const char *config_error;
	const char *failed_version_id,
	    *failed_error; /* a kept version, not the subject, that FAILED; "" */
};

/* What a standing means to those who count. */
enum fleet_verdict {
	FLEET_OK,          /* serves it, healthy (desired none: serves nothing) */
	FLEET_PENDING,     /* on the way */
	FLEET_FAILED,      /* FAILED, ROLLED_BACK, DEGRADED or NOT_READY */
	FLEET_UNREACHABLE, /* agent not connected, whatever it last said */
};
/* desired: id of the version that is to be active; "": nothing. Pure. */
enum fleet_verdict fleet_judge(const struct fleet_standing *standing, const char *desired);
bool fleet_is_staged(const struct fleet_standing *standing, const char *version_id);

/* Called under fleet's lock: it must be short, must not call fleet, and the standing is borrowed
 * until it returns. */
struct fleet_visitor {
	void (*visit)(void *ctx, const struct fleet_standing *standing);
	void *ctx;
};
/* Every instance of the view that the app is placed on, by id; environment 0: all. */
SL_MUST_USE sl_code fleet_visit(struct fleet *fleet, const struct store_view *view,
				uint32_t workspace, const Sluice__Store__V1__AppRecord *app,
				uint32_t environment, const struct fleet_visitor *visitor,
				struct sl_err *err);
/* Just one, placed or not; nobody is visited if there is none. */
SL_MUST_USE sl_code fleet_visit_one(struct fleet *fleet, const struct store_view *view,
				    uint32_t workspace, const char *app_id, const char *instance_id,
				    const struct fleet_visitor *visitor, struct sl_err *err);

/* An instance that somebody should look at: it has alerts, or its agent refused what it was told.
 */
struct fleet_concern {
	const Sluice__Store__V1__InstanceRecord *instance;
	const char *refused; /* what its agent did not believe; "" */
	uint64_t refusals;
};
/* Of the workspace, in no order. Under fleet's lock, as fleet_visitor. */
void fleet_concerns(struct fleet *fleet, uint32_t workspace,
		    void (*visit)(void *ctx, const struct fleet_concern *concern), void *ctx);

/* --- waiting ----------------------------------------------------------------------------- */

enum fleet_wait_event { FLEET_WAIT_LOOK, FLEET_WAIT_EXPIRED, FLEET_WAIT_STOPPING };

/* Something that waits for an app, embedded in the waiter's struct. look() is called on the queue
 * thread (the last time, STOPPING, on the one that stops) whenever something about the app may have
 * changed, and at least every second; true: it is over, and fleet has forgotten it. It may open
 * views and call fleet_visit(), not fleet_wait_*(). */
struct fleet_wait {
	bool (*look)(struct fleet_wait *wait, enum fleet_wait_event event);
	char app_id[32];
	uint64_t deadline_mono_ms;
	struct fleet_wait *next; /* fleet's, as what follows */
	unsigned seen;
	uint64_t looked_mono_ms;
};
/* Takes a first look at once. Queue thread. */
void fleet_wait_add(struct fleet *fleet, struct fleet_wait *wait);

/* How the instances of an environment that the app is placed on stand to a version. */
struct fleet_reach {
	uint32_t instances;
	uint32_t ready;       /* serve it, healthy */
	uint32_t not_ready;   /* connected, and do not */
	uint32_t unreachable; /* agent not connected */
	uint32_t staged;      /* have it on disk, verified */
	char **share_urls;    /* public_url + "/" + slug, in the arena */
	size_t share_url_count;
};
SL_MUST_USE sl_code fleet_reach(struct fleet *fleet, const struct wire *in,
				const Sluice__Store__V1__AppRecord *app, uint32_t environment,
				const char *version_id, struct fleet_reach *ret_reach,
				struct sl_err *err);

/* For metrics and stats. */
enum { FLEET_LIVENESS_COUNT = 5, FLEET_PHASE_COUNT = 11 };
/* Concerns by InstanceAlertKind, and then what agents refused. */
enum { FLEET_CONCERN_REFUSED = 3, FLEET_CONCERN_COUNT };
struct fleet_stats {
	uint32_t streams;                                     /* agents connected */
	uint32_t waiters;                                     /* WaitFor calls */
	uint32_t agents[ENV_COUNT + 1][FLEET_LIVENESS_COUNT]; /* by environment and Liveness */
	uint32_t phases[FLEET_PHASE_COUNT];                   /* apps on instances, by Phase */
	uint32_t modified;                                    /* apps on instances with drift */
	uint64_t corrected;                                   /* times such an app was put back */
	uint32_t concerns[FLEET_CONCERN_COUNT];               /* instances */
	uint64_t manifests_sent, reports;
	uint64_t refusals;                /* of manifests, keys and refreshes, by agents */
	uint32_t key_epoch;               /* of the manifest key in use; 0: none */
	uint32_t fetching, fetch_waiting; /* agents that have their turn, and that wait for it */
};
void fleet_stats_read(struct fleet *fleet, struct fleet_stats *ret_stats);

#endif

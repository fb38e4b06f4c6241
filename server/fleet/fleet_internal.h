/* Shared by the files of server/fleet. All of it is guarded by fleet->lock unless said otherwise.
 */
#ifndef SL_SERVER_FLEET_INTERNAL_H
#define SL_SERVER_FLEET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/crypto/box.h"
#include "base/crypto/crypto.h"
#include "server/fleet/fleet.h"
#include "sluice/v1/agent.pb-c.h"

enum {
	FLEET_ID_ROOM = 32,
	FLEET_JITTER_PERCENT = 20,
	FLEET_TOUCH_BUCKETS = 1024, /* of apps, for waiters */
	FLEET_CORE_BYTES = 16,
	FLEET_SEND_STEP = 64, /* manifests sent before the lock is given to others */
	FLEET_STOP_MS = 200,  /* after a last word, for it to go out */
};
#define FLEET_EXPIRY_MS (7ull * 24 * 3600 * 1000)
#define FLEET_REFRESH_MS (24ull * 3600 * 1000)
#define FLEET_CLOSED_MS 60000ull

/* --- what instances are told: apps.c, manifest.c ---------------------------------------- */

/* What the bundles of an entry require of their environment. Counted. */
struct fleet_values {
	unsigned refs;
	uint8_t key[FLEET_CORE_BYTES]; /* of what it was computed from */
	uint8_t stamp[SL_HASH_BYTES];
	uint64_t *needs; /* owned: hashes of names, sorted */
	size_t need_count;
	char *error; /* owned: why the values cannot be told; NULL: nothing */
	size_t size;
	uint8_t required[]; /* a packed Contract */
};

/* A ManifestApp without retries, encoded once for everybody it is for. Counted. */
struct fleet_entry {
	unsigned refs;
	struct fleet_values *values; /* a reference; NULL: nothing is required */
	char activate[FLEET_ID_ROOM], repository_id[FLEET_ID_ROOM];
	uint64_t login; /* revision of the login that fetching takes; 0: none */
	uint8_t hash[FLEET_CORE_BYTES];
	size_t size;
	uint8_t bytes[];
};

struct fleet_pin {
	char instance_id[FLEET_ID_ROOM];
	struct fleet_entry *entry;
};

/* An app as it was at some revision up to fleet->position. */
struct fleet_app {
	SLIST_ENTRY(fleet_app) link; /* bucket */
	STAILQ_ENTRY(fleet_app) touched_link;
	bool touched;
	uint32_t workspace;
	char id[FLEET_ID_ROOM];
	Sluice__Store__V1__AppRecord *record; /* owned; NULL: there is none (any more) */
	struct fleet_entry *entries[ENV_COUNT + 1];
	struct fleet_pin *pins; /* of single instances; owned */
	size_t pin_count;
	struct fleet_push *push; /* that waits for an instance; owned; NULL: none */
};

/* An order to push: a serialized AgentPush without login. */
struct fleet_push {
	char instance_id[FLEET_ID_ROOM], operation[FLEET_ID_ROOM];
	size_t size;
	uint8_t bytes[];
};

/* What one session is told of one app. */
struct fleet_slot {
	struct fleet_app *app;
	struct fleet_entry *entry; /* a reference */
	uint32_t retries;
	uint64_t since;       /* sequence that it came with; 0: it was so at Hello */
	uint64_t told_config; /* start of the stamp whose values the agent has; 0: none */
};

/* --- what instances say: status.c ------------------------------------------------------ */

/* One app on one instance, as the agent last said. */
struct fleet_status {
	char app_id[FLEET_ID_ROOM], version_id[FLEET_ID_ROOM], active[FLEET_ID_ROOM];
	uint8_t phase, error_class, percent;
	bool orphaned, gone, dirty;
	bool listed; /* met in the inventory that is being read */
	uint32_t attempt;
	uint64_t sequence, at_ms;
	uint64_t written;              /* hash of what is stored, or on its way there; 0: nothing */
	char *error;                   /* owned; NULL: none */
	char (*staged)[FLEET_ID_ROOM]; /* owned */
	size_t staged_count;
	Sluice__V1__WorkingCopy *work;  /* owned; memory only; NULL: none */
	Sluice__V1__Drift *drift;       /* owned, as it came; NULL: nothing was changed there */
	Sluice__V1__HeldConfig *config; /* likewise; NULL: nothing requires any */
	char failed[FLEET_ID_ROOM];     /* a kept version that is not the subject and FAILED */
	char *failed_error;             /* owned */
};

struct fleet_pulse {
	bool ever; /* an agent has connected, now or in an earlier life of the server */
	bool connected;
	uint64_t seen_mono_ms;   /* last message; 0: not since the server started */
	uint64_t closed_mono_ms; /* end of the stream, when not connected */
};

/* An instance. */
struct fleet_unit {
	SLIST_ENTRY(fleet_unit) link;        /* bucket */
	STAILQ_ENTRY(fleet_unit) dirty_link; /* statuses to write */
	bool dirty;
	LIST_ENTRY(fleet_unit) concern_link;
	bool concerns; /* in fleet->concerns */
	uint32_t workspace;
	char id[FLEET_ID_ROOM];
	uint8_t *value; /* owned: the record's stored bytes */
	size_t value_size;
	Sluice__Store__V1__InstanceRecord *record; /* owned: the same, unpacked */

	struct fleet_session *session; /* NULL: not connected */
	struct fleet_pulse pulse;
	bool ever_known;      /* pulse.ever was looked up in the store */
	bool statuses_loaded; /* statuses hold what the store has */
	uint64_t seen_unix_ms;
	uint64_t sequence;                       /* accepted by the agent, as it says */
	char *agent_version, *peer, *last_error; /* owned; NULL: none */
	int error_class;                         /* of last_error */
	uint32_t key_epoch;                      /* that the agent has pinned */
	uint64_t refusals;                       /* by the agent, as it says */
	struct fleet_status *statuses;           /* owned, by app id */
	size_t status_count, status_room;
	char (*removed)[FLEET_ID_ROOM]; /* owned: apps to be taken down; for as long as the unit
					   lives */
	size_t removed_count;

	/* The manifest that was sent last, so that it can be made again byte for byte; sequence 0:
	 * none. */
	uint64_t sent_sequence, sent_expires_s;
	uint32_t sent_epoch;
	uint8_t sent_core[FLEET_CORE_BYTES];
	uint8_t sent_digest[SL_HASH_BYTES];
};

/* A connected agent. */
struct fleet_told_login {
	char repository_id[FLEET_ID_ROOM];
	uint64_t revision; /* 0: not told yet */
};

struct fleet_session {
	TAILQ_ENTRY(fleet_session) link; /* fleet->sessions */
	TAILQ_ENTRY(fleet_session) due_link;
	bool due;                  /* in fleet->due: look whether the manifest changed */
	struct rpc_stream *stream; /* a reference */
	struct fleet_unit *unit;   /* NULL: it was told to go */
	struct fleet_slot *slots;  /* owned, by app id */
	size_t slot_count, slot_room;
	uint64_t told; /* highest sequence that the agent has, or was sent */
	/* The manifest could not go yet: outbox full, or a new revision is needed. Written under
	 * the lock, before the attempt; read without it when the outbox is empty. */
	atomic_bool pending;
	uint64_t fresh_mono_ms; /* when the expiry was last renewed */
	uint32_t key_epoch;     /* of the key that the agent has, or was told of; 0: none */
	uint8_t key[SL_SIGN_PUBLIC_BYTES];
	uint64_t end_mono_ms;            /* not 0: the stream is ended then */
	struct fleet_told_login *logins; /* owned */
	size_t login_count;
	char told_push[FLEET_ID_ROOM]; /* operation of the order that was sent last */
	TAILQ_ENTRY(fleet_session) turn_link;
	struct fleet_host *host; /* where it fetches, or waits for its turn; NULL: neither */
	uint64_t turn_mono_ms;   /* when its turn began; 0: it waits */
	uint8_t box_key[SL_BOX_PUBLIC_BYTES];
	bool has_box_key; /* told by an agent that may have no identity */
	bool takes_trees; /* manifests may be signed together with others */
};

struct fleet_source_waiting; /* source_tests.c */
STAILQ_HEAD(fleet_source_tests, fleet_source_waiting);

STAILQ_HEAD(fleet_apps, fleet_app);
STAILQ_HEAD(fleet_units, fleet_unit);
LIST_HEAD(fleet_concerns, fleet_unit);
TAILQ_HEAD(fleet_sessions, fleet_session);
TAILQ_HEAD(fleet_hosts, fleet_host);
SLIST_HEAD(fleet_app_bucket, fleet_app);
SLIST_HEAD(fleet_unit_bucket, fleet_unit);

/* Which of so many an id falls into (FNV-1a). */
static inline size_t fleet_bucket(const char *id, size_t buckets)
{
	uint32_t hash = 2166136261u;
	for (; *id != '\0'; id++) {
		hash = (hash ^ (uint8_t)*id) * 16777619u;
	}
	return hash % buckets;
}

enum { FLEET_APP_BUCKETS = 4096, FLEET_UNIT_BUCKETS = 16384 };

struct fleet {
	struct fleet_options options;
	pthread_mutex_t lock;
	bool stopped;
	bool recovering; /* the store is: no word to agents, none of theirs written */
	bool apps_loaded;
	uint64_t position; /* apps and units are at least as new as this revision */
	uint64_t loaded;   /* apps were read at this revision: older views say nothing new */
	uint64_t seen;     /* last record of the batch at hand */
	struct fleet_app_bucket apps[FLEET_APP_BUCKETS];
	struct fleet_unit_bucket units[FLEET_UNIT_BUCKETS];
	struct fleet_apps touched;
	char (*touched_units)[FLEET_ID_ROOM]; /* owned; ids */
	uint32_t *touched_workspaces;         /* owned; theirs */
	size_t touched_unit_count, touched_unit_room;
	struct fleet_sessions sessions, due;
	struct fleet_hosts hosts; /* that agents fetch from now */
	struct fleet_units dirty;
	struct fleet_concerns concerns; /* units that somebody should look at */
	struct fleet_source_tests source_tests;
	unsigned flushing; /* commands on their way */
	uint64_t flushed_mono_ms, flush_hold_mono_ms;
	bool want_revision;
	uint32_t stream_count;
	uint64_t manifests_sent, reports, writes, refusals, corrected;
	struct signing_key key; /* in use; epoch 0: nothing is signed */
	uint64_t keys_look_mono_ms;
	uint64_t clock_ahead_ms; /* of the wall clock to the monotonic one, as agents were told; 0:
				    none was */

	atomic_uint touches[FLEET_TOUCH_BUCKETS]; /* no lock */

	pthread_mutex_t wait_lock; /* guards the list; before `lock` */
	struct fleet_wait *waits;
	bool waits_stopped;
	atomic_uint wait_count;
};

uint64_t fleet_mono_ms(const struct fleet *fleet);
uint64_t fleet_unix_ms(const struct fleet *fleet);

/* units.c */
struct fleet_unit *fleet_unit_find(struct fleet *fleet, const char *id);
/* The unit of an instance record as stored; made, or brought up to date. NULL: out of memory or no
 * record. */
struct fleet_unit *fleet_unit_put(struct fleet *fleet, uint32_t workspace, const char *id,
				  struct sl_bytes value);
void fleet_unit_free(struct fleet *fleet, struct fleet_unit *unit);
sl_code fleet_units_load(struct fleet *fleet, const struct store_view *view, struct sl_err *err);
void fleet_units_free(struct fleet *fleet);
Sluice__V1__Liveness fleet_unit_liveness(struct fleet *fleet, struct fleet_unit *unit,
					 const struct store_view *view);
/* Its agent is there, as far as is known. */
bool fleet_unit_is_connected(const struct fleet *fleet, const struct fleet_unit *unit);
bool fleet_unit_removes(const struct fleet_unit *unit, const char *app_id);
void fleet_unit_set_text(char **text, const char *value);

/* concerns.c */
/* After a change of the unit's record or of what its agent refused. */
void fleet_unit_concern(struct fleet *fleet, struct fleet_unit *unit);
void fleet_unit_concern_end(struct fleet_unit *unit);
const char *fleet_unit_refused(const struct fleet_unit *unit); /* "": nothing */
void fleet_concerns_count(struct fleet *fleet, uint32_t counts[static FLEET_CONCERN_COUNT]);

/* liveness.c: pure. */
Sluice__V1__Liveness fleet_liveness(const struct fleet_pulse *pulse, uint64_t now_mono_ms,
				    unsigned heartbeat_ms);

/* apps.c */
struct fleet_app *fleet_app_find(struct fleet *fleet, const char *id);
/* Made if need be; NULL: out of memory. */
struct fleet_app *fleet_app_touch(struct fleet *fleet, uint32_t workspace, const char *id);
void fleet_apps_touch_repository(struct fleet *fleet, uint32_t workspace,
				 const char *repository_id);
/* Where an app's row is in rows sorted by their app's id, or where it would be. */
typedef const char *fleet_row_app(const void *row);
size_t fleet_row_at(const void *rows, size_t count, size_t size, fleet_row_app *app_of,
		    const char *app_id, bool *ret_found);
/* Reads record and entries anew. */
sl_code fleet_app_read(struct fleet *fleet, const struct store_view *view, struct fleet_app *app,
		       struct sl_err *err);
sl_code fleet_apps_load(struct fleet *fleet, const struct store_view *view, struct sl_err *err);
void fleet_apps_free(struct fleet *fleet);
/* What the instance is told of the app; NULL: it is not placed there. */
struct fleet_entry *fleet_app_entry(const struct fleet_app *app, const struct fleet_unit *unit);
struct fleet_entry *fleet_entry_ref(struct fleet_entry *entry);
void fleet_entry_unref(struct fleet_entry *entry); /* NULL is fine */

/* manifest.c */
/* Over all that a manifest says but sequence and expiry. */
void fleet_manifest_core(const struct fleet_session *session,
			 uint8_t core[static FLEET_CORE_BYTES]);
/* The serialized Manifest, signed by the key of `epoch` or, with 0, by none. */
void fleet_manifest_body(const struct fleet_session *session, uint32_t epoch, uint64_t sequence,
			 uint64_t expires_s, struct sl_buf *body);

/* keys.c */
void fleet_keys_init(struct fleet *fleet);
/* With the key in use. False: not now; it is logged. */
bool fleet_sign(struct fleet *fleet, const char *purpose, struct sl_bytes message,
		uint8_t out[static SL_SIGNATURE_BYTES]);
void fleet_keys_hello(struct fleet_session *session, const Sluice__V1__AgentHello *hello);
/* Does the agent know the key in use, or none at all? */
bool fleet_keys_known(const struct fleet *fleet, const struct fleet_session *session);
/* Sends what it misses. False: not now. */
bool fleet_keys_tell(struct fleet *fleet, struct fleet_session *session);
void fleet_keys_tick(struct fleet *fleet);

/* logins.c */
/* Sends the logins that the agent's slots need and it was not told of. False: not now. */
bool fleet_logins_tell(struct fleet *fleet, struct fleet_session *session);

/* turns.c */
void fleet_turn_wish(struct fleet *fleet, struct fleet_session *session, const char *host);
void fleet_turn_drop(struct fleet *fleet, struct fleet_session *session); /* nothing: fine */
void fleet_turns_tick(struct fleet *fleet);
void fleet_turns_count(const struct fleet *fleet, uint32_t *ret_fetching, uint32_t *ret_waiting);

/* values.c: what bundles require. */
/* Of the contracts, as of the view; `old` (may be NULL) when it is still so. *ret_values is a
 * reference; NULL: nothing is required. */
sl_code fleet_values_of(const struct wire *in, uint32_t environment,
			const struct sl_bytes *contracts, size_t count, struct fleet_values *old,
			struct fleet_values **ret_values, struct sl_err *err);
struct fleet_values *fleet_values_ref(struct fleet_values *values); /* NULL is fine */
void fleet_values_unref(struct fleet_values *values);               /* NULL is fine */
/* Apps that require this constant, secret or data source in the environment (0: in any) are read
 * anew. */
void fleet_apps_touch_config(struct fleet *fleet, uint32_t workspace, uint32_t environment,
			     bool source, const char *name);

/* configs.c */
/* The values that the agent holds, as its Hello says. */
void fleet_configs_hello(struct fleet_session *session, const Sluice__V1__AgentHello *hello);
/* Sends the values that the agent's slots need and it does not have. False: not now. */
bool fleet_configs_tell(struct fleet *fleet, struct fleet_session *session);
/* What a status says of config, bounded; true if it differs from what was known. */
bool fleet_status_set_config(struct fleet_status *status, const Sluice__V1__HeldConfig *config);
/* With what the server knows of it. */
void fleet_configs_standing(struct fleet *fleet, const struct fleet_unit *unit, const char *app_id,
			    const Sluice__V1__HeldConfig *held, struct fleet_standing *standing);

/* slots.c */
/* NULL: it is told nothing of the app. */
struct fleet_slot *fleet_session_slot(const struct fleet_session *session, const char *app_id);
void fleet_session_touch(struct fleet *fleet, struct fleet_session *session); /* looks soon */
/* The slot of the app follows app and unit. */
void fleet_session_place(struct fleet *fleet, struct fleet_session *session, struct fleet_app *app);
void fleet_session_place_all(struct fleet *fleet, struct fleet_session *session);
void fleet_slots_clear(struct fleet_session *session);
/* Apps that were deleted while the agent was away; one that nobody ever knew keeps serving. */
void fleet_slots_remove_deleted(struct fleet_session *session, const struct store_view *view);

/* hello.c: without the lock */
sl_code fleet_hello(struct fleet *fleet, struct rpc_stream *stream, struct sl_arena *arena,
		    const Sluice__V1__AgentHello *message, struct sl_err *err);

/* pushes.c */
/* Of the app's record as it is in the view: the order that waits. */
sl_code fleet_push_read(struct fleet *fleet, const struct store_view *view, struct fleet_app *app,
			struct sl_arena *arena, struct sl_err *err);
bool fleet_push_is_for(const struct fleet_app *app, const struct fleet_unit *unit);
/* Sends the orders that the agent was not told of. False: not now. */
bool fleet_pushes_tell(struct fleet *fleet, struct fleet_session *session);
/* Writes what an agent answered. The lock is not held while it is submitted. */
void fleet_push_answered(struct fleet *fleet, struct fleet_session *session,
			 const Sluice__V1__AgentPushed *answer);
/* True if it differs from what was known. */
bool fleet_status_set_work(struct fleet_status *status, const Sluice__V1__WorkingCopy *work);

/* source_tests.c */
/* Those that the session's agent is at are over: for finish(), without the lock. */
void fleet_source_tests_take(struct fleet *fleet, const struct fleet_session *session,
			     struct fleet_source_tests *ret_over);
void fleet_source_tests_finish(struct fleet_source_tests *over, enum fleet_tested how,
			       const Sluice__V1__SourceTest *test);
/* Take the lock themselves. */
void fleet_source_tested(struct fleet *fleet, const struct fleet_session *session,
			 const Sluice__V1__AgentSourceTested *message);
void fleet_source_tests_tick(struct fleet *fleet);
void fleet_source_tests_stop(struct fleet *fleet);

/* session.c */
sl_code fleet_session_send(struct fleet_session *session, const Sluice__V1__SyncResponse *response,
			   uint64_t mark);
void fleet_session_removed(struct fleet *fleet, struct fleet_session *session);
/* Another stream of the same instance has come. */
void fleet_session_replaced(struct fleet *fleet, struct fleet_session *session);
/* Send, as far as the outbox takes it. */
sl_code fleet_session_pace(struct fleet *fleet, struct fleet_session *session);
void fleet_session_not_modified(struct fleet *fleet, struct fleet_session *session);
void fleet_session_end(struct fleet_session *session, sl_code code, const struct sl_err *err);
void fleet_sessions_tick(struct fleet *fleet);
const char *fleet_session_activate(const struct fleet_session *session,
				   const char *app_id); /* "" */
uint64_t fleet_session_since(const struct fleet_session *session,
			     const char *app_id); /* 0: not told of it */

/* batch.c */
/* Sends what is due; gives the lock to others now and then. */
void fleet_sessions_send(struct fleet *fleet);

/* status.c */
struct fleet_status *fleet_status_find(const struct fleet_unit *unit, const char *app_id);
sl_code fleet_statuses_load(struct fleet_unit *unit, const struct store_view *view,
			    struct sl_err *err);
void fleet_status_report(struct fleet *fleet, struct fleet_unit *unit,
			 const Sluice__V1__AgentReport *report);
void fleet_status_inventory(struct fleet *fleet, struct fleet_unit *unit,
			    const Sluice__V1__AgentHello *hello);
void fleet_statuses_free(struct fleet_unit *unit);
/* It could not be written; unit NULL: it is gone. */
void fleet_status_again(struct fleet *fleet, struct fleet_unit *unit, const char *app_id);
/* Of what is to be stored; 0: nothing. */
uint64_t fleet_status_hash(const struct fleet_status *status);

/* flush.c */
void fleet_flush(struct fleet *fleet); /* takes the lock itself */

/* waiters.c */
void fleet_touch(struct fleet *fleet, const char *app_id); /* no lock needed */
void fleet_waits_tick(struct fleet *fleet);
void fleet_waits_stop(struct fleet *fleet);

#endif

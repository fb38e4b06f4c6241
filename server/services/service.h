/* service: how every call is served: decoded once, checked, decided or read, encoded, answered.
 *
 * One table (methods.c) lists every method of the API; a method without a row
 * does not exist. A row says all there is to say of a method: who may call it,
 * what comes in, what goes out, and the one function that does it:
 *
 *   read    on the queue thread, on a snapshot
 *   decide  on the store's writer thread; see server/store/store.h
 *   start   answers later by itself (waiting, Git work)
 *   stream  Watch and Sync
 *
 * Requests, responses and everything made on the way live in the call's arena.
 * Field conventions of the API, relied on here by name: `workspace` (string),
 * `write` (WriteOptions), `result` (WriteResult in the response); `secret` (string
 * in the response: shown once and left out of the kept reply; decide gets random
 * bytes for it); `app`, `version`, `instance`, `environment`, `to`, `name` for what
 * a right is asked about. */
#ifndef SL_SERVER_SERVICE_H
#define SL_SERVER_SERVICE_H

#include "server/access/access.h"
#include "server/access/streams.h"
#include "server/records/records.h"
#include "server/records/wire.h"
#include "server/rpc/rpc.h"

struct fleet;
struct gitsync;
struct watch;
struct audit;
struct backup;
struct bundles;
struct requests;
struct server_config;
struct admission;
struct ca;
struct signing;
struct vault;

/* What services work with; built by parts.c, lives as long as the server. All borrowed. */
struct services {
	struct store *store;
	struct access *access;       /* who may what; NULL: everybody everything */
	struct requests *requests;   /* request ids and their kept replies */
	struct fleet *fleet;         /* live agents; what instances are told */
	struct gitsync *gitsync;     /* repositories' mirrors, work owed to Git */
	struct watch *watch;         /* change streams */
	struct backup *backup;       /* copies on their way out */
	struct bundles *bundles;     /* likewise; NULL: none are sent */
	struct audit *audit;         /* refusals, coalesced; NULL: each is recorded */
	struct admission *admission; /* certificates; NULL: --insecure */
	struct ca *ca;               /* likewise */
	struct signing *signing;     /* the manifest key; NULL: nothing is signed */
	struct vault *vault;         /* what is sealed; NULL: locked */
	unsigned door_port;          /* 0: there is no door */
	const struct server_config *config;
	uint64_t started_ms;
};

/* A read: everything lies in the arena until the call is answered. */
struct service_read {
	const struct services *services;
	const struct store_view *view;
	struct sl_arena *arena;
	uint32_t workspace;
	const char *workspace_name;
	const char *principal;
	const struct access_caller *caller;
	const struct rights
	    *rights; /* for lists, which hold back what cannot be seen; never NULL */
	Sluice__Store__V1__AppRecord *app; /* that the request's `app` names, when it has been
					      looked up already; NULL: not yet */
};

/* What a decision seals with; NULL: the vault is locked. */
struct vault *service_vault(const struct decision *d);

/* How records become messages there. */
struct wire service_wire(const struct service_read *read);

/* A call that answers by itself: finish it exactly once, from any thread. */
struct service_call;
struct sl_arena *service_call_arena(struct service_call *call);
const struct services *service_call_services(const struct service_call *call);
const char *service_call_principal(const struct service_call *call);
const struct access_caller *service_call_caller(const struct service_call *call);
/* Its certificate; NULL: --insecure. And from where. */
const struct rpc_peer_identity *service_call_identity(const struct service_call *call);
const char *service_call_peer(const struct service_call *call);
uint32_t service_call_workspace(const struct service_call *call);
bool service_call_is_cancelled(const struct service_call *call);
uint64_t service_call_deadline_mono_ms(const struct service_call *call);
/* Packs `response` (ignored unless SL_OK), answers and frees the call. */
void service_call_finish(struct service_call *call, sl_code code, const struct sl_err *err,
			 const ProtobufCMessage *response);

/* A write that is decided again when something has been found out. */
struct service_write;
struct sl_arena *service_write_arena(struct service_write *write);
/* Decides it again, with d->answer, which lies in the write's arena and is not NULL. Any thread. */
void service_write_answer(struct service_write *write, const void *answer);

/* What a method's verb is asked about. */
enum access_scope {
	ACCESS_SCOPE_NONE,   /* not a row */
	ACCESS_SERVER,       /* the server: to administer everything in `default` */
	ACCESS_WORKSPACE,    /* the workspace: to see on some app, to change on all apps */
	ACCESS_APP,          /* the app of the field `app`; without that field, the one that `name`
				makes. With a field `instance`, where that is */
	ACCESS_ONE_INSTANCE, /* the field `instance`, in its environment; and `app`, if given */
	ACCESS_ITEMS, /* a list that holds back what cannot be seen; a named app or instance must be
			 seen */
	ACCESS_SELF,  /* the caller itself: anybody who is somebody */
	ACCESS_ONE_AGENT, /* agents, of themselves */
};
/* Where it must count. */
enum access_where {
	ACCESS_ANYWHERE,       /* in some environment */
	ACCESS_EVERYWHERE,     /* in all of them */
	ACCESS_IN_DEVELOPMENT, /* there */
	ACCESS_IN_PRODUCTION,
	ACCESS_IN_FIELD,   /* the one of the field `environment`; empty: in some */
	ACCESS_IN_CURRENT, /* where the version of the field `version` is */
	ACCESS_IN_TARGET,  /* the field `to`; empty: the one after the version's */
};

struct service_method {
	const char *path; /* "/sluice.v1.AppService/CreateApp" */
	enum access_verb verb;
	const ProtobufCMessageDescriptor *request, *response;
	/* Shape only: lengths, forms, required fields. SL_INVALID_ARGUMENT with sl_err_field(). May
	 * be NULL. */
	sl_code (*check)(const void *request, struct sl_err *err);
	/* Exactly one of these. `response` is initialised; fill it from the arena. */
	sl_code (*read)(struct service_read *read, const void *request, void *response,
			struct sl_err *err);
	sl_code (*decide)(struct decision *d, const void *request, void *response,
			  struct sl_err *err);
	void (*start)(struct service_call *call, const void *request);
	const struct rpc_stream_events *stream;
	/* Of `decide`, both or neither: what has to be found out before, in the arena. It may
	 * refuse, as decide may, and is not asked for what is refused or answered anyway. */
	sl_code (*ask)(struct decision *d, const void *request, const void **ret_question,
		       struct sl_err *err);
	/* Begins to find it out; ends in one service_write_answer(). On the writer thread: cheap.
	 */
	void (*find)(struct service_write *write, const struct services *services,
		     const void *question);
	/* Of `decide`: what memory is to know once it is committed; not for a kept reply and not
	 * for validate_only. On the writer thread: cheap. May be NULL. */
	void (*after)(const struct services *services, const void *response);
	enum access_scope scope;
	enum access_where where;
	bool shrinks;  /* deletes: passes while the disk is low */
	bool recovers; /* a write that passes in recovery; all others are refused (IN_RECOVERY) */
	bool hot;      /* many at once */
};

/* The tables of the services, one per file; joined in methods.c. */
extern const struct service_method workspace_methods[5], environment_methods[3],
    repository_methods[13], app_methods[9], version_methods[15], promotion_methods[4],
    release_methods[6], fleet_methods[22], agent_methods[1], bundle_methods[2], watch_methods[1],
    admin_methods[4], access_methods[18], audit_methods[5], identity_methods[1], config_methods[12];

/* All rows as the rpc server wants them; built once. `ctx` of handlers is `services`. */
const struct rpc_method *services_rpc_methods(size_t *ret_count);
/* "sluice.v1.AppService", ..., NULL. */
extern const char *const services_names[];

/* For the first message of a stream: who is it, may it open it (`path` names its row), and
 * remembers it, so that it ends when `need` is met no more. A denied attempt is on record. On
 * failure the stream is the caller's to finish. `request`: the message. The stream's closed() must
 * call access_stream_closed(). */
SL_MUST_USE sl_code service_permit_stream(const char *path, const struct services *services,
					  struct rpc_stream *stream,
					  const ProtobufCMessage *request,
					  const struct access_need *need,
					  struct access_caller *ret_caller, struct sl_err *err);

/* Leaves a trace of a stream that was refused though its method is the caller's to call: it spoke
 * for somebody else. */
void service_note_stream(const char *path, const struct services *services,
			 const struct rpc_stream *stream, const struct access_caller *caller,
			 const struct sl_err *err);

/* What watch asks about its viewers; lives as long as `services`. */
struct watch_sight;
struct watch_sight services_watch_sight(struct services *services);
/* Is this app (by id, deleted ones too) to be seen at all? */
bool service_sees_app(const struct service_read *read, const char *app_id);
/* For watchers: false, these rights do not let see the event. Else *ret_event is a copy in the
 * arena, without what is held back. */
bool service_show_event(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			const struct rights *rights, const Sluice__V1__Event *event,
			Sluice__V1__Event **ret_event);

/* --- lists -------------------------------------------------------------------------- */

/* One page of a walk over keys: `from` is where it starts ("" = the beginning). The token binds
 * method, filters and key (keyed hash), so that a token of another list is refused
 * (PAGE_TOKEN_INVALID). */
struct service_page {
	size_t size;          /* wanted, 1..--page-max */
	struct sl_bytes from; /* key to start at; size 0: the beginning */
	uint8_t scope[16];    /* hash of what the list is of */
};
/* `scope` names the list and its filters, for instance "ListVersions app_x staging". page may be
 * NULL (defaults). */
SL_MUST_USE sl_code service_page_begin(const struct service_read *read,
				       const Sluice__V1__PageRequest *page, const char *scope,
				       struct service_page *ret_page, struct sl_err *err);
/* `next_key`: key of the first record that did not fit; size 0: the list is complete. */
Sluice__V1__PageInfo *service_page_end(const struct service_read *read,
				       const struct service_page *page, struct sl_bytes next_key);

/* --- checks shared by services -------------------------------------------------------- */

/* `[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?`; SL_INVALID_ARGUMENT / NAME_INVALID naming field, value and
 * rule. */
SL_MUST_USE sl_code check_name(const char *field, const char *value, struct sl_err *err);
SL_MUST_USE sl_code check_version_name(const char *field, const char *value, struct sl_err *err);
/* Non-empty and no longer than `max` bytes of valid UTF-8 without control bytes (but for tab and
 * newline). */
SL_MUST_USE sl_code check_text(const char *field, const char *value, size_t max,
			       struct sl_err *err);
/* The same, may be empty. */
SL_MUST_USE sl_code check_text_or_empty(const char *field, const char *value, size_t max,
					struct sl_err *err);
/* At most `max` bytes of UTF-8, of any characters; the value is never shown. */
SL_MUST_USE sl_code check_value(const char *field, const char *value, size_t max,
				struct sl_err *err);
/* A name or an id was given, and is short enough for a key. */
SL_MUST_USE sl_code check_reference(const char *field, const char *value, struct sl_err *err);
/* Labels: keys by check_name's rule, values `[A-Za-z0-9._-]{0,63}`, each key once, at most `max`.
 */
SL_MUST_USE sl_code check_labels(const char *field, char *const *keys, char *const *values,
				 size_t count, size_t max, struct sl_err *err);

#endif

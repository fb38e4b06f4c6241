/* records: what is stored: tables, keys, encodings, look-ups, and the ground that every command
 * decides on.
 *
 * Values are protobuf messages of sluice/store/v1. Keys start with the workspace's
 * number (4 bytes, big-endian) and sort the way lists want them. The commands
 * themselves are one file per noun beside this header (apps.h, versions.h, ...);
 * wire.h turns records into API messages, for replies and events alike.
 *
 * Threads: everything works on a view and an arena of the caller's. */
#ifndef SL_SERVER_RECORDS_H
#define SL_SERVER_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/mem/arena.h"
#include "base/mem/own.h"
#include "server/rules/rights.h"
#include "server/store/store.h"
#include "sluice/store/v1/records.pb-c.h"
#include "sluice/v1/audit.pb-c.h"
#include "sluice/v1/watch.pb-c.h"

/* One row per table: index, name in the store, what its key is (after the workspace's number). */
#define RECORD_TABLES(X)                                                                           \
	X(WORKSPACES, "workspaces")                     /* name, without a workspace number */     \
	X(WORKSPACE_NUMBERS, "workspace_numbers")       /* number; value: name */                  \
	X(REPOSITORIES, "repositories")                 /* id */                                   \
	X(REPOSITORIES_BY_NAME, "repositories_by_name") /* name; value: id */                      \
	X(APPS, "apps")                                 /* id */                                   \
	X(APPS_BY_NAME, "apps_by_name")                 /* name; value: id */                      \
	X(APPS_BY_SLUG, "apps_by_slug")                 /* slug; value: id */                      \
	X(APPS_BY_PATH, "apps_by_path") /* repository id, path, app id; value: empty */            \
	X(DELETED_APPS, "deleted_apps") /* id */                                                   \
	X(VERSIONS, "versions")         /* app id, number */                                       \
	X(VERSIONS_BY_NAME,                                                                        \
	  "versions_by_name")               /* app id, lower-case name; value: number, 4 bytes */  \
	X(VERSIONS_BY_ID, "versions_by_id") /* id; value: app id text, NUL, number 4 bytes */      \
	X(PUBLICATIONS, "publications")     /* app id, number */                                   \
	X(RELEASE_SIGNATURES, "release_signatures") /* app id, number */                           \
	X(OWED, "owed")         /* kind, app id, number; commits: kind, repository id, revision */ \
	X(BRANCHES, "branches") /* repository id */                                                \
	X(LEASES, "leases")     /* app id */                                                       \
	X(FACTS, "facts")       /* app id, number, environment */                                  \
	/* app id, environment, revision, number; value: how many up to it, 4 bytes; in            \
	 * development empty */                                                                    \
	X(ENTRIES, "entries")                                                                      \
	X(NOTES, "notes")                              /* app id, number, revision */              \
	X(PROMOTIONS, "promotions")                    /* app id, revision; value: empty */        \
	X(PROMOTIONS_BY_REVISION, "promotions_by_rev") /* revision; value: app id */               \
	X(RELEASES, "releases")                        /* app id */                                \
	X(RELEASE_STACK, "release_stack")              /* app id, depth */                         \
	X(RELEASE_HISTORY, "release_history")          /* app id, revision; value: empty */        \
	X(SELECTIONS, "selections")               /* app id, environment, instance id or "" */     \
	X(INSTANCES, "instances")                 /* id */                                         \
	X(INSTANCES_BY_NAME, "instances_by_name") /* name; value: id */                            \
	/* environment, label, value ("" both: any), id; value: the record's revision, 8 bytes */  \
	X(INSTANCES_BY_LABEL, "instances_by_label")                                                \
	X(REMOVED_INSTANCES, "removed_instances")   /* id */                                       \
	X(STATUSES, "statuses")                     /* instance id, app id */                      \
	X(STATUSES_BY_APP, "statuses_by_app")       /* app id, instance id; value: empty */        \
	X(OPENED, "opened")                         /* app id, principal */                        \
	X(PRINCIPALS, "principals")                 /* id */                                       \
	X(PRINCIPALS_BY_NAME, "principals_by_name") /* name; value: id */                          \
	X(ROLES, "roles")                           /* name */                                     \
	X(ACCESS_TOKENS, "access_tokens")           /* id, without a workspace number */           \
	X(ACCESS_TOKENS_BY_PRINCIPAL,                                                              \
	  "tokens_by_principal")            /* principal id, token id; value: empty */             \
	X(IDENTITIES, "identities")         /* id, without a workspace number */                   \
	X(JOIN_TOKENS, "join_tokens")       /* id, without a workspace number */                   \
	X(WORKSPACE_KEYS, "workspace_keys") /* number */                                           \
	X(SEALED, "sealed")                 /* kind, name, environment */                          \
	X(CONFIG_NAMES, "config_names")     /* name */                                             \
	X(SOURCES, "sources")               /* name */                                             \
	X(POLICIES, "policies")             /* environment */

enum record_table {
#define X(table, name) TABLE_##table,
	RECORD_TABLES(X)
#undef X
	    TABLE_COUNT
};
extern const char *const record_table_names[TABLE_COUNT]; /* for store_options.tables */

/* The environments are the same in every workspace: number = rank. */
enum { ENV_DEVELOPMENT = 1, ENV_STAGING = 2, ENV_PRODUCTION = 3, ENV_COUNT = 3 };
const char *environment_name(uint32_t environment); /* "staging"; "" for 0 and unknown; static */
const char *environment_id(uint32_t environment);   /* "env_2"; static */
/* Name or id -> number. SL_NOT_FOUND / ENVIRONMENT_NOT_FOUND lists the names. */
SL_MUST_USE sl_code environment_find(const char *name_or_id, uint32_t *ret_environment,
				     struct sl_err *err);

/* --- keys ---------------------------------------------------------------------- */

/* A key in the making; parts are appended. Longer than STORE_KEY_MAX is a bug (abort): names are
 * checked before. */
struct record_key {
	uint8_t data[STORE_KEY_MAX];
	size_t size;
};
struct record_key key_of(uint32_t workspace);            /* starts with the workspace's number */
void key_text(struct record_key *key, const char *text); /* the text and a NUL */
void key_u32(struct record_key *key, uint32_t number);
void key_u64(struct record_key *key, uint64_t number);
struct sl_bytes key_bytes(const struct record_key *key);
/* For one-liners: KEY(ws, key_text(k, app_id), key_u32(k, 3)) */
#define KEY(workspace, ...)                                                                        \
	({                                                                                         \
		struct record_key key_ = key_of(workspace), *k = &key_;                            \
		(void)k;                                                                           \
		(void)({                                                                           \
			__VA_ARGS__;                                                               \
			0;                                                                         \
		});                                                                                \
		key_;                                                                              \
	})

/* --- values -------------------------------------------------------------------- */

/* Reads and unpacks into the arena. SL_NOT_FOUND leaves *err alone; SL_DATA_LOSS: stored bytes do
 * not parse. */
SL_MUST_USE sl_code record_get(const struct store_view *view, struct sl_arena *arena,
			       enum record_table table, const struct record_key *key,
			       const ProtobufCMessageDescriptor *type, void *ret_record,
			       struct sl_err *err);
/* Unpacks a value met on a walk. */
SL_MUST_USE sl_code record_unpack(struct sl_arena *arena, struct sl_bytes value,
				  const ProtobufCMessageDescriptor *type, void *ret_record,
				  struct sl_err *err);
/* Does the table have any row at all? */
bool table_has_rows(const struct store_view *view, enum record_table table);
/* Typed: RECORD_GET(view, arena, APPS, &key, app_record, AppRecord, &app, err) would hide more than
 * it says; write Sluice__Store__V1__AppRecord *app; record_get(view, arena, TABLE_APPS, &key,
 * &sluice__store__v1__app_record__descriptor, &app, err) or use the look-ups below. */

/* `default`: the first workspace of every store, which stays. */
enum { WORKSPACE_DEFAULT = 1 };
/* The workspace's number by name ("" = "default"). SL_NOT_FOUND / WORKSPACE_NOT_FOUND. */
SL_MUST_USE sl_code workspace_find(const struct store_view *view, const char *name,
				   uint32_t *ret_workspace, struct sl_err *err);

/* Look-ups by name or id; SL_NOT_FOUND with the noun's reason names what was looked for.
 * Everything returned lies in the arena. An empty text is SL_INVALID_ARGUMENT / MALFORMED naming
 * the field. */
SL_MUST_USE sl_code repository_find(const struct store_view *view, struct sl_arena *arena,
				    uint32_t workspace, const char *name_or_id,
				    Sluice__Store__V1__RepositoryRecord **ret_repository,
				    struct sl_err *err);
SL_MUST_USE sl_code app_find(const struct store_view *view, struct sl_arena *arena,
			     uint32_t workspace, const char *name_or_id,
			     Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err);
SL_MUST_USE sl_code version_find(const struct store_view *view, struct sl_arena *arena,
				 uint32_t workspace, const Sluice__Store__V1__AppRecord *app,
				 const char *name_or_id,
				 Sluice__Store__V1__VersionRecord **ret_version,
				 struct sl_err *err);
SL_MUST_USE sl_code instance_find(const struct store_view *view, struct sl_arena *arena,
				  uint32_t workspace, const char *name_or_id,
				  Sluice__Store__V1__InstanceRecord **ret_instance,
				  struct sl_err *err);
SL_MUST_USE sl_code principal_find(const struct store_view *view, struct sl_arena *arena,
				   uint32_t workspace, const char *name_or_id,
				   Sluice__Store__V1__PrincipalRecord **ret_principal,
				   struct sl_err *err);
/* What is not visible is answered as what is not there: the very words of the look-ups. */
sl_code workspace_not_found(const char *wanted, struct sl_err *err);
sl_code app_not_found(const char *wanted, struct sl_err *err);
sl_code instance_not_found(const char *wanted, struct sl_err *err);
/* By key; SL_NOT_FOUND leaves *err alone. */
SL_MUST_USE sl_code repository_get(const struct store_view *view, struct sl_arena *arena,
				   uint32_t workspace, const char *id,
				   Sluice__Store__V1__RepositoryRecord **ret_repository,
				   struct sl_err *err);
SL_MUST_USE sl_code app_get(const struct store_view *view, struct sl_arena *arena,
			    uint32_t workspace, const char *id,
			    Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err);
SL_MUST_USE sl_code version_get(const struct store_view *view, struct sl_arena *arena,
				uint32_t workspace, const char *app_id, uint32_t number,
				Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err);
SL_MUST_USE sl_code publication_get(const struct store_view *view, struct sl_arena *arena,
				    uint32_t workspace, const char *app_id, uint32_t number,
				    Sluice__Store__V1__PublicationRecord **ret_publication,
				    struct sl_err *err);
/* The newest of the app's versions before `number` that is published; SL_NOT_FOUND: none. */
SL_MUST_USE sl_code publication_before(const struct store_view *view, struct sl_arena *arena,
				       uint32_t workspace, const char *app_id, uint32_t number,
				       Sluice__Store__V1__PublicationRecord **ret_publication,
				       struct sl_err *err);
SL_MUST_USE sl_code release_get(const struct store_view *view, struct sl_arena *arena,
				uint32_t workspace, const char *app_id,
				Sluice__Store__V1__ReleaseRecord **ret_release, struct sl_err *err);
SL_MUST_USE sl_code instance_get(const struct store_view *view, struct sl_arena *arena,
				 uint32_t workspace, const char *id,
				 Sluice__Store__V1__InstanceRecord **ret_instance,
				 struct sl_err *err);

/* --- deciding ------------------------------------------------------------------- */

enum { DECISION_IDS = 4 };

/* What a command decides with: time, ids and the caller came in with the
 * command, so deciding twice decides the same. Filled by services (for calls)
 * and by gitsync and fleet (for what the server records itself). */
struct decision {
	const struct store_view *view;
	struct store_changes *changes;
	struct sl_arena *arena;
	uint64_t revision; /* what these changes get */
	uint64_t now_ms;
	uint32_t workspace;
	const char *workspace_name;
	const char *principal;
	const char *identity_id;    /* of the certificate that it calls with; NULL or "": none */
	const char *method;         /* "Promote" */
	const char *reason;         /* WriteOptions.reason */
	uint64_t expected_revision; /* WriteOptions.expected_revision */
	const void *services; /* the service layer's own, for its replies; nothing is decided on it
				 but whether an agent is there. NULL: none */
	const char *ids[DECISION_IDS]; /* 20 random characters each */
	const void *answer;    /* the service layer's: what was found out before; NULL: nothing */
	const uint8_t *secret; /* 32 random bytes, for what answers with a secret; NULL: none */
	/* What the caller may do; NULL: everything (the server itself). The generic path has asked
	 * for the method's own right already. */
	const struct rights *rights;
	unsigned ids_taken;
	Sluice__V1__Event **events; /* in the arena */
	size_t event_count, event_room;
	bool changed; /* something was put or deleted */
	bool history; /* keep the log record for good */
	const Sluice__V1__AuditCaller
	    *caller; /* from where it comes; NULL: from the server itself */
	/* For the audit record, of a refusal too: what decide knows of the thing; what it leaves
	 * open is read from the events. */
	Sluice__V1__AuditObject object;
};

/* One of a part of the server itself ("gitsync"), of which nobody asks for rights. */
struct decision decision_own(const char *principal, const char *method,
			     const struct store_view *view, struct store_changes *changes,
			     struct sl_arena *arena, uint64_t now_ms);
/* The end of it: what changed is logged; out of memory on the way is SL_RESOURCE_EXHAUSTED. */
SL_MUST_USE sl_code decision_own_end(struct decision *d, sl_code code, struct sl_err *err);

/* A fresh id such as "app_...". At most DECISION_IDS a command. */
char *decision_id(struct decision *d, const char prefix[static 3]);
/* Packs and puts; sticky through the arena and the changes. */
void decision_put(struct decision *d, enum record_table table, const struct record_key *key,
		  const ProtobufCMessage *record);
void decision_put_bytes(struct decision *d, enum record_table table, const struct record_key *key,
			struct sl_bytes value);
void decision_delete(struct decision *d, enum record_table table, const struct record_key *key);
/* Notes this revision under a named value of the store; 0 until somebody has. */
void decision_put_generation(struct decision *d, const char *name);
SL_MUST_USE sl_code generation_get(const struct store_view *view, const char *name,
				   uint64_t *ret_generation, struct sl_err *err);
/* Adds an event and returns it, for its object to be set; never NULL (a spare when memory is out).
 */
Sluice__V1__Event *decision_event(struct decision *d, Sluice__V1__EventType type,
				  Sluice__V1__EventKind kind, const char *app_id,
				  uint32_t environment, const char *instance_id);
/* What a retry of the same request id needs to get the same reply. */
struct decision_reply {
	struct sl_bytes request_key, payload_hash, reply;
};
/* Writes the log record of this revision, which is an audit record too; the last thing a decision
 * does. `kept` may be NULL. */
void decision_log(struct decision *d, const struct decision_reply *kept);
/* SL_ABORTED / STALE_REVISION with the current one in the metadata, unless expected is 0 or equal.
 */
SL_MUST_USE sl_code decision_expect(const struct decision *d, const char *noun, const char *name,
				    uint64_t current, struct sl_err *err);
/* Creates take expected_revision 0 only. */
SL_MUST_USE sl_code decision_expect_none(const struct decision *d, struct sl_err *err);

/* SL_PERMISSION_DENIED / RIGHT_MISSING: "'alice' lacks the right to promote app shop in
 * production"; the metadata has verb, app and environment. */
sl_code rights_missing(const char *principal, enum access_verb verb, const char *slug,
		       uint32_t environment, struct sl_err *err);
/* The same unless the caller may, for a command that needs more than its
 * method says. slug NULL: no one app; environment 0: any. */
SL_MUST_USE sl_code decision_require(const struct decision *d, enum access_verb verb,
				     const char *slug, uint32_t environment, struct sl_err *err);

/* --- shared commands -------------------------------------------------------------- */

/* Sorted by key, as stored. `entries` are the map entries of a request (any generated XxxEntry
 * message: key, value). */
Sluice__Store__V1__Label **labels_sorted(struct sl_arena *arena, char *const *keys,
					 char *const *values, size_t count);
/* True if every label of `wanted` is in `labels`; both sorted. */
bool labels_match(Sluice__Store__V1__Label *const *wanted, size_t wanted_count,
		  Sluice__Store__V1__Label *const *labels, size_t label_count);

#endif

/* instances: the commands that register, change and remove instances, and what agents say of them.
 *
 * The decide functions are called inside a decide() (server/store/store.h): they read d->view,
 * check the rules and fill d. Records that are returned lie in d->arena and are as they will be
 * stored. A refusal leaves changes in d that the caller drops with the command. Threads: as
 * records.h. */
#ifndef SL_SERVER_RECORDS_INSTANCES_H
#define SL_SERVER_RECORDS_INSTANCES_H

#include "server/records/records.h"

enum { INSTANCE_LABELS_MAX = 32, INSTANCE_URL_MAX = 500 };

/* What a caller says of an instance; borrowed for the call. */
struct instance_wish {
	const char *name, *environment; /* to register only */
	char *const *label_keys, *const *label_values;
	size_t label_count;
	const char *public_url;        /* "": users do not reach it */
	Sluice__V1__PullMode pull;     /* UNSPECIFIED: as it is; of a new one AUTO */
	Sluice__V1__DriftPolicy drift; /* UNSPECIFIED: as it is; of a new one REPORT */
};

/* Empty, or http(s)://host[:port][/path] without a trailing slash. SL_INVALID_ARGUMENT / MALFORMED.
 */
SL_MUST_USE sl_code instance_check_url(const char *url, struct sl_err *err);

/* How often the app (and all apps) of the instance were retried. */
uint32_t instance_retries(const Sluice__Store__V1__InstanceRecord *instance, const char *app_id);

/* SL_ALREADY_EXISTS / NAME_TAKEN; SL_NOT_FOUND / ENVIRONMENT_NOT_FOUND. */
SL_MUST_USE sl_code instances_decide_register(struct decision *d, const struct instance_wish *wish,
					      Sluice__Store__V1__InstanceRecord **ret_instance,
					      struct sl_err *err);
/* Labels, URL, how it pulls and what it does about drift. What is so already is a success that
 * changes nothing; so are pause and resume. */
SL_MUST_USE sl_code instances_decide_update(struct decision *d, const char *instance,
					    const struct instance_wish *wish,
					    Sluice__Store__V1__InstanceRecord **ret_instance,
					    struct sl_err *err);
SL_MUST_USE sl_code instances_decide_pause(struct decision *d, const char *instance, bool paused,
					   Sluice__Store__V1__InstanceRecord **ret_instance,
					   struct sl_err *err);
/* app: name or id; "": all apps. */
SL_MUST_USE sl_code instances_decide_retry(struct decision *d, const char *instance,
					   const char *app,
					   Sluice__Store__V1__InstanceRecord **ret_instance,
					   struct sl_err *err);
/* For commands of other files: the instance that a caller means to change, at the revision that it
 * expects; and the changed record with its event. */
SL_MUST_USE sl_code instance_find_expected(struct decision *d, const char *name_or_id,
					   Sluice__Store__V1__InstanceRecord **ret_instance,
					   struct sl_err *err);
void instance_put(struct decision *d, Sluice__V1__EventType type,
		  Sluice__Store__V1__InstanceRecord *instance);
/* Its indexes, statuses and pins go with it; a tombstone stays, so that its agent can be told. */
SL_MUST_USE sl_code instances_decide_remove(struct decision *d, const char *instance,
					    struct sl_err *err);

/* The tombstone by id; SL_NOT_FOUND leaves *err alone. */
SL_MUST_USE sl_code instance_get_removed(const struct store_view *view, struct sl_arena *arena,
					 uint32_t workspace, const char *id,
					 Sluice__Store__V1__InstanceRecord **ret_instance,
					 struct sl_err *err);

/* What an agent said of one app, settled. Borrowed for the call. */
struct instance_status {
	const char *instance_id, *app_id;
	const Sluice__Store__V1__StatusRecord *record; /* NULL: the agent has nothing of the app
							  any more */
	const char *desired_version_id; /* what it was told to activate; "": nothing */
};

/* True if both say the same; when it was said and under which sequence does not count. */
bool instance_status_same(const Sluice__Store__V1__StatusRecord *a,
			  const Sluice__Store__V1__StatusRecord *b);

/* Many at once, each a STATUS event; no record but the statuses changes. What is stored already,
 * and what is about an instance or app that is gone, is passed over; with nothing left SL_OK
 * without a change. */
SL_MUST_USE sl_code instances_decide_statuses(struct decision *d,
					      const struct instance_status *items, size_t count,
					      struct sl_err *err);

#endif

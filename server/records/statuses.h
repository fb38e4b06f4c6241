/* statuses: what instances last said of apps. Stored by instance; an index finds those of an app,
 * of instances that it is no longer placed on, too.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_STATUSES_H
#define SL_SERVER_RECORDS_STATUSES_H

#include "server/records/records.h"

/* SL_NOT_FOUND leaves *err alone: the instance has said nothing of the app. */
SL_MUST_USE sl_code status_get(const struct store_view *view, struct sl_arena *arena,
			       uint32_t workspace, const char *instance_id, const char *app_id,
			       Sluice__Store__V1__StatusRecord **ret_status, struct sl_err *err);
/* `stored`: it has said something before, so that the index has it. */
void status_put(struct decision *d, const char *instance_id, const char *app_id, bool stored,
		const Sluice__Store__V1__StatusRecord *status);
void status_delete(struct decision *d, const char *instance_id, const char *app_id);

/* A walk over the instances that have said something of an app, by id:
 *
 *   SL_AUTO(app_statuses_end) struct app_statuses walk;
 *   app_statuses_begin(&walk, view, workspace, app_id);
 *   while (app_statuses_next(&walk)) { ... walk.instance_id ... }
 *   code = app_statuses_result(&walk, err); */
struct app_statuses {
	const char *instance_id; /* borrowed until the next step */
	/* its own */
	struct store_walk walk;
	size_t prefix_size;
	bool malformed;
};
void app_statuses_begin(struct app_statuses *statuses, const struct store_view *view,
			uint32_t workspace, const char *app_id);
bool app_statuses_next(struct app_statuses *statuses);
SL_MUST_USE sl_code app_statuses_result(struct app_statuses *statuses, struct sl_err *err);
void app_statuses_end(struct app_statuses *statuses);

/* Stores of before have statuses and no row of the index: makes them all. */
SL_MUST_USE sl_code statuses_index_all(struct decision *d, struct sl_err *err);
bool statuses_are_indexed(const struct store_view *view);

#endif

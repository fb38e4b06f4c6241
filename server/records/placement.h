/* placement: on which instances an app is placed, found without looking at the others.
 *
 * An index has one row for each label of each instance, and one without a label, by
 * environment: so a walk costs as much as there are instances with the rarest-looking of
 * the app's labels (the first), and a look-up more for each further label.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_PLACEMENT_H
#define SL_SERVER_RECORDS_PLACEMENT_H

#include "server/records/records.h"

/* Whoever puts an instance's record puts its rows too: they hold its revision. Before labels
 * change, and when the instance is removed, those of the old ones are deleted. */
void placement_put(struct decision *d, const Sluice__Store__V1__InstanceRecord *instance);
void placement_delete(struct decision *d, const Sluice__Store__V1__InstanceRecord *instance);

/* All rows of an instance at once, for those who check: each is handed to `each`. */
void placement_rows(uint32_t workspace, const Sluice__Store__V1__InstanceRecord *instance,
		    void (*each)(void *ctx, const struct record_key *key), void *ctx);

/* Stores of before have instances and no row: makes them all. */
SL_MUST_USE sl_code placement_index_all(struct decision *d, struct sl_err *err);
/* Does the store have rows? (One without instances has none, and needs none.) */
bool placement_is_indexed(const struct store_view *view);

/* A walk over the instances that an app is placed on, by id:
 *
 *   SL_AUTO(placed_end) struct placed walk;
 *   placed_begin(&walk, view, workspace, app, ENV_PRODUCTION);
 *   while (placed_next(&walk)) { ... walk.id ... }
 *   code = placed_result(&walk, err); */
struct placed {
	const char *id;    /* borrowed until the next step */
	uint64_t revision; /* of the instance's record */
	uint32_t environment;
	/* its own */
	const struct store_view *view;
	const Sluice__Store__V1__AppRecord *app;
	uint32_t workspace, last;
	size_t prefix_size;
	struct store_walk walk;
	sl_code code;
	struct sl_err err;
};
/* environment 0: all of them, one after the other. The app is borrowed until the end. */
void placed_begin(struct placed *placed, const struct store_view *view, uint32_t workspace,
		  const Sluice__Store__V1__AppRecord *app, uint32_t environment);
bool placed_next(struct placed *placed);
SL_MUST_USE sl_code placed_result(struct placed *placed, struct sl_err *err);
void placed_end(struct placed *placed);

#endif

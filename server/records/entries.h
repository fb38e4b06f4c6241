/* entries: the versions of an app in the order in which they came to each environment, so that
 * what came last is found without a look at all that came before.
 *
 * One row for each environment that a version has come to, beside its facts, for as long as the
 * version is there. Only a version that has come no further than development can be deleted. So
 * rows of the others are never taken out one by one, and each knows how many there are up to it.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_ENTRIES_H
#define SL_SERVER_RECORDS_ENTRIES_H

#include "server/records/records.h"

struct record_key entry_key(uint32_t workspace, const char *app_id, uint32_t environment,
			    uint64_t revision, uint32_t number);

/* The version comes to the environment with this decision: once for each app and environment. */
SL_MUST_USE sl_code entry_put(struct decision *d, const Sluice__Store__V1__VersionRecord *version,
			      uint32_t environment, struct sl_err *err);
/* Of a version in development, which is deleted. */
void entry_delete(struct decision *d, const Sluice__Store__V1__VersionRecord *version);

/* How many versions of the app have come to the environment; beyond development only. */
SL_MUST_USE sl_code entries_count(const struct store_view *view, uint32_t workspace,
				  const char *app_id, uint32_t environment, uint32_t *ret_count,
				  struct sl_err *err);

/* A walk over them, the newest first:
 *
 *   SL_AUTO(entries_end) struct entries walk;
 *   entries_begin(&walk, view, workspace, app_id, ENV_STAGING);
 *   while (entries_next(&walk)) { ... walk.number ... }
 *   code = entries_result(&walk, err); */
struct entries {
	uint32_t number;   /* of the version */
	uint64_t revision; /* at which it came */
	uint32_t count;    /* that came up to it; 0 in development */
	/* its own */
	struct store_walk walk;
	size_t prefix_size;
	bool malformed;
};
void entries_begin(struct entries *entries, const struct store_view *view, uint32_t workspace,
		   const char *app_id, uint32_t environment);
bool entries_next(struct entries *entries);
SL_MUST_USE sl_code entries_result(struct entries *entries, struct sl_err *err);
void entries_end(struct entries *entries);

/* Stores of before have versions and no row: makes them all. */
SL_MUST_USE sl_code entries_index_all(struct decision *d, struct sl_err *err);
bool entries_are_indexed(const struct store_view *view);

#endif

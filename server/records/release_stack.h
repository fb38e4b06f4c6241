/* release_stack: reading an app's stack of releases; the rules are in rules/releases.h.
 *
 * Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_RELEASE_STACK_H
#define SL_SERVER_RECORDS_RELEASE_STACK_H

#include "server/records/records.h"
#include "server/records/wire.h"

struct release_target {
	uint32_t version; /* number; 0: none */
	uint32_t depth;   /* of its entry; 0: not in the stack */
	/* Versions passed by on the way, each once: "v2 is blocked". In the arena. */
	char **skipped;
	size_t skipped_count;
};

/* PREVIOUS: where Rollback would go. release NULL: never released, so nowhere. */
SL_MUST_USE sl_code release_stack_previous(const struct wire *in, const char *app_id,
					   const Sluice__Store__V1__ReleaseRecord *release,
					   struct release_target *ret_target, struct sl_err *err);

/* Depth of the newest entry of the version; 0: it is not in the stack. Reads until it is found. */
SL_MUST_USE sl_code release_stack_find(const struct wire *in, const char *app_id,
				       const Sluice__Store__V1__ReleaseRecord *release,
				       uint32_t version, uint32_t *ret_depth, struct sl_err *err);

struct record_key release_entry_key(uint32_t workspace, const char *app_id, uint32_t depth);

#endif

/* required: what bundles require of an environment, against what it has: names, kinds, revisions;
 * no values.
 *
 * The contract gate, what instances are told and what is sealed for them ask here, so that they
 * agree. Contracts are taken packed, as records keep them. Threads: as records.h. */
#ifndef SL_SERVER_RECORDS_REQUIRED_H
#define SL_SERVER_RECORDS_REQUIRED_H

#include "base/crypto/crypto.h"
#include "server/records/config_names.h"
#include "server/records/sources.h"
#include "server/records/wire.h"

/* One thing that is required. */
struct required_item {
	Sluice__V1__ConfigKind kind; /* UNSPECIFIED: a data source */
	const char *name;
	const char *source_kind; /* of a data source; else "" */
	/* What there is; NULL: it is missing. */
	const Sluice__Store__V1__ConfigNameRecord *config;
	const Sluice__Store__V1__SourceRecord *source;
	/* The data source of that name and kind, whole or not; NULL: there is none. */
	const Sluice__Store__V1__SourceRecord *found;
	/* Of the newest change of its value there, that of anything it refers to included. */
	uint64_t revision;
	/* "constant API_URL", "data source main (postgres): secret DB_PW is unset"; NULL: nothing
	 * is missing. */
	const char *lacks;
};
typedef sl_code required_visit(void *ctx, const struct required_item *item, struct sl_err *err);

/* Constants, secrets, data sources, each in bytewise order of names; items lie in the arena.
 * The first failure of visit() ends it. */
SL_MUST_USE sl_code required_each(const struct wire *in, const Sluice__V1__Contract *contract,
				  uint32_t environment, required_visit *visit, void *ctx,
				  struct sl_err *err);

/* A stamp is the hash over all that is there, in the order of required_each(): what it is and the
 * revision that set it. So it tells nothing of values, and needs no key. */
void required_stamp_add(struct sl_hasher *hasher, const struct required_item *item);
SL_MUST_USE sl_code required_stamp(const struct wire *in, const Sluice__V1__Contract *contract,
				   uint32_t environment, uint8_t out[static SL_HASH_BYTES],
				   struct sl_err *err);

/* What any of the contracts requires, each thing once, without what is rendered. */
SL_MUST_USE sl_code required_union(struct sl_arena *arena, const struct sl_bytes *contracts,
				   size_t count, Sluice__V1__Contract **ret_contract,
				   struct sl_err *err);

/* What is missing. */
struct required_lacking {
	const char **named; /* the first REQUIRED_NAMED of them */
	size_t named_count, total, required;
};
enum { REQUIRED_NAMED = 20 };
/* Remembered, of what is committed, until any config of the store changes: a contract can have
 * thousands of names, and a plan asks each time. */
SL_MUST_USE sl_code required_lacking(const struct wire *in, struct sl_bytes contract,
				     uint32_t environment, struct required_lacking *ret_lacking,
				     struct sl_err *err);

/* When any config of the store changed last; 0: never. */
SL_MUST_USE sl_code required_generation(const struct store_view *view, uint64_t *ret_generation,
					struct sl_err *err);
/* Part of each command that changes config. */
void required_changed(struct decision *d);

#endif

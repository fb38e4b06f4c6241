/* verify_internal: what the files of verify share. */
#ifndef SL_SERVER_VERIFY_INTERNAL_H
#define SL_SERVER_VERIFY_INTERNAL_H

#include <stdio.h>

#include "server/records/records.h"

struct verify {
	const struct store_view *view;
	FILE *out;
	struct sl_arena arena; /* emptied after each record */
	uint64_t checked, faults;
	uint64_t head; /* no record may be newer */
	/* The record being looked at: */
	enum record_table table;
	struct sl_bytes key, value;
};

/* Counts a fault, and prints the first ones: table, key, what is wrong. */
void verify_fault(struct verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- parts of keys: a store may hold anything, so lengths are looked at ---------------- */

/* Takes keys apart from the left; what does not fit makes it fail, and stay failed. */
struct verify_key {
	const uint8_t *at, *end;
	bool failed;
};
struct verify_key verify_key_of(const struct verify *v);
uint32_t verify_key_u32(struct verify_key *r);
uint64_t verify_key_u64(struct verify_key *r);
const char *verify_key_text(struct verify_key *r); /* of any length */
const char *verify_key_id(struct verify_key *r);   /* short enough for any key */
/* The key ends here. Faults and returns false when it was not as it should be. */
bool verify_key_end(struct verify *v, const struct verify_key *r);

/* False, with a fault, when one of the texts, up to NULL, is too long for keys. */
bool verify_texts_fit(struct verify *v, ...) __attribute__((sentinel));
/* Faults unless the record is stored under this key. */
void verify_stored_as(struct verify *v, const struct record_key *key);

/* --- what is referred to ---------------------------------------------------------------- */

/* NULL, with a fault: the value is no such message. */
void *verify_unpack(struct verify *v, const ProtobufCMessageDescriptor *type);
bool verify_is_there(const struct verify *v, enum record_table table, const struct record_key *key,
		     struct sl_bytes *ret_value);
void verify_need(struct verify *v, enum record_table table, const struct record_key *key,
		 const char *what);
void verify_need_index(struct verify *v, enum record_table index, const struct record_key *key,
		       struct sl_bytes wanted);
void verify_need_version(struct verify *v, uint32_t workspace, const char *app_id, uint32_t number);
bool verify_app_lives(const struct verify *v, uint32_t workspace, const char *app_id);
void verify_need_app_ever(struct verify *v, uint32_t workspace, const char *app_id);
void verify_revision(struct verify *v, uint64_t revision);
void verify_environment(struct verify *v, uint32_t environment);

/* --- one check per table ------------------------------------------------------------------ */

struct verify_check {
	enum record_table table;
	void (*check)(struct verify *v);
};
extern const struct verify_check verify_records[12];   /* verify_records.c */
extern const struct verify_check verify_work[7];       /* verify_work.c */
extern const struct verify_check verify_access[6];     /* verify_access.c */
extern const struct verify_check verify_identities[1]; /* verify_identities.c */
extern const struct verify_check verify_sealed[5];     /* verify_sealed.c */
extern const struct verify_check verify_indexes[14];   /* verify_indexes.c */

#endif

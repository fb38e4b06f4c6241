/* audit_file: audit records in a file, one JSON object a line: written, read back and checked
 * without a server. Threads: none. */
#ifndef SL_CLIENT_AUDIT_FILE_H
#define SL_CLIENT_AUDIT_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/crypto/crypto.h"
#include "base/err/err.h"
#include "base/json/json.h"
#include "sluice/v1/audit.pb-c.h"

struct audit_head {
	uint64_t sequence;
	uint8_t hash[SL_HASH_BYTES];
};

/* Values of messages as JSON. 64-bit numbers are texts there; a hash that is absent is empty. */
SL_MUST_USE sl_code audit_get_number(const struct sl_json *object, const char *key,
				     uint64_t *ret_number, struct sl_err *err);
SL_MUST_USE sl_code audit_get_hash(const struct sl_json *object, const char *key,
				   struct sl_buf *hash, struct sl_err *err);

/* False: no memory. */
bool audit_print_line(FILE *out, const Sluice__V1__AuditRecord *record);

/* An export being checked. Each line is a record whose hash follows from the line before, and
 * what people read in it is what was hashed. */
struct audit_file {
	void (*on_fault)(void *ctx, uint64_t sequence, const char *what);
	void *ctx;
	const struct audit_head *kept; /* to be found in it; NULL: none */
	uint64_t checked, faults;      /* results */
	struct audit_head last;        /* result: the last record */
	bool found_kept;
};
/* SL_NOT_FOUND, SL_INVALID_ARGUMENT: it cannot be read, or a line of it is no record. */
SL_MUST_USE sl_code audit_file_read(struct audit_file *file, const char *path, struct sl_err *err);

/* FILE.part, until it is whole. False: `error` says why. */
struct audit_writer {
	const char *path;
	char *part; /* owned */
	FILE *out;
	char error[400];
};
bool audit_writer_open(struct audit_writer *writer);
bool audit_writer_put(struct audit_writer *writer, const Sluice__V1__AuditRecord *record);
bool audit_writer_keep(struct audit_writer *writer);
void audit_writer_fini(struct audit_writer *writer);

#endif

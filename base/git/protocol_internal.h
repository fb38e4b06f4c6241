/* protocol: what goes through the pipe between parent and worker, both ways.
 *
 * The socket keeps records apart (SOCK_SEQPACKET): a record is one message, a
 * kind and then fields (tag, length, bytes) described by one table per struct.
 * What the child sends is checked like anything from a stranger: bounds, ranges
 * and NULs; a record that breaks a rule ends the job. */
#ifndef SL_BASE_GIT_PROTOCOL_INTERNAL_H
#define SL_BASE_GIT_PROTOCOL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/git/git.h"

enum {
	PROTOCOL_RECORD_MAX =
	    98304, /* bytes; a job with its certificates, sluice.json with its 64 KiB */
	PROTOCOL_DIFF_MAX = 10000, /* entries of one diff */
	PROTOCOL_JSON_MAX = CONTRACT_BYTES_MAX,
};

enum protocol_kind {
	PROTOCOL_JOB = 1,
	PROTOCOL_PROGRESS,
	PROTOCOL_DIFF_ENTRY,
	PROTOCOL_SLUICE_JSON, /* the bytes as they are */
	PROTOCOL_RESULT,      /* the last one */
	PROTOCOL_LOG_ENTRY,
	PROTOCOL_APP,
};

/* Fixed room, so that a secret is nowhere but where it is wiped. */
struct protocol_record {
	size_t size;
	bool failed; /* did not fit */
	uint8_t data[PROTOCOL_RECORD_MAX];
};

void protocol_put_job(struct protocol_record *record, const struct git_job *job);
void protocol_put_progress(struct protocol_record *record, const struct git_progress *progress);
void protocol_put_diff_entry(struct protocol_record *record, const struct git_diff_entry *entry);
void protocol_put_log_entry(struct protocol_record *record, const struct git_log_entry *entry);
void protocol_put_app(struct protocol_record *record, const struct git_app *app);
void protocol_put_json(struct protocol_record *record, const void *data, size_t size);
void protocol_put_result(struct protocol_record *record,
			 const struct git_result *result); /* its inline fields */

/* 0: no record. */
enum protocol_kind protocol_kind_of(const struct protocol_record *record);

/* False: not a record of this kind. Pointers in *ret_job and *ret_entry point into the record. */
bool protocol_get_job(const struct protocol_record *record, struct git_job *ret_job);
bool protocol_get_progress(const struct protocol_record *record, struct git_progress *ret_progress);
bool protocol_get_diff_entry(const struct protocol_record *record,
			     struct git_diff_entry *ret_entry);
bool protocol_get_log_entry(const struct protocol_record *record, struct git_log_entry *ret_entry);
bool protocol_get_app(const struct protocol_record *record, struct git_app *ret_app);
bool protocol_get_result(const struct protocol_record *record, struct git_result *ret_result);
struct sl_bytes protocol_get_json(const struct protocol_record *record);

#endif

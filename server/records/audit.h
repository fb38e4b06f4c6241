/* audit: what is kept of every act, done or refused, in the store's audit sequence.
 *
 * A change's log record begins with its AuditEntry; a refusal is an AuditEntry alone. */
#ifndef SL_SERVER_AUDIT_RECORDS_H
#define SL_SERVER_AUDIT_RECORDS_H

#include "server/records/records.h"

/* The packed entry of the change that d decided, in d's arena. Its object is d's, and where that
 * says nothing what the events say. data NULL: no memory. */
struct sl_bytes audit_change(struct decision *d);

/* Leaves a refusal of d in the sequence. */
void audit_refusal(struct decision *d, const Sluice__V1__AuditRefusal *refusal);
/* Leaves one record for `count` attempts, of which *entry tells the first. */
void audit_counted(struct sl_arena *arena, struct store_changes *changes,
		   Sluice__V1__AuditEntry *entry, uint64_t count, uint64_t first_ms,
		   uint64_t last_ms);

/* Cuts the sequence at a record that somebody has: the hash says so. At or before the anchor
 * nothing changes. SL_FAILED_PRECONDITION / AUDIT_RECORD_UNKNOWN: no record has that number and
 * hash. */
SL_MUST_USE sl_code audit_cut(struct decision *d, const struct store_audit_point *through,
			      struct sl_err *err);
/* Cuts what is older than keep_ms, for the server itself, an eighth of that at a time: each cut
 * leaves a record, too. *ret_cut: there was something. */
SL_MUST_USE sl_code audit_cut_old(struct store_changes *changes, const struct store_view *view,
				  uint64_t now_ms, uint64_t keep_ms, bool *ret_cut,
				  struct sl_err *err);

/* What a record says. SL_DATA_LOSS: its body does not parse. */
SL_MUST_USE sl_code audit_entry(struct sl_arena *arena, const struct store_audit_record *record,
				Sluice__V1__AuditEntry **ret_entry, struct sl_err *err);

#endif

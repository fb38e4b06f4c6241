/* audit: refusals and denied attempts reach the store's audit sequence one a minute, however many
 * come.
 *
 * Attempts are alike when workspace, principal, method and reason are. Of those within a minute
 * the first is recorded (a rule's refusal in the transaction that refused it, a denied attempt
 * about a second later), the others are counted, and the count is recorded when the minute is
 * over. So nobody who may call can fill the disk by being refused; what a crash can lose is the
 * count of the last minute. At most AUDIT_ALIKE_MAX kinds are told apart; what comes beyond is
 * counted as one, under the principal "others".
 *
 * Threads: any. */
#ifndef SL_SERVER_AUDIT_H
#define SL_SERVER_AUDIT_H

#include "server/records/audit.h"

struct audit;

#define AUDIT_ALIKE_MAX 1024

/* One attempt; all borrowed for the call. Texts may be NULL. */
struct audit_attempt {
	uint32_t workspace; /* number; 0: none, or not known */
	const char *workspace_name, *principal, *method;
	const Sluice__V1__AuditCaller *caller; /* may be NULL */
	const Sluice__V1__AuditObject *object; /* may be NULL */
	enum sl_reason reason;
	const char *text;
	bool denied; /* the caller may not; else a rule says no */
	uint64_t now_ms;
};

struct audit_options {
	struct store *store; /* borrowed */
	unsigned window_ms;  /* one record so often; 0: 60 000 */
	unsigned first_ms;   /* so long is waited for more of the first denied attempt; 0: 1 000 */
};
SL_MUST_USE sl_code audit_new(const struct audit_options *options, struct audit **ret_audit,
			      struct sl_err *err);
/* After store_free(): commands of audit's are in its queue. NULL is fine. */
void audit_free(struct audit *audit);

/* Somebody tried what he may not do. */
void audit_denied(struct audit *audit, const struct audit_attempt *attempt);
/* In decide(): a rule said no. True: leave the record in this transaction; false: it is counted.
 * Once for a command, also when it is decided again. audit NULL: true. */
bool audit_refused(struct audit *audit, const struct audit_attempt *attempt);

/* Submits what is due. Every second or so. */
void audit_tick(struct audit *audit);
/* Submits all that has been counted; the last thing before the store ends. */
void audit_flush(struct audit *audit);

#endif

/* err: the one error type of the project.
 *
 * A function that can fail returns a sl_code and takes `struct sl_err *err`
 * as its last parameter. On success it returns SL_OK and leaves *err alone.
 * On failure it fills *err exactly once, at the place that knows most.
 *
 * The text is inline, so a failure can be reported when memory is short.
 * Machine-readable details (metadata, violations) are an owned list that
 * grows only on demand: whoever declares an error that a rule may fill ends
 * it with sl_err_clear(), by scope:
 *
 *   SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
 *
 * Threads: no global or thread-local state; a sl_err moves with its owner. */
#ifndef SL_BASE_ERR_H
#define SL_BASE_ERR_H

#include <stddef.h>

#include "base/err/reason.h"

#define SL_MUST_USE __attribute__((warn_unused_result))
#define SL_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

/* Numeric values equal grpc_status_code (checked in server/rpc and client/rpc). */
typedef enum sl_code {
	SL_OK = 0,
	SL_CANCELLED = 1,
	SL_UNKNOWN = 2,
	SL_INVALID_ARGUMENT = 3,
	SL_DEADLINE_EXCEEDED = 4,
	SL_NOT_FOUND = 5,
	SL_ALREADY_EXISTS = 6,
	SL_PERMISSION_DENIED = 7,
	SL_RESOURCE_EXHAUSTED = 8,
	SL_FAILED_PRECONDITION = 9,
	SL_ABORTED = 10,
	SL_OUT_OF_RANGE = 11,
	SL_UNIMPLEMENTED = 12,
	SL_INTERNAL = 13,
	SL_UNAVAILABLE = 14,
	SL_DATA_LOSS = 15,
	SL_UNAUTHENTICATED = 16,
} sl_code;

/* Longest message kept, in bytes with the NUL; longer text is cut. */
#define SL_ERR_MSG_SIZE 400

/* One machine-readable detail. Which fields count is said by `kind`. */
enum sl_detail_kind {
	SL_DETAIL_METADATA, /* ErrorInfo.metadata: subject = key, text = value */
	SL_DETAIL_FIELD,    /* BadRequest: subject = field path, text = rule broken */
	SL_DETAIL_GATE,     /* PreconditionFailure: type, subject, text = description */
};

struct sl_detail {
	struct sl_detail *next; /* in the order they were added */
	enum sl_detail_kind kind;
	const char *type, *subject, *text; /* point into this allocation */
};

struct sl_err {
	sl_code code;
	enum sl_reason reason;
	char msg[SL_ERR_MSG_SIZE];
	struct sl_detail *details; /* owned, may be NULL */
};

#define SL_ERR_INIT                                                                                \
	{                                                                                          \
		.code = SL_OK, .reason = SL_REASON_NONE, .msg = "", .details = NULL                \
	}

/* Fills *err, dropping what was in it, and returns `code`, so callers write
 * `return sl_err_set(...)`. `code` must not be SL_OK. `err` may be NULL when
 * the text is not wanted. *err must be SL_ERR_INIT or filled. */
sl_code sl_err_set(struct sl_err *err, sl_code code, const char *fmt, ...) SL_PRINTF(3, 4);

/* The same with a reason of the closed list: for whatever may reach a client. */
sl_code sl_err_because(struct sl_err *err, sl_code code, enum sl_reason reason, const char *fmt,
		       ...) SL_PRINTF(4, 5);

/* SL_RESOURCE_EXHAUSTED / TOO_MANY, "out of memory". */
sl_code sl_err_no_memory(struct sl_err *err);
/* SL_INVALID_ARGUMENT / MALFORMED, "<field> <rule>", with the field as a detail. */
sl_code sl_err_malformed(struct sl_err *err, const char *field, const char *rule);

/* Add details to a filled error. Out of memory drops the detail, never the error. */
void sl_err_meta(struct sl_err *err, const char *key, const char *fmt, ...) SL_PRINTF(3, 4);
void sl_err_field(struct sl_err *err, const char *field, const char *rule);
void sl_err_gate(struct sl_err *err, const char *type, const char *subject,
		 const char *description);

/* Puts "context: " in front of the message already in *err, keeping the rest;
 * returns its code. For the one caller that can name the object. */
sl_code sl_err_wrap(struct sl_err *err, const char *fmt, ...) SL_PRINTF(2, 3);

/* What clang's analyzer cannot see across files: these return what they say, never SL_OK. */
#ifdef __clang_analyzer__
#define sl_err_set(err, code, ...) (sl_err_set((err), (code), __VA_ARGS__), (code))
#define sl_err_because(err, code, ...) (sl_err_because((err), (code), __VA_ARGS__), (code))
#define sl_err_no_memory(err) (sl_err_no_memory(err), SL_RESOURCE_EXHAUSTED)
#define sl_err_malformed(err, field, rule)                                                         \
	(sl_err_malformed((err), (field), (rule)), SL_INVALID_ARGUMENT)
#define sl_err_wrap(err, ...)                                                                      \
	({                                                                                         \
		sl_code wrapped_ = sl_err_wrap((err), __VA_ARGS__);                                \
		if (wrapped_ == SL_OK) {                                                           \
			__builtin_unreachable();                                                   \
		}                                                                                  \
		wrapped_;                                                                          \
	})
#endif

/* *to takes over everything; *from is SL_ERR_INIT afterwards. */
void sl_err_move(struct sl_err *to, struct sl_err *from);

/* Frees details and resets to SL_ERR_INIT. */
void sl_err_clear(struct sl_err *err);

/* Returns a static, borrowed name such as "NOT_FOUND". */
const char *sl_code_name(sl_code code);

#endif

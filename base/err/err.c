#include "base/err/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* err.h wraps them for clang's analyzer. */
#undef sl_err_set
#undef sl_err_because
#undef sl_err_wrap
#undef sl_err_no_memory
#undef sl_err_malformed

/* Texts quote what others sent, and end up on terminals. */
static void defuse(char *text)
{
	for (char *c = text; *c != '\0'; c++) {
		bool control = ((unsigned char)*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f;
		*c = control ? '?' : *c;
	}
}

static void set_va(struct sl_err *err, sl_code code, enum sl_reason reason, const char *fmt,
		   va_list args)
{
	assert(code != SL_OK);
	if (err == NULL) {
		return;
	}
	char text[SL_ERR_MSG_SIZE]; /* aside: an argument may point into *err */
	(void)vsnprintf(text, sizeof(text), fmt, args);
	defuse(text);
	sl_err_clear(err);
	err->code = code;
	err->reason = reason;
	memcpy(err->msg, text, sizeof(text));
}

sl_code sl_err_set(struct sl_err *err, sl_code code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	set_va(err, code, SL_REASON_NONE, fmt, args);
	va_end(args);
	return code;
}

sl_code sl_err_because(struct sl_err *err, sl_code code, enum sl_reason reason, const char *fmt,
		       ...)
{
	va_list args;
	va_start(args, fmt);
	set_va(err, code, reason, fmt, args);
	va_end(args);
	return code;
}

static const char *put_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *start = memcpy(*at, text, size);
	*at += size;
	return start;
}

static void add_detail(struct sl_err *err, enum sl_detail_kind kind, const char *type,
		       const char *subject, const char *text)
{
	if (err == NULL) {
		return;
	}
	assert(err->code != SL_OK);
	struct sl_detail *detail =
	    malloc(sizeof(*detail) + strlen(type) + strlen(subject) + strlen(text) + 3);
	if (detail == NULL) {
		return;
	}
	char *at = (char *)(detail + 1);
	*detail = (struct sl_detail){.kind = kind};
	detail->type = put_text(&at, type);
	detail->subject = put_text(&at, subject);
	detail->text = put_text(&at, text);
	struct sl_detail **end = &err->details;
	while (*end != NULL) {
		end = &(*end)->next;
	}
	*end = detail;
}

void sl_err_meta(struct sl_err *err, const char *key, const char *fmt, ...)
{
	char value[SL_ERR_MSG_SIZE];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	add_detail(err, SL_DETAIL_METADATA, "", key, value);
}

void sl_err_field(struct sl_err *err, const char *field, const char *rule)
{
	add_detail(err, SL_DETAIL_FIELD, "", field, rule);
}

sl_code sl_err_no_memory(struct sl_err *err)
{
	return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY, "out of memory");
}

sl_code sl_err_malformed(struct sl_err *err, const char *field, const char *rule)
{
	sl_code code =
	    sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED, "%s %s", field, rule);
	sl_err_field(err, field, rule);
	return code;
}

void sl_err_gate(struct sl_err *err, const char *type, const char *subject, const char *description)
{
	add_detail(err, SL_DETAIL_GATE, type, subject, description);
}

sl_code sl_err_wrap(struct sl_err *err, const char *fmt, ...)
{
	assert(err != NULL && err->code != SL_OK);
	char cause[SL_ERR_MSG_SIZE];
	memcpy(cause, err->msg, sizeof(cause));

	va_list args;
	va_start(args, fmt);
	int used = vsnprintf(err->msg, sizeof(err->msg), fmt, args);
	va_end(args);
	if (used >= 0 && (size_t)used < sizeof(err->msg)) {
		int more =
		    snprintf(err->msg + used, sizeof(err->msg) - (size_t)used, ": %s", cause);
		assert(more >= 0); /* a cut tail is fine, a bad format is a bug */
		(void)more;
	}
	return err->code;
}

void sl_err_move(struct sl_err *to, struct sl_err *from)
{
	sl_err_clear(to);
	*to = *from;
	*from = (struct sl_err)SL_ERR_INIT;
}

void sl_err_clear(struct sl_err *err)
{
	while (err->details != NULL) {
		struct sl_detail *detail = err->details;
		err->details = detail->next;
		free(detail);
	}
	*err = (struct sl_err)SL_ERR_INIT;
}

const char *sl_code_name(sl_code code)
{
	static const char *const names[] = {
	    [SL_OK] = "OK",
	    [SL_CANCELLED] = "CANCELLED",
	    [SL_UNKNOWN] = "UNKNOWN",
	    [SL_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
	    [SL_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
	    [SL_NOT_FOUND] = "NOT_FOUND",
	    [SL_ALREADY_EXISTS] = "ALREADY_EXISTS",
	    [SL_PERMISSION_DENIED] = "PERMISSION_DENIED",
	    [SL_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
	    [SL_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
	    [SL_ABORTED] = "ABORTED",
	    [SL_OUT_OF_RANGE] = "OUT_OF_RANGE",
	    [SL_UNIMPLEMENTED] = "UNIMPLEMENTED",
	    [SL_INTERNAL] = "INTERNAL",
	    [SL_UNAVAILABLE] = "UNAVAILABLE",
	    [SL_DATA_LOSS] = "DATA_LOSS",
	    [SL_UNAUTHENTICATED] = "UNAUTHENTICATED",
	};
	unsigned i = (unsigned)code;
	return i < sizeof(names) / sizeof(names[0]) ? names[i] : "UNKNOWN";
}

static const struct {
	const char *name, *meaning;
} reasons[SL_REASON_COUNT] = {[SL_REASON_NONE] = {"", ""},
#define X(reason, text) [SL_REASON_##reason] = {#reason, text},
			      SL_REASONS(X)
#undef X
};

const char *sl_reason_name(enum sl_reason reason)
{
	return reasons[reason].name;
}

const char *sl_reason_meaning(enum sl_reason reason)
{
	return reasons[reason].meaning;
}

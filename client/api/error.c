/* struct sl_err as the public header has it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "client/api/api_internal.h"

#define SAME(name)                                                                                 \
	static_assert((int)SLUICE_##name == (int)SL_##name, "sluice_code differs from sl_code")
SAME(OK);
SAME(INVALID_ARGUMENT);
SAME(DEADLINE_EXCEEDED);
SAME(NOT_FOUND);
SAME(RESOURCE_EXHAUSTED);
SAME(FAILED_PRECONDITION);
SAME(ABORTED);
SAME(OUT_OF_RANGE);
SAME(UNAVAILABLE);
SAME(UNAUTHENTICATED);
static_assert(SLUICE_MESSAGE_SIZE >= SL_ERR_MSG_SIZE, "messages would be cut");

/* The details stay where they were made; sluice_error only points at their list. */
static struct sl_detail *details_of(const sluice_error *error)
{
	return (struct sl_detail *)error->details;
}

void sluice_error_clear(sluice_error *error)
{
	if (error == NULL) {
		return;
	}
	struct sl_err err = SL_ERR_INIT;
	err.details = details_of(error);
	sl_err_clear(&err);
	*error = (sluice_error)SLUICE_ERROR_INIT;
}

int api_fail(sluice_error *error, struct sl_err *err)
{
	int code = err->code;
	if (error != NULL) {
		sluice_error_clear(error);
		error->code = code;
		error->reason = sl_reason_name(err->reason);
		memcpy(error->message, err->msg, sizeof(err->msg));
		error->details = (struct sluice_details *)SL_TAKE(err->details);
	}
	sl_err_clear(err);
	return code;
}

const char *sluice_code_name(int code)
{
	return sl_code_name((sl_code)code);
}

const char *sluice_error_metadata(const sluice_error *error, const char *key)
{
	for (const struct sl_detail *d = details_of(error); d != NULL; d = d->next) {
		if (d->kind == SL_DETAIL_METADATA && strcmp(d->subject, key) == 0) {
			return d->text;
		}
	}
	return NULL;
}

size_t sluice_error_violation_count(const sluice_error *error)
{
	size_t count = 0;
	for (const struct sl_detail *d = details_of(error); d != NULL; d = d->next) {
		count += d->kind != SL_DETAIL_METADATA ? 1 : 0;
	}
	return count;
}

sluice_violation sluice_error_violation(const sluice_error *error, size_t i)
{
	for (const struct sl_detail *d = details_of(error); d != NULL; d = d->next) {
		if (d->kind != SL_DETAIL_METADATA && i-- == 0) {
			return (sluice_violation){d->type, d->subject, d->text};
		}
	}
	return (sluice_violation){"", "", ""};
}

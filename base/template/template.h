/* template: texts that refer to the config of their environment:
 *
 *   {{constants.X}}  {{secrets.Y}}  {{sources.Z.option}}
 *
 * with spaces within the braces or not; \{{ is {{ itself, and any other {{ is an error. How a value
 * is written depends on the file that the text is:
 *
 *   plain   as it is
 *   JSON    escaped within a string; a reference outside of one becomes a string
 *   env     NAME=value lines: escaped within double quotes; outside of quotes it gets some; within
 *           single quotes as it is. Lines that begin with # stay as they are
 *
 * so that a value ends neither its string nor its line, whatever it holds. Nothing is looked up
 * here, and no error has a value in it. Threads: none; memory is the caller's. */
#ifndef SL_BASE_TEMPLATE_H
#define SL_BASE_TEMPLATE_H

#include <stddef.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"

enum { TEMPLATE_BYTES_MAX = 1 << 20, TEMPLATE_RENDERED_MAX = 4 << 20 };

enum template_format { TEMPLATE_PLAIN, TEMPLATE_JSON, TEMPLATE_ENV };
/* By the file's name: *.json; env, .env, *.env, .env.*; all others are plain. */
enum template_format template_format_of(const char *path);

enum template_space { TEMPLATE_CONSTANT, TEMPLATE_SECRET, TEMPLATE_SOURCE };
struct template_ref {
	enum template_space space;
	const char *name, *option; /* option: of a source, else ""; until the next one */
};

/* What can be wrong with a text, or with what it refers to. */
enum template_fault {
	TEMPLATE_FINE,
	TEMPLATE_UNCLOSED,   /* {{ without }} in its line */
	TEMPLATE_MALFORMED,  /* what stands in the braces is no reference */
	TEMPLATE_UNDECLARED, /* sluice.json does not require it */
	TEMPLATE_UNKNOWN,    /* there is no such name or option */
	TEMPLATE_WRONG_KIND, /* it is a secret and no constant, or the other way round */
	TEMPLATE_UNSET,      /* it has no value in this environment */
	TEMPLATE_EMPTY,      /* its value has no bytes */
	TEMPLATE_NOT_HERE,   /* this text may not refer to such a thing */
	TEMPLATE_QUOTE,      /* the value cannot stand within single quotes */
	TEMPLATE_TOO_BIG,    /* the text, or what is rendered */
	TEMPLATE_FAULT_COUNT
};
const char *template_fault_name(enum template_fault fault); /* "TEMPLATE_UNSET"; static */

/* What a reference stands for, until the next call; only with TEMPLATE_FINE. Asked more than once.
 */
typedef enum template_fault template_look_up(void *ctx, const struct template_ref *ref,
					     const char **ret_value);

struct template
{
	struct sl_bytes text; /* borrowed */
	enum template_format format;
	template_look_up *look_up;
	void *ctx;
};

/* Is it well formed, and what does look_up() say of all references? Its values are not read.
 * SL_INVALID_ARGUMENT / MALFORMED: the text is wrong; SL_FAILED_PRECONDITION / CONFIG_NOT_FOUND:
 * what it refers to is. The message names line, reference and rule. ret_fault may be NULL. */
SL_MUST_USE sl_code template_check(const struct template *template, enum template_fault *ret_fault,
				   struct sl_err *err);
/* The same, and the text with all values in it: secret memory with a NUL, sl_secret_free() it. */
SL_MUST_USE sl_code template_render(const struct template *template, char **ret_text,
				    size_t *ret_size, enum template_fault *ret_fault,
				    struct sl_err *err);

#endif

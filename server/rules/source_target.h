/* source_target: where a data source is and what TLS is to be there, by its options.
 *
 * Pure; any thread. */
#ifndef SL_SERVER_RULES_SOURCE_TARGET_H
#define SL_SERVER_RULES_SOURCE_TARGET_H

#include <stdint.h>

#include "server/rules/source_kinds.h"

enum { SOURCE_HOST_MAX = 253 };

struct source_target {
	char host[SOURCE_HOST_MAX + 1];
	uint16_t port;
	Sluice__V1__SourceTls tls;
	bool tls_optional; /* a server without TLS will do */
	Sluice__V1__SourceVerify verify;
	const char *ca; /* the option's value; "": the machine's */
};

/* An option's value with all that it refers to; NULL: it is not set. Stays as it is meanwhile. */
typedef const char *source_value(void *ctx, const char *name);

enum { SOURCE_NEEDED_MAX = 6 };
/* The options that are looked at; returns how many. */
size_t source_target_needs(const struct source_kind *kind,
			   const char *ret_names[static SOURCE_NEEDED_MAX]);

/* NULL: *ret_target says it; its texts are as the values. Otherwise what is wrong with the options,
 * without a value; static. */
const char *source_target_of(const struct source_kind *kind, source_value *value, void *ctx,
			     struct source_target *ret_target);

#endif

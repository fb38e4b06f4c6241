/* fields: files of a few texts, all of them needed: what join and login files have in common.
 * Private to base/join. */
#ifndef SL_BASE_JOIN_FIELDS_INTERNAL_H
#define SL_BASE_JOIN_FIELDS_INTERNAL_H

#include <stddef.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/json/json.h"

/* A row: the key, where its owned text lies in the struct, how long it may be. */
struct field {
	const char *key;
	size_t offset, max;
};
struct fields {
	const char *what; /* "join file", for errors */
	const struct field *rows;
	size_t count;
	enum sl_json_style style;
};

/* *out is zeroed before, and holds all or nothing afterwards. */
SL_MUST_USE sl_code fields_parse(const struct fields *fields, struct sl_bytes text, void *out,
				 struct sl_err *err);
/* The caller's. NULL: out of memory. */
char *fields_text(const struct fields *fields, const void *in);
/* Wipes and frees the texts; one of them is a secret. */
void fields_fini(const struct fields *fields, void *out);

#endif

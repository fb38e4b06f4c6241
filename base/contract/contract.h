/* contract: what a bundle says of itself in its sluice.json: which constants, secrets and data
 * sources its environment must have, and which of its files are rendered with them.
 *
 *   { "requires": { "constants": ["API_URL"], "secrets": ["API_KEY"],
 *                   "data_sources": [{ "name": "main", "kind": "postgres" }] },
 *     "render": ["config/app.json"] }
 *
 * docs/sluice.schema.json says the same to editors. The bytes come from strangers: everything is
 * bounded, and what is not understood is refused. Threads: none; all lies in the caller's arena. */
#ifndef SL_BASE_CONTRACT_H
#define SL_BASE_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/mem/arena.h"

#define CONTRACT_FILE "sluice.json" /* at the bundle's root */
enum {
	CONTRACT_BYTES_MAX = 65536,
	CONTRACT_NAMES_MAX = 1000, /* constants, and secrets */
	CONTRACT_SOURCES_MAX = 600,
	CONTRACT_RENDER_MAX = 100,
	CONTRACT_NAME_MAX = 50,        /* bytes */
	CONTRACT_PATH_MAX = 1024,      /* bytes */
	CONTRACT_VALUES_MAX = 4 << 20, /* bytes of the values of one app that an agent is told */
};

/* What a sluice.json can break. */
enum contract_rule {
	CONTRACT_TOO_BIG,  /* at most CONTRACT_BYTES_MAX */
	CONTRACT_NOT_JSON, /* one JSON object (RFC 8259), no key twice, not nested without end */
	CONTRACT_KEY,      /* no other keys */
	CONTRACT_TYPE,     /* each value of its type, nothing missing */
	CONTRACT_TOO_MANY, /* the limits above */
	CONTRACT_NAME,     /* contract_is_name() */
	CONTRACT_KIND,     /* contract_is_kind() */
	CONTRACT_PATH,     /* relative, within the bundle */
	CONTRACT_TWICE,    /* no name and no path twice, no name both constant and secret */
	CONTRACT_NO_FILE,  /* what is rendered is a file of the bundle */
	CONTRACT_RULE_COUNT
};
const char *contract_rule_name(enum contract_rule rule); /* "CONTRACT_KEY"; static */

struct contract_names {
	const char **items; /* in bytewise order */
	size_t count;
};

struct contract_source {
	const char *name, *kind;
};

struct contract {
	struct contract_names constants, secrets;
	struct contract_source *sources; /* in bytewise order of their names */
	size_t source_count;
	struct contract_names render; /* paths in the bundle */
};

/* Whether there is such a kind of data source. */
bool contract_is_kind(const char *kind);
/* `[A-Za-z_][A-Za-z0-9_]{0,49}`: of constants, secrets and data sources. */
bool contract_is_name(const char *name);

/* SL_INVALID_ARGUMENT / MALFORMED: *ret_rule is the rule, the message names thing, value and rule.
 * That rendered files are there is left to who knows the bundle's files (NO_FILE). `ret_rule` may
 * be NULL. */
SL_MUST_USE sl_code contract_parse(struct sl_arena *arena, struct sl_bytes text,
				   struct contract **ret_contract, enum contract_rule *ret_rule,
				   struct sl_err *err);

#endif

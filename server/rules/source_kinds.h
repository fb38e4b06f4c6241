/* source_kinds: the kinds of data sources, and what is set for each: one table.
 *
 * A kind names its options: of which type, required, secret, with which default; and how a server
 * of it is reached. `generic` takes any. Pure; any thread. */
#ifndef SL_SERVER_RULES_SOURCE_KINDS_H
#define SL_SERVER_RULES_SOURCE_KINDS_H

#include <stdbool.h>
#include <stddef.h>

#include "sluice/v1/agent.pb-c.h"

enum source_type { SOURCE_TEXT, SOURCE_NUMBER, SOURCE_BOOL, SOURCE_URL };

struct source_option {
	const char *name;
	enum source_type type;
	bool required, secret;
	const char *choices;  /* "a|b"; NULL: any */
	const char *fallback; /* when it is not set; NULL: none */
};

/* How a server of a kind is reached: names of options; NULL: it has none such. */
struct source_reach {
	const char *url; /* host, port and whether TLS; goes before what follows */
	const char *host, *port;
	const char *region;        /* of Amazon's server, where neither url nor host is set */
	const char *tls;           /* a word that says whether, and what is verified */
	Sluice__V1__SourceTls way; /* of TLS, where that word says nothing else */
	const char *ca;            /* CA certificates that count, PEM */
};

struct source_kind {
	const char *name;
	const struct source_option *options;
	size_t count;
	bool any; /* takes what is not in its table, too */
	struct source_reach reach;
};

extern const struct source_kind source_kinds[];
extern const size_t source_kind_count;
/* NULL: there is none of this name. */
const struct source_kind *source_kind_of(const char *name);
/* NULL: the kind's table has none of this name. */
const struct source_option *source_option_of(const struct source_kind *kind, const char *name);

/* NULL: the value fits the option. Otherwise the rule that it breaks; static. A value that refers
 * to others ("{{") is not known yet, and fits. */
const char *source_value_broken_rule(const struct source_option *option, const char *value);

#endif

/* sources: options of data sources, those of one environment sealed as one value.
 *
 * As settings.h; the records of what is set are plain (records/sources.h). */
#ifndef SL_SERVER_SETTINGS_SOURCES_H
#define SL_SERVER_SETTINGS_SOURCES_H

#include "base/bytes/bytes.h"
#include "server/records/sources.h"
#include "server/records/wire.h"
#include "server/settings/settings.h"

enum { SOURCE_OPTIONS_MAX = 64, SOURCE_BYTES_MAX = 48 << 10 };

struct source_change {
	const char *name, *value;
	bool secret;
};
struct source_wish {
	uint32_t environment;
	const struct source_change *changes; /* each name once */
	size_t change_count;
	char *const *unset; /* names */
	size_t unset_count;
};

/* Shapes are checked before. SL_INVALID_ARGUMENT / MALFORMED: an option that the kind has not, that
 * is secret where it is not said so (or not where it is), or whose value breaks its rule or is no
 * template; SL_FAILED_PRECONDITION / CONFIG_NOT_FOUND: it refers to no constant or secret;
 * VAULT_LOCKED; SL_ABORTED / STALE_REVISION. Nothing changes when all is there already, as far as
 * the caller may know. */
SL_MUST_USE sl_code sources_set(struct vault *vault, struct decision *d,
				Sluice__Store__V1__SourceRecord *record,
				const struct source_wish *wish, struct sl_err *err);
SL_MUST_USE sl_code sources_delete(struct decision *d,
				   const Sluice__Store__V1__SourceRecord *record,
				   struct sl_err *err);

/* The options' values in one environment; {0} is empty. */
struct source_values {
	char *packed; /* owned; secret memory: names and values, each with its NUL */
	size_t size;
};
void source_values_fini(struct source_values *values);
/* SL_NOT_FOUND: nothing is set there. SL_DATA_LOSS, SL_FAILED_PRECONDITION / VAULT_LOCKED: it does
 * not open. */
SL_MUST_USE sl_code sources_open(struct vault *vault, const struct store_view *view,
				 uint32_t workspace, const Sluice__Store__V1__SourceRecord *record,
				 uint32_t environment, struct source_values *ret_values,
				 struct sl_err *err);
/* The same with all references in them replaced by what is set there. SL_NOT_FOUND also when one of
 * them is to what is unset, empty or not there, which *err says. Records lie in the arena. */
SL_MUST_USE sl_code sources_resolve(struct vault *vault, const struct wire *in,
				    const Sluice__Store__V1__SourceRecord *record,
				    uint32_t environment, struct source_values *ret_values,
				    struct sl_err *err);
/* The same of these options; of others nothing is read. */
struct source_names {
	const char *const *names;
	size_t count;
};
SL_MUST_USE sl_code sources_resolve_some(struct vault *vault, const struct wire *in,
					 const Sluice__Store__V1__SourceRecord *record,
					 uint32_t environment, const struct source_names *only,
					 struct source_values *ret_values, struct sl_err *err);
/* Goes through them; *at is 0 at first. False: there are no more. */
bool source_values_next(const struct source_values *values, size_t *at, const char **ret_name,
			const char **ret_value);
/* NULL: there is none of this name. */
const char *source_value_of(const struct source_values *values, const char *name);

/* An AgentSourceTarget, sealed to an agent's box key: what looking whether the data source is
 * reached takes, and no credentials. SL_NOT_FOUND: nothing is set there; SL_FAILED_PRECONDITION /
 * CONFIG_NOT_FOUND: what it takes refers to what is not set there, MALFORMED: the options do not
 * say where it is. */
struct source_asked {
	const struct wire *in;
	const Sluice__Store__V1__SourceRecord *record;
	uint32_t environment;
};
SL_MUST_USE sl_code sources_box(struct vault *vault, const struct source_asked *asked,
				struct sl_bytes box_key, struct sl_buf *ret_box,
				struct sl_err *err);

#endif

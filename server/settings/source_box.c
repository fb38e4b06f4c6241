/* As much of a data source as an agent needs to look whether it is reached: what its options refer
 * to put in, and sealed. All texts lie in memory for secrets, since a host may be a secret's value.
 */
#include <string.h>

#include "base/crypto/box.h"
#include "base/mem/own.h"
#include "server/rules/source_target.h"
#include "server/settings/sources.h"

/* --- sealing --- */

static sl_code seal(const struct source_target *target, struct sl_bytes box_key,
		    struct sl_buf *ret_box, struct sl_err *err)
{
	Sluice__V1__AgentSourceTarget message = SLUICE__V1__AGENT_SOURCE_TARGET__INIT;
	message.host = (char *)target->host;
	message.port = target->port;
	message.tls = target->tls;
	message.tls_optional = target->tls_optional;
	message.verify = target->verify;
	message.ca = (char *)target->ca;
	size_t size = sluice__v1__agent_source_target__get_packed_size(&message);
	SL_AUTO(sl_secret_text_auto) char *packed = sl_secret_new(size);
	SL_AUTO(sl_free_auto) uint8_t *sealed = malloc(size + SL_BOX_EXTRA_BYTES);
	if (packed == NULL || sealed == NULL) {
		return sl_err_no_memory(err);
	}
	(void)sluice__v1__agent_source_target__pack(&message, (uint8_t *)packed);
	if (!sl_box_seal(box_key.data, SL_BYTES(packed, size), sealed)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the agent's key is one that nothing can be sealed to");
	}
	sl_buf_append(ret_box, sealed, size + SL_BOX_EXTRA_BYTES);
	return ret_box->failed ? sl_err_no_memory(err) : SL_OK;
}

static const char *value_in(void *ctx, const char *name)
{
	return source_value_of(ctx, name);
}

static sl_code resolve(struct vault *vault, const struct source_asked *asked,
		       const struct source_kind *kind, struct source_values *ret_values,
		       struct sl_err *err)
{
	const char *names[SOURCE_NEEDED_MAX];
	const struct source_names needed = {.names = names,
					    .count = source_target_needs(kind, names)};
	sl_code code = sources_resolve_some(vault, asked->in, asked->record, asked->environment,
					    &needed, ret_values, err);
	return code == SL_OK || err->code == SL_OK
		   ? code
		   : sl_err_wrap(err, "data source '%s' in %s", asked->record->name,
				 environment_name(asked->environment));
}

sl_code sources_box(struct vault *vault, const struct source_asked *asked, struct sl_bytes box_key,
		    struct sl_buf *ret_box, struct sl_err *err)
{
	SL_AUTO(source_values_fini) struct source_values values = {.packed = NULL};
	const struct source_kind *kind = source_kind_of(asked->record->kind);
	struct source_target target;
	if (kind == NULL) {
		return sl_err_set(err, SL_DATA_LOSS, "data source '%s' is of kind '%.60s'",
				  asked->record->name, asked->record->kind);
	}
	sl_code code = resolve(vault, asked, kind, &values, err);
	if (code != SL_OK) {
		return code;
	}
	const char *rule = source_target_of(kind, value_in, &values, &target);
	code = rule == NULL
		   ? seal(&target, box_key, ret_box, err)
		   : sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_MALFORMED,
				    "data source '%s' (%s) cannot be tested as it is set in %s: %s",
				    asked->record->name, asked->record->kind,
				    environment_name(asked->environment), rule);
	sl_wipe(&target, sizeof(target));
	return code;
}

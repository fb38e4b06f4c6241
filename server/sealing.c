#include "server/sealing.h"

#include "server/logins/logins.h"
#include "server/records/identities.h"

sl_code sealing_init(struct sealing *sealing, struct vault *vault, bool insecure,
		     struct sl_err *err)
{
	sealing->vault = vault;
	sealing->insecure = insecure;
	return boxes_new(vault, &sealing->boxes, err);
}

void sealing_fini(struct sealing *sealing)
{
	boxes_free(SL_TAKE(sealing->boxes));
}

sl_code sealing_login(void *ctx, const struct store_view *view,
		      const struct fleet_login_request *request, struct sl_buf *ret_box,
		      uint64_t *ret_revision, struct sl_err *err)
{
	const struct sealing *sealing = ctx;
	const struct login_reader reader = {.workspace = request->workspace,
					    .identity_id = request->identity_id,
					    .repository_id = request->repository_id,
					    .push = request->push};
	return logins_box(sealing->vault, view, &reader, ret_box, ret_revision, err);
}

/* Whom the values are for. SL_NOT_FOUND: there is no key. */
static sl_code find_key(const struct sealing *sealing, const struct store_view *view,
			const struct fleet_config_request *request,
			uint8_t out[static SL_BOX_PUBLIC_BYTES], struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	sl_arena_init(&arena, 0);
	if (sealing->insecure && request->box_key.size == SL_BOX_PUBLIC_BYTES) {
		memcpy(out, request->box_key.data, SL_BOX_PUBLIC_BYTES);
		return SL_OK;
	}
	sl_code code = request->identity_id[0] == '\0'
			   ? SL_NOT_FOUND
			   : identity_get(view, &arena, request->identity_id, &identity, err);
	if (code == SL_OK && identity->box_key.len != SL_BOX_PUBLIC_BYTES) {
		return SL_NOT_FOUND;
	}
	if (code == SL_OK) {
		memcpy(out, identity->box_key.data, SL_BOX_PUBLIC_BYTES);
	}
	return code;
}

sl_code sealing_config(void *ctx, const struct store_view *view,
		       const struct fleet_config_request *request, struct sl_buf *ret_box,
		       struct sl_err *err)
{
	const struct sealing *sealing = ctx;
	uint8_t key[SL_BOX_PUBLIC_BYTES];
	sl_code code = find_key(sealing, view, request, key, err);
	const struct box_wish wish = {
	    .workspace = request->workspace,
	    .environment = request->environment,
	    .app_id = request->app_id,
	    .instance_id = request->instance_id,
	    .required = request->required,
	    .stamp = request->stamp,
	    .to = key,
	};
	return code != SL_OK ? code : boxes_seal(sealing->boxes, view, &wish, ret_box, err);
}

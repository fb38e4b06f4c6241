/* Values of config for agents: told before the manifest that names their stamp, each once: the
 * agent keeps them, and says at Hello which it has. */
#include <stdlib.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/own.h"
#include "base/pb/pb.h"
#include "server/fleet/fleet_internal.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

enum { LISTED_MAX = 20, TEXT_MAX = 500 };

static uint64_t start_of(const uint8_t stamp[static SL_HASH_BYTES])
{
	uint64_t start = sl_get_be64(stamp);
	return start == 0 ? 1 : start;
}

void fleet_configs_hello(struct fleet_session *session, const Sluice__V1__AgentHello *hello)
{
	session->has_box_key = hello->box_key.len == SL_BOX_PUBLIC_BYTES;
	if (session->has_box_key) {
		memcpy(session->box_key, hello->box_key.data, SL_BOX_PUBLIC_BYTES);
	}
	for (size_t i = 0; i < hello->n_inventory; i++) {
		const Sluice__V1__AppInventory *item = hello->inventory[i];
		struct fleet_slot *slot = fleet_session_slot(session, item->app_id);
		if (slot != NULL && item->config.len == SL_HASH_BYTES) {
			slot->told_config = start_of(item->config.data);
		}
	}
}

/* --- telling -------------------------------------------------------------------------------- */

static bool sign(struct fleet *fleet, const struct fleet_session *session,
		 Sluice__V1__AgentConfig *config, uint8_t signature[static SL_SIGNATURE_BYTES])
{
	uint8_t words[VOUCH_CONFIG_MAX];
	const struct vouch_config said = {.instance_id = session->unit->id,
					  .app_id = config->app_id,
					  .stamp = config->stamp.data,
					  .box = SL_BYTES(config->box.data, config->box.len)};
	if (fleet->key.epoch == 0) {
		return true;
	}
	size_t size = vouch_config(&said, words);
	config->key_epoch = fleet->key.epoch;
	config->signature = (ProtobufCBinaryData){.data = signature, .len = SL_SIGNATURE_BYTES};
	return size > 0 && fleet_sign(fleet, VOUCH_CONFIG, SL_BYTES(words, size), signature);
}

static bool send_config(struct fleet *fleet, struct fleet_session *session,
			const struct fleet_slot *slot, const struct sl_buf *box)
{
	uint8_t signature[SL_SIGNATURE_BYTES];
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	Sluice__V1__AgentConfig config = SLUICE__V1__AGENT_CONFIG__INIT;
	config.app_id = slot->app->id;
	config.stamp =
	    (ProtobufCBinaryData){.data = slot->entry->values->stamp, .len = SL_HASH_BYTES};
	config.box = (ProtobufCBinaryData){.data = box->data, .len = box->size};
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_CONFIG;
	response.config = &config;
	return sign(fleet, session, &config, signature) &&
	       fleet_session_send(session, &response, 0) == SL_OK;
}

/* The agent waits for it, until something changes or it dials again. */
static void note_failure(const struct fleet_session *session, const struct fleet_slot *slot,
			 const char *error)
{
	struct fleet_values *values = slot->entry->values;
	if (values->error == NULL || strcmp(values->error, error) != 0) {
		log_error("config-not-told", "instance=%s app=%s error=%s",
			  session->unit->record->name, slot->app->id, SL_QUOTE(error));
	}
	fleet_unit_set_text(&values->error, error);
}

/* False: not now. */
static bool tell_one(struct fleet *fleet, struct fleet_session *session,
		     const struct store_view *view, struct fleet_slot *slot)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_buf_fini) struct sl_buf box = {0};
	struct fleet_values *values = slot->entry->values;
	const struct fleet_unit *unit = session->unit;
	const struct fleet_config_request request = {
	    .workspace = unit->workspace,
	    .environment = unit->record->environment,
	    .instance_id = unit->id,
	    .app_id = slot->app->id,
	    .identity_id = unit->record->identity_id,
	    .box_key = session->has_box_key ? SL_BYTES(session->box_key, SL_BOX_PUBLIC_BYTES)
					    : SL_BYTES_NONE,
	    .required = SL_BYTES(values->required, values->size),
	    .stamp = values->stamp,
	};
	sl_code code = fleet->options.config(fleet->options.config_ctx, view, &request, &box, &err);
	if (code == SL_ABORTED) {
		return true; /* what changed is on its way to us, and another stamp with it */
	}
	if (code == SL_OK && !send_config(fleet, session, slot, &box)) {
		return false;
	}
	if (code == SL_OK) {
		fleet_unit_set_text(&values->error, "");
	} else if (code != SL_NOT_FOUND) {
		note_failure(session, slot, err.msg);
	}
	slot->told_config = start_of(values->stamp);
	return true;
}

bool fleet_configs_tell(struct fleet *fleet, struct fleet_session *session)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	for (size_t i = 0; fleet->options.config != NULL && i < session->slot_count; i++) {
		struct fleet_slot *slot = &session->slots[i];
		const struct fleet_values *values = slot->entry->values;
		if (values == NULL || slot->told_config == start_of(values->stamp)) {
			continue;
		}
		if (view == NULL && store_view_begin(fleet->options.store, &view, NULL) != SL_OK) {
			return false;
		}
		if (!tell_one(fleet, session, view, slot)) {
			return false;
		}
	}
	return true;
}

/* --- what agents say of it ------------------------------------------------------------------- */

static size_t at_most(size_t count, size_t most)
{
	return count < most ? count : most;
}

static void cut(char *text, size_t most)
{
	if (strlen(text) > most) {
		text[most] = '\0';
	}
}

/* A copy within bounds: agents are not believed. NULL: none, or out of memory. */
static Sluice__V1__HeldConfig *copy_of(const Sluice__V1__HeldConfig *config)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	Sluice__V1__HeldConfig bounded = *config;
	bounded.n_missing = at_most(config->n_missing, LISTED_MAX);
	bounded.n_overrides = at_most(config->n_overrides, LISTED_MAX);
	bounded.stamp.len = config->stamp.len == SL_HASH_BYTES ? SL_HASH_BYTES : 0;
	bounded.current = false;
	struct sl_bytes packed = pb_pack(&arena, &bounded.base);
	Sluice__V1__HeldConfig *copy =
	    sluice__v1__held_config__unpack(NULL, packed.size, packed.data);
	for (size_t i = 0; copy != NULL && i < copy->n_missing; i++) {
		cut(copy->missing[i], TEXT_MAX);
	}
	for (size_t i = 0; copy != NULL && i < copy->n_overrides; i++) {
		cut(copy->overrides[i], TEXT_MAX);
	}
	if (copy != NULL) {
		cut(copy->error, TEXT_MAX);
	}
	return copy;
}

static bool same(const Sluice__V1__HeldConfig *a, const Sluice__V1__HeldConfig *b)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	return a != NULL && b != NULL &&
	       sl_bytes_equal(pb_pack(&arena, &a->base), pb_pack(&arena, &b->base));
}

bool fleet_status_set_config(struct fleet_status *status, const Sluice__V1__HeldConfig *config)
{
	Sluice__V1__HeldConfig *fresh = config != NULL ? copy_of(config) : NULL;
	bool changed = fresh != status->config && !same(fresh, status->config);
	if (status->config != NULL) {
		sluice__v1__held_config__free_unpacked(status->config, NULL);
	}
	status->config = fresh;
	return changed;
}

void fleet_configs_standing(struct fleet *fleet, const struct fleet_unit *unit, const char *app_id,
			    const Sluice__V1__HeldConfig *held, struct fleet_standing *standing)
{
	const struct fleet_app *app = fleet_app_find(fleet, app_id);
	const struct fleet_entry *entry = app != NULL ? fleet_app_entry(app, unit) : NULL;
	const struct fleet_values *values = entry != NULL ? entry->values : NULL;
	standing->config = held;
	if (values == NULL) {
		return;
	}
	standing->config_required = true;
	standing->config_current = held != NULL && held->stamp.len == SL_HASH_BYTES &&
				   memcmp(held->stamp.data, values->stamp, SL_HASH_BYTES) == 0;
	if (standing->config_current) {
		return;
	}
	bool keyless = unit->session != NULL && !unit->session->has_box_key &&
		       unit->record->identity_id[0] == '\0';
	const char *error = values->error != NULL ? values->error : "";
	standing->config_error =
	    keyless ? "its agent has no key that values can be sealed to" : error;
}

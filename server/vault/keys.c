/* Workspaces' keys: wrapped by a master key in the store, bare only while they are used. */
#include <string.h>

#include "base/crypto/crypto.h"
#include "server/vault/vault_internal.h"

void vault_key_fini(struct vault_key *key)
{
	sl_secret_free(SL_TAKE(key->bytes));
	key->number = 0;
}

struct record_key vault_key_key(uint32_t workspace, uint32_t number)
{
	return KEY(workspace, key_u32(k, number));
}

/* What a wrapped key belongs to. */
static struct sl_bytes place_of(uint32_t workspace, uint32_t number, uint8_t out[static 64])
{
	static const char label[] = "sluice workspace key v1";
	memcpy(out, label, sizeof(label));
	sl_put_be32(out + sizeof(label), workspace);
	sl_put_be32(out + sizeof(label) + 4, number);
	return SL_BYTES(out, sizeof(label) + 8);
}

sl_code vault_key_wrap(const struct master *master, struct decision *d, uint32_t workspace,
		       const struct vault_key *key, Sluice__Store__V1__WorkspaceKeyRecord *record,
		       struct sl_err *err)
{
	uint8_t place[64];
	record->wrapped = (ProtobufCBinaryData){.data = sl_arena_alloc(d->arena, WRAPPED_BYTES),
						.len = WRAPPED_BYTES};
	record->master_id = (ProtobufCBinaryData){
	    .data = sl_arena_dup(d->arena, master->id, MASTER_ID_BYTES), .len = MASTER_ID_BYTES};
	if (record->wrapped.data == NULL || record->master_id.data == NULL) {
		return sl_err_no_memory(err);
	}
	record->number = key->number;
	record->revision = d->revision;
	sl_aead_seal(master->bytes, SL_BYTES(key->bytes, VAULT_KEY_BYTES),
		     place_of(workspace, key->number, place), record->wrapped.data);
	return SL_OK;
}

static sl_code foreign(const struct vault *vault, struct sl_err *err)
{
	return sl_err_set(
	    err, SL_FAILED_PRECONDITION,
	    "the master key '%s' is not the one that this store was written with: put "
	    "that one there (a copy is in what `sluiced keys export` made), or forget "
	    "what is sealed with `sluiced vault reset`",
	    vault->path);
}

sl_code vault_key_open(struct vault *vault, uint32_t workspace,
		       const Sluice__Store__V1__WorkspaceKeyRecord *record,
		       struct vault_key *ret_key, struct sl_err *err)
{
	uint8_t place[64];
	SL_AUTO(sl_secret_free_auto) void *bytes = sl_secret_new(VAULT_KEY_BYTES);
	struct sl_bytes wrapped = SL_BYTES(record->wrapped.data, record->wrapped.len);
	if (bytes == NULL) {
		return sl_err_no_memory(err);
	}
	pthread_mutex_lock(&vault->lock);
	bool locked = vault_is_locked(vault);
	const struct master *master =
	    master_of(vault, SL_BYTES(record->master_id.data, record->master_id.len));
	bool opened =
	    master != NULL && wrapped.size == WRAPPED_BYTES &&
	    sl_aead_open(master->bytes, wrapped, place_of(workspace, record->number, place), bytes);
	pthread_mutex_unlock(&vault->lock);
	if (locked) {
		return vault_locked(err);
	}
	if (master == NULL) {
		return foreign(vault, err);
	}
	if (!opened) {
		return sl_err_set(err, SL_DATA_LOSS,
				  "key %u of workspace %u does not open: it was changed, or put "
				  "there from elsewhere",
				  record->number, workspace);
	}
	ret_key->number = record->number;
	ret_key->bytes = SL_TAKE(bytes);
	return SL_OK;
}

sl_code vault_key_get(struct vault *vault, const struct store_view *view, uint32_t workspace,
		      uint32_t number, struct vault_key *ret_key, struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	Sluice__Store__V1__WorkspaceKeyRecord *record = NULL;
	struct record_key key = vault_key_key(workspace, number);
	sl_code code =
	    record_get(view, &arena, TABLE_WORKSPACE_KEYS, &key,
		       &sluice__store__v1__workspace_key_record__descriptor, &record, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_DATA_LOSS, "workspace %u has no key %u", workspace,
				  number);
	}
	return code != SL_OK ? code : vault_key_open(vault, workspace, record, ret_key, err);
}

sl_code vault_key_newest(struct vault *vault, const struct store_view *view, uint32_t workspace,
			 struct vault_key *ret_key, struct sl_err *err)
{
	struct record_key prefix = key_of(workspace);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_WORKSPACE_KEYS, key_bytes(&prefix), STORE_BACKWARD);
	if (!store_walk_next(&walk)) {
		sl_code code = store_walk_result(&walk, err);
		return code == SL_OK ? SL_NOT_FOUND : code;
	}
	uint32_t number = sl_get_be32(walk.key.data + 4);
	return vault_key_get(vault, view, workspace, number, ret_key, err);
}

sl_code vault_key_make(struct vault *vault, struct decision *d, uint32_t number,
		       struct vault_key *ret_key, struct sl_err *err)
{
	SL_AUTO(vault_key_fini)
	struct vault_key key = {.number = number, .bytes = sl_secret_new(VAULT_KEY_BYTES)};
	Sluice__Store__V1__WorkspaceKeyRecord record =
	    SLUICE__STORE__V1__WORKSPACE_KEY_RECORD__INIT;
	if (key.bytes == NULL) {
		return sl_err_no_memory(err);
	}
	sl_random(key.bytes, VAULT_KEY_BYTES);
	record.created_ms = d->now_ms;
	pthread_mutex_lock(&vault->lock);
	/* While the master key changes, what is new is wrapped with the next one at once. */
	const struct master *master = vault->next.bytes != NULL ? &vault->next : &vault->now;
	sl_code code = master->bytes == NULL
			   ? vault_locked(err)
			   : vault_key_wrap(master, d, d->workspace, &key, &record, err);
	pthread_mutex_unlock(&vault->lock);
	if (code != SL_OK) {
		return code;
	}
	struct record_key at = vault_key_key(d->workspace, number);
	decision_put(d, TABLE_WORKSPACE_KEYS, &at, &record.base);
	*ret_key = key;
	key.bytes = NULL;
	return SL_OK;
}

sl_code vault_check(struct vault *vault, const struct store_view *view, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_WORKSPACE_KEYS, SL_BYTES_NONE, STORE_FORWARD);
	while (!vault_is_locked(vault) && store_walk_next(&walk)) {
		SL_AUTO(sl_arena_fini) struct sl_arena arena;
		SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
		Sluice__Store__V1__WorkspaceKeyRecord *record = NULL;
		sl_arena_init(&arena, 0);
		sl_code code = record_unpack(&arena, walk.value,
					     &sluice__store__v1__workspace_key_record__descriptor,
					     &record, err);
		code = code != SL_OK
			   ? code
			   : vault_key_open(vault, sl_get_be32(walk.key.data), record, &key, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
}

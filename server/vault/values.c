#include <string.h>

#include "server/vault/vault_internal.h"

enum { PLACE_MAX = 64 + VAULT_NAME_MAX };

static struct record_key key_at(const struct vault_place *place)
{
	return KEY(place->workspace, key_u32(k, place->kind), key_text(k, place->name),
		   key_u32(k, place->environment));
}

/* What a value belongs to: everything but the bytes themselves. */
static struct sl_bytes bind(const struct vault_place *place, uint32_t key_number, uint64_t revision,
			    uint8_t out[static PLACE_MAX])
{
	static const char label[] = "sluice value v1";
	uint8_t *at = out;
	memcpy(at, label, sizeof(label));
	at += sizeof(label);
	sl_put_be32(at, place->workspace);
	sl_put_be32(at + 4, place->kind);
	sl_put_be32(at + 8, place->environment);
	sl_put_be32(at + 12, key_number);
	sl_put_be64(at + 16, revision);
	at += 24;
	memcpy(at, place->name, strlen(place->name) + 1);
	return SL_BYTES(out, (size_t)(at - out) + strlen(place->name) + 1);
}

static sl_code check_place(const struct vault_place *place, size_t size, struct sl_err *err)
{
	if (strlen(place->name) <= VAULT_NAME_MAX && size <= VAULT_VALUE_MAX) {
		return SL_OK;
	}
	return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
			      "a sealed value must have at most %d bytes, its name %d",
			      VAULT_VALUE_MAX, VAULT_NAME_MAX);
}

/* The key that values of d's workspace are sealed with, made when there is none. */
static sl_code need_key(struct vault *vault, struct decision *d, struct vault_key *key,
			struct sl_err *err)
{
	if (vault_is_locked(vault)) {
		return vault_locked(err);
	}
	if (key->number != 0) {
		return SL_OK;
	}
	sl_code code = vault_key_newest(vault, d->view, d->workspace, key, err);
	return code != SL_NOT_FOUND ? code : vault_key_make(vault, d, 1, key, err);
}

static sl_code seal(struct decision *d, const struct vault_place *place, struct sl_bytes value,
		    const struct vault_key *key, Sluice__Store__V1__SealedRecord *record,
		    struct sl_err *err)
{
	uint8_t bound[PLACE_MAX];
	size_t size = value.size + SL_AEAD_EXTRA_BYTES;
	uint8_t *sealed = sl_arena_alloc(d->arena, size);
	if (sealed == NULL) {
		return sl_err_no_memory(err);
	}
	sl_aead_seal(key->bytes, value, bind(place, key->number, record->revision, bound), sealed);
	record->key_number = key->number;
	record->sealed = (ProtobufCBinaryData){.data = sealed, .len = size};
	struct record_key at = key_at(place);
	decision_put(d, TABLE_SEALED, &at, &record->base);
	return SL_OK;
}

sl_code vault_put(struct vault *vault, struct decision *d, const struct vault_place *place,
		  struct sl_bytes value, struct vault_key *key, struct sl_err *err)
{
	Sluice__Store__V1__SealedRecord record = SLUICE__STORE__V1__SEALED_RECORD__INIT;
	sl_code code = check_place(place, value.size, err);
	code = code != SL_OK ? code : need_key(vault, d, key, err);
	record.revision = d->revision;
	return code != SL_OK ? code : seal(d, place, value, key, &record, err);
}

void vault_remove(struct decision *d, const struct vault_place *place)
{
	struct record_key key = key_at(place);
	decision_delete(d, TABLE_SEALED, &key);
}

/* --- reading ----------------------------------------------------------------------------- */

static sl_code does_not_open(const struct vault_place *place, struct sl_err *err)
{
	return sl_err_set(
	    err, SL_DATA_LOSS,
	    "sealed value '%s' does not open: it was changed, is an older one, or was "
	    "put there from elsewhere",
	    place->name);
}

static sl_code open_value(const struct vault_key *key, const struct vault_place *place,
			  const Sluice__Store__V1__SealedRecord *record, char **ret_value,
			  size_t *ret_size, struct sl_err *err)
{
	uint8_t bound[PLACE_MAX];
	if (record->sealed.len < SL_AEAD_EXTRA_BYTES) {
		return does_not_open(place, err);
	}
	size_t size = record->sealed.len - SL_AEAD_EXTRA_BYTES;
	SL_AUTO(sl_secret_text_auto) char *value = sl_secret_new(size + 1);
	if (value == NULL) {
		return sl_err_no_memory(err);
	}
	if (!sl_aead_open(key->bytes, SL_BYTES(record->sealed.data, record->sealed.len),
			  bind(place, record->key_number, record->revision, bound),
			  (uint8_t *)value)) {
		return does_not_open(place, err);
	}
	*ret_value = SL_TAKE(value);
	*ret_size = size;
	return SL_OK;
}

sl_code vault_get(struct vault *vault, const struct store_view *view,
		  const struct vault_place *place, uint64_t revision, char **ret_value,
		  size_t *ret_size, struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
	Sluice__Store__V1__SealedRecord *record = NULL;
	sl_arena_init(&arena, 0);
	sl_code code = check_place(place, 0, err);
	if (code == SL_OK && vault_is_locked(vault)) {
		code = vault_locked(err);
	}
	if (code != SL_OK) {
		return code;
	}
	struct record_key at = key_at(place);
	code = record_get(view, &arena, TABLE_SEALED, &at,
			  &sluice__store__v1__sealed_record__descriptor, &record, err);
	if (code != SL_OK || record->sealed.len == 0) {
		return code != SL_OK ? code : SL_NOT_FOUND;
	}
	if (record->revision != revision) {
		return does_not_open(place, err);
	}
	code = vault_key_get(vault, view, place->workspace, record->key_number, &key, err);
	return code != SL_OK ? code : open_value(&key, place, record, ret_value, ret_size, err);
}

/* --- all of a workspace --------------------------------------------------------------------- */

/* Takes a key of the table apart. The walk's key lives as long as the walk stands there. */
static bool place_of(struct sl_bytes key, struct vault_place *ret_place)
{
	const uint8_t *nul = key.size < 13 ? NULL : memchr(key.data + 8, 0, key.size - 8);
	if (nul == NULL || nul + 5 != key.data + key.size) {
		return false;
	}
	*ret_place = (struct vault_place){
	    .workspace = sl_get_be32(key.data),
	    .kind = sl_get_be32(key.data + 4),
	    .name = (const char *)key.data + 8,
	    .environment = sl_get_be32(nul + 1),
	};
	return true;
}

struct reseal {
	struct vault *vault;
	struct decision *d;
	struct vault_key from, to;
};

static sl_code reseal_one(struct reseal *r, const struct store_walk *walk, struct sl_err *err)
{
	Sluice__Store__V1__SealedRecord *record = NULL;
	SL_AUTO(sl_secret_text_auto) char *value = NULL;
	struct vault_place place;
	size_t size = 0;
	sl_code code = record_unpack(r->d->arena, walk->value,
				     &sluice__store__v1__sealed_record__descriptor, &record, err);
	if (code != SL_OK || record->sealed.len == 0) {
		return code;
	}
	if (!place_of(walk->key, &place)) {
		return sl_err_set(err, SL_DATA_LOSS, "a sealed value has a malformed key");
	}
	if (r->from.number != record->key_number) {
		vault_key_fini(&r->from);
		code = vault_key_get(r->vault, r->d->view, place.workspace, record->key_number,
				     &r->from, err);
	}
	code = code != SL_OK ? code : open_value(&r->from, &place, record, &value, &size, err);
	return code != SL_OK ? code
			     : seal(r->d, &place, SL_BYTES(value, size), &r->to, record, err);
}

static sl_code reseal_all(struct reseal *r, struct sl_err *err)
{
	struct record_key prefix = key_of(r->d->workspace);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, r->d->view, TABLE_SEALED, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		sl_code code = reseal_one(r, &walk, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return store_walk_result(&walk, err);
}

sl_code vault_rotate_workspace(struct vault *vault, struct decision *d, struct sl_err *err)
{
	SL_AUTO(vault_key_fini) struct vault_key old = {.number = 0};
	struct reseal r = {.vault = vault, .d = d};
	if (vault_is_locked(vault)) {
		return vault_locked(err);
	}
	sl_code code = vault_key_newest(vault, d->view, d->workspace, &old, err);
	if (code == SL_NOT_FOUND) {
		return SL_OK; /* nothing was ever sealed */
	}
	code = code != SL_OK ? code : vault_key_make(vault, d, old.number + 1, &r.to, err);
	code = code != SL_OK ? code : reseal_all(&r, err);
	for (uint32_t number = old.number; code == SL_OK && number > 0; number--) {
		struct record_key key = vault_key_key(d->workspace, number);
		struct sl_bytes there;
		if (store_get(d->view, TABLE_WORKSPACE_KEYS, key_bytes(&key), &there, NULL) !=
		    SL_OK) {
			break; /* those before went with the rotation before */
		}
		decision_delete(d, TABLE_WORKSPACE_KEYS, &key);
	}
	vault_key_fini(&r.from);
	vault_key_fini(&r.to);
	return code;
}

/* --- reset ------------------------------------------------------------------------------------ */

static sl_code forget_keys(struct decision *d, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_WORKSPACE_KEYS, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		struct record_key key = {.size = walk.key.size};
		memcpy(key.data, walk.key.data, walk.key.size);
		decision_delete(d, TABLE_WORKSPACE_KEYS, &key);
	}
	return store_walk_result(&walk, err);
}

sl_code vault_reset(struct decision *d, uint64_t *ret_count, struct sl_err *err)
{
	uint64_t count = 0;
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_SEALED, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		struct record_key key = {.size = walk.key.size};
		memcpy(key.data, walk.key.data, walk.key.size);
		decision_delete(d, TABLE_SEALED, &key);
		count++;
	}
	sl_code code = store_walk_result(&walk, err);
	*ret_count = count;
	return code != SL_OK ? code : forget_keys(d, err);
}

#include "server/services/moves.h"

#include "base/crypto/crypto.h"
#include "base/mem/own.h"

sl_code moves_check_hash(const ProtobufCBinaryData *plan_hash, struct sl_err *err)
{
	if (plan_hash->len == 0 || plan_hash->len == SL_HASH_BYTES) {
		return SL_OK;
	}
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "plan_hash has %zu bytes, must have %d or none",
				      plan_hash->len, SL_HASH_BYTES);
	sl_err_field(err, "plan_hash", "32 bytes, or empty");
	return code;
}

sl_code moves_list_revisions(const struct service_read *read, struct moves_list *list,
			     struct sl_err *err)
{
	struct service_page page;
	struct sl_bytes next = SL_BYTES_NONE;
	if (list->scope == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = service_page_begin(read, list->page, list->scope, &page, err);
	if (code != SL_OK) {
		return code;
	}
	list->revisions = SL_ARENA_ARRAY(read->arena, uint64_t, page.size);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, read->view, list->table, key_bytes(&list->prefix), STORE_BACKWARD);
	if (page.from.size > 0) {
		store_walk_from(&walk, page.from);
	}
	while (list->revisions != NULL && store_walk_next(&walk)) {
		if (list->count == page.size) {
			next = walk.key;
			break;
		}
		list->revisions[list->count++] = sl_get_be64(walk.key.data + walk.key.size - 8);
	}
	list->info = service_page_end(read, &page, next);
	return store_walk_result(&walk, err);
}

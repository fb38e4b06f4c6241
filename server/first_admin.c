#include "server/first_admin.h"

#include "server/records/bootstrap.h"
#include "server/records/principals.h"
#include "server/records/records.h"
#include "server/store/store.h"

enum { QUEUE_MAX = 16 };
#define MAP_BYTES (64ULL << 30) /* sparse; a larger store keeps its size */

sl_code server_first_admin(const char *data, const struct sl_token_key *key, uint64_t now_ms,
			   uint64_t life_ms, char **ret_text, struct sl_err *err)
{
	const struct store_options options = {
	    .path = data,
	    .map_bytes = MAP_BYTES,
	    .queue_max = QUEUE_MAX,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	};
	struct store *store = NULL;
	sl_code code = store_open(&options, &store, err);
	code = code != SL_OK ? code : records_bootstrap(store, now_ms, err);
	code =
	    code != SL_OK ? code : records_first_admin(store, key, now_ms, life_ms, ret_text, err);
	store_free(store);
	return code;
}

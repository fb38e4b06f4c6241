#include "server/offline.h"

#include "server/records/records.h"

enum { QUEUE_MAX = 16 };
#define MAP_BYTES (64ULL << 30) /* sparse; a larger store keeps its size */

sl_code server_open_offline(const char *data, struct store **ret_store, struct sl_err *err)
{
	const struct store_options options = {
	    .path = data,
	    .map_bytes = MAP_BYTES,
	    .queue_max = QUEUE_MAX,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	};
	return store_open(&options, ret_store, err);
}

#include "server/first_admin.h"

#include "server/offline.h"
#include "server/records/bootstrap.h"
#include "server/records/principals.h"

sl_code server_first_admin(const char *data, const struct sl_token_key *key, uint64_t now_ms,
			   uint64_t life_ms, char **ret_text, struct sl_err *err)
{
	struct store *store = NULL;
	sl_code code = server_open_offline(data, &store, err);
	code = code != SL_OK ? code : records_bootstrap(store, now_ms, err);
	code =
	    code != SL_OK ? code : records_first_admin(store, key, now_ms, life_ms, ret_text, err);
	store_free(store);
	return code;
}

#include "server/records/pinned.h"

#include <string.h>

sl_code pinned_commits(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		       const char *app_id, const char **ret_ids, struct sl_err *err)
{
	struct record_key prefix = KEY(workspace, key_text(k, app_id));
	const char *ids = "";
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_VERSIONS, key_bytes(&prefix), STORE_BACKWARD);
	for (int count = 0; count < PINNED_MAX && ids != NULL && store_walk_next(&walk);) {
		Sluice__Store__V1__VersionRecord *version = NULL;
		sl_code code =
		    record_unpack(arena, walk.value, &sluice__store__v1__version_record__descriptor,
				  &version, err);
		if (code != SL_OK) {
			return code;
		}
		const char *commit = version->content == NULL ? "" : version->content->commit;
		if (commit[0] != '\0' && strstr(ids, commit) == NULL) {
			ids = sl_arena_printf(arena, "%s%s%s", ids, count == 0 ? "" : " ", commit);
			count++;
		}
	}
	*ret_ids = ids;
	return ids == NULL ? sl_err_no_memory(err) : store_walk_result(&walk, err);
}

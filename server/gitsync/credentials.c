/* Who the server is to each repository's host. */
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"
#include "server/gitsync/jobs.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

sl_code gitsync_login(const struct gitsync_options *options,
		      const struct gitsync_repository *repository, bool push, bool next,
		      struct repository_login *ret_login, struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(options->store, &view, err);
	return code != SL_OK
		   ? code
		   : logins_open(options->vault, view, repository->workspace, repository->record,
				 (struct login_wish){.push = push, .next = next}, ret_login, err);
}

sl_code gitsync_repository_find(const struct gitsync_options *options, const char *id,
				struct sl_arena *arena, struct gitsync_repository *ret_repository,
				struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	SL_AUTO(store_walk_end) struct store_walk walk = {.cursor = NULL};
	sl_code code = store_view_begin(options->store, &view, err);
	if (code != SL_OK) {
		return code;
	}
	store_walk_begin(&walk, view, TABLE_WORKSPACE_NUMBERS, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		ret_repository->workspace = sl_get_be32(walk.key.data);
		code = repository_get(view, arena, ret_repository->workspace, id,
				      &ret_repository->record, err);
		if (code != SL_NOT_FOUND) {
			return code;
		}
	}
	code = store_walk_result(&walk, err);
	return code != SL_OK ? code : sl_err_set(err, SL_NOT_FOUND, "repository %s is gone", id);
}

/* commits: what one says, for who makes it: gitsync, or the agent of an instance. */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/mem/own.h"
#include "server/records/commits.h"

const char *commit_folder_of(const char *path)
{
	return strcmp(path, ".") == 0 ? "" : path;
}

const char *commit_record_path(struct sl_arena *arena, const Sluice__Store__V1__AppRecord *app)
{
	return commit_folder_of(app->path)[0] == '\0'
		   ? ""
		   : sl_arena_printf(arena, ".sluice/apps/%s.json", app->id);
}

/* Keys in order. */
char *commit_record(struct sl_arena *arena, const Sluice__Store__V1__OwedCommit *commit,
		    const char *path)
{
	char at[SL_CLOCK_TEXT_SIZE];
	struct sl_json_writer json = {.style = SL_JSON_PRETTY};
	sl_json_open_object(&json, NULL);
	sl_json_open_object(&json, "commit");
	sl_json_put_text(&json, "author", commit->author);
	sl_json_put_text(&json, "date", sl_clock_text(at, commit->at_ms));
	sl_json_put_text(&json, "message", commit->message);
	sl_json_close(&json);
	sl_json_put_text(&json, "name", commit->app_name);
	sl_json_put_text(&json, "path", path);
	sl_json_put_text(&json, "version", commit->newest_version);
	sl_json_close(&json);
	SL_AUTO(sl_free_auto) char *text = sl_json_finish(&json);
	return text == NULL ? NULL : sl_arena_strdup(arena, text);
}

const char *commit_known_tip(const Sluice__Store__V1__RepositoryRecord *repository,
			     const Sluice__Store__V1__BranchRecord *branch, struct sl_arena *arena)
{
	const char *name = repository->branch;
	bool full = strncmp(name, "refs/", 5) == 0;
	const char *ref = sl_arena_printf(arena, "%s%s", full ? "" : "refs/heads/", name);
	bool same =
	    branch != NULL && ref != NULL && (name[0] == '\0' || strcmp(branch->ref, ref) == 0);
	return same ? branch->tip : "";
}

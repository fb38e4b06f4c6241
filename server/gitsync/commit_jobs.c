/* What a commit that is owed asks of Git. */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/mem/own.h"
#include "server/gitsync/jobs.h"

/* The app's file in .sluice/apps: the same state makes the same bytes. Keys in order. */
static char *record_text(const struct gitsync_item *item, const char *path)
{
	const Sluice__Store__V1__OwedCommit *commit = item->owed->commit;
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
	return sl_json_finish(&json);
}

/* Where the branch was when Sluice wrote on it last; "": it is another branch, or the first time.
 */
static const char *known_tip(const struct gitsync_item *item, struct sl_arena *arena)
{
	const char *branch = item->repository->branch;
	bool full = strncmp(branch, "refs/", 5) == 0;
	const char *ref = sl_arena_printf(arena, "%s%s", full ? "" : "refs/heads/", branch);
	bool same = item->branch != NULL && ref != NULL &&
		    (branch[0] == '\0' || strcmp(item->branch->ref, ref) == 0);
	return same ? item->branch->tip : "";
}

void gitsync_commit_job(const struct gitsync_item *item, const char *data, struct git_job *job,
			struct sl_arena *arena)
{
	const Sluice__Store__V1__OwedCommit *commit = item->owed->commit;
	bool moves = commit->move_to[0] != '\0';
	const char *path = moves ? commit->move_to : item->app->path;
	char *text = record_text(item, path);
	job->op = GIT_COMMIT;
	job->ref = item->repository->branch;
	job->commit = known_tip(item, arena);
	job->author = commit->author;
	job->operation = commit->id;
	job->message = commit->message;
	job->unix_s = commit->at_ms / 1000u;
	job->path = strcmp(path, ".") == 0 ? "" : path;
	job->move_from = moves && strcmp(path, item->app->path) != 0 ? item->app->path : "";
	/* The record of an app that is the whole repository would be part of the app. */
	job->record_path = job->path[0] == '\0'
			       ? ""
			       : sl_arena_printf(arena, ".sluice/apps/%s.json", item->app->id);
	job->record = text == NULL ? NULL : sl_arena_strdup(arena, text);
	free(text);
	if (item->owed->version != 0) {
		job->archive = gitsync_upload_path(arena, data, commit->upload);
		job->other_commit = commit->made_from;
		job->onto = commit->onto;
	}
}

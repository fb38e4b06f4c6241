/* What a commit that is owed asks of Git. */
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/jobs.h"
#include "server/records/commits.h"

static void fill_content(const Sluice__Store__V1__OwedCommit *commit, const char *data,
			 struct git_job *job, struct sl_arena *arena)
{
	if (commit->instance_id[0] != '\0') { /* its instance has made it, or nobody does */
		job->look = true;
		job->revision = commit->told;
		return;
	}
	job->archive = gitsync_upload_path(arena, data, commit->upload);
	job->other_commit = commit->made_from;
	job->onto = commit->onto;
}

void gitsync_commit_job(const struct gitsync_item *item, const char *data, struct git_job *job,
			struct sl_arena *arena)
{
	const Sluice__Store__V1__OwedCommit *commit = item->owed->commit;
	bool moves = commit->move_to[0] != '\0';
	const char *path = moves ? commit->move_to : item->app->path;
	job->op = GIT_COMMIT;
	job->ref = item->repository->branch;
	job->commit = commit_known_tip(item->repository, item->branch, arena);
	job->author = commit->author;
	job->operation = commit->id;
	job->message = commit->message;
	job->unix_s = commit->at_ms / 1000u;
	job->path = commit_folder_of(path);
	job->move_from = moves && strcmp(path, item->app->path) != 0 ? item->app->path : "";
	job->record_path = commit_record_path(arena, item->app);
	job->record = commit_record(arena, commit, path);
	if (item->owed->version != 0) {
		fill_content(commit, data, job, arena);
	}
}

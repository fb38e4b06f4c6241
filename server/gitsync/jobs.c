#include "server/gitsync/jobs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/records/commits.h"

static sl_code load_commit(struct gitsync_item *item, const struct store_view *view,
			   struct sl_err *err)
{
	sl_code code = branch_get(view, &item->arena, item->workspace, item->owed->repository_id,
				  &item->branch, err);
	return code == SL_NOT_FOUND ? SL_OK : code;
}

static sl_code load_publication(struct gitsync_item *item, const struct store_view *view,
				struct sl_err *err)
{
	const Sluice__Store__V1__OwedRecord *owed = item->owed;
	uint32_t ws = item->workspace;
	sl_code code = publication_get(view, &item->arena, ws, owed->app_id, owed->version,
				       &item->publication, err);
	if (code != SL_OK) {
		return code;
	}
	code = publication_before(view, &item->arena, ws, owed->app_id, owed->version,
				  &item->before, err);
	if (code == SL_NOT_FOUND) {
		item->before = NULL;
		return SL_OK;
	}
	return code;
}

static sl_code load_version(struct gitsync_item *item, const struct store_view *view,
			    struct sl_err *err)
{
	const Sluice__Store__V1__OwedRecord *owed = item->owed;
	uint32_t ws = item->workspace;
	sl_code code =
	    version_get(view, &item->arena, ws, owed->app_id, owed->version, &item->version, err);
	if (code == SL_OK && item->version->content == NULL) {
		code = SL_NOT_FOUND;
	}
	if (code == SL_OK && owed->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH) {
		code = load_publication(item, view, err);
	}
	return code;
}

sl_code gitsync_item_load(struct gitsync_item *item, const struct store_view *view,
			  struct sl_err *err)
{
	const Sluice__Store__V1__OwedRecord *owed = item->owed;
	uint32_t ws = item->workspace;
	sl_code code =
	    repository_get(view, &item->arena, ws, owed->repository_id, &item->repository, err);
	code =
	    code != SL_OK ? code : app_get(view, &item->arena, ws, owed->app_id, &item->app, err);
	if (code != SL_OK) {
		return code;
	}
	if (owed->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_COMMIT) {
		return owed->commit != NULL ? load_commit(item, view, err) : SL_NOT_FOUND;
	}
	return load_version(item, view, err);
}

static void resolve_job(const struct gitsync_item *item, struct git_job *job)
{
	job->op = GIT_RESOLVE;
	job->revision = item->version->content->asked;
	job->ref = item->repository->branch;
	job->path = commit_folder_of(item->version->path);
}

static void publish_job(const struct gitsync_item *item, struct git_job *job,
			struct sl_arena *arena)
{
	char digest[2 * SL_HASH_BYTES + 1] = "";
	const Sluice__Store__V1__ContentRecord *content = item->version->content;
	if (content->digest.len == SL_HASH_BYTES) {
		(void)sl_hex(digest, content->digest.data, SL_HASH_BYTES);
	}
	job->op = GIT_PUBLISH;
	job->commit = content->commit;
	job->path = commit_folder_of(item->version->path);
	job->ref = item->publication->ref;
	job->other_commit = item->before != NULL ? item->before->commit : "";
	job->unix_s = item->version->sealed_ms / 1000u;
	job->message = sl_arena_printf(arena, "app %s\nversion %s\ndigest %s\n", item->app->id,
				       item->version->id, digest);
}

static bool mirror_lacks_it(const struct git_result *result)
{
	return result->failure == GIT_COMMIT_GONE || result->failure == GIT_MIRROR_CORRUPT;
}

/* The mirror was lost since the version was resolved: get the very commit again. */
static sl_code fetch_again(const struct gitsync_item *item, const struct git_job *like,
			   const struct gitsync_worker_options *worker, struct git_result *result,
			   struct sl_err *err)
{
	struct git_job job = *like;
	const Sluice__Store__V1__ContentRecord *content = item->version->content;
	job.op = content->ref[0] != '\0' ? GIT_FETCH : GIT_RESOLVE;
	job.ref = content->ref;
	job.revision = content->commit;
	if (result->failure == GIT_MIRROR_CORRUPT) {
		gitsync_remove_tree(job.mirror);
	}
	git_result_fini(result);
	return git_run(&job, worker->stop, worker->ctx, result, err);
}

static void fill_job(const struct gitsync_item *item, const char *data, struct git_job *job,
		     struct sl_arena *arena)
{
	switch (item->owed->kind) {
	case SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH:
		publish_job(item, job, arena);
		break;
	case SLUICE__STORE__V1__OWED_KIND__OWED_KIND_COMMIT:
		gitsync_commit_job(item, data, job, arena);
		break;
	default:
		resolve_job(item, job);
		break;
	}
}

sl_code gitsync_item_run(const struct gitsync_item *item,
			 const struct gitsync_worker_options *worker, struct git_result *ret_result,
			 struct sl_err *err)
{
	SL_AUTO(repository_login_fini) struct repository_login login = {.secret = NULL};
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct git_job job = {
	    .mirror = gitsync_mirror_path(&arena, worker->options->data, item->repository->id),
	    .url = item->repository->url,
	    .allow_local = worker->options->allow_local,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = worker->options->deadline_ms,
	};
	bool publish = item->owed->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH;
	fill_job(item, worker->options->data, &job, &arena);
	if (job.archive != NULL && access(job.archive, R_OK) != 0 && errno == ENOENT) {
		ret_result->failure = GIT_COMMIT_GONE;
		sl_text_copy(ret_result->text, sizeof(ret_result->text),
			     "the files that were uploaded are gone, as after a day: push again");
		return SL_OK;
	}
	bool says_all = job.op != GIT_COMMIT || job.record != NULL;
	if (sl_arena_failed(&arena) || !says_all) {
		return sl_err_no_memory(err);
	}
	const struct gitsync_repository repository = {.workspace = item->workspace,
						      .record = item->repository};
	if (gitsync_login(worker->options, &repository, publish || job.op == GIT_COMMIT, false,
			  &login, err) != SL_OK) {
		ret_result->failure = GIT_LOGIN_REFUSED; /* somebody has to set what is missing */
		sl_text_copy(ret_result->text, sizeof(ret_result->text), err->msg);
		sl_err_clear(err);
		return SL_OK;
	}
	job.login = login.git;
	sl_code code = git_run(&job, worker->stop, worker->ctx, ret_result, err);
	if (code == SL_OK && mirror_lacks_it(ret_result) &&
	    (publish || ret_result->failure == GIT_MIRROR_CORRUPT)) {
		code = publish ? fetch_again(item, &job, worker, ret_result, err) : SL_OK;
		if (!publish) {
			gitsync_remove_tree(job.mirror);
		}
		bool again = code == SL_OK && (!publish || ret_result->failure == GIT_OK);
		if (again) {
			git_result_fini(ret_result);
			code = git_run(&job, worker->stop, worker->ctx, ret_result, err);
		}
	}
	return code;
}

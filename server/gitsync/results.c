/* What became of a job, as a command. */
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/gitsync/jobs.h"
#include "server/records/commits.h"
#include "server/records/pushes.h"
#include "server/records/versions.h"

enum { BACKOFF_MIN_MS = 1000 };

/* A command that its submitter waits for. */
struct result_cmd {
	struct store_cmd cmd;
	struct sl_arena arena;
	uint64_t now_ms;
	uint32_t workspace;
	const struct gitsync_item *item; /* NULL: drop `key` */
	const struct git_result *result;
	uint64_t next_ms;
	struct sl_bytes key;
};

/* What the job found, as content of the version that it was owed for. */
static struct version_content_result content_result(struct decision *d, const struct result_cmd *c)
{
	const Sluice__Store__V1__OwedRecord *owed = c->item->owed;
	struct version_content_result result = gitsync_content(d->arena, c->result);
	result.app_id = owed->app_id;
	result.version = owed->version;
	result.generation = owed->generation;
	result.next_ms = c->next_ms;
	return result;
}

static sl_code decide_content(struct decision *d, const struct result_cmd *c, struct sl_err *err)
{
	const struct version_content_result result = content_result(d, c);
	return versions_decide_content_result(d, &result, err);
}

static sl_code decide_publish(struct decision *d, const struct result_cmd *c, struct sl_err *err)
{
	const struct version_publish_result result = {
	    .app_id = c->item->owed->app_id,
	    .version = c->item->owed->version,
	    .reason = gitsync_reason(c->result->failure),
	    .text = c->result->text,
	    .commit = c->result->commit,
	    .next_ms = c->next_ms,
	};
	return versions_decide_publish_result(d, &result, err);
}

/* An instance was to push, and nothing of it is there. */
static void tell_none(struct decision *d, const struct result_cmd *c,
		      struct version_content_result *content)
{
	const Sluice__Store__V1__OwedCommit *commit = c->item->owed->commit;
	if (commit->instance_id[0] != '\0' && c->result->failure == GIT_COMMIT_GONE) {
		content->reason = push_reason(commit);
		content->text = push_text(d->arena, commit);
	}
}

static sl_code decide_commit(struct decision *d, const struct result_cmd *c, struct sl_err *err)
{
	const struct git_result *r = c->result;
	struct version_content_result content = content_result(d, c);
	tell_none(d, c, &content);
	const struct commit_result result = {
	    .repository_id = c->item->owed->repository_id,
	    .revision = c->item->owed->revision,
	    .failure = r->failure == GIT_OK ? "" : git_failure_name(r->failure),
	    .transient = git_failure_is_transient(r->failure),
	    .text = r->text,
	    .next_ms = c->next_ms,
	    .ref = r->ref,
	    .tip = r->tip,
	    .content = &content,
	};
	return commits_decide_result(d, &result, err);
}

/* A result that nobody wants any more ends what it was owed for: the row would be taken up again at
 * once, and for ever. One that was asked for anew meanwhile stays. */
static sl_code drop_unwanted(struct decision *d, const struct result_cmd *c, struct sl_err *err)
{
	const Sluice__Store__V1__OwedRecord *done_for = c->item->owed;
	struct record_key key = owed_key_of(d->workspace, done_for);
	Sluice__Store__V1__OwedRecord *owed = NULL;
	sl_code code = record_get(d->view, d->arena, TABLE_OWED, &key,
				  &sluice__store__v1__owed_record__descriptor, &owed, err);
	if (code == SL_OK && owed->generation == done_for->generation &&
	    owed->attempts == done_for->attempts) {
		decision_delete(d, TABLE_OWED, &key);
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

static sl_code decide_kind(struct decision *d, const struct result_cmd *c, struct sl_err *err)
{
	switch (c->item->owed->kind) {
	case SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH:
		return decide_publish(d, c, err);
	case SLUICE__STORE__V1__OWED_KIND__OWED_KIND_COMMIT:
		return decide_commit(d, c, err);
	default:
		return decide_content(d, c, err);
	}
}

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct result_cmd *c = SL_CONTAINER_OF(cmd, struct result_cmd, cmd);
	struct decision d = decision_own("gitsync", "gitsync", view, changes, &c->arena, c->now_ms);
	d.workspace = c->workspace;
	sl_code code = SL_OK;
	if (c->item == NULL) {
		store_changes_delete(changes, TABLE_OWED, c->key);
		d.changed = true;
	} else {
		code = decide_kind(&d, c, err);
	}
	if (code == SL_OK && !d.changed) {
		code = drop_unwanted(&d, c, err);
	}
	return decision_own_end(&d, code, err);
}

static sl_code run(struct store *store, struct result_cmd *c, struct sl_err *err)
{
	c->cmd.decide = decide;
	c->now_ms = sl_clock_unix_ms();
	sl_arena_init(&c->arena, 0);
	sl_code code = store_run(store, &c->cmd, err);
	sl_arena_fini(&c->arena);
	return code;
}

/* Doubles with every attempt, and up to a quarter more at random, so that many do not come back at
 * once. */
static uint64_t backoff_ms(uint32_t attempts)
{
	uint64_t pause =
	    attempts >= 9 ? GITSYNC_BACKOFF_MAX_MS : (uint64_t)BACKOFF_MIN_MS << attempts;
	uint32_t random;
	sl_random(&random, sizeof(random));
	pause = pause > GITSYNC_BACKOFF_MAX_MS ? GITSYNC_BACKOFF_MAX_MS : pause;
	return pause + random % (pause / 4);
}

sl_code gitsync_item_record(struct store *store, const struct gitsync_item *item,
			    const struct git_result *result, struct sl_err *err)
{
	struct result_cmd c = {.item = item, .result = result, .workspace = item->workspace};
	c.next_ms = sl_clock_unix_ms() + backoff_ms(item->owed->attempts);
	return run(store, &c, err);
}

sl_code gitsync_item_drop(struct store *store, uint32_t workspace, const struct sl_bytes *key,
			  struct sl_err *err)
{
	struct result_cmd c = {.workspace = workspace, .key = *key};
	c.cmd.shrinks = true;
	return run(store, &c, err);
}

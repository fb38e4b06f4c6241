#include "server/records/bootstrap.h"

#include <stdlib.h>
#include <string.h>

#include "server/records/audit.h"
#include "server/records/entries.h"
#include "server/records/placement.h"
#include "server/records/statuses.h"
#include "server/records/workspaces.h"

#define RETENTION "retention" /* the method that its log records name */

/* --- the first workspace ------------------------------------------------------ */

struct first {
	struct store_cmd cmd;
	struct sl_arena arena;
	uint64_t now_ms;
};

/* It writes nothing then, or once what an older store lacks: no reason not to start. */
static bool first_is_there(struct store_cmd *cmd, const struct store_view *view)
{
	uint32_t number;
	(void)cmd;
	return workspace_find(view, "default", &number, NULL) == SL_OK;
}

/* What stores of before lack. */
static sl_code index_all(struct decision *d, struct sl_err *err)
{
	sl_code code = placement_index_all(d, err);
	code = code != SL_OK ? code : entries_index_all(d, err);
	return code != SL_OK ? code : statuses_index_all(d, err);
}

static sl_code first_decide(struct store_cmd *cmd, const struct store_view *view,
			    struct store_changes *changes, struct sl_err *err)
{
	struct first *first = SL_CONTAINER_OF(cmd, struct first, cmd);
	bool made = first_is_there(cmd, view);
	struct decision d =
	    decision_own("sluiced", "bootstrap", view, changes, &first->arena, first->now_ms);
	Sluice__Store__V1__WorkspaceRecord *record = NULL;
	sl_code code = made ? index_all(&d, err) : workspaces_create(&d, "default", &record, err);
	return decision_own_end(&d, code, err);
}

sl_code records_bootstrap(struct store *store, uint64_t now_ms, struct sl_err *err)
{
	struct first first = {.now_ms = now_ms,
			      .cmd = {.decide = first_decide, .writes_nothing = first_is_there}};
	sl_arena_init(&first.arena, 0);
	sl_code code = store_run(store, &first.cmd, err);
	sl_arena_fini(&first.arena);
	return code;
}

/* --- pruning --------------------------------------------------------------------- */

enum store_prune records_prune(struct sl_bytes value, uint64_t revision, uint64_t oldest_reply)
{
	struct sl_arena arena;
	sl_arena_init(&arena, 0);
	Sluice__Store__V1__LogRecord *record = sluice__store__v1__log_record__unpack(
	    sl_arena_protobuf(&arena), value.size, value.data);
	enum store_prune verdict = STORE_PRUNE_DROP;
	if (record == NULL || record->history) {
		verdict =
		    STORE_PRUNE_KEEP; /* what does not parse is for `sluiced verify` to find */
	} else if (record->request_key.len > 0 && revision >= oldest_reply) {
		verdict = STORE_PRUNE_LATER;
	}
	sl_arena_fini(&arena);
	return verdict;
}

/* When the first record at or after `revision` was made; UINT64_MAX: there is none. */
static sl_code made_at(const struct store_view *view, uint64_t revision, uint64_t *ret_revision,
		       uint64_t *ret_ms, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	store_walk_log(&walk, view, revision, STORE_FORWARD);
	*ret_ms = UINT64_MAX;
	if (store_walk_next(&walk)) {
		Sluice__Store__V1__LogRecord *record = NULL;
		sl_code code = record_unpack(
		    &arena, walk.value, &sluice__store__v1__log_record__descriptor, &record, err);
		if (code != SL_OK) {
			return code;
		}
		*ret_ms = record->at_ms;
		*ret_revision = sl_get_be64(walk.key.data);
	}
	return store_walk_result(&walk, err);
}

sl_code records_revision_before(const struct store_view *view, uint64_t before_ms,
				uint64_t *ret_revision, struct sl_err *err)
{
	uint64_t low = store_view_floor(view), high = store_view_revision(view);
	*ret_revision = 0;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2, found = 0, at_ms = 0;
		sl_code code = made_at(view, middle + 1, &found, &at_ms, err);
		if (code != SL_OK) {
			return code;
		}
		if (at_ms >= before_ms) {
			high = middle;
			continue;
		}
		*ret_revision = low = found;
	}
	return SL_OK;
}

/* Is anything up to `revision` worth a revision of its own? Raising the floor leaves a record too:
 * a store that nobody writes to would raise it for that one, and so on for ever. */
static sl_code worth_it(const struct store_view *view, uint64_t revision, bool *ret_worth,
			struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	*ret_worth = false;
	store_walk_log(&walk, view, store_view_floor(view) + 1, STORE_FORWARD);
	while (!*ret_worth && store_walk_next(&walk) && sl_get_be64(walk.key.data) <= revision) {
		Sluice__Store__V1__LogRecord *record = NULL;
		sl_code code = record_unpack(
		    &arena, walk.value, &sluice__store__v1__log_record__descriptor, &record, err);
		if (code != SL_OK) {
			return code;
		}
		*ret_worth = strcmp(record->method, RETENTION) != 0;
	}
	return store_walk_result(&walk, err);
}

struct retain {
	struct store_cmd cmd;
	uint64_t before_ms, now_ms, audit_keep_ms;
};

static sl_code retain_decide(struct store_cmd *cmd, const struct store_view *view,
			     struct store_changes *changes, struct sl_err *err)
{
	const struct retain *retain = SL_CONTAINER_OF(cmd, struct retain, cmd);
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	uint64_t revision = 0;
	bool worth = false, cut = false;
	sl_code code = records_revision_before(view, retain->before_ms, &revision, err);
	code = code != SL_OK ? code : worth_it(view, revision, &worth, err);
	if (code == SL_OK && retain->audit_keep_ms > 0) {
		code =
		    audit_cut_old(changes, view, retain->now_ms, retain->audit_keep_ms, &cut, err);
	}
	if (code == SL_OK && (worth || cut)) {
		struct decision d =
		    decision_own("sluiced", RETENTION, NULL, changes, &arena, retain->now_ms);
		store_changes_set_floor(changes, worth ? revision : 0);
		decision_log(&d, NULL);
	}
	return code == SL_OK && sl_arena_failed(&arena) ? sl_err_no_memory(err) : code;
}

static void retain_done(struct store_cmd *cmd)
{
	sl_err_clear(&cmd->err);
	free(SL_CONTAINER_OF(cmd, struct retain, cmd));
}

void records_retain(struct store *store, uint64_t now_ms, const struct records_keep *keep)
{
	struct retain *retain = calloc(1, sizeof(*retain));
	if (retain == NULL) {
		return; /* the next time will do */
	}
	*retain = (struct retain){.now_ms = now_ms,
				  .before_ms = now_ms > keep->log_ms ? now_ms - keep->log_ms : 0,
				  .audit_keep_ms = keep->audit_ms};
	retain->cmd.decide = retain_decide;
	retain->cmd.done = retain_done;
	retain->cmd.shrinks = true;
	if (store_submit(store, &retain->cmd, NULL) != SL_OK) {
		free(retain);
	}
}

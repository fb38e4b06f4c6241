/* The master key changes while the server serves:
 *
 *   IDLE --KEY.next is there--> WRAPPING --committed--> WRAPPED --KEY.next is KEY--> IDLE
 *                                  |
 *                                  +--refused--> IDLE, and again at the next look
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint/failpoint.h"
#include "base/keyfile/keyfile.h"
#include "base/log/log.h"
#include "server/vault/vault_internal.h"

enum { LOOK_EVERY_MS = 500 };
enum { REWRAP_IDLE, REWRAP_WRAPPING, REWRAP_WRAPPED, REWRAP_REFUSED };

struct rewrap {
	struct store_cmd cmd;
	struct vault *vault;
	struct sl_arena arena;
	uint64_t now_ms;
};

/* --- wrapping ------------------------------------------------------------------------------ */

static sl_code wrap_one(struct vault *vault, struct decision *d, const struct store_walk *walk,
			struct sl_err *err)
{
	SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
	Sluice__Store__V1__WorkspaceKeyRecord *record = NULL;
	uint32_t workspace = sl_get_be32(walk->key.data);
	sl_code code =
	    record_unpack(d->arena, walk->value,
			  &sluice__store__v1__workspace_key_record__descriptor, &record, err);
	if (code != SL_OK || sl_bytes_equal(SL_BYTES(record->master_id.data, record->master_id.len),
					    SL_BYTES(vault->next.id, MASTER_ID_BYTES))) {
		return code;
	}
	code = vault_key_open(vault, workspace, record, &key, err);
	if (code != SL_OK) {
		return code;
	}
	pthread_mutex_lock(&vault->lock);
	code = vault_key_wrap(&vault->next, d, workspace, &key, record, err);
	pthread_mutex_unlock(&vault->lock);
	struct record_key at = vault_key_key(workspace, record->number);
	if (code == SL_OK) {
		decision_put(d, TABLE_WORKSPACE_KEYS, &at, &record->base);
	}
	return code;
}

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct rewrap *r = SL_CONTAINER_OF(cmd, struct rewrap, cmd);
	struct decision d =
	    decision_own("sluiced", "RotateMasterKey", view, changes, &r->arena, r->now_ms);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_WORKSPACE_KEYS, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		sl_code code = wrap_one(r->vault, &d, &walk, err);
		if (code != SL_OK) {
			return code;
		}
	}
	sl_code code = store_walk_result(&walk, err);
	return decision_own_end(&d, code, err);
}

void vault_rewrap_free(struct rewrap *r)
{
	if (r != NULL) {
		sl_err_clear(&r->cmd.err);
		sl_arena_fini(&r->arena);
		free(r);
	}
}

/* Cannot fail but for memory: NULL. */
static struct rewrap *rewrap_new(struct vault *vault, uint64_t now_ms)
{
	struct rewrap *r = calloc(1, sizeof(*r));
	if (r != NULL) {
		*r = (struct rewrap){.cmd = {.decide = decide}, .vault = vault, .now_ms = now_ms};
		sl_arena_init(&r->arena, 0);
	}
	return r;
}

/* --- the files ------------------------------------------------------------------------------- */

/* The next key is the key: on disk, then here. */
static sl_code take_next(struct vault *vault, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *dir = strdup(vault->path);
	char *name = dir == NULL ? NULL : strrchr(dir, '/');
	if (name == NULL) {
		return sl_err_no_memory(err);
	}
	*name++ = '\0';
	SL_FAILPOINT("master-rename");
	sl_code code = keyfile_rename(dir[0] != '\0' ? dir : "/",
				      strrchr(vault->next_path, '/') + 1, name, err);
	if (code != SL_OK) {
		return code;
	}
	SL_FAILPOINT("master-renamed");
	pthread_mutex_lock(&vault->lock);
	master_fini(&vault->now);
	vault->now = vault->next;
	vault->next = (struct master){.bytes = NULL};
	pthread_mutex_unlock(&vault->lock);
	return SL_OK;
}

static sl_code load_next(struct vault *vault, struct sl_err *err)
{
	struct master next = {.bytes = NULL};
	if (vault->next.bytes != NULL) {
		return SL_OK;
	}
	sl_code code = master_read(vault->next_path, &next, err);
	if (code == SL_OK) {
		pthread_mutex_lock(&vault->lock);
		vault->next = next;
		pthread_mutex_unlock(&vault->lock);
	}
	return code;
}

sl_code vault_settle(struct vault *vault, struct store *store, uint64_t now_ms, struct sl_err *err)
{
	sl_code code = load_next(vault, err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		return SL_OK;
	}
	struct rewrap *r = code == SL_OK ? rewrap_new(vault, now_ms) : NULL;
	if (r == NULL) {
		return code != SL_OK ? code : sl_err_no_memory(err);
	}
	SL_FAILPOINT("master-wrap");
	code = store_run(store, &r->cmd, err);
	vault_rewrap_free(r);
	return code != SL_OK ? code : take_next(vault, err);
}

/* --- while serving ---------------------------------------------------------------------------- */

static void done(struct store_cmd *cmd)
{
	struct rewrap *r = SL_CONTAINER_OF(cmd, struct rewrap, cmd);
	/* From here on it is the queue thread's. */
	atomic_store(&r->vault->rewrapped, cmd->code == SL_OK ? REWRAP_WRAPPED : REWRAP_REFUSED);
}

static sl_code rewrap_start(struct vault *vault, struct store *store, uint64_t now_ms,
			    struct sl_err *err)
{
	struct rewrap *r = rewrap_new(vault, now_ms);
	if (r == NULL) {
		return sl_err_no_memory(err);
	}
	r->cmd.done = done;
	SL_FAILPOINT("master-wrap");
	atomic_store(&vault->rewrapped, REWRAP_WRAPPING);
	sl_code code = store_submit(store, &r->cmd, err);
	if (code != SL_OK) {
		atomic_store(&vault->rewrapped, REWRAP_IDLE);
		vault_rewrap_free(r);
		return code;
	}
	vault->rewrap = r;
	return SL_OK;
}

static void look_for_next(struct vault *vault, struct store *store, uint64_t now_ms)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (vault_is_locked(vault) || access(vault->next_path, F_OK) != 0) {
		return;
	}
	sl_code code = load_next(vault, &err);
	code = code != SL_OK ? code : rewrap_start(vault, store, now_ms, &err);
	if (code != SL_OK) {
		log_error("master-key", "error=%s meaning=\"the key in use stays\"",
			  SL_QUOTE(err.msg));
	}
}

static void finish(struct vault *vault, int became)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = became == REWRAP_WRAPPED ? take_next(vault, &err) : vault->rewrap->cmd.code;
	if (became == REWRAP_REFUSED) {
		sl_err_move(&err, &vault->rewrap->cmd.err);
	}
	if (code != SL_OK) {
		log_error("master-key", "error=%s meaning=\"it is tried again\"",
			  SL_QUOTE(err.msg));
	} else {
		log_info("master-key", "msg=\"a new one is in use\"");
	}
	vault_rewrap_free(SL_TAKE(vault->rewrap));
	atomic_store(&vault->rewrapped, REWRAP_IDLE);
}

void vault_tick(struct vault *vault, struct store *store, uint64_t now_ms, uint64_t mono_ms)
{
	int became = atomic_load(&vault->rewrapped);
	if (became == REWRAP_WRAPPED || became == REWRAP_REFUSED) {
		finish(vault, became);
	} else if (became == REWRAP_IDLE && mono_ms >= vault->look_mono_ms) {
		vault->look_mono_ms = mono_ms + LOOK_EVERY_MS;
		look_for_next(vault, store, now_ms);
	}
}

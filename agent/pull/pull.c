#include "agent/pull/pull.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/receive/receive.h"
#include "base/crypto/secret.h"
#include "base/mem/arena.h"
#include "base/mem/own.h"
#include "base/sm/sm.h"

enum { FETCHING, RECEIVING, UNPACKING, VERIFYING };
static const struct sl_sm_state pull_states[] = {
    [FETCHING] = {"FETCHING", SL_SM_TO(VERIFYING)},
    [RECEIVING] = {"RECEIVING", SL_SM_TO(UNPACKING)},
    [UNPACKING] = {"UNPACKING", SL_SM_TO(VERIFYING) | SL_SM_TO(UNPACKING) | SL_SM_TO(RECEIVING)},
    [VERIFYING] = {"VERIFYING", SL_SM_TO(FETCHING) | SL_SM_TO(RECEIVING) | SL_SM_TO(UNPACKING)},
};

struct pull {
	struct sl_sm sm;
	struct pull_options options;
	const Sluice__V1__Bundle *bundle; /* in arena */
	struct sl_arena arena;
	char *login;               /* owned: the texts of options.login */
	struct git_worker *worker; /* NULL: RECEIVING */
	struct git_progress progress;
	struct receive *receive;
	bool rebuilt; /* the mirror was made anew once */
	char mirror[ACTIVATE_PATH_SIZE];
	char staging[ACTIVATE_PATH_SIZE];
	char received[RECEIVE_PATH_SIZE]; /* what came from the server; "": nothing */
};

SL_DEFINE_AUTO(struct pull *, pull_free);

static sl_code check_disk(const struct pull *pull, struct sl_err *err)
{
	uint64_t room = 0;
	sl_code code = activate_free_bytes(pull->options.dir, &room, err);
	if (code != SL_OK) {
		return code;
	}
	/* Once packed in the mirror, which has some of a try that was cut off, once written out,
	 * and as the server's file. */
	uint64_t bytes = pull->bundle->bytes, times = pull->options.channel != NULL ? 3 : 2;
	uint64_t held = bytes / 100 * git_mirror_held(pull->mirror, pull->bundle->commit);
	uint64_t need = pull->options.disk_reserve + times * bytes - held;
	if (room >= need && need >= pull->options.disk_reserve) {
		return SL_OK;
	}
	return sl_err_set(err, SL_RESOURCE_EXHAUSTED,
			  "disk full: %" PRIu64 " bytes are free, the bundle needs %" PRIu64
			  " and %" PRIu64 " stay in reserve (--disk-reserve)",
			  room, need - pull->options.disk_reserve, pull->options.disk_reserve);
}

static sl_code start_fetch(struct pull *pull, struct sl_err *err)
{
	git_mirror_sweep(pull->mirror); /* no other job runs */
	struct git_job job = {
	    .op = GIT_FETCH,
	    .mirror = pull->mirror,
	    .url = pull->bundle->url,
	    .allow_local = pull->options.allow_local,
	    .login = pull->options.login,
	    .ref = pull->bundle->ref,
	    .commit = pull->bundle->commit,
	    .limits = pull->options.limits,
	    .deadline_ms = pull->options.deadline_ms,
	};
	return git_worker_start(&job, &pull->worker, err);
}

static sl_code start_receive(struct pull *pull, struct sl_err *err)
{
	const struct pull_options *options = &pull->options;
	struct crpc_channel *channel = options->channel(options->channel_ctx);
	const struct receive_wish wish = {.workspace = options->workspace,
					  .instance = options->instance,
					  .app_id = options->app_id,
					  .bundle = pull->bundle};
	return channel != NULL
		   ? receive_start(options->dir, channel, &wish, &pull->receive, err)
		   : sl_err_set(err, SL_UNAVAILABLE, "bundles come from the server, which is away");
}

static sl_code start_unpack(struct pull *pull, const char *file, struct sl_err *err)
{
	git_mirror_sweep(pull->mirror); /* no other job runs */
	struct git_job job = {
	    .op = GIT_UNPACK,
	    .mirror = pull->mirror,
	    .url = "",
	    .archive = file,
	    .commit = pull->bundle->commit,
	    .path = pull->bundle->path,
	    .want_tree = pull->bundle->tree,
	    .limits = pull->options.limits,
	    .deadline_ms = pull->options.deadline_ms,
	};
	return git_worker_start(&job, &pull->worker, err);
}

/* The way into the mirror begins. */
static unsigned first_state(const struct pull *pull)
{
	return pull->options.file != NULL      ? UNPACKING
	       : pull->options.channel != NULL ? RECEIVING
					       : FETCHING;
}

static sl_code start_first(struct pull *pull, struct sl_err *err)
{
	switch (first_state(pull)) {
	case UNPACKING:
		return start_unpack(pull, pull->options.file, err);
	case RECEIVING:
		return start_receive(pull, err);
	default:
		return start_fetch(pull, err);
	}
}

static sl_code start_checkout(struct pull *pull, struct sl_err *err)
{
	sl_code code = activate_stage(pull->options.dir, pull->staging, err);
	if (code != SL_OK) {
		return code;
	}
	struct git_job job = {
	    .op = GIT_CHECKOUT,
	    .mirror = pull->mirror,
	    .url = "",
	    .commit = pull->bundle->commit,
	    .path = pull->bundle->path,
	    .staging = pull->staging,
	    .want_tree = pull->bundle->tree,
	    .want_digest = pull->bundle->digest.data,
	    .limits = pull->options.limits,
	    .deadline_ms = pull->options.deadline_ms,
	    .sync_each = pull->options.sync_each,
	};
	return git_worker_start(&job, &pull->worker, err);
}

/* A deep copy: the manifest that it came from may be replaced meanwhile. */
static const Sluice__V1__Bundle *copy_bundle(const Sluice__V1__Bundle *bundle,
					     struct sl_arena *arena)
{
	size_t size = sluice__v1__bundle__get_packed_size(bundle);
	uint8_t *bytes = sl_arena_alloc(arena, size);
	if (bytes == NULL) {
		return NULL;
	}
	(void)sluice__v1__bundle__pack(bundle, bytes);
	return sluice__v1__bundle__unpack(sl_arena_protobuf(arena), size, bytes);
}

/* Another login may come while this one is in use. */
static bool keep_login(struct pull *pull)
{
	size_t size = git_login_size(&pull->options.login);
	pull->login = sl_secret_new(size);
	if (pull->login == NULL) {
		return false;
	}
	git_login_pack(&pull->options.login, pull->login);
	return git_login_unpack(pull->login, size, &pull->options.login);
}

sl_code pull_start(const struct pull_options *options, const Sluice__V1__Bundle *bundle,
		   struct pull **ret_pull, struct sl_err *err)
{
	SL_AUTO(pull_free_auto) struct pull *pull = calloc(1, sizeof(*pull));
	if (pull == NULL) {
		return sl_err_no_memory(err);
	}
	sl_arena_init(&pull->arena, 0);
	pull->options = *options;
	sl_sm_init(&pull->sm, pull_states, options->from_mirror ? VERIFYING : first_state(pull));
	pull->bundle = copy_bundle(bundle, &pull->arena);
	pull->options.app_id = sl_arena_strdup(&pull->arena, options->app_id);
	if (pull->bundle == NULL || !keep_login(pull)) {
		return sl_err_no_memory(err);
	}
	activate_mirror_path(options->dir, pull->bundle->repository_id, pull->mirror);
	sl_code code = check_disk(pull, err);
	code = code != SL_OK          ? code
	       : options->from_mirror ? start_checkout(pull, err)
				      : start_first(pull, err);
	if (code == SL_OK) {
		*ret_pull = SL_TAKE(pull);
	}
	return code;
}

int pull_fd(const struct pull *pull)
{
	return pull->receive != NULL ? receive_fd(pull->receive) : git_worker_fd(pull->worker);
}

uint64_t pull_deadline_mono_ms(const struct pull *pull)
{
	return pull->receive != NULL ? receive_deadline_mono_ms(pull->receive)
				     : git_worker_deadline_mono_ms(pull->worker);
}

bool pull_is_verifying(const struct pull *pull)
{
	return pull->sm.at == VERIFYING;
}

static uint32_t part(uint64_t done, uint64_t total)
{
	return total == 0 ? 0 : done >= total ? 100 : (uint32_t)(done * 100 / total);
}

/* One number that grows, of however many packs. */
static uint32_t fetched(const struct git_progress *progress)
{
	uint32_t of_pack = part(progress->done_objects, progress->total_objects);
	return progress->total_parts == 0
		   ? of_pack
		   : part(100 * progress->done_parts + of_pack, 100 * progress->total_parts);
}

uint32_t pull_percent(const struct pull *pull)
{
	switch (pull->sm.at) {
	case RECEIVING:
		return pull->receive != NULL ? receive_percent(pull->receive) : 0;
	case FETCHING:
		return fetched(&pull->progress);
	default:
		return part(pull->progress.written_files, pull->bundle->files);
	}
}

const char *pull_staging(const struct pull *pull)
{
	return pull->staging;
}

static sl_code failure_code(enum git_failure failure)
{
	if (failure == GIT_DISK_FULL) {
		return SL_RESOURCE_EXHAUSTED;
	}
	bool again = git_failure_is_transient(failure) || failure == GIT_WORKER_FAILED;
	return again ? SL_UNAVAILABLE : SL_FAILED_PRECONDITION;
}

static sl_code describe(const struct git_result *result, struct sl_err *err)
{
	const char *rule = result->rule != GIT_RULE_NONE ? git_rule_name(result->rule) : "";
	return sl_err_set(err, failure_code(result->failure), "%s%s%s: %s",
			  git_failure_name(result->failure), *rule != '\0' ? " " : "", rule,
			  result->text);
}

/* What the server sent, or a part of it, is not what it should be: another time from the start. */
static void drop_received(struct pull *pull)
{
	if (pull->received[0] != '\0') {
		(void)unlink(pull->received);
		pull->received[0] = '\0';
	}
}

static sl_code begin_again(struct pull *pull, bool corrupt, struct sl_err *err)
{
	pull->rebuilt = true;
	if (pull->sm.at != FETCHING) {
		sl_sm_move(&pull->sm, first_state(pull));
	}
	sl_code code =
	    corrupt ? activate_discard_mirror(pull->options.dir, pull->bundle->repository_id, err)
		    : SL_OK;
	return code == SL_OK ? start_first(pull, err) : code;
}

static sl_code fail(struct pull *pull, const struct git_result *result, struct sl_err *err)
{
	bool again = result->failure == GIT_DIGEST_MISMATCH && pull->sm.at == UNPACKING &&
		     pull->options.channel != NULL;
	if (!again) {
		return describe(result, err);
	}
	drop_received(pull);
	return sl_err_set(err, SL_UNAVAILABLE, "%s: %s", git_failure_name(result->failure),
			  result->text);
}

/* The worker's result; SL_OK with *ret_over = false when there is another step. */
static sl_code go_on(struct pull *pull, const struct git_result *result, bool *ret_over,
		     struct sl_err *err)
{
	git_worker_free(SL_TAKE(pull->worker));
	pull->progress = (struct git_progress){0};
	*ret_over = false;
	bool lacks = result->failure == GIT_COMMIT_GONE && pull->sm.at == VERIFYING;
	bool corrupt = result->failure == GIT_MIRROR_CORRUPT;
	if ((corrupt || lacks) && !pull->rebuilt) {
		return begin_again(pull, corrupt, err);
	}
	if (result->failure != GIT_OK) {
		return fail(pull, result, err);
	}
	if (pull->sm.at != VERIFYING) {
		sl_sm_move(&pull->sm, VERIFYING);
		return start_checkout(pull, err);
	}
	drop_received(pull);
	*ret_over = true;
	return SL_OK;
}

static bool step_receive(struct pull *pull, sl_code *ret_code, struct sl_err *err)
{
	if (!receive_step(pull->receive, ret_code, err)) {
		return false;
	}
	if (*ret_code == SL_OK) {
		(void)snprintf(pull->received, sizeof(pull->received), "%s",
			       receive_path(pull->receive));
		sl_sm_move(&pull->sm, UNPACKING);
		*ret_code = start_unpack(pull, pull->received, err);
	}
	receive_free(SL_TAKE(pull->receive));
	return *ret_code != SL_OK;
}

bool pull_step(struct pull *pull, sl_code *ret_code, struct sl_err *err)
{
	struct git_result result = {.failure = GIT_OK};
	if (pull->receive != NULL) {
		return step_receive(pull, ret_code, err);
	}
	if (!git_worker_step(pull->worker, &pull->progress, &result)) {
		return false;
	}
	bool over = false;
	*ret_code = go_on(pull, &result, &over, err);
	git_result_fini(&result);
	return over || *ret_code != SL_OK;
}

void pull_free(struct pull *pull)
{
	if (pull == NULL) {
		return;
	}
	git_worker_free(pull->worker);
	receive_free(pull->receive);
	sl_secret_free(pull->login);
	sl_arena_fini(&pull->arena);
	free(pull);
}

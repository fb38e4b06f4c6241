/* Every thread does the same: take what is due and nobody works on, do it, write
 * down what became of it. What is due is read from the store each time, so there
 * is no second list that could disagree with it; in memory lies only which
 * repositories are busy.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/failpoint/failpoint.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"

enum { IDLE_MS = 60000, TROUBLE_MS = 500, TROUBLES_MAX = 4 };

SL_DEFINE_AUTO(struct gitsync *, gitsync_free);
SL_DEFINE_AUTO(const struct store_view *, store_view_end);

bool gitsync_is_stopping(void *ctx)
{
	return atomic_load(&((struct gitsync *)ctx)->stopping);
}

/* --- picking ------------------------------------------------------------------------- */

/* What one look at the owed table found. */
struct pick {
	struct gitsync_item item;
	bool found;
	bool orphan; /* refers to something that is gone */
	uint8_t key[STORE_KEY_MAX];
	size_t key_size;
	uint64_t next_ms; /* when something becomes due; UINT64_MAX: nothing will */
	unsigned waiting, owed, parked, commits, parked_commits;
	char head_of[32]; /* the repository whose first commit in order has been met */
};

static bool is_commit(const Sluice__Store__V1__OwedRecord *owed)
{
	return owed->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_COMMIT;
}

static void count_owed(struct pick *pick, const Sluice__Store__V1__OwedRecord *owed)
{
	if (owed->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH) {
		pick->owed++;
		pick->parked += owed->parked ? 1 : 0;
	} else if (is_commit(owed)) {
		pick->commits++;
		pick->parked_commits += owed->parked ? 1 : 0;
	}
}

/* Commits of a repository go in order: only the first one that is not parked can be due. The walk
 * meets those of one repository one after the other. */
static bool must_wait(struct pick *pick, const Sluice__Store__V1__OwedRecord *owed)
{
	if (!is_commit(owed) || owed->parked) {
		return owed->parked;
	}
	bool second = strcmp(pick->head_of, owed->repository_id) == 0;
	sl_text_copy(pick->head_of, sizeof(pick->head_of), owed->repository_id);
	return second;
}

/* Takes the item that the walk stands at, or says when it is due. Caller holds the lock. */
static void consider(struct gitsync *g, struct pick *pick, const struct store_walk *walk,
		     const Sluice__Store__V1__OwedRecord *owed, uint64_t now)
{
	if (must_wait(pick, owed) || gitsync_is_busy(g, owed->repository_id)) {
		return;
	}
	/* No pause is that long: the clock was set back, and that hurts nobody. */
	bool far_off = owed->next_ms > now + 2 * (uint64_t)GITSYNC_BACKOFF_MAX_MS;
	if (owed->next_ms > now && !far_off) {
		pick->next_ms = owed->next_ms < pick->next_ms ? owed->next_ms : pick->next_ms;
		return;
	}
	pick->waiting++;
	if (pick->found) {
		return;
	}
	struct sl_arena *arena = &pick->item.arena;
	pick->item.workspace = sl_get_be32(walk->key.data);
	pick->item.owed = NULL;
	struct sl_err err = SL_ERR_INIT;
	if (record_unpack(arena, walk->value, &sluice__store__v1__owed_record__descriptor,
			  &pick->item.owed, &err) != SL_OK) {
		return;
	}
	sl_code code = gitsync_item_load(&pick->item, walk->view, &err);
	pick->orphan = code == SL_NOT_FOUND;
	if ((code == SL_OK || pick->orphan) && gitsync_claim(g, owed->repository_id)) {
		pick->found = true;
		memcpy(pick->key, walk->key.data, walk->key.size);
		pick->key_size = walk->key.size;
	}
	sl_err_clear(&err);
}

static sl_code pick_next(struct gitsync *g, struct pick *pick, struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	SL_AUTO(store_walk_end) struct store_walk walk;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	uint64_t now = sl_clock_unix_ms();
	sl_code code = store_view_begin(g->options.store, &view, err);
	if (code != SL_OK) {
		walk = (struct store_walk){.cursor = NULL};
		return code;
	}
	bool recovering = store_view_is_recovering(view); /* what is owed waits for the resume */
	store_walk_begin(&walk, view, TABLE_OWED, SL_BYTES_NONE, STORE_FORWARD);
	pthread_mutex_lock(&g->lock);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__OwedRecord *owed = NULL;
		if (record_unpack(&arena, walk.value, &sluice__store__v1__owed_record__descriptor,
				  &owed, NULL) == SL_OK) {
			count_owed(pick, owed);
			if (!recovering) {
				consider(g, pick, &walk, owed, now);
			}
		}
		sl_arena_fini(&arena);
	}
	g->stats.waiting = pick->waiting - (pick->found ? 1 : 0);
	g->stats.owed = pick->owed;
	g->stats.parked = pick->parked;
	g->stats.commits = pick->commits;
	g->stats.parked_commits = pick->parked_commits;
	pthread_mutex_unlock(&g->lock);
	return store_walk_result(&walk, err);
}

/* --- working --------------------------------------------------------------------------- */

static const char *kind_name(const struct gitsync_item *item)
{
	if (is_commit(item->owed)) {
		return "commit";
	}
	return item->owed->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH ? "publish"
										   : "resolve";
}

/* What was pushed, or never will be. */
static void drop_upload(const struct gitsync *g, const struct gitsync_item *item)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	if (!is_commit(item->owed) || item->owed->commit->upload[0] == '\0') {
		return;
	}
	const char *path = gitsync_upload_path(&arena, g->data, item->owed->commit->upload);
	if (path != NULL) {
		(void)unlink(path);
	}
}

static sl_code work_on(struct gitsync *g, struct pick *pick, struct sl_err *err)
{
	const struct gitsync_item *item = &pick->item;
	if (pick->orphan) {
		struct sl_bytes key = SL_BYTES(pick->key, pick->key_size);
		return gitsync_item_drop(g->options.store, item->workspace, &key, err);
	}
	const struct gitsync_worker_options worker = {
	    .options = &g->options, .stop = gitsync_is_stopping, .ctx = g};
	struct git_result result = {.failure = GIT_OK};
	SL_FAILPOINT("git-begin");
	sl_code code = gitsync_item_run(item, &worker, &result, err);
	SL_FAILPOINT("git-done");
	if (code == SL_INVALID_ARGUMENT) { /* the job itself is refused, for instance its URL: that
					      is an answer too */
		result.failure = GIT_REPOSITORY_UNREACHABLE;
		sl_text_copy(result.text, sizeof(result.text), err->msg);
		sl_err_clear(err);
		code = SL_OK;
	}
	if (code == SL_OK && !gitsync_is_stopping(g)) {
		gitsync_note_contact(g, item->repository->id, &result);
		sl_log(result.failure == GIT_OK ? SL_LOG_INFO : SL_LOG_WARN, "git-job",
		       "kind=%s repository=%s app=%s version=%s result=%s text=%s", kind_name(item),
		       item->repository->name, item->app->name,
		       item->version != NULL ? item->version->name : "-",
		       result.failure == GIT_OK ? "OK" : git_failure_name(result.failure),
		       SL_QUOTE(result.text));
		code = gitsync_item_record(g->options.store, item, &result, err);
		SL_FAILPOINT("git-recorded");
		bool over = result.failure == GIT_OK || !git_failure_is_transient(result.failure);
		if (code == SL_OK && over) {
			drop_upload(g, item);
		}
	}
	git_result_fini(&result);
	return code;
}

static struct timespec after_ms(uint64_t pause)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(pause / 1000u);
	until.tv_nsec += (long)(pause % 1000u) * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	return until;
}

/* After trouble of our own, say a full disk: half a second, doubling to eight seconds, since each
 * time the host is asked again. The commits of others do not cut it short. */
static void pause_after_trouble(struct gitsync *g, unsigned troubles)
{
	const struct timespec until =
	    after_ms((uint64_t)TROUBLE_MS << (troubles < TROUBLES_MAX ? troubles : TROUBLES_MAX));
	pthread_mutex_lock(&g->lock);
	int rc = 0;
	while (!gitsync_is_stopping(g) && rc == 0) {
		rc = pthread_cond_timedwait(&g->wake, &g->lock, &until);
	}
	pthread_mutex_unlock(&g->lock);
}

/* Until something was committed, or `next_ms` (wall clock, as stored) has come. */
static void rest(struct gitsync *g, uint64_t seen, uint64_t next_ms)
{
	uint64_t now = sl_clock_unix_ms();
	uint64_t pause = next_ms <= now ? 1 : next_ms - now;
	const struct timespec until = after_ms(pause > IDLE_MS ? IDLE_MS : pause);
	pthread_mutex_lock(&g->lock);
	int rc = 0;
	while (g->wakes == seen && !gitsync_is_stopping(g) && rc == 0) {
		rc = pthread_cond_timedwait(&g->wake, &g->lock, &until);
	}
	pthread_mutex_unlock(&g->lock);
}

/* `troubles`: turns in a row that went wrong on this side. */
static void one_turn(struct gitsync *g, unsigned *troubles)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	pthread_mutex_lock(&g->lock);
	uint64_t seen = g->wakes;
	pthread_mutex_unlock(&g->lock);
	gitsync_forget_some(g);
	if (gitsync_answer_one(g) || gitsync_visit_one(g)) {
		return;
	}
	struct pick pick = {.next_ms = UINT64_MAX};
	sl_arena_init(&pick.item.arena, 0);
	sl_code code = pick_next(g, &pick, &err);
	if (code == SL_OK && pick.found) {
		code = work_on(g, &pick, &err);
	}
	if (code != SL_OK && !gitsync_is_stopping(g)) {
		log_warn("git-job-trouble", "error=%s", SL_QUOTE(err.msg));
		pause_after_trouble(g, (*troubles)++);
	} else if (pick.found) {
		*troubles = 0;
	}
	if (pick.found) {
		pthread_mutex_lock(&g->lock);
		gitsync_set_idle(g, pick.item.owed->repository_id);
		pthread_mutex_unlock(&g->lock);
	} else if (code == SL_OK && !gitsync_look_one(g) && !gitsync_poll_one(g, &pick.next_ms)) {
		rest(g, seen, pick.next_ms);
	}
	sl_arena_fini(&pick.item.arena);
}

static void *gitsync_main(void *arg)
{
	struct gitsync *g = arg;
	unsigned troubles = 0;
	while (!gitsync_is_stopping(g)) {
		one_turn(g, &troubles);
	}
	return NULL;
}

/* --- life ----------------------------------------------------------------------------------- */

static sl_code prepare_folder(struct gitsync *g, struct sl_err *err)
{
	char mirrors[PATH_MAX + 16];
	if (realpath(g->options.data, g->data) == NULL) {
		return sl_err_set(err, SL_INTERNAL, "data folder '%s': %s", g->options.data,
				  strerror(errno));
	}
	g->options.data = g->data;
	(void)snprintf(mirrors, sizeof(mirrors), "%s/mirrors", g->data);
	if (mkdir(mirrors, 0700) != 0 && errno != EEXIST) {
		return sl_err_set(err, SL_INTERNAL, "folder '%s': %s", mirrors, strerror(errno));
	}
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(g->options.store, &view, err);
	return code != SL_OK ? code : gitsync_sweep_mirrors(g->data, view, err);
}

sl_code gitsync_new(const struct gitsync_options *options, struct gitsync **ret_gitsync,
		    struct sl_err *err)
{
	SL_AUTO(gitsync_free_auto) struct gitsync *g = calloc(1, sizeof(*g));
	if (g == NULL) {
		return sl_err_no_memory(err);
	}
	g->options = *options;
	g->questions_end = &g->questions;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->wake, &monotonic);
	pthread_cond_init(&g->upload_wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sl_code code = prepare_folder(g, err);
	code = code != SL_OK ? code : gitsync_uploads_start(g, err);
	g->threads = calloc(options->jobs, sizeof(*g->threads));
	if (code == SL_OK && g->threads == NULL) {
		code = sl_err_no_memory(err);
	}
	while (code == SL_OK && g->started < options->jobs) {
		if (pthread_create(&g->threads[g->started], NULL, gitsync_main, g) != 0) {
			code = sl_err_set(err, SL_RESOURCE_EXHAUSTED, "cannot start a Git thread");
			break;
		}
		g->started++;
	}
	if (code == SL_OK) {
		*ret_gitsync = SL_TAKE(g);
	}
	return code;
}

void gitsync_stop(struct gitsync *g)
{
	if (g == NULL) {
		return;
	}
	pthread_mutex_lock(&g->lock);
	atomic_store(&g->stopping, true);
	pthread_cond_broadcast(&g->wake);
	pthread_cond_broadcast(&g->upload_wake);
	pthread_mutex_unlock(&g->lock);
	gitsync_uploads_stop(g);
	while (g->started > 0) {
		(void)pthread_join(g->threads[--g->started], NULL);
	}
	gitsync_visits_fini(g);
	gitsync_questions_fini(g); /* nobody else is left to answer them */
}

void gitsync_free(struct gitsync *g)
{
	if (g == NULL) {
		return;
	}
	gitsync_stop(g);
	gitsync_looks_fini(g);
	gitsync_news_fini(g);
	gitsync_repositories_fini(g);
	pthread_cond_destroy(&g->upload_wake);
	pthread_cond_destroy(&g->wake);
	pthread_mutex_destroy(&g->lock);
	free(g->threads);
	free(g);
}

/* --- from other threads --- */

void gitsync_wake(struct gitsync *g)
{
	pthread_mutex_lock(&g->lock);
	g->wakes++;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}

void gitsync_stats_read(struct gitsync *g, struct gitsync_stats *ret_stats)
{
	pthread_mutex_lock(&g->lock);
	*ret_stats = g->stats;
	pthread_mutex_unlock(&g->lock);
}

/* Every thread does the same: take what is due and nobody works on, do it, write
 * down what became of it. What is due is read from the store each time, so there
 * is no second list that could disagree with it; in memory lies only which
 * repositories are busy.
 */
#include "server/gitsync/gitsync.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/gitsync/jobs.h"

enum { IDLE_MS = 60000, TROUBLE_MS = 500 };

struct contact {
	struct contact *next;
	char repository_id[32];
	uint64_t at_ms;
	enum git_failure failure;
	char text[512];
};

struct diff {
	struct diff *next;
	char *repository_id, *from_commit, *from_path, *to_commit, *to_path; /* owned */
	void (*done)(void *ctx, const struct git_result *result);
	void *ctx;
};

struct busy {
	struct busy *next;
	char repository_id[32];
};

struct gitsync {
	struct gitsync_options options;
	char data[PATH_MAX]; /* absolute */
	pthread_t *threads;
	unsigned started;
	atomic_bool stopping;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	uint64_t wakes; /* grows with every gitsync_wake() */
	struct busy *busy;
	struct contact *contacts;
	struct diff *diffs, **diffs_end;
	struct busy *forgotten; /* repositories whose mirror is to go */
	struct gitsync_stats stats;
};

SL_DEFINE_AUTO(struct gitsync *, gitsync_free);
SL_DEFINE_AUTO(const struct store_view *, store_view_end);

static bool is_stopping(void *ctx)
{
	return atomic_load(&((struct gitsync *)ctx)->stopping);
}

/* --- busy repositories; caller holds the lock ------------------------------------ */

static bool is_busy(const struct gitsync *g, const char *repository_id)
{
	for (const struct busy *b = g->busy; b != NULL; b = b->next) {
		if (strcmp(b->repository_id, repository_id) == 0) {
			return true;
		}
	}
	return false;
}

static struct busy *name_new(const char *repository_id)
{
	struct busy *b = calloc(1, sizeof(*b));
	if (b != NULL) {
		sl_text_copy(b->repository_id, sizeof(b->repository_id), repository_id);
	}
	return b;
}

static bool set_busy(struct gitsync *g, const char *repository_id)
{
	struct busy *b = name_new(repository_id);
	if (b == NULL) {
		return false;
	}
	b->next = g->busy;
	g->busy = b;
	g->stats.running++;
	return true;
}

static void set_idle(struct gitsync *g, const char *repository_id)
{
	for (struct busy **at = &g->busy; *at != NULL; at = &(*at)->next) {
		if (strcmp((*at)->repository_id, repository_id) == 0) {
			struct busy *b = *at;
			*at = b->next;
			free(b);
			g->stats.running--;
			break;
		}
	}
	g->wakes++; /* what waited for this repository may go on */
	pthread_cond_broadcast(&g->wake);
}

/* --- contacts ------------------------------------------------------------------------ */

static struct contact *contact_of(struct gitsync *g, const char *repository_id, bool make)
{
	for (struct contact *c = g->contacts; c != NULL; c = c->next) {
		if (strcmp(c->repository_id, repository_id) == 0) {
			return c;
		}
	}
	struct contact *c = make ? calloc(1, sizeof(*c)) : NULL;
	if (c != NULL) {
		sl_text_copy(c->repository_id, sizeof(c->repository_id), repository_id);
		c->next = g->contacts;
		g->contacts = c;
	}
	return c;
}

static void note_contact(struct gitsync *g, const char *repository_id,
			 const struct git_result *result)
{
	pthread_mutex_lock(&g->lock);
	struct contact *c = contact_of(g, repository_id, true);
	if (c != NULL) {
		c->at_ms = sl_clock_unix_ms();
		c->failure = result->failure;
		sl_text_copy(c->text, sizeof(c->text), result->text);
	}
	if (result->failure == GIT_OK) {
		g->stats.done++;
	} else {
		g->stats.failed++;
	}
	pthread_mutex_unlock(&g->lock);
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
	unsigned waiting, owed, parked;
};

static void count_owed(struct pick *pick, const Sluice__Store__V1__OwedRecord *owed)
{
	if (owed->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH) {
		pick->owed++;
		pick->parked += owed->parked ? 1 : 0;
	}
}

/* Takes the item that the walk stands at, or says when it is due. Caller holds the lock. */
static void consider(struct gitsync *g, struct pick *pick, const struct store_walk *walk,
		     const Sluice__Store__V1__OwedRecord *owed, uint64_t now)
{
	if (owed->parked || is_busy(g, owed->repository_id)) {
		return;
	}
	if (owed->next_ms > now) {
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
	if ((code == SL_OK || pick->orphan) && set_busy(g, owed->repository_id)) {
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
	store_walk_begin(&walk, view, TABLE_OWED, SL_BYTES_NONE, STORE_FORWARD);
	pthread_mutex_lock(&g->lock);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__OwedRecord *owed = NULL;
		if (record_unpack(&arena, walk.value, &sluice__store__v1__owed_record__descriptor,
				  &owed, NULL) == SL_OK) {
			count_owed(pick, owed);
			consider(g, pick, &walk, owed, now);
		}
		sl_arena_fini(&arena);
	}
	g->stats.waiting = pick->waiting - (pick->found ? 1 : 0);
	g->stats.owed = pick->owed;
	g->stats.parked = pick->parked;
	pthread_mutex_unlock(&g->lock);
	return store_walk_result(&walk, err);
}

/* --- working --------------------------------------------------------------------------- */

static const char *kind_name(const struct gitsync_item *item)
{
	return item->owed->kind == SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH ? "publish"
										   : "resolve";
}

static sl_code work_on(struct gitsync *g, struct pick *pick, struct sl_err *err)
{
	const struct gitsync_item *item = &pick->item;
	if (pick->orphan) {
		struct sl_bytes key = SL_BYTES(pick->key, pick->key_size);
		return gitsync_item_drop(g->options.store, item->workspace, &key, err);
	}
	const struct gitsync_worker_options worker = {
	    .options = &g->options, .stop = is_stopping, .ctx = g};
	struct git_result result = {.failure = GIT_OK};
	sl_code code = gitsync_item_run(item, &worker, &result, err);
	if (code == SL_INVALID_ARGUMENT) { /* the job itself is refused, for instance its URL: that
					      is an answer too */
		result.failure = GIT_REPOSITORY_UNREACHABLE;
		sl_text_copy(result.text, sizeof(result.text), err->msg);
		sl_err_clear(err);
		code = SL_OK;
	}
	if (code == SL_OK && !is_stopping(g)) {
		note_contact(g, item->repository->id, &result);
		sl_log(result.failure == GIT_OK ? SL_LOG_INFO : SL_LOG_WARN, "git-job",
		       "kind=%s repository=%s app=%s version=%s result=%s text=%s", kind_name(item),
		       item->repository->name, item->app->name, item->version->name,
		       result.failure == GIT_OK ? "OK" : git_failure_name(result.failure),
		       SL_QUOTE(result.text));
		code = gitsync_item_record(g->options.store, item, &result, err);
	}
	git_result_fini(&result);
	return code;
}

static void diff_free(struct diff *diff)
{
	free(diff->repository_id);
	free(diff->from_commit);
	free(diff->from_path);
	free(diff->to_commit);
	free(diff->to_path);
	free(diff);
}

static void run_diff(struct gitsync *g, struct diff *diff)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	const struct git_job job = {
	    .op = GIT_DIFF,
	    .url = "",
	    .mirror = gitsync_mirror_path(&arena, g->options.data, diff->repository_id),
	    .commit = diff->from_commit,
	    .path = diff->from_path,
	    .other_commit = diff->to_commit,
	    .other_path = diff->to_path,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = g->options.deadline_ms,
	};
	struct git_result result = {.failure = GIT_WORKER_FAILED};
	if (is_stopping(g)) {
		sl_text_copy(result.text, sizeof(result.text), "the server is stopping");
	} else if (git_run(&job, is_stopping, g, &result, &err) != SL_OK) {
		result.failure = GIT_WORKER_FAILED;
		sl_text_copy(result.text, sizeof(result.text), err.msg);
	}
	diff->done(diff->ctx, &result);
	git_result_fini(&result);
	diff_free(diff);
}

/* The first diff whose repository is idle; NULL: none. */
static struct diff *take_diff(struct gitsync *g)
{
	struct diff *taken = NULL;
	pthread_mutex_lock(&g->lock);
	for (struct diff **at = &g->diffs; *at != NULL && taken == NULL; at = &(*at)->next) {
		if (!is_busy(g, (*at)->repository_id) && set_busy(g, (*at)->repository_id)) {
			taken = *at;
			*at = taken->next;
			if (*at == NULL) {
				g->diffs_end = at;
			}
			break;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

/* Removes the mirrors of repositories that are gone, as they become idle. */
static void forget_some(struct gitsync *g)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	pthread_mutex_lock(&g->lock);
	for (struct busy **at = &g->forgotten; *at != NULL;) {
		struct busy *gone = *at;
		if (is_busy(g, gone->repository_id)) {
			at = &gone->next;
			continue;
		}
		*at = gone->next;
		char *path = gitsync_mirror_path(&arena, g->options.data, gone->repository_id);
		if (path != NULL) {
			gitsync_remove_tree(path);
		}
		free(gone);
	}
	pthread_mutex_unlock(&g->lock);
}

static void finish_repository(struct gitsync *g, const char *repository_id)
{
	pthread_mutex_lock(&g->lock);
	set_idle(g, repository_id);
	pthread_mutex_unlock(&g->lock);
}

/* Until something was committed, or `next_ms` (wall clock, as stored) has come. */
static void rest(struct gitsync *g, uint64_t seen, uint64_t next_ms)
{
	uint64_t now = sl_clock_unix_ms();
	uint64_t pause = next_ms <= now ? 1 : next_ms - now;
	pause = pause > IDLE_MS ? IDLE_MS : pause;
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(pause / 1000u);
	until.tv_nsec += (long)(pause % 1000u) * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&g->lock);
	int rc = 0;
	while (g->wakes == seen && !is_stopping(g) && rc == 0) {
		rc = pthread_cond_timedwait(&g->wake, &g->lock, &until);
	}
	pthread_mutex_unlock(&g->lock);
}

static void one_turn(struct gitsync *g)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	pthread_mutex_lock(&g->lock);
	uint64_t seen = g->wakes;
	pthread_mutex_unlock(&g->lock);
	forget_some(g);
	struct diff *diff = take_diff(g);
	if (diff != NULL) {
		char repository_id[32] = "";
		sl_text_copy(repository_id, sizeof(repository_id), diff->repository_id);
		run_diff(g, diff);
		finish_repository(g, repository_id);
		return;
	}
	struct pick pick = {.next_ms = UINT64_MAX};
	sl_arena_init(&pick.item.arena, 0);
	sl_code code = pick_next(g, &pick, &err);
	if (code == SL_OK && pick.found) {
		code = work_on(g, &pick, &err);
	}
	if (code != SL_OK && !is_stopping(g)) {
		log_warn("git-job-trouble", "error=%s", SL_QUOTE(err.msg));
		rest(g, seen, sl_clock_unix_ms() + TROUBLE_MS);
	}
	if (pick.found) {
		finish_repository(g, pick.item.owed->repository_id);
	} else if (code == SL_OK) {
		rest(g, seen, pick.next_ms);
	}
	sl_arena_fini(&pick.item.arena);
}

static void *gitsync_main(void *arg)
{
	struct gitsync *g = arg;
	while (!is_stopping(g)) {
		one_turn(g);
	}
	return NULL;
}

/* --- life ----------------------------------------------------------------------------------- */

/* Leftovers of killed jobs: no job runs yet. */
static void sweep_mirrors(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char path[PATH_MAX + 300];
		if (entry->d_name[0] != '.') {
			(void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
			git_mirror_sweep(path);
		}
	}
	if (dir != NULL) {
		(void)closedir(dir);
	}
}

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
	sweep_mirrors(mirrors);
	return SL_OK;
}

sl_code gitsync_new(const struct gitsync_options *options, struct gitsync **ret_gitsync,
		    struct sl_err *err)
{
	SL_AUTO(gitsync_free_auto) struct gitsync *g = calloc(1, sizeof(*g));
	if (g == NULL) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED, "out of memory");
	}
	g->options = *options;
	g->diffs_end = &g->diffs;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sl_code code = prepare_folder(g, err);
	g->threads = calloc(options->jobs, sizeof(*g->threads));
	if (code == SL_OK && g->threads == NULL) {
		code = sl_err_set(err, SL_RESOURCE_EXHAUSTED, "out of memory");
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
	pthread_mutex_unlock(&g->lock);
	while (g->started > 0) {
		(void)pthread_join(g->threads[--g->started], NULL);
	}
	while (g->diffs != NULL) { /* nobody else is left to answer them */
		struct diff *diff = g->diffs;
		g->diffs = diff->next;
		run_diff(g, diff);
	}
	g->diffs_end = &g->diffs;
}

static void free_names(struct busy *list)
{
	while (list != NULL) {
		struct busy *next = list->next;
		free(list);
		list = next;
	}
}

void gitsync_free(struct gitsync *g)
{
	if (g == NULL) {
		return;
	}
	gitsync_stop(g);
	free_names(g->busy);
	free_names(g->forgotten);
	while (g->contacts != NULL) {
		struct contact *c = g->contacts;
		g->contacts = c->next;
		free(c);
	}
	pthread_cond_destroy(&g->wake);
	pthread_mutex_destroy(&g->lock);
	free(g->threads);
	free(g);
}

/* --- from other threads ------------------------------------------------------------------------
 */

void gitsync_wake(struct gitsync *g)
{
	pthread_mutex_lock(&g->lock);
	g->wakes++;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}

void gitsync_forget(struct gitsync *g, const char *repository_id)
{
	struct busy *gone = name_new(repository_id);
	if (gone == NULL) {
		return; /* a mirror that stays costs disk, nothing else */
	}
	pthread_mutex_lock(&g->lock);
	gone->next = g->forgotten;
	g->forgotten = gone;
	g->wakes++;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}

void gitsync_diff(struct gitsync *g, const char *repository_id, const char *from_commit,
		  const char *from_path, const char *to_commit, const char *to_path,
		  void (*done)(void *ctx, const struct git_result *result), void *ctx)
{
	struct diff *diff = calloc(1, sizeof(*diff));
	if (diff != NULL) {
		*diff = (struct diff){
		    .repository_id = strdup(repository_id),
		    .from_commit = strdup(from_commit),
		    .from_path = strdup(from_path),
		    .to_commit = strdup(to_commit),
		    .to_path = strdup(to_path),
		    .done = done,
		    .ctx = ctx,
		};
	}
	bool good = diff != NULL && diff->repository_id != NULL && diff->from_commit != NULL &&
		    diff->from_path != NULL && diff->to_commit != NULL && diff->to_path != NULL;
	pthread_mutex_lock(&g->lock);
	bool queued = good && !is_stopping(g);
	if (queued) {
		*g->diffs_end = diff;
		g->diffs_end = &diff->next;
		g->wakes++;
		pthread_cond_broadcast(&g->wake);
	}
	pthread_mutex_unlock(&g->lock);
	if (queued) {
		return;
	}
	struct git_result result = {.failure = GIT_WORKER_FAILED,
				    .text = "the server is stopping or out of memory"};
	done(ctx, &result);
	if (diff != NULL) {
		diff_free(diff);
	}
}

static void count_repository(const struct store_view *view, uint32_t workspace,
			     const char *repository_id, Sluice__V1__RepositoryContact *contact)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct record_key prefix =
	    KEY(workspace, key_u32(k, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH));
	store_walk_begin(&walk, view, TABLE_OWED, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__OwedRecord *owed = NULL;
		if (record_unpack(&arena, walk.value, &sluice__store__v1__owed_record__descriptor,
				  &owed, NULL) == SL_OK &&
		    strcmp(owed->repository_id, repository_id) == 0) {
			contact->owed++;
			contact->parked += owed->parked ? 1 : 0;
		}
		sl_arena_fini(&arena);
	}
}

Sluice__V1__RepositoryContact *gitsync_contact(struct gitsync *g, const struct store_view *view,
					       struct sl_arena *arena, uint32_t workspace,
					       const char *repository_id)
{
	Sluice__V1__RepositoryContact *contact = SL_ARENA_NEW(arena, Sluice__V1__RepositoryContact);
	if (contact == NULL) {
		return NULL;
	}
	sluice__v1__repository_contact__init(contact);
	pthread_mutex_lock(&g->lock);
	const struct contact *known = contact_of(g, repository_id, false);
	if (known != NULL) {
		contact->reachable = known->failure != GIT_REPOSITORY_UNREACHABLE;
		contact->failure =
		    (char *)(known->failure == GIT_OK ? "" : git_failure_name(known->failure));
		contact->text = sl_arena_strdup(arena, known->text);
		contact->at = SL_ARENA_NEW(arena, Google__Protobuf__Timestamp);
		if (contact->at != NULL) {
			google__protobuf__timestamp__init(contact->at);
			contact->at->seconds = (int64_t)(known->at_ms / 1000u);
			contact->at->nanos = (int32_t)(known->at_ms % 1000u) * 1000000;
		}
	}
	pthread_mutex_unlock(&g->lock);
	count_repository(view, workspace, repository_id, contact);
	return sl_arena_failed(arena) ? NULL : contact;
}

void gitsync_stats_read(struct gitsync *g, struct gitsync_stats *ret_stats)
{
	pthread_mutex_lock(&g->lock);
	*ret_stats = g->stats;
	pthread_mutex_unlock(&g->lock);
}

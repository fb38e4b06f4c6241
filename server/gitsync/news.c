/* What hosts have that no version holds yet. One look at a repository's refs, every --poll-every,
 * is for all apps in it; only when it shows another tip, or versions hold others since, is the
 * branch fetched and counted. What was found lies in memory, and nothing follows from it by itself.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"
#include "server/records/apps.h"
#include "server/records/pinned.h"

enum {
	POLL_JITTER_PERCENT = 20,
	MEET_EVERY_MS = 60000,  /* between readings of which repositories there are */
	POLL_DOUBLINGS_MAX = 4, /* of the pause, while a host is away */
	COUNT_BYTES = 48 << 10, /* of what one job counts; a record of the worker's has 96 KiB */
};

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

/* --- what is known of a repository; with the lock held ----------------------------------- */

static struct poll **bucket_of(struct gitsync *g, const char *repository_id)
{
	uint32_t hash = 2166136261u;
	for (; *repository_id != '\0'; repository_id++) {
		hash = (hash ^ (uint8_t)*repository_id) * 16777619u;
	}
	return &g->polls[hash % GITSYNC_POLL_BUCKETS];
}

static struct poll *poll_of(struct gitsync *g, const char *repository_id, bool make)
{
	struct poll **bucket = bucket_of(g, repository_id);
	for (struct poll *p = *bucket; p != NULL; p = p->next) {
		if (strcmp(p->repository_id, repository_id) == 0) {
			return p;
		}
	}
	struct poll *p = make ? calloc(1, sizeof(*p)) : NULL;
	if (p != NULL) {
		uint32_t random = 0;
		sl_random(&random, sizeof(random));
		sl_text_copy(p->repository_id, sizeof(p->repository_id), repository_id);
		/* Those that are met together are not looked at together. */
		p->due_mono_ms = sl_clock_mono_ms() + random % (g->options.poll_every_ms + 1);
		p->next = *bucket;
		*bucket = p;
	}
	return p;
}

void gitsync_news_meet(struct gitsync *g, const char *repository_id)
{
	(void)poll_of(g, repository_id, true);
}

static void poll_free(struct poll *p)
{
	free(p->counts);
	free(p);
}

void gitsync_news_drop(struct gitsync *g, const char *repository_id)
{
	for (struct poll **at = bucket_of(g, repository_id); *at != NULL; at = &(*at)->next) {
		struct poll *p = *at;
		if (strcmp(p->repository_id, repository_id) == 0) {
			*at = p->next;
			poll_free(p);
			return;
		}
	}
}

void gitsync_news_fini(struct gitsync *g)
{
	for (size_t i = 0; i < GITSYNC_POLL_BUCKETS; i++) {
		while (g->polls[i] != NULL) {
			struct poll *p = g->polls[i];
			g->polls[i] = p->next;
			poll_free(p);
		}
	}
}

/* The next look: later by up to a fifth, and much later while the host does not answer. */
static void plan_next(const struct gitsync *g, struct poll *p)
{
	uint32_t random = 0;
	uint64_t pause = g->options.poll_every_ms;
	sl_random(&random, sizeof(random));
	pause <<= p->failed < POLL_DOUBLINGS_MAX ? p->failed : POLL_DOUBLINGS_MAX;
	pause += random % (pause * POLL_JITTER_PERCENT / 100 + 1);
	p->due_mono_ms = sl_clock_mono_ms() + pause;
}

/* --- counting ------------------------------------------------------------------------------ */

/* The apps of a repository, one line each of what GIT_COUNT takes. */
struct ledger {
	struct sl_arena arena;
	const struct store_view *view;
	uint32_t workspace;
	char (*apps)[GITSYNC_ID_ROOM]; /* owned; in order of the lines */
	size_t count, room;
	struct sl_buf text;
	uint8_t hash[SL_HASH_BYTES]; /* of the tip and the lines */
};

static void ledger_fini(struct ledger *l)
{
	store_view_end(l->view);
	sl_buf_fini(&l->text);
	free(l->apps);
	sl_arena_fini(&l->arena);
}

static bool add_line(struct ledger *l, const char *app_id, const char *path, const char *ids)
{
	if (l->count == l->room) {
		size_t room = l->room == 0 ? 16 : l->room * 2;
		void *grown = realloc(l->apps, room * sizeof(*l->apps));
		if (grown == NULL) {
			return false;
		}
		l->apps = grown;
		l->room = room;
	}
	sl_text_copy(l->apps[l->count++], GITSYNC_ID_ROOM, app_id);
	sl_buf_append(&l->text, path, strlen(path));
	sl_buf_append(&l->text, "\t", 1);
	sl_buf_append(&l->text, ids, strlen(ids));
	sl_buf_append(&l->text, "\n", 1);
	return !l->text.failed;
}

static sl_code read_ledger(struct gitsync *g, const struct gitsync_repository *repository,
			   struct ledger *l, struct sl_err *err)
{
	struct record_key prefix = KEY(repository->workspace, key_text(k, repository->record->id));
	SL_AUTO(store_walk_end) struct store_walk walk = {.cursor = NULL};
	sl_code code = store_view_begin(g->options.store, &l->view, err);
	if (code != SL_OK) {
		return code;
	}
	l->workspace = repository->workspace;
	store_walk_begin(&walk, l->view, TABLE_APPS_BY_PATH, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__AppRecord *app = NULL;
		const char *ids = "";
		code = app_get(l->view, &l->arena, l->workspace, app_path_key_app_id(walk.key),
			       &app, err);
		code = code != SL_OK
			   ? code
			   : pinned_commits(l->view, &l->arena, l->workspace, app->id, &ids, err);
		if (code != SL_OK) {
			return code;
		}
		const char *path = strcmp(app->path, ".") == 0 ? "" : app->path;
		/* What holds nothing yet has no news either. */
		if (ids[0] != '\0' && !add_line(l, app->id, path, ids)) {
			return sl_err_no_memory(err);
		}
	}
	return store_walk_result(&walk, err);
}

/* As many lines as fit into a job, from `at`; ended by a NUL there. Returns where the next begin.
 */
static char *cut_lines(char *at)
{
	size_t length = strlen(at);
	if (length <= COUNT_BYTES) {
		return at + length;
	}
	char *end = at + COUNT_BYTES;
	while (*end != '\n' && end > at) {
		end--;
	}
	*end = '\0';
	return end + 1;
}

static sl_code count_lines(struct gitsync *g, struct git_job *job, struct ledger *l,
			   struct news_count *counts, struct sl_err *err)
{
	size_t counted = 0;
	sl_buf_append(&l->text, "", 1);
	if (l->text.failed) {
		return sl_err_no_memory(err);
	}
	for (char *at = (char *)l->text.data; *at != '\0';) {
		struct git_result result = {.failure = GIT_OK};
		char *next = cut_lines(at);
		job->record = at;
		sl_code code = git_run(job, gitsync_is_stopping, g, &result, err);
		if (code == SL_OK && result.failure != GIT_OK) {
			code = sl_err_set(err, SL_UNAVAILABLE, "%s: %.200s",
					  git_failure_name(result.failure), result.text);
		}
		for (size_t i = 0; code == SL_OK && i < result.diff_count && counted < l->count;
		     i++, counted++) {
			sl_text_copy(counts[counted].app_id, GITSYNC_ID_ROOM, l->apps[counted]);
			counts[counted].commits = result.diff[i].new_bytes;
			counts[counted].more = result.diff[i].old_bytes != 0;
		}
		git_result_fini(&result);
		if (code != SL_OK) {
			return code;
		}
		at = next;
	}
	return SL_OK;
}

static void hash_ledger(struct ledger *l, const char *tip)
{
	struct sl_hasher hasher;
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, tip, strlen(tip) + 1);
	sl_hasher_add(&hasher, l->text.data, l->text.size);
	sl_hasher_end(&hasher, l->hash);
}

static void keep_counts(struct gitsync *g, const char *repository_id, const struct ledger *l,
			struct news_count **counts, const char *tip)
{
	pthread_mutex_lock(&g->lock);
	struct poll *p = poll_of(g, repository_id, false);
	if (p != NULL) {
		free(p->counts);
		p->counts = SL_TAKE(*counts);
		p->count = l->count;
		memcpy(p->counted_hash, l->hash, SL_HASH_BYTES);
		sl_text_copy(p->counted_tip, sizeof(p->counted_tip), tip);
	}
	pthread_mutex_unlock(&g->lock);
}

/* The branch comes into the mirror, and each app's news are counted. */
static sl_code count_news(struct gitsync *g, const struct git_job *look, struct ledger *l,
			  const struct git_result *looked, struct news_count *counts,
			  struct sl_err *err)
{
	struct git_result fetched = {.failure = GIT_OK};
	struct git_job fetch = *look, count = {.op = GIT_COUNT,
					       .url = "",
					       .mirror = look->mirror,
					       .other_commit = looked->commit,
					       .limits = look->limits,
					       .deadline_ms = g->options.deadline_ms};
	fetch.op = GIT_FETCH;
	fetch.ref = looked->ref;
	fetch.commit = looked->commit;
	fetch.deadline_ms = g->options.deadline_ms;
	sl_code code = git_run(&fetch, gitsync_is_stopping, g, &fetched, err);
	if (code == SL_OK && fetched.failure != GIT_OK) {
		code = sl_err_set(err, SL_UNAVAILABLE, "%s: %.200s",
				  git_failure_name(fetched.failure), fetched.text);
	}
	git_result_fini(&fetched);
	return code == SL_OK ? count_lines(g, &count, l, counts, err) : code;
}

/* Notes the look; false: nothing was seen. */
static bool note_look(struct gitsync *g, const char *repository_id, const struct git_result *looked)
{
	bool answered = looked->failure == GIT_OK;
	pthread_mutex_lock(&g->lock);
	struct poll *p = poll_of(g, repository_id, true);
	g->stats.looks++;
	if (p != NULL) {
		p->failed = answered ? 0 : p->failed + 1;
		plan_next(g, p);
	}
	if (p != NULL && answered) {
		p->at_ms = sl_clock_unix_ms();
		sl_text_copy(p->ref, sizeof(p->ref), looked->ref);
	}
	pthread_mutex_unlock(&g->lock);
	return p != NULL && answered;
}

static bool is_counted(struct gitsync *g, const char *repository_id, const struct ledger *l)
{
	pthread_mutex_lock(&g->lock);
	const struct poll *p = poll_of(g, repository_id, false);
	bool counted = p != NULL && memcmp(p->counted_hash, l->hash, SL_HASH_BYTES) == 0;
	pthread_mutex_unlock(&g->lock);
	return counted;
}

void gitsync_news_looked(struct gitsync *g, const struct gitsync_repository *repository,
			 const struct git_job *look, const struct git_result *looked)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(ledger_fini) struct ledger ledger = {.view = NULL};
	const char *id = repository->record->id;
	sl_arena_init(&ledger.arena, 0);
	if (!note_look(g, id, looked)) {
		return;
	}
	sl_code code = read_ledger(g, repository, &ledger, &err);
	store_view_end(SL_TAKE(ledger.view)); /* what follows takes long */
	hash_ledger(&ledger, looked->commit);
	if (code == SL_OK && (ledger.count == 0 || is_counted(g, id, &ledger))) {
		return;
	}
	struct news_count *counts =
	    code == SL_OK ? calloc(ledger.count + 1, sizeof(*counts)) : NULL;
	if (code == SL_OK) {
		code = counts == NULL ? sl_err_no_memory(&err)
				      : count_news(g, look, &ledger, looked, counts, &err);
	}
	if (code == SL_OK) {
		keep_counts(g, id, &ledger, &counts, looked->commit);
	} else if (!gitsync_is_stopping(g)) {
		log_warn("news-not-counted", "repository=%s why=%s", repository->record->name,
			 SL_QUOTE(err.msg));
	}
	free(counts);
}

/* --- polling --------------------------------------------------------------------------------- */

/* Which repositories there are; now and then, since a new one is met with its first job. In
 * recovery no host is asked for anything. */
static sl_code meet_all(struct gitsync *g, struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	SL_AUTO(store_walk_end) struct store_walk walk = {.cursor = NULL};
	sl_code code = store_view_begin(g->options.store, &view, err);
	if (code != SL_OK || store_view_is_recovering(view)) {
		return code;
	}
	store_walk_begin(&walk, view, TABLE_REPOSITORIES, SL_BYTES_NONE, STORE_FORWARD);
	pthread_mutex_lock(&g->lock);
	while (store_walk_next(&walk)) { /* key: workspace, id */
		(void)poll_of(g, (const char *)walk.key.data + 4, true);
	}
	pthread_mutex_unlock(&g->lock);
	return store_walk_result(&walk, err);
}

/* Takes the first that is due and makes it busy; *next_mono_ms: when one will be. With the lock
 * held. */
static bool take_due(struct gitsync *g, char repository_id[static GITSYNC_ID_ROOM],
		     uint64_t *next_mono_ms)
{
	uint64_t now = sl_clock_mono_ms();
	for (size_t i = 0; i < GITSYNC_POLL_BUCKETS; i++) {
		for (struct poll *p = g->polls[i]; p != NULL; p = p->next) {
			if (p->due_mono_ms <= now && gitsync_claim(g, p->repository_id)) {
				sl_text_copy(repository_id, GITSYNC_ID_ROOM, p->repository_id);
				plan_next(g, p); /* also when the look comes to nothing */
				return true;
			}
			/* One that is busy is due when it is idle, which wakes us. */
			bool later = p->due_mono_ms > now && p->due_mono_ms < *next_mono_ms;
			*next_mono_ms = later ? p->due_mono_ms : *next_mono_ms;
		}
	}
	return false;
}

bool gitsync_poll_one(struct gitsync *g, uint64_t *next_ms)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char due[GITSYNC_ID_ROOM];
	uint64_t now = sl_clock_mono_ms();
	if (g->options.poll_every_ms == 0) {
		return false;
	}
	pthread_mutex_lock(&g->lock);
	bool meets = now >= g->polls_met_mono_ms + MEET_EVERY_MS || g->polls_met_mono_ms == 0;
	g->polls_met_mono_ms = meets ? now : g->polls_met_mono_ms;
	pthread_mutex_unlock(&g->lock);
	if (meets && meet_all(g, &err) != SL_OK) {
		log_warn("polling", "error=%s", SL_QUOTE(err.msg));
	}
	pthread_mutex_lock(&g->lock);
	uint64_t next_mono_ms = g->polls_met_mono_ms + MEET_EVERY_MS;
	bool found = take_due(g, due, &next_mono_ms);
	pthread_mutex_unlock(&g->lock);
	if (!found) {
		uint64_t at = sl_clock_unix_ms() + (next_mono_ms > now ? next_mono_ms - now : 0);
		*next_ms = at < *next_ms ? at : *next_ms;
		return false;
	}
	gitsync_look_at(g, due, NULL);
	pthread_mutex_lock(&g->lock);
	gitsync_set_idle(g, due);
	pthread_mutex_unlock(&g->lock);
	return true;
}

bool gitsync_news(struct gitsync *g, const char *repository_id, const char *app_id,
		  struct gitsync_news *ret_news)
{
	bool known = false;
	pthread_mutex_lock(&g->lock);
	const struct poll *p = poll_of(g, repository_id, false);
	for (size_t i = 0; p != NULL && !known && i < p->count; i++) {
		const struct news_count *count = &p->counts[i];
		known = strcmp(count->app_id, app_id) == 0;
		if (known) {
			*ret_news = (struct gitsync_news){
			    .commits = count->commits, .more = count->more, .at_ms = p->at_ms};
			sl_text_copy(ret_news->tip, sizeof(ret_news->tip), p->counted_tip);
			sl_text_copy(ret_news->ref, sizeof(ret_news->ref), p->ref);
		}
	}
	pthread_mutex_unlock(&g->lock);
	return known;
}

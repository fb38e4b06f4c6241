/* New commits on branches: one look at a repository is for all its apps, and is repeated only so
 * often; what it finds is counted for each app, and nothing follows from it. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/git/git.h"
#include "server/gitsync/gitsync.h"
#include "server/gitsync/jobs.h"
#include "server/records/apps.h"
#include "server/records/repositories.h"
#include "server/records/versions.h"
#include "tests/lib/gitrepo.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"
#include "tests/unit/server/records/steps.h"

enum { LONG_MS = 60000, OFTEN_MS = 100, NEVER_MS = 3600000, APPS = 500 };

struct fixture {
	struct steps *s;
	char *dir;
	struct gitrepo repo;
	char url[GIT_URL_MAX], first[GIT_OID_TEXT];
	struct gitsync *g;
	const char *repository_id, *app_ids[APPS];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_int_equal(steps_setup((void **)&f->s), 0);
	f->dir = tmpdir_new();
	gitrepo_init(&f->repo, f->dir);
	gitrepo_text(&f->repo, "apps/app-0/index.html", "0\n");
	gitrepo_text(&f->repo, "apps/app-1/index.html", "1\n");
	gitrepo_text(&f->repo, "README", "of no app\n");
	gitrepo_commit(&f->repo, "First of all", f->first);
	(void)snprintf(f->url, sizeof(f->url), "file://%s", f->repo.bare);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	gitsync_free(f->g);
	void *steps = f->s;
	tmpdir_free(f->dir);
	free(f);
	return steps_teardown(&steps);
}

static void start(struct fixture *f, uint64_t poll_every_ms)
{
	const struct gitsync_options options = {.store = f->s->store,
						.data = f->s->path,
						.allow_local = true,
						.jobs = 2,
						.deadline_ms = LONG_MS,
						.poll_every_ms = poll_every_ms};
	assert_int_equal(gitsync_new(&options, &f->g, &f->s->err), SL_OK);
}

/* --- the store ------------------------------------------------------------------------------ */

static sl_code repository_decide(struct decision *d, struct steps *s, const void *in,
				 struct sl_err *err)
{
	const struct repository_new wanted = {.name = "code",
					      .url = in,
					      .branch = "",
					      .publish =
						  SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE};
	Sluice__Store__V1__RepositoryRecord *record = NULL;
	sl_code code = repositories_decide_create(d, &wanted, &record, err);
	(void)s;
	return code;
}

static sl_code app_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	const struct app_new app = {.name = in,
				    .display_name = "",
				    .repository = "code",
				    .repository_url = "",
				    .path = "",
				    .version_name = "",
				    .commit = ""};
	struct app_created created;
	(void)s;
	return apps_decide_create(d, &app, &created, err);
}

static sl_code content_decide(struct decision *d, struct steps *s, const void *in,
			      struct sl_err *err)
{
	(void)s;
	return versions_decide_content_result(d, in, err);
}

/* Its first version holds the commit; in the arena of steps. */
static Sluice__Store__V1__AppRecord *add_app(struct fixture *f, const char *name,
					     const char *commit)
{
	static const uint8_t digest[SL_HASH_BYTES] = {1};
	struct steps *s = f->s;
	const struct store_view *view = NULL;
	Sluice__Store__V1__AppRecord *app = NULL;
	Sluice__Store__V1__VersionRecord *version = NULL;
	(void)steps_run(s, app_decide, name);
	steps_done(s);
	assert_int_equal(store_view_begin(s->store, &view, NULL), SL_OK);
	assert_int_equal(app_find(view, &s->arena, STEPS_WORKSPACE, name, &app, &s->err), SL_OK);
	assert_int_equal(
	    version_find(view, &s->arena, STEPS_WORKSPACE, app, "v1", &version, &s->err), SL_OK);
	store_view_end(view);
	const struct version_content_result result = {
	    .app_id = app->id,
	    .version = version->number,
	    .generation = version->content->generation,
	    .commit = commit,
	    .tree = "89abcdef0123456789abcdef0123456789abcdef",
	    .ref = "refs/heads/main",
	    .digest = digest,
	    .files = 1,
	    .bytes = 2,
	};
	(void)steps_run(s, content_decide, &result);
	steps_done(s);
	return app;
}

static void add_apps(struct fixture *f, size_t count)
{
	(void)steps_run(f->s, repository_decide, f->url);
	steps_done(f->s);
	for (size_t i = 0; i < count; i++) {
		char name[40];
		(void)snprintf(name, sizeof(name), "app-%zu", i);
		const Sluice__Store__V1__AppRecord *app = add_app(f, name, f->first);
		f->app_ids[i] = app->id;
		f->repository_id = app->repository_id;
	}
}

/* --- looking --------------------------------------------------------------------------------- */

static uint64_t looks(struct fixture *f)
{
	struct gitsync_stats stats;
	gitsync_stats_read(f->g, &stats);
	return stats.looks;
}

/* Commits that are news to an app; -1: nothing is known. */
static int news_of(struct fixture *f, size_t app)
{
	struct gitsync_news news;
	return gitsync_news(f->g, f->repository_id, f->app_ids[app], &news) ? (int)news.commits
									    : -1;
}

static void push(struct fixture *f, const char *path, const char *text, char *ret_commit)
{
	gitrepo_text(&f->repo, path, text);
	gitrepo_commit(&f->repo, text, ret_commit);
}

static void test_news_of_500_apps_cost_one_look(void **state)
{
	struct fixture *f = *state;
	char tip[GIT_OID_TEXT];
	struct gitsync_news news;
	add_apps(f, APPS);
	push(f, "apps/app-0/index.html", "new", NULL);
	push(f, "apps/app-499/index.html", "new", NULL);
	push(f, "README", "still of no app", NULL);
	push(f, "apps/app-0/more.html", "more", tip);
	start(f, NEVER_MS);
	assert_int_equal(looks(f), 0); /* its turn comes some time in the hour */
	gitsync_look(f->g, f->repository_id, f->url);
	assert_true(WAIT_FOR(news_of(f, 0) == 2, LONG_MS));
	assert_int_equal(looks(f), 1);
	assert_int_equal(news_of(f, 1), 0);
	assert_int_equal(news_of(f, 498), 0);
	assert_int_equal(news_of(f, 499), 1);
	assert_true(gitsync_news(f->g, f->repository_id, f->app_ids[0], &news));
	assert_string_equal(news.tip, tip);
	assert_string_equal(news.ref, "refs/heads/main");
	assert_false(news.more);
	/* Nothing followed from it: the one commit that versions hold is the first. */
	assert_int_equal(gitsync_news(f->g, f->repository_id, "app_nosuch", &news), false);
}

static void test_news_come_by_themselves_and_go_with_the_versions(void **state)
{
	struct fixture *f = *state;
	char second[GIT_OID_TEXT], third[GIT_OID_TEXT];
	add_apps(f, 2);
	start(f, OFTEN_MS);
	assert_true(WAIT_FOR(news_of(f, 0) == 0 && news_of(f, 1) == 0, LONG_MS));
	push(f, "apps/app-0/index.html", "second", second);
	push(f, "apps/app-0/index.html", "third", third);
	assert_true(WAIT_FOR(news_of(f, 0) == 2, LONG_MS));
	assert_int_equal(news_of(f, 1), 0);
	/* An app whose version holds the second has one left. */
	f->app_ids[2] = add_app(f, "app-2", second)->id;
	push(f, "apps/app-2/index.html", "of the new one", NULL);
	assert_true(WAIT_FOR(news_of(f, 2) == 1, LONG_MS));
	uint64_t before = looks(f);
	assert_true(WAIT_FOR(looks(f) > before + 2, LONG_MS));
}

/* How long until the next looks: further and further apart while nobody answers. */
static void test_news_leave_a_host_alone_that_does_not_answer(void **state)
{
	struct fixture *f = *state;
	char aside[500];
	enum { LOOKS = 4 };
	uint64_t at[LOOKS];
	add_apps(f, 1);
	(void)snprintf(aside, sizeof(aside), "%s.aside", f->repo.bare);
	assert_int_equal(rename(f->repo.bare, aside), 0);
	start(f, OFTEN_MS);
	for (uint64_t i = 0; i < LOOKS; i++) {
		assert_true(WAIT_FOR(looks(f) > i, LONG_MS));
		at[i] = sl_clock_mono_ms();
	}
	/* Pauses of 2, 4 and 8 times the usual one at least. */
	assert_true(at[LOOKS - 1] - at[0] >= (uint64_t)(2 + 4 + 8) * OFTEN_MS - 200);
	assert_int_equal(news_of(f, 0), -1);
	assert_int_equal(rename(aside, f->repo.bare), 0);
	assert_true(WAIT_FOR(news_of(f, 0) == 0, LONG_MS));
}

/* --- asked --- */

struct answer {
	atomic_uint calls;
	enum git_failure failure;
	size_t count;
	char subject[256], ref[GIT_REF_MAX];
};

static void answered(void *ctx, const struct git_result *result)
{
	struct answer *answer = ctx;
	answer->failure = result->failure;
	answer->count = result->log_count;
	(void)snprintf(answer->subject, sizeof(answer->subject), "%s",
		       result->log_count > 0 ? result->log[0].subject : "");
	(void)snprintf(answer->ref, sizeof(answer->ref), "%s", result->ref);
	atomic_fetch_add(&answer->calls, 1);
}

static void ask(struct fixture *f, const char *known, struct answer *answer)
{
	const struct gitsync_question question = {.kind = GITSYNC_NEW,
						  .repository_id = f->repository_id,
						  .from_commit = known,
						  .to_path = "apps/app-0",
						  .done = answered,
						  .ctx = answer};
	*answer = (struct answer){.count = 0};
	gitsync_ask(f->g, &question);
	assert_true(WAIT_FOR(atomic_load(&answer->calls) == 1, LONG_MS));
}

static void test_news_are_listed_when_asked_for(void **state)
{
	struct fixture *f = *state;
	struct answer answer;
	char second[GIT_OID_TEXT], known[200];
	add_apps(f, 1);
	push(f, "apps/app-0/index.html", "second", second);
	push(f, "README", "aside", NULL);
	push(f, "apps/app-0/index.html", "third", NULL);
	start(f, 0);
	ask(f, f->first, &answer);
	assert_int_equal(answer.failure, GIT_OK);
	assert_int_equal(answer.count, 2);
	assert_string_equal(answer.subject, "third");
	assert_string_equal(answer.ref, "refs/heads/main");
	(void)snprintf(known, sizeof(known), "%s %s 0123456789012345678901234567890123456789",
		       f->first, second);
	ask(f, known, &answer);
	assert_int_equal(answer.count, 1);
	assert_int_equal(looks(f), 0);
	char aside[500];
	(void)snprintf(aside, sizeof(aside), "%s.aside", f->repo.bare);
	assert_int_equal(rename(f->repo.bare, aside), 0);
	ask(f, f->first, &answer);
	assert_int_equal(answer.failure, GIT_REPOSITORY_UNREACHABLE);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "git-worker") == 0) {
		return git_worker_main();
	}
	const struct CMUnitTest tests[] = {
	    WITH(test_news_of_500_apps_cost_one_look),
	    WITH(test_news_come_by_themselves_and_go_with_the_versions),
	    WITH(test_news_leave_a_host_alone_that_does_not_answer),
	    WITH(test_news_are_listed_when_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Owed Git work over a real store, real repositories and the real worker. */
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
#include "tests/lib/gitserver.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"
#include "tests/unit/server/records/steps.h"

enum { LONG_MS = 60000 };

struct fixture {
	struct steps *s;
	char *dir;
	struct gitrepo repo;
	char url[GIT_URL_MAX], commit[GIT_OID_TEXT];
	struct gitsync *g;
	struct gitserver *server; /* NULL: over file:// */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_int_equal(steps_setup((void **)&f->s), 0);
	f->dir = tmpdir_new();
	gitrepo_init(&f->repo, f->dir);
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>Shop</h1>\n");
	gitrepo_text(&f->repo, "README", "not the app\n");
	gitrepo_commit(&f->repo, "First of all", f->commit);
	(void)snprintf(f->url, sizeof(f->url), "file://%s", f->repo.bare);
	*state = f;
	return 0;
}

static void stop(struct fixture *f)
{
	gitsync_free(f->g);
	f->g = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	stop(f);
	gitserver_free(f->server);
	void *steps = f->s;
	tmpdir_free(f->dir);
	free(f);
	return steps_teardown(&steps);
}

static void start_as(struct fixture *f, bool allow_local, unsigned jobs)
{
	const struct gitsync_options options = {.store = f->s->store,
						.data = f->s->path,
						.allow_local = allow_local,
						.jobs = jobs,
						.deadline_ms = LONG_MS};
	assert_int_equal(gitsync_new(&options, &f->g, &f->s->err), SL_OK);
}

static void start(struct fixture *f)
{
	start_as(f, true, 2);
}

/* --- commands -------------------------------------------------------------------------- */

static sl_code shop_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	const struct app_new app = {.name = "shop",
				    .display_name = "",
				    .repository = "",
				    .repository_url = in,
				    .path = "",
				    .version_name = "",
				    .commit = ""};
	struct app_created created;
	(void)s;
	return apps_decide_create(d, &app, &created, err);
}

/* App `shop` in the fixture's repository, with v1, RESOLVING. */
static void shop(struct fixture *f)
{
	(void)steps_run(f->s, shop_decide, f->url);
	steps_done(f->s);
}

struct plant {
	enum record_table table;
	struct record_key key;
	const ProtobufCMessage *record;
};

static sl_code plant_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	const struct plant *plant = in;
	(void)s, (void)err;
	decision_put(d, plant->table, &plant->key, plant->record);
	return SL_OK;
}

static void plant(struct fixture *f, enum record_table table, struct record_key key,
		  const ProtobufCMessage *record)
{
	const struct plant in = {.table = table, .key = key, .record = record};
	(void)steps_run(f->s, plant_decide, &in);
	steps_done(f->s);
}

/* A row that somebody owes; the app is `shop`. */
static Sluice__Store__V1__OwedRecord owed_row(struct fixture *f, bool publish, uint32_t version)
{
	const Sluice__Store__V1__AppRecord *app = steps_app(f->s);
	Sluice__Store__V1__OwedRecord owed = SLUICE__STORE__V1__OWED_RECORD__INIT;
	owed.kind = publish ? SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH
			    : SLUICE__STORE__V1__OWED_KIND__OWED_KIND_RESOLVE;
	owed.app_id = app->id;
	owed.repository_id = app->repository_id;
	owed.version = version;
	return owed;
}

static void plant_owed(struct fixture *f, const Sluice__Store__V1__OwedRecord *owed)
{
	plant(f, TABLE_OWED, owed_key(STEPS_WORKSPACE, owed->kind, owed->app_id, owed->version),
	      &owed->base);
}

/* --- looking ----------------------------------------------------------------------------- */

static void *look(struct fixture *f, enum record_table table, struct record_key key,
		  const ProtobufCMessageDescriptor *type)
{
	const struct store_view *view = NULL;
	void *record = NULL;
	assert_int_equal(store_view_begin(f->s->store, &view, NULL), SL_OK);
	sl_code code = record_get(view, &f->s->arena, table, &key, type, &record, NULL);
	store_view_end(view);
	return code == SL_OK ? record : NULL;
}

static Sluice__Store__V1__OwedRecord *owed(struct fixture *f, bool publish, uint32_t version)
{
	Sluice__Store__V1__OwedRecord row = owed_row(f, publish, version);
	return look(f, TABLE_OWED, owed_key(STEPS_WORKSPACE, row.kind, row.app_id, version),
		    &sluice__store__v1__owed_record__descriptor);
}

static Sluice__Store__V1__PublicationRecord *publication(struct fixture *f, uint32_t version)
{
	return look(f, TABLE_PUBLICATIONS,
		    version_key(STEPS_WORKSPACE, steps_app(f->s)->id, version),
		    &sluice__store__v1__publication_record__descriptor);
}

static bool is_content(struct fixture *f, const char *version, Sluice__V1__ContentState state)
{
	return steps_get(f->s, version)->content->state == state;
}

static bool is_ready(struct fixture *f, const char *version)
{
	return is_content(f, version, SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY);
}

static bool is_failed(struct fixture *f, const char *version)
{
	return is_content(f, version, SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED);
}

static bool is_publication(struct fixture *f, uint32_t version, Sluice__V1__PublicationState state)
{
	return publication(f, version)->state == state;
}

static bool is_published(struct fixture *f, uint32_t version)
{
	return is_publication(f, version,
			      SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED);
}

static struct gitsync_stats stats(struct fixture *f)
{
	struct gitsync_stats s;
	gitsync_stats_read(f->g, &s);
	return s;
}

static bool is_there(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

static void mirror_path(struct fixture *f, const char *id, char path[static 600])
{
	(void)snprintf(path, 600, "%s/mirrors/%s.git", f->s->path, id);
}

/* --- what is owed is done ------------------------------------------------------------------- */

static void test_gitsync_resolves_and_publishes_what_is_owed(void **state)
{
	struct fixture *f = *state;
	char tag[GIT_OID_TEXT];
	shop(f);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
	assert_string_equal(steps_get(f->s, "v1")->content->commit, f->commit);
	assert_string_equal(steps_get(f->s, "v1")->content->subject, "First of all");
	assert_null(owed(f, false, 1));
	steps_seal(f->s, "v1");
	gitsync_wake(f->g);
	assert_true(WAIT_FOR(is_published(f, 1), LONG_MS));
	assert_null(owed(f, true, 1));
	gitrepo_git(f->repo.bare, tag, sizeof(tag), "rev-parse", publication(f, 1)->ref, NULL);
	assert_string_equal(tag, publication(f, 1)->commit);
	/* And the commit that says that the app is there. */
	assert_true(WAIT_FOR(stats(f).done == 3, LONG_MS));
	assert_int_equal(stats(f).failed, 0);
}

/* The server ended after the push and before it was written down. */
static void test_gitsync_publishing_again_finds_its_own_tag(void **state)
{
	struct fixture *f = *state;
	shop(f);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
	steps_seal(f->s, "v1");
	gitsync_wake(f->g);
	assert_true(WAIT_FOR(is_published(f, 1), LONG_MS));
	stop(f);
	Sluice__Store__V1__PublicationRecord *p = publication(f, 1);
	const char *commit = p->commit;
	p->state = SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED;
	p->commit = (char *)"";
	plant(f, TABLE_PUBLICATIONS, version_key(STEPS_WORKSPACE, steps_app(f->s)->id, 1),
	      &p->base);
	Sluice__Store__V1__OwedRecord row = owed_row(f, true, 1);
	plant_owed(f, &row);
	char mirror[600], away[620];
	mirror_path(f, steps_app(f->s)->repository_id, mirror);
	(void)snprintf(away, sizeof(away), "%s-away", mirror);
	assert_int_equal(rename(mirror, away), 0); /* and its mirror is lost */
	start(f);
	assert_true(WAIT_FOR(is_published(f, 1), LONG_MS));
	assert_string_equal(publication(f, 1)->commit, commit);
}

static void test_gitsync_tries_again_by_itself_when_the_host_is_back(void **state)
{
	struct fixture *f = *state;
	char away[450];
	(void)snprintf(away, sizeof(away), "%s-away", f->repo.bare);
	shop(f);
	assert_int_equal(rename(f->repo.bare, away), 0);
	start(f);
	assert_true(WAIT_FOR(is_failed(f, "v1"), LONG_MS));
	const Sluice__Store__V1__ContentRecord *content = steps_get(f->s, "v1")->content;
	assert_int_equal(content->reason,
			 SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE);
	assert_true(WAIT_FOR(owed(f, false, 1)->attempts == 2, LONG_MS));
	uint64_t now = sl_clock_unix_ms(), next = owed(f, false, 1)->next_ms;
	assert_true(next <= now + 2500); /* the second pause: 2 s, and up to a quarter more */
	assert_int_equal(rename(away, f->repo.bare), 0);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
	assert_true(stats(f).failed >= 2);
}

static void test_gitsync_url_that_is_not_allowed_is_an_answer(void **state)
{
	struct fixture *f = *state;
	shop(f);
	start_as(f, false, 1);
	assert_true(WAIT_FOR(is_failed(f, "v1"), LONG_MS));
	assert_non_null(strstr(steps_get(f->s, "v1")->content->text, "file://"));
}

static void test_gitsync_refused_tag_is_parked_and_others_pass(void **state)
{
	struct fixture *f = *state;
	shop(f);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
	stop(f);
	steps_seal(f->s, "v1");
	gitrepo_git(f->repo.bare, NULL, 0, "update-ref", publication(f, 1)->ref, f->commit, NULL);
	steps_version(f->s, "v2");
	start(f);
	assert_true(
	    WAIT_FOR(is_publication(f, 1, SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PARKED),
		     LONG_MS));
	assert_int_equal(publication(f, 1)->reason,
			 SLUICE__V1__CONTENT_REASON__CONTENT_REASON_TAG_TAKEN);
	assert_true(owed(f, true, 1)->parked);
	assert_true(WAIT_FOR(is_ready(f, "v2"), LONG_MS));
	steps_seal(f->s, "v2");
	gitsync_wake(f->g);
	assert_true(WAIT_FOR(
	    !is_publication(f, 2, SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_OWED), LONG_MS));
	assert_true(is_published(f, 2));
	assert_true(WAIT_FOR(stats(f).parked == 1 && stats(f).owed == 1, LONG_MS));
}

static void test_gitsync_publishes_what_changed_beside_the_tag(void **state)
{
	struct fixture *f = *state;
	char delta[GIT_REF_MAX + 50], parent[GIT_OID_TEXT];
	shop(f);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
	steps_seal(f->s, "v1");
	gitsync_wake(f->g);
	assert_true(WAIT_FOR(is_published(f, 1), LONG_MS));
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>Other</h1>\n");
	gitrepo_git(f->repo.work, NULL, 0, "pull", "-q", "--rebase", "--autostash", f->repo.bare,
		    "main", NULL); /* sluice has committed, too */
	gitrepo_commit(&f->repo, "Second", NULL);
	steps_version(f->s, "v2");
	gitsync_wake(f->g);
	assert_true(WAIT_FOR(is_ready(f, "v2"), LONG_MS));
	steps_seal(f->s, "v2");
	gitsync_wake(f->g);
	assert_true(WAIT_FOR(is_published(f, 2), LONG_MS));
	(void)snprintf(delta, sizeof(delta), "%s.delta-%s", publication(f, 2)->ref,
		       publication(f, 1)->commit);
	gitrepo_git(f->repo.bare, parent, sizeof(parent), "log", "-1", "--format=%P", delta, NULL);
	assert_string_equal(parent, publication(f, 1)->commit);
}

/* --- rows that should not be there ------------------------------------------------------------ */

static void test_gitsync_drops_rows_that_refer_to_nothing(void **state)
{
	struct fixture *f = *state;
	shop(f);
	Sluice__Store__V1__OwedRecord rows[] = {owed_row(f, false, 77), owed_row(f, true, 1)};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		plant_owed(f, &rows[i]);
	}
	start(f);
	assert_true(WAIT_FOR(owed(f, false, 77) == NULL && owed(f, true, 1) == NULL, LONG_MS));
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
}

/* It would be done again and again, as fast as the host answers. */
static void test_gitsync_drops_rows_that_nobody_wants(void **state)
{
	struct fixture *f = *state;
	shop(f);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
	uint64_t done = stats(f).done;
	Sluice__Store__V1__OwedRecord row = owed_row(f, false, 1);
	row.generation = steps_get(f->s, "v1")->content->generation;
	plant_owed(f, &row);
	gitsync_wake(f->g);
	assert_true(WAIT_FOR(owed(f, false, 1) == NULL, 20000));
	assert_true(stats(f).done <= done + 2);
}

/* Written when the clock was a year ahead. */
static void test_gitsync_does_not_wait_for_a_clock_that_was_ahead(void **state)
{
	struct fixture *f = *state;
	shop(f);
	Sluice__Store__V1__OwedRecord *row = owed(f, false, 1);
	row->next_ms = sl_clock_unix_ms() + 365ull * 86400000u;
	plant_owed(f, row);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
}

/* Results cannot be written down: the host is not asked again for every commit of others. */
static void test_gitsync_trouble_of_its_own_is_not_the_hosts(void **state)
{
	struct fixture *f = *state;
	shop(f);
	store_stop_accepting(f->s->store);
	start(f);
	assert_true(WAIT_FOR(stats(f).done == 1, LONG_MS));
	uint64_t began = sl_clock_mono_ms();
	while (stats(f).done < 3) {
		gitsync_wake(f->g);
		(void)usleep(2000);
	}
	assert_true(sl_clock_mono_ms() - began > 1000); /* 0.5 s, and 1 s more */
	assert_non_null(owed(f, false, 1));
}

/* --- stopping, one at a time --- */

static void test_gitsync_stop_kills_what_runs_and_loses_nothing(void **state)
{
	struct fixture *f = *state;
	f->server =
	    gitserver_new(&(struct gitserver_options){.kind = GITSERVER_GIT, .root = f->dir});
	(void)gitserver_url(f->server, "origin.git", f->url);
	gitserver_pause(f->server);
	shop(f);
	start(f);
	assert_true(WAIT_FOR(stats(f).running == 1, LONG_MS));
	uint64_t began = sl_clock_mono_ms();
	stop(f);
	assert_true(sl_clock_mono_ms() - began < 30000);
	assert_int_equal(owed(f, false, 1)->attempts, 0);
	assert_true(is_content(f, "v1", SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING));
	gitserver_resume(f->server);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
}

static void test_gitsync_works_on_a_repository_one_by_one(void **state)
{
	struct fixture *f = *state;
	bool two = false;
	shop(f);
	for (unsigned i = 2; i <= 6; i++) {
		char name[8];
		(void)snprintf(name, sizeof(name), "v%u", i);
		steps_version(f->s, sl_arena_strdup(&f->s->arena, name));
	}
	start_as(f, true, 4);
	for (unsigned i = 0; i < 60000 && !is_ready(f, "v6"); i++) {
		two = two || stats(f).running > 1;
		(void)usleep(1000);
	}
	assert_true(WAIT_FOR(stats(f).done == 6, LONG_MS));
	assert_false(two);
}

/* --- diffs --- */

struct answer {
	atomic_uint calls;
	enum git_failure failure;
	size_t count;
};

static void answered(void *ctx, const struct git_result *result)
{
	struct answer *answer = ctx;
	answer->failure = result->failure;
	answer->count = result->diff_count;
	atomic_fetch_add(&answer->calls, 1);
}

static void ask_diff(struct fixture *f, struct answer *answer, const char *to)
{
	const struct gitsync_question request = {
	    .kind = GITSYNC_DIFF,
	    .repository_id = steps_app(f->s)->repository_id,
	    .from_commit = f->commit,
	    .from_path = "apps/shop",
	    .to_commit = to,
	    .to_path = "apps/shop",
	    .done = answered,
	    .ctx = answer,
	};
	gitsync_ask(f->g, &request);
}

static void test_gitsync_diffs_are_answered_once_also_at_the_stop(void **state)
{
	struct fixture *f = *state;
	enum { DIFFS = 12 };
	struct answer first = {0}, answers[DIFFS] = {{0}}, late = {0};
	char second[GIT_OID_TEXT];
	gitrepo_text(&f->repo, "apps/shop/new.html", "new\n");
	gitrepo_commit(&f->repo, "Second", second);
	shop(f);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
	ask_diff(f, &first, second);
	assert_true(WAIT_FOR(atomic_load(&first.calls) == 1, LONG_MS));
	assert_int_equal(first.failure, GIT_OK);
	assert_int_equal(first.count, 1);
	for (size_t i = 0; i < DIFFS; i++) {
		ask_diff(f, &answers[i], second);
	}
	gitsync_stop(f->g);
	ask_diff(f, &late, second);
	assert_int_equal(atomic_load(&late.calls), 1);
	assert_int_equal(late.failure, GIT_WORKER_FAILED);
	for (size_t i = 0; i < DIFFS; i++) {
		assert_int_equal(atomic_load(&answers[i].calls), 1);
		assert_true(answers[i].failure == GIT_OK ||
			    answers[i].failure == GIT_WORKER_FAILED);
	}
	stop(f);
}

static void logged(void *ctx, const struct git_result *result)
{
	struct answer *answer = ctx;
	answer->failure = result->failure;
	answer->count = result->log_count;
	if (result->log_count > 0) {
		assert_string_equal(result->log[0].subject, "Third");
	}
	atomic_fetch_add(&answer->calls, 1);
}

static void ask_log(struct fixture *f, struct answer *answer, const char *to)
{
	const struct gitsync_question question = {
	    .kind = GITSYNC_LOG,
	    .repository_id = steps_app(f->s)->repository_id,
	    .from_commit = f->commit,
	    .to_commit = to,
	    .to_path = "apps/shop",
	    .to_ref = "refs/heads/main",
	    .done = logged,
	    .ctx = answer,
	};
	*answer = (struct answer){.count = 0};
	gitsync_ask(f->g, &question);
	assert_true(WAIT_FOR(atomic_load(&answer->calls) == 1, LONG_MS));
}

static void test_gitsync_logs_fetch_what_the_mirror_lacks(void **state)
{
	struct fixture *f = *state;
	struct answer answer;
	char third[GIT_OID_TEXT], mirror[PATH_MAX];
	gitrepo_text(&f->repo, "apps/shop/second.html", "2\n");
	gitrepo_commit(&f->repo, "Second", third);
	gitrepo_text(&f->repo, "README", "another app's business\n");
	gitrepo_commit(&f->repo, "Aside", third);
	gitrepo_text(&f->repo, "apps/shop/third.html", "3\n");
	gitrepo_commit(&f->repo, "Third", third);
	shop(f);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
	ask_log(f, &answer, third);
	assert_int_equal(answer.failure, GIT_OK);
	assert_int_equal(answer.count, 2);
	(void)snprintf(mirror, sizeof(mirror), "%s/mirrors/%s.git", f->s->path,
		       steps_app(f->s)->repository_id);
	gitsync_remove_tree(mirror);
	ask_log(f, &answer, third);
	assert_int_equal(answer.failure, GIT_OK);
	assert_int_equal(answer.count, 2);
	ask_log(f, &answer, "0123456789012345678901234567890123456789");
	assert_int_equal(answer.failure, GIT_COMMIT_GONE);
}

/* --- mirrors --- */

static void test_gitsync_removes_mirrors_of_repositories_that_are_gone(void **state)
{
	struct fixture *f = *state;
	char mine[600], gone[600], other[600];
	shop(f);
	start(f);
	assert_true(WAIT_FOR(is_ready(f, "v1"), LONG_MS));
	mirror_path(f, steps_app(f->s)->repository_id, mine);
	mirror_path(f, "rep_gone", gone);
	(void)snprintf(other, sizeof(other), "%s/mirrors/notes", f->s->path);
	assert_true(is_there(mine));
	stop(f);
	assert_int_equal(mkdir(gone, 0700), 0);
	assert_int_equal(mkdir(other, 0700), 0);
	start(f); /* ended between the deletion and the removal */
	assert_false(is_there(gone));
	assert_true(is_there(mine));
	assert_true(is_there(other));
	gitsync_forget(f->g, steps_app(f->s)->repository_id);
	assert_true(WAIT_FOR(!is_there(mine), LONG_MS));
	assert_true(WAIT_FOR(stats(f).running == 0, LONG_MS));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "git-worker") == 0) {
		return git_worker_main();
	}
	const struct CMUnitTest tests[] = {
	    WITH(test_gitsync_resolves_and_publishes_what_is_owed),
	    WITH(test_gitsync_publishing_again_finds_its_own_tag),
	    WITH(test_gitsync_tries_again_by_itself_when_the_host_is_back),
	    WITH(test_gitsync_url_that_is_not_allowed_is_an_answer),
	    WITH(test_gitsync_refused_tag_is_parked_and_others_pass),
	    WITH(test_gitsync_publishes_what_changed_beside_the_tag),
	    WITH(test_gitsync_drops_rows_that_refer_to_nothing),
	    WITH(test_gitsync_drops_rows_that_nobody_wants),
	    WITH(test_gitsync_does_not_wait_for_a_clock_that_was_ahead),
	    WITH(test_gitsync_trouble_of_its_own_is_not_the_hosts),
	    WITH(test_gitsync_stop_kills_what_runs_and_loses_nothing),
	    WITH(test_gitsync_works_on_a_repository_one_by_one),
	    WITH(test_gitsync_diffs_are_answered_once_also_at_the_stop),
	    WITH(test_gitsync_logs_fetch_what_the_mirror_lacks),
	    WITH(test_gitsync_removes_mirrors_of_repositories_that_are_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

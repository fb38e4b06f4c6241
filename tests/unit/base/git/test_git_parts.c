/* Parts: a big bundle comes in steps, and what has come counts at the next try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "tests/lib/wait.h"
#include "tests/unit/base/git/fixture.h"

enum {
	FILES = 20,
	FILE_BYTES = 32 << 10,
	ALL_BYTES = FILES * FILE_BYTES,
	PART_BYTES = 2 * FILE_BYTES,
	PARTS = FILES / 2 + 1, /* the fixture's small files are in front and behind */
	REFS_SIZE = 32 << 10,
	OTHERS = 40,
	PATIENCE_MS = 30000,
};

static const char tag_1[] = "refs/tags/sluice/shop/v1-0123456789ab";
static const char tag_2[] = "refs/tags/sluice/shop/v2-ba9876543210";

/* An app of 640 KiB, in 11 parts. */
struct app {
	char commit[GIT_OID_TEXT], published[GIT_OID_TEXT];
};

static void noise(const struct fixture *f, unsigned number)
{
	uint8_t bytes[FILE_BYTES];
	char path[64];
	sl_random(bytes, sizeof(bytes));
	(void)snprintf(path, sizeof(path), "apps/shop/data/%u/%02u", number / 3, number);
	gitrepo_write(&f->repo, path, bytes, sizeof(bytes));
}

static struct git_job publication(const struct fixture *f, const char *commit, const char *tag)
{
	struct git_job job = fixture_job(f, GIT_PUBLISH);
	job.commit = commit;
	job.ref = tag;
	job.message = "app app_1\nversion ver_1\n";
	job.unix_s = 1700000000;
	job.limits.part_bytes = PART_BYTES;
	return job;
}

/* Commits what is there, and has the server's mirror know it. */
static void commit(struct fixture *f, char *ret_commit)
{
	gitrepo_commit(&f->repo, "Another", ret_commit);
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
}

static void be_the_agent(struct fixture *f, const char *name)
{
	(void)snprintf(f->mirror, sizeof(f->mirror), "%s/%s.git", f->dir, name);
}

static struct app publish(struct fixture *f)
{
	struct app app;
	for (unsigned i = 0; i < FILES; i++) {
		noise(f, i);
	}
	commit(f, app.commit);
	struct git_job job = publication(f, app.commit, tag_1);
	fixture_expect(f, &job, GIT_OK);
	(void)snprintf(app.published, sizeof(app.published), "%s", f->result.commit);
	return app;
}

static struct git_job fetch_job(const struct fixture *f, const char *tag, const char *commit)
{
	struct git_job job = fixture_job(f, GIT_FETCH);
	job.ref = tag;
	job.commit = commit;
	return job;
}

/* Returns the bytes that came. */
static uint64_t fetch(struct fixture *f, const char *tag, const char *commit)
{
	struct git_job job = fetch_job(f, tag, commit);
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, commit);
	return f->result.fetched_bytes;
}

/* Another pack is one too many: as when the connection is cut. */
static uint64_t fetch_cut_off(struct fixture *f, const char *tag, const char *commit,
			      uint64_t pack_bytes)
{
	struct git_job job = fetch_job(f, tag, commit);
	job.limits.pack_bytes = pack_bytes;
	fixture_expect(f, &job, GIT_BUNDLE_TOO_BIG);
	return f->result.fetched_bytes;
}

static void assert_checks_out(struct fixture *f, const char *commit)
{
	char tree[64], rm[600];
	struct git_job job = fixture_job(f, GIT_CHECKOUT);
	gitrepo_git(f->repo.work, tree, sizeof(tree), "rev-parse", "HEAD:apps/shop", NULL);
	(void)snprintf(rm, sizeof(rm), "%s-%s", f->staging, strrchr(f->mirror, '/') + 1);
	job.commit = commit;
	job.path = "";
	job.want_tree = tree;
	job.staging = rm;
	assert_int_equal(mkdir(rm, 0755), 0);
	fixture_expect(f, &job, GIT_OK);
}

static const char *part(char name[static GIT_REF_MAX], const char *ref, unsigned number)
{
	(void)snprintf(name, GIT_REF_MAX, "%s.part-%02u-of-%02u", ref, number, PARTS);
	return name;
}

static void read_refs(const struct fixture *f, char refs[static REFS_SIZE])
{
	gitrepo_git(f->repo.bare, refs, REFS_SIZE, "for-each-ref", "refs/tags", NULL);
}

/* --- publishing ------------------------------------------------------------------- */

static void test_git_parts_are_a_chain_that_ends_with_the_bundle(void **state)
{
	struct fixture *f = *state;
	(void)publish(f);
	char name[GIT_REF_MAX], before[64] = "", text[2][REFS_SIZE];
	size_t files = 0;
	gitrepo_git(f->repo.bare, text[0], REFS_SIZE, "ls-tree", "-r", tag_1, NULL);
	for (unsigned i = 1; i <= PARTS; i++) {
		char parents[100];
		part(name, tag_1, i);
		gitrepo_git(f->repo.bare, parents, sizeof(parents), "log", "-1", "--format=%P",
			    name, NULL);
		assert_string_equal(parents, before);
		gitrepo_git(f->repo.bare, before, sizeof(before), "rev-parse", name, NULL);
		gitrepo_git(f->repo.bare, text[1], REFS_SIZE, "ls-tree", "-r", name, NULL);
		assert_memory_equal(text[0], text[1], strlen(text[1])); /* the first ones */
		assert_true(strlen(text[1]) > files);
		files = strlen(text[1]);
	}
	assert_string_equal(text[0], text[1]);
	gitrepo_git(f->repo.bare, text[0], REFS_SIZE, "log", "-1", "--format=%T%B%an%ae%at", tag_1,
		    NULL);
	gitrepo_git(f->repo.bare, text[1], REFS_SIZE, "log", "-1", "--format=%T%B%an%ae%at", name,
		    NULL);
	assert_string_equal(text[0], text[1]);
	gitrepo_git(f->repo.bare, NULL, 0, "fsck", "--strict", NULL);
}

static void test_git_parts_are_not_for_small_bundles(void **state)
{
	struct fixture *f = *state;
	char refs[REFS_SIZE];
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	job = publication(f, f->first, tag_1);
	fixture_expect(f, &job, GIT_OK);
	uint8_t one[4 * PART_BYTES]; /* and a big file cannot be divided */
	char second[GIT_OID_TEXT];
	sl_random(one, sizeof(one));
	gitrepo_git(f->repo.work, NULL, 0, "rm", "-qr", "apps/shop", NULL);
	gitrepo_write(&f->repo, "apps/shop/zzz", one, sizeof(one));
	commit(f, second);
	job = publication(f, second, tag_2);
	fixture_expect(f, &job, GIT_OK);
	read_refs(f, refs);
	assert_non_null(strstr(refs, tag_2));
	assert_null(strstr(refs, ".part-"));
}

/* Whatever of it was in Git when somebody pulled the plug. */
static void test_git_parts_are_the_same_after_a_publish_that_was_cut_off(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish(f);
	char whole[REFS_SIZE], now[REFS_SIZE], name[GIT_REF_MAX];
	struct git_job job = publication(f, app.commit, tag_1);
	read_refs(f, whole);
	assert_non_null(strstr(whole, part(name, tag_1, PARTS)));
	for (unsigned kept = 0; kept <= PARTS; kept += 3) {
		for (unsigned i = kept + 1; i <= PARTS; i++) {
			gitrepo_git(f->repo.bare, NULL, 0, "update-ref", "-d", part(name, tag_1, i),
				    NULL);
		}
		fixture_expect(f, &job, GIT_OK);
		read_refs(f, now);
		assert_string_equal(now, whole);
	}
}

static bool is_there(const struct fixture *f, const char *name)
{
	char path[sizeof(f->repo.bare) + GIT_REF_MAX];
	(void)snprintf(path, sizeof(path), "%s/%s", f->repo.bare, name);
	return access(path, F_OK) == 0;
}

static bool has_all_refs(const struct fixture *f, const char *whole)
{
	char now[REFS_SIZE];
	read_refs(f, now);
	return strcmp(now, whole) == 0;
}

static void test_git_parts_are_the_same_after_a_worker_that_was_killed(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish(f);
	char whole[REFS_SIZE], hook[700], name[GIT_REF_MAX];
	read_refs(f, whole);
	for (unsigned at = 1; at <= PARTS; at += PARTS / 2) {
		for (unsigned i = 1; i <= PARTS; i++) {
			gitrepo_git(f->repo.bare, NULL, 0, "update-ref", "-d", part(name, tag_1, i),
				    NULL);
		}
		(void)snprintf(hook, sizeof(hook),
			       "#!/bin/sh\ncase \"$1\" in *.part-%02u-*) touch at-%u; "
			       "while [ ! -e go-%u ]; do sleep 0.02; done ;; esac\n",
			       at, at, at);
		fixture_hook(f, "update", hook);
		struct git_job job = publication(f, app.commit, tag_1);
		struct git_worker *worker = NULL;
		assert_int_equal(git_worker_start(&job, &worker, NULL), SL_OK);
		(void)snprintf(name, sizeof(name), "at-%u", at);
		assert_true(WAIT_FOR(is_there(f, name), PATIENCE_MS));
		git_worker_free(worker);
		(void)snprintf(hook, sizeof(hook), "%s/go-%u", f->repo.bare, at);
		FILE *go = fopen(hook, "we");
		assert_non_null(go);
		assert_int_equal(fclose(go), 0);
		assert_int_equal(fixture_run(f, &job), GIT_OK); /* perhaps beside the host's last */
		assert_true(WAIT_FOR(has_all_refs(f, whole), PATIENCE_MS));
	}
}

static void test_git_parts_that_the_host_refuses_hinder_nothing(void **state)
{
	struct fixture *f = *state;
	char refs[REFS_SIZE];
	fixture_hook(f, "update", "#!/bin/sh\ncase \"$1\" in *.part-*) exit 1 ;; esac\n");
	for (unsigned i = 0; i < FILES; i++) {
		noise(f, i);
	}
	struct app app;
	commit(f, app.commit);
	struct git_job job = publication(f, app.commit, tag_1);
	assert_int_equal(fixture_run(f, &job), GIT_OK);
	assert_non_null(strstr(f->result.text, ".part-")); /* why there are none */
	read_refs(f, refs);
	assert_non_null(strstr(refs, tag_1));
	assert_null(strstr(refs, ".part-"));
	/* Once the host takes them, a retry brings them. */
	fixture_hook(f, "update", "#!/bin/sh\nexit 0\n");
	fixture_expect(f, &job, GIT_OK);
	read_refs(f, refs);
	assert_non_null(strstr(refs, ".part-"));
}

static void test_git_parts_are_not_made_beside_what_others_put_there(void **state)
{
	struct fixture *f = *state;
	char refs[REFS_SIZE];
	struct app app;
	for (unsigned i = 0; i < FILES; i++) {
		noise(f, i);
	}
	commit(f, app.commit);
	gitrepo_git(f->repo.bare, NULL, 0, "update-ref", tag_1, f->first, NULL);
	struct git_job job = publication(f, app.commit, tag_1);
	fixture_expect(f, &job, GIT_TAG_TAKEN);
	read_refs(f, refs);
	assert_null(strstr(refs, ".part-"));
}

/* --- fetching --------------------------------------------------------------------- */

static void test_git_parts_bring_each_byte_once(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish(f);
	be_the_agent(f, "agent");
	uint64_t bytes = fetch(f, tag_1, app.published);
	assert_in_range(bytes, ALL_BYTES, ALL_BYTES + PART_BYTES);
	assert_int_equal(fetch(f, tag_1, app.published), 0);
	assert_checks_out(f, app.published);
}

static void test_git_parts_that_have_come_are_not_fetched_again(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish(f);
	be_the_agent(f, "agent");
	/* The bound is for all parts together, and each try comes a bit further. */
	uint64_t bytes = 0;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(git_mirror_held(f->mirror, app.published), 2 * i * 100 / PARTS);
		bytes += fetch_cut_off(f, tag_1, app.published, 2 * PART_BYTES + FILE_BYTES);
	}
	assert_int_equal(git_mirror_held(f->mirror, app.commit), 0); /* of another nothing */
	uint64_t last = fetch(f, tag_1, app.published);
	assert_in_range(last, ALL_BYTES - 7 * PART_BYTES, ALL_BYTES - 5 * PART_BYTES);
	assert_in_range(bytes + last, ALL_BYTES, ALL_BYTES + 4 * PART_BYTES);
	assert_checks_out(f, app.published);
}

/* The host is told of the part that is there, whatever else is. */
static void test_git_parts_do_not_mind_a_mirror_full_of_others(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish(f);
	be_the_agent(f, "agent");
	uint64_t cut = fetch_cut_off(f, tag_1, app.published, 4 * PART_BYTES + FILE_BYTES);
	gitrepo_others(&f->repo, OTHERS);
	struct git_job job = fixture_job(f, GIT_FETCH);
	job.ref = "refs/heads/others";
	fixture_expect(f, &job, GIT_OK);
	assert_in_range(cut + fetch(f, tag_1, app.published), ALL_BYTES,
			ALL_BYTES + 2 * PART_BYTES);
	assert_checks_out(f, app.published);
}

static void point(const struct fixture *f, unsigned number, const char *to)
{
	char name[GIT_REF_MAX];
	gitrepo_git(f->repo.bare, NULL, 0, "update-ref", part(name, tag_1, number), to, NULL);
}

static void lack_one(const struct fixture *f)
{
	char name[GIT_REF_MAX];
	gitrepo_git(f->repo.bare, NULL, 0, "update-ref", "-d", part(name, tag_1, 4), NULL);
}

static void swap_two(const struct fixture *f)
{
	char name[GIT_REF_MAX], ids[2][64];
	for (unsigned i = 0; i < 2; i++) {
		gitrepo_git(f->repo.bare, ids[i], 64, "rev-parse", part(name, tag_1, 2 + i), NULL);
	}
	point(f, 2, ids[1]);
	point(f, 3, ids[0]);
}

static void lead_elsewhere(const struct fixture *f)
{
	point(f, PARTS, "refs/heads/main");
}

static void lead_to_a_blob(const struct fixture *f)
{
	point(f, 1, "main:README");
}

static void be_all_the_same(const struct fixture *f)
{
	char name[GIT_REF_MAX], first[64];
	gitrepo_git(f->repo.bare, first, sizeof(first), "rev-parse", part(name, tag_1, 1), NULL);
	for (unsigned i = 2; i <= PARTS; i++) {
		point(f, i, first);
	}
}

/* Of other content, with the parents that are expected. */
static void end_with_another_bundle(const struct fixture *f)
{
	char name[GIT_REF_MAX], commit[64];
	gitrepo_git(f->repo.bare, commit, sizeof(commit), "-c", "user.name=eve", "-c",
		    "user.email=eve@example.org", "commit-tree", "-m", "evil", "-p",
		    part(name, tag_1, PARTS - 1), "main^{tree}", NULL);
	point(f, PARTS, commit);
}

static void say_too_many(const struct fixture *f)
{
	char name[GIT_REF_MAX];
	static const char *const counts[] = {"99", "00", "01", "-1", "2x", "0011", "33"};
	gitrepo_git(f->repo.bare, NULL, 0, "update-ref", "-d", part(name, tag_1, 1), NULL);
	for (size_t i = 0; i < SL_COUNT(counts); i++) {
		(void)snprintf(name, sizeof(name), "%s.part-01-of-%s", tag_1, counts[i]);
		gitrepo_git(f->repo.bare, NULL, 0, "update-ref", name, tag_1, NULL);
	}
}

static void test_git_parts_that_are_none_are_not_believed(void **state)
{
	struct fixture *f = *state;
	static void (*const lies[])(const struct fixture *f) = {
	    lack_one,       swap_two,        lead_elsewhere,
	    lead_to_a_blob, be_all_the_same, end_with_another_bundle,
	    say_too_many,
	};
	const struct app app = publish(f);
	struct git_job job = publication(f, app.commit, tag_1);
	char mirror[sizeof(f->mirror)];
	(void)snprintf(mirror, sizeof(mirror), "%s", f->mirror);
	for (size_t i = 0; i < SL_COUNT(lies); i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "agent-%zu", i);
		lies[i](f);
		be_the_agent(f, name);
		uint64_t bytes = fetch(f, tag_1, app.published);
		/* Whole, after all; before it the parts, and once all that the branch has. */
		assert_in_range(bytes, ALL_BYTES, 3 * ALL_BYTES + PART_BYTES);
		assert_checks_out(f, app.published);
		for (unsigned k = 1; k <= PARTS; k++) {
			char ref[GIT_REF_MAX];
			gitrepo_git(f->repo.bare, NULL, 0, "update-ref", "-d", part(ref, tag_1, k),
				    NULL);
		}
		(void)snprintf(f->mirror, sizeof(f->mirror), "%s", mirror);
		fixture_expect(f, &job, GIT_OK);
	}
}

static void test_git_parts_of_a_big_delta_are_on_top_of_what_is_there(void **state)
{
	struct fixture *f = *state;
	const struct app app = publish(f);
	char second[GIT_OID_TEXT], published[GIT_OID_TEXT];
	for (unsigned i = 0; i < FILES; i += 2) {
		noise(f, i);
	}
	commit(f, second);
	struct git_job job = publication(f, second, tag_2);
	job.other_commit = app.published;
	fixture_expect(f, &job, GIT_OK);
	(void)snprintf(published, sizeof(published), "%s", f->result.commit);
	be_the_agent(f, "agent");
	(void)fetch(f, tag_1, app.published);
	uint64_t cut = fetch_cut_off(f, tag_2, published, 3 * PART_BYTES + FILE_BYTES);
	uint64_t rest = fetch(f, tag_2, published);
	assert_in_range(rest, ALL_BYTES / 2 - 4 * PART_BYTES, ALL_BYTES / 2 - 2 * PART_BYTES);
	assert_in_range(cut + rest, ALL_BYTES / 2, ALL_BYTES / 2 + 2 * PART_BYTES);
	assert_checks_out(f, published);
	be_the_agent(f, "stranger"); /* who has nothing goes by the bundle's own parts */
	cut = fetch_cut_off(f, tag_2, published, ALL_BYTES - PART_BYTES);
	rest = fetch(f, tag_2, published);
	assert_in_range(rest, FILE_BYTES, 4 * PART_BYTES);
	assert_in_range(cut + rest, ALL_BYTES, ALL_BYTES + 2 * PART_BYTES);
}

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	/* A folder's repository has none: libgit2 copies all that its ref leads to. */
#define OVER_HOSTS(test) OVER(fixture_setup_git, test), OVER(fixture_setup_http, test)
	const struct CMUnitTest tests[] = {
	    OVER(fixture_setup_git, test_git_parts_are_a_chain_that_ends_with_the_bundle),
	    OVER(fixture_setup_git, test_git_parts_are_not_for_small_bundles),
	    OVER(fixture_setup_git, test_git_parts_are_the_same_after_a_publish_that_was_cut_off),
	    OVER(fixture_setup_git, test_git_parts_are_the_same_after_a_worker_that_was_killed),
	    OVER_HOSTS(test_git_parts_that_the_host_refuses_hinder_nothing),
	    OVER(fixture_setup_git, test_git_parts_are_not_made_beside_what_others_put_there),
	    OVER_HOSTS(test_git_parts_bring_each_byte_once),
	    OVER_HOSTS(test_git_parts_that_have_come_are_not_fetched_again),
	    OVER_HOSTS(test_git_parts_do_not_mind_a_mirror_full_of_others),
	    OVER(fixture_setup_git, test_git_parts_that_are_none_are_not_believed),
	    OVER_HOSTS(test_git_parts_of_a_big_delta_are_on_top_of_what_is_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

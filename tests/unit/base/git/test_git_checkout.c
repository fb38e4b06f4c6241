/* INSPECT, CHECKOUT and DIFF: what is written, its digest, and what does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

enum { PACKS = 300 };

static int setup(void **state)
{
	int rc = fixture_setup(state);
	struct fixture *f = *state;
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	(void)mkdir(f->staging, 0755);
	return rc;
}

static struct git_job checkout_of(const struct fixture *f, const char *commit)
{
	struct git_job job = fixture_job(f, GIT_CHECKOUT);
	job.url = "";
	job.commit = commit;
	job.staging = f->staging;
	return job;
}

static void expect_file(const struct fixture *f, const char *path, const char *want, mode_t mode)
{
	char full[600], text[200] = "";
	struct stat st;
	(void)snprintf(full, sizeof(full), "%s/%s", f->staging, path);
	FILE *file = fopen(full, "re");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text) - 1, file), strlen(want));
	(void)fclose(file);
	assert_string_equal(text, want);
	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void expect_folder(const struct fixture *f, const char *path)
{
	char full[600];
	struct stat st;
	(void)snprintf(full, sizeof(full), "%s/%s", f->staging, path);
	assert_int_equal(stat(full, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0555);
}

/* A mirror gets a pack with each fetch, and a worker has few descriptors. */
static void test_git_checkout_of_more_packs_than_files_may_be_open(void **state)
{
	struct fixture *f = *state;
	gitrepo_git(f->repo.bare, NULL, 0, "config", "receive.unpackLimit", "10000", NULL);
	for (unsigned i = 0; i < PACKS; i++) {
		char path[64];
		(void)snprintf(path, sizeof(path), "apps/shop/packs/%03u", i);
		gitrepo_text(&f->repo, path, path);
	}
	gitrepo_commit(&f->repo, "Many", f->first);
	for (unsigned i = 0; i < PACKS; i++) {
		char spec[80], line[80];
		(void)snprintf(spec, sizeof(spec), "main:apps/shop/packs/%03u", i);
		gitrepo_git(f->repo.bare, line, sizeof(line) - 1, "rev-parse", spec, NULL);
		gitrepo_feed(f->repo.bare, line, strlen(line), NULL, 0, "pack-objects", "-q",
			     "objects/pack/pack", NULL);
	}
	gitrepo_git(f->repo.bare, NULL, 0, "prune-packed", NULL);
	struct git_job job = checkout_of(f, f->first);
	job.mirror = f->repo.bare;
	fixture_expect(f, &job, GIT_OK);
	expect_file(f, "packs/299", "apps/shop/packs/299", 0444);
}

static void test_git_checkout_writes_the_folder_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	char path[600];
	gitrepo_text(&f->repo, "apps/shop/run.sh", "#!/bin/sh\n");
	(void)snprintf(path, sizeof(path), "%s/apps/shop/run.sh", f->repo.work);
	assert_int_equal(chmod(path, 0755), 0);
	gitrepo_commit(&f->repo, "Second", f->first);
	struct git_job job = fixture_job(f, GIT_FETCH);
	job.ref = "refs/heads/main";
	fixture_expect(f, &job, GIT_OK);
	for (int each = 0; each < 2; each++) {
		(void)snprintf(f->staging, sizeof(f->staging), "%s/staging-%d", f->dir, each);
		assert_int_equal(mkdir(f->staging, 0755), 0);
		job = checkout_of(f, f->first);
		job.sync_each = each == 1;
		fixture_expect(f, &job, GIT_OK);
		expect_file(f, "index.html", "<h1>Shop</h1>\n", 0444);
		expect_file(f, "run.sh", "#!/bin/sh\n", 0555);
		expect_file(f, "a/b/c.txt", "deep\n", 0444);
		expect_folder(f, "a");
		expect_folder(f, "a/b");
		expect_folder(f, ".");
		assert_int_equal(f->result.files, 5);
		(void)snprintf(path, sizeof(path), "%s/README", f->staging);
		assert_int_not_equal(access(path, F_OK), 0);
	}
}

static void add_to_digest(struct sl_hasher *all, const char *mode, const char *path,
			  const char *content)
{
	uint8_t hash[SL_HASH_BYTES];
	char hex[2 * SL_HASH_BYTES + 1], line[300];
	sl_hash(hash, content, strlen(content), NULL, 0);
	int bytes = snprintf(line, sizeof(line), "%s %zu %s %s", mode, strlen(content),
			     sl_hex(hex, hash, sizeof(hash)), path);
	sl_hasher_add(all, line, (size_t)bytes + 1);
}

/* Written from the rule, not from the code: files in bytewise order of path. */
static void expected_digest(uint8_t digest[SL_HASH_BYTES])
{
	struct sl_hasher all;
	sl_hasher_init(&all);
	add_to_digest(&all, "100644", "a.txt",
		      "comes before a/b in bytes, after a in Git's trees\n");
	add_to_digest(&all, "100644", "a/b/c.txt", "deep\n");
	add_to_digest(&all, "100644", "index.html", "<h1>Shop</h1>\n");
	add_to_digest(&all, "100644", "sluice.json", "{\"requires\":{}}\n");
	sl_hasher_end(&all, digest);
}

static void test_git_digest_is_the_one_of_the_rule(void **state)
{
	struct fixture *f = *state;
	uint8_t want[SL_HASH_BYTES];
	expected_digest(want);
	struct git_job job = fixture_job(f, GIT_INSPECT);
	job.url = "";
	job.commit = f->first;
	fixture_expect(f, &job, GIT_OK);
	assert_memory_equal(f->result.digest, want, sizeof(want));
	assert_string_equal(f->result.sluice_json, "{\"requires\":{}}\n");
	assert_int_equal(f->result.files, 4);
	char tree[GIT_OID_TEXT];
	gitrepo_git(f->repo.work, tree, sizeof(tree), "rev-parse", "HEAD:apps/shop", NULL);
	assert_string_equal(f->result.tree, tree);
	job = checkout_of(f, f->first);
	job.want_digest = want;
	job.want_tree = tree;
	fixture_expect(f, &job, GIT_OK);
	assert_memory_equal(f->result.digest, want, sizeof(want));
}

static void test_git_checkout_refuses_another_bundle(void **state)
{
	struct fixture *f = *state;
	uint8_t wrong[SL_HASH_BYTES] = {1};
	struct git_job job = checkout_of(f, f->first);
	job.want_tree = "0123456789012345678901234567890123456789";
	fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
	assert_int_equal(rmdir(f->staging), 0); /* nothing was written */
	assert_int_equal(mkdir(f->staging, 0755), 0);
	job.want_tree = NULL;
	job.want_digest = wrong;
	fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
}

static void test_git_checkout_names_what_is_missing(void **state)
{
	struct fixture *f = *state;
	char none[600];
	(void)snprintf(none, sizeof(none), "%s/none", f->dir);
	struct git_job job = checkout_of(f, "0123456789012345678901234567890123456789");
	fixture_expect(f, &job, GIT_COMMIT_GONE);
	job = checkout_of(f, f->first);
	job.path = "apps/none";
	fixture_expect(f, &job, GIT_PATH_NOT_FOUND);
	job = checkout_of(f, f->first);
	job.mirror = none;
	fixture_expect(f, &job, GIT_MIRROR_CORRUPT);
	job = checkout_of(f, f->first);
	job.staging = none;
	fixture_expect(f, &job, GIT_WORKER_FAILED);
}

/* Somebody puts a link where a folder is to be made: nothing outside is touched. */
static void test_git_checkout_follows_no_link(void **state)
{
	struct fixture *f = *state;
	char link[600], outside[600];
	(void)snprintf(link, sizeof(link), "%s/a", f->staging);
	(void)snprintf(outside, sizeof(outside), "%s/outside", f->dir);
	assert_int_equal(mkdir(outside, 0755), 0);
	assert_int_equal(symlink(outside, link), 0);
	struct git_job job = checkout_of(f, f->first);
	fixture_expect(f, &job, GIT_WORKER_FAILED);
	assert_int_equal(rmdir(outside), 0); /* still empty */
	(void)snprintf(link, sizeof(link), "%s/staging-link", f->dir);
	assert_int_equal(symlink(f->staging, link), 0);
	job.staging = link;
	fixture_expect(f, &job, GIT_WORKER_FAILED);
}

/* Overwrites the pack's last content bytes: the object's hash no longer fits. */
static void test_git_a_broken_mirror_says_so(void **state)
{
	struct fixture *f = *state;
	char command[1400];
	(void)snprintf(
	    command, sizeof(command),
	    "cd '%s/objects/pack' && chmod u+w *.pack && for p in *.pack; do "
	    "dd if=/dev/zero of=$p bs=1 seek=60 count=120 conv=notrunc 2>/dev/null; done",
	    f->mirror);
	assert_int_equal(system(command), 0);
	struct git_job job = checkout_of(f, f->first);
	fixture_expect(f, &job, GIT_MIRROR_CORRUPT);
}

/* All objects into files of their own. */
static void loosen(const struct fixture *f)
{
	char command[1400];
	(void)snprintf(command, sizeof(command),
		       "cd '%s' && mv objects/pack/*.pack . && rm -f objects/pack/* && cat *.pack "
		       "| git unpack-objects -q && rm -f *.pack",
		       f->mirror);
	assert_int_equal(system(command), 0);
}

static void test_git_a_mirror_that_lost_an_object_is_filled_or_called_broken(void **state)
{
	struct fixture *f = *state;
	char command[1400], blob[64];
	gitrepo_git(f->repo.work, blob, sizeof(blob), "rev-parse", "HEAD:apps/shop/index.html",
		    NULL);
	loosen(f);
	(void)snprintf(command, sizeof(command), "rm -f '%s/objects/%.2s/%s'", f->mirror, blob,
		       blob + 2);
	assert_int_equal(system(command), 0);
	struct git_job job = checkout_of(f, f->first);
	fixture_expect(f, &job, GIT_MIRROR_CORRUPT);
	job = fixture_job(f, GIT_FETCH);
	job.ref = "refs/heads/main";
	job.commit = f->first;
	fixture_expect(f, &job, GIT_MIRROR_CORRUPT);
	git_mirror_sweep(f->mirror);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f->mirror);
	assert_int_equal(system(command), 0);
	fixture_expect(f, &job, GIT_OK);
}

static void cut_objects(const struct fixture *f, const char *size)
{
	char command[1400];
	(void)snprintf(command, sizeof(command),
		       "cd '%s/objects' && find [0-9a-f]* -type f -exec chmod u+w {} + -exec "
		       "truncate -s %s {} +",
		       f->mirror, size);
	assert_int_equal(system(command), 0);
}

/* Not with the deadline, which the next attempt would meet again. */
static void test_git_an_object_that_is_cut_short_is_called_broken(void **state)
{
	static const char *const sizes[] = {"-1", "-4", "-9", "15", "3", "0"};
	static const enum git_op ops[] = {GIT_INSPECT, GIT_CHECKOUT, GIT_FETCH, GIT_RESOLVE};
	struct fixture *f = *state;
	loosen(f);
	struct git_job job = checkout_of(f, f->first);
	fixture_expect(f, &job, GIT_OK);
	for (size_t i = 0; i < 6; i++) {
		cut_objects(f, sizes[i]);
		for (size_t j = 0; j < 4; j++) {
			job = ops[j] == GIT_CHECKOUT ? checkout_of(f, f->first)
						     : fixture_job(f, ops[j]);
			job.url = j < 2 ? "" : job.url;
			job.commit = j < 3 ? f->first : job.commit;
			job.deadline_ms = 30000;
			fixture_expect(f, &job, GIT_MIRROR_CORRUPT);
		}
	}
}

/* A mirror that borrows objects from elsewhere: the worker cannot go there. */
static void test_git_worker_reads_nothing_beside_its_mirror(void **state)
{
	struct fixture *f = *state;
	char command[2400];
	(void)snprintf(
	    command, sizeof(command),
	    "rm -f '%s'/objects/pack/* && echo '%s/objects' > '%s/objects/info/alternates' && "
	    "git -C '%s' cat-file -e %s",
	    f->mirror, f->repo.bare, f->mirror, f->mirror, f->first);
	assert_int_equal(system(command), 0); /* unconfined, it is found */
	struct git_job job = checkout_of(f, f->first);
	fixture_expect(f, &job, GIT_WORKER_FAILED);
	assert_non_null(strstr(f->result.text, "Permission denied"));
}

static void test_git_diff_lists_what_changed(void **state)
{
	struct fixture *f = *state;
	char second[GIT_OID_TEXT], path[600];
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>New</h1>\n");
	gitrepo_text(&f->repo, "apps/shop/b.txt", "new\n");
	gitrepo_text(&f->repo, "README", "outside\n");
	(void)snprintf(path, sizeof(path), "%s/apps/shop/a/b/c.txt", f->repo.work);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/apps/shop/a.txt", f->repo.work);
	assert_int_equal(chmod(path, 0755), 0);
	gitrepo_commit(&f->repo, "Second", second);
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	job = fixture_job(f, GIT_DIFF);
	job.url = "";
	job.commit = f->first;
	job.other_commit = second;
	job.other_path = "apps/shop";
	fixture_expect(f, &job, GIT_OK);
	static const struct git_diff_entry want[] = {
	    {'M', (char *)(uintptr_t) "a.txt", 50, 50},
	    {'D', (char *)(uintptr_t) "a/b/c.txt", 5, 0},
	    {'A', (char *)(uintptr_t) "b.txt", 0, 4},
	    {'M', (char *)(uintptr_t) "index.html", 14, 13},
	};
	assert_int_equal(f->result.diff_count, SL_COUNT(want));
	for (size_t i = 0; i < SL_COUNT(want); i++) {
		assert_int_equal(f->result.diff[i].change, want[i].change);
		assert_string_equal(f->result.diff[i].path, want[i].path);
		assert_int_equal(f->result.diff[i].old_bytes, want[i].old_bytes);
		assert_int_equal(f->result.diff[i].new_bytes, want[i].new_bytes);
	}
	assert_false(f->result.diff_cut);
	job.other_commit = f->first;
	fixture_expect(f, &job, GIT_OK);
	assert_int_equal(f->result.diff_count, 0);
}

static void test_git_diff_of_too_much_is_cut(void **state)
{
	struct fixture *f = *state;
	enum { FILES = 10001, ENTRY = 64 };
	unsigned char *tree = calloc(FILES, ENTRY);
	char blob[64], commit[GIT_OID_TEXT];
	size_t size = 0;
	gitrepo_feed(f->mirror, "x", 1, blob, sizeof(blob), "hash-object", "-w", "--stdin", NULL);
	for (int i = 0; i < FILES; i++) {
		char name[16];
		int bytes = snprintf(name, sizeof(name), "f%05d", i);
		size = gitrepo_entry(tree, size, "100644", name, (size_t)bytes, blob);
	}
	gitrepo_raw_commit(f->mirror, tree, size, "refs/heads/raw", commit);
	free(tree);
	struct git_job job = fixture_job(f, GIT_DIFF);
	job.url = "";
	job.commit = f->first;
	job.other_commit = commit;
	fixture_expect(f, &job, GIT_OK);
	assert_int_equal(f->result.diff_count, 10000);
	assert_true(f->result.diff_cut);
}

static void test_git_sweep_removes_what_killed_jobs_leave(void **state)
{
	struct fixture *f = *state;
	static const char *const left[] = {"objects/pack/pack_git2_abc", "refs/sluice/keep/x.lock",
					   "config.lock"};
	for (size_t i = 0; i < SL_COUNT(left); i++) {
		char path[600];
		(void)snprintf(path, sizeof(path), "%s/%s", f->mirror, left[i]);
		FILE *file = fopen(path, "we");
		assert_non_null(file);
		(void)fclose(file);
		git_mirror_sweep(f->mirror);
		assert_int_not_equal(access(path, F_OK), 0);
	}
	struct git_job job = checkout_of(f, f->first);
	fixture_expect(f, &job, GIT_OK);
	git_mirror_sweep("/nonexistent");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    TEST(test_git_checkout_writes_the_folder_and_nothing_else),
	    TEST(test_git_checkout_of_more_packs_than_files_may_be_open),
	    TEST(test_git_digest_is_the_one_of_the_rule),
	    TEST(test_git_checkout_refuses_another_bundle),
	    TEST(test_git_checkout_names_what_is_missing),
	    TEST(test_git_checkout_follows_no_link),
	    TEST(test_git_a_broken_mirror_says_so),
	    TEST(test_git_an_object_that_is_cut_short_is_called_broken),
	    TEST(test_git_a_mirror_that_lost_an_object_is_filled_or_called_broken),
	    TEST(test_git_worker_reads_nothing_beside_its_mirror),
	    TEST(test_git_diff_lists_what_changed),
	    TEST(test_git_diff_of_too_much_is_cut),
	    TEST(test_git_sweep_removes_what_killed_jobs_leave),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

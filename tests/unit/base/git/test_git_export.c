/* EXPORT and UNPACK: a bundle as a file, out of one mirror and into another. */
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

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/git/archive.h"
#include "base/git/bundle_file.h"
#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

static const char head[] = "whatever the head says";

struct file {
	char path[600];
	uint8_t data[65536];
	size_t size;
};

static void write_file(const struct file *file)
{
	FILE *out = fopen(file->path, "we");
	assert_non_null(out);
	assert_int_equal(fwrite(file->data, 1, file->size, out), file->size);
	assert_int_equal(fclose(out), 0);
}

static void read_file(struct file *file)
{
	FILE *in = fopen(file->path, "re");
	assert_non_null(in);
	file->size = fread(file->data, 1, sizeof(file->data), in);
	assert_true(file->size < sizeof(file->data));
	(void)fclose(in);
}

/* The digest becomes that of what is before it: a file of somebody who knows the form. */
static void reseal(struct file *file)
{
	size_t before = file->size - BUNDLE_FILE_DIGEST_BYTES;
	sl_hash(file->data + before, file->data, before, NULL, 0);
	write_file(file);
}

static void put_start(struct file *file)
{
	memcpy(file->data, BUNDLE_FILE_MAGIC, BUNDLE_FILE_MAGIC_BYTES);
	sl_put_be32(file->data + BUNDLE_FILE_MAGIC_BYTES, sizeof(head));
	memcpy(file->data + BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_SIZE_BYTES, head, sizeof(head));
	file->size = BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_SIZE_BYTES + sizeof(head);
	write_file(file);
}

static struct git_job local_job(const struct fixture *f, enum git_op op, const struct file *file)
{
	struct git_job job = fixture_job(f, op);
	job.url = "";
	job.commit = f->first;
	job.archive = file->path;
	return job;
}

/* Of apps/shop of the first commit, which has no parent, or of another one. */
static void export(struct fixture *f, const char *commit, const char *path, struct file *file)
{
	(void)snprintf(file->path, sizeof(file->path), "%s/bundle", f->dir);
	put_start(file);
	struct git_job job = local_job(f, GIT_EXPORT, file);
	job.commit = commit;
	job.path = path;
	fixture_expect(f, &job, GIT_OK);
	read_file(file);
}

static void fetch_first(struct fixture *f)
{
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
}

/* Into a mirror that is not there yet. */
static struct git_job elsewhere(struct fixture *f, const struct file *file)
{
	(void)snprintf(f->mirror, sizeof(f->mirror), "%s/other.git", f->dir);
	return local_job(f, GIT_UNPACK, file);
}

static void expect_kept(const struct fixture *f, const char *commit, bool kept)
{
	char path[700];
	(void)snprintf(path, sizeof(path), "%s/refs/sluice/keep/%s", f->mirror, commit);
	assert_int_equal(access(path, F_OK) == 0, kept);
}

static void test_git_export_is_unpacked_as_the_same_bundle(void **state)
{
	struct fixture *f = *state;
	struct file file;
	uint8_t digest[SL_HASH_BYTES];
	char tree[GIT_OID_TEXT];
	fetch_first(f);
	memcpy(digest, f->result.digest, sizeof(digest));
	(void)snprintf(tree, sizeof(tree), "%s", f->result.tree);
	export(f, f->first, "apps/shop", &file);
	assert_int_equal(f->result.files, 4);
	struct git_job job = elsewhere(f, &file);
	job.want_tree = tree;
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.tree, tree);
	expect_kept(f, f->first, true);
	fixture_expect(f, &job, GIT_OK); /* again: it is there */
	assert_int_equal(mkdir(f->staging, 0755), 0);
	job = fixture_job(f, GIT_CHECKOUT);
	job.url = "";
	job.commit = f->first;
	job.staging = f->staging;
	job.want_tree = tree;
	job.want_digest = digest;
	fixture_expect(f, &job, GIT_OK);
}

static void test_git_export_makes_the_same_bytes_each_time(void **state)
{
	struct fixture *f = *state;
	struct file one, two;
	fetch_first(f);
	export(f, f->first, "apps/shop", &one);
	export(f, f->first, "apps/shop", &two);
	struct git_job again = local_job(f, GIT_EXPORT, &two); /* on top of a try before */
	fixture_expect(f, &again, GIT_OK);
	read_file(&two);
	assert_int_equal(one.size, two.size);
	assert_memory_equal(one.data, two.data, one.size);
	export(f, f->first, "", &two);
	assert_int_equal(f->result.files, 5); /* README as well */
	assert_true(one.size != two.size);
}

/* A fetch would tell the host of a kept commit, and look for its parents. */
static void test_git_unpack_leaves_fetching_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct file file;
	char second[GIT_OID_TEXT];
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>Second</h1>\n");
	gitrepo_commit(&f->repo, "Second", second);
	fetch_first(f);
	export(f, second, "apps/shop", &file);
	struct git_job job = elsewhere(f, &file);
	job.commit = second;
	fixture_expect(f, &job, GIT_OK);
	expect_kept(f, second, false);
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>Third</h1>\n");
	gitrepo_commit(&f->repo, "Third", NULL);
	job = fixture_job(f, GIT_FETCH);
	job.ref = "refs/heads/main";
	fixture_expect(f, &job, GIT_OK);
}

/* --- files of strangers -------------------------------------------------------------------- */

static void test_git_unpack_refuses_what_is_cut_or_changed(void **state)
{
	struct fixture *f = *state;
	struct file file;
	fetch_first(f);
	export(f, f->first, "apps/shop", &file);
	const size_t whole = file.size, step = whole / 12;
	struct git_job job = elsewhere(f, &file);
	for (size_t i = 0; i < 12; i++) {
		file.size = i * step; /* cut */
		write_file(&file);
		fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
		file.size = whole; /* one bit is another */
		file.data[i * step] ^= 4;
		write_file(&file);
		fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
		file.data[i * step] ^= 4;
	}
	file.data[file.size++] = '\n'; /* longer */
	write_file(&file);
	fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
	expect_kept(f, f->first, false);
}

static size_t end_of_start(void)
{
	return BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_SIZE_BYTES + sizeof(head);
}

/* Its digest fits, and it is of something else. */
static void test_git_unpack_refuses_what_is_not_the_commits(void **state)
{
	struct fixture *f = *state;
	struct file file;
	char second[GIT_OID_TEXT];
	fetch_first(f);
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>Second</h1>\n");
	gitrepo_commit(&f->repo, "Second", second);
	export(f, f->first, "apps/shop", &file);
	struct git_job job = elsewhere(f, &file);
	job.commit = second; /* another commit */
	fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
	job.commit = f->first;
	job.path = "apps"; /* another folder */
	fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
	job.path = "apps/shop/a";
	fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
	job.path = "apps/shop";
	job.want_tree = second; /* another tree */
	fixture_expect(f, &job, GIT_DIGEST_MISMATCH);
	job.want_tree = NULL;
	/* Each byte of content is one that an id is of, whatever the file's own digest says. */
	for (size_t i = 0; i < 40; i++) {
		size_t at = end_of_start() +
			    i * (file.size - BUNDLE_FILE_DIGEST_BYTES - end_of_start()) / 40;
		file.data[at] ^= 4;
		reseal(&file);
		enum git_failure failure = fixture_run(f, &job);
		assert_true(failure == GIT_DIGEST_MISMATCH || failure == GIT_BUNDLE_REFUSED ||
			    failure == GIT_BUNDLE_TOO_BIG);
		file.data[at] ^= 4;
	}
	reseal(&file);
	fixture_expect(f, &job, GIT_OK);
}

/* One more file, under a name that no bundle may have. */
static void test_git_unpack_takes_no_name_that_a_bundle_may_not_have(void **state)
{
	static const struct {
		const char *path;
		enum git_failure want;
	} rows[] = {
	    {"../../etc/passwd", GIT_BUNDLE_REFUSED},
	    {"/etc/passwd", GIT_BUNDLE_REFUSED},
	    {".git/config", GIT_BUNDLE_REFUSED},
	    {"a//b", GIT_BUNDLE_REFUSED},
	    {"index.html", GIT_BUNDLE_REFUSED},
	    {"index.html/x", GIT_BUNDLE_REFUSED},
	    {"more", GIT_DIGEST_MISMATCH},
	};
	struct fixture *f = *state;
	struct file plain;
	fetch_first(f);
	export(f, f->first, "apps/shop", &plain);
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct file file = plain;
		struct sl_buf more = {0};
		git_archive_head(&more, rows[i].path, false, 0);
		size_t at = file.size - BUNDLE_FILE_DIGEST_BYTES - BUNDLE_FILE_SIZE_BYTES;
		memcpy(file.data + at, more.data, more.size);
		memset(file.data + at + more.size, 0, BUNDLE_FILE_SIZE_BYTES);
		file.size += more.size;
		sl_buf_fini(&more);
		reseal(&file);
		struct git_job job = elsewhere(f, &file);
		fixture_expect(f, &job, rows[i].want);
		expect_kept(f, f->first, false);
	}
}

static void test_git_export_says_what_the_mirror_lacks(void **state)
{
	struct fixture *f = *state;
	struct file file;
	fetch_first(f);
	(void)snprintf(file.path, sizeof(file.path), "%s/bundle", f->dir);
	put_start(&file);
	struct git_job job = local_job(f, GIT_EXPORT, &file);
	job.commit = "0123456789012345678901234567890123456789";
	fixture_expect(f, &job, GIT_COMMIT_GONE);
	job.commit = f->first;
	job.path = "apps/none";
	fixture_expect(f, &job, GIT_PATH_NOT_FOUND);
	file.path[strlen(file.path) - 1] = '\0'; /* a file that nobody began */
	job.path = "apps/shop";
	fixture_expect(f, &job, GIT_WORKER_FAILED);
}

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    OVER(fixture_setup, test_git_export_is_unpacked_as_the_same_bundle),
	    OVER(fixture_setup, test_git_export_makes_the_same_bytes_each_time),
	    OVER(fixture_setup_git, test_git_unpack_leaves_fetching_as_it_was),
	    OVER(fixture_setup, test_git_unpack_refuses_what_is_cut_or_changed),
	    OVER(fixture_setup, test_git_unpack_refuses_what_is_not_the_commits),
	    OVER(fixture_setup, test_git_unpack_takes_no_name_that_a_bundle_may_not_have),
	    OVER(fixture_setup, test_git_export_says_what_the_mirror_lacks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

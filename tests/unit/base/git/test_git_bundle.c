/* The rules of a bundle, on trees that no git program would make. Each is found
 * before a byte is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

enum { TREE_ROOM = 70000 };

struct oids {
	char blob[64], folder[64];
};

static struct oids make_oids(const struct fixture *f)
{
	struct oids oids;
	char spec[64];
	(void)snprintf(spec, sizeof(spec), "%s:apps", f->first);
	gitrepo_feed(f->mirror, "x", 1, oids.blob, sizeof(oids.blob), "hash-object", "-w",
		     "--stdin", NULL);
	gitrepo_git(f->mirror, oids.folder, sizeof(oids.folder), "rev-parse", spec, NULL);
	return oids;
}

/* The trees are put right into the mirror: what transports refuse by themselves counts here too. */
static int setup(void **state)
{
	int rc = fixture_setup(state);
	struct git_job job = fixture_job(*state, GIT_RESOLVE);
	fixture_expect(*state, &job, GIT_OK);
	return rc;
}

static enum git_failure checkout(struct fixture *f, const char *commit,
				 const struct git_limits *limits)
{
	struct git_job job = fixture_job(f, GIT_CHECKOUT);
	job.commit = commit;
	job.path = "";
	job.url = "";
	job.staging = f->staging;
	job.limits = *limits;
	(void)mkdir(f->staging, 0755);
	return fixture_run(f, &job);
}

static size_t count_entries(const char *path)
{
	size_t count = 0;
	DIR *dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir) != NULL) {
		count++;
	}
	(void)closedir(dir);
	return count - 2;
}

static const struct git_limits standard = GIT_LIMITS_DEFAULT;

#define NAME(text) text, sizeof(text) - 1

static void test_git_bundle_refuses_names_and_modes(void **state)
{
	struct fixture *f = *state;
	struct oids oids = make_oids(f);
	char longest[256], too_long[257];
	memset(longest, 'n', sizeof(longest));
	memset(too_long, 'n', sizeof(too_long));
	const struct {
		const char *mode, *name;
		size_t bytes;
		enum git_rule want;
	} rows[] = {
	    {"100644", NAME(""), GIT_RULE_NAME_EMPTY},
	    {"100644", NAME("."), GIT_RULE_NAME_DOT},
	    {"40000", NAME("."), GIT_RULE_NAME_DOT},
	    {"100644", NAME(".."), GIT_RULE_NAME_DOT_DOT},
	    {"40000", NAME(".."), GIT_RULE_NAME_DOT_DOT},
	    {"100644", NAME("a/b"), GIT_RULE_NAME_SLASH},
	    {"100644", NAME("../x"), GIT_RULE_NAME_SLASH},
	    {"100644", NAME("/etc/passwd"), GIT_RULE_NAME_SLASH},
	    {"100644", NAME("a\\b"), GIT_RULE_NAME_BACKSLASH},
	    {"100644", NAME("a\nb"), GIT_RULE_NAME_CONTROL},
	    {"100644", NAME("a\x1b[2J"), GIT_RULE_NAME_CONTROL},
	    {"100644", NAME("a\x7f"), GIT_RULE_NAME_CONTROL},
	    {"100644", NAME("a\xc2\x9b"), GIT_RULE_NAME_CONTROL},
	    {"100644", NAME("a\xff"), GIT_RULE_NAME_NOT_UTF8},
	    {"100644", NAME("\xc0\xae"), GIT_RULE_NAME_NOT_UTF8},
	    {"100644", NAME("\xed\xa0\x80"), GIT_RULE_NAME_NOT_UTF8},
	    {"100644", too_long, 256, GIT_RULE_NAME_TOO_LONG},
	    {"40000", NAME(".git"), GIT_RULE_NAME_DOT_GIT},
	    {"40000", NAME(".GiT"), GIT_RULE_NAME_DOT_GIT},
	    {"40000", NAME("git~1"), GIT_RULE_NAME_DOT_GIT},
	    {"40000", NAME("GIT~2"), GIT_RULE_NAME_DOT_GIT},
	    {"40000", NAME(".git "), GIT_RULE_NAME_DOT_GIT},
	    {"40000", NAME(".git. ."), GIT_RULE_NAME_DOT_GIT},
	    {"40000", NAME(".git::$INDEX_ALLOCATION"), GIT_RULE_NAME_DOT_GIT},
	    {"40000", NAME(".g\xe2\x80\x8cit"), GIT_RULE_NAME_DOT_GIT},
	    {"40000", NAME("\xef\xbb\xbf.git"), GIT_RULE_NAME_DOT_GIT},
	    {"120000", NAME("link"), GIT_RULE_LINK},
	    {"120000", NAME(".gitmodules"), GIT_RULE_LINK},
	    {"160000", NAME("module"), GIT_RULE_GITLINK},
	    {"100666", NAME("f"), GIT_RULE_SPECIAL_FILE},
	    {"104755", NAME("f"), GIT_RULE_SPECIAL_FILE},
	    {"20644", NAME("f"), GIT_RULE_SPECIAL_FILE},
	    {"0", NAME("f"), GIT_RULE_SPECIAL_FILE},
	    {"100644", longest, 255, GIT_RULE_NONE},
	    {"100644", NAME(".gitmodules"), GIT_RULE_NONE},
	    {"100644", NAME(".gitignore"), GIT_RULE_NONE},
	    {"100644", NAME("git~"), GIT_RULE_NONE},
	    {"100644", NAME("..."), GIT_RULE_NONE},
	    {"100664", NAME("old"), GIT_RULE_NONE},
	    {"100755", NAME("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"), GIT_RULE_NONE},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		unsigned char tree[512];
		char commit[GIT_OID_TEXT], mirror[64];
		const char *id = rows[i].mode[0] == '4' ? oids.folder : oids.blob;
		size_t size = gitrepo_entry(tree, 0, rows[i].mode, rows[i].name, rows[i].bytes, id);
		gitrepo_raw_commit(f->mirror, tree, size, "refs/heads/raw", commit);
		(void)snprintf(mirror, sizeof(mirror), "staging%zu", i);
		(void)snprintf(f->staging, sizeof(f->staging), "%s/%s", f->dir, mirror);
		enum git_failure got = checkout(f, commit, &standard);
		if (f->result.rule != rows[i].want ||
		    got != (rows[i].want == GIT_RULE_NONE ? GIT_OK : GIT_BUNDLE_REFUSED)) {
			fail_msg("row %zu: is %s, %s: %s", i, git_failure_name(got),
				 git_rule_name(f->result.rule), f->result.text);
		}
		assert_int_equal(count_entries(f->staging), rows[i].want == GIT_RULE_NONE ? 1 : 0);
		if (rows[i].want != GIT_RULE_NONE) {
			assert_true(strstr(f->result.text, git_rule_name(rows[i].want)) != NULL);
		}
	}
}

static void test_git_bundle_refuses_twins(void **state)
{
	struct fixture *f = *state;
	struct oids oids = make_oids(f);
	const struct {
		const char *one, *two;
		enum git_rule want;
	} rows[] = {
	    {"same", "same", GIT_RULE_NAME_TWIN},
	    {"README", "readme", GIT_RULE_NAME_TWIN},
	    {"caf\xc3\xa9", "cafe\xcc\x81", GIT_RULE_NAME_TWIN},
	    {"CAF\xc3\x89", "cafe\xcc\x81", GIT_RULE_NAME_TWIN},
	    {"stra\xc3\x9f"
	     "e",
	     "STRASSE", GIT_RULE_NAME_TWIN},
	    {"\xe2\x84\xaa", "k", GIT_RULE_NAME_TWIN},
	    {"a", "b", GIT_RULE_NONE},
	    {"cafe", "caf\xc3\xa9", GIT_RULE_NONE},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		unsigned char tree[512];
		char commit[GIT_OID_TEXT];
		size_t size =
		    gitrepo_entry(tree, 0, "100644", rows[i].one, strlen(rows[i].one), oids.blob);
		size = gitrepo_entry(tree, size, "100644", rows[i].two, strlen(rows[i].two),
				     oids.blob);
		gitrepo_raw_commit(f->mirror, tree, size, "refs/heads/raw", commit);
		(void)snprintf(f->staging, sizeof(f->staging), "%s/staging%zu", f->dir, i);
		enum git_failure got = checkout(f, commit, &standard);
		assert_int_equal(f->result.rule, rows[i].want);
		assert_int_equal(got, rows[i].want == GIT_RULE_NONE ? GIT_OK : GIT_BUNDLE_REFUSED);
	}
}

/* A folder that holds a file and itself, as far as ids allow: `levels` folders deep. */
static void make_deep(const struct fixture *f, const struct oids *oids, unsigned levels,
		      char *ret_commit)
{
	unsigned char tree[128];
	char id[64];
	size_t size = gitrepo_entry(tree, 0, "100644", "f", 1, oids->blob);
	for (unsigned i = 0; i < levels; i++) {
		gitrepo_feed(f->mirror, tree, size, id, sizeof(id), "hash-object", "-w", "-t",
			     "tree", "--literally", "--stdin", NULL);
		size = gitrepo_entry(tree, 0, "40000", "d", 1, id);
	}
	gitrepo_raw_commit(f->mirror, tree, size, "refs/heads/raw", ret_commit);
}

static void test_git_bundle_keeps_the_limits(void **state)
{
	struct fixture *f = *state;
	struct oids oids = make_oids(f);
	char commit[GIT_OID_TEXT];
	make_deep(f, &oids, 5, commit);
	const struct {
		struct git_limits limits;
		enum git_failure want;
		enum git_rule rule;
	} rows[] = {
	    {{.depth = 4}, GIT_BUNDLE_REFUSED, GIT_RULE_TOO_DEEP},
	    {{.path_bytes = 10}, GIT_BUNDLE_REFUSED, GIT_RULE_PATH_TOO_LONG},
	    {{.files = 4}, GIT_BUNDLE_TOO_BIG, GIT_RULE_TOO_MANY_FILES},
	    {{.depth = 5,
	      .path_bytes = 11,
	      .files = 5,
	      .bytes = 1,
	      .file_bytes = 1,
	      .name_bytes = 1},
	     GIT_OK,
	     GIT_RULE_NONE},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		assert_int_equal(checkout(f, commit, &rows[i].limits), rows[i].want);
		assert_int_equal(f->result.rule, rows[i].rule);
	}
}

static void test_git_bundle_keeps_the_limits_of_content(void **state)
{
	struct fixture *f = *state;
	struct oids oids = make_oids(f);
	unsigned char tree[128];
	char commit[GIT_OID_TEXT], big[64];
	gitrepo_feed(f->mirror, "0123456789", 10, big, sizeof(big), "hash-object", "-w", "--stdin",
		     NULL);
	size_t size = gitrepo_entry(tree, 0, "100644", "f1", 2, oids.blob);
	size = gitrepo_entry(tree, size, "100644", "f2", 2, big);
	gitrepo_raw_commit(f->mirror, tree, size, "refs/heads/raw", commit);
	const struct {
		struct git_limits limits;
		enum git_rule rule;
	} rows[] = {
	    {{.files = 1}, GIT_RULE_TOO_MANY_FILES},
	    {{.file_bytes = 9}, GIT_RULE_FILE_TOO_BIG},
	    {{.bytes = 10}, GIT_RULE_TOO_MANY_BYTES},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		assert_int_equal(checkout(f, commit, &rows[i].limits), GIT_BUNDLE_TOO_BIG);
		assert_int_equal(f->result.rule, rows[i].rule);
	}
	struct git_limits name = {.name_bytes = 1};
	assert_int_equal(checkout(f, commit, &name), GIT_BUNDLE_REFUSED);
	assert_int_equal(f->result.rule, GIT_RULE_NAME_TOO_LONG);
}

/* 2 to the 40 folders, out of 40 trees. */
static void test_git_bundle_of_endless_folders_is_too_big(void **state)
{
	struct fixture *f = *state;
	unsigned char tree[128];
	char id[64], commit[GIT_OID_TEXT];
	gitrepo_feed(f->mirror, "", 0, id, sizeof(id), "hash-object", "-w", "-t", "tree", "--stdin",
		     NULL);
	size_t size = 0;
	for (int i = 0; i < 40; i++) {
		size = gitrepo_entry(tree, 0, "40000", "a", 1, id);
		size = gitrepo_entry(tree, size, "40000", "b", 1, id);
		gitrepo_feed(f->mirror, tree, size, id, sizeof(id), "hash-object", "-w", "-t",
			     "tree", "--stdin", NULL);
	}
	gitrepo_raw_commit(f->mirror, tree, size, "refs/heads/raw", commit);
	struct git_job job = fixture_job(f, GIT_INSPECT);
	job.commit = commit;
	job.path = "";
	job.limits.files = 1000;
	fixture_expect(f, &job, GIT_BUNDLE_TOO_BIG);
	assert_int_equal(f->result.rule, GIT_RULE_TOO_MANY_FILES);
}

static void test_git_bundle_without_files_is_empty(void **state)
{
	struct fixture *f = *state;
	char commit[GIT_OID_TEXT];
	gitrepo_raw_commit(f->mirror, (const unsigned char *)"", 0, "refs/heads/raw", commit);
	assert_int_equal(checkout(f, commit, &standard), GIT_BUNDLE_EMPTY);
}

/* No git program makes these, a host that means harm can. */
static void test_git_bundle_refuses_malformed_trees(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *bytes;
		size_t size;
	} rows[] = {
	    {NAME("100644")},
	    {NAME("100644 a")},
	    {NAME("100644 a\0short")},
	    {NAME("\0")},
	    {NAME("x y\0aaaaaaaaaaaaaaaaaaaa")},
	    {NAME("777777777777 y\0aaaaaaaaaaaaaaaaaaaa")},
	    {NAME(" y\0aaaaaaaaaaaaaaaaaaaa")},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char commit[GIT_OID_TEXT];
		gitrepo_raw_commit(f->mirror, (const unsigned char *)rows[i].bytes, rows[i].size,
				   "refs/heads/raw", commit);
		struct git_job job = fixture_job(f, GIT_INSPECT);
		job.commit = commit;
		job.path = "";
		assert_int_equal(fixture_run(f, &job), GIT_BUNDLE_REFUSED);
		assert_int_equal(f->result.rule, GIT_RULE_MALFORMED);
	}
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    TEST(test_git_bundle_refuses_names_and_modes),
	    TEST(test_git_bundle_refuses_twins),
	    TEST(test_git_bundle_keeps_the_limits),
	    TEST(test_git_bundle_keeps_the_limits_of_content),
	    TEST(test_git_bundle_of_endless_folders_is_too_big),
	    TEST(test_git_bundle_without_files_is_empty),
	    TEST(test_git_bundle_refuses_malformed_trees),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The pure parts: names, URLs, jobs, trees, the table of failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/git/git.h"
#include "base/git/tree_parse.h"
#include "base/mem/own.h"

#define NAME(text) text, sizeof(text) - 1

static void test_git_name_check_says_which_rule(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t bytes;
		enum git_rule want;
	} rows[] = {
	    {NAME("index.html"), GIT_RULE_NONE},
	    {NAME("nul\0"), GIT_RULE_NAME_CONTROL},
	    {NAME(""), GIT_RULE_NAME_EMPTY},
	    {NAME(".git"), GIT_RULE_NAME_DOT_GIT},
	    {NAME(".git:x"), GIT_RULE_NAME_DOT_GIT},
	    {NAME(".gitx"), GIT_RULE_NONE},
	    {NAME("x.git"), GIT_RULE_NONE},
	    {NAME("git~12. "), GIT_RULE_NAME_DOT_GIT},
	    {NAME("git~1x"), GIT_RULE_NONE},
	    {NAME("git~x"), GIT_RULE_NONE},
	    {NAME("\xe2\x80\x8d"), GIT_RULE_NONE},
	    {NAME(".\xe2\x80\x8d"
		  "G\xef\xbb\xbf"
		  "IT\xe2\x81\xaf"),
	     GIT_RULE_NAME_DOT_GIT},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		enum git_rule rule = GIT_RULE_NONE;
		assert_int_equal(git_name_check(rows[i].name, rows[i].bytes, &rule),
				 rows[i].want == GIT_RULE_NONE);
		assert_int_equal(rule, rows[i].want);
	}
}

static void test_git_url_check_allows_the_public(void **state)
{
	(void)state;
	static const struct {
		const char *url;
		bool open, local; /* allowed without and with allow_local */
	} rows[] = {
	    {"https://github.com/a/b.git", true, true},
	    {"https://github.com:8443/a/b.git", true, true},
	    {"https://user@github.com:8443/a/b.git", false, false},
	    {"https://ghp_secret@github.com/a", false, false},
	    {"https://@github.com/a", false, false},
	    {"http://secret@github.com/a", false, false},
	    {"git://secret@github.com/a", false, false},
	    {"https://github.com/a@b", true, true},
	    {"ssh://git@gitlab.com/a/b.git", true, true},
	    {"https://8.8.8.8/a", true, true},
	    {"https://[2606:4700::1]/a", true, true},
	    {"http://github.com/a", false, true},
	    {"git://github.com/a", false, true},
	    {"file:///srv/a b.git", false, true},
	    {"https://localhost/a", false, true},
	    {"https://LOCALHOST./a", false, true},
	    {"https://x.localhost/a", false, true},
	    {"https://127.0.0.1/a", false, true},
	    {"https://127.1/a", false, true},
	    {"https://2130706433/a", false, true},
	    {"https://0x7f000001/a", false, true},
	    {"https://10.1.2.3/a", false, true},
	    {"https://172.16.0.1/a", false, true},
	    {"https://192.168.1.1/a", false, true},
	    {"https://169.254.169.254/a", false, true},
	    {"https://100.64.0.1/a", false, true},
	    {"https://0.0.0.0/a", false, true},
	    {"https://[::1]/a", false, true},
	    {"https://[fe80::1]/a", false, true},
	    {"https://[fd00::1]/a", false, true},
	    {"https://[::ffff:127.0.0.1]/a", false, true},
	    {"https://[64:ff9b::7f00:1]/a", false, true},
	    {"https://user:secret@github.com/a", false, false},
	    {"https://github.com", false, false},
	    {"https://github.com/", false, false},
	    {"https:///a", false, false},
	    {"https://github.com:0/a", false, false},
	    {"https://github.com:65536/a", false, false},
	    {"https://github.com:99999999999999999999/a", false, false},
	    {"https://github.com:/a", false, false},
	    {"https://github.com:8o/a", false, false},
	    {"https://[::1/a", false, false},
	    {"https://-x/a", false, false},
	    {"ssh://-oProxyCommand=x@host/a", false, false},
	    {"ssh://-oProxyCommand=x/a", false, false},
	    {"https://github.com/a b", false, false},
	    {"https://github.com/a'b", false, false},
	    {"https://github.com/a?b", false, false},
	    {"https://github.com/a\nb", false, false},
	    {"https://github.com/\xc3\xbc", false, false},
	    {"file://srv/a", false, false},
	    {"file:///", false, false},
	    {"file:///a%2fb", false, false},
	    {"git@github.com:a/b.git", false, false},
	    {"ext::sh -c x", false, false},
	    {"ftp://host/a", false, false},
	    {"/srv/a.git", false, false},
	    {"-x", false, false},
	    {"", false, false},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		for (int local = 0; local < 2; local++) {
			SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
			bool want = local == 1 ? rows[i].local : rows[i].open;
			sl_code code = git_url_check(rows[i].url, local == 1, &err);
			if ((code == SL_OK) != want) {
				fail_msg("'%s' with %d: %s", rows[i].url, local, err.msg);
			}
			if (code != SL_OK) {
				assert_int_equal(code, SL_INVALID_ARGUMENT);
				assert_int_equal(err.reason, SL_REASON_URL_NOT_ALLOWED);
				assert_null(strstr(err.msg, "secret"));
			}
		}
	}
	char long_url[GIT_URL_MAX + 8];
	memset(long_url, 'a', sizeof(long_url));
	memcpy(long_url, "https://h/", 10);
	long_url[GIT_URL_MAX] = '\0';
	assert_int_equal(git_url_check(long_url, true, NULL), SL_INVALID_ARGUMENT);
}

static struct git_job sound_job(void)
{
	return (struct git_job){
	    .op = GIT_CHECKOUT,
	    .mirror = "/nonexistent/m",
	    .staging = "/nonexistent/s",
	    .commit = "0123456789012345678901234567890123456789",
	};
}

static void test_git_worker_start_checks_the_job(void **state)
{
	(void)state;
	static const struct {
		size_t at;
		const char *value;
	} rows[] = {
#define ROW(field, value) {offsetof(struct git_job, field), value}
	    ROW(mirror, "relative"),
	    ROW(mirror, NULL),
	    ROW(staging, ""),
	    ROW(commit, "0123"),
	    ROW(commit, NULL),
	    ROW(commit, "012345678901234567890123456789012345678G"),
	    ROW(path, "/abs"),
	    ROW(path, "a//b"),
	    ROW(path, "a/"),
	    ROW(path, "../x"),
	    ROW(path, "a/./b"),
	    ROW(path, "a/.git/b"),
	    ROW(want_tree, "x"),
	    ROW(ref, "refs/heads/a b"),
	    ROW(ref, "refs/heads/a..b"),
	    ROW(ref, "refs/heads/x.lock"),
	    ROW(ref, "refs/heads/.x"),
	    ROW(ref, "refs//x"),
	    ROW(ref, "refs/heads/"),
	    ROW(ref, "refs/heads/x^{}"),
	    ROW(ref, "-x"),
	    ROW(ref, "main"),
	    ROW(ref, "refs/a:b"),
	    ROW(ref, "refs/heads/@{x"),
#undef ROW
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct git_job job = sound_job();
		struct git_worker *worker = NULL;
		memcpy((char *)&job + rows[i].at, &rows[i].value, sizeof(rows[i].value));
		if (git_worker_start(&job, &worker, &err) != SL_INVALID_ARGUMENT) {
			fail_msg("row %zu: '%s' is taken", i, rows[i].value);
		}
		assert_null(worker);
		assert_int_equal(err.reason, SL_REASON_MALFORMED);
	}
	struct git_job job = sound_job();
	struct git_worker *worker = NULL;
	job.op = (enum git_op)99;
	assert_int_equal(git_worker_start(&job, &worker, NULL), SL_INVALID_ARGUMENT);
	job = sound_job();
	job.limits.depth = 100000;
	assert_int_equal(git_worker_start(&job, &worker, NULL), SL_INVALID_ARGUMENT);
	job = sound_job();
	job.op = GIT_FETCH;
	job.url = "https://example.org/a";
	job.commit = "";
	assert_int_equal(git_worker_start(&job, &worker, NULL), SL_INVALID_ARGUMENT);
}

static void test_git_worker_start_refuses_a_job_that_is_too_long(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct git_job job = sound_job();
	struct git_worker *worker = NULL;
	SL_AUTO(sl_free_auto) char *pem = malloc(200000);
	assert_non_null(pem);
	memset(pem, 'a', 199999);
	pem[199999] = '\0';
	job.login.ca_pem = pem;
	assert_int_equal(git_worker_start(&job, &worker, &err), SL_INVALID_ARGUMENT);
	assert_null(worker);
}

static void test_tree_parse_reads_what_git_writes(void **state)
{
	(void)state;
	static const char bytes[] = "100644 a\0"
				    "AAAAAAAAAAAAAAAAAAAA"
				    "40000 b\0"
				    "BBBBBBBBBBBBBBBBBBBB";
	struct sl_bytes rest = SL_BYTES(bytes, sizeof(bytes) - 1);
	struct tree_entry entry;
	assert_int_equal(tree_parse_next(&rest, &entry), TREE_PARSE_ENTRY);
	assert_int_equal(entry.mode, 0100644);
	assert_int_equal(entry.name_bytes, 1);
	assert_memory_equal(entry.id, "AAAAAAAAAAAAAAAAAAAA", TREE_ID_BYTES);
	assert_int_equal(tree_parse_next(&rest, &entry), TREE_PARSE_ENTRY);
	assert_int_equal(entry.mode, 040000);
	assert_int_equal(tree_parse_next(&rest, &entry), TREE_PARSE_END);
	assert_int_equal(tree_parse_next(&rest, &entry), TREE_PARSE_END);
	for (size_t cut = 1; cut < sizeof(bytes) - 1; cut++) {
		rest = SL_BYTES(bytes, cut);
		enum tree_parse_result got = TREE_PARSE_ENTRY;
		while (got == TREE_PARSE_ENTRY) {
			got = tree_parse_next(&rest, &entry);
		}
		assert_int_equal(got, cut == 29 ? TREE_PARSE_END : TREE_PARSE_MALFORMED);
	}
}

static void test_git_failures_and_rules_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < GIT_FAILURE_COUNT; i++) {
		assert_true(strlen(git_failure_name((enum git_failure)i)) > 1);
	}
	for (int i = 0; i < GIT_RULE_COUNT; i++) {
		assert_true(strlen(git_rule_name((enum git_rule)i)) > 3);
	}
	assert_string_equal(git_failure_name(GIT_REPOSITORY_UNREACHABLE), "REPOSITORY_UNREACHABLE");
	assert_string_equal(git_rule_name(GIT_RULE_NAME_DOT_DOT), "NAME_DOT_DOT");
	assert_string_equal(git_failure_name((enum git_failure)1000), "UNKNOWN");
	assert_string_equal(git_rule_name((enum git_rule)1000), "UNKNOWN");
	assert_true(git_failure_is_transient(GIT_REPOSITORY_UNREACHABLE));
	assert_false(git_failure_is_transient(GIT_BUNDLE_REFUSED));
	assert_false(git_failure_is_transient(GIT_OK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_git_name_check_says_which_rule),
	    cmocka_unit_test(test_git_url_check_allows_the_public),
	    cmocka_unit_test(test_git_worker_start_checks_the_job),
	    cmocka_unit_test(test_git_worker_start_refuses_a_job_that_is_too_long),
	    cmocka_unit_test(test_tree_parse_reads_what_git_writes),
	    cmocka_unit_test(test_git_failures_and_rules_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

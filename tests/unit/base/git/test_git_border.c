/* The two borders: libgit2's errors to ours, and what strangers say to what is shown. */
#include "base/git/libgit2_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/git/text_internal.h"
#include "base/git/work_internal.h"

/* Seen with real hosts. */
static void test_errors_meaning_of_what_hosts_were_seen_to_say(void **state)
{
	(void)state;
	static const struct {
		enum error_phase phase;
		int rc, klass;
		const char *text;
		enum git_failure want;
	} rows[] = {
	    {ERROR_FETCH, -17, 12, "user canceled hostkey check", GIT_REPOSITORY_UNREACHABLE},
	    {ERROR_FETCH, -16, 26, "the server refuses these credentials", GIT_LOGIN_REFUSED},
	    {ERROR_FETCH, -1, 23, "Failed to authenticate SSH session: Private key unpack failed",
	     GIT_LOGIN_REFUSED},
	    {ERROR_FETCH, -20, 23, "fatal: 'x.git' does not appear to be a git repository",
	     GIT_REPOSITORY_UNREACHABLE},
	    {ERROR_FETCH, -1, 2, "failed to connect to 127.0.0.1: Connection refused",
	     GIT_REPOSITORY_UNREACHABLE},
	    {ERROR_FETCH, -1, 34, "unexpected http status code: 404", GIT_REPOSITORY_UNREACHABLE},
	    {ERROR_FETCH, -1, 34, "unexpected http status code: 403", GIT_LOGIN_REFUSED},
	    {ERROR_FETCH, -1, 34, "unexpected http status code: 503", GIT_REPOSITORY_UNREACHABLE},
	    {ERROR_FETCH, -17, 34, "user rejected certificate for localhost",
	     GIT_REPOSITORY_UNREACHABLE},
	    {ERROR_FETCH, -1, 12,
	     "remote error: access denied or repository not exported: /nope.git",
	     GIT_REPOSITORY_UNREACHABLE},
	    {ERROR_FETCH, -1, 12,
	     "failed to resolve address for x.invalid: Name or service not known",
	     GIT_REPOSITORY_UNREACHABLE},
	    {ERROR_FETCH, -1, GIT_ERROR_INDEXER, "too many objects", GIT_BUNDLE_TOO_BIG},
	    {ERROR_FETCH, -1, 2, "failed to write: No space left on device", GIT_DISK_FULL},
	    {ERROR_PUSH, -1, 34, "unexpected http status code: 403", GIT_PUSH_REFUSED},
	    {ERROR_PUSH, -1, 12, "remote error: access denied or repository not exported: /app.git",
	     GIT_PUSH_REFUSED},
	    {ERROR_PUSH, -1, 12, "unpacking the sent packfile failed on the remote",
	     GIT_PUSH_REFUSED},
	    {ERROR_PUSH, -11, 4, "cannot push non-fastforwardable reference", GIT_PUSH_REFUSED},
	    {ERROR_PUSH, -16, 26, "the server refuses these credentials", GIT_LOGIN_REFUSED},
	    {ERROR_PUSH, -1, 2, "failed to connect to h: Connection timed out",
	     GIT_REPOSITORY_UNREACHABLE},
	    {ERROR_MIRROR, -33, 9, "hash mismatch", GIT_MIRROR_CORRUPT},
	    {ERROR_MIRROR, -3, 9, "object not found - no match for id", GIT_MIRROR_CORRUPT},
	    {ERROR_MIRROR, -1, GIT_ERROR_NOMEMORY, "Out of memory", GIT_WORKER_FAILED},
	    {ERROR_MIRROR, -1, 2, "cannot write: Disk quota exceeded", GIT_DISK_FULL},
	    {ERROR_MIRROR, -1, 2, "failed to resolve path '/x': No such file or directory",
	     GIT_MIRROR_CORRUPT},
	    {ERROR_MIRROR, -1, 2, "cannot open: Permission denied", GIT_WORKER_FAILED},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		enum git_failure got =
		    errors_meaning(rows[i].phase, rows[i].rc, rows[i].klass, rows[i].text);
		if (got != rows[i].want) {
			fail_msg("'%s' is %s and not %s", rows[i].text, git_failure_name(got),
				 git_failure_name(rows[i].want));
		}
	}
}

static void test_text_clean_shows_only_what_is_harmless(void **state)
{
	(void)state;
	static const struct {
		const char *from, *want;
		size_t room;
	} rows[] = {
	    {"plain", "plain", 64},
	    {"two\nlines\ttab \r\n", "two lines tab", 64},
	    {"\x1b[31mred\x07", "?[31mred?", 64},
	    {"\xc3\xbc\xff\xe2\x82", "\xc3\xbc???", 64},
	    {"\xc2\x9b"
	     "x",
	     "??x", 64},
	    {"abcdef", "abc", 4},
	    {"ab\xe2\x82\xac", "ab", 5},
	    {"", "", 1},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char to[64];
		text_clean(to, rows[i].room, rows[i].from, strlen(rows[i].from));
		assert_string_equal(to, rows[i].want);
	}
}

static void test_text_url_has_no_credentials(void **state)
{
	(void)state;
	static const struct {
		const char *from, *want;
	} rows[] = {
	    {"https://user:secret@host:1/a@b", "https://host:1/a@b"},
	    {"https://us@er:sec@host/a", "https://host/a"},
	    {"https://host/a", "https://host/a"},
	    {"file:///srv/a", "file:///srv/a"},
	    {"user:secret@host", "host"},
	    {"", ""},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		char to[100];
		text_url(to, sizeof(to), rows[i].from);
		assert_string_equal(to, rows[i].want);
	}
}

static void test_protocol_carries_a_job(void **state)
{
	(void)state;
	static struct protocol_record record;
	uint8_t digest[SL_HASH_BYTES] = {1, 2, 3};
	struct git_job back, job = {.op = GIT_CHECKOUT,
				    .mirror = "/m",
				    .password = "p",
				    .want_digest = digest,
				    .unix_s = 7,
				    .limits = GIT_LIMITS_DEFAULT,
				    .deadline_ms = 9,
				    .sync_each = true};
	protocol_put_job(&record, &job);
	assert_false(record.failed);
	assert_true(protocol_get_job(&record, &back));
	assert_int_equal(back.op, GIT_CHECKOUT);
	assert_string_equal(back.mirror, "/m");
	assert_string_equal(back.password, "p");
	assert_null(back.user);
	assert_memory_equal(back.want_digest, digest, sizeof(digest));
	assert_int_equal(back.limits.bytes, job.limits.bytes);
	assert_int_equal(back.deadline_ms, 9);
	assert_true(back.sync_each);
	assert_false(back.allow_local);
	record.size--;
	assert_false(protocol_get_job(&record, &back));
	record.data[0] = PROTOCOL_RESULT;
	struct git_result result;
	assert_false(protocol_get_result(&record, &result));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_errors_meaning_of_what_hosts_were_seen_to_say),
	    cmocka_unit_test(test_text_clean_shows_only_what_is_harmless),
	    cmocka_unit_test(test_text_url_has_no_credentials),
	    cmocka_unit_test(test_protocol_carries_a_job),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

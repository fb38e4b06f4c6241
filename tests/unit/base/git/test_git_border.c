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
		enum git_failure want;
		const char *text;
	} rows[] = {
	    {ERROR_FETCH, -17, 12, GIT_CERTIFICATE_REFUSED, "user canceled hostkey check"},
	    {ERROR_FETCH, -16, 26, GIT_LOGIN_REFUSED, "the server refuses these credentials"},
	    {ERROR_FETCH, -1, 23, GIT_LOGIN_REFUSED,
	     "Failed to authenticate SSH session: Private key unpack failed"},
	    {ERROR_FETCH, -20, 23, GIT_REPOSITORY_UNREACHABLE,
	     "fatal: 'x.git' does not appear to be a git repository"},
	    {ERROR_FETCH, -1, 2, GIT_REPOSITORY_UNREACHABLE,
	     "failed to connect to 127.0.0.1: Connection refused"},
	    {ERROR_FETCH, -1, 34, GIT_REPOSITORY_UNREACHABLE, "unexpected http status code: 404"},
	    {ERROR_FETCH, -1, 34, GIT_LOGIN_REFUSED, "unexpected http status code: 403"},
	    {ERROR_FETCH, -1, 34, GIT_REPOSITORY_UNREACHABLE, "unexpected http status code: 503"},
	    {ERROR_FETCH, -17, 34, GIT_CERTIFICATE_REFUSED,
	     "user rejected certificate for localhost"},
	    {ERROR_FETCH, -1, 12, GIT_REPOSITORY_UNREACHABLE,
	     "remote error: access denied or repository not exported: /nope.git"},
	    {ERROR_FETCH, -1, 12, GIT_REPOSITORY_UNREACHABLE,
	     "failed to resolve address for x.invalid: Name or service not known"},
	    {ERROR_FETCH, -1, GIT_ERROR_INDEXER, GIT_BUNDLE_TOO_BIG, "too many objects"},
	    {ERROR_FETCH, -1, 2, GIT_DISK_FULL, "failed to write: No space left on device"},
	    {ERROR_PUSH, -1, 34, GIT_WRITE_REFUSED, "unexpected http status code: 403"},
	    {ERROR_FETCH, -1, 11, GIT_REPOSITORY_MOVED,
	     "cannot redirect from 'git.example.org' to 'elsewhere.example.org'"},
	    {ERROR_PUSH, -1, 12, GIT_WRITE_REFUSED,
	     "remote error: access denied or repository not exported: /app.git"},
	    {ERROR_PUSH, -1, 12, GIT_WRITE_REFUSED,
	     "unpacking the sent packfile failed on the remote"},
	    {ERROR_PUSH, -11, 4, GIT_PUSH_REFUSED, "cannot push non-fastforwardable reference"},
	    {ERROR_PUSH, -16, 26, GIT_LOGIN_REFUSED, "the server refuses these credentials"},
	    {ERROR_PUSH, -1, 2, GIT_REPOSITORY_UNREACHABLE,
	     "failed to connect to h: Connection timed out"},
	    {ERROR_MIRROR, -33, 9, GIT_MIRROR_CORRUPT, "hash mismatch"},
	    {ERROR_MIRROR, -3, 9, GIT_MIRROR_CORRUPT, "object not found - no match for id"},
	    {ERROR_MIRROR, -1, GIT_ERROR_NOMEMORY, GIT_OUT_OF_MEMORY, "Out of memory"},
	    {ERROR_MIRROR, -1, 2, GIT_DISK_FULL, "cannot write: Disk quota exceeded"},
	    {ERROR_MIRROR, -1, 2, GIT_MIRROR_CORRUPT,
	     "failed to resolve path '/x': No such file or directory"},
	    {ERROR_MIRROR, -1, 2, GIT_WORKER_FAILED, "cannot open: Permission denied"},
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
				    .login.password = "p",
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
	assert_string_equal(back.login.password, "p");
	assert_null(back.login.user);
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

/* The key folder: first keys, rotation, recovery, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/keyfile/keyfile.h"
#include "base/mem/own.h"
#include "server/signing/signing.h"
#include "tests/lib/tmpdir.h"

#define TEXT(literal) SL_BYTES((literal), sizeof(literal) - 1)
enum { NOW = 1000 };

struct fixture {
	char *top, dir[512];
	char recovery[SL_KEY_TEXT_SIZE];
	struct signing *signing;
};

static sl_code quiet(sl_code code, struct sl_err *err)
{
	assert_true(code == SL_OK || err->msg[0] != '\0');
	sl_err_clear(err);
	return code;
}
#define RUN(call)                                                                                  \
	({                                                                                         \
		struct sl_err err = SL_ERR_INIT;                                                   \
		quiet((call), &err);                                                               \
	})

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->top = tmpdir_new();
	(void)snprintf(f->dir, sizeof(f->dir), "%s/keys", f->top);
	assert_int_equal(mkdir(f->dir, 0700), 0);
	assert_int_equal(RUN(signing_init(f->dir, NOW, f->recovery, &err)), SL_OK);
	assert_int_equal(RUN(signing_open(f->dir, &f->signing, &err)), SL_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	signing_free(f->signing);
	tmpdir_free(f->top);
	free(f);
	return 0;
}

static const char *path(const struct fixture *f, const char *name)
{
	static char text[600];
	(void)snprintf(text, sizeof(text), "%s/%s", f->dir, name);
	return text;
}

static bool signs(struct fixture *f, const struct signing_key *key)
{
	uint8_t raw[SL_SIGNATURE_BYTES];
	if (RUN(signing_sign(f->signing, key->epoch, "x", TEXT("m"), raw, &err)) != SL_OK) {
		return false;
	}
	return sl_sign_is_valid(SL_BYTES(key->public_key, SL_SIGN_PUBLIC_BYTES), "x", TEXT("m"),
				SL_BYTES(raw, sizeof(raw)));
}

static bool reload(struct fixture *f)
{
	bool changed = false;
	assert_int_equal(RUN(signing_reload(f->signing, &changed, &err)), SL_OK);
	return changed;
}

static void test_signing_init_makes_the_first_key(void **state)
{
	struct fixture *f = *state;
	struct signing_key key;
	struct stat found;
	signing_current(f->signing, &key);
	assert_int_equal(key.epoch, 1);
	assert_int_equal(key.by, SIGNING_FIRST);
	assert_int_equal(key.since_ms, NOW);
	assert_true(signs(f, &key));
	assert_int_equal(stat(path(f, "manifest.key"), &found), 0);
	assert_int_equal(found.st_mode & 07777, 0600);
	assert_int_not_equal(stat(path(f, "manifest.key.next"), &found), 0);
	assert_int_equal(strncmp(f->recovery, "recovery-key:", 13), 0);
	char recovery[SL_KEY_TEXT_SIZE];
	assert_int_equal(RUN(signing_init(f->dir, NOW, recovery, &err)), SL_ALREADY_EXISTS);
}

static void test_signing_the_recovery_key_is_not_kept(void **state)
{
	struct fixture *f = *state;
	char command[700];
	(void)snprintf(command, sizeof(command), "! grep -rq '%s' '%s'",
		       strchr(f->recovery, ':') + 1, f->dir);
	assert_int_equal(system(command), 0);
}

static void test_signing_a_rotation_is_seen_and_announced(void **state)
{
	struct fixture *f = *state;
	struct signing_key first, second, now;
	uint8_t words[VOUCH_KEY_BYTES];
	signing_current(f->signing, &first);
	assert_false(reload(f));
	assert_int_equal(RUN(signing_rotate(f->dir, NOW + 1, &second, &err)), SL_OK);
	assert_true(signs(f, &first)); /* until it is seen */
	assert_true(reload(f));
	assert_false(reload(f));
	signing_current(f->signing, &now);
	assert_int_equal(now.epoch, 2);
	assert_memory_equal(now.public_key, second.public_key, SL_SIGN_PUBLIC_BYTES);
	assert_true(signs(f, &second));
	assert_int_equal(RUN(signing_sign(f->signing, 1, "x", TEXT("m"), (uint8_t[64]){0}, &err)),
			 SL_ABORTED);
	vouch_key(2, second.public_key, words);
	assert_true(sl_sign_is_valid(SL_BYTES(first.public_key, SL_SIGN_PUBLIC_BYTES), VOUCH_KEY,
				     SL_BYTES(words, sizeof(words)),
				     SL_BYTES(second.signature, SL_SIGNATURE_BYTES)));
}

static void expect_missing(struct fixture *f, uint32_t epoch, const uint8_t *key, uint32_t first,
			   size_t count)
{
	SL_AUTO(sl_free_auto) struct signing_key *keys = NULL;
	size_t found = 99;
	assert_int_equal(RUN(signing_missing(f->signing, epoch, SL_BYTES(key, SL_SIGN_PUBLIC_BYTES),
					     &keys, &found, &err)),
			 SL_OK);
	assert_int_equal(found, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(keys[i].epoch, first + i);
	}
}

static void test_signing_agents_are_told_what_they_miss(void **state)
{
	struct fixture *f = *state;
	struct signing_key keys[5];
	static const uint8_t stolen[32] = {9};
	signing_current(f->signing, &keys[0]);
	assert_int_equal(RUN(signing_rotate(f->dir, NOW, &keys[1], &err)), SL_OK);
	assert_true(reload(f));
	expect_missing(f, 1, keys[0].public_key, 2, 1);
	expect_missing(f, 2, keys[1].public_key, 0, 0);
	expect_missing(f, 2, stolen, 0, 0); /* nothing that it could believe */
	assert_int_equal(RUN(signing_recover(f->dir, f->recovery, 0, NOW, &keys[2], &err)), SL_OK);
	assert_int_equal(RUN(signing_rotate(f->dir, NOW, &keys[3], &err)), SL_OK);
	assert_true(reload(f));
	expect_missing(f, 1, keys[0].public_key, 2, 3);
	expect_missing(f, 3, keys[2].public_key, 4, 1);
	expect_missing(f, 2, stolen, 3, 2);
	expect_missing(f, 900, stolen, 3, 2);
}

static void test_signing_recovery_needs_its_own_key(void **state)
{
	struct fixture *f = *state;
	struct signing_key key;
	char other[SL_KEY_TEXT_SIZE];
	uint8_t seed[SL_SIGN_SEED_BYTES] = {1};
	(void)sl_key_text(other, SL_KEY_RECOVERY, SL_BYTES(seed, sizeof(seed)));
	assert_int_equal(RUN(signing_recover(f->dir, other, 0, NOW, &key, &err)),
			 SL_FAILED_PRECONDITION);
	f->recovery[20] = f->recovery[20] == 'a' ? 'b' : 'a';
	assert_int_equal(RUN(signing_recover(f->dir, f->recovery, 0, NOW, &key, &err)),
			 SL_INVALID_ARGUMENT);
	assert_false(reload(f));
}

static void test_signing_recovery_needs_no_signing_key_and_no_chain(void **state)
{
	struct fixture *f = *state;
	struct signing_key key;
	assert_int_equal(unlink(path(f, "manifest.key")), 0);
	assert_int_equal(RUN(signing_recover(f->dir, f->recovery, 0, NOW, &key, &err)), SL_OK);
	assert_int_equal(key.epoch, 2);
	assert_int_equal(unlink(path(f, "manifest.key")), 0);
	assert_int_equal(unlink(path(f, "manifest.chain")), 0);
	assert_int_equal(RUN(signing_recover(f->dir, f->recovery, 0, NOW, &key, &err)),
			 SL_FAILED_PRECONDITION);
	assert_int_equal(RUN(signing_recover(f->dir, f->recovery, 3, NOW, &key, &err)), SL_OK);
	assert_true(reload(f));
	assert_true(signs(f, &key));
	assert_int_equal(RUN(signing_recover(f->dir, f->recovery, 3, NOW, &key, &err)),
			 SL_FAILED_PRECONDITION); /* it grows */
}

static sl_code reopen(struct fixture *f)
{
	signing_free(SL_TAKE(f->signing));
	return RUN(signing_open(f->dir, &f->signing, &err));
}

/* Every moment at which a change can be cut short. */
static void test_signing_a_crash_leaves_one_key_or_the_other(void **state)
{
	struct fixture *f = *state;
	struct signing_key first, second, third, now;
	char key_old[600], chain_old[600], command[4000];
	signing_current(f->signing, &first);
	(void)snprintf(key_old, sizeof(key_old), "%s/../key", f->dir);
	(void)snprintf(chain_old, sizeof(chain_old), "%s/../chain", f->dir);
	(void)snprintf(command, sizeof(command), "cp %s/manifest.key %s; cp %s/manifest.chain %s",
		       f->dir, key_old, f->dir, chain_old);
	assert_int_equal(system(command), 0);
	assert_int_equal(RUN(signing_rotate(f->dir, NOW, &second, &err)), SL_OK);
	/* After the announcement. */
	(void)snprintf(command, sizeof(command),
		       "mv %s/manifest.key %s/manifest.key.next; cp -p %s %s/manifest.key; "
		       "chmod 600 %s/manifest.key",
		       f->dir, f->dir, key_old, f->dir, f->dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(reopen(f), SL_OK);
	signing_current(f->signing, &now);
	assert_int_equal(now.epoch, 2);
	assert_true(signs(f, &second));
	assert_int_equal(RUN(signing_rotate(f->dir, NOW, &third, &err)), SL_OK);
	assert_int_equal(reopen(f), SL_OK);
	assert_true(signs(f, &third));
	/* Before it: the old chain with the old key, and a next one that nobody announced. */
	(void)snprintf(command, sizeof(command),
		       "mv %s/manifest.key %s/manifest.key.next; cp %s %s/manifest.key; cp %s "
		       "%s/manifest.chain; chmod 600 %s/manifest.key",
		       f->dir, f->dir, key_old, f->dir, chain_old, f->dir, f->dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(reopen(f), SL_OK);
	assert_true(signs(f, &first));
	assert_int_equal(RUN(signing_rotate(f->dir, NOW, &second, &err)), SL_OK);
	assert_int_equal(reopen(f), SL_OK);
	assert_true(signs(f, &second));
}

static void test_signing_refuses_files_that_others_can_read(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(chmod(path(f, "manifest.key"), 0640), 0);
	assert_int_equal(reopen(f), SL_FAILED_PRECONDITION);
	assert_int_equal(chmod(path(f, "manifest.key"), 0600), 0);
	assert_int_equal(chmod(f->dir, 0750), 0);
	assert_int_equal(reopen(f), SL_FAILED_PRECONDITION);
	assert_int_equal(chmod(f->dir, 0700), 0);
	assert_int_equal(reopen(f), SL_OK);
}

static void test_signing_says_when_there_are_no_keys(void **state)
{
	struct fixture *f = *state;
	struct signing *none = NULL;
	assert_int_equal(RUN(signing_open("/nowhere/keys", &none, &err)), SL_NOT_FOUND);
	assert_int_equal(unlink(path(f, "manifest.chain")), 0);
	assert_int_equal(reopen(f), SL_NOT_FOUND);
}

static void change(const char *file, const char *from, const char *to)
{
	char command[1200];
	(void)snprintf(command, sizeof(command), "sed -i 's/%s/%s/' %s", from, to, file);
	assert_int_equal(system(command), 0);
}

static void test_signing_refuses_a_chain_that_does_not_hold(void **state)
{
	struct fixture *f = *state;
	struct signing_key key;
	bool changed = false;
	assert_int_equal(RUN(signing_rotate(f->dir, NOW, &key, &err)), SL_OK);
	assert_true(reload(f));
	static const char *const edits[][2] = {
	    {"previous", "recovery"}, {"previous", "first"}, {"previous", "nobody"}, {"^2 ", "3 "},
	    {"^2 1000", "2 x"},       {"[0-9a-f]$", ""},     {"^1 .*", ""},
	};
	for (size_t i = 0; i < SL_COUNT(edits); i++) {
		char command[1200];
		(void)snprintf(command, sizeof(command), "cp %s/manifest.chain %s/../keep", f->dir,
			       f->dir);
		assert_int_equal(system(command), 0);
		change(path(f, "manifest.chain"), edits[i][0], edits[i][1]);
		assert_int_not_equal(RUN(signing_reload(f->signing, &changed, &err)), SL_OK);
		assert_true(signs(f, &key)); /* the key in use stays */
		(void)snprintf(command, sizeof(command), "cp %s/../keep %s/manifest.chain", f->dir,
			       f->dir);
		assert_int_equal(system(command), 0);
	}
	assert_int_equal(reopen(f), SL_OK);
}

static int prepare(void **state)
{
	(void)state;
	return sl_crypto_init() ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_signing_init_makes_the_first_key),
	    TEST(test_signing_the_recovery_key_is_not_kept),
	    TEST(test_signing_a_rotation_is_seen_and_announced),
	    TEST(test_signing_agents_are_told_what_they_miss),
	    TEST(test_signing_recovery_needs_its_own_key),
	    TEST(test_signing_recovery_needs_no_signing_key_and_no_chain),
	    TEST(test_signing_a_crash_leaves_one_key_or_the_other),
	    TEST(test_signing_refuses_files_that_others_can_read),
	    TEST(test_signing_says_when_there_are_no_keys),
	    TEST(test_signing_refuses_a_chain_that_does_not_hold),
	};
	return cmocka_run_group_tests(tests, prepare, NULL);
}

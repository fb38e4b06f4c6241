/* held: config as it came, sealed on disk: it opens after a restart, with its own key only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/held/held.h"
#include "agent/state/state.h"
#include "base/crypto/secret.h"
#include "tests/lib/tmpdir.h"

#define APP "app_aaaaaaaaaaaaaaaaaaaa"
#define OTHER "app_bbbbbbbbbbbbbbbbbbbb"
#define INSTANCE "ins_aaaaaaaaaaaaaaaaaaaa"

enum { ROOM = 400 };

struct fixture {
	char *dir;
	uint8_t *key;
	struct held held;
	struct sl_err err;
};

static void start(struct fixture *f)
{
	f->held = (struct held){.dir = f->dir, .instance_id = INSTANCE, .box_secret = f->key};
	assert_int_equal(held_load(&f->held, &f->err), SL_OK);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->dir = tmpdir_new();
	assert_int_equal(held_key(f->dir, &f->key, &f->err), SL_OK);
	start(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	held_fini(&f->held);
	sl_secret_free(f->key);
	sl_err_clear(&f->err);
	tmpdir_free(f->dir);
	free(f);
	return 0;
}

/* A config of the app in which A is `value`, with the stamp `letter`…, as the server makes it. */
static sl_code take(struct fixture *f, const char *app_id, uint8_t letter, const char *value)
{
	uint8_t stamp[SL_HASH_BYTES], box[ROOM + SL_BOX_EXTRA_BYTES], public[SL_BOX_PUBLIC_BYTES];
	char text[ROOM], hex[2 * SL_HASH_BYTES + 1];
	memset(stamp, letter, sizeof(stamp));
	int size = snprintf(text, sizeof(text), "c%cA%c%s%c.%c%s%c%s%c%s", 0, 0, value, 0, 0,
			    app_id, 0, INSTANCE, 0, sl_hex(hex, stamp, sizeof(stamp)));
	sl_box_public(f->key, public);
	assert_true(sl_box_seal(public, SL_BYTES(text, (size_t)size + 1), box));
	Sluice__V1__AgentConfig message = SLUICE__V1__AGENT_CONFIG__INIT;
	message.app_id = (char *)(uintptr_t)app_id;
	message.stamp = (ProtobufCBinaryData){.data = stamp, .len = sizeof(stamp)};
	message.box =
	    (ProtobufCBinaryData){.data = box, .len = (size_t)size + 1 + SL_BOX_EXTRA_BYTES};
	sl_err_clear(&f->err);
	return held_take(&f->held, &message, &f->err);
}

static void assert_holds(struct fixture *f, const char *app_id, uint8_t letter, const char *value)
{
	SL_AUTO(settings_free_auto) struct settings *settings = NULL;
	size_t count = 0;
	const uint8_t *stamp = held_stamp(&f->held, app_id);
	assert_non_null(stamp);
	assert_int_equal(stamp[SL_HASH_BYTES - 1], letter);
	assert_int_equal(held_open(&f->held, app_id, &settings, &f->err), SL_OK);
	const struct settings_item *items = settings_items(settings, &count);
	assert_int_equal(count, 1);
	assert_string_equal(items[0].value, value);
}

static void restart(struct fixture *f)
{
	held_fini(&f->held);
	start(f);
}

static void test_held_is_there_after_a_restart(void **state)
{
	struct fixture *f = *state;
	char path[ROOM];
	struct stat st;
	assert_null(held_stamp(&f->held, APP));
	assert_false(held_is_due(&f->held));
	assert_int_equal(take(f, APP, 1, "one"), SL_OK);
	assert_int_equal(take(f, OTHER, 5, "other"), SL_OK);
	assert_true(held_is_due(&f->held));
	assert_holds(f, APP, 1, "one"); /* before it is on disk, too */
	assert_int_equal(held_keep(&f->held, &f->err), SL_OK);
	assert_false(held_is_due(&f->held));
	assert_holds(f, APP, 1, "one");
	restart(f);
	assert_holds(f, APP, 1, "one");
	assert_holds(f, OTHER, 5, "other");
	assert_int_equal(take(f, APP, 2, "two"), SL_OK);
	assert_int_equal(held_keep(&f->held, &f->err), SL_OK);
	restart(f);
	assert_holds(f, APP, 2, "two");
	(void)snprintf(path, sizeof(path), "%s/config/" APP, f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	(void)snprintf(path, sizeof(path), "%s/box.key", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_held_refuses_what_is_not_sealed_to_it(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(take(f, APP, 1, "one"), SL_OK);
	f->held.instance_id = "ins_bbbbbbbbbbbbbbbbbbbb";
	assert_int_equal(take(f, APP, 2, "two"), SL_FAILED_PRECONDITION);
	f->held.instance_id = INSTANCE;
	assert_int_equal(take(f, "app_x/../y", 2, "two"), SL_INVALID_ARGUMENT);
	assert_int_equal(take(f, APP, 2, "\xff"), SL_INVALID_ARGUMENT);
	assert_holds(f, APP, 1, "one");
}

/* A folder that enrolled anew: what was sealed to the old key is no use. */
static void test_held_forgets_what_does_not_open(void **state)
{
	struct fixture *f = *state;
	char path[ROOM];
	assert_int_equal(take(f, APP, 1, "one"), SL_OK);
	assert_int_equal(held_keep(&f->held, &f->err), SL_OK);
	(void)snprintf(path, sizeof(path), "%s/config", f->dir);
	assert_int_equal(state_write_file(path, OTHER, "x", 1, 0600, &f->err), SL_OK);
	(void)snprintf(path, sizeof(path), "%s/box.key", f->dir);
	assert_int_equal(unlink(path), 0);
	sl_secret_free(f->key);
	f->key = NULL;
	assert_int_equal(held_key(f->dir, &f->key, &f->err), SL_OK);
	restart(f);
	assert_null(held_stamp(&f->held, APP));
	(void)snprintf(path, sizeof(path), "%s/config/" APP, f->dir);
	assert_int_not_equal(access(path, F_OK), 0);
	(void)snprintf(path, sizeof(path), "%s/config/" OTHER, f->dir);
	assert_int_not_equal(access(path, F_OK), 0);
}

static bool is_other(const char *app_id, void *ctx)
{
	(void)ctx;
	return strcmp(app_id, OTHER) == 0;
}

static void test_held_goes_with_its_app(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(take(f, APP, 1, "one"), SL_OK);
	assert_int_equal(take(f, OTHER, 2, "two"), SL_OK);
	assert_int_equal(held_keep(&f->held, &f->err), SL_OK);
	held_sweep(&f->held, is_other, NULL);
	assert_null(held_stamp(&f->held, APP));
	restart(f);
	assert_null(held_stamp(&f->held, APP));
	assert_holds(f, OTHER, 2, "two");
	held_forget(&f->held, OTHER);
	restart(f);
	assert_null(held_stamp(&f->held, OTHER));
}

static void test_held_waits_for_the_disk(void **state)
{
	struct fixture *f = *state;
	char path[ROOM], aside[ROOM];
	(void)snprintf(path, sizeof(path), "%s/config", f->dir);
	(void)snprintf(aside, sizeof(aside), "%s/aside", f->dir);
	assert_int_equal(take(f, APP, 1, "one"), SL_OK);
	assert_int_equal(rename(path, aside), 0);
	assert_int_not_equal(held_keep(&f->held, &f->err), SL_OK);
	assert_true(held_is_due(&f->held));
	assert_holds(f, APP, 1, "one");
	assert_int_equal(rename(aside, path), 0);
	sl_err_clear(&f->err);
	assert_int_equal(held_keep(&f->held, &f->err), SL_OK);
	restart(f);
	assert_holds(f, APP, 1, "one");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_held_is_there_after_a_restart),
	    TEST(test_held_refuses_what_is_not_sealed_to_it),
	    TEST(test_held_forgets_what_does_not_open),
	    TEST(test_held_goes_with_its_app),
	    TEST(test_held_waits_for_the_disk),
	};
	return sl_crypto_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

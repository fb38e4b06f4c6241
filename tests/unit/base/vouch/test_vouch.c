/* What is signed, byte for byte: no two things that are said differ in nothing, and ids end where
 * they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/vouch/vouch.h"

static const uint8_t stamp[SL_HASH_BYTES] = {0x51, 0x52};
static const uint8_t other[SL_HASH_BYTES] = {0x61};

static void test_config_is_ids_stamp_and_the_hash_of_its_box(void **state)
{
	(void)state;
	uint8_t out[VOUCH_CONFIG_MAX], wanted[VOUCH_CONFIG_MAX] = "ins_a\0app_b";
	const struct vouch_config config = {
	    .instance_id = "ins_a", .app_id = "app_b", .stamp = stamp, .box = SL_BYTES("box", 3)};
	memcpy(wanted + 12, stamp, sizeof(stamp));
	sl_hash(wanted + 12 + SL_HASH_BYTES, "box", 3, NULL, 0);
	assert_int_equal(vouch_config(&config, out), 12 + 2 * SL_HASH_BYTES);
	assert_memory_equal(out, wanted, 12 + 2 * SL_HASH_BYTES);
}

static void test_each_part_of_config_counts(void **state)
{
	(void)state;
	const struct vouch_config configs[] = {
	    {"ins_a", "app_b", stamp, SL_BYTES("box", 3)},
	    {"ins_a", "app_c", stamp, SL_BYTES("box", 3)},
	    {"ins_d", "app_b", stamp, SL_BYTES("box", 3)},
	    {"ins_a", "app_b", other, SL_BYTES("box", 3)},
	    {"ins_a", "app_b", stamp, SL_BYTES("bux", 3)},
	    {"ins_aa", "pp_b", stamp, SL_BYTES("box", 3)},
	    {"ins_a", "app_b", stamp, SL_BYTES("box\0", 4)},
	};
	enum { COUNT = sizeof(configs) / sizeof(configs[0]) };
	uint8_t out[COUNT][VOUCH_CONFIG_MAX] = {{0}};
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_not_equal(vouch_config(&configs[i], out[i]), 0);
		for (size_t k = 0; k < i; k++) {
			assert_memory_not_equal(out[i], out[k], VOUCH_CONFIG_MAX);
		}
	}
}

static void test_a_tree_is_its_size_and_its_root(void **state)
{
	(void)state;
	uint8_t out[VOUCH_TREE_BYTES], wanted[VOUCH_TREE_BYTES] = {1, 2, 3, 4, 0x51, 0x52};
	vouch_tree(0x01020304, stamp, out);
	assert_memory_equal(out, wanted, sizeof(wanted));
}

static void test_ids_that_are_too_long_are_vouched_for_by_nobody(void **state)
{
	(void)state;
	char id[VOUCH_CONFIG_MAX + 1];
	uint8_t out[VOUCH_CONFIG_MAX + VOUCH_RELEASE_MAX];
	struct vouch_config config = {
	    .instance_id = "i", .app_id = id, .stamp = stamp, .box = SL_BYTES("box", 3)};
	memset(id, 'x', sizeof(id));
	id[VOUCH_CONFIG_MAX - 2 * SL_HASH_BYTES - 3] = '\0';
	assert_int_equal(vouch_config(&config, out), VOUCH_CONFIG_MAX);
	id[VOUCH_CONFIG_MAX - 2 * SL_HASH_BYTES - 3] = 'x';
	id[VOUCH_CONFIG_MAX - 2 * SL_HASH_BYTES - 2] = '\0';
	assert_int_equal(vouch_config(&config, out), 0);
	id[VOUCH_CONFIG_MAX] = '\0';
	memset(id, 'x', VOUCH_CONFIG_MAX);
	assert_int_equal(vouch_release("app_a", id, stamp, out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_config_is_ids_stamp_and_the_hash_of_its_box),
	    cmocka_unit_test(test_each_part_of_config_counts),
	    cmocka_unit_test(test_a_tree_is_its_size_and_its_root),
	    cmocka_unit_test(test_ids_that_are_too_long_are_vouched_for_by_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Records between the door's child and its parent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/door/wire.h"

static void test_a_record_is_read_as_it_was_written(void **state)
{
	(void)state;
	uint8_t out[200];
	struct door_record in = {.kind = DOOR_LOGIN,
				 .id = 0x01020304,
				 .parts = {sl_bytes_text("peer"), SL_BYTES_NONE,
					   sl_bytes_text("request")},
				 .count = 3},
			   back;
	size_t size = door_write(&in, out, sizeof(out));
	assert_int_equal(size, 5 + 3 * 2 + 4 + 7);
	assert_true(door_read(SL_BYTES(out, size), &back));
	assert_int_equal(back.kind, DOOR_LOGIN);
	assert_int_equal(back.id, 0x01020304);
	assert_int_equal(back.count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(sl_bytes_equal(in.parts[i], back.parts[i]));
	}
	assert_int_equal(door_write(&in, out, size - 1), 0);
	in.count = 2;
	assert_int_equal(door_write(&in, out, sizeof(out)), 0);
}

static void test_what_does_not_add_up_is_no_record(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
	} rows[] = {
	    {"", 0},
	    {"A\0\0\0", 4},
	    {"A\0\0\0\1", 5},
	    {"A\0\0\0\1\0", 6},
	    {"A\0\0\0\1\0\1", 7},
	    {"A\0\0\0\1\0\0x", 8},
	    {"A\0\0\0\1\xff\xff", 7},
	    {"x\0\0\0\1\0\0", 7},
	    {"L\0\0\0\1\0\0\0\0", 9},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct door_record record = {.id = 77};
		assert_false(door_read(SL_BYTES(rows[i].bytes, rows[i].size), &record));
		assert_int_equal(record.id, 77);
	}
	struct door_record record;
	assert_true(door_read(SL_BYTES("A\0\0\0\1\0\0", 7), &record));
}

static void test_texts_fit_and_hold_no_nul(void **state)
{
	(void)state;
	char text[4] = "old";
	assert_false(door_text(SL_BYTES("four", 4), text, sizeof(text)));
	assert_false(door_text(SL_BYTES("a\0b", 3), text, sizeof(text)));
	assert_true(door_text(SL_BYTES("abc", 3), text, sizeof(text)));
	assert_string_equal(text, "abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_record_is_read_as_it_was_written),
	    cmocka_unit_test(test_what_does_not_add_up_is_no_record),
	    cmocka_unit_test(test_texts_fit_and_hold_no_nul),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

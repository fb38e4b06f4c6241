/* reflection_index over a descriptor set with everything that a file can declare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "server/rpc/reflection_index.h"

#define EXTENDED "tests/unit/server/rpc/extended.proto"
#define IMPORTED "tests/unit/server/rpc/imported.proto"

struct fixture {
	struct reflection_index index;
	uint8_t set[1 << 16];
	size_t size;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	FILE *file = fopen("tests/unit/server/rpc/extended.binpb", "rbe");
	assert_non_null(file);
	f->size = fread(f->set, 1, sizeof(f->set), file);
	(void)fclose(file);
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(reflection_index_init(&f->index, SL_BYTES(f->set, f->size), &err), SL_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	reflection_index_fini(&f->index);
	free(f);
	return 0;
}

static const char *name_at(const struct fixture *f, size_t file)
{
	return file == REFLECTION_NONE ? "" : f->index.files[file].name;
}

static void test_reflection_index_finds_symbols(void **state)
{
	const struct fixture *f = *state;
	static const struct {
		const char *symbol, *file;
	} rows[] = {
	    {"test.ext.Outer", EXTENDED},
	    {"test.ext.Outer.thing", EXTENDED},
	    {"test.ext.Outer.Inner", EXTENDED},
	    {"test.ext.Outer.Inner.text", EXTENDED},
	    {"test.ext.Outer.Inner.Kind", EXTENDED},
	    {"test.ext.Outer.Inner.KIND_A", EXTENDED},
	    {"test.ext.Outer.Inner.nested_extension", EXTENDED},
	    {"test.ext.top_extension", EXTENDED},
	    {"test.ext.outer", EXTENDED},
	    {"test.ext.Service", EXTENDED},
	    {"test.ext.Service.Method", EXTENDED},
	    {"imported.Thing", IMPORTED},
	    {"imported.Loose", IMPORTED},
	    {"imported.LOOSE_A", IMPORTED},
	    {"", ""},
	    {"test.ext", ""},
	    {"imported", ""},
	    {".imported.Thing", ""},
	    {"Thing", ""},
	    {"imported.Thing.", ""},
	    {"imported.thing", ""},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		size_t file = reflection_file_of_symbol(&f->index, rows[i].symbol);
		assert_string_equal(name_at(f, file), rows[i].file);
	}
}

static void test_reflection_index_finds_extensions(void **state)
{
	const struct fixture *f = *state;
	static const struct {
		const char *extended;
		int32_t number;
		const char *file;
	} rows[] = {
	    {"test.ext.Outer", 101, EXTENDED}, {"test.ext.Outer", 150, EXTENDED},
	    {"imported.Thing", 10, EXTENDED},  {"test.ext.Outer", 102, ""},
	    {"imported.Thing", 101, ""},       {"no.Such", 10, ""},
	    {"imported.Thing", INT32_MIN, ""}, {"", 0, ""},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		size_t file =
		    reflection_file_of_extension(&f->index, rows[i].extended, rows[i].number);
		assert_string_equal(name_at(f, file), rows[i].file);
	}
	assert_int_equal(f->index.extension_count, 3);
}

/* What is handed out is the file's own descriptor, imports included. */
static void test_reflection_index_files_are_whole(void **state)
{
	const struct fixture *f = *state;
	assert_int_equal(f->index.file_count, 2);
	assert_int_equal(reflection_file_named(&f->index, "no/such.proto"), REFLECTION_NONE);
	for (size_t i = 0; i < f->index.file_count; i++) {
		struct sl_bytes bytes = f->index.files[i].bytes;
		Google__Protobuf__FileDescriptorProto *file =
		    google__protobuf__file_descriptor_proto__unpack(NULL, bytes.size, bytes.data);
		assert_non_null(file);
		assert_string_equal(file->name, f->index.files[i].name);
		google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
	}
	size_t extended = reflection_file_named(&f->index, EXTENDED);
	size_t imported = reflection_file_named(&f->index, IMPORTED);
	bool all[2] = {false}, one[2] = {false};
	reflection_closure(&f->index, extended, all);
	assert_true(all[extended] && all[imported]);
	reflection_closure(&f->index, imported, one);
	assert_true(!one[extended] && one[imported]);
}

static void test_reflection_index_refuses_what_is_no_set(void **state)
{
	const struct fixture *f = *state;
	struct reflection_index index;
	for (size_t size = 1; size < f->size; size++) { /* every cut but those between files */
		struct sl_err err = SL_ERR_INIT;
		sl_code code = reflection_index_init(&index, SL_BYTES(f->set, size), &err);
		if (code == SL_OK) {
			assert_int_equal(index.file_count, 1);
			reflection_index_fini(&index);
			continue;
		}
		assert_int_equal(code, SL_INVALID_ARGUMENT);
	}
	static const uint8_t other_field[] = {0x10, 0x01};
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(reflection_index_init(&index, SL_BYTES(other_field, 2), &err),
			 SL_INVALID_ARGUMENT);
}

static void test_reflection_index_of_nothing_knows_nothing(void **state)
{
	(void)state;
	struct reflection_index index;
	struct sl_err err = SL_ERR_INIT;
	assert_int_equal(reflection_index_init(&index, SL_BYTES("", 0), &err), SL_OK);
	assert_int_equal(reflection_file_of_symbol(&index, "a"), REFLECTION_NONE);
	assert_int_equal(reflection_file_of_extension(&index, "a", 1), REFLECTION_NONE);
	reflection_index_fini(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_reflection_index_finds_symbols, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reflection_index_finds_extensions, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_reflection_index_files_are_whole, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reflection_index_refuses_what_is_no_set, setup,
					    teardown),
	    cmocka_unit_test(test_reflection_index_of_nothing_knows_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

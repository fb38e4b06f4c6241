/* Messages in an arena: the same bytes and the same messages as libprotobuf-c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "base/pb/pb.h"
#include "sample.pb-c.h"

#define PARTS (&sample__parts__descriptor)
enum { MANY = 100, LONG = 100000 };

/* --- messages ------------------------------------------------------------------------ */

static Sample__Kinds *kinds(struct sl_arena *arena, int sign)
{
	Sample__Kinds *k = SL_ARENA_NEW(arena, Sample__Kinds);
	sample__kinds__init(k);
	k->an_int32 = sign < 0 ? INT32_MIN : INT32_MAX;
	k->a_sint32 = sign < 0 ? INT32_MIN : INT32_MAX;
	k->a_sfixed32 = sign * 7;
	k->a_uint32 = UINT32_MAX;
	k->a_fixed32 = 0x01020304;
	k->an_int64 = sign < 0 ? INT64_MIN : INT64_MAX;
	k->a_sint64 = sign < 0 ? INT64_MIN : INT64_MAX;
	k->a_sfixed64 = sign * 7;
	k->a_uint64 = UINT64_MAX;
	k->a_fixed64 = 0x0102030405060708u;
	k->a_float = (float)sign * 1.5f;
	k->a_double = sign * 2.5;
	k->a_bool = 1;
	k->a_colour = sign < 0 ? (Sample__Colour)-1 : SAMPLE__COLOUR__COLOUR_RED;
	k->a_text = sl_arena_strdup(arena, "text");
	k->some_bytes.data = sl_arena_dup(arena, "\0\1\2", 3);
	k->some_bytes.len = 3;
	return k;
}

static void add_lists(struct sl_arena *arena, Sample__Parts *p)
{
	p->numbers = SL_ARENA_ARRAY(arena, uint64_t, MANY);
	p->texts = SL_ARENA_ARRAY(arena, char *, MANY);
	p->colours = SL_ARENA_ARRAY(arena, Sample__Colour, MANY);
	p->flags = SL_ARENA_ARRAY(arena, protobuf_c_boolean, MANY);
	p->blobs = SL_ARENA_ARRAY(arena, ProtobufCBinaryData, MANY);
	p->log = SL_ARENA_ARRAY(arena, Sample__LogEntry *, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		p->numbers[p->n_numbers++] = (uint64_t)i << (i % 64);
		p->texts[p->n_texts++] =
		    sl_arena_strdup(arena, i % 7 == 0 ? "" : "some text or other");
		p->colours[p->n_colours++] = (Sample__Colour)(i % 2);
		p->flags[p->n_flags++] = i % 3 == 0;
		p->blobs[p->n_blobs++].len = 0;
		p->log[i] = SL_ARENA_NEW(arena, Sample__LogEntry);
		sample__log_entry__init(p->log[i]);
		p->log[i]->key = sl_arena_printf(arena, "key %u", i);
		p->n_log++;
	}
}

static Sample__Parts *parts(struct sl_arena *arena, unsigned depth)
{
	Sample__Parts *p = SL_ARENA_NEW(arena, Sample__Parts);
	sample__parts__init(p);
	p->kinds = kinds(arena, depth % 2 == 0 ? 1 : -1);
	add_lists(arena, p);
	p->choice_case = (Sample__Parts__ChoiceCase)(SAMPLE__PARTS__CHOICE_CHOSEN_TEXT + depth % 3);
	switch (depth % 3) {
	case 0:
		p->chosen_text = sl_arena_strdup(arena, ""); /* chosen, and empty */
		break;
	case 1:
		p->chosen_number = 0;
		break;
	default:
		p->chosen_kinds = kinds(arena, 1);
		break;
	}
	if (depth > 0) {
		p->parts = SL_ARENA_ARRAY(arena, Sample__Parts *, 2);
		p->parts[p->n_parts++] = parts(arena, depth - 1);
		p->parts[p->n_parts++] = parts(arena, depth - 1);
	}
	return p;
}

/* --- comparing ------------------------------------------------------------------------- */

static struct sl_bytes their_bytes(struct sl_arena *arena, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = sl_arena_alloc(arena, size + 1);
	assert_int_equal(protobuf_c_message_pack(message, data), size);
	return SL_BYTES(data, size);
}

static void assert_same_bytes(struct sl_bytes a, struct sl_bytes b)
{
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.data, b.data, a.size);
}

/* Both ways agree on this message. */
static void assert_agree(const ProtobufCMessage *message)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct sl_bytes theirs = their_bytes(&arena, message);
	assert_same_bytes(pb_pack(&arena, message), theirs);
	ProtobufCMessage *back = pb_unpack(message->descriptor, &arena, theirs);
	assert_non_null(back);
	assert_true(protobuf_c_message_check(back));
	assert_same_bytes(their_bytes(&arena, back), theirs);
	assert_same_bytes(pb_pack(&arena, back), theirs);
}

/* --- tests ---------------------------------------------------------------------------------- */

static void test_pb_agrees_with_the_library(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	Sample__Kinds none = SAMPLE__KINDS__INIT;
	assert_agree(&none.base);
	assert_agree(&kinds(&arena, 1)->base);
	assert_agree(&kinds(&arena, -1)->base);
	for (unsigned depth = 0; depth < 4; depth++) {
		assert_agree(&parts(&arena, depth)->base);
	}
}

static void test_pb_numbers_of_every_length(void **state)
{
	(void)state;
	Sample__Kinds k = SAMPLE__KINDS__INIT;
	for (unsigned bit = 0; bit < 64; bit++) {
		for (int around = -1; around <= 1; around++) {
			uint64_t number = ((uint64_t)1 << bit) + (uint64_t)(int64_t)around;
			k.a_uint64 = number;
			k.a_uint32 = (uint32_t)number;
			k.an_int64 = k.a_sint64 = (int64_t)number;
			k.an_int32 = k.a_sint32 = (int32_t)number;
			assert_agree(&k.base);
		}
	}
}

static void test_pb_texts_of_every_length(void **state)
{
	(void)state;
	char *text = calloc(1, LONG + 1);
	assert_non_null(text);
	Sample__Kinds k = SAMPLE__KINDS__INIT;
	for (size_t size = 0; size <= LONG; size += size < 300 ? 1 : size / 3) {
		memset(text, 'x', size);
		text[size] = '\0';
		k.a_text = text;
		assert_agree(&k.base);
	}
	free(text);
}

static void test_pb_presence(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	Sample__Parts p = SAMPLE__PARTS__INIT;
	assert_int_equal(pb_pack(&arena, &p.base).size, 0);
	Sample__Parts *back = (Sample__Parts *)pb_unpack(PARTS, &arena, SL_BYTES_NONE);
	assert_non_null(back);
	assert_null(back->kinds);
	assert_int_equal(back->choice_case, SAMPLE__PARTS__CHOICE__NOT_SET);
	/* Chosen twice: the last one counts, and nothing is left of the first. */
	static const uint8_t twice[] = {0x62, 1, 'x', 0x68, 9};
	back = (Sample__Parts *)pb_unpack(PARTS, &arena, SL_BYTES(twice, sizeof(twice)));
	assert_non_null(back);
	assert_int_equal(back->choice_case, SAMPLE__PARTS__CHOICE_CHOSEN_NUMBER);
	assert_int_equal(back->chosen_number, 9);
}

static void test_pb_lists_packed_or_not(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	static const uint8_t mixed[] = {0x10, 5, 0x12, 3, 6, 0x80, 1, 0x10, 7};
	Sample__Parts *p =
	    (Sample__Parts *)pb_unpack(PARTS, &arena, SL_BYTES(mixed, sizeof(mixed)));
	assert_non_null(p);
	assert_int_equal(p->n_numbers, 4);
	assert_int_equal(p->numbers[2], 128);
	assert_int_equal(p->numbers[3], 7);
}

static void test_pb_a_message_that_comes_twice_is_merged(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	static const uint8_t twice[] = {0x0a, 2, 0x20, 4, 0x0a, 2, 0x48, 9};
	Sample__Parts *p =
	    (Sample__Parts *)pb_unpack(PARTS, &arena, SL_BYTES(twice, sizeof(twice)));
	assert_non_null(p);
	assert_int_equal(p->kinds->a_uint32, 4);
	assert_int_equal(p->kinds->a_uint64, 9);
}

static void test_pb_unknown_fields_stay(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	/* A LogEntry has fields 1 to 3 only. */
	static const uint8_t newer[] = {
	    0x0a, 1, 'k',  0x20, 0x96, 1, 0x2a, 2,    'a',  'b', 0x31, 1,    2,    3, 4,    5,  6,
	    7,    8, 0x3d, 1,    2,    3, 4,    0x82, 0x80, 1,   0x00, 0x82, 0x80, 1, 0x01, 'z'};
	ProtobufCMessage *entry =
	    pb_unpack(&sample__log_entry__descriptor, &arena, SL_BYTES(newer, sizeof(newer)));
	assert_non_null(entry);
	assert_int_equal(entry->n_unknown_fields, 6);
	assert_same_bytes(pb_pack(&arena, entry), SL_BYTES(newer, sizeof(newer)));
	assert_agree(entry);
}

static void test_pb_one_text_of_a_message(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	const uint8_t twice[] = {0x08, 0x05, 0x12, 0x01, 'a', 0x1a, 0x02,
				 'x',  'y',  0x12, 0x02, 'b', 'c'};
	struct sl_bytes message = SL_BYTES(twice, sizeof(twice));
	assert_string_equal(pb_text(&arena, message, 2), "bc"); /* the last one counts */
	assert_string_equal(pb_text(&arena, message, 3), "xy");
	assert_string_equal(pb_text(&arena, message, 4), "");
	assert_string_equal(pb_text(&arena, SL_BYTES_NONE, 1), "");
	assert_null(pb_text(&arena, message, 1)); /* a number */
	for (size_t cut = 1; cut < sizeof(twice); cut++) {
		bool whole = cut == 2 || cut == 5 || cut == 9;
		assert_int_equal(pb_text(&arena, SL_BYTES(twice, cut), 9) != NULL, whole);
	}
	assert_false(sl_arena_failed(&arena));
}

static void test_pb_refuses_what_is_cut_or_wrong(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct sl_bytes whole = pb_pack(&arena, &kinds(&arena, 1)->base);
	for (size_t size = 0; size < whole.size; size++) {
		bool theirs =
		    protobuf_c_message_unpack(&sample__kinds__descriptor, sl_arena_protobuf(&arena),
					      size, whole.data) != NULL;
		bool ours = pb_unpack(&sample__kinds__descriptor, &arena,
				      SL_BYTES(whole.data, size)) != NULL;
		assert_int_equal(ours, theirs);
	}
	static const struct {
		const char *what;
		uint8_t bytes[12];
		size_t size;
	} wrong[] = {
	    {"field 0", {0x00, 1}, 2},
	    {"a group", {0x0b, 0x0c}, 2},
	    {"wire type 6", {0x0e}, 1},
	    {"a text as a number", {0x78, 1}, 2},
	    {"a number as a text", {0x0a, 1, 'x'}, 3},
	    {"a bool of four bytes", {0x6d, 1, 0, 0, 0}, 5},
	    {"a length beyond the end", {0x7a, 5, 'x'}, 3},
	    {"a length of 2^63",
	     {0x7a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1},
	     11},
	    {"a number of eleven bytes",
	     {0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1},
	     12},
	};
	for (size_t i = 0; i < SL_COUNT(wrong); i++) {
		if (pb_unpack(&sample__kinds__descriptor, &arena,
			      SL_BYTES(wrong[i].bytes, wrong[i].size)) != NULL) {
			fail_msg("%s was taken", wrong[i].what);
		}
	}
	assert_false(sl_arena_failed(&arena));
}

/* parts in parts in parts */
static struct sl_bytes nested(struct sl_arena *arena, unsigned depth)
{
	Sample__Parts *inner = NULL;
	for (unsigned i = 0; i <= depth; i++) {
		Sample__Parts *outer = SL_ARENA_NEW(arena, Sample__Parts);
		sample__parts__init(outer);
		outer->parts = SL_ARENA_ARRAY(arena, Sample__Parts *, 1);
		outer->parts[0] = inner;
		outer->n_parts = inner != NULL ? 1 : 0;
		inner = outer;
	}
	return pb_pack(arena, &inner->base);
}

static void test_pb_depth_is_bounded(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	assert_non_null(pb_unpack(PARTS, &arena, nested(&arena, PB_DEPTH_MAX)));
	assert_null(pb_unpack(PARTS, &arena, nested(&arena, PB_DEPTH_MAX + 1)));
	assert_false(sl_arena_failed(&arena));
}

static void test_pb_memory_that_runs_out_is_told(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena whole;
	sl_arena_init(&whole, 0);
	Sample__Parts *p = parts(&whole, 2);
	struct sl_bytes bytes = pb_pack(&whole, &p->base);
	assert_true(bytes.size > 0);
	bool enough = false;
	for (size_t max = 1; !enough; max += 4000) {
		SL_AUTO(sl_arena_fini) struct sl_arena arena;
		sl_arena_init(&arena, max);
		enough = pb_unpack(PARTS, &arena, bytes) != NULL;
		assert_int_equal(sl_arena_failed(&arena), !enough);
		sl_arena_fini(&arena);
		bool packed = pb_pack(&arena, &p->base).size == bytes.size;
		assert_int_equal(sl_arena_failed(&arena), !packed);
	}
}

static void test_arena_texts_at_the_end_of_a_chunk(void **state)
{
	(void)state;
	char wanted[64];
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t *from = NULL, *to = NULL;
		int length = snprintf(wanted, sizeof(wanted), "%0*u", (int)(i % 40) + 1, i);
		char *text = sl_arena_printf(&arena, "%s", wanted);
		assert_int_equal(strlen(text), length);
		assert_string_equal(text, wanted);
		/* What is taken from the back leaves a room of any size. */
		assert_true(sl_arena_spare(&arena, 5, &from, &to));
		assert_true(to - from >= 5);
		memset(from, 0xaa, (size_t)(to - from));
		sl_arena_keep(&arena, to - i % 5);
		assert_string_equal(text, wanted);
		assert_int_equal(*(uint8_t *)sl_arena_alloc(&arena, 1), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pb_agrees_with_the_library),
	    cmocka_unit_test(test_pb_numbers_of_every_length),
	    cmocka_unit_test(test_pb_texts_of_every_length),
	    cmocka_unit_test(test_pb_presence),
	    cmocka_unit_test(test_pb_lists_packed_or_not),
	    cmocka_unit_test(test_pb_a_message_that_comes_twice_is_merged),
	    cmocka_unit_test(test_pb_unknown_fields_stay),
	    cmocka_unit_test(test_pb_one_text_of_a_message),
	    cmocka_unit_test(test_pb_refuses_what_is_cut_or_wrong),
	    cmocka_unit_test(test_pb_depth_is_bounded),
	    cmocka_unit_test(test_pb_memory_that_runs_out_is_told),
	    cmocka_unit_test(test_arena_texts_at_the_end_of_a_chunk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Messages as JSON: every kind of field, well-known types, what is left out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json/json.h"
#include "base/mem/own.h"
#include "sample.pb-c.h"
#include "sample2.pb-c.h"

static void assert_json(const ProtobufCMessage *message, bool defaults, const char *want)
{
	SL_AUTO(sl_free_auto) char *text = sl_json_from_message(message, SL_JSON_COMPACT, defaults);
	assert_non_null(text);
	assert_string_equal(text, want);
}

static void test_json_message_every_scalar(void **state)
{
	(void)state;
	Sample__Kinds kinds = SAMPLE__KINDS__INIT;
	assert_json(&kinds.base, false, "{}");
	assert_json(
	    &kinds.base, true,
	    "{\"anInt32\":0,\"aSint32\":0,\"aSfixed32\":0,\"aUint32\":0,\"aFixed32\":0,\"anInt64\":"
	    "\"0\","
	    "\"aSint64\":\"0\",\"aSfixed64\":\"0\",\"aUint64\":\"0\",\"aFixed64\":\"0\",\"aFloat\":"
	    "0.0,"
	    "\"aDouble\":0.0,\"aBool\":false,\"aColour\":\"COLOUR_UNSPECIFIED\",\"aText\":\"\","
	    "\"someBytes\":\"\"}");
	kinds.an_int32 = INT32_MIN;
	kinds.a_sint32 = -1;
	kinds.a_sfixed32 = INT32_MAX;
	kinds.a_uint32 = UINT32_MAX;
	kinds.a_fixed32 = 7;
	kinds.an_int64 = INT64_MIN;
	kinds.a_sint64 = -1;
	kinds.a_sfixed64 = INT64_MAX;
	kinds.a_uint64 = UINT64_MAX;
	kinds.a_fixed64 = 1;
	kinds.a_float = 0.5F;
	kinds.a_double = -2.25;
	kinds.a_bool = 1;
	kinds.a_colour = SAMPLE__COLOUR__COLOUR_RED;
	kinds.a_text = "\"quoted\" \\ \n\x01 \xc3\xa9";
	kinds.some_bytes = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)"\xfb\xff\x00\x01"};
	assert_json(
	    &kinds.base, false,
	    "{\"anInt32\":-2147483648,\"aSint32\":-1,\"aSfixed32\":2147483647,\"aUint32\":"
	    "4294967295,"
	    "\"aFixed32\":7,\"anInt64\":\"-9223372036854775808\",\"aSint64\":\"-1\","
	    "\"aSfixed64\":\"9223372036854775807\",\"aUint64\":\"18446744073709551615\","
	    "\"aFixed64\":\"1\","
	    "\"aFloat\":0.5,\"aDouble\":-2.25,\"aBool\":true,\"aColour\":\"COLOUR_RED\","
	    "\"aText\":\"\\\"quoted\\\" \\\\ \\n\\u0001 \xc3\xa9\",\"someBytes\":\"+/8AAQ==\"}");
}

static void test_json_message_odd_values(void **state)
{
	(void)state;
	static const struct {
		double real;
		int colour;
		char *text;
		const char *want;
	} cases[] = {
	    {NAN, 1, "x", "{\"aDouble\":\"NaN\",\"aColour\":\"COLOUR_RED\",\"aText\":\"x\"}"},
	    {INFINITY, 0, "", "{\"aDouble\":\"Infinity\"}"},
	    {-INFINITY, 0, "", "{\"aDouble\":\"-Infinity\"}"},
	    {0, 77, "", "{\"aColour\":77}"}, /* a newer server's */
	    {0, 0,
	     "a\xff"
	     "b",
	     "{\"aText\":\"a\xef\xbf\xbd"
	     "b\"}"},
	    {0, 0, "\xc3", "{\"aText\":\"\xef\xbf\xbd\"}"},
	    {0, 0, "\xe0\x80\x80", "{\"aText\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}"},
	    {0, 0, "\xed\xa0\x80", "{\"aText\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}"},
	    {0, 0, "\xf0\x9f\x98\x80", "{\"aText\":\"\xf0\x9f\x98\x80\"}"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		Sample__Kinds kinds = SAMPLE__KINDS__INIT;
		kinds.a_double = cases[i].real;
		kinds.a_colour = (Sample__Colour)cases[i].colour;
		kinds.a_text = cases[i].text;
		assert_json(&kinds.base, false, cases[i].want);
	}
}

static void test_json_message_base64_lengths(void **state)
{
	(void)state;
	static const char *const want[] = {"{\"someBytes\":\"\"}", "{\"someBytes\":\"Zg==\"}",
					   "{\"someBytes\":\"Zm8=\"}", "{\"someBytes\":\"Zm9v\"}",
					   "{\"someBytes\":\"Zm9vYg==\"}"};
	for (size_t i = 1; i < SL_COUNT(want); i++) {
		Sample__Kinds kinds = SAMPLE__KINDS__INIT;
		kinds.some_bytes = (ProtobufCBinaryData){.len = i, .data = (uint8_t *)"foob"};
		assert_json(&kinds.base, false, want[i]);
	}
}

static void test_json_message_repeated_and_nested(void **state)
{
	(void)state;
	uint64_t numbers[] = {1, 2};
	char *texts[] = {"a", ""};
	Sample__Colour colours[] = {SAMPLE__COLOUR__COLOUR_RED, SAMPLE__COLOUR__COLOUR_UNSPECIFIED};
	protobuf_c_boolean flags[] = {1, 0, 1};
	ProtobufCBinaryData blobs[] = {{.len = 1, .data = (uint8_t *)"f"}, {0}};
	Sample__Parts inner = SAMPLE__PARTS__INIT;
	Sample__Parts *inners[] = {&inner, &inner};
	Sample__Kinds kinds = SAMPLE__KINDS__INIT;
	Sample__LogEntry entry = SAMPLE__LOG_ENTRY__INIT;
	Sample__LogEntry *entries[] = {&entry};
	Sample__Parts parts = SAMPLE__PARTS__INIT;
	entry.key = "k";
	parts.kinds = &kinds;
	parts.n_numbers = SL_COUNT(numbers);
	parts.numbers = numbers;
	parts.n_texts = SL_COUNT(texts);
	parts.texts = texts;
	parts.n_colours = SL_COUNT(colours);
	parts.colours = colours;
	parts.n_flags = SL_COUNT(flags);
	parts.flags = flags;
	parts.n_blobs = SL_COUNT(blobs);
	parts.blobs = blobs;
	parts.n_parts = SL_COUNT(inners);
	parts.parts = inners;
	parts.n_log = SL_COUNT(entries);
	parts.log = entries;
	assert_json(
	    &parts.base, false,
	    "{\"kinds\":{},\"numbers\":[\"1\",\"2\"],\"texts\":[\"a\",\"\"],"
	    "\"colours\":[\"COLOUR_RED\",\"COLOUR_UNSPECIFIED\"],\"flags\":[true,false,true],"
	    "\"blobs\":[\"Zg==\",\"\"],\"parts\":[{},{}],\"log\":[{\"key\":\"k\"}]}");
}

static void test_json_message_maps_are_objects(void **state)
{
	(void)state;
	Sample__Parts__LabelsEntry label = SAMPLE__PARTS__LABELS_ENTRY__INIT;
	Sample__Parts__LabelsEntry empty = SAMPLE__PARTS__LABELS_ENTRY__INIT;
	Sample__Parts__LabelsEntry *labels[] = {&label, &empty};
	Sample__Parts__ByNumberEntry number = SAMPLE__PARTS__BY_NUMBER_ENTRY__INIT;
	Sample__Parts__ByNumberEntry *numbers[] = {&number};
	Sample__Parts__ByFlagEntry flag = SAMPLE__PARTS__BY_FLAG_ENTRY__INIT;
	Sample__Parts__ByFlagEntry *flags[] = {&flag};
	Sample__Parts__ByIntEntry integer = SAMPLE__PARTS__BY_INT_ENTRY__INIT;
	Sample__Parts__ByIntEntry *integers[] = {&integer};
	Sample__Parts parts = SAMPLE__PARTS__INIT;
	label.key = "tier";
	label.value = "blue";
	number.key = UINT64_MAX; /* no value: its default */
	flag.key = 1;
	integer.key = -3;
	integer.value = SAMPLE__COLOUR__COLOUR_RED;
	parts.n_labels = SL_COUNT(labels);
	parts.labels = labels;
	parts.n_by_number = SL_COUNT(numbers);
	parts.by_number = numbers;
	parts.n_by_flag = SL_COUNT(flags);
	parts.by_flag = flags;
	parts.n_by_int = SL_COUNT(integers);
	parts.by_int = integers;
	assert_json(
	    &parts.base, false,
	    "{\"labels\":{\"tier\":\"blue\",\"\":\"\"},\"byNumber\":{\"18446744073709551615\":{}},"
	    "\"byFlag\":{\"true\":0},\"byInt\":{\"-3\":\"COLOUR_RED\"}}");
}

static void test_json_message_defaults_show_empty_lists_and_maps_only(void **state)
{
	(void)state;
	Sample__Parts parts = SAMPLE__PARTS__INIT;
	assert_json(&parts.base, true,
		    "{\"numbers\":[],\"texts\":[],\"colours\":[],\"flags\":[],\"blobs\":[],"
		    "\"parts\":[],\"labels\":{},"
		    "\"byNumber\":{},\"byFlag\":{},\"byInt\":{},\"log\":[]}");
}

static void test_json_message_oneof_shows_what_is_chosen(void **state)
{
	(void)state;
	Sample__Kinds kinds = SAMPLE__KINDS__INIT;
	Sample__Parts parts = SAMPLE__PARTS__INIT;
	parts.choice_case = SAMPLE__PARTS__CHOICE_CHOSEN_TEXT;
	parts.chosen_text = "";
	assert_json(&parts.base, false, "{\"chosenText\":\"\"}"); /* chosen counts, not its value */
	parts.choice_case = SAMPLE__PARTS__CHOICE_CHOSEN_NUMBER;
	parts.chosen_number = 0;
	assert_json(&parts.base, false, "{\"chosenNumber\":0}");
	parts.choice_case = SAMPLE__PARTS__CHOICE_CHOSEN_KINDS;
	parts.chosen_kinds = &kinds;
	assert_json(&parts.base, false, "{\"chosenKinds\":{}}");
}

static void test_json_message_timestamps(void **state)
{
	(void)state;
	static const struct {
		int64_t seconds;
		int32_t nanos;
		const char *want; /* NULL: refused */
	} cases[] = {
	    {0, 0, "{\"madeAt\":\"1970-01-01T00:00:00Z\"}"},
	    {1795344693, 120000000, "{\"madeAt\":\"2026-11-22T10:51:33.120Z\"}"},
	    {1, 1000, "{\"madeAt\":\"1970-01-01T00:00:01.000001Z\"}"},
	    {1, 1, "{\"madeAt\":\"1970-01-01T00:00:01.000000001Z\"}"},
	    {-62135596800, 0, "{\"madeAt\":\"0001-01-01T00:00:00Z\"}"},
	    {253402300799, 999999999, "{\"madeAt\":\"9999-12-31T23:59:59.999999999Z\"}"},
	    {253402300800, 0, NULL},
	    {-62135596801, 0, NULL},
	    {0, -1, NULL},
	    {0, 1000000000, NULL},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		Google__Protobuf__Timestamp when = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
		Sample__Parts parts = SAMPLE__PARTS__INIT;
		when.seconds = cases[i].seconds;
		when.nanos = cases[i].nanos;
		parts.made_at = &when;
		SL_AUTO(sl_free_auto)
		char *text = sl_json_from_message(&parts.base, SL_JSON_COMPACT, false);
		assert_int_equal(text == NULL, cases[i].want == NULL);
		if (text != NULL) {
			assert_string_equal(text, cases[i].want);
		}
	}
}

static void test_json_message_durations(void **state)
{
	(void)state;
	static const struct {
		int64_t seconds;
		int32_t nanos;
		const char *want; /* NULL: refused */
	} cases[] = {
	    {0, 0, "{\"timeLeft\":\"0s\"}"},
	    {1, 500000000, "{\"timeLeft\":\"1.500s\"}"},
	    {-1, -500000000, "{\"timeLeft\":\"-1.500s\"}"},
	    {0, -1, "{\"timeLeft\":\"-0.000000001s\"}"},
	    {315576000000, 0, "{\"timeLeft\":\"315576000000s\"}"},
	    {315576000001, 0, NULL},
	    {INT64_MIN, 0, NULL},
	    {1, -1, NULL},
	    {-1, 1, NULL},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		Google__Protobuf__Duration length = GOOGLE__PROTOBUF__DURATION__INIT;
		Sample__Parts parts = SAMPLE__PARTS__INIT;
		length.seconds = cases[i].seconds;
		length.nanos = cases[i].nanos;
		parts.time_left = &length;
		SL_AUTO(sl_free_auto)
		char *text = sl_json_from_message(&parts.base, SL_JSON_COMPACT, false);
		assert_int_equal(text == NULL, cases[i].want == NULL);
		if (text != NULL) {
			assert_string_equal(text, cases[i].want);
		}
	}
}

static void test_json_message_any_and_wrappers(void **state)
{
	(void)state;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	Google__Protobuf__StringValue text = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
	Google__Protobuf__UInt64Value number = GOOGLE__PROTOBUF__UINT64_VALUE__INIT;
	Google__Protobuf__BoolValue flag = GOOGLE__PROTOBUF__BOOL_VALUE__INIT;
	Sample__Parts parts = SAMPLE__PARTS__INIT;
	any.type_url = "type.googleapis.com/x.Y";
	any.value = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"foo"};
	parts.any = &any;
	parts.maybe_text = &text;
	parts.maybe_number = &number;
	parts.maybe_flag = &flag;
	assert_json(&parts.base, false,
		    "{\"any\":{\"@type\":\"type.googleapis.com/"
		    "x.Y\",\"value\":\"Zm9v\"},\"maybeText\":\"\","
		    "\"maybeNumber\":\"0\",\"maybeFlag\":false}");
}

static void test_json_message_proto2_presence(void **state)
{
	(void)state;
	Sample__Present present = SAMPLE__PRESENT__INIT;
	assert_json(&present.base, false, "{\"needed\":0}");
	present.has_number = 1;
	present.has_flag = 1;
	present.text = "";
	assert_json(&present.base, false,
		    "{\"needed\":0,\"number\":0,\"text\":\"\",\"flag\":false}");
}

static void test_json_message_nesting_is_bounded(void **state)
{
	(void)state;
	enum { LEVELS = 65 };
	Sample__Parts parts[LEVELS];
	Sample__Parts *children[LEVELS];
	for (size_t i = 0; i < LEVELS; i++) {
		sample__parts__init(&parts[i]);
		children[i] = i + 1 < LEVELS ? &parts[i + 1] : NULL;
		parts[i].n_parts = i + 1 < LEVELS ? 1 : 0;
		parts[i].parts = &children[i];
	}
	assert_null(sl_json_from_message(&parts[0].base, SL_JSON_COMPACT, false));
	SL_AUTO(sl_free_auto)
	char *text = sl_json_from_message(&parts[1].base, SL_JSON_COMPACT, false);
	assert_non_null(text);
}

static void test_json_messages_is_a_list(void **state)
{
	(void)state;
	Sample__Kinds one = SAMPLE__KINDS__INIT;
	Sample__Kinds two = SAMPLE__KINDS__INIT;
	const ProtobufCMessage *all[] = {&one.base, &two.base};
	two.a_bool = 1;
	SL_AUTO(sl_free_auto) char *none = sl_json_from_messages(NULL, 0, SL_JSON_COMPACT, false);
	assert_string_equal(none, "[]");
	SL_AUTO(sl_free_auto)
	char *both = sl_json_from_messages(all, SL_COUNT(all), SL_JSON_PRETTY, false);
	assert_string_equal(both, "[\n  {},\n  {\n    \"aBool\": true\n  }\n]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_json_message_every_scalar),
	    cmocka_unit_test(test_json_message_odd_values),
	    cmocka_unit_test(test_json_message_base64_lengths),
	    cmocka_unit_test(test_json_message_repeated_and_nested),
	    cmocka_unit_test(test_json_message_maps_are_objects),
	    cmocka_unit_test(test_json_message_defaults_show_empty_lists_and_maps_only),
	    cmocka_unit_test(test_json_message_oneof_shows_what_is_chosen),
	    cmocka_unit_test(test_json_message_timestamps),
	    cmocka_unit_test(test_json_message_durations),
	    cmocka_unit_test(test_json_message_any_and_wrappers),
	    cmocka_unit_test(test_json_message_proto2_presence),
	    cmocka_unit_test(test_json_message_nesting_is_bounded),
	    cmocka_unit_test(test_json_messages_is_a_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

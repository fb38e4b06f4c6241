/* HTTP/2 frames as clients send them, well and badly meant, in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"
#include "base/tls/frames.h"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING = 6, WINDOW_UPDATE = 8, CONTINUATION };
enum { SAID_MAX = 4 << 20, END_STREAM = 1, END_HEADERS = 4, SECOND_US = 1000000 };

struct talk {
	uint8_t *said;
	size_t size;
};

static void say_in(struct talk *talk, uint32_t stream, uint8_t kind, uint8_t flags, size_t size)
{
	uint8_t *at = talk->said + talk->size;
	assert_true(talk->size + 9 + size <= SAID_MAX);
	at[0] = (uint8_t)(size >> 16);
	at[1] = (uint8_t)(size >> 8);
	at[2] = (uint8_t)size;
	at[3] = kind;
	at[4] = flags;
	sl_put_be32(at + 5, stream);
	memset(at + 9, 0xff,
	       size); /* would be heads of large frames, if they were taken for such */
	talk->size += 9 + size;
}

static void say(struct talk *talk, uint8_t kind, uint8_t flags, size_t size)
{
	say_in(talk, 0, kind, flags, size);
}

/* Opens or resets so many streams. */
static void say_of_each(struct talk *talk, unsigned count, uint8_t kind, uint8_t flags, size_t size)
{
	for (uint32_t i = 0; i < count; i++) {
		say_in(talk, 2 * i + 1, kind, flags, size);
	}
}

static struct talk talk_new(void)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct talk talk = {.said = malloc(SAID_MAX), .size = sizeof(preface) - 1};
	assert_non_null(talk.said);
	memcpy(talk.said, preface, talk.size);
	return talk;
}

/* In pieces of `piece` bytes; what is wrong, and where. */
static const char *hear(struct tls_frames *frames, const struct talk *talk, size_t piece,
			uint64_t now_us)
{
	for (size_t at = 0; at < talk->size; at += piece) {
		size_t size = talk->size - at < piece ? talk->size - at : piece;
		const char *wrong = tls_frames_take(frames, talk->said + at, size, now_us);
		if (wrong != NULL) {
			return wrong;
		}
	}
	return NULL;
}

static const size_t pieces[] = {1, 2, 8, 9, 10, 1000, SAID_MAX};
static const uint64_t times[] = {0, 1, 5 * SECOND_US, 900000ULL * SECOND_US};

static void expect(const struct talk *talk, const char *wanted)
{
	for (size_t i = 0; i < SL_COUNT(pieces); i++) {
		for (size_t j = 0; j < SL_COUNT(times); j++) {
			struct tls_frames frames = {.payload = 0};
			const char *wrong = hear(&frames, talk, pieces[i], times[j]);
			if (wanted == NULL) {
				assert_null(wrong);
			} else {
				assert_non_null(wrong);
				assert_non_null(strstr(wrong, wanted));
			}
		}
	}
}

static void test_calls_of_every_kind_pass(void **state)
{
	(void)state;
	struct talk talk = talk_new();
	say(&talk, SETTINGS, 0, 30);
	for (uint32_t i = 0; i < 1500; i++) {
		say_in(&talk, 2 * i + 1, HEADERS, END_HEADERS, 200);
		say_in(&talk, 2 * i + 1, DATA, 0, 400);
		say_in(&talk, 2 * i + 1, DATA, END_STREAM, 0);
		say(&talk, WINDOW_UPDATE, 0, 4);
	}
	say_of_each(&talk, 350, RST_STREAM, 0, 4); /* hundreds at once, just made */
	say(&talk, HEADERS, 0, 16384);
	say(&talk, CONTINUATION, END_HEADERS, 16000);
	say(&talk, HEADERS, END_HEADERS, 30000);
	say(&talk, HEADERS, END_HEADERS, 30000); /* blocks do not add up */
	expect(&talk, NULL);
	free(talk.said);
}

static void test_a_block_of_headers_ends(void **state)
{
	(void)state;
	struct talk one = talk_new(), many = talk_new(), empty = talk_new();
	say(&one, HEADERS, END_HEADERS, TLS_FRAMES_BLOCK_MAX + 1);
	expect(&one, "headers without end");
	say(&many, HEADERS, 0, 16000);
	for (int i = 0; i < 5; i++) {
		say(&many, CONTINUATION, 0, 16000);
	}
	expect(&many, "headers without end");
	say(&empty, HEADERS, 0, 10);
	for (int i = 0; i <= TLS_FRAMES_BURST; i++) {
		say(&empty, CONTINUATION, 0, 0);
	}
	expect(&empty, "flood");
	free(one.said);
	free(many.said);
	free(empty.said);
}

static void test_cheap_frames_are_counted(void **state)
{
	(void)state;
	static const struct {
		uint8_t kind, flags, size;
	} floods[] = {
	    {RST_STREAM, 0, 4}, {PING, 0, 8}, {SETTINGS, 0, 6},
	    {PRIORITY, 0, 5},   {DATA, 0, 0}, {200, 0, 1},
	};
	for (size_t i = 0; i < SL_COUNT(floods); i++) {
		struct talk talk = talk_new();
		for (int j = 0; j <= TLS_FRAMES_BURST; j++) {
			say(&talk, floods[i].kind, floods[i].flags, floods[i].size);
		}
		expect(&talk, "flood");
		free(talk.said);
	}
}

/* Opens `count` streams at one time, resets them at another. */
static const char *reset(unsigned count, uint64_t opened_us, uint64_t reset_us)
{
	struct tls_frames frames = {.payload = 0};
	struct talk opening = talk_new(), resetting = {.said = malloc(SAID_MAX)};
	assert_non_null(resetting.said);
	say_of_each(&opening, count, HEADERS, END_HEADERS, 20);
	say_of_each(&resetting, count, RST_STREAM, 0, 4);
	assert_null(hear(&frames, &opening, 1000, opened_us));
	const char *wrong = hear(&frames, &resetting, 1000, reset_us);
	free(opening.said);
	free(resetting.said);
	return wrong;
}

static void test_resets_of_young_streams_count_more(void **state)
{
	(void)state;
	const uint64_t young_us = TLS_FRAMES_YOUNG_US;
	const unsigned most = TLS_FRAMES_BURST / TLS_FRAMES_YOUNG;
	for (uint64_t begin_us = 0; begin_us < 10 * young_us; begin_us += young_us / 3) {
		assert_null(reset(most, begin_us, begin_us));
		assert_non_null(reset(most + 1, begin_us, begin_us));
		assert_non_null(reset(most + 50, begin_us, begin_us + young_us - 1));
		/* All that may be open, after a while. */
		assert_null(reset(1024, begin_us, begin_us + 4 * young_us));
		assert_non_null(reset(TLS_FRAMES_BURST + 1, begin_us, begin_us + 4 * young_us));
	}
}

/* Streams come and go all the time: who waits for each a while is not taken for a flood, who resets
 * each at once is. */
static const char *churn(uint64_t seconds, uint64_t age_us)
{
	enum { EVERY_US = 5000 };
	struct tls_frames frames = {.payload = 0};
	struct talk talk = talk_new();
	const char *wrong = NULL;
	uint32_t age = (uint32_t)(age_us / EVERY_US);
	for (uint32_t i = 0; wrong == NULL && i < seconds * SECOND_US / EVERY_US; i++) {
		say_in(&talk, 2 * i + 1, HEADERS, END_HEADERS, 20);
		if (i >= age) {
			say_in(&talk, 2 * (i - age) + 1, RST_STREAM, 0, 4);
		}
		wrong = hear(&frames, &talk, 1000, SECOND_US + (uint64_t)i * EVERY_US);
		talk.size = 0;
	}
	free(talk.said);
	return wrong;
}

static void test_churn_of_old_streams_is_no_flood(void **state)
{
	(void)state;
	assert_null(churn(60, 4 * TLS_FRAMES_YOUNG_US));
	assert_non_null(churn(60, 0));
	assert_non_null(churn(60, TLS_FRAMES_YOUNG_US - 5000));
}

static void test_strangers_have_less(void **state)
{
	(void)state;
	const int most = TLS_FRAMES_BURST / TLS_FRAMES_STRANGER;
	for (int more = 0; more < 2; more++) {
		struct tls_frames frames = {.stranger = true};
		struct talk talk = talk_new();
		for (int i = 0; i < most + more; i++) {
			say(&talk, PING, 0, 8);
		}
		assert_int_equal(hear(&frames, &talk, 100, 0) != NULL, more);
		free(talk.said);
	}
}

static void test_strangers_come_for_a_call_or_two(void **state)
{
	(void)state;
	const unsigned most = TLS_FRAMES_BURST / TLS_FRAMES_STRANGER / TLS_FRAMES_YOUNG;
	for (unsigned more = 0; more < 2; more++) {
		struct tls_frames frames = {.stranger = true};
		struct talk talk = talk_new();
		say_of_each(&talk, most + more, HEADERS, END_HEADERS, 20);
		assert_int_equal(hear(&frames, &talk, 100, 0) != NULL, more);
		free(talk.said);
	}
}

static void test_time_gives_back(void **state)
{
	(void)state;
	struct tls_frames frames = {.payload = 0};
	struct talk talk = talk_new();
	say(&talk, SETTINGS, 0, 0);
	assert_null(hear(&frames, &talk, SAID_MAX, SECOND_US));
	for (uint64_t second = 2; second < 60; second++) {
		talk.size = 0;
		for (int i = 0; i < TLS_FRAMES_PER_SECOND; i++) {
			say(&talk, PING, 0, 8);
		}
		assert_null(hear(&frames, &talk, SAID_MAX, second * SECOND_US));
	}
	free(talk.said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_calls_of_every_kind_pass),
	    cmocka_unit_test(test_a_block_of_headers_ends),
	    cmocka_unit_test(test_cheap_frames_are_counted),
	    cmocka_unit_test(test_resets_of_young_streams_count_more),
	    cmocka_unit_test(test_churn_of_old_streams_is_no_flood),
	    cmocka_unit_test(test_strangers_have_less),
	    cmocka_unit_test(test_strangers_come_for_a_call_or_two),
	    cmocka_unit_test(test_time_gives_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

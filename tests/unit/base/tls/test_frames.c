/* HTTP/2 frames as clients send them, well and badly meant, in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "base/tls/frames.h"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING = 6, WINDOW_UPDATE = 8, CONTINUATION };
enum { SAID_MAX = 4 << 20, END_STREAM = 1, END_HEADERS = 4, SECOND_US = 1000000 };

struct talk {
	uint8_t *said;
	size_t size;
};

static void say(struct talk *talk, uint8_t kind, uint8_t flags, size_t size)
{
	uint8_t *at = talk->said + talk->size;
	assert_true(talk->size + 9 + size <= SAID_MAX);
	at[0] = (uint8_t)(size >> 16);
	at[1] = (uint8_t)(size >> 8);
	at[2] = (uint8_t)size;
	at[3] = kind;
	at[4] = flags;
	memset(at + 5, 0, 4);
	memset(at + 9, 0xff,
	       size); /* would be heads of large frames, if they were taken for such */
	talk->size += 9 + size;
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
	for (int i = 0; i < 1500; i++) {
		say(&talk, HEADERS, END_HEADERS, 200);
		say(&talk, DATA, 0, 400);
		say(&talk, DATA, END_STREAM, 0);
		say(&talk, WINDOW_UPDATE, 0, 4);
		say(&talk, RST_STREAM, 0, 4); /* of all that may be open at once */
	}
	say(&talk, HEADERS, 0, 16384);
	say(&talk, CONTINUATION, END_HEADERS, 16384);
	say(&talk, HEADERS, END_HEADERS, 60000);
	say(&talk, HEADERS, END_HEADERS, 60000); /* blocks do not add up */
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
		bool paired; /* with the HEADERS that open a stream */
	} floods[] = {
	    {RST_STREAM, 0, 4, true}, {PING, 0, 8, false}, {SETTINGS, 0, 6, false},
	    {PRIORITY, 0, 5, false},  {DATA, 0, 0, false}, {200, 0, 1, false},
	};
	for (size_t i = 0; i < SL_COUNT(floods); i++) {
		struct talk talk = talk_new();
		for (int j = 0; j <= TLS_FRAMES_BURST; j++) {
			if (floods[i].paired) {
				say(&talk, HEADERS, END_HEADERS, 20);
			}
			say(&talk, floods[i].kind, floods[i].flags, floods[i].size);
		}
		expect(&talk, "flood");
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
	    cmocka_unit_test(test_time_gives_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

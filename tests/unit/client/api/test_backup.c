/* libsluice's backup: whole and as the server said, or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "sluice/client.h"
#include "tests/unit/client/api/fake_server.h"

#define CONTENT "abcdefgh"
enum { CONTENT_BYTES = 8, FIRST_BYTES = 3, MESSAGES = 5 };

struct fixture {
	struct fake_server *server;
	sluice_client *client;
	uint8_t digest[SL_HASH_BYTES];
	/* Head, two pieces, the end; and one more for tests. */
	Sluice__V1__BackupResponse messages[MESSAGES];
	char taken[64];
	size_t size;
	unsigned stop_at; /* piece() says no to this message, from 1; 0: to none */
	unsigned count;
};

static void set_data(Sluice__V1__BackupResponse *message, const char *data, size_t size)
{
	message->data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = size};
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char target[32];
	f->server = fake_server_start(0);
	(void)snprintf(target, sizeof(target), "127.0.0.1:%d", fake_server_port(f->server));
	assert_int_equal(sluice_client_new(target, NULL, &f->client, NULL), SLUICE_OK);
	for (size_t i = 0; i < MESSAGES; i++) {
		sluice__v1__backup_response__init(&f->messages[i]);
	}
	sl_hash(f->digest, CONTENT, CONTENT_BYTES, NULL, 0);
	f->messages[0].revision = 42;
	f->messages[0].size = CONTENT_BYTES;
	set_data(&f->messages[1], CONTENT, FIRST_BYTES);
	set_data(&f->messages[2], &CONTENT[FIRST_BYTES], CONTENT_BYTES - FIRST_BYTES);
	f->messages[3].digest = (ProtobufCBinaryData){.data = f->digest, .len = sizeof(f->digest)};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	sluice_client_free(f->client);
	fake_server_stop(f->server);
	free(f);
	return 0;
}

static int piece(void *ctx, const Sluice__V1__BackupResponse *message)
{
	struct fixture *f = ctx;
	if (message->data.len > 0) { /* the first and the last message may have none */
		memcpy(f->taken + f->size, message->data.data, message->data.len);
	}
	f->size += message->data.len;
	return ++f->count == f->stop_at;
}

/* Runs it over the first `count` messages; expects the code and, unless it is OK, the words. */
static void expect(struct fixture *f, unsigned count, struct fake_answer end, int code,
		   const char *words)
{
	sluice_error error = SLUICE_ERROR_INIT;
	const sluice_call call = {.timeout_ms = 60000};
	f->size = f->count = 0;
	fake_server_backup_plan(f->server, f->messages, count, end);
	assert_int_equal(sluice_backup(f->client, &call, piece, f, &error), code);
	if (code != SLUICE_OK && strstr(error.message, words) == NULL) {
		fail_msg("'%s' does not say '%s'", error.message, words);
	}
	sluice_error_clear(&error);
}

static const struct fake_answer well = {SL_OK, SL_REASON_NONE};

static void test_backup_hands_out_every_piece_in_order(void **state)
{
	struct fixture *f = *state;
	expect(f, 4, well, SLUICE_OK, "");
	assert_int_equal(f->count, 4);
	assert_int_equal(f->size, CONTENT_BYTES);
	assert_memory_equal(f->taken, CONTENT, CONTENT_BYTES);
}

static void test_backup_that_is_not_whole_is_an_error(void **state)
{
	struct fixture *f = *state;
	expect(f, 3, well, SLUICE_DATA_LOSS, "ended early");
	expect(f, 0, well, SLUICE_DATA_LOSS, "ended early");
	expect(f, 5, well, SLUICE_DATA_LOSS, "after its end");
	f->messages[0].size++;
	expect(f, 4, well, SLUICE_DATA_LOSS, "another size");
	f->messages[0].size--;
	f->digest[7] ^= 1;
	expect(f, 4, well, SLUICE_DATA_LOSS, "another digest");
	assert_int_equal(f->count, 3); /* the last piece is not handed out */
	f->digest[7] ^= 1;
	f->messages[3].digest.len--;
	expect(f, 4, well, SLUICE_DATA_LOSS, "another digest");
}

static void test_backup_ends_as_the_server_says(void **state)
{
	struct fixture *f = *state;
	const struct fake_answer busy = {SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY};
	const struct fake_answer stopping = {SL_UNAVAILABLE, SL_REASON_STOPPING};
	expect(f, 0, busy, SLUICE_RESOURCE_EXHAUSTED, "the test ends it");
	expect(f, 2, stopping, SLUICE_UNAVAILABLE, "the test ends it");
}

static void test_backup_ends_when_the_caller_says_so(void **state)
{
	struct fixture *f = *state;
	for (f->stop_at = 1; f->stop_at <= 4; f->stop_at++) {
		expect(f, 4, well, SLUICE_CANCELLED, "the caller");
		assert_int_equal(f->count, f->stop_at);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_backup_hands_out_every_piece_in_order),
	    TEST(test_backup_that_is_not_whole_is_an_error),
	    TEST(test_backup_ends_as_the_server_says),
	    TEST(test_backup_ends_when_the_caller_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

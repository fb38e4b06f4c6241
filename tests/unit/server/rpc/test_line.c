/* Who waits at the door, and whose turn it is. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/rpc/line.h"

#define SECOND UINT64_C(1000000)

static struct line *line_of(uint64_t per_second, uint64_t burst, size_t places)
{
	const struct line_rules rules = {
	    .per_second = per_second, .burst = burst, .places = places, .patience_us = 10 * SECOND};
	struct line *line = NULL;
	assert_int_equal(line_new(&rules, &line, NULL), SL_OK);
	return line;
}

static int join(struct line *line, int fd, const char *address, uint64_t now_us)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
		return line_join(line, fd, (struct sockaddr *)&v4, now_us);
	}
	assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
	return line_join(line, fd, (struct sockaddr *)&v6, now_us);
}

static int serve(struct line *line, uint64_t now_us)
{
	int fd = line_first(line, now_us);
	if (fd >= 0) {
		line_serve(line, now_us);
	}
	return fd;
}

static void test_turns_keep_their_pace(void **state)
{
	(void)state;
	struct line *line = line_of(10, 3, 100);
	unsigned served = 0;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(join(line, i, "10.0.0.1", SECOND), -1);
	}
	for (uint64_t now = SECOND; now < 3 * SECOND; now += 10000) {
		int fd = serve(line, now);
		assert_true(fd == -1 || fd == (int)served); /* who came first is first */
		served += fd >= 0;
		assert_true(fd >= 0 || line_turn_in(line, now) <= SECOND / 10);
	}
	assert_int_equal(served, 3 + 19);
	assert_int_equal(line_length(line), 50 - served);
	line_free(line);
}

static void test_no_rate_is_no_bound_and_an_empty_line_waits_for_nothing(void **state)
{
	(void)state;
	struct line *line = line_of(0, 0, 5);
	assert_int_equal(line_first(line, SECOND), -1);
	assert_int_equal(line_turn_in(line, SECOND), UINT64_MAX);
	assert_int_equal(line_late_in(line, SECOND), UINT64_MAX);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(join(line, i, "10.0.0.1", SECOND), -1);
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(serve(line, SECOND), i);
	}
	assert_int_equal(line_length(line), 0);
	line_free(line);
}

/* A thousand of one address cost another one turn, whoever was first. */
static void test_addresses_take_turns(void **state)
{
	(void)state;
	struct line *line = line_of(0, 0, 1000);
	for (int i = 0; i < 900; i++) {
		assert_int_equal(join(line, i, "10.0.0.1", SECOND), -1);
	}
	assert_int_equal(join(line, 1000, "10.0.0.2", SECOND), -1);
	assert_int_equal(join(line, 1001, "10.0.0.2", SECOND), -1);
	assert_int_equal(join(line, 2000, "2001:db8::1", SECOND), -1);
	static const int order[] = {0, 1000, 2000, 1, 1001, 2, 3};
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		assert_int_equal(serve(line, SECOND), order[i]);
	}
	/* Who comes again comes after those who wait. */
	assert_int_equal(join(line, 1002, "10.0.0.2", SECOND), -1);
	assert_int_equal(serve(line, SECOND), 4);
	assert_int_equal(serve(line, SECOND), 1002);
	line_free(line);
}

static void test_a_network_of_ipv6_is_one_address_and_ipv4_in_it_is_ipv4(void **state)
{
	(void)state;
	struct line *line = line_of(0, 0, 10);
	assert_int_equal(join(line, 1, "2001:db8::1", SECOND), -1);
	assert_int_equal(join(line, 2, "2001:db8::ffff:2", SECOND), -1);
	assert_int_equal(join(line, 3, "2001:db8:0:1::1", SECOND), -1);
	assert_int_equal(join(line, 4, "10.0.0.1", SECOND), -1);
	assert_int_equal(join(line, 5, "::ffff:10.0.0.1", SECOND), -1);
	assert_int_equal(join(line, 6, "::ffff:10.0.0.2", SECOND), -1);
	static const int order[] = {1, 3, 4, 6, 2, 5, -1};
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		assert_int_equal(serve(line, SECOND), order[i]);
	}
	line_free(line);
}

static void test_a_full_line_takes_from_who_has_most(void **state)
{
	(void)state;
	struct line *line = line_of(0, 0, 6);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(join(line, i, "10.0.0.1", SECOND), -1);
	}
	assert_int_equal(join(line, 10, "10.0.0.2", SECOND), -1);
	assert_int_equal(join(line, 11, "10.0.0.2", SECOND), -1);
	assert_int_equal(join(line, 20, "10.0.0.3", SECOND), 0);
	assert_int_equal(join(line, 4, "10.0.0.1", SECOND), 1);
	assert_int_equal(line_length(line), 6);
	static const int order[] = {2, 10, 20, 3, 11, 4, -1};
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		assert_int_equal(serve(line, SECOND), order[i]);
	}
	line_free(line);
}

static void test_one_place_is_enough_for_a_line(void **state)
{
	(void)state;
	struct line *line = line_of(0, 0, 1);
	assert_int_equal(join(line, 1, "10.0.0.1", SECOND), -1);
	assert_int_equal(join(line, 2, "10.0.0.2", SECOND), 1);
	assert_int_equal(join(line, 3, "10.0.0.2", SECOND), 2);
	assert_int_equal(serve(line, SECOND), 3);
	line_free(line);
}

static void test_who_waits_too_long_is_sent_away_and_who_has_left_costs_no_turn(void **state)
{
	(void)state;
	struct line *line = line_of(1, 1, 10);
	assert_int_equal(join(line, 1, "10.0.0.1", SECOND), -1);
	assert_int_equal(join(line, 2, "10.0.0.2", 2 * SECOND), -1);
	assert_int_equal(join(line, 3, "10.0.0.1", 3 * SECOND), -1);
	assert_int_equal(join(line, 4, "10.0.0.3", 4 * SECOND), -1);
	assert_int_equal(line_late(line, 11 * SECOND - 1), -1);
	assert_int_equal(line_late_in(line, 10 * SECOND), SECOND);
	assert_int_equal(line_late(line, 12 * SECOND), 1);
	assert_int_equal(line_late(line, 12 * SECOND), 2);
	assert_int_equal(line_late(line, 12 * SECOND), -1);
	assert_int_equal(line_first(line, 12 * SECOND), 3);
	line_skip(line);
	assert_int_equal(serve(line, 12 * SECOND), 4);
	assert_int_equal(line_length(line), 0);
	line_free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_turns_keep_their_pace),
	    cmocka_unit_test(test_no_rate_is_no_bound_and_an_empty_line_waits_for_nothing),
	    cmocka_unit_test(test_addresses_take_turns),
	    cmocka_unit_test(test_a_network_of_ipv6_is_one_address_and_ipv4_in_it_is_ipv4),
	    cmocka_unit_test(test_a_full_line_takes_from_who_has_most),
	    cmocka_unit_test(test_one_place_is_enough_for_a_line),
	    cmocka_unit_test(test_who_waits_too_long_is_sent_away_and_who_has_left_costs_no_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

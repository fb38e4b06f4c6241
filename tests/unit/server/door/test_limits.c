/* How often strangers may knock: by peer, and all together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "server/door/limits.h"

static struct limits *limits_of(uint64_t peer, uint64_t burst, uint64_t overall)
{
	struct limits *limits = NULL;
	assert_int_equal(limits_new((struct limit_rate){peer, burst},
				    (struct limit_rate){overall, overall}, &limits, NULL),
			 SL_OK);
	return limits;
}

static unsigned passed(struct limits *limits, const char *peer, unsigned tries, uint64_t now_us)
{
	unsigned count = 0;
	uint64_t wait_ms = 0;
	for (unsigned i = 0; i < tries; i++) {
		count += limits_take(limits, peer, now_us, &wait_ms);
	}
	return count;
}

static void test_a_peer_has_its_burst_and_then_its_rate(void **state)
{
	(void)state;
	struct limits *limits = limits_of(10, 5, 0);
	uint64_t now = 1000000, wait_ms = 0;
	assert_int_equal(passed(limits, "ipv4:10.0.0.1:1", 100, now), 5);
	assert_false(limits_take(limits, "ipv4:10.0.0.1:2", now, &wait_ms));
	assert_in_range(wait_ms, 1, 101);
	assert_int_equal(passed(limits, "ipv4:10.0.0.1:3", 100, now + 100000), 1);
	assert_int_equal(passed(limits, "ipv4:10.0.0.1:3", 100, now + 10000000), 5);
	limits_free(limits);
}

static void test_one_peer_does_not_take_from_another(void **state)
{
	(void)state;
	struct limits *limits = limits_of(10, 5, 20);
	assert_int_equal(passed(limits, "ipv4:10.0.0.1:1", 1000, 1000000), 5);
	assert_int_equal(passed(limits, "ipv4:10.0.0.2:1", 1000, 1000000), 5);
	assert_int_equal(passed(limits, "ipv6:%5B2001:db8::1%5D:1", 1000, 1000000), 5);
	/* The same network, and brackets written out. */
	assert_int_equal(passed(limits, "ipv6:[2001:db8::2]:9", 1000, 1000000), 0);
	assert_int_equal(passed(limits, "ipv6:[2001:db8:0:1::2]:9", 1000, 1000000), 5);
	/* Together they have had all. */
	assert_int_equal(passed(limits, "ipv4:10.0.0.3:1", 1000, 1000000), 0);
	limits_free(limits);
}

static void test_many_peers_fill_the_table_and_meet_the_bound_over_all(void **state)
{
	(void)state;
	struct limits *limits = limits_of(1, 1, 1000);
	unsigned count = 0;
	for (unsigned i = 0; i < 20000; i++) {
		char peer[40];
		(void)snprintf(peer, sizeof(peer), "ipv4:10.%u.%u.%u:7", i >> 16, i >> 8 & 255,
			       i & 255);
		count += passed(limits, peer, 1, 1000000);
	}
	assert_int_equal(count, 1000);
	limits_free(limits);
}

static void test_no_rate_is_no_bound_and_nonsense_shares_one(void **state)
{
	(void)state;
	struct limits *limits = limits_of(0, 0, 0);
	assert_int_equal(passed(limits, "ipv4:10.0.0.1:1", 1000, 1), 1000);
	limits_free(limits);
	limits = limits_of(1, 2, 0);
	assert_int_equal(passed(limits, "", 10, 1000000) + passed(limits, "unix:", 10, 1000000), 2);
	assert_int_equal(passed(limits, "ipv6:[[[[%5%5%", 10, 1000000), 0);
	limits_free(limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_peer_has_its_burst_and_then_its_rate),
	    cmocka_unit_test(test_one_peer_does_not_take_from_another),
	    cmocka_unit_test(test_many_peers_fill_the_table_and_meet_the_bound_over_all),
	    cmocka_unit_test(test_no_rate_is_no_bound_and_nonsense_shares_one),
	};
	if (!sl_crypto_init()) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

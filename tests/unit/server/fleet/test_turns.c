/* Turns to fetch from a Git host. */
#include <stdio.h>

#include "tests/unit/server/fleet/agents.h"

enum { AGENTS = 5, MOST = 2 };

struct turns {
	struct agents *a;
	struct rpc_stream *streams[AGENTS];
};

static int setup(void **state)
{
	void *agents = NULL;
	struct turns *t = calloc(1, sizeof(*t));
	assert_int_equal(agents_setup(&agents), 0);
	t->a = agents;
	t->a->fleet->options.fetches_per_host = MOST;
	for (unsigned i = 0; i < AGENTS; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "dev-%u", i);
		(void)agents_register(t->a, name, "development", NULL);
		(void)agents_follow(t->a);
		t->streams[i] = agents_stream(t->a);
		agents_hello_of(t->streams[i], name);
		assert_true(agents_take(t->a, t->streams[i])->pace->fetch_turns);
	}
	(void)agents_follow(t->a);
	for (unsigned i = 0; i < AGENTS; i++) {
		(void)agents_manifest(t->a, t->streams[i], NULL);
	}
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct turns *t = *state;
	void *agents = t->a;
	for (unsigned i = 0; i < AGENTS; i++) {
		if (t->streams[i] != NULL) {
			agents_close(t->streams[i]);
		}
	}
	free(t);
	return agents_teardown(&agents);
}

static void wish(const struct turns *t, unsigned agent, const char *host)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__FetchWish message = SLUICE__V1__FETCH_WISH__INIT;
	message.host = (char *)host;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_FETCH_WISH;
	request.fetch_wish = &message;
	agents_send(t->streams[agent], &request);
}

/* Takes what is there: is it the turn? */
static bool has_turn(struct turns *t, unsigned agent, const char *host)
{
	if (agents_silent(t->streams[agent])) {
		return false;
	}
	const Sluice__V1__SyncResponse *message = agents_take(t->a, t->streams[agent]);
	assert_int_equal(message->message_case, SLUICE__V1__SYNC_RESPONSE__MESSAGE_FETCH_TURN);
	assert_string_equal(message->fetch_turn->host, host);
	return true;
}

static void expect_stats(struct turns *t, uint32_t fetching, uint32_t waiting)
{
	struct fleet_stats stats;
	fleet_stats_read(t->a->fleet, &stats);
	assert_int_equal(stats.fetching, fetching);
	assert_int_equal(stats.fetch_waiting, waiting);
}

static void test_so_many_at_once_in_order(void **state)
{
	struct turns *t = *state;
	for (unsigned i = 0; i < AGENTS; i++) {
		wish(t, i, "git.example");
		wish(t, i, "git.example"); /* said twice, it counts once */
		assert_int_equal(has_turn(t, i, "git.example"), i < MOST);
	}
	expect_stats(t, MOST, AGENTS - MOST);
	wish(t, 1, "");
	assert_true(has_turn(t, 2, "git.example"));
	wish(t, 3, ""); /* waits no longer */
	wish(t, 0, "");
	assert_true(has_turn(t, 4, "git.example"));
	expect_stats(t, 2, 0);
	wish(t, 2, "");
	wish(t, 4, "");
	wish(t, 4, "");
	expect_stats(t, 0, 0);
	assert_true(TAILQ_EMPTY(&t->a->fleet->hosts));
}

static void test_hosts_do_not_wait_for_each_other(void **state)
{
	struct turns *t = *state;
	for (unsigned i = 0; i < MOST + 1; i++) {
		wish(t, i, "slow.example");
	}
	wish(t, 4, "git.example");
	assert_true(has_turn(t, 4, "git.example"));
	assert_false(has_turn(t, 2, "slow.example"));
	wish(t, 2, "git.example"); /* another one instead */
	assert_true(has_turn(t, 2, "git.example"));
	expect_stats(t, MOST + 2, 0);
}

static void test_the_end_of_a_stream_ends_the_turn(void **state)
{
	struct turns *t = *state;
	for (unsigned i = 0; i < AGENTS; i++) {
		wish(t, i, "git.example");
	}
	agents_close(t->streams[0]);
	agents_close(t->streams[3]); /* one that waits */
	t->streams[0] = t->streams[3] = NULL;
	assert_true(has_turn(t, 2, "git.example"));
	expect_stats(t, MOST, 1);
}

static void test_a_full_outbox_holds_up_nobody(void **state)
{
	struct turns *t = *state;
	t->streams[0]->full = true;
	wish(t, 0, "git.example");
	expect_stats(t, 0, 1);
	for (unsigned i = 1; i < 1 + MOST; i++) {
		wish(t, i, "git.example");
	}
	expect_stats(t, MOST, 1);
	wish(t, 1, "");
	expect_stats(t, MOST - 1, 1);
	t->streams[0]->full = false;
	fleet_tick(t->a->fleet);
	assert_true(has_turn(t, 0, "git.example"));
	expect_stats(t, MOST, 0);
}

static void test_a_turn_that_nobody_ends_is_over(void **state)
{
	struct turns *t = *state;
	for (unsigned i = 0; i < MOST + 1; i++) {
		wish(t, i, "git.example");
	}
	assert_false(has_turn(t, MOST, "git.example"));
	agents_mono_ms += 16 * 60 * 1000;
	fleet_tick(t->a->fleet);
	assert_true(has_turn(t, MOST, "git.example"));
}

static void test_names_that_are_no_hosts(void **state)
{
	struct turns *t = *state;
	char name[300];
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	wish(t, 0, name);
	expect_stats(t, 0, 0);
	wish(t, 0, "git.example");
	wish(t, 0, name); /* is not taken for the end of it */
	expect_stats(t, 1, 0);
}

static void test_without_a_bound_nobody_waits(void **state)
{
	struct turns *t = *state;
	t->a->fleet->options.fetches_per_host = 0;
	for (unsigned i = 0; i < AGENTS; i++) {
		wish(t, i, "git.example"); /* told by an earlier Pace */
		assert_true(has_turn(t, i, "git.example"));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_so_many_at_once_in_order),
	    TEST(test_hosts_do_not_wait_for_each_other),
	    TEST(test_the_end_of_a_stream_ends_the_turn),
	    TEST(test_a_full_outbox_holds_up_nobody),
	    TEST(test_a_turn_that_nobody_ends_is_over),
	    TEST(test_names_that_are_no_hosts),
	    TEST(test_without_a_bound_nobody_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

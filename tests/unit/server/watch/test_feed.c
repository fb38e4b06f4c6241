/* Log records as messages: what passes a filter, and what one message holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/watch/feed.h"

static const struct feed_look sees_all = {.look = NULL};

enum { EVENTS = 4 };

struct fixture {
	struct feed_batch batch;
	Sluice__Store__V1__LogRecord record;
	Sluice__V1__Event event[EVENTS], *events[EVENTS];
};

/* One event about app a1 in environment 2 on i1, one about app a2, one about instance i2, one about
 * nothing of these. */
static int setup(void **state)
{
	static const struct {
		Sluice__V1__EventKind kind;
		const char *app, *instance;
		uint32_t environment;
	} rows[EVENTS] = {{10, "a1", "i1", 2}, {4, "a2", "", 1}, {9, "", "i2", 3}, {2, "", "", 0}};
	struct fixture *f = calloc(1, sizeof(*f));
	feed_batch_init(&f->batch);
	sluice__store__v1__log_record__init(&f->record);
	for (size_t i = 0; i < EVENTS; i++) {
		sluice__v1__event__init(&f->event[i]);
		f->event[i].kind = rows[i].kind;
		f->event[i].app_id = (char *)rows[i].app;
		f->event[i].instance_id = (char *)rows[i].instance;
		f->event[i].environment = rows[i].environment;
		f->events[i] = &f->event[i];
	}
	f->record.revision = 7;
	f->record.at_ms = 1500;
	f->record.workspace = 1;
	f->record.n_events = EVENTS;
	f->record.events = f->events;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	feed_batch_fini(&f->batch);
	free(f);
	return 0;
}

static void test_feed_filters_say_what_passes(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct watch_filter filter;
		unsigned passes; /* bit per event */
	} cases[] = {
	    {{.workspace = 1}, 0xf},
	    {{.workspace = 2}, 0},
	    {{.workspace = 1, .kinds = 1u << 4 | 1u << 2}, 0xa},
	    {{.workspace = 1, .kinds = 1u << 1}, 0},
	    {{.workspace = 1, .environment = 2}, 0x9}, /* and what is of none */
	    {{.workspace = 1, .environment = 3}, 0xc},
	    {{.workspace = 1, .app_id = "a1"}, 0x1},
	    {{.workspace = 1, .instance_id = "i2"}, 0x4},
	    {{.workspace = 1, .app_id = "a1", .instance_id = "i2"}, 0},
	    {{.workspace = 1, .environment = 2, .kinds = 1u << 10, .app_id = "a1"}, 0x1},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		feed_batch_add(&f->batch, &cases[i].filter, &sees_all, &f->record);
		assert_int_equal(feed_batch_is_empty(&f->batch), cases[i].passes == 0);
		size_t at = 0;
		for (size_t j = 0; j < EVENTS; j++) {
			if ((cases[i].passes & 1u << j) != 0) {
				assert_ptr_equal(f->batch.response.changes[0]->events[at++],
						 f->events[j]);
			}
		}
		if (at > 0) {
			assert_int_equal(f->batch.response.changes[0]->n_events, at);
			assert_int_equal(f->batch.response.changes[0]->revision, 7);
			assert_int_equal(f->batch.response.changes[0]->at->seconds, 1);
			assert_int_equal(f->batch.response.changes[0]->at->nanos, 500000000);
		}
		feed_batch_fini(&f->batch);
	}
}

static void test_feed_filters_are_equal_in_every_part(void **state)
{
	(void)state;
	static const struct watch_filter filters[] = {
	    {.workspace = 1},
	    {.workspace = 2},
	    {.workspace = 1, .kinds = 2},
	    {.workspace = 1, .environment = 1},
	    {.workspace = 1, .app_id = "a"},
	    {.workspace = 1, .instance_id = "a"},
	};
	for (size_t i = 0; i < SL_COUNT(filters); i++) {
		for (size_t j = 0; j < SL_COUNT(filters); j++) {
			assert_int_equal(watch_filter_equal(&filters[i], &filters[j]), i == j);
		}
	}
}

static void test_feed_record_without_events_is_nothing(void **state)
{
	struct fixture *f = *state;
	const struct watch_filter filter = {.workspace = 1};
	f->record.n_events = 0;
	feed_batch_add(&f->batch, &filter, &sees_all, &f->record);
	assert_true(feed_batch_is_empty(&f->batch));
	struct rpc_message *mark = feed_batch_pack(&f->batch, 9);
	assert_non_null(mark);
	rpc_message_unref(mark);
}

static void test_feed_batch_is_full_by_bytes_and_used_again(void **state)
{
	struct fixture *f = *state;
	const struct watch_filter filter = {.workspace = 1};
	static char reason[1001];
	memset(reason, 'x', 1000);
	reason[1000] = '\0';
	f->record.reason = reason;
	for (unsigned round = 0; round < 2; round++) {
		size_t added = 0;
		while (!feed_batch_is_full(&f->batch)) {
			feed_batch_add(&f->batch, &filter, &sees_all, &f->record);
			added++;
		}
		assert_in_range(added, 40, 50);
		assert_int_equal(f->batch.response.n_changes, added);
		struct rpc_message *message = feed_batch_pack(&f->batch, 100);
		assert_non_null(message);
		rpc_message_unref(message);
		assert_true(feed_batch_is_empty(&f->batch));
	}
}

/* Out of memory is not "nothing passed": the message fails, and its readers are told. */
static void test_feed_without_memory_is_not_empty(void **state)
{
	struct fixture *f = *state;
	const struct watch_filter filter = {.workspace = 1};
	f->batch.arena.failed = true;
	feed_batch_add(&f->batch, &filter, &sees_all, &f->record);
	assert_false(feed_batch_is_empty(&f->batch));
	assert_null(feed_batch_pack(&f->batch, 7));
	assert_true(feed_batch_is_empty(&f->batch)); /* as new */
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(test_feed_filters_say_what_passes),
	    WITH(test_feed_filters_are_equal_in_every_part),
	    WITH(test_feed_record_without_events_is_nothing),
	    WITH(test_feed_batch_is_full_by_bytes_and_used_again),
	    WITH(test_feed_without_memory_is_not_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tests of data sources that agents are at. They wait in memory only: who asked is answered,
 * whatever happens to the agent, and never under the lock. */
#include <stdlib.h>
#include <string.h>

#include "base/id/id.h"
#include "base/log/log.h"
#include "server/fleet/fleet_internal.h"

enum { AT_ONCE_MAX = 4, STEPS = 3, ON_THE_WAY_MS = 2000 };

struct fleet_source_waiting {
	STAILQ_ENTRY(fleet_source_waiting) link;
	struct sl_id id;
	const struct fleet_session *session; /* only compared */
	uint64_t deadline_mono_ms;
	void (*done)(void *ctx, enum fleet_tested how, const Sluice__V1__SourceTest *test);
	void *ctx;
};

/* --- ending --- */

void fleet_source_tests_finish(struct fleet_source_tests *over, enum fleet_tested how,
			       const Sluice__V1__SourceTest *test)
{
	while (!STAILQ_EMPTY(over)) {
		struct fleet_source_waiting *waiting = STAILQ_FIRST(over);
		STAILQ_REMOVE_HEAD(over, link);
		waiting->done(waiting->ctx, how, test);
		free(waiting);
	}
}

/* Moves those that it says so of. */
static void take(struct fleet *fleet,
		 bool (*is_over)(const struct fleet_source_waiting *waiting, const void *ctx),
		 const void *ctx, struct fleet_source_tests *ret_over)
{
	struct fleet_source_tests left = STAILQ_HEAD_INITIALIZER(left);
	STAILQ_INIT(ret_over);
	while (!STAILQ_EMPTY(&fleet->source_tests)) {
		struct fleet_source_waiting *waiting = STAILQ_FIRST(&fleet->source_tests);
		STAILQ_REMOVE_HEAD(&fleet->source_tests, link);
		if (is_over(waiting, ctx)) {
			STAILQ_INSERT_TAIL(ret_over, waiting, link);
		} else {
			STAILQ_INSERT_TAIL(&left, waiting, link);
		}
	}
	STAILQ_CONCAT(&fleet->source_tests, &left);
}

static bool is_any(const struct fleet_source_waiting *waiting, const void *ctx)
{
	(void)waiting, (void)ctx;
	return true;
}

static bool is_of(const struct fleet_source_waiting *waiting, const void *session)
{
	return waiting->session == session;
}

static bool is_late(const struct fleet_source_waiting *waiting, const void *now_mono_ms)
{
	return waiting->deadline_mono_ms <= *(const uint64_t *)now_mono_ms;
}

void fleet_source_tests_take(struct fleet *fleet, const struct fleet_session *session,
			     struct fleet_source_tests *ret_over)
{
	take(fleet, is_of, session, ret_over);
}

void fleet_source_tests_stop(struct fleet *fleet)
{
	struct fleet_source_tests over;
	pthread_mutex_lock(&fleet->lock);
	take(fleet, is_any, NULL, &over);
	pthread_mutex_unlock(&fleet->lock);
	fleet_source_tests_finish(&over, FLEET_TEST_STOPPING, NULL);
}

void fleet_source_tests_tick(struct fleet *fleet)
{
	struct fleet_source_tests over;
	uint64_t now = fleet_mono_ms(fleet);
	pthread_mutex_lock(&fleet->lock);
	take(fleet, is_late, &now, &over);
	pthread_mutex_unlock(&fleet->lock);
	fleet_source_tests_finish(&over, FLEET_TEST_LATE, NULL);
}

/* --- answers --- */

/* Of this session: no agent answers for another. */
struct answer {
	const struct fleet_session *session;
	const char *id;
};

static bool is_answered(const struct fleet_source_waiting *waiting, const void *ctx)
{
	const struct answer *answer = ctx;
	return waiting->session == answer->session && strcmp(waiting->id.text, answer->id) == 0;
}

void fleet_source_tested(struct fleet *fleet, const struct fleet_session *session,
			 const Sluice__V1__AgentSourceTested *message)
{
	struct fleet_source_tests over;
	const struct answer answer = {.session = session, .id = message->id};
	pthread_mutex_lock(&fleet->lock);
	take(fleet, is_answered, &answer, &over);
	pthread_mutex_unlock(&fleet->lock);
	fleet_source_tests_finish(&over, message->test != NULL ? FLEET_TESTED : FLEET_TEST_LOST,
				  message->test);
}

/* --- beginning --- */

static bool send_test(const struct fleet_source_waiting *waiting, struct fleet_session *session,
		      const struct fleet_source_test *test)
{
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	Sluice__V1__AgentSourceTest message = SLUICE__V1__AGENT_SOURCE_TEST__INIT;
	message.id = (char *)waiting->id.text;
	message.box.data = (uint8_t *)(uintptr_t)test->box.data;
	message.box.len = test->box.size;
	message.step_ms = test->timeout_ms / STEPS;
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_SOURCE_TEST;
	response.source_test = &message;
	return fleet_session_send(session, &response, 0) == SL_OK;
}

static unsigned count_of(const struct fleet *fleet, const struct fleet_session *session)
{
	unsigned count = 0;
	const struct fleet_source_waiting *waiting = NULL;
	STAILQ_FOREACH(waiting, &fleet->source_tests, link)
	{
		count += waiting->session == session;
	}
	return count;
}

/* Under the lock. FLEET_TESTED: it is under way. */
static enum fleet_tested begin(struct fleet *fleet, const struct fleet_source_test *test)
{
	struct fleet_unit *unit = fleet_unit_find(fleet, test->instance_id);
	if (fleet->stopped) {
		return FLEET_TEST_STOPPING;
	}
	if (unit == NULL || !fleet_unit_is_connected(fleet, unit)) {
		return FLEET_TEST_OFFLINE;
	}
	struct fleet_source_waiting *waiting =
	    count_of(fleet, unit->session) < AT_ONCE_MAX ? calloc(1, sizeof(*waiting)) : NULL;
	if (waiting == NULL) {
		return FLEET_TEST_TOO_MANY;
	}
	waiting->id = sl_id_new("tst");
	waiting->session = unit->session;
	waiting->deadline_mono_ms = fleet_mono_ms(fleet) + test->timeout_ms + ON_THE_WAY_MS;
	waiting->done = test->done;
	waiting->ctx = test->ctx;
	if (!send_test(waiting, unit->session, test)) {
		free(waiting);
		return FLEET_TEST_TOO_MANY;
	}
	STAILQ_INSERT_TAIL(&fleet->source_tests, waiting, link);
	log_info("source-test", "instance=%s test=%s", unit->record->name, waiting->id.text);
	return FLEET_TESTED;
}

void fleet_test_source(struct fleet *fleet, const struct fleet_source_test *test)
{
	pthread_mutex_lock(&fleet->lock);
	enum fleet_tested how = begin(fleet, test);
	pthread_mutex_unlock(&fleet->lock);
	if (how != FLEET_TESTED) {
		test->done(test->ctx, how, NULL);
	}
}

/* Orders to look whether a data source is reached from here. Each is answered on the stream that it
 * came on, or not at all: who asked waits no longer than that stream. */
#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/crypto/secret.h"
#include "base/log/log.h"
#include "base/mem/own.h"

enum { STEP_MIN_MS = 100, STEP_MAX_MS = 60000 };

static void forget(struct source_look *look)
{
	reach_free(look->reach);
	*look = (struct source_look){.reach = NULL};
}

void source_tests_drop(struct loop *loop)
{
	for (size_t i = 0; i < SL_COUNT(loop->source_looks); i++) {
		forget(&loop->source_looks[i]);
	}
}

/* --- orders --- */

/* The target goes to the child as it is: nothing of it is read here. */
static sl_code start(const struct loop *loop, const Sluice__V1__AgentSourceTest *order,
		     struct reach **ret_reach, struct sl_err *err)
{
	struct sl_bytes box = SL_BYTES(order->box.data, order->box.len);
	if (loop->identity == NULL) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the agent has no key: it did not enrol");
	}
	if (box.size <= SL_BOX_EXTRA_BYTES || box.size > SL_BOX_EXTRA_BYTES + REACH_TARGET_MAX) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "the order is malformed");
	}
	size_t size = box.size - SL_BOX_EXTRA_BYTES;
	SL_AUTO(sl_secret_text_auto) char *target = sl_secret_new(size);
	if (target == NULL) {
		return sl_err_no_memory(err);
	}
	if (!sl_box_open(loop->identity->box_secret, box, (uint8_t *)target)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the order is not sealed to this agent");
	}
	uint32_t step_ms = order->step_ms < STEP_MIN_MS   ? STEP_MIN_MS
			   : order->step_ms > STEP_MAX_MS ? STEP_MAX_MS
							  : order->step_ms;
	return reach_start(SL_BYTES(target, size), step_ms, ret_reach, err);
}

void source_tests_order(struct loop *loop, const Sluice__V1__AgentSourceTest *order)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct source_look *look = NULL;
	for (size_t i = 0; i < SL_COUNT(loop->source_looks); i++) {
		look = loop->source_looks[i].id[0] == '\0' ? &loop->source_looks[i] : look;
	}
	if (look == NULL || order->id[0] == '\0' ||
	    !state_text(look->id, sizeof(look->id), order->id)) {
		log_warn("source-test-refused", "test=%.40s", order->id);
		return;
	}
	if (start(loop, order, &look->reach, &err) != SL_OK) {
		sluice__v1__source_test__init(&look->failed);
		look->failed.failure =
		    SLUICE__V1__SOURCE_TEST_FAILURE__SOURCE_TEST_FAILURE_AGENT_FAILED;
		state_error_text(look->why, err.msg);
		look->failed.text = look->why;
		look->found = &look->failed;
	}
	log_info("source-test", "test=%s", look->id);
	loop_wake_at(loop, 1);
}

/* --- answers --- */

/* False: the session takes no more now. */
static bool answer(const struct loop *loop, struct source_look *look)
{
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentSourceTested tested = SLUICE__V1__AGENT_SOURCE_TESTED__INIT;
	tested.id = look->id;
	tested.test = (Sluice__V1__SourceTest *)(uintptr_t)look->found;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_SOURCE_TESTED;
	request.source_tested = &tested;
	return loop->session != NULL && session_send(loop->session, &request);
}

void source_tests_step(struct loop *loop)
{
	for (size_t i = 0; i < SL_COUNT(loop->source_looks); i++) {
		struct source_look *look = &loop->source_looks[i];
		if (look->reach != NULL && look->found == NULL) {
			look->found = reach_step(look->reach);
			loop_wake_at(loop, reach_deadline_mono_ms(look->reach));
		}
		if (look->found == NULL || !answer(loop, look)) {
			continue;
		}
		log_info("source-tested", "test=%s reached=%d failure=%d", look->id,
			 (int)look->found->reached, (int)look->found->failure);
		forget(look);
	}
}

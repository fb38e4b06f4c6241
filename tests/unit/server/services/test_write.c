/* The way of every write: request ids, validate_only, expected revisions, what is refused. */
#include "tests/unit/server/services/rig.h"

#include <stdio.h>
#include <string.h>

#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/workspace.pb-c.h"

struct fixture {
	struct rig rig;
	struct rig_slot slot;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	rig_start(&f->rig);
	rig_slot_init(&f->slot);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	rig_slot_fini(&f->slot);
	rig_end(&f->rig);
	free(f);
	return 0;
}

/* --- calls ---------------------------------------------------------------------------- */

static sl_code create_in(struct rig *rig, struct rig_slot *slot, const char *name,
			 const Sluice__V1__WriteOptions *options)
{
	Sluice__V1__CreateWorkspaceRequest request = SLUICE__V1__CREATE_WORKSPACE_REQUEST__INIT;
	request.name = (char *)name;
	request.write = (Sluice__V1__WriteOptions *)options;
	return rig_call(rig, slot, &request.base);
}

static Sluice__V1__WriteOptions with_id(const char *id)
{
	Sluice__V1__WriteOptions options = SLUICE__V1__WRITE_OPTIONS__INIT;
	options.request_id = (char *)id;
	return options;
}

static sl_code create(struct fixture *f, const char *name, const char *id)
{
	Sluice__V1__WriteOptions options = with_id(id);
	return create_in(&f->rig, &f->slot, name, &options);
}

static sl_code delete_as(struct fixture *f, const char *name,
			 const Sluice__V1__WriteOptions *options)
{
	Sluice__V1__DeleteWorkspaceRequest request = SLUICE__V1__DELETE_WORKSPACE_REQUEST__INIT;
	request.workspace = (char *)name;
	request.write = (Sluice__V1__WriteOptions *)options;
	return rig_call(&f->rig, &f->slot, &request.base);
}

static sl_code delete (struct fixture *f, const char *name, const char *id)
{
	Sluice__V1__WriteOptions options = with_id(id);
	return delete_as(f, name, &options);
}

static bool exists(struct fixture *f, const char *name)
{
	struct rig_slot slot;
	rig_slot_init(&slot);
	Sluice__V1__GetWorkspaceRequest request = SLUICE__V1__GET_WORKSPACE_REQUEST__INIT;
	request.workspace = (char *)name;
	sl_code code = rig_call(&f->rig, &slot, &request.base);
	assert_true(code == SL_OK || code == SL_NOT_FOUND);
	rig_slot_fini(&slot);
	return code == SL_OK;
}

static const Sluice__V1__WriteResult *result_of(const struct rig_slot *slot)
{
	assert_int_equal(slot->code, SL_OK);
	const Sluice__V1__CreateWorkspaceResponse *response = slot->response;
	assert_non_null(response->result);
	return response->result;
}

static void refused(const struct fixture *f, sl_code code, enum sl_reason reason)
{
	if (f->slot.code != code || f->slot.err.reason != reason) {
		fail_msg("%s / %s, not %s / %s: %s", sl_code_name(f->slot.code),
			 sl_reason_name(f->slot.err.reason), sl_code_name(code),
			 sl_reason_name(reason), f->slot.err.msg);
	}
}

/* --- request ids ------------------------------------------------------------------------ */

static void test_write_same_id_gets_the_same_reply(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create(f, "a", "one"), SL_OK);
	uint64_t revision = result_of(&f->slot)->revision;
	assert_int_equal(revision, rig_revision(&f->rig));
	assert_false(result_of(&f->slot)->replayed);
	assert_int_equal(create(f, "b", ""), SL_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(create(f, "a", "one"), SL_OK);
		assert_true(result_of(&f->slot)->replayed);
		assert_int_equal(result_of(&f->slot)->revision, revision);
		Sluice__V1__CreateWorkspaceResponse *response = f->slot.response;
		assert_string_equal(response->workspace->name, "a");
		assert_int_equal(response->workspace->revision, revision);
	}
	assert_int_equal(rig_revision(&f->rig), revision + 1);
}

static void test_write_replies_outlive_the_server_and_what_they_made(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create(f, "a", "one"), SL_OK);
	uint64_t revision = result_of(&f->slot)->revision;
	assert_int_equal(delete (f, "a", "two"), SL_OK);
	rig_stop(&f->rig);
	rig_resume(&f->rig);
	assert_int_equal(create(f, "a", "one"), SL_OK);
	assert_true(result_of(&f->slot)->replayed);
	assert_int_equal(result_of(&f->slot)->revision, revision);
	assert_int_equal(delete (f, "a", "two"), SL_OK);
	assert_false(exists(f, "a"));
}

static void test_write_replies_are_given_while_the_disk_is_low(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create(f, "a", "one"), SL_OK);
	uint64_t revision = result_of(&f->slot)->revision;
	rig_stop(&f->rig);
	f->rig.reserve_bytes = UINT64_MAX;
	rig_resume(&f->rig);
	assert_int_equal(create(f, "b", "two"), SL_RESOURCE_EXHAUSTED);
	assert_int_equal(f->slot.err.reason, SL_REASON_DISK_LOW);
	assert_int_equal(create(f, "a", "one"), SL_OK);
	assert_true(result_of(&f->slot)->replayed);
	assert_int_equal(result_of(&f->slot)->revision, revision);
	assert_int_equal(create(f, "b", "one"), SL_ALREADY_EXISTS);
	assert_int_equal(f->slot.err.reason, SL_REASON_REQUEST_ID_REUSED);
	assert_int_equal(rig_revision(&f->rig), revision);
}

static void test_write_pruning_spares_kept_replies_also_at_start(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create(f, "a", "one"), SL_OK);
	for (int round = 0; round < 3; round++) {
		rig_raise_floor(&f->rig, rig_revision(&f->rig));
		rig_stop(&f->rig);
		rig_resume(&f->rig); /* what may go is pruned first of all */
		assert_int_equal(create(f, "a", "one"), SL_OK);
		assert_true(result_of(&f->slot)->replayed);
	}
}

static void test_write_id_is_of_one_method_and_payload(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create(f, "a", "one"), SL_OK);
	assert_int_equal(create(f, "b", "one"), SL_ALREADY_EXISTS);
	refused(f, SL_ALREADY_EXISTS, SL_REASON_REQUEST_ID_REUSED);
	assert_false(exists(f, "b"));
	assert_int_equal(delete (f, "a", "one"), SL_OK); /* another method: another id */
	assert_false(exists(f, "a"));
}

static void test_write_refusals_are_not_kept(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(delete (f, "a", "one"), SL_NOT_FOUND);
	refused(f, SL_NOT_FOUND, SL_REASON_WORKSPACE_NOT_FOUND);
	assert_int_equal(create(f, "a", ""), SL_OK);
	assert_int_equal(create(f, "a", "two"), SL_ALREADY_EXISTS);
	refused(f, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN);
	assert_int_equal(delete (f, "a", "one"), SL_OK);
	assert_int_equal(create(f, "a", "two"), SL_OK);
	assert_false(result_of(&f->slot)->replayed);
}

struct caller {
	struct fixture *f;
	const char *name, *id;
	struct rig_slot slot;
	pthread_t thread;
};

static void *caller_main(void *arg)
{
	struct caller *c = arg;
	Sluice__V1__WriteOptions options = with_id(c->id);
	(void)create_in(&c->f->rig, &c->slot, c->name, &options);
	return NULL;
}

static void call(struct caller *c, struct fixture *f, const char *name, const char *id)
{
	*c = (struct caller){.f = f, .name = name, .id = id};
	rig_slot_init(&c->slot);
	assert_int_equal(pthread_create(&c->thread, NULL, caller_main, c), 0);
}

static void test_write_two_of_one_id_in_a_batch(void **state)
{
	struct fixture *f = *state;
	enum { CALLERS = 4 };
	struct caller callers[CALLERS];
	struct rig_hold hold;
	unsigned replayed = 0;
	uint64_t before = rig_revision(&f->rig);
	rig_hold(&f->rig, &hold);
	for (unsigned i = 0; i < CALLERS; i++) {
		call(&callers[i], f, i == CALLERS - 1 ? "b" : "a", "one");
		rig_await_queued(&f->rig, i + 1);
	}
	rig_release(&hold);
	for (unsigned i = 0; i < CALLERS; i++) {
		(void)pthread_join(callers[i].thread, NULL);
		if (i == CALLERS - 1) {
			assert_int_equal(callers[i].slot.err.reason, SL_REASON_REQUEST_ID_REUSED);
		} else {
			replayed += result_of(&callers[i].slot)->replayed;
			assert_int_equal(result_of(&callers[i].slot)->revision, before + 1);
		}
		rig_slot_fini(&callers[i].slot);
	}
	assert_int_equal(replayed, CALLERS - 2);
	assert_int_equal(rig_revision(&f->rig), before + 1);
}

/* A value that no map of the test has room for. */
static sl_code huge_decide(struct rig_command *c, struct decision *d, struct sl_err *err)
{
	(void)c, (void)err;
	enum { HUGE = 80 << 20 };
	struct record_key key = KEY(1, key_text(k, "huge"));
	void *bytes = sl_arena_alloc(d->arena, HUGE);
	decision_put_bytes(d, TABLE_NOTES, &key, SL_BYTES(bytes, HUGE));
	return SL_OK;
}

static void test_write_decided_twice_takes_effect_once(void **state)
{
	struct fixture *f = *state;
	struct rig_hold hold;
	struct caller caller;
	struct rig_command huge = {.decide = huge_decide};
	uint64_t before = rig_revision(&f->rig);
	rig_hold(&f->rig, &hold);
	call(&caller, f, "a", "one");
	rig_await_queued(&f->rig, 1);
	rig_command_submit(&f->rig, &huge);
	rig_release(&hold);
	assert_int_not_equal(rig_command_wait(&huge), SL_OK);
	assert_true(huge.decided >= 2); /* so the call before it was decided again too */
	(void)pthread_join(caller.thread, NULL);
	assert_int_equal(result_of(&caller.slot)->revision, before + 1);
	assert_false(result_of(&caller.slot)->replayed);
	rig_slot_fini(&caller.slot);
	assert_int_equal(create(f, "a", "one"), SL_OK);
	assert_true(result_of(&f->slot)->replayed);
	assert_int_equal(rig_revision(&f->rig), before + 1);
}

/* Makes something of its own first, and takes the workspace's name when it is asked again. */
static sl_code rival_decide(struct rig_command *c, struct decision *d, struct sl_err *err)
{
	(void)err;
	struct record_key key = KEY(1, key_text(k, "rival"));
	struct record_key taken = {.size = 0};
	key_text(&taken, "a");
	if (c->decided == 1) {
		decision_delete(d, TABLE_NOTES, &key);
	} else {
		decision_put_bytes(d, TABLE_WORKSPACES, &taken, SL_BYTES("x", 1));
	}
	return SL_OK;
}

static sl_code unrival_decide(struct rig_command *c, struct decision *d, struct sl_err *err)
{
	(void)c, (void)err;
	struct record_key taken = {.size = 0};
	key_text(&taken, "a");
	decision_delete(d, TABLE_WORKSPACES, &taken);
	return SL_OK;
}

static void test_write_id_of_what_was_never_committed_is_free(void **state)
{
	struct fixture *f = *state;
	struct rig_hold hold;
	struct caller caller;
	struct rig_command rival = {.decide = rival_decide}, huge = {.decide = huge_decide};
	rig_hold(&f->rig, &hold);
	rig_command_submit(&f->rig, &rival);
	call(&caller, f, "a", "one");
	rig_await_queued(&f->rig, 2);
	rig_command_submit(&f->rig, &huge);
	rig_release(&hold);
	assert_int_equal(rig_command_wait(&rival), SL_OK);
	assert_int_not_equal(rig_command_wait(&huge), SL_OK);
	assert_int_equal(rival.decided, 2);
	(void)pthread_join(caller.thread, NULL);
	assert_int_equal(caller.slot.code, SL_ALREADY_EXISTS);
	rig_slot_fini(&caller.slot);

	struct rig_command unrival = {.decide = unrival_decide};
	assert_int_equal(rig_command_run(&f->rig, &unrival),
			 SL_OK); /* has the revision meant for it */
	assert_int_equal(create(f, "a", "one"), SL_OK);
	assert_false(result_of(&f->slot)->replayed);
	assert_int_equal(create(f, "a", "one"), SL_OK);
	assert_true(result_of(&f->slot)->replayed);
}

static sl_code register_labels(struct fixture *f, const char *first, const char *second,
			       const char *value)
{
	Sluice__V1__RegisterInstanceRequest request = SLUICE__V1__REGISTER_INSTANCE_REQUEST__INIT;
	Sluice__V1__RegisterInstanceRequest__LabelsEntry entries[2] = {
	    SLUICE__V1__REGISTER_INSTANCE_REQUEST__LABELS_ENTRY__INIT,
	    SLUICE__V1__REGISTER_INSTANCE_REQUEST__LABELS_ENTRY__INIT};
	Sluice__V1__RegisterInstanceRequest__LabelsEntry *labels[] = {&entries[0], &entries[1]};
	Sluice__V1__WriteOptions options = with_id("reg");
	entries[0].key = (char *)first;
	entries[1].key = (char *)second;
	entries[0].value = entries[1].value = (char *)value;
	request.write = &options;
	request.name = (char *)"one";
	request.environment = (char *)"staging";
	request.n_labels = 2;
	request.labels = labels;
	return rig_call(&f->rig, &f->slot, &request.base);
}

static void test_write_order_of_map_entries_does_not_count(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(register_labels(f, "tier", "zone", "1"), SL_OK);
	uint64_t revision = rig_revision(&f->rig);
	assert_int_equal(register_labels(f, "zone", "tier", "1"), SL_OK);
	assert_true(((Sluice__V1__RegisterInstanceResponse *)f->slot.response)->result->replayed);
	assert_int_equal(register_labels(f, "zone", "tier", "2"), SL_ALREADY_EXISTS);
	refused(f, SL_ALREADY_EXISTS, SL_REASON_REQUEST_ID_REUSED);
	assert_int_equal(rig_revision(&f->rig), revision);
}

/* --- options -------------------------------------------------------------------------- */

static void test_write_validate_only_writes_nothing_and_is_not_kept(void **state)
{
	struct fixture *f = *state;
	uint64_t before = rig_revision(&f->rig);
	Sluice__V1__WriteOptions options = with_id("one");
	options.validate_only = true;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(create_in(&f->rig, &f->slot, "a", &options), SL_OK);
		assert_int_equal(result_of(&f->slot)->revision, 0);
		assert_false(result_of(&f->slot)->replayed);
		assert_false(exists(f, "a"));
	}
	assert_int_equal(rig_revision(&f->rig), before);
	assert_int_equal(requests_stats(f->rig.services.requests).kept, 0);
	assert_int_equal(create(f, "a", "one"), SL_OK);
	assert_false(result_of(&f->slot)->replayed);
	assert_int_equal(create_in(&f->rig, &f->slot, "a", &options), SL_ALREADY_EXISTS);
	refused(f, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN);
}

static void test_write_expected_revision_is_compared(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(create(f, "a", ""), SL_OK);
	uint64_t revision = result_of(&f->slot)->revision;
	char text[24];
	(void)snprintf(text, sizeof(text), "%lu", (unsigned long)revision);
	Sluice__V1__WriteOptions options = SLUICE__V1__WRITE_OPTIONS__INIT;
	options.expected_revision = revision + 1;
	assert_int_equal(delete_as(f, "a", &options), SL_ABORTED);
	refused(f, SL_ABORTED, SL_REASON_STALE_REVISION);
	assert_string_equal(rig_meta(&f->slot, "current_revision"), text);
	assert_int_equal(create_in(&f->rig, &f->slot, "b", &options), SL_INVALID_ARGUMENT);
	refused(f, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	options.expected_revision = revision;
	assert_int_equal(delete_as(f, "a", &options), SL_OK);
}

static void test_write_options_are_checked(void **state)
{
	struct fixture *f = *state;
	char longest[66];
	memset(longest, 'x', 65);
	longest[65] = '\0';
	const char *const bad[] = {longest, "a b", "\t", "a\x7f", "\xc3\xbc"};
	uint64_t before = rig_revision(&f->rig);
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		assert_int_equal(create(f, "a", bad[i]), SL_INVALID_ARGUMENT);
		refused(f, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	}
	Sluice__V1__WriteOptions options = SLUICE__V1__WRITE_OPTIONS__INIT;
	options.reason = (char *)"bell\a";
	assert_int_equal(create_in(&f->rig, &f->slot, "a", &options), SL_INVALID_ARGUMENT);
	assert_int_equal(create(f, "Not A Name", "one"), SL_INVALID_ARGUMENT);
	refused(f, SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID);
	assert_int_equal(rig_call_bytes(&f->rig, &f->slot, "CreateWorkspace", SL_BYTES("\xff", 1)),
			 SL_INVALID_ARGUMENT);
	refused(f, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	assert_int_equal(rig_revision(&f->rig), before);
	longest[64] = '\0';
	assert_int_equal(create(f, "a", longest), SL_OK);
	assert_int_equal(create_in(&f->rig, &f->slot, "b", NULL), SL_OK); /* no options at all */
}

/* --- limits --------------------------------------------------------------------------- */

static void test_write_that_unpacks_to_too_much_is_refused(void **state)
{
	struct fixture *f = *state;
	enum { ENTRIES = 2000000 };
	uint64_t before = rig_revision(&f->rig);
	SL_AUTO(sl_free_auto) uint8_t *bytes = malloc(2 * ENTRIES);
	for (size_t i = 0; i < ENTRIES; i++) {
		bytes[2 * i] = 0x2a; /* labels: an empty entry */
		bytes[2 * i + 1] = 0;
	}
	assert_int_equal(
	    rig_call_bytes(&f->rig, &f->slot, "RegisterInstance", SL_BYTES(bytes, 2 * ENTRIES)),
	    SL_RESOURCE_EXHAUSTED);
	refused(f, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY);
	assert_int_equal(rig_revision(&f->rig), before);
	assert_int_equal(create(f, "a", ""), SL_OK);
}

static void test_write_full_queue_refuses_and_forgets(void **state)
{
	(void)state;
	struct fixture f = {.rig = {.queue_max = 2}};
	struct rig_hold hold;
	struct caller waiting[2];
	rig_start(&f.rig);
	rig_slot_init(&f.slot);
	rig_hold(&f.rig, &hold);
	call(&waiting[0], &f, "a", "one");
	call(&waiting[1], &f, "b", "two");
	rig_await_queued(&f.rig, 2);
	assert_int_equal(create(&f, "c", "three"), SL_RESOURCE_EXHAUSTED);
	refused(&f, SL_RESOURCE_EXHAUSTED, SL_REASON_QUEUE_FULL);
	rig_release(&hold);
	for (size_t i = 0; i < 2; i++) {
		(void)pthread_join(waiting[i].thread, NULL);
		assert_int_equal(waiting[i].slot.code, SL_OK);
		rig_slot_fini(&waiting[i].slot);
	}
	assert_int_equal(create(&f, "c", "three"), SL_OK);
	assert_false(result_of(&f.slot)->replayed);
	rig_slot_fini(&f.slot);
	rig_end(&f.rig);
}

static void test_write_queued_at_the_stop_is_answered(void **state)
{
	struct fixture *f = *state;
	struct rig_hold hold;
	struct caller caller;
	rig_hold(&f->rig, &hold);
	call(&caller, f, "a", "one");
	rig_await_queued(&f->rig, 1);
	rpc_server_stop(f->rig.rpc);
	rig_release(&hold);
	(void)pthread_join(caller.thread, NULL);
	assert_int_equal(caller.slot.code, SL_OK);
	rig_slot_fini(&caller.slot);
	rig_stop(&f->rig);
	rig_resume(&f->rig);
	assert_true(exists(f, "a"));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(test_write_same_id_gets_the_same_reply),
	    WITH(test_write_replies_outlive_the_server_and_what_they_made),
	    WITH(test_write_replies_are_given_while_the_disk_is_low),
	    WITH(test_write_pruning_spares_kept_replies_also_at_start),
	    WITH(test_write_id_is_of_one_method_and_payload),
	    WITH(test_write_refusals_are_not_kept),
	    WITH(test_write_two_of_one_id_in_a_batch),
	    WITH(test_write_decided_twice_takes_effect_once),
	    WITH(test_write_id_of_what_was_never_committed_is_free),
	    WITH(test_write_order_of_map_entries_does_not_count),
	    WITH(test_write_validate_only_writes_nothing_and_is_not_kept),
	    WITH(test_write_expected_revision_is_compared),
	    WITH(test_write_options_are_checked),
	    WITH(test_write_that_unpacks_to_too_much_is_refused),
	    cmocka_unit_test(test_write_full_queue_refuses_and_forgets),
	    WITH(test_write_queued_at_the_stop_is_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

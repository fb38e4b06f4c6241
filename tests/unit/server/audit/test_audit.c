/* What is recorded of many attempts, and when. */
#include "server/audit/audit.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "tests/lib/tmpdir.h"

enum { WINDOW_MS = 4000, FIRST_MS = 20, QUEUE_MAX = 100 };

struct fixture {
	char *path;
	struct store_options options;
	struct store *store;
	struct audit *audit;
	struct sl_arena arena;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->path = tmpdir_new();
	sl_arena_init(&f->arena, 0);
	f->options = (struct store_options){.path = f->path,
					    .map_bytes = 64 << 20,
					    .queue_max = QUEUE_MAX,
					    .tables = record_table_names,
					    .table_count = TABLE_COUNT};
	assert_int_equal(store_open(&f->options, &f->store, NULL), SL_OK);
	const struct audit_options options = {
	    .store = f->store, .window_ms = WINDOW_MS, .first_ms = FIRST_MS};
	assert_int_equal(audit_new(&options, &f->audit, NULL), SL_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	store_free(f->store);
	audit_free(f->audit);
	sl_arena_fini(&f->arena);
	tmpdir_free(f->path);
	free(f);
	return 0;
}

static struct audit_attempt attempt(const char *principal, enum sl_reason reason)
{
	return (struct audit_attempt){.workspace = 1,
				      .workspace_name = "default",
				      .principal = principal,
				      .method = "Promote",
				      .reason = reason,
				      .text = "not you",
				      .denied = true,
				      .now_ms = 1000};
}

static void deny(struct fixture *f, const char *principal, uint64_t now_ms)
{
	struct audit_attempt a = attempt(principal, SL_REASON_NOT_ELIGIBLE);
	a.now_ms = now_ms;
	audit_denied(f->audit, &a);
}

/* All records, oldest first, in the fixture's arena. */
static size_t entries(struct fixture *f, Sluice__V1__AuditEntry **found, size_t max)
{
	const struct store_view *view = NULL;
	struct store_audit_walk walk;
	size_t count = 0;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	store_audit_begin(&walk, view, 0, STORE_FORWARD);
	for (; store_audit_next(&walk); count++) {
		if (count < max) {
			assert_int_equal(audit_entry(&f->arena, &walk.record, &found[count], NULL),
					 SL_OK);
		}
	}
	store_audit_end(&walk);
	store_view_end(view);
	return count;
}

/* Ticks until there are so many records, or some while has passed. */
static void tick_until(struct fixture *f, size_t wanted)
{
	for (int i = 0; i < 12000 && entries(f, NULL, 0) < wanted; i++) {
		audit_tick(f->audit);
		(void)usleep(5000);
	}
	assert_int_equal(entries(f, NULL, 0), wanted);
}

static void test_audit_denied_attempts_become_one_record_with_a_count(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__AuditEntry *found[4];
	for (uint64_t i = 0; i < 5; i++) {
		deny(f, "ann", 1000 + i);
	}
	deny(f, "bob", 2000);
	tick_until(f, 2);
	assert_int_equal(entries(f, found, 4), 2);
	assert_string_equal(found[0]->principal, "ann");
	assert_string_equal(found[0]->method, "Promote");
	assert_string_equal(found[0]->workspace_name, "default");
	assert_string_equal(found[0]->refusal->reason, "NOT_ELIGIBLE");
	assert_string_equal(found[0]->refusal->text, "not you");
	assert_true(found[0]->refusal->denied);
	assert_int_equal(found[0]->refusal->count, 5);
	assert_int_equal(found[0]->refusal->first_ms, 1000);
	assert_int_equal(found[0]->at_ms, 1004);
	assert_int_equal(found[1]->refusal->count, 1);
}

/* After the first record a whole window passes before the next. */
static void test_audit_a_flood_is_one_record_a_window(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__AuditEntry *found[4];
	deny(f, "ann", 1);
	tick_until(f, 1);
	for (int i = 0; i < 10000; i++) {
		deny(f, "ann", 2);
		audit_tick(f->audit);
	}
	tick_until(f, 2);
	assert_int_equal(entries(f, found, 4), 2);
	assert_int_equal(found[1]->refusal->count, 10000);
}

static void test_audit_first_refusal_is_recorded_by_its_own_command(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__AuditEntry *found[4];
	struct audit_attempt a = attempt("ann", SL_REASON_GATE_BLOCKED);
	assert_true(audit_refused(f->audit, &a));
	assert_false(audit_refused(f->audit, &a));
	assert_false(audit_refused(f->audit, &a));
	struct audit_attempt other = attempt("ann", SL_REASON_STALE_PLAN);
	assert_true(audit_refused(f->audit, &other)); /* another reason is another kind */
	tick_until(f, 1);
	assert_int_equal(entries(f, found, 4), 1);
	assert_int_equal(found[0]->refusal->count, 2);
	/* Quiet for a window: forgotten, and the next is a first one. */
	for (int i = 0; i < 12000 && !audit_refused(f->audit, &other); i++) {
		(void)usleep(5000);
		other.now_ms++;
	}
	assert_true(audit_refused(NULL, &other));
}

static void test_audit_beyond_what_is_told_apart_counts_as_one(void **state)
{
	struct fixture *f = *state;
	static Sluice__V1__AuditEntry *found[AUDIT_ALIKE_MAX + 2];
	for (unsigned i = 0; i < AUDIT_ALIKE_MAX + 100; i++) {
		char name[24];
		(void)snprintf(name, sizeof(name), "p%u", i);
		deny(f, name, i + 1);
	}
	struct audit_attempt a = attempt("late", SL_REASON_GATE_BLOCKED);
	assert_false(audit_refused(f->audit, &a));
	audit_flush(f->audit);
	tick_until(f, AUDIT_ALIKE_MAX + 1);
	assert_int_equal(entries(f, found, SL_COUNT(found)), AUDIT_ALIKE_MAX + 1);
	assert_string_equal(found[AUDIT_ALIKE_MAX]->principal, "others");
	assert_int_equal(found[AUDIT_ALIKE_MAX]->refusal->count, 101);
}

static void test_audit_flush_records_what_is_not_due(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__AuditEntry *found[2];
	struct audit_attempt a = attempt("ann", SL_REASON_GATE_BLOCKED);
	assert_true(audit_refused(f->audit, &a));
	assert_false(audit_refused(f->audit, &a));
	audit_flush(f->audit);
	store_free(f->store);
	assert_int_equal(store_open(&f->options, &f->store, NULL), SL_OK);
	assert_int_equal(entries(f, found, 2), 1);
	assert_int_equal(found[0]->refusal->count, 1);
}

/* Holds the writer. */
struct blocker {
	struct store_cmd cmd;
	sem_t entered, go;
};

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0) {
	}
}

static sl_code nothing(struct store_cmd *cmd, const struct store_view *view,
		       struct store_changes *changes, struct sl_err *err)
{
	(void)cmd, (void)view, (void)changes, (void)err;
	return SL_OK;
}

static sl_code block(struct store_cmd *cmd, const struct store_view *view,
		     struct store_changes *changes, struct sl_err *err)
{
	struct blocker *blocker = SL_CONTAINER_OF(cmd, struct blocker, cmd);
	sem_post(&blocker->entered);
	wait_for(&blocker->go);
	return nothing(cmd, view, changes, err);
}

static void ignore(struct store_cmd *cmd)
{
	(void)cmd;
}

/* The queue is full: nothing is lost, it is counted on and recorded later. */
static void test_audit_what_the_store_refuses_is_counted_on(void **state)
{
	struct fixture *f = *state;
	Sluice__V1__AuditEntry *found[2];
	struct blocker blocker = {.cmd = {.decide = block, .done = ignore, .err = SL_ERR_INIT}};
	struct store_cmd waiting[QUEUE_MAX];
	sem_init(&blocker.entered, 0, 0);
	sem_init(&blocker.go, 0, 0);
	assert_int_equal(store_submit(f->store, &blocker.cmd, NULL), SL_OK);
	wait_for(&blocker.entered);
	for (size_t i = 0; i < QUEUE_MAX; i++) { /* the queue is full */
		waiting[i] = (struct store_cmd){.decide = nothing, .done = ignore};
		assert_int_equal(store_submit(f->store, &waiting[i], NULL), SL_OK);
	}
	deny(f, "ann", 1);
	for (int i = 0; i < 10; i++) {
		audit_flush(f->audit);
		deny(f, "ann", 2);
	}
	sem_post(&blocker.go);
	assert_int_equal(entries(f, found, 2), 0);
	tick_until(f, 1);
	assert_int_equal(entries(f, found, 2), 1);
	assert_int_equal(found[0]->refusal->count, 11);
	assert_int_equal(found[0]->refusal->first_ms, 1);
}

int main(void)
{
	if (!sl_crypto_init()) {
		return 1;
	}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_audit_denied_attempts_become_one_record_with_a_count),
	    TEST(test_audit_a_flood_is_one_record_a_window),
	    TEST(test_audit_first_refusal_is_recorded_by_its_own_command),
	    TEST(test_audit_beyond_what_is_told_apart_counts_as_one),
	    TEST(test_audit_flush_records_what_is_not_due),
	    TEST(test_audit_what_the_store_refuses_is_counted_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

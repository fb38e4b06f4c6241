/* The audit sequence: one chain over changes and refusals, in order of commit, that outlives the
 * log. What a changed file does to it is tests/e2e's. */
#include "tests/unit/server/store/fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"

/* History keeps every third. */
static enum store_prune on_prune(void *ctx, uint64_t revision, struct sl_bytes record)
{
	(void)ctx;
	/* Without the seal. */
	assert_true(sl_bytes_equal(record, sl_bytes_text("k")) ||
		    sl_bytes_equal(record, sl_bytes_text("record")));
	return revision % 3 == 0 ? STORE_PRUNE_KEEP : STORE_PRUNE_DROP;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	fixture_init(f);
	f->options.prune = on_prune;
	fixture_open(f);
	*state = f;
	return 0;
}

static void change(struct fixture *f)
{
	assert_true(put(f, "k", NULL) > 0);
}

static void refuse(struct fixture *f)
{
	struct write w = {.refusal = "no", .refuse = SL_ABORTED};
	assert_int_equal(write_run(f, &w), SL_ABORTED);
	write_clear(&w);
}

/* A change, a refusal, and so on: sequence 1 to 2n, revisions 1 to n. */
static void fill(struct fixture *f, size_t pairs)
{
	for (size_t i = 0; i < pairs; i++) {
		change(f);
		refuse(f);
	}
}

static const struct store_view *view_of(struct fixture *f)
{
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	return view;
}

static void on_fault(void *ctx, uint64_t sequence, const char *what)
{
	(void)ctx;
	print_error("audit %lu %s\n", (unsigned long)sequence, what);
}

/* The whole, some at a time; returns how many were looked at. */
static uint64_t check(struct fixture *f, size_t step)
{
	const struct store_view *view = view_of(f);
	struct store_audit_check audit = {.at = store_view_audit_anchor(view),
					  .on_fault = on_fault};
	while (!audit.finished) {
		assert_int_equal(store_audit_check(&audit, view, step, NULL), SL_OK);
	}
	struct store_audit_point head = store_view_audit_head(view);
	assert_int_equal(audit.faults, 0);
	assert_int_equal(audit.at.sequence, head.sequence);
	assert_memory_equal(audit.at.hash, head.hash, STORE_HASH_BYTES);
	store_view_end(view);
	return audit.checked;
}

/* Numbers from `first` on, changes as they are, refusals negative. */
static void expect_walk(struct fixture *f, uint64_t first, enum store_direction direction,
			const long *wanted, size_t count)
{
	const struct store_view *view = view_of(f);
	struct store_audit_walk walk;
	store_audit_begin(&walk, view, first, direction);
	for (size_t i = 0; i < count; i++) {
		assert_true(store_audit_next(&walk));
		long number = (long)walk.record.sequence;
		assert_int_equal(walk.record.change ? number : -number, wanted[i]);
		assert_true(sl_bytes_equal(walk.record.body,
					   sl_bytes_text(walk.record.change ? "k" : "no")));
	}
	assert_false(store_audit_next(&walk));
	assert_int_equal(store_audit_result(&walk, NULL), SL_OK);
	store_audit_end(&walk);
	store_view_end(view);
}

static void wait_log(struct fixture *f, uint64_t records)
{
	for (int i = 0; i < 60000 && stats(f).log_records != records; i++) {
		(void)usleep(1000);
	}
	assert_int_equal(stats(f).log_records, records);
}

static void test_audit_numbers_changes_and_refusals_in_order_of_commit(void **state)
{
	struct fixture *f = *state;
	fill(f, 3);
	expect_walk(f, 0, STORE_FORWARD, (long[]){1, -2, 3, -4, 5, -6}, 6);
	expect_walk(f, 4, STORE_FORWARD, (long[]){-4, 5, -6}, 3);
	expect_walk(f, 7, STORE_FORWARD, NULL, 0);
	expect_walk(f, UINT64_MAX, STORE_BACKWARD, (long[]){-6, 5, -4, 3, -2, 1}, 6);
	expect_walk(f, 3, STORE_BACKWARD, (long[]){3, -2, 1}, 3);
	assert_int_equal(check(f, 1), 6);
	assert_int_equal(check(f, SIZE_MAX), 6);
}

static void test_audit_of_one_batch_is_one_chain(void **state)
{
	struct fixture *f = *state;
	struct write writes[] = {
	    {.put = "k"},
	    {.refusal = "no", .refuse = SL_ABORTED},
	    {.put = "lost", .refuse = SL_ABORTED},
	    {.put = "k", .refusal = "no"}, /* both: the refusal comes first */
	    {.nothing = true},
	};
	write_batch(f, writes, SL_COUNT(writes));
	write_clear_all(writes, SL_COUNT(writes));
	expect_walk(f, 0, STORE_FORWARD, (long[]){1, -2, -3, 4}, 4);
	assert_int_equal(check(f, 3), 4);
}

static void test_audit_is_what_its_formula_says(void **state)
{
	struct fixture *f = *state;
	change(f);
	refuse(f);
	uint8_t text[SL_HASH_BYTES + 12 + 1 + SL_HASH_BYTES] = {0}, hash[SL_HASH_BYTES];
	text[SL_HASH_BYTES + 7] = 1;  /* sequence */
	text[SL_HASH_BYTES + 11] = 1; /* size of "k" */
	text[SL_HASH_BYTES + 12] = 'k';
	sl_hash(text + SL_HASH_BYTES + 13, "", 0, NULL, 0); /* no bulk */
	sl_hash(hash, text, sizeof(text), NULL, 0);
	uint8_t second[SL_HASH_BYTES + 12 + 2];
	memcpy(second, hash, sizeof(hash));
	memcpy(second + SL_HASH_BYTES, "\0\0\0\0\0\0\0\2\0\0\0\2no", 14);
	const struct store_view *view = view_of(f);
	struct store_audit_point head = store_view_audit_head(view);
	sl_hash(hash, second, sizeof(second), NULL, 0);
	assert_int_equal(head.sequence, 2);
	assert_memory_equal(head.hash, hash, sizeof(hash));
	store_view_end(view);
}

static uint64_t raise_floor(struct fixture *f, uint64_t floor)
{
	struct write w = {.floor = floor, .cmd.shrinks = true, .put = "k"};
	assert_int_equal(write_run(f, &w), SL_OK);
	return w.cmd.revision;
}

static void test_audit_outlives_the_log_and_a_restart(void **state)
{
	struct fixture *f = *state;
	fill(f, 300);
	assert_int_equal(raise_floor(f, 300), 301);
	wait_log(f, 101); /* every third, and the last */
	assert_int_equal(check(f, 7), 601);
	fixture_reopen(f);
	fill(f, 2);
	assert_int_equal(check(f, 100), 605);
	expect_walk(f, 598, STORE_FORWARD, (long[]){-598, 599, -600, 601, 602, -603, 604, -605}, 8);
	expect_walk(f, 6, STORE_BACKWARD, (long[]){-6, 5, -4, 3, -2, 1}, 6);
}

/* Cuts at a record. */
struct cut {
	struct store_cmd cmd;
	uint64_t sequence;
	sem_t finished;
};

static sl_code cut_decide(struct store_cmd *cmd, const struct store_view *view,
			  struct store_changes *changes, struct sl_err *err)
{
	const struct cut *cut = SL_CONTAINER_OF(cmd, struct cut, cmd);
	struct store_audit_walk walk;
	(void)err;
	store_audit_begin(&walk, view, cut->sequence, STORE_FORWARD);
	assert_true(store_audit_next(&walk));
	assert_int_equal(walk.record.sequence, cut->sequence);
	store_changes_cut_audit(changes, cut->sequence, walk.record.hash);
	store_audit_end(&walk);
	store_changes_log(changes, sl_bytes_text("k"));
	return SL_OK;
}

static void cut_done(struct store_cmd *cmd)
{
	sem_post(&SL_CONTAINER_OF(cmd, struct cut, cmd)->finished);
}

static void cut_at(struct fixture *f, uint64_t sequence)
{
	struct cut cut = {.sequence = sequence,
			  .cmd = {.decide = cut_decide, .done = cut_done, .err = SL_ERR_INIT}};
	sem_init(&cut.finished, 0, 0);
	assert_int_equal(store_submit(f->store, &cut.cmd, NULL), SL_OK);
	while (sem_wait(&cut.finished) != 0) {
	}
	assert_int_equal(cut.cmd.code, SL_OK);
	sem_destroy(&cut.finished);
}

static void test_audit_cut_keeps_the_anchor_and_what_the_log_needs(void **state)
{
	struct fixture *f = *state;
	fill(f, 300);
	(void)raise_floor(f, 200); /* sequence 601, revision 301 */
	wait_log(f, 301 - 200 + 66);
	cut_at(f, 500); /* revision 302: itself 602 */
	assert_int_equal(check(f, 9), 102);
	assert_int_equal(stats(f).audit_anchor, 500);
	assert_int_equal(count_log(f), 302 - 200 + 66); /* watchers lose nothing */
	fixture_reopen(f);
	assert_int_equal(stats(f).audit_anchor, 500);
	assert_int_equal(check(f, 1000), 102);
	/* What was cut is not moved when the log goes; what was not, is. */
	(void)raise_floor(f, 302);
	wait_log(f, 1 + 100);
	assert_int_equal(check(f, 10), 103);
}

static void test_audit_cut_of_all_starts_from_the_head(void **state)
{
	struct fixture *f = *state;
	fill(f, 2);
	cut_at(f, 4);
	assert_int_equal(check(f, 10), 1);
	cut_at(f, 5);
	cut_at(f, 6);
	assert_int_equal(check(f, 10), 1);
	fixture_reopen(f);
	refuse(f);
	expect_walk(f, 0, STORE_FORWARD, (long[]){7, -8}, 2);
	expect_walk(f, UINT64_MAX, STORE_BACKWARD, (long[]){-8, 7}, 2);
	assert_int_equal(check(f, 10), 2);
}

/* Each number is in one place, and what is wrong is named. */
static void test_audit_check_names_what_does_not_fit(void **state)
{
	struct fixture *f = *state;
	fill(f, 3);
	const struct store_view *view = view_of(f);
	struct store_audit_check audit = {.at = store_view_audit_anchor(view)};
	audit.at.hash[0] ^= 1; /* another past */
	assert_int_equal(store_audit_check(&audit, view, 100, NULL), SL_OK);
	assert_true(audit.finished);
	assert_int_equal(audit.faults, 1);
	assert_int_equal(audit.checked, 6);
	store_view_end(view);
}

int main(void)
{
	if (!sl_crypto_init()) {
		return 1;
	}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_audit_numbers_changes_and_refusals_in_order_of_commit),
	    TEST(test_audit_of_one_batch_is_one_chain),
	    TEST(test_audit_is_what_its_formula_says),
	    TEST(test_audit_outlives_the_log_and_a_restart),
	    TEST(test_audit_cut_keeps_the_anchor_and_what_the_log_needs),
	    TEST(test_audit_cut_of_all_starts_from_the_head),
	    TEST(test_audit_check_names_what_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

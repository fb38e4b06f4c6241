/* Every gate in each of its states, and what the plan hash is made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/rules/gates.h"

enum { DEV = 1, STAGING = 2, PRODUCTION = 3 };

static const uint8_t digest_a[SL_HASH_BYTES] = {1}, digest_b[SL_HASH_BYTES] = {2};

static struct gates_environment environment(uint32_t rank)
{
	static const char *const names[] = {"", "development", "staging", "production", ""};
	return (struct gates_environment){.rank = rank <= PRODUCTION ? rank : 0,
					  .name = names[rank]};
}

/* A version for which everything lets through; cases then spoil one thing. */
static struct gates_input input_of(enum gates_action action, uint32_t source, uint32_t target)
{
	return (struct gates_input){
	    .action = action,
	    .version_id = "ver_1",
	    .version = "v2",
	    .source = environment(source),
	    .next = environment(source + 1),
	    .target = environment(target),
	    .block_reason = "",
	    .blocked_by = "",
	    .content = GATES_READY,
	    .content_reason = "",
	    .content_text = "",
	    .commit = "c0ffee",
	    .digest = SL_BYTES(digest_a, sizeof(digest_a)),
	    .publication = GATES_PUBLISHED,
	    .tag = "refs/tags/sluice/shop/v2-0123456789ab",
	    .published_commit = "beef",
	    .publish_text = "",
	    .base = "v1",
	    .base_digest = SL_BYTES(digest_b, sizeof(digest_b)),
	    .instances = 2,
	    .staged = 2,
	    .released_before = true,
	};
}

static const struct gate *find(const struct gates *gates, enum gate_kind kind)
{
	for (size_t i = 0; i < gates->count; i++) {
		if (gates->items[i].kind == kind) {
			return &gates->items[i];
		}
	}
	return NULL;
}

/* --- each gate -------------------------------------------------------------------- */

typedef void spoil_fn(struct gates_input *in);

static void nothing(struct gates_input *in)
{
	(void)in;
}
static void block(struct gates_input *in)
{
	in->blocked = true;
	in->block_reason = "loses orders";
	in->blocked_by = "ann";
}
static void recall(struct gates_input *in)
{
	block(in);
	in->recalled = true;
	in->block_reason = "";
}
static void resolving(struct gates_input *in)
{
	in->content = GATES_RESOLVING;
	in->digest = SL_BYTES_NONE;
}
static void failed(struct gates_input *in)
{
	resolving(in);
	in->content = GATES_FAILED;
	in->content_reason = "BRANCH_NOT_FOUND";
	in->content_text = "no branch main";
}
static void unreachable(struct gates_input *in)
{
	failed(in);
	in->content_reason = "REPOSITORY_UNREACHABLE";
	in->content_retries = true;
	in->content_next_ms = 777;
}
static void draft(struct gates_input *in)
{
	in->publication = GATES_NOT_OWED;
	in->tag = "";
}
static void owed(struct gates_input *in)
{
	in->publication = GATES_OWED;
}
static void owed_retried(struct gates_input *in)
{
	owed(in);
	in->publish_attempts = 3;
	in->publish_text = "connection refused";
	in->publish_next_ms = 888;
}
static void parked(struct gates_input *in)
{
	owed_retried(in);
	in->publication = GATES_PARKED;
	in->publish_text = "pre-receive hook declined";
}
static void all_there(struct gates_input *in)
{
	in->required = 3;
}

static void lacks_one(struct gates_input *in)
{
	static const char *const lacking[] = {"secret KEY"};
	in->required = 3;
	in->lacking = lacking;
	in->lacking_count = in->lacking_total = 1;
}

static void lacks_one_strictly(struct gates_input *in)
{
	lacks_one(in);
	in->contract_blocks = true;
}

static void lacks_many(struct gates_input *in)
{
	static const char *const lacking[] = {"constant URL", "data source main (postgres)"};
	in->required = 9;
	in->lacking = lacking;
	in->lacking_count = 2;
	in->lacking_total = 5;
}

static void same_digest(struct gates_input *in)
{
	in->base_digest = in->digest;
}
static void no_base(struct gates_input *in)
{
	in->base = NULL;
	in->base_digest = SL_BYTES_NONE;
}
static void base_not_ready(struct gates_input *in)
{
	in->base_digest = SL_BYTES_NONE;
}
static void none_staged(struct gates_input *in)
{
	in->staged = 0;
}
static void some_staged(struct gates_input *in)
{
	in->staged = 1;
}
static void no_instance(struct gates_input *in)
{
	in->instances = in->staged = 0;
}
static void never_released(struct gates_input *in)
{
	in->released_before = false;
}
static void permitted(struct gates_input *in)
{
	in->verb = "promote";
	in->principal = "ann";
	in->app = "shop";
	in->permitted = true;
}
static void not_permitted(struct gates_input *in)
{
	permitted(in);
	in->permitted = false;
}
static void others_may(struct gates_input *in)
{
	static const char *const names[] = {"bob", "carol"};
	not_permitted(in);
	in->holders = names;
	in->holder_count = in->holder_total = 2;
}
static void many_may(struct gates_input *in)
{
	others_may(in);
	in->holder_total = 17;
}

static const struct gate_case {
	enum gates_action action;
	uint32_t source, target;
	spoil_fn *spoil;
	enum gate_kind kind;
	enum gate_state state;
	const char *says;       /* a part of the reason */
	const char *cleared_by; /* a part of it; NULL: must be empty */
	uint64_t clears_at_ms;
} cases[] = {
    /* permission: every act */
    {GATES_PROMOTE, DEV, STAGING, permitted, GATE_PERMISSION, GATE_PASS,
     "'ann' has the right to promote app shop in staging", NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, not_permitted, GATE_PERMISSION, GATE_BLOCK,
     "'ann' lacks the right to promote app shop in staging", "nobody has that right", 0},
    {GATES_PROMOTE, DEV, STAGING, others_may, GATE_PERMISSION, GATE_BLOCK, "lacks",
     "2 who may: bob, carol", 0},
    {GATES_RELEASE, PRODUCTION, PRODUCTION, many_may, GATE_PERMISSION, GATE_BLOCK, "in production",
     "17 who may: bob, carol, ...", 0},
    {GATES_ROLLBACK, PRODUCTION, PRODUCTION, others_may, GATE_PERMISSION, GATE_BLOCK, "lacks",
     "bob", 0},
    /* order: every pair */
    {GATES_PROMOTE, DEV, STAGING, nothing, GATE_ORDER, GATE_PASS, "staging", NULL, 0},
    {GATES_PROMOTE, STAGING, PRODUCTION, nothing, GATE_ORDER, GATE_PASS, "production", NULL, 0},
    {GATES_PROMOTE, DEV, PRODUCTION, nothing, GATE_ORDER, GATE_BLOCK,
     "to staging, not to production", "staging first", 0},
    {GATES_PROMOTE, DEV, DEV, nothing, GATE_ORDER, GATE_BLOCK, "already", "nobody", 0},
    {GATES_PROMOTE, STAGING, STAGING, nothing, GATE_ORDER, GATE_BLOCK, "already", "nobody", 0},
    {GATES_PROMOTE, STAGING, DEV, nothing, GATE_ORDER, GATE_BLOCK, "no way back", "nobody", 0},
    {GATES_PROMOTE, PRODUCTION, STAGING, nothing, GATE_ORDER, GATE_BLOCK, "no way back", "nobody",
     0},
    /* not blocked: every act */
    {GATES_PROMOTE, DEV, STAGING, nothing, GATE_NOT_BLOCKED, GATE_PASS, "nothing blocks", NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, block, GATE_NOT_BLOCKED, GATE_BLOCK,
     "blocked by ann: loses orders", "UnblockVersion", 0},
    {GATES_PROMOTE, DEV, STAGING, recall, GATE_NOT_BLOCKED, GATE_BLOCK, "recalled by ann",
     "UnblockVersion", 0},
    {GATES_RELEASE, PRODUCTION, PRODUCTION, nothing, GATE_NOT_BLOCKED, GATE_PASS, "", NULL, 0},
    {GATES_RELEASE, PRODUCTION, PRODUCTION, block, GATE_NOT_BLOCKED, GATE_BLOCK, "blocked",
     "UnblockVersion", 0},
    {GATES_ROLLBACK, PRODUCTION, PRODUCTION, nothing, GATE_NOT_BLOCKED, GATE_PASS, "", NULL, 0},
    {GATES_ROLLBACK, PRODUCTION, PRODUCTION, recall, GATE_NOT_BLOCKED, GATE_BLOCK, "recalled",
     "UnblockVersion", 0},
    /* content, to the second environment: READY; the tag does not matter yet */
    {GATES_PROMOTE, DEV, STAGING, nothing, GATE_CONTENT, GATE_PASS, "READY", NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, draft, GATE_CONTENT, GATE_PASS, "READY", NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, owed, GATE_CONTENT, GATE_PASS, "READY", NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, parked, GATE_CONTENT, GATE_PASS, "READY", NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, resolving, GATE_CONTENT, GATE_WAIT, "looked up", "by itself", 0},
    {GATES_PROMOTE, DEV, STAGING, unreachable, GATE_CONTENT, GATE_WAIT, "REPOSITORY_UNREACHABLE",
     "by itself", 777},
    {GATES_PROMOTE, DEV, STAGING, failed, GATE_CONTENT, GATE_BLOCK,
     "BRANCH_NOT_FOUND: no branch main", "content", 0},
    /* content, from there on: published */
    {GATES_PROMOTE, STAGING, PRODUCTION, nothing, GATE_CONTENT, GATE_PASS, "published", NULL, 0},
    {GATES_PROMOTE, STAGING, PRODUCTION, owed, GATE_CONTENT, GATE_WAIT,
     "still owed to Git (0 attempts: not tried yet)", "by itself", 0},
    {GATES_PROMOTE, STAGING, PRODUCTION, owed_retried, GATE_CONTENT, GATE_WAIT,
     "3 attempts: connection refused", "by itself", 888},
    {GATES_PROMOTE, STAGING, PRODUCTION, parked, GATE_CONTENT, GATE_BLOCK,
     "refused by the Git host", "RefreshRepository", 0},
    {GATES_PROMOTE, DEV, PRODUCTION, draft, GATE_CONTENT, GATE_BLOCK, "draft", "sealing", 0},
    /* unchanged */
    {GATES_PROMOTE, DEV, STAGING, nothing, GATE_UNCHANGED, GATE_PASS, "differs from v1", NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, same_digest, GATE_UNCHANGED, GATE_WARN, "very content of v1",
     NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, no_base, GATE_UNCHANGED, GATE_PASS, "derives from no other", NULL,
     0},
    {GATES_PROMOTE, DEV, STAGING, base_not_ready, GATE_UNCHANGED, GATE_PASS,
     "before both are READY", NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, resolving, GATE_UNCHANGED, GATE_PASS, "before both are READY",
     NULL, 0},
    /* contract */
    {GATES_PROMOTE, DEV, STAGING, all_there, GATE_CONTRACT, GATE_PASS,
     "staging has all 3 that version v2 requires", NULL, 0},
    {GATES_PROMOTE, DEV, STAGING, lacks_one, GATE_CONTRACT, GATE_WARN,
     "staging lacks what version v2 requires: secret KEY", "setting it in staging", 0},
    {GATES_PROMOTE, DEV, STAGING, lacks_one_strictly, GATE_CONTRACT, GATE_BLOCK, "secret KEY",
     "setting it in staging", 0},
    {GATES_RELEASE, PRODUCTION, PRODUCTION, lacks_many, GATE_CONTRACT, GATE_WARN,
     "constant URL, data source main (postgres) and 3 more", "setting it in production", 0},
    /* in production */
    {GATES_RELEASE, PRODUCTION, PRODUCTION, nothing, GATE_IN_PRODUCTION, GATE_PASS, "in production",
     NULL, 0},
    {GATES_RELEASE, STAGING, PRODUCTION, nothing, GATE_IN_PRODUCTION, GATE_BLOCK, "is in staging",
     "promoting", 0},
    {GATES_RELEASE, DEV, PRODUCTION, nothing, GATE_IN_PRODUCTION, GATE_BLOCK, "is in development",
     "promoting", 0},
    {GATES_ROLLBACK, PRODUCTION, PRODUCTION, nothing, GATE_IN_PRODUCTION, GATE_PASS,
     "in production", NULL, 0},
    {GATES_ROLLBACK, STAGING, PRODUCTION, nothing, GATE_IN_PRODUCTION, GATE_BLOCK, "is in staging",
     "promoting", 0},
    /* prefetched */
    {GATES_RELEASE, PRODUCTION, PRODUCTION, nothing, GATE_PREFETCHED, GATE_PASS, "2 of 2", NULL, 0},
    {GATES_RELEASE, PRODUCTION, PRODUCTION, some_staged, GATE_PREFETCHED, GATE_WARN, "1 of 2", NULL,
     0},
    {GATES_RELEASE, PRODUCTION, PRODUCTION, none_staged, GATE_PREFETCHED, GATE_WARN, "0 of 2", NULL,
     0},
    {GATES_RELEASE, PRODUCTION, PRODUCTION, no_instance, GATE_PREFETCHED, GATE_PASS, "no instance",
     NULL, 0},
    /* released before */
    {GATES_ROLLBACK, PRODUCTION, PRODUCTION, nothing, GATE_RELEASED_BEFORE, GATE_PASS, "before",
     NULL, 0},
    {GATES_ROLLBACK, PRODUCTION, PRODUCTION, never_released, GATE_RELEASED_BEFORE, GATE_BLOCK,
     "never been released", "Release instead", 0},
};

static void check_gate(size_t index, const struct gate_case *c, const struct gate *gate)
{
	if (gate == NULL || gate->state != c->state) {
		fail_msg("case %zu: gate %d is in state %d, not %d", index, c->kind,
			 gate != NULL ? (int)gate->state : 0, c->state);
	}
	if (strstr(gate->reason, c->says) == NULL) {
		fail_msg("case %zu: '%s' does not say '%s'", index, gate->reason, c->says);
	}
	bool names_who = c->cleared_by == NULL ? gate->cleared_by[0] == '\0'
					       : strstr(gate->cleared_by, c->cleared_by) != NULL;
	if (!names_who || gate->clears_at_ms != c->clears_at_ms) {
		fail_msg("case %zu: cleared by '%s' at %lu", index, gate->cleared_by,
			 (unsigned long)gate->clears_at_ms);
	}
}

static void test_gates_each_in_each_of_its_states(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_arena_fini) struct sl_arena arena;
		sl_arena_init(&arena, 0);
		struct gates gates;
		struct gates_input in = input_of(cases[i].action, cases[i].source, cases[i].target);
		cases[i].spoil(&in);
		assert_true(gates_evaluate(&in, &arena, &gates));
		const struct gate *gate = find(&gates, cases[i].kind);
		check_gate(i, &cases[i], gate);
		assert_int_equal(gate_lets_through(gate),
				 gate->state == GATE_PASS || gate->state == GATE_WARN);
	}
}

/* --- the list --------------------------------------------------------------------- */

static void test_gates_are_all_evaluated_in_order(void **state)
{
	(void)state;
	static const struct {
		enum gates_action action;
		spoil_fn *who; /* nothing: no right is asked for */
		enum gate_kind kinds[6];
	} lists[] = {
	    {GATES_PROMOTE, nothing, {GATE_ORDER, GATE_NOT_BLOCKED, GATE_CONTENT, GATE_UNCHANGED}},
	    {GATES_RELEASE, nothing, {GATE_IN_PRODUCTION, GATE_NOT_BLOCKED, GATE_PREFETCHED}},
	    {GATES_ROLLBACK, nothing, {GATE_IN_PRODUCTION, GATE_NOT_BLOCKED, GATE_RELEASED_BEFORE}},
	    {GATES_PROMOTE,
	     lacks_one,
	     {GATE_ORDER, GATE_NOT_BLOCKED, GATE_CONTENT, GATE_UNCHANGED, GATE_CONTRACT}},
	    {GATES_RELEASE,
	     all_there,
	     {GATE_IN_PRODUCTION, GATE_NOT_BLOCKED, GATE_CONTRACT, GATE_PREFETCHED}},
	    {GATES_PROMOTE,
	     permitted,
	     {GATE_PERMISSION, GATE_ORDER, GATE_NOT_BLOCKED, GATE_CONTENT, GATE_UNCHANGED}},
	    {GATES_RELEASE,
	     others_may,
	     {GATE_PERMISSION, GATE_IN_PRODUCTION, GATE_NOT_BLOCKED, GATE_PREFETCHED}},
	    {GATES_ROLLBACK,
	     not_permitted,
	     {GATE_PERMISSION, GATE_IN_PRODUCTION, GATE_NOT_BLOCKED, GATE_RELEASED_BEFORE}},
	};
	for (size_t i = 0; i < SL_COUNT(lists); i++) {
		SL_AUTO(sl_arena_fini) struct sl_arena arena;
		sl_arena_init(&arena, 0);
		struct gates gates;
		/* Everything is wrong, and still nothing is left out. */
		struct gates_input in = input_of(lists[i].action, DEV, PRODUCTION);
		lists[i].who(&in);
		block(&in);
		failed(&in);
		never_released(&in);
		assert_true(gates_evaluate(&in, &arena, &gates));
		assert_false(gates_allow(&gates));
		size_t count = 0;
		for (; lists[i].kinds[count] != 0; count++) {
			assert_true(count < gates.count);
			assert_int_equal(gates.items[count].kind, lists[i].kinds[count]);
			assert_true(gates.items[count].id[0] != '\0');
		}
		assert_int_equal(gates.count, count);
	}
}

static void test_gates_warnings_allow(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct gates gates;
	struct gates_input in = input_of(GATES_PROMOTE, DEV, STAGING);
	assert_true(gates_evaluate(&in, &arena, &gates));
	assert_true(gates_allow(&gates));
	same_digest(&in);
	assert_true(gates_evaluate(&in, &arena, &gates));
	assert_true(gates_allow(&gates));
	resolving(&in);
	assert_true(gates_evaluate(&in, &arena, &gates));
	assert_false(gates_allow(&gates));
}

static void test_gates_name_their_evidence(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct gates gates;
	struct gates_input in = input_of(GATES_PROMOTE, DEV, STAGING);
	assert_true(gates_evaluate(&in, &arena, &gates));
	const struct gate *content = find(&gates, GATE_CONTENT);
	assert_int_equal(content->evidence_count, 2);
	assert_string_equal(content->evidence[0], "commit=c0ffee");
	assert_memory_equal(content->evidence[1], "digest=0100", 11);
}

static void test_gates_without_memory_say_so(void **state)
{
	(void)state;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 1);
	struct gates gates;
	struct gates_input in = input_of(GATES_PROMOTE, DEV, STAGING);
	assert_false(gates_evaluate(&in, &arena, &gates));
}

/* --- the hash --------------------------------------------------------------------- */

static void hash_of(const struct gates_input *in, uint64_t policy,
		    uint8_t hash[static SL_HASH_BYTES])
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	struct gates gates;
	assert_true(gates_evaluate(in, &arena, &gates));
	gates_plan_hash(in, &gates, policy, hash);
}

static void other_id(struct gates_input *in)
{
	in->version_id = "ver_2";
}
static void other_digest(struct gates_input *in)
{
	in->digest = SL_BYTES(digest_b, sizeof(digest_b));
	in->base_digest = SL_BYTES(digest_a, sizeof(digest_a));
}
static void no_digest(struct gates_input *in)
{
	in->digest = SL_BYTES_NONE;
}
static void other_source(struct gates_input *in)
{
	in->source = environment(STAGING);
}
static void other_target(struct gates_input *in)
{
	in->target = environment(PRODUCTION);
	in->next = environment(PRODUCTION);
}
static void other_action(struct gates_input *in)
{
	in->action = GATES_RELEASE;
}
static void other_time(struct gates_input *in)
{
	in->content_next_ms = 123;
	in->publish_next_ms = 456;
	in->publish_attempts = 7;
}
static void other_texts(struct gates_input *in)
{
	in->version = "renamed";
	in->base = "another";
	in->commit = "d00d";
	in->block_reason = "unused";
	in->publish_text = "whatever";
	in->tag = "refs/tags/x";
	in->source.name = "elsewhere";
}

static void test_gates_hash_changes_with_what_the_plan_says_and_nothing_else(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		spoil_fn *spoil;
		bool changes;
	} inputs[] = {
	    {"nothing", nothing, false},          {"times", other_time, false},
	    {"texts", other_texts, false},        {"version id", other_id, true},
	    {"digest", other_digest, true},       {"no digest", no_digest, true},
	    {"source", other_source, true},       {"target", other_target, true},
	    {"action", other_action, true},       {"a block", block, true},
	    {"content's state", resolving, true}, {"a warning", same_digest, true},
	};
	struct gates_input plain = input_of(GATES_PROMOTE, DEV, STAGING);
	uint8_t before[SL_HASH_BYTES], after[SL_HASH_BYTES];
	hash_of(&plain, 0, before);
	for (size_t i = 0; i < SL_COUNT(inputs); i++) {
		struct gates_input in = plain;
		inputs[i].spoil(&in);
		hash_of(&in, 0, after);
		if ((memcmp(before, after, sizeof(before)) != 0) != inputs[i].changes) {
			fail_msg("%s: the hash must %schange", inputs[i].name,
				 inputs[i].changes ? "" : "not ");
		}
	}
	hash_of(&plain, 1, after);
	assert_memory_not_equal(before, after, sizeof(before));
}

static void test_gates_hash_tells_states_apart_that_both_hold_back(void **state)
{
	(void)state;
	struct gates_input waits = input_of(GATES_PROMOTE, STAGING, PRODUCTION), blocks = waits;
	owed_retried(&waits);
	parked(&blocks);
	uint8_t a[SL_HASH_BYTES], b[SL_HASH_BYTES];
	hash_of(&waits, 0, a);
	hash_of(&blocks, 0, b);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void test_gates_hash_is_the_one_of_the_header(void **state)
{
	(void)state;
	struct gates gates = {
	    .items = {{.id = "order", .state = GATE_PASS}, {.id = "content", .state = GATE_WAIT}},
	    .count = 2};
	struct gates_input in = {.action = GATES_PROMOTE,
				 .version_id = "ver_1",
				 .digest = SL_BYTES(digest_a, sizeof(digest_a)),
				 .source = environment(DEV),
				 .target = environment(STAGING)};
	static const char head[] = "sluice-plan-1\0\0\0\1\0\0\0\5ver_1\0\0\0\x20\1";
	static const char tail[] =
	    "\0\0\0\1\0\0\0\2\0\0\0\2\0\0\0\5order\0\0\0\1\0\0\0\7content\0\0\0\3\0\0\0\0\0\0\0\x9";
	uint8_t text[160] = {0}, wanted[SL_HASH_BYTES], hash[SL_HASH_BYTES];
	size_t head_size = sizeof(head) - 1, rest = SL_HASH_BYTES - 1;
	memcpy(text, head, head_size);
	memcpy(text + head_size + rest, tail, sizeof(tail) - 1);
	sl_hash(wanted, text, head_size + rest + sizeof(tail) - 1, NULL, 0);
	gates_plan_hash(&in, &gates, 9, hash);
	assert_memory_equal(hash, wanted, sizeof(hash));
}

int main(void)
{
	if (!sl_crypto_init()) {
		return 1;
	}
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gates_each_in_each_of_its_states),
	    cmocka_unit_test(test_gates_are_all_evaluated_in_order),
	    cmocka_unit_test(test_gates_warnings_allow),
	    cmocka_unit_test(test_gates_name_their_evidence),
	    cmocka_unit_test(test_gates_without_memory_say_so),
	    cmocka_unit_test(test_gates_hash_changes_with_what_the_plan_says_and_nothing_else),
	    cmocka_unit_test(test_gates_hash_tells_states_apart_that_both_hold_back),
	    cmocka_unit_test(test_gates_hash_is_the_one_of_the_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

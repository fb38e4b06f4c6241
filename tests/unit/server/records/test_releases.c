/* Release, withdraw, rollback over a real store: the pointer, the stack, the history. */
#include "tests/unit/server/records/steps.h"

#include "server/records/history.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define NO_NEW SLUICE__V1__BLOCK_MODE__BLOCK_MODE_NO_NEW
#define RECALL SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL

/* --- the stack, as a story -------------------------------------------------------------- */

/* What is done to v1, v2, v3, all in production, and where the pointer and PREVIOUS are then. */
struct line {
	char act; /* r release, w withdraw, b rollback, x block, u unblock; upper case: must be
		     refused */
	const char *version;  /* "": rollback to PREVIOUS */
	const char *released; /* ""; nothing */
	const char *previous; /* "": nowhere */
	const char *skipped;  /* rollback: the first one; NULL: none */
};

struct story {
	const char *name;
	struct line lines[12];
};

#define LINE(a, v, r, p)                                                                           \
	{                                                                                          \
		.act = (a), .version = (v), .released = (r), .previous = (p)                       \
	}

static const struct story stories[] = {
    {"release pushes, rollback pops",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('r', "v3", "v3", "v2"),
      LINE('b', "", "v2", "v1"), LINE('b', "", "v1", ""), LINE('B', "", "v1", "")}},
    {"a named target in the stack is popped to",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('r', "v3", "v3", "v2"),
      LINE('b', "v1", "v1", ""), LINE('r', "v3", "v3", "v1")}},
    {"a target that was popped off is pushed again",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('b', "v1", "v1", ""),
      LINE('b', "v2", "v2", "v1"), LINE('b', "", "v1", "")}},
    {"an older version released again is a push",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('r', "v1", "v1", "v2"),
      LINE('b', "", "v2", "v1"), LINE('b', "", "v1", "")}},
    {"blocked entries are passed by, and named",
     {LINE('r', "v1", "v1", ""),
      LINE('r', "v2", "v2", "v1"),
      LINE('r', "v3", "v3", "v2"),
      LINE('x', "v2", "v3", "v1"),
      {'b', "", "v1", "", "v2 is blocked"}}},
    {"all of them blocked: nowhere to go",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('x', "v1", "v2", ""),
      LINE('B', "", "v2", ""), LINE('u', "v1", "v2", "v1"), LINE('b', "", "v1", "")}},
    {"a blocked target is refused",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('x', "v1", "v2", ""),
      LINE('B', "v1", "v2", "")}},
    {"a blocked version is not released",
     {LINE('x', "v1", "", ""), LINE('R', "v1", "", ""), LINE('u', "v1", "", ""),
      LINE('r', "v1", "v1", "")}},
    {"never released: no way back to it", {LINE('r', "v1", "v1", ""), LINE('B', "v2", "v1", "")}},
    {"nothing released: nothing to go back to, nothing to withdraw",
     {LINE('B', "", "", ""), LINE('W', "", "", ""), LINE('B', "v1", "", "")}},
    {"withdrawn: PREVIOUS is the entry below the top",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('w', "", "", "v1"),
      LINE('W', "", "", "v1"), LINE('b', "", "v1", "")}},
    {"withdrawn and released again: pushed once",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('w', "", "", "v1"),
      LINE('r', "v2", "v2", "v1"), LINE('b', "", "v1", ""), LINE('B', "", "v1", "")}},
    {"withdrawn and another released",
     {LINE('r', "v1", "v1", ""), LINE('w', "", "", ""), LINE('r', "v2", "v2", "v1"),
      LINE('b', "", "v1", "")}},
    {"withdrawn: back to the top by its name",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('w', "", "", "v1"),
      LINE('b', "v2", "v2", "v1")}},
    {"the released version twice in the stack: the way back passes it by",
     {LINE('r', "v1", "v1", ""), LINE('r', "v2", "v2", "v1"), LINE('r', "v1", "v1", "v2"),
      LINE('x', "v2", "v1", ""), LINE('B', "", "v1", "")}},
};

static void act(struct steps *s, const struct line *line)
{
	switch (line->act | 0x20) {
	case 'r':
		(void)steps_release(s, line->version);
		break;
	case 'w':
		(void)steps_withdraw(s);
		break;
	case 'b':
		(void)steps_rollback(s, line->version);
		break;
	case 'x':
		(void)steps_block(s, line->version, NO_NEW, "");
		break;
	default:
		(void)steps_unblock(s, line->version);
		break;
	}
}

static const char *name_of(const Sluice__V1__VersionRef *ref)
{
	return ref != NULL ? ref->name : "";
}

static Sluice__V1__Release *read_release(struct steps *s)
{
	const Sluice__Store__V1__AppRecord *app = steps_app(s);
	struct wire in = {.arena = &s->arena, .workspace = STEPS_WORKSPACE};
	Sluice__V1__Release *release = NULL;
	assert_int_equal(store_view_begin(s->store, &in.view, NULL), SL_OK);
	assert_int_equal(releases_get(&in, app, &release, NULL), SL_OK);
	store_view_end(in.view);
	return release;
}

static void check_line(const char *story, size_t at, struct steps *s, const struct line *line)
{
	bool refused = line->act < 'a';
	if ((s->code != SL_OK) != refused) {
		fail_msg("%s, line %zu: %s %s", story, at, sl_code_name(s->code), s->err.msg);
	}
	const Sluice__V1__Release *release = read_release(s);
	if (strcmp(name_of(release->version), line->released) != 0 ||
	    strcmp(name_of(release->previous), line->previous) != 0) {
		fail_msg("%s, line %zu: released '%s', previous '%s'", story, at,
			 name_of(release->version), name_of(release->previous));
	}
	if (refused || line->act == 'x' || line->act == 'u') {
		return;
	}
	assert_true(s->history);
	assert_string_equal(name_of(s->release.release->version), line->released);
	assert_string_equal(name_of(s->release.release->previous), line->previous);
	assert_string_equal(s->release.skipped_count > 0 ? s->release.skipped[0] : "",
			    line->skipped != NULL ? line->skipped : "");
}

static void test_releases_follow_their_stories(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(stories); i++) {
		struct steps *s = NULL;
		assert_int_equal(steps_setup((void **)&s), 0);
		steps_shop(s, TAGS);
		steps_produce(s, "v1");
		steps_produce(s, "v2");
		steps_produce(s, "v3");
		for (size_t at = 0; stories[i].lines[at].act != 0; at++) {
			act(s, &stories[i].lines[at]);
			check_line(stories[i].name, at, s, &stories[i].lines[at]);
		}
		if (steps_teardown((void **)&s) != 0) {
			fail_msg("%s: the store has faults", stories[i].name);
		}
	}
}

/* --- what is written --------------------------------------------------------------------- */

static void test_releases_tell_and_keep_what_happened(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_produce(s, "v2");
	uint64_t version_revision = steps_get(s, "v1")->revision;
	s->reason = "go";
	assert_int_equal(steps_release(s, "v1"), SL_OK);
	uint64_t first = s->revision;
	assert_int_equal(steps_facts(s, "v1", ENV_PRODUCTION)->first_released_ms, s->now_ms);
	assert_int_equal(steps_get(s, "v1")->revision, version_revision);
	assert_int_equal(steps_pointer(s)->revision, s->revision);
	assert_string_equal(steps_pointer(s)->by, "ann");
	const Sluice__V1__Event *event = steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_RELEASE);
	assert_int_equal(event->environment, ENV_PRODUCTION);
	assert_int_equal(event->release->kind,
			 SLUICE__V1__RELEASE_CHANGE_KIND__RELEASE_CHANGE_KIND_RELEASED);
	assert_null(event->release->from);
	assert_string_equal(event->release->to->name, "v1");
	assert_string_equal(event->release->reason, "go");
	assert_null(s->release.from);

	uint64_t first_ms = s->now_ms;
	assert_int_equal(steps_release(s, "v2"), SL_OK);
	assert_string_equal(s->release.from->name, "v1");
	assert_int_equal(steps_rollback(s, ""), SL_OK);
	event = steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_RELEASE);
	assert_int_equal(event->release->kind,
			 SLUICE__V1__RELEASE_CHANGE_KIND__RELEASE_CHANGE_KIND_ROLLBACK);
	assert_string_equal(event->release->from->name, "v2");
	assert_string_equal(event->release->to->name, "v1");
	assert_int_equal(steps_facts(s, "v1", ENV_PRODUCTION)->first_released_ms, first_ms);
	assert_int_equal(steps_withdraw(s), SL_OK);
	event = steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_RELEASE);
	assert_int_equal(event->release->kind,
			 SLUICE__V1__RELEASE_CHANGE_KIND__RELEASE_CHANGE_KIND_WITHDRAWN);
	assert_null(event->release->to);
	assert_string_equal(s->release.from->name, "v1");

	struct wire in = {.arena = &s->arena, .workspace = STEPS_WORKSPACE};
	assert_int_equal(store_view_begin(s->store, &in.view, NULL), SL_OK);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__ReleaseChange *change = NULL;
	assert_int_equal(releases_read_change(&in, first, event->app_id, &change, &err), SL_OK);
	assert_string_equal(change->reason, "go");
	assert_int_equal(releases_read_change(&in, first, "app_other", &change, &err),
			 SL_DATA_LOSS);
	assert_int_equal(releases_read_change(&in, first - 1, event->app_id, &change, &err),
			 SL_DATA_LOSS);
	store_view_end(in.view);
}

static void test_releases_of_what_is_released_change_nothing(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	assert_int_equal(steps_release(s, "v1"), SL_OK);
	uint64_t revision = s->revision;
	(void)steps_release(s, "v1");
	steps_same(s);
	assert_false(s->history);
	assert_int_equal(s->event_count, 0);
	assert_int_equal(s->release.release->revision, revision);
	(void)steps_rollback(s, "v1");
	steps_same(s);
	/* Even when it is blocked by now: nothing is asked that is not so. */
	assert_int_equal(steps_block(s, "v1", NO_NEW, ""), SL_OK);
	(void)steps_release(s, "v1");
	steps_same(s);
	assert_int_equal(steps_pointer(s)->revision, revision);
}

/* --- what is refused --------------------------------------------------------------------- */

static void test_releases_refuse_what_is_not_in_production(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_ready(s, "v1", 1);
	(void)steps_release(s, "v1");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED, "development");
	assert_int_equal(steps_gates(s), 1);
	assert_string_equal(steps_meta(s, "in-production"), "BLOCK");
	assert_string_equal(s->object.version_id, steps_get(s, "v1")->id);
	assert_int_equal(s->object.environment, ENV_PRODUCTION);
	assert_int_equal(steps_promote(s, "v1", "development"), SL_OK);
	(void)steps_release(s, "v1");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED, "staging");
	(void)steps_rollback(s, "v1");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED, "staging");
	assert_int_equal(steps_gates(s), 2);
	assert_null(steps_pointer(s));
}

static void test_releases_check_what_the_caller_expects(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_produce(s, "v2");
	s->expected_revision = 5; /* there is no pointer yet */
	(void)steps_release(s, "v1");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "shop");
	assert_int_equal(steps_release(s, "v1"), SL_OK);
	uint64_t revision = s->revision;
	s->expected_revision = revision - 1;
	(void)steps_release(s, "v2");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "shop");
	s->expected_revision = revision;
	assert_int_equal(steps_release(s, "v2"), SL_OK);
	s->expected_revision = revision;
	(void)steps_rollback(s, "");
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "shop");
	s->expected_revision = revision;
	(void)steps_withdraw(s);
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_REVISION, "shop");
	(void)steps_release(s, "v9");
	steps_refused(s, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND, "v9");
	(void)steps_rollback(s, "v9");
	steps_refused(s, SL_NOT_FOUND, SL_REASON_VERSION_NOT_FOUND, "v9");
}

struct hashed {
	struct sl_bytes hash;
	bool back;
};

static sl_code hashed_decide(struct decision *d, struct steps *s, const void *in,
			     struct sl_err *err)
{
	const struct hashed *h = in;
	return h->back ? releases_decide_rollback(d, "shop", "", h->hash, &s->release, err)
		       : releases_decide_release(d, "shop", "v2", h->hash, &s->release, err);
}

static void test_releases_hold_the_caller_to_the_plan_that_it_saw(void **state)
{
	struct steps *s = *state;
	struct plan plan;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_produce(s, "v2");
	steps_produce(s, "v3");
	const char *instance = steps_instance(s, "prod-1", ENV_PRODUCTION);
	assert_int_equal(steps_plan(s, GATES_RELEASE, "v2", &plan), SL_OK);
	struct hashed release = {.hash = SL_BYTES(plan.hash, sizeof(plan.hash))};
	steps_staged(s, instance, "v2"); /* prefetched: from WARN to PASS */
	(void)steps_run(s, hashed_decide, &release);
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_PLAN, "v2");
	assert_int_equal(steps_plan(s, GATES_RELEASE, "v2", &plan), SL_OK);
	assert_int_equal(steps_run(s, hashed_decide, &release), SL_OK);

	assert_int_equal(steps_release(s, "v1"), SL_OK);
	assert_int_equal(steps_release(s, "v3"), SL_OK);
	struct plan back;
	assert_int_equal(steps_plan(s, GATES_ROLLBACK, "", &back), SL_OK);
	struct hashed rollback = {.hash = SL_BYTES(back.hash, sizeof(back.hash)), .back = true};
	assert_int_equal(steps_run(s, hashed_decide, &rollback), SL_OK);
	assert_string_equal(s->release.version->name, "v1");
	/* The same again would go one further back, which is another plan. */
	(void)steps_run(s, hashed_decide, &rollback);
	steps_refused(s, SL_ABORTED, SL_REASON_STALE_PLAN, "v2");
}

static void test_releases_warn_of_instances_that_lack_the_version(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	const char *one = steps_instance(s, "prod-1", ENV_PRODUCTION);
	(void)steps_instance(s, "prod-2", ENV_PRODUCTION);
	(void)steps_instance(s, "staging-1", ENV_STAGING);
	steps_staged(s, one, "v1");
	const Sluice__V1__Plan *plan = steps_plan_wire(s, GATES_RELEASE, "v1");
	assert_int_equal(plan->instances, 2);
	assert_int_equal(plan->staged, 1);
	assert_true(plan->allowed);
	assert_null(plan->current);
	assert_int_equal(steps_release(s, "v1"), SL_OK);
	size_t count = 0;
	Sluice__V1__Gate **warnings = plan_warnings(s->release.plan, &s->arena, &count);
	assert_int_equal(count, 1);
	assert_string_equal(warnings[0]->id, "prefetched");
	assert_string_equal(warnings[0]->evidence[0], "staged=1/2");
	assert_string_equal(steps_plan_wire(s, GATES_RELEASE, "v1")->current->name, "v1");
}

/* --- with BlockVersion ---------------------------------------------------------------------- */

static void test_releases_and_recall_in_one_command(void **state)
{
	struct steps *s = *state;
	steps_shop(s, TAGS);
	steps_produce(s, "v1");
	steps_produce(s, "v2");
	steps_produce(s, "v3");
	assert_int_equal(steps_release(s, "v1"), SL_OK);
	assert_int_equal(steps_release(s, "v2"), SL_OK);
	(void)steps_block(s, "v2", RECALL, "");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_RELEASED_NEEDS_DECISION, "v2");
	(void)steps_block(s, "v2", RECALL, "v2");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_RELEASED_NEEDS_DECISION, "v2");
	(void)steps_block(s, "v2", RECALL, "v3"); /* never released */
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_GATE_BLOCKED, "v3");
	assert_int_equal(steps_block(s, "v2", RECALL, "previous"), SL_OK);
	assert_true(s->history);
	assert_string_equal(
	    steps_event(s, SLUICE__V1__EVENT_KIND__EVENT_KIND_RELEASE)->release->to->name, "v1");
	assert_int_equal(steps_pointer(s)->version, 1);
	assert_string_equal(steps_desired(s, ENV_PRODUCTION, ""), "v1 by release keeps v1 v3");
	(void)steps_block(s, "v1", RECALL, "previous");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_NO_PREVIOUS, "shop");
	assert_int_equal(steps_block(s, "v1", RECALL, "withdraw"), SL_OK);
	assert_int_equal(steps_pointer(s)->version, 0);
	assert_int_equal(steps_release(s, "v3"), SL_OK);
	assert_int_equal(steps_block(s, "v3", RECALL, "keep"), SL_OK);
	assert_int_equal(steps_pointer(s)->version, 3);
	assert_string_equal(steps_desired(s, ENV_PRODUCTION, ""), "v3 by release keeps v3");
	(void)steps_rollback(s, "");
	steps_refused(s, SL_FAILED_PRECONDITION, SL_REASON_NO_PREVIOUS, "v1 is blocked");
}

#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(test_releases_##name, steps_setup, steps_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_releases_follow_their_stories),
	    TEST(tell_and_keep_what_happened),
	    TEST(of_what_is_released_change_nothing),
	    TEST(refuse_what_is_not_in_production),
	    TEST(check_what_the_caller_expects),
	    TEST(hold_the_caller_to_the_plan_that_it_saw),
	    TEST(warn_of_instances_that_lack_the_version),
	    TEST(and_recall_in_one_command),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

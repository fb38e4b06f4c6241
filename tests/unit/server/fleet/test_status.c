/* What agents say: kept, written coalesced, and not written again. */
#include "tests/unit/server/fleet/agents.h"

#include <stdio.h>

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define HEALTHY SLUICE__V1__PHASE__PHASE_HEALTHY
#define FETCHING SLUICE__V1__PHASE__PHASE_FETCHING
#define FAILED SLUICE__V1__PHASE__PHASE_FAILED

/* Three agents in development, v1 to be served. */
struct three {
	struct agents *a;
	const char *ids[3];
	struct rpc_stream *streams[3];
	char *app_id, *version_id;
};

static void open_three(struct three *t, struct agents *a)
{
	static const char *const names[] = {"dev-1", "dev-2", "dev-3"};
	*t = (struct three){.a = a};
	for (size_t i = 0; i < 3; i++) {
		t->ids[i] = agents_register(a, names[i], "development", NULL);
	}
	steps_shop(a->s, TAGS);
	steps_ready(a->s, "v1", '1');
	(void)agents_follow(a);
	t->app_id = steps_app(a->s)->id;
	t->version_id = (char *)agents_version_id(a, "v1");
	for (size_t i = 0; i < 3; i++) {
		t->streams[i] = agents_stream(a);
		agents_hello_of(t->streams[i], names[i]);
	}
}

static void close_three(struct three *t)
{
	for (size_t i = 0; i < 3; i++) {
		agents_close(t->streams[i]);
	}
}

static void say(struct three *t, size_t agent, Sluice__V1__Phase phase, const char *error)
{
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	report.app_id = t->app_id;
	report.version_id = t->version_id;
	report.phase = phase;
	report.attempt = 1;
	report.sequence = agents_revision(t->a);
	report.error = (char *)error;
	report.active_version_id = phase == HEALTHY ? t->version_id : "";
	report.staged_version_ids = &t->version_id;
	report.n_staged_version_ids = phase == HEALTHY ? 1 : 0;
	agents_report(t->streams[agent], &report);
}

static Sluice__Store__V1__StatusRecord *stored(struct three *t, size_t agent)
{
	const struct store_view *view = NULL;
	struct sl_err err = SL_ERR_INIT;
	Sluice__Store__V1__StatusRecord *record = NULL;
	struct record_key key =
	    KEY(STEPS_WORKSPACE, key_text(k, t->ids[agent]), key_text(k, t->app_id));
	assert_int_equal(store_view_begin(t->a->s->store, &view, &err), SL_OK);
	sl_code code = record_get(view, &t->a->s->arena, TABLE_STATUSES, &key,
				  &sluice__store__v1__status_record__descriptor, &record, &err);
	store_view_end(view);
	return code == SL_OK ? record : NULL;
}

static void test_many_reports_are_one_command(void **state)
{
	struct three t;
	open_three(&t, *state);
	uint64_t before = agents_revision(t.a);
	for (size_t i = 0; i < 3; i++) {
		say(&t, i, FETCHING, "");
		say(&t, i, HEALTHY, "");
	}
	assert_int_equal(agents_revision(t.a), before);
	agents_settle(t.a);
	assert_int_equal(agents_revision(t.a), before + 1);
	for (size_t i = 0; i < 3; i++) {
		assert_non_null(stored(&t, i));
		assert_int_equal(stored(&t, i)->phase, HEALTHY);
		assert_string_equal(stored(&t, i)->active_version_id, t.version_id);
	}
	close_three(&t);
}

/* Deleted, or made after the backup that the server was restored from. */
static void test_a_version_that_nobody_knows_is_reported_as_it_is(void **state)
{
	struct three t;
	open_three(&t, *state);
	t.version_id = (char *)"ver_aaaaaaaaaaaaaaaaaaaa";
	say(&t, 0, HEALTHY, "");
	agents_settle(t.a);
	assert_non_null(stored(&t, 0));
	assert_string_equal(stored(&t, 0)->active_version_id, t.version_id);
	close_three(&t);
}

static void test_the_event_names_what_runs(void **state)
{
	struct three t;
	open_three(&t, *state);
	say(&t, 1, HEALTHY, "");
	agents_settle(t.a);
	const struct store_view *view = NULL;
	struct sl_err err = SL_ERR_INIT;
	struct sl_bytes value;
	assert_int_equal(store_view_begin(t.a->s->store, &view, &err), SL_OK);
	assert_int_equal(store_get_log(view, store_view_revision(view), &value, &err), SL_OK);
	Sluice__Store__V1__LogRecord *record = sluice__store__v1__log_record__unpack(
	    sl_arena_protobuf(&t.a->s->arena), value.size, value.data);
	store_view_end(view);
	assert_string_equal(record->principal, "fleet");
	assert_string_equal(record->method, "fleet");
	assert_int_equal(record->workspace, STEPS_WORKSPACE);
	assert_int_equal(record->n_events, 1);
	const Sluice__V1__Event *event = record->events[0];
	assert_int_equal(event->kind, SLUICE__V1__EVENT_KIND__EVENT_KIND_STATUS);
	assert_int_equal(event->environment, ENV_DEVELOPMENT);
	assert_string_equal(event->instance_id, t.ids[1]);
	assert_string_equal(event->status->instance, "dev-2");
	assert_string_equal(event->status->app, "shop");
	assert_string_equal(event->status->active->name, "v1");
	assert_string_equal(event->status->desired->name, "v1");
	assert_true(event->status->converged);
	close_three(&t);
}

static void test_what_is_said_again_is_not_written_again(void **state)
{
	struct three t;
	open_three(&t, *state);
	say(&t, 0, HEALTHY, "");
	agents_settle(t.a);
	uint64_t head = agents_revision(t.a);
	for (int i = 0; i < 5; i++) {
		say(&t, 0, HEALTHY, "");
		say(&t, 0, FETCHING, ""); /* volatile */
		say(&t, 0, HEALTHY, "");
		agents_heartbeat(t.streams[0], head);
		agents_settle(t.a);
	}
	assert_int_equal(agents_revision(t.a), head);
	close_three(&t);
}

/* Dials again and tells everything. */
static void tell_all(struct three *t, Sluice__V1__AppInventory *item)
{
	Sluice__V1__AgentHello hello = SLUICE__V1__AGENT_HELLO__INIT;
	hello.instance = "dev-1";
	hello.inventory = &item;
	hello.n_inventory = item == NULL ? 0 : 1;
	t->streams[0] = agents_stream(t->a);
	agents_hello(t->streams[0], &hello);
}

static void test_an_inventory_of_what_is_known_costs_nothing(void **state)
{
	struct three t;
	open_three(&t, *state);
	say(&t, 0, HEALTHY, "");
	agents_settle(t.a);
	uint64_t head = agents_revision(t.a);
	close_three(&t);
	agents_restart(t.a);
	Sluice__V1__AgentReport last = SLUICE__V1__AGENT_REPORT__INIT;
	Sluice__V1__AppInventory item = SLUICE__V1__APP_INVENTORY__INIT;
	last.app_id = item.app_id = t.app_id;
	last.version_id = last.active_version_id = item.active_version_id = t.version_id;
	item.staged_version_ids = &t.version_id;
	item.n_staged_version_ids = 1;
	last.phase = HEALTHY;
	last.attempt = 1;
	item.last = &last;
	tell_all(&t, &item);
	agents_settle(t.a);
	assert_int_equal(agents_revision(t.a), head);
	agents_close(t.streams[0]);

	tell_all(&t, NULL); /* it has lost everything */
	agents_settle(t.a);
	assert_int_equal(agents_revision(t.a), head + 1);
	assert_null(stored(&t, 0));
	agents_close(t.streams[0]);
}

static void test_old_sequences_and_nonsense_do_no_harm(void **state)
{
	struct three t;
	open_three(&t, *state);
	say(&t, 0, HEALTHY, "");
	agents_settle(t.a);
	uint64_t head = agents_revision(t.a);
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	report.app_id = t.app_id;
	report.version_id = t.version_id;
	report.phase = FAILED;
	report.sequence = 1;
	agents_report(t.streams[0], &report);
	report.sequence = head;
	report.phase = (Sluice__V1__Phase)99;
	agents_report(t.streams[0], &report);
	report.phase = FAILED;
	report.app_id = "";
	agents_report(t.streams[0], &report);
	report.app_id = "a name that is much longer than any id that was ever made";
	agents_report(t.streams[0], &report);
	agents_settle(t.a);
	assert_int_equal(agents_revision(t.a), head);
	assert_false(t.streams[0]->ended);
	close_three(&t);
}

/* A kept version that fails leaves the phase of what is served alone. */
static void see(void *ctx, const struct fleet_standing *standing)
{
	struct fleet_standing *seen = ctx;
	*seen = *standing;
	seen->known = standing->known && strcmp(standing->failed_error, "no disk") == 0;
}

static void test_a_kept_version_that_fails_is_noted_aside(void **state)
{
	struct three t;
	open_three(&t, *state);
	say(&t, 0, HEALTHY, "");
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	report.app_id = t.app_id;
	report.version_id = "ver_kkkkkkkkkkkkkkkkkkkk";
	report.active_version_id = t.version_id;
	report.phase = FAILED;
	report.error = "no disk";
	report.sequence = agents_revision(t.a);
	agents_report(t.streams[0], &report);
	const struct store_view *view = NULL;
	struct fleet_standing seen = {.known = false};
	assert_int_equal(store_view_begin(t.a->s->store, &view, &t.a->s->err), SL_OK);
	assert_int_equal(fleet_visit_one(t.a->fleet, view, STEPS_WORKSPACE, t.app_id, t.ids[0],
					 &(struct fleet_visitor){.visit = see, .ctx = &seen},
					 &t.a->s->err),
			 SL_OK);
	store_view_end(view);
	assert_int_equal(seen.phase, HEALTHY);
	assert_true(seen.known);
	close_three(&t);
}

/* What was changed on an instance: shown while it is so, counted, never written. */
static void say_drift(struct three *t, uint64_t modified, size_t files, uint64_t corrected)
{
	static char *names[] = {"index.html", "css/site.css"}, *many[30];
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	Sluice__V1__Drift drift = SLUICE__V1__DRIFT__INIT;
	for (size_t i = 0; i < SL_COUNT(many); i++) {
		many[i] = names[0];
	}
	report.app_id = t->app_id;
	report.version_id = t->version_id;
	report.phase = HEALTHY;
	report.attempt = 1;
	report.sequence = agents_revision(t->a);
	report.active_version_id = t->version_id;
	report.staged_version_ids = &t->version_id;
	report.n_staged_version_ids = 1;
	drift.modified = modified;
	drift.files = files > SL_COUNT(names) ? many : names;
	drift.n_files = files;
	drift.corrected = corrected;
	report.drift = &drift;
	agents_report(t->streams[0], &report);
}

static void note_drift(void *ctx, const struct fleet_standing *standing)
{
	const Sluice__V1__Drift *drift = standing->drift;
	(void)snprintf(ctx, 200, "%d %s", drift == NULL ? 0 : (int)drift->modified,
		       drift == NULL || drift->n_files == 0 ? "-" : drift->files[0]);
}

static const char *drift_of(struct three *t)
{
	static char text[200];
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(t->a->s->store, &view, &t->a->s->err), SL_OK);
	assert_int_equal(fleet_visit_one(t->a->fleet, view, STEPS_WORKSPACE, t->app_id, t->ids[0],
					 &(struct fleet_visitor){.visit = note_drift, .ctx = text},
					 &t->a->s->err),
			 SL_OK);
	store_view_end(view);
	return text;
}

static void test_drift_is_shown_and_counted_and_not_written(void **state)
{
	struct three t;
	struct fleet_stats stats;
	open_three(&t, *state);
	say(&t, 0, HEALTHY, "");
	agents_settle(t.a);
	uint64_t head = agents_revision(t.a);
	assert_string_equal(drift_of(&t), "0 -");
	say_drift(&t, 2, 2, 0);
	assert_string_equal(drift_of(&t), "2 index.html");
	fleet_stats_read(t.a->fleet, &stats);
	assert_int_equal(stats.modified, 1);
	say_drift(&t, 0, 0, 1);
	assert_string_equal(drift_of(&t), "0 -");
	say_drift(&t, 1, 1, 1);
	say_drift(&t, 0, 0, 3);
	fleet_stats_read(t.a->fleet, &stats);
	assert_int_equal(stats.modified, 0);
	assert_int_equal(stats.corrected, 3);
	say_drift(&t, 30, 30, 3); /* more names than any agent says */
	assert_string_equal(drift_of(&t), "0 -");
	agents_settle(t.a);
	assert_int_equal(agents_revision(t.a), head);
	close_three(&t);
}

static void test_reach_and_liveness_follow_the_clock(void **state)
{
	struct three t;
	open_three(&t, *state);
	struct fleet_reach reach;
	const struct store_view *view = NULL;
	say(&t, 0, HEALTHY, "");
	say(&t, 1, FAILED, "no disk");
	agents_settle(t.a);
	assert_int_equal(store_view_begin(t.a->s->store, &view, &t.a->s->err), SL_OK);
	struct fleet *fleet = t.a->fleet;
	struct wire in = {.view = view, .arena = &t.a->s->arena, .workspace = STEPS_WORKSPACE};
	assert_int_equal(fleet_reach(fleet, &in, steps_app(t.a->s), ENV_DEVELOPMENT, t.version_id,
				     &reach, &t.a->s->err),
			 SL_OK);
	assert_int_equal(reach.instances, 3);
	assert_int_equal(reach.ready, 1);
	assert_int_equal(reach.not_ready, 2);
	assert_int_equal(reach.staged, 1);
	assert_int_equal(reach.share_url_count, 3);
	assert_true(strstr(reach.share_urls[0], ".example.org/shop") != NULL);
	agents_mono_ms += 30000; /* two heartbeats */
	agents_heartbeat(t.streams[0], 1);
	struct sl_arena *arena = &t.a->s->arena;
	assert_int_equal(fleet_agent_view(fleet, arena, t.ids[0])->liveness,
			 SLUICE__V1__LIVENESS__LIVENESS_ONLINE);
	assert_int_equal(fleet_agent_view(fleet, arena, t.ids[1])->liveness,
			 SLUICE__V1__LIVENESS__LIVENESS_LATE);
	assert_string_equal(fleet_agent_view(fleet, arena, t.ids[0])->agent_version, "0.1.0");
	agents_mono_ms += 30000;
	agents_heartbeat(t.streams[0], 1);
	assert_int_equal(fleet_reach(fleet, &in, steps_app(t.a->s), ENV_DEVELOPMENT, t.version_id,
				     &reach, &t.a->s->err),
			 SL_OK);
	assert_int_equal(reach.unreachable, 2);
	assert_int_equal(reach.ready, 1);
	store_view_end(view);
	struct fleet_stats stats;
	fleet_stats_read(fleet, &stats);
	assert_int_equal(stats.streams, 3);
	assert_int_equal(stats.reports, 2);
	assert_int_equal(stats.agents[ENV_DEVELOPMENT][SLUICE__V1__LIVENESS__LIVENESS_OFFLINE], 2);
	assert_int_equal(stats.phases[HEALTHY], 1);
	close_three(&t);
}

static void test_after_a_restart_the_stored_status_counts(void **state)
{
	struct three t;
	open_three(&t, *state);
	say(&t, 0, HEALTHY, "");
	agents_settle(t.a);
	close_three(&t);
	agents_restart(t.a);
	struct sl_arena *arena = &t.a->s->arena;
	assert_int_equal(fleet_agent_view(t.a->fleet, arena, t.ids[0])->liveness,
			 SLUICE__V1__LIVENESS__LIVENESS_OFFLINE);
	assert_int_equal(fleet_agent_view(t.a->fleet, arena, t.ids[1])->liveness,
			 SLUICE__V1__LIVENESS__LIVENESS_NEVER);
	assert_int_equal(fleet_agent_view(t.a->fleet, arena, "ins_nobody")->liveness,
			 SLUICE__V1__LIVENESS__LIVENESS_NEVER);
	const struct store_view *view = NULL;
	struct fleet_standing seen = {.known = false};
	assert_int_equal(store_view_begin(t.a->s->store, &view, &t.a->s->err), SL_OK);
	assert_int_equal(fleet_visit_one(t.a->fleet, view, STEPS_WORKSPACE, t.app_id, t.ids[0],
					 &(struct fleet_visitor){.visit = see, .ctx = &seen},
					 &t.a->s->err),
			 SL_OK);
	store_view_end(view);
	assert_int_equal(seen.phase, HEALTHY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agents_setup, agents_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_many_reports_are_one_command),
	    TEST(test_a_version_that_nobody_knows_is_reported_as_it_is),
	    TEST(test_the_event_names_what_runs),
	    TEST(test_what_is_said_again_is_not_written_again),
	    TEST(test_an_inventory_of_what_is_known_costs_nothing),
	    TEST(test_old_sequences_and_nonsense_do_no_harm),
	    TEST(test_a_kept_version_that_fails_is_noted_aside),
	    TEST(test_drift_is_shown_and_counted_and_not_written),
	    TEST(test_reach_and_liveness_follow_the_clock),
	    TEST(test_after_a_restart_the_stored_status_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"

#define NEVER SLUICE__V1__LIVENESS__LIVENESS_NEVER
#define ONLINE SLUICE__V1__LIVENESS__LIVENESS_ONLINE
#define LATE SLUICE__V1__LIVENESS__LIVENESS_LATE
#define OFFLINE SLUICE__V1__LIVENESS__LIVENESS_OFFLINE

/* Heartbeats every 10 s, with jitter 12 s apart at most. */
static const struct {
	const char *name;
	struct fleet_pulse pulse;
	uint64_t now_ms;
	Sluice__V1__Liveness want;
} rows[] = {
    {"nobody ever came", {0}, 1000, NEVER},
    {"one came before the server started", {.ever = true}, 1000, OFFLINE},
    {"just heard", {.ever = true, .connected = true, .seen_mono_ms = 1000}, 1000, ONLINE},
    {"one missed", {.ever = true, .connected = true, .seen_mono_ms = 1000}, 24999, ONLINE},
    {"two not quite missed",
     {.ever = true, .connected = true, .seen_mono_ms = 1000},
     25000,
     ONLINE},
    {"two missed", {.ever = true, .connected = true, .seen_mono_ms = 1000}, 25001, LATE},
    {"four not quite missed", {.ever = true, .connected = true, .seen_mono_ms = 1000}, 49000, LATE},
    {"four missed", {.ever = true, .connected = true, .seen_mono_ms = 1000}, 49001, OFFLINE},
    {"closed a moment ago",
     {.ever = true, .seen_mono_ms = 1000, .closed_mono_ms = 1500},
     2000,
     ONLINE},
    {"closed, two missed",
     {.ever = true, .seen_mono_ms = 1000, .closed_mono_ms = 1500},
     30000,
     LATE},
    {"closed for 60 s",
     {.ever = true, .seen_mono_ms = 60000, .closed_mono_ms = 1000},
     61000,
     OFFLINE},
    {"closed for almost 60 s",
     {.ever = true, .seen_mono_ms = 60000, .closed_mono_ms = 1000},
     60999,
     ONLINE},
    {"a clock that stands still",
     {.ever = true, .connected = true, .seen_mono_ms = 5000},
     4000,
     ONLINE},
};

static void test_liveness_follows_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		Sluice__V1__Liveness is = fleet_liveness(&rows[i].pulse, rows[i].now_ms, 10000);
		if (is != rows[i].want) {
			fail_msg("%s: %d, not %d", rows[i].name, (int)is, (int)rows[i].want);
		}
	}
}

static void test_judge_follows_the_table(void **state)
{
	(void)state;
	static const struct {
		Sluice__V1__Liveness liveness;
		const char *subject, *active;
		Sluice__V1__Phase phase;
		const char *desired;
		enum fleet_verdict want;
	} cases[] = {
	    {NEVER, "", "", 0, "ver_a", FLEET_UNREACHABLE},
	    {OFFLINE, "ver_a", "ver_a", 6, "ver_a", FLEET_UNREACHABLE},
	    {ONLINE, "ver_a", "ver_a", 6, "ver_a", FLEET_OK},
	    {LATE, "ver_a", "ver_a", 6, "ver_a", FLEET_OK},
	    {ONLINE, "ver_a", "ver_a", 5, "ver_a", FLEET_PENDING},  /* ACTIVATING */
	    {ONLINE, "ver_a", "ver_a", 8, "ver_a", FLEET_FAILED},   /* DEGRADED */
	    {ONLINE, "ver_b", "ver_a", 9, "ver_b", FLEET_FAILED},   /* FAILED */
	    {ONLINE, "ver_b", "ver_a", 10, "ver_b", FLEET_FAILED},  /* ROLLED_BACK */
	    {ONLINE, "ver_b", "ver_a", 7, "ver_b", FLEET_FAILED},   /* NOT_READY */
	    {ONLINE, "ver_b", "ver_a", 10, "ver_c", FLEET_PENDING}, /* of another version */
	    {ONLINE, "ver_a", "ver_a", 6, "ver_c", FLEET_PENDING},
	    {ONLINE, "", "", 0, "", FLEET_OK},
	    {ONLINE, "ver_a", "", 4, "", FLEET_OK},
	    {ONLINE, "ver_a", "ver_a", 6, "", FLEET_PENDING}, /* to be taken down */
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct fleet_standing standing = {.liveness = cases[i].liveness,
						  .known = true,
						  .version_id = cases[i].subject,
						  .active_version_id = cases[i].active,
						  .phase = cases[i].phase};
		if (fleet_judge(&standing, cases[i].desired) != cases[i].want) {
			fail_msg("row %zu", i);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_liveness_follows_the_table),
	    cmocka_unit_test(test_judge_follows_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

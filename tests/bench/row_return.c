/* P8: the server is killed and started again: how soon its agents are back, and whether it works
 * while they come. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/bench/agents.h"
#include "tests/bench/die.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/servers.h"

enum {
	CALM_MS = 10000,     /* so long after the kill a promotion may fail */
	PROMOTING_MS = 5000, /* and so long at least it is then tried */
	QUICK_MS = 2000,
	GIVE_UP_MS = 300000,
	LOOK_MS = 20,
	PAUSE_US = 50000,
	PERCENT_BACK = 99,
	NAME_BYTES = 32
};

static const struct claim back = {
    .id = "P8",
    .what = "kill -9 of the server to 99 % of its agents back",
    .unit = "s",
    .floor = 30,
    .aim = 20,
    .less_is_better = true,
};
static const struct claim all_back = {
    .id = "P8", .what = "to all of them", .unit = "s", .less_is_better = true};
static const struct claim serving = {.id = "P8",
				     .what = "to the first promotion that went well",
				     .unit = "s",
				     .less_is_better = true};
static const struct claim failed = {
    .id = "P8",
    .what = "promotions that failed later than 10 s after it",
    .unit = "of them",
    .less_is_better = true,
    .may_be_zero = true,
};

/* A thread that promotes one version after the other. */
struct promoting {
	int port;
	unsigned round;
	uint64_t killed_ms, calm_ms;
	atomic_bool stop;
	double first_s;         /* after the kill */
	unsigned tried, failed; /* once it is calm */
};

static void promote_once(struct promoting *p, unsigned number)
{
	char name[NAME_BYTES], text[LOAD_TEXT_BYTES];
	(void)snprintf(name, sizeof(name), "back-%u-%u", p->round, number);
	bool calm = sl_clock_mono_ms() >= p->killed_ms + p->calm_ms;
	bool went_well = fleet_try_promote(p->port, name, text);
	if (went_well && p->first_s == 0) {
		p->first_s = (double)(sl_clock_mono_ms() - p->killed_ms) / 1000;
	}
	p->tried += calm;
	p->failed += calm && !went_well;
	if (calm && !went_well) {
		(void)fprintf(stderr, "  P8 a promotion failed: %s\n", text);
	}
}

static void *promote_all(void *arg)
{
	struct promoting *p = arg;
	for (unsigned i = 0; !atomic_load(&p->stop); i++) {
		promote_once(p, i);
		(void)usleep(PAUSE_US);
	}
	return NULL;
}

/* What a round found; seconds after the kill. */
struct found {
	double back_s, all_s, first_s, failed;
};

/* Until all are back, and the promotions have gone on for long enough. */
static void wait_all(struct agents *agents, unsigned count, const struct promoting *p,
		     uint64_t promoting_ms, struct found *found)
{
	for (uint64_t past_ms = 0; found->all_s == 0 || past_ms < p->calm_ms + promoting_ms;) {
		unsigned present = agents_work(agents, LOOK_MS);
		past_ms = sl_clock_mono_ms() - p->killed_ms;
		double past_s = (double)past_ms / 1000;
		if (found->back_s == 0 && present * 100ul >= count * (unsigned long)PERCENT_BACK) {
			found->back_s = past_s;
		}
		if (found->all_s == 0 && present == count) {
			found->all_s = past_s;
		}
		if (past_ms > GIVE_UP_MS) {
			die("P8: only %u of %u agents are back", present, count);
		}
	}
}

static void crash(struct agents *agents, unsigned count, struct bench_server *server,
		  const char *store, struct promoting *p, struct found *found)
{
	pthread_t promoter;
	uint64_t promoting_ms = p->calm_ms < CALM_MS ? p->calm_ms : PROMOTING_MS;
	*found = (struct found){.failed = 0};
	p->killed_ms = sl_clock_mono_ms();
	servers_sluiced_crash(server, store);
	if (pthread_create(&promoter, NULL, promote_all, p) != 0) {
		die("no thread for the promotions");
	}
	/* The dead streams are still counted until their ends have come. */
	while (agents_work(agents, LOOK_MS) == count) {
	}
	wait_all(agents, count, p, promoting_ms, found);
	atomic_store(&p->stop, true);
	(void)pthread_join(promoter, NULL);
	if (p->tried == 0 || p->first_s == 0) {
		die("P8: no promotion was tried in time");
	}
	found->first_s = p->first_s;
	found->failed = p->failed;
	(void)fprintf(
	    stderr, "  P8 99 %% back after %.1f s, all after %.1f s; %u of %u promotions failed\n",
	    found->back_s, found->all_s, p->failed, p->tried);
}

static void report(struct bench *bench, const struct found *found, size_t rounds, unsigned count)
{
	double back_s[PAIRS_MAX], all_s[PAIRS_MAX], first_s[PAIRS_MAX], wrong[PAIRS_MAX];
	for (size_t i = 0; i < rounds; i++) {
		back_s[i] = found[i].back_s;
		all_s[i] = found[i].all_s;
		first_s[i] = found[i].first_s;
		wrong[i] = found[i].failed;
	}
	report_add(bench->report, &back, "free", back_s, NULL, rounds);
	report_add(bench->report, &all_back, "free", all_s, NULL, rounds);
	report_add(bench->report, &serving, "free", first_s, NULL, rounds);
	report_add(bench->report, &failed, "free", wrong, NULL, rounds);
	report_note(bench->report,
		    "P8: %u agents, a connection each, %s (mTLS is the claim); they dial with the "
		    "real ones' pauses; the server is started again at once and accepts as many "
		    "connections a second as it does by default",
		    count, bench_transport(bench));
}

void row_return(struct bench *bench)
{
	unsigned count = (unsigned)bench->options.agents;
	struct found found[PAIRS_MAX];
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "return");
	fleet_admit(store, "agent", count, "staging", "app-0");
	struct bench_server server = servers_sluiced(store, false);
	struct agents *agents = agents_connect(server.port, count);
	agents_let_return(agents);
	for (unsigned i = 0; i < bench->options.pairs; i++) {
		struct promoting promoting = {.port = server.port,
					      .round = i,
					      .calm_ms = bench->options.quick ? QUICK_MS : CALM_MS};
		crash(agents, count, &server, store, &promoting, &found[i]);
	}
	report(bench, found, bench->options.pairs, count);
	agents_free(agents);
	servers_stop(&server);
	host_remove(store);
}

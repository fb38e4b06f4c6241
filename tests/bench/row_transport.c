/* T: what mTLS costs, and what authorisation costs beside it: the same calls to three servers. One
 * answers in the clear, where nobody is asked who he is; one over mTLS, where each call is
 * identified and allowed; and the bare server is called both ways, which is the price of TLS
 * alone. */
#include "base/mem/own.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/secure.h"

enum { IN_FLIGHT = 100, CONNECTIONS = 4, REPLY_BYTES = 700 };

/* The figures of one kind of call: over mTLS, against in the clear. */
struct claims {
	struct claim rate, cpu;
};
#define AGAINST_THE_CLEAR(text)                                                                    \
	{                                                                                          \
		.rate = {.id = "T", .what = text, .against = "in the clear", .unit = "/s"},        \
		.cpu = {                                                                           \
		    .id = "T",                                                                     \
		    .what = "the same, server's CPU per call",                                     \
		    .against = "in the clear",                                                     \
		    .unit = "us",                                                                  \
		    .less_is_better = true,                                                        \
		},                                                                                 \
	}
static const struct claims writes = AGAINST_THE_CLEAR("writes as P1's, over mTLS and authorised");
static const struct claims reads = AGAINST_THE_CLEAR("reads as P4's, over mTLS and authorised");
static const struct claims bare = AGAINST_THE_CLEAR("the bare server's over mTLS");

typedef struct calls *calls_of(int port, unsigned connections, unsigned outstanding);

static void compare(struct bench *bench, const struct claims *claims, calls_of *make,
		    const struct bench_server *secure, const struct bench_server *clear)
{
	enum { SECURE, CLEAR, SIDES };
	struct side sides[SIDES];
	struct calls *calls[SIDES] = {
	    make(secure->port, CONNECTIONS, IN_FLIGHT),
	    make(clear->port, CONNECTIONS, IN_FLIGHT),
	};
	bench->sluiced = *secure;
	bench->clear = *clear;
	size_t pairs = pairs_run(bench, "T", calls, SIDES, sides);
	report_add(bench->report, &claims->rate, "pinned", sides[SECURE].rate, sides[CLEAR].rate,
		   pairs);
	report_add(bench->report, &claims->cpu, "pinned", sides[SECURE].cpu_us, sides[CLEAR].cpu_us,
		   pairs);
	bench->sluiced = bench->clear = (struct bench_server){.process = NULL};
	for (unsigned i = 0; i < SIDES; i++) {
		calls_free(calls[i]);
	}
}

static void compare_sluiced(struct bench *bench, const char *keys)
{
	SL_AUTO(sl_free_auto) char *store = bench_store_clear(bench, "clear");
	struct bench_server clear = servers_sluiced(store, true);
	struct bench_server secure = servers_sluiced(keys, true);
	compare(bench, &writes, calls_sluice_round, &secure, &clear);
	compare(bench, &reads, calls_sluice_read, &secure, &clear);
	servers_stop(&secure);
	servers_stop(&clear);
	host_remove(store);
}

static void compare_bare(struct bench *bench, const char *keys)
{
	struct bench_server clear = servers_bare(REPLY_BYTES, true, NULL);
	struct bench_server secure = servers_bare(REPLY_BYTES, true, keys);
	compare(bench, &bare, calls_bare, &secure, &clear);
	servers_stop(&secure);
	servers_stop(&clear);
}

void row_transport(struct bench *bench)
{
	SL_AUTO(sl_free_auto) char *keys = bench_store_clear(bench, "secure");
	secure_init(keys);
	bench->pinned = true;
	compare_sluiced(bench, keys);
	compare_bare(bench, keys);
	bench->pinned = false;
	host_remove(keys);
}

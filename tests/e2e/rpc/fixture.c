#include "tests/e2e/rpc/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock/clock.h"
#include "proto/descriptors.h"

static const char *const services[] = {"test.Test", NULL};

static void *run(void *ctx)
{
	rpc_server_run(ctx);
	return NULL;
}

static void on_tick(void *ctx)
{
	struct fixture *f = ctx;
	atomic_fetch_add(&f->ticks, 1);
}

static void on_finished(void *ctx, const struct rpc_method *method, sl_code code, uint64_t us)
{
	struct fixture *f = ctx;
	(void)method;
	(void)us;
	atomic_fetch_add(&f->finished[code], 1);
}

struct fixture *fixture_new(const struct rpc_method *methods, size_t count, unsigned drain_ms)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sl_err err = SL_ERR_INIT;
	const struct rpc_options options = {
	    .listen = "127.0.0.1:0",
	    .methods = methods,
	    .method_count = count,
	    .ctx = f,
	    .descriptors = SL_BYTES(sluice_descriptors, sluice_descriptors_size),
	    .services = services,
	    .message_max = 1 << 20,
	    .on_tick = on_tick,
	    .tick_ms = 20,
	    .on_finished = on_finished,
	    .drain_ms = drain_ms,
	};
	if (rpc_server_new(&options, &f->server, &err) != SL_OK ||
	    pthread_create(&f->thread, NULL, run, f->server) != 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	return f;
}

unsigned fixture_stop(struct fixture *f)
{
	uint64_t began = sl_clock_mono_ms();
	rpc_server_stop(f->server);
	(void)pthread_join(f->thread, NULL);
	f->joined = true;
	return (unsigned)(sl_clock_mono_ms() - began);
}

void fixture_free(struct fixture *f)
{
	if (!f->joined) {
		(void)fixture_stop(f);
	}
	rpc_server_free(f->server);
	free(f);
}

void sleep_ms(unsigned ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	(void)nanosleep(&time, NULL);
}

bool wait_until(atomic_uint *value, unsigned least)
{
	for (unsigned i = 0; i < 12000; i++) {
		if (atomic_load(value) >= least) {
			return true;
		}
		sleep_ms(5);
	}
	return false;
}

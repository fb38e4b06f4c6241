/* The server's life:
 *
 *   SERVING --stop--> DRAINING --nothing busy, or drain_ms over--> SHUTTING --all gone--> STOPPED
 *
 * DRAINING   health says NOT_SERVING, streams are ended, new calls are refused
 *            by us, so that their clients get a status; running ones go on
 * SHUTTING   gRPC takes no call any more; what is left of connections is cut
 *            after a moment, or at once when drain_ms was needed
 *
 * server_step() makes every move, on the queue thread, after each event. */
#include <stddef.h>
#include <string.h>

#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "base/clock/clock.h"
#include "base/tls/hooks.h"
#include "server/rpc/accept_guard.h"
#include "server/rpc/porch.h"
#include "server/rpc/rpc_internal.h"

/* Calls that come while none is armed wait in gRPC until the next one is, which is before the
 * handler runs. So few do: Debian's gRPC has its assertions in, and looks at each event through the
 * tags of all that is armed. */
#define HOT_ACCEPTS 8
#define STREAM_ACCEPTS 1
#define STRAY_ACCEPTS 8
#define TICK_MS_DEFAULT 100
#define DRAIN_MS_DEFAULT 4000
#define GOODBYE_MS 200 /* for clients to close by themselves, once nothing runs */
#define SWEEP_MS 1000

enum { SERVING, DRAINING, SHUTTING, STOPPED };

static const struct sl_sm_state server_states[] = {
    [SERVING] = {"SERVING", SL_SM_TO(DRAINING)},
    [DRAINING] = {"DRAINING", SL_SM_TO(SHUTTING)},
    [SHUTTING] = {"SHUTTING", SL_SM_TO(STOPPED)},
    [STOPPED] = {"STOPPED", 0},
};

const char *const rpc_builtin_services[] = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    NULL,
};

static const struct rpc_method builtin_methods[] = {
    {.path = "/grpc.health.v1.Health/Check", .handle = rpc_health_check},
    {.path = "/grpc.health.v1.Health/Watch", .stream = &rpc_health_watch},
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", .stream = &rpc_reflect},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     .stream = &rpc_reflect},
};

SL_DEFINE_AUTO(struct rpc_server *, rpc_server_free);

/* --- running ------------------------------------------------------------------------ */

bool rpc_server_is_draining(const struct rpc_server *server)
{
	return server->sm.at != SERVING;
}

bool rpc_server_accepts(const struct rpc_server *server)
{
	return server->sm.at == SERVING || server->sm.at == DRAINING;
}

bool rpc_server_on_queue_thread(const struct rpc_server *server)
{
	return server->running && pthread_equal(pthread_self(), server->queue_thread);
}

void rpc_server_call_gone(struct rpc_server *server, bool was_busy)
{
	server->calls--;
	server->busy -= was_busy;
}

void rpc_server_finished(const struct rpc_bound_method *bound, sl_code code, uint64_t began_us)
{
	const struct rpc_options *options = &bound->server->options;
	if (options->on_finished != NULL) {
		uint64_t us = began_us != 0 ? sl_clock_mono_us() - began_us : 0;
		options->on_finished(options->ctx, bound->method, code, us);
	}
}

sl_code rpc_stopping(struct sl_err *err)
{
	return sl_err_because(err, SL_UNAVAILABLE, SL_REASON_STOPPING, "the server is stopping");
}

static void on_stopped(struct rpc_tag *tag, bool ok)
{
	(void)tag;
	(void)ok;
}

static bool is_gone(const struct rpc_server *server)
{
	return server->calls == 0 &&
	       !atomic_load_explicit(&server->stopped.queued, memory_order_acquire);
}

static void server_step(struct rpc_server *server, uint64_t now_ms)
{
	switch (server->sm.at) {
	case SERVING:
		if (!atomic_load_explicit(&server->stop_asked, memory_order_acquire)) {
			return;
		}
		sl_sm_move(&server->sm, DRAINING);
		server->drain_until_ms = now_ms + server->options.drain_ms;
		rpc_streams_stop(server);
		return;
	case DRAINING:
		if (server->busy > 0 && now_ms < server->drain_until_ms) {
			return;
		}
		sl_sm_move(&server->sm, SHUTTING);
		server->cut_at_ms = now_ms + (server->busy == 0 ? GOODBYE_MS : 0);
		rpc_tag_queue(&server->stopped);
		grpc_server_shutdown_and_notify(server->grpc, server->cq, &server->stopped);
		return;
	case SHUTTING:
		if (is_gone(server)) {
			sl_sm_move(&server->sm, STOPPED);
			grpc_completion_queue_shutdown(server->cq);
			return;
		}
		if (!server->cut && now_ms >= server->cut_at_ms) {
			server->cut = true;
			grpc_server_cancel_all_calls(server->grpc);
		}
		return;
	default:
		return;
	}
}

static void tick(struct rpc_server *server, uint64_t now_ms)
{
	server->next_tick_ms = now_ms + server->options.tick_ms;
	porch_tick();
	if (now_ms >= server->next_sweep_ms) {
		server->next_sweep_ms = now_ms + SWEEP_MS;
		rpc_streams_sweep(server, now_ms);
	}
	if (server->options.on_tick != NULL && server->sm.at != STOPPED) {
		server->options.on_tick(server->options.ctx);
	}
}

static gpr_timespec in_ms(uint64_t ms)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
			    gpr_time_from_millis((int64_t)ms, GPR_TIMESPAN));
}

void rpc_server_run(struct rpc_server *server)
{
	server->queue_thread = pthread_self();
	server->running = true;
	gpr_timespec wake = in_ms(0);
	for (;;) {
		grpc_event event = grpc_completion_queue_next(server->cq, wake, NULL);
		if (event.type == GRPC_QUEUE_SHUTDOWN) {
			server->running = false;
			return;
		}
		if (event.type == GRPC_OP_COMPLETE) {
			rpc_tag_fire(event.tag, event.success != 0);
		}
		uint64_t now_ms = sl_clock_mono_ms();
		if (now_ms >= server->next_tick_ms) {
			tick(server, now_ms);
			wake = in_ms(server->options.tick_ms);
		}
		server_step(server, now_ms);
	}
}

void rpc_server_stop(struct rpc_server *server)
{
	atomic_store_explicit(&server->stop_asked, true, memory_order_release);
}

/* --- building ----------------------------------------------------------------------- */

/* 0: it is not registered, but found by path. */
static unsigned accepts_of(const struct rpc_method *method)
{
	if (method->stream != NULL) {
		return STREAM_ACCEPTS;
	}
	return method->hot ? HOT_ACCEPTS : 0;
}

static bool is_bound(const struct rpc_server *server, const struct rpc_method *method)
{
	for (size_t i = 0; i < server->method_count; i++) {
		if (strcmp(server->methods[i].method->path, method->path) == 0) {
			return true;
		}
	}
	return false;
}

static sl_code bind_method(struct rpc_server *server, const struct rpc_method *method, bool builtin,
			   struct sl_err *err)
{
	grpc_server_register_method_payload_handling payload =
	    method->stream != NULL ? GRPC_SRM_PAYLOAD_NONE
				   : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER;
	struct rpc_bound_method bound = {
	    .method = method,
	    .path_size = strlen(method->path),
	    .server = server,
	    .ctx = builtin ? server : server->options.ctx,
	    .builtin = builtin,
	};
	if (is_bound(server, method)) {
		return sl_err_set(err, SL_ALREADY_EXISTS, "method '%s' is listed twice",
				  method->path);
	}
	if (accepts_of(method) > 0) {
		bound.registered =
		    grpc_server_register_method(server->grpc, method->path, NULL, payload, 0);
	}
	server->methods[server->method_count++] = bound;
	return SL_OK;
}

static sl_code bind_methods(struct rpc_server *server, struct sl_err *err)
{
	const struct rpc_options *options = &server->options;
	server->methods =
	    calloc(options->method_count + SL_COUNT(builtin_methods), sizeof(*server->methods));
	if (server->methods == NULL) {
		return sl_err_no_memory(err);
	}
	for (size_t i = 0; i < SL_COUNT(builtin_methods); i++) {
		sl_code code = bind_method(server, &builtin_methods[i], true, err);
		if (code != SL_OK) {
			return code;
		}
	}
	for (size_t i = 0; i < options->method_count; i++) {
		sl_code code = bind_method(server, &options->methods[i], false, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return SL_OK;
}

/* Returns 0 when nobody can listen there. */
static int add_port(struct rpc_port *port, const char *listen)
{
	grpc_server_credentials *credentials = rpc_credentials_new(port);
	int number = grpc_server_add_http2_port(port->server->grpc, listen, credentials);
	grpc_server_credentials_release(credentials);
	return number;
}

static sl_code open_porch(struct rpc_server *server, struct sl_err *err)
{
	char address[PORCH_ADDRESS_SIZE];
	sl_code code = porch_open(server->port, address, err);
	if (code == SL_OK && add_port(&server->porch, address) == 0) {
		code = sl_err_set(err, SL_UNAVAILABLE, "cannot listen on '%s'", address);
	}
	return code;
}

static sl_code listen_on(struct rpc_server *server, struct sl_err *err)
{
	const struct rpc_options *options = &server->options;
	struct accept_guard_counts counts;
	accept_guard_read(&counts);
	server->accepted_before = counts.accepted;
	accept_guard_set(&(struct accept_guard_limits){
	    .connections_max = options->connections_max,
	    .per_second = options->accepts_per_second,
	});
	server->port = add_port(&server->main, options->listen);
	if (server->port == 0) {
		return sl_err_set(
		    err, SL_UNAVAILABLE,
		    "cannot listen on '%s': the port is taken or the address is wrong",
		    options->listen);
	}
	return options->tls != NULL && options->tls->admit != NULL ? open_porch(server, err)
								   : SL_OK;
}

static void start(struct rpc_server *server)
{
	grpc_server_start(server->grpc);
	for (size_t i = 0; i < server->method_count; i++) {
		struct rpc_bound_method *bound = &server->methods[i];
		for (unsigned n = accepts_of(bound->method); n > 0; n--) {
			if (bound->method->stream != NULL) {
				rpc_stream_accept(bound);
			} else {
				rpc_call_accept(bound);
			}
		}
	}
	for (unsigned n = 0; n < STRAY_ACCEPTS; n++) {
		rpc_stray_accept(server);
	}
}

static sl_code build(struct rpc_server *server, struct sl_err *err)
{
	server->cq = grpc_completion_queue_create_for_next(NULL);
	server->grpc = rpc_grpc_server_new(&server->options);
	grpc_server_register_completion_queue(server->grpc, server->cq, NULL);
	sl_code code = rpc_reflection_new(server->options.descriptors, &server->reflection, err);
	if (code == SL_OK) {
		code = bind_methods(server, err);
	}
	if (code == SL_OK) {
		code = listen_on(server, err);
	}
	return code;
}

sl_code rpc_server_new(const struct rpc_options *options, struct rpc_server **ret_server,
		       struct sl_err *err)
{
	SL_AUTO(rpc_server_free_auto) struct rpc_server *server = calloc(1, sizeof(*server));
	if (server == NULL) {
		return sl_err_no_memory(err);
	}
	rpc_library_init();
	sl_sm_init(&server->sm, server_states, SERVING);
	server->stopped.fire = on_stopped;
	rpc_wake_init(server);
	server->options = *options;
	server->main.server = server->porch.server = server;
	if (options->tick_ms == 0) {
		server->options.tick_ms = TICK_MS_DEFAULT;
	}
	if (options->drain_ms == 0) {
		server->options.drain_ms = DRAIN_MS_DEFAULT;
	}
	sl_code code = build(server, err);
	if (code != SL_OK) {
		return code;
	}
	start(server);
	*ret_server = SL_TAKE(server);
	return SL_OK;
}

int rpc_server_port(const struct rpc_server *server)
{
	return server->port;
}

unsigned rpc_server_connections(const struct rpc_server *server)
{
	struct accept_guard_counts counts;
	accept_guard_read(&counts);
	return (unsigned)(counts.accepted - server->accepted_before);
}

void rpc_server_free(struct rpc_server *server)
{
	if (server == NULL) {
		return;
	}
	if (server->sm.at != STOPPED) { /* never ran: stop it here */
		server->options.on_tick = NULL;
		rpc_server_stop(server);
		rpc_server_run(server);
	}
	grpc_server_destroy(server->grpc);
	grpc_completion_queue_destroy(server->cq);
	if (server->options.tls != NULL && server->options.tls->admit != NULL) {
		porch_shut();
		tls_hooks_admit(NULL, NULL);
	}
	rpc_reflection_free(server->reflection);
	rpc_identities_free(server);
	free(server->methods);
	free(server);
	grpc_shutdown();
}

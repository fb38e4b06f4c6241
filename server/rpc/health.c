/* grpc.health.v1.Health: serving until the server drains. */
#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "server/rpc/rpc_internal.h"

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;
#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

/* What a watch asked about, kept as its user value. */
static char watches_known, watches_unknown;

static bool is_listed(const char *const *services, const char *name)
{
	for (; services != NULL && *services != NULL; services++) {
		if (strcmp(*services, name) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_service(const struct rpc_server *server, const char *name)
{
	return name[0] == '\0' || is_listed(server->options.services, name) ||
	       is_listed(rpc_builtin_services, name);
}

static serving_status status_now(const struct rpc_server *server)
{
	return rpc_server_is_draining(server) ? NOT_SERVING : SERVING;
}

/* An answer is a tag and a value below 128: two bytes. */
static struct sl_bytes pack(serving_status status, uint8_t buffer[static 8])
{
	Grpc__Health__V1__HealthCheckResponse response =
	    GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	response.status = status;
	return SL_BYTES(buffer, grpc__health__v1__health_check_response__pack(&response, buffer));
}

static sl_code unpack(struct sl_bytes request, Grpc__Health__V1__HealthCheckRequest **ret_asked,
		      struct sl_err *err)
{
	Grpc__Health__V1__HealthCheckRequest *asked =
	    grpc__health__v1__health_check_request__unpack(NULL, request.size, request.data);
	if (asked == NULL) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "the request is not a grpc.health.v1.HealthCheckRequest");
	}
	*ret_asked = asked;
	return SL_OK;
}

static sl_code check(const struct rpc_server *server, struct sl_bytes request, struct sl_err *err)
{
	Grpc__Health__V1__HealthCheckRequest *asked = NULL;
	sl_code code = unpack(request, &asked, err);
	if (code != SL_OK) {
		return code;
	}
	if (!is_service(server, asked->service)) {
		code = sl_err_set(err, SL_NOT_FOUND, "no service '%.200s'", asked->service);
	}
	grpc__health__v1__health_check_request__free_unpacked(asked, NULL);
	return code;
}

void rpc_health_check(struct rpc_call *call, struct sl_bytes request, void *server)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint8_t buffer[8];
	sl_code code = check(server, request, &err);
	rpc_call_finish(call, code, &err, pack(status_now(server), buffer));
}

static void fail(struct rpc_stream *watch, sl_code code, const char *text)
{
	struct sl_err err = SL_ERR_INIT;
	(void)sl_err_set(&err, code, "%s", text);
	rpc_stream_finish(watch, code, &err);
}

static void tell(struct rpc_stream *watch, serving_status status)
{
	uint8_t buffer[8];
	if (rpc_stream_send_bytes(watch, pack(status, buffer), 0) == SL_RESOURCE_EXHAUSTED) {
		fail(watch, SL_RESOURCE_EXHAUSTED, "out of memory");
	}
}

static void on_message(struct rpc_stream *watch, struct sl_bytes request, void *ctx)
{
	const struct rpc_server *server = ctx;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Grpc__Health__V1__HealthCheckRequest *asked = NULL;
	sl_code code = unpack(request, &asked, &err);
	if (code != SL_OK) {
		rpc_stream_finish(watch, code, &err);
		return;
	}
	bool known = is_service(server, asked->service);
	grpc__health__v1__health_check_request__free_unpacked(asked, NULL);
	rpc_stream_set_user(watch, known ? &watches_known : &watches_unknown);
	tell(watch, known ? status_now(server) : SERVICE_UNKNOWN);
}

static void on_half_closed(struct rpc_stream *watch, void *ctx)
{
	(void)ctx;
	if (rpc_stream_user(watch) == NULL) {
		fail(watch, SL_INVALID_ARGUMENT, "Watch needs one request");
	}
}

static void on_drained(struct rpc_stream *watch, void *ctx)
{
	if (rpc_server_is_draining(ctx)) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		sl_code code = rpc_stopping(&err);
		rpc_stream_finish(watch, code, &err); /* NOT_SERVING is on its way */
	}
}

const struct rpc_stream_events rpc_health_watch = {
    .message = on_message,
    .half_closed = on_half_closed,
    .drained = on_drained,
};

void rpc_health_stopping(struct rpc_stream *watch)
{
	if (rpc_stream_user(watch) == &watches_known) {
		tell(watch, NOT_SERVING);
		return;
	}
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = rpc_stopping(&err);
	rpc_stream_finish(watch, code, &err);
}

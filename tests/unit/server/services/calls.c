#include "tests/unit/server/services/calls.h"

#include <semaphore.h>
#include <string.h>

#include "server/rpc/rpc.h"

/* --- the transport: calls that begin and end here ------------------------------------------- */

struct rpc_call {
	const struct rpc_method *method;
	struct world *w;
	struct sl_bytes response; /* in w->arena */
	sem_t finished;
};

void *rpc_call_row(const struct rpc_call *call)
{
	return call->method->row;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *call)
{
	return call->method;
}

uint64_t rpc_call_deadline_mono_ms(const struct rpc_call *call)
{
	(void)call;
	return UINT64_MAX;
}

bool rpc_call_is_cancelled(const struct rpc_call *call)
{
	(void)call;
	return false;
}

const char *rpc_call_peer(const struct rpc_call *call)
{
	(void)call;
	return "test";
}

void rpc_call_finish(struct rpc_call *call, sl_code code, const struct sl_err *err,
		     struct sl_bytes response)
{
	call->w->code = code;
	if (code != SL_OK) {
		(void)sl_err_because(&call->w->err, code, err->reason, "%s", err->msg);
	} else {
		call->response = SL_BYTES(
		    sl_arena_dup(&call->w->arena, response.data, response.size), response.size);
	}
	sem_post(&call->finished);
}

/* --- calls ------------------------------------------------------------------------------------ */

static const struct rpc_method *find_method(const char *name)
{
	static const struct rpc_method *methods;
	static size_t count;
	if (methods == NULL) {
		methods = services_rpc_methods(&count);
	}
	for (size_t i = 0; i < count; i++) {
		if (strcmp(strrchr(methods[i].path, '/') + 1, name) == 0) {
			return &methods[i];
		}
	}
	fail_msg("no method %s", name);
	return NULL;
}

static const ProtobufCMessageDescriptor *response_type(const ProtobufCMessageDescriptor *request)
{
	static const struct service_method *const tables[] = {repository_methods, app_methods,
							      version_methods};
	static const size_t counts[] = {SL_COUNT(repository_methods), SL_COUNT(app_methods),
					SL_COUNT(version_methods)};
	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		for (size_t j = 0; j < counts[i]; j++) {
			if (tables[i][j].request == request) {
				return tables[i][j].response;
			}
		}
	}
	fail_msg("no response to %s", request->name);
	return NULL;
}

sl_code calls_make(struct world *w, const char *method, const void *message, void *ret_response)
{
	const ProtobufCMessage *request = message;
	struct rpc_call call = {.method = find_method(method), .w = w};
	size_t size = protobuf_c_message_get_packed_size(request);
	uint8_t *bytes = sl_arena_alloc(&w->arena, size + 1);
	protobuf_c_message_pack(request, bytes);
	sl_err_clear(&w->err);
	sem_init(&call.finished, 0, 0);
	call.method->handle(&call, SL_BYTES(bytes, size), &w->services);
	while (sem_wait(&call.finished) != 0) {
	}
	sem_destroy(&call.finished);
	if (w->code == SL_INTERNAL || w->code == SL_DATA_LOSS || w->code == SL_UNIMPLEMENTED) {
		fail_msg("%s: %s: %s", method, sl_code_name(w->code), w->err.msg);
	}
	if (w->code == SL_OK && ret_response != NULL) {
		*(ProtobufCMessage **)ret_response = protobuf_c_message_unpack(
		    response_type(request->descriptor), sl_arena_protobuf(&w->arena),
		    call.response.size, call.response.data);
	}
	return w->code;
}

/* One function per method, all through sluice_invoke(): request id, deadline, retries. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/id/id.h"
#include "base/mem/own.h"
#include "client/api/api_internal.h"

enum { WAIT_DEFAULT_MS = 60 * 1000, WAIT_GRACE_MS = 10 * 1000 };

/* protobuf-c spells an I that stands alone so. */
#define sluice__v1__who_am_i_request__descriptor sluice__v1__who_am_irequest__descriptor
#define sluice__v1__who_am_i_response__descriptor sluice__v1__who_am_iresponse__descriptor

#define METHOD(name, Method, Service)                                                              \
	[SLUICE_RPC_##Method] = {"/sluice.v1." #Service "/" #Method,                               \
				 &sluice__v1__##name##_request__descriptor,                        \
				 &sluice__v1__##name##_response__descriptor},
static const sluice_method methods[SLUICE_RPC_COUNT] = {SLUICE_METHODS(METHOD)};
#undef METHOD

const sluice_method *sluice_method_of(enum sluice_rpc rpc)
{
	assert((unsigned)rpc < SLUICE_RPC_COUNT);
	return &methods[rpc];
}

void sluice_message_free(void *message)
{
	protobuf_c_message_free_unpacked(message, NULL);
}

sl_code api_pack(const ProtobufCMessage *message, struct sl_bytes *ret_bytes, struct sl_err *err)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = malloc(size + 1);
	if (data == NULL) {
		return sl_err_no_memory(err);
	}
	*ret_bytes = SL_BYTES(data, protobuf_c_message_pack(message, data));
	return SL_OK;
}

static const ProtobufCFieldDescriptor *write_field(const ProtobufCMessageDescriptor *request)
{
	const ProtobufCFieldDescriptor *field =
	    protobuf_c_message_descriptor_get_field_by_name(request, "write");
	bool right = field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE &&
		     field->descriptor == &sluice__v1__write_options__descriptor;
	return right ? field : NULL;
}

/* Packs the request; a mutating one without a request id gets one. The caller's stays as it is:
 * only the two structs on the way to the id are copied. */
static sl_code pack_request(const ProtobufCMessage *request, struct sl_bytes *ret_bytes,
			    struct sl_err *err)
{
	const ProtobufCFieldDescriptor *field = write_field(request->descriptor);
	if (field == NULL) {
		return api_pack(request, ret_bytes, err);
	}
	Sluice__V1__WriteOptions *given = NULL;
	memcpy(&given, (const char *)request + field->offset, sizeof(given));
	if (given != NULL && given->request_id[0] != '\0') {
		return api_pack(request, ret_bytes, err);
	}
	struct sl_id id = sl_id_new("req");
	Sluice__V1__WriteOptions fresh = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__WriteOptions *write = &fresh;
	if (given != NULL) {
		fresh = *given;
	}
	fresh.request_id = id.text;
	SL_AUTO(sl_free_auto) char *copy = malloc(request->descriptor->sizeof_message);
	if (copy == NULL) {
		return sl_err_no_memory(err);
	}
	memcpy(copy, request, request->descriptor->sizeof_message);
	memcpy(copy + field->offset, &write, sizeof(write));
	return api_pack((const ProtobufCMessage *)(const void *)copy, ret_bytes, err);
}

/* One call on the wire and what it may take. */
struct attempt {
	sluice_client *client;
	const sluice_method *method;
	struct sl_bytes request;
	uint64_t deadline_mono_ms;
};

static sl_code try_once(const struct attempt *a, uint8_t **ret_reply, size_t *ret_size,
			struct sl_err *err)
{
	uint64_t now = sl_clock_mono_ms();
	unsigned left = a->deadline_mono_ms > now ? (unsigned)(a->deadline_mono_ms - now) : 1;
	return crpc_unary(a->client->channel, a->method->path, a->request, left, false, ret_reply,
			  ret_size, err);
}

static sl_code try_until(const struct attempt *a, uint8_t **ret_reply, size_t *ret_size,
			 struct sl_err *err)
{
	for (unsigned attempt = 1;; attempt++) {
		sl_code code = try_once(a, ret_reply, ret_size, err);
		if (code == SL_OK || !api_is_transient(err) || attempt >= a->client->attempts_max) {
			return code;
		}
		uint32_t pause = api_backoff(a->client, attempt);
		if (sl_clock_mono_ms() + pause >= a->deadline_mono_ms) {
			return code; /* tells more than "deadline exceeded" would */
		}
		api_sleep(pause);
		sl_err_clear(err);
	}
}

static uint32_t timeout_of(const sluice_client *client, enum sluice_rpc rpc,
			   const sluice_call *call, const ProtobufCMessage *request)
{
	if (call != NULL && call->timeout_ms != 0) {
		return call->timeout_ms;
	}
	if (rpc != SLUICE_RPC_WaitFor) {
		return client->timeout_ms;
	}
	const Sluice__V1__WaitForRequest *wait = (const Sluice__V1__WaitForRequest *)request;
	return (wait->timeout_ms != 0 ? wait->timeout_ms : WAIT_DEFAULT_MS) + WAIT_GRACE_MS;
}

static sl_code unpack(const sluice_method *method, const uint8_t *reply, size_t size,
		      ProtobufCMessage **ret_response, struct sl_err *err)
{
	ProtobufCMessage *response = protobuf_c_message_unpack(method->response, NULL, size, reply);
	if (response == NULL) {
		return sl_err_set(err, SL_INTERNAL, "the server's answer to %s is malformed",
				  method->path);
	}
	*ret_response = response;
	return SL_OK;
}

static sl_code invoke(const struct attempt *a, ProtobufCMessage **ret_response, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *reply = NULL;
	size_t size = 0;
	sl_code code = try_until(a, &reply, &size, err);
	return code != SL_OK ? code : unpack(a->method, reply, size, ret_response, err);
}

int sluice_invoke(sluice_client *client, enum sluice_rpc rpc, const sluice_call *call,
		  const ProtobufCMessage *request, ProtobufCMessage **ret_response,
		  sluice_error *error)
{
	const sluice_method *method = sluice_method_of(rpc);
	assert(request->descriptor == method->request);
	struct sl_err err = SL_ERR_INIT;
	struct attempt a = {
	    .client = client,
	    .method = method,
	    .deadline_mono_ms = sl_clock_mono_ms() + timeout_of(client, rpc, call, request),
	};
	sl_code code = pack_request(request, &a.request, &err);
	if (code == SL_OK) {
		code = invoke(&a, ret_response, &err);
		free((void *)a.request.data);
	}
	return code == SL_OK ? SLUICE_OK : api_fail(error, &err);
}

#define DEFINE(name, Method, Service)                                                              \
	int sluice_##name(sluice_client *client, const sluice_call *call,                          \
			  const Sluice__V1__##Method##Request *request,                            \
			  Sluice__V1__##Method##Response **ret_response, sluice_error *error)      \
	{                                                                                          \
		ProtobufCMessage *response = NULL;                                                 \
		int code = sluice_invoke(client, SLUICE_RPC_##Method, call, &request->base,        \
					 &response, error);                                        \
		if (code == SLUICE_OK) {                                                           \
			*ret_response = (Sluice__V1__##Method##Response *)response;                \
		}                                                                                  \
		return code;                                                                       \
	}
SLUICE_METHODS(DEFINE)

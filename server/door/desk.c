#include "server/door/desk.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/log/log.h"
#include "base/mem/arena.h"
#include "base/mem/own.h"

enum { ARENA_MAX = 4 << 20 };

struct desk {
	struct desk_options options;
	struct limits *limits;
};

sl_code desk_new(const struct desk_options *options, struct desk **ret_desk, struct sl_err *err)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	if (desk == NULL) {
		return sl_err_no_memory(err);
	}
	desk->options = *options;
	sl_code code = limits_new(options->peer, options->overall, &desk->limits, err);
	if (code != SL_OK) {
		free(desk);
		return code;
	}
	*ret_desk = desk;
	return SL_OK;
}

void desk_free(struct desk *desk)
{
	if (desk != NULL) {
		limits_free(desk->limits);
		free(desk);
	}
}

/* --- the door's own certificate ----------------------------------------------------------- */

static void copy_certificates(void *ctx, const struct rpc_certificates *certificates)
{
	struct door_certificate *own = ctx;
	own->cert_pem = strdup(certificates->cert_pem);
	own->key_pem = sl_secret_text(certificates->key_pem, strlen(certificates->key_pem));
}

sl_code desk_certificate(void *ctx, struct door_certificate *ret_certificate, struct sl_err *err)
{
	struct desk *desk = ctx;
	const struct rpc_tls *tls = ca_door_tls(desk->options.ca);
	struct door_certificate own = {.cert_pem = NULL};
	tls->certificates(tls->ctx, copy_certificates, &own);
	sl_code code = ca_trust(desk->options.ca, &own.ca_pem, err);
	if (code == SL_OK && (own.cert_pem == NULL || own.key_pem == NULL)) {
		code = sl_err_no_memory(err);
	}
	if (code != SL_OK) {
		free(own.cert_pem);
		free(own.ca_pem);
		sl_secret_free(own.key_pem);
		return code;
	}
	*ret_certificate = own;
	return SL_OK;
}

/* --- what is asked -------------------------------------------------------------------------- */

/* As a text; "" when it holds a NUL: then it is no PEM. NULL: out of memory. */
static char *text_of(struct sl_arena *arena, struct sl_bytes bytes)
{
	if (bytes.size > 0 && memchr(bytes.data, '\0', bytes.size) != NULL) {
		return sl_arena_strdup(arena, "");
	}
	return sl_arena_printf(arena, "%.*s", (int)bytes.size, (const char *)bytes.data);
}

static ProtobufCBinaryData binary(struct sl_bytes bytes)
{
	return (ProtobufCBinaryData){.data = (uint8_t *)bytes.data, .len = bytes.size};
}

static void pack(const ProtobufCMessage *response, struct sl_buf *reply)
{
	size_t size = protobuf_c_message_get_packed_size(response);
	uint8_t *bytes = malloc(size + 1);
	if (bytes == NULL) {
		reply->failed = true;
		return;
	}
	sl_buf_append(reply, bytes, protobuf_c_message_pack(response, bytes));
	free(bytes);
}

static sl_code enroll(struct desk *desk, struct sl_arena *arena, const struct door_ask *ask,
		      struct sl_buf *reply, struct sl_err *err)
{
	Sluice__V1__EnrollRequest request = SLUICE__V1__ENROLL_REQUEST__INIT;
	Sluice__V1__EnrollResponse response = SLUICE__V1__ENROLL_RESPONSE__INIT;
	request.token = (char *)ask->token;
	request.certificate_request = text_of(arena, ask->request);
	request.box_key = binary(ask->box_key);
	request.signature = binary(ask->signature);
	if (request.certificate_request == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code =
	    admission_enroll(desk->options.admission, arena, ask->peer, &request, &response, err);
	if (code == SL_OK) {
		pack(&response.base, reply);
	}
	return code;
}

static sl_code login(struct desk *desk, struct sl_arena *arena, const struct door_ask *ask,
		     struct sl_buf *reply, struct sl_err *err)
{
	Sluice__V1__LoginRequest request = SLUICE__V1__LOGIN_REQUEST__INIT;
	Sluice__V1__LoginResponse response = SLUICE__V1__LOGIN_RESPONSE__INIT;
	request.token = (char *)ask->token;
	request.certificate_request = text_of(arena, ask->request);
	if (request.certificate_request == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code =
	    admission_login(desk->options.admission, arena, ask->peer, &request, &response, err);
	if (code == SL_OK) {
		pack(&response.base, reply);
	}
	return code;
}

static sl_code renew(struct desk *desk, struct sl_arena *arena, const struct door_ask *ask,
		     struct sl_buf *reply, struct sl_err *err)
{
	Sluice__V1__RenewRequest request = SLUICE__V1__RENEW_REQUEST__INIT;
	Sluice__V1__RenewResponse response = SLUICE__V1__RENEW_RESPONSE__INIT;
	request.certificate = text_of(arena, ask->certificate);
	request.certificate_request = text_of(arena, ask->request);
	request.counter = ask->counter;
	request.nonce = binary(ask->nonce);
	request.signature = binary(ask->signature);
	if (request.certificate == NULL || request.certificate_request == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = admission_renew_late(desk->options.admission, arena, ask->peer, &request,
					    &response, err);
	if (code == SL_OK) {
		pack(&response.base, reply);
	}
	return code;
}

sl_code desk_answer(void *ctx, const struct door_ask *ask, struct sl_buf *reply, struct sl_err *err)
{
	static sl_code (*const methods[])(struct desk *, struct sl_arena *, const struct door_ask *,
					  struct sl_buf *, struct sl_err *) = {
	    [DOOR_METHOD_ENROLL] = enroll,
	    [DOOR_METHOD_LOGIN] = login,
	    [DOOR_METHOD_RENEW] = renew,
	};
	static const char *const names[] = {"Enroll", "Login", "Renew"};
	struct desk *desk = ctx;
	uint64_t wait_ms = 0;
	if (!limits_take(desk->limits, ask->peer, sl_clock_mono_us(), &wait_ms)) {
		return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_RATE_LIMITED,
				      "too many at the door: try again in %lu ms",
				      (unsigned long)wait_ms);
	}
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, ARENA_MAX);
	sl_code code = methods[ask->method](desk, &arena, ask, reply, err);
	if (code != SL_OK) {
		log_info("door-refused", "method=%s peer=%s code=%s reason=%s error=%s",
			 names[ask->method], ask->peer, sl_code_name(code),
			 sl_reason_name(err->reason), SL_QUOTE(err->msg));
	}
	return code;
}

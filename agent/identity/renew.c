/* The next certificate of an identity. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/identity_internal.h"
#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/tls/tls.h"
#include "sluice/v1/door.pb-c.h"
#include "sluice/v1/identity.pb-c.h"

enum { PROVEN_MAX = 128 };

uint64_t identity_due_ms(const struct identity *identity)
{
	bool over = identity->not_after_ms <= identity->taken_ms;
	return over ? identity->not_after_ms
		    : identity->taken_ms + (identity->not_after_ms - identity->taken_ms) / 2;
}

bool identity_is_due(const struct identity *identity, uint64_t now_ms)
{
	return now_ms >= identity_due_ms(identity);
}

bool identity_is_over(const struct identity *identity, uint64_t now_ms)
{
	return now_ms >= identity->not_after_ms;
}

/* --- asking ------------------------------------------------------------------------------ */

static void pack(const ProtobufCMessage *message, struct sl_buf *out)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = malloc(size + 1);
	if (bytes == NULL) {
		out->failed = true;
		return;
	}
	sl_buf_append(out, bytes, protobuf_c_message_pack(message, bytes));
	free(bytes);
}

static void pack_early(const struct identity *identity, char *csr, struct sl_buf *out)
{
	Sluice__V1__RenewCertificateRequest request = SLUICE__V1__RENEW_CERTIFICATE_REQUEST__INIT;
	request.certificate_request = csr;
	request.counter = identity->renewals + 1;
	request.nonce =
	    (ProtobufCBinaryData){.data = (uint8_t *)identity->nonce, .len = IDENTITY_NONCE_BYTES};
	pack(&request.base, out);
}

static sl_code pack_late(const struct identity *identity, const struct tls_key *key, char *csr,
			 struct sl_buf *out, struct sl_err *err)
{
	uint8_t text[PROVEN_MAX], signature[TLS_SIGNATURE_MAX];
	Sluice__V1__RenewRequest request = SLUICE__V1__RENEW_REQUEST__INIT;
	int head = snprintf((char *)text, sizeof(text), "sluice renew v1%c%.24s%c", 0,
			    identity->identity_id, 0);
	size_t at = (size_t)head;
	sl_put_be64(text + at, identity->renewals + 1);
	memcpy(text + at + 8, identity->nonce, IDENTITY_NONCE_BYTES);
	request.signature.data = signature;
	sl_code code = tls_sign(key, SL_BYTES(text, at + 8 + IDENTITY_NONCE_BYTES), signature,
				&request.signature.len, err);
	request.certificate = identity->cert;
	request.certificate_request = csr;
	request.counter = identity->renewals + 1;
	request.nonce =
	    (ProtobufCBinaryData){.data = (uint8_t *)identity->nonce, .len = IDENTITY_NONCE_BYTES};
	if (code == SL_OK) {
		pack(&request.base, out);
	}
	return code;
}

/* Before anything is sent: whoever asks again, asks in the same words. */
static sl_code write_down(const char *dir, struct identity *identity, struct sl_err *err)
{
	if (identity->asked) {
		return SL_OK;
	}
	sl_random(identity->nonce, sizeof(identity->nonce));
	identity->asked = true;
	sl_code code = identity_save(dir, identity, err);
	identity->asked = code == SL_OK;
	return code;
}

sl_code identity_ask(const char *dir, struct identity *identity, bool late, struct sl_buf *request,
		     struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	SL_AUTO(sl_free_auto) char *csr = NULL;
	sl_code code = write_down(dir, identity, err);
	code = code != SL_OK ? code : tls_key_read(sl_bytes_text(identity->key), &key, err);
	code = code != SL_OK ? code : tls_csr_new(key, &csr, err);
	if (code != SL_OK) {
		return code;
	}
	if (late) {
		code = pack_late(identity, key, csr, request, err);
	} else {
		pack_early(identity, csr, request);
	}
	return code == SL_OK && request->failed ? sl_err_no_memory(err) : code;
}

/* --- the answer -------------------------------------------------------------------------- */

static sl_code put_in(const char *dir, struct identity *identity, const char *cert, const char *ca,
		      struct sl_err *err)
{
	struct identity next = *identity;
	next.cert = strdup(cert);
	next.ca = strdup(ca[0] != '\0' ? ca : identity->ca);
	next.renewals = identity->renewals + 1;
	next.asked = false;
	next.taken_ms = sl_clock_unix_ms();
	sl_code code = next.cert == NULL || next.ca == NULL ? sl_err_no_memory(err)
							    : identity_check(&next, err);
	code = code != SL_OK ? code : identity_save(dir, &next, err);
	if (code != SL_OK) {
		free(next.cert);
		free(next.ca);
		return code;
	}
	free(identity->cert);
	free(identity->ca);
	*identity = next;
	return SL_OK;
}

sl_code identity_take(const char *dir, struct identity *identity, bool late,
		      struct sl_bytes response, struct sl_err *err)
{
	if (late) {
		Sluice__V1__RenewResponse *renewed =
		    sluice__v1__renew_response__unpack(NULL, response.size, response.data);
		sl_code code = renewed == NULL
				   ? sl_err_set(err, SL_INTERNAL, "the door's answer is not one")
				   : put_in(dir, identity, renewed->certificate, renewed->ca, err);
		sluice__v1__renew_response__free_unpacked(renewed, NULL);
		return code;
	}
	Sluice__V1__RenewCertificateResponse *renewed =
	    sluice__v1__renew_certificate_response__unpack(NULL, response.size, response.data);
	sl_code code = renewed == NULL
			   ? sl_err_set(err, SL_INTERNAL, "the server's answer is not one")
			   : put_in(dir, identity, renewed->certificate, renewed->ca, err);
	sluice__v1__renew_certificate_response__free_unpacked(renewed, NULL);
	return code;
}

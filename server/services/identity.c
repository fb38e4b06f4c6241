/* IdentityService: certificates of those who have one. */
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/admission/admission.h"
#include "server/records/wire.h"
#include "server/services/service.h"
#include "sluice/v1/identity.pb-c.h"

static void renewed(void *ctx, sl_code code, const struct sl_err *err, const char *certificate_pem,
		    const char *ca_pem)
{
	struct service_call *call = ctx;
	Sluice__V1__RenewCertificateResponse response =
	    SLUICE__V1__RENEW_CERTIFICATE_RESPONSE__INIT;
	if (code == SL_OK) {
		response.certificate = (char *)certificate_pem;
		response.ca = (char *)ca_pem;
		response.server_time = wire_time(service_call_arena(call), sl_clock_unix_ms());
	}
	service_call_finish(call, code, err, &response.base);
}

static void renew_start(struct service_call *call, const void *message)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const Sluice__V1__RenewCertificateRequest *request = message;
	const struct rpc_peer_identity *peer = service_call_identity(call);
	struct admission *admission = service_call_services(call)->admission;
	if (peer == NULL || admission == NULL) {
		sl_code code = sl_err_because(
		    &err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
		    "the call was made without a certificate: there is none to renew");
		service_call_finish(call, code, &err, NULL);
		return;
	}
	const struct admission_renewal renewal = {
	    .uri = peer->uri,
	    .key_fingerprint = peer->key_fingerprint,
	    .peer = service_call_peer(call),
	    .request = sl_bytes_text(request->certificate_request),
	    .counter = request->counter,
	    .nonce = SL_BYTES(request->nonce.data, request->nonce.len),
	    .done = renewed,
	    .ctx = call,
	};
	admission_renew(admission, &renewal);
}

const struct service_method identity_methods[1] = {
    {"/sluice.v1.IdentityService/RenewCertificate", ACCESS_VIEW,
     &sluice__v1__renew_certificate_request__descriptor,
     &sluice__v1__renew_certificate_response__descriptor, .start = renew_start,
     .scope = ACCESS_SELF},
};

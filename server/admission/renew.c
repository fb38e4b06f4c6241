/* Renewal on the main port: nobody waits but the call. */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/admission/admission_internal.h"

struct renewing {
	struct command command;
	struct sl_arena arena;
	struct admission *admission;
	struct certified made;
	char identity_id[SL_ID_SIZE], peer[128];
	uint8_t nonce[IDENTITY_NONCE_BYTES];
	void (*done)(void *ctx, sl_code code, const struct sl_err *err, const char *certificate_pem,
		     const char *ca_pem);
	void *ctx;
};

static void finish(struct renewing *renewing, sl_code code, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *ca = NULL;
	if (code == SL_OK) {
		code = ca_trust(renewing->admission->options.ca, &ca, err);
	}
	renewing->done(renewing->ctx, code, err, code == SL_OK ? renewing->made.pem : NULL, ca);
	certified_fini(&renewing->made);
	sl_arena_fini(&renewing->arena);
	free(renewing);
}

static void written(struct command *command)
{
	struct renewing *renewing = SL_CONTAINER_OF(command, struct renewing, command);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	finish(renewing, command_result(command, &err), &err);
}

static sl_code check(const struct admission_renewal *renewal, struct ca_identity *ret_identity,
		     struct tls_key **ret_key, struct sl_err *err)
{
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
	if (renewal->nonce.size != IDENTITY_NONCE_BYTES) {
		sl_code code =
		    sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				   "nonce must have 16 bytes, has %zu", renewal->nonce.size);
		sl_err_field(err, "nonce", "16 bytes");
		return code;
	}
	if (!ca_identity_parse(renewal->uri, ret_identity)) {
		return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_IDENTITY_MALFORMED,
				      "the client certificate names no identity");
	}
	sl_code code = tls_csr_read(renewal->request, ret_key, err);
	code = code != SL_OK ? code : tls_key_fingerprint(*ret_key, fingerprint, err);
	if (code == SL_OK &&
	    memcmp(fingerprint, renewal->key_fingerprint, sizeof(fingerprint)) != 0) {
		return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_CSR_REFUSED,
				      "certificate_request must be of the key of the certificate "
				      "that the call is made with");
	}
	return code;
}

static sl_code start(struct renewing *renewing, const struct admission_renewal *renewal,
		     struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	struct ca_identity identity;
	sl_code code = check(renewal, &identity, &key, err);
	code = code != SL_OK ? code
			     : admission_certify(renewing->admission, &identity, key,
						 sl_clock_unix_ms(), &renewing->made, err);
	if (code != SL_OK) {
		return code;
	}
	sl_text_copy(renewing->identity_id, sizeof(renewing->identity_id), identity.identity);
	sl_text_copy(renewing->peer, sizeof(renewing->peer), renewal->peer);
	memcpy(renewing->nonce, renewal->nonce.data, sizeof(renewing->nonce));
	renewing->command = (struct command){.kind = COMMAND_RENEW,
					     .method = "RenewCertificate",
					     .arena = &renewing->arena,
					     .done = written,
					     .renewal = {.identity_id = renewing->identity_id,
							 .peer = renewing->peer,
							 .counter = renewal->counter,
							 .nonce = renewing->nonce,
							 .cert = certified_kept(&renewing->made)}};
	return command_submit(renewing->admission, &renewing->command, err);
}

void admission_renew(struct admission *admission, const struct admission_renewal *renewal)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct renewing *renewing = calloc(1, sizeof(*renewing));
	if (renewing == NULL) {
		sl_code code = sl_err_no_memory(&err);
		renewal->done(renewal->ctx, code, &err, NULL, NULL);
		return;
	}
	renewing->admission = admission;
	renewing->done = renewal->done;
	renewing->ctx = renewal->ctx;
	sl_arena_init(&renewing->arena, 0);
	sl_code code = start(renewing, renewal, &err);
	if (code != SL_OK) {
		finish(renewing, code, &err);
	}
}

/* admission: certificates for those who may have one: an agent that shows its join token, a person
 * or bot that shows an access token, and whoever renews.
 *
 * The token comes first, compared in constant time; only its holder gets a parser of ours to work.
 * Then the certificate is made, and handed out if the command that writes it down went through:
 * token, identity and audit record in one. Strangers learn nothing from a refusal.
 *
 * Threads: any. What blocks says so. */
#ifndef SL_SERVER_ADMISSION_H
#define SL_SERVER_ADMISSION_H

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/mem/arena.h"
#include "base/token/token.h"
#include "server/ca/ca.h"
#include "server/store/store.h"
#include "sluice/v1/door.pb-c.h"

struct admission;

struct admission_options {
	struct store *store; /* borrowed, as the CA */
	struct ca *ca;
	struct sl_token_key token_key;
	uint64_t agent_life_ms, login_life_ms; /* of certificates */
	uint64_t late_ms;          /* so long after its end a certificate may be renewed */
	const char *server, *door; /* host:port for clients; "": they know */
	/* The keys that an agent pins: fills manifest_key, key_epoch and recovery_key from the
	 * arena. NULL: manifests are not signed. */
	void (*pins)(void *ctx, struct sl_arena *arena, Sluice__V1__EnrollResponse *response);
	void *pins_ctx;
};

SL_MUST_USE sl_code admission_new(const struct admission_options *options,
				  struct admission **ret_admission, struct sl_err *err);
void admission_free(struct admission *admission); /* NULL is fine */

/* Those of the door. Block for as long as the store takes; responses lie in the arena.
 * SL_UNAUTHENTICATED / TOKEN_REFUSED, RENEWAL_REFUSED, IDENTITY_REVOKED; SL_INVALID_ARGUMENT /
 * CSR_REFUSED, MALFORMED. `peer` is from where. */
SL_MUST_USE sl_code admission_enroll(struct admission *admission, struct sl_arena *arena,
				     const char *peer, const Sluice__V1__EnrollRequest *request,
				     Sluice__V1__EnrollResponse *response, struct sl_err *err);
SL_MUST_USE sl_code admission_login(struct admission *admission, struct sl_arena *arena,
				    const char *peer, const Sluice__V1__LoginRequest *request,
				    Sluice__V1__LoginResponse *response, struct sl_err *err);
SL_MUST_USE sl_code admission_renew_late(struct admission *admission, struct sl_arena *arena,
					 const char *peer, const Sluice__V1__RenewRequest *request,
					 Sluice__V1__RenewResponse *response, struct sl_err *err);

/* What a renewal is signed over: see RenewRequest.signature. */
enum { ADMISSION_RENEWAL_BYTES = 128 };
size_t admission_renewal_text(const char *identity_id, uint64_t counter,
			      const uint8_t nonce[static 16],
			      uint8_t out[static ADMISSION_RENEWAL_BYTES]);

/* On the main port: the caller's certificate was looked at. Answers on the store's writer thread,
 * or at once when it is refused before. certificate_pem: borrowed, NULL unless SL_OK. */
struct admission_renewal {
	const char *uri;                /* of the caller's certificate */
	const uint8_t *key_fingerprint; /* likewise */
	const char *peer;
	struct sl_bytes request; /* PEM */
	uint64_t counter;
	struct sl_bytes nonce;
	void (*done)(void *ctx, sl_code code, const struct sl_err *err, const char *certificate_pem,
		     const char *ca_pem);
	void *ctx;
};
void admission_renew(struct admission *admission, const struct admission_renewal *renewal);

#endif

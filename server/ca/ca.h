/* ca: the certificate authority of one server: its keys in DIR/keys, the certificates in use,
 * and those that it issues.
 *
 *   ca.pem ca.key          signs servers and clients; ca.pem may hold older CAs behind the first
 *   server.pem server.key  TLS of the main port
 *   door.pem door.key      TLS of the door, used for nothing else
 *   token.key              keyed hash of tokens
 *   master.key             wraps the keys of workspaces; may lie elsewhere
 *
 * A certificate of this CA renews itself at a third of its life. Whatever is replaced in the
 * folder is taken up without a restart, all of it or nothing: files that do not fit together
 * leave in use what is in use, and the log says so.
 *
 * Threads: any, but for ca_tick(). Keys lie in locked memory, and are unpacked only to sign. */
#ifndef SL_SERVER_CA_H
#define SL_SERVER_CA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"
#include "base/tls/tls.h"
#include "base/token/token.h"
#include "server/ca/identity.h"
#include "server/rpc/rpc.h"

struct ca;

struct ca_options {
	const char *data; /* DIR; borrowed until free */
	/* May this identity come in, of a certificate that is valid and ours? Asked in the
	 * handshake on gRPC's threads; must not block. NULL: every well-formed one may. */
	bool (*admits)(void *ctx, const struct ca_identity *identity, const struct tls_cert *cert);
	void *ctx;
};

/* Reads the folder, and renews first what needs it. SL_NOT_FOUND: there are no keys. */
SL_MUST_USE sl_code ca_open(const struct ca_options *options, uint64_t now_ms, struct ca **ret_ca,
			    struct sl_err *err);
void ca_free(struct ca *ca); /* NULL is fine */
SL_DEFINE_AUTO(struct ca *, ca_free);

/* Renews and looks for replaced files, about every second however often it is called; one thread.
 * Logs what it finds. mono_ms: of sl_clock_mono_ms(). */
void ca_tick(struct ca *ca, uint64_t now_ms, uint64_t mono_ms);

/* For the main port; for the door, which asks nobody for a certificate. Live as long as the CA. */
const struct rpc_tls *ca_tls(const struct ca *ca);
const struct rpc_tls *ca_door_tls(const struct ca *ca);

struct ca_life {
	uint64_t now_ms, until_ms; /* since 1970 */
};
/* A client certificate for this identity and subject's public half, from a few minutes ago (clocks
 * differ) until life.until_ms, or until the CA ends. serial: of tls_serial_new(), or NULL. The
 * caller frees the PEM. */
SL_MUST_USE sl_code ca_issue(struct ca *ca, const struct ca_identity *identity,
			     const struct tls_key *subject, const uint8_t *serial,
			     struct ca_life life, char **ret_pem, struct sl_err *err);
/* Was this client certificate issued here, however long ago? Its dates do not count.
 * SL_FAILED_PRECONDITION says why not. */
SL_MUST_USE sl_code ca_check(struct ca *ca, struct sl_bytes pem, struct sl_err *err);

/* What clients must trust. The caller frees it. */
SL_MUST_USE sl_code ca_trust(struct ca *ca, char **ret_pem, struct sl_err *err);

/* The key of the keyed hash over tokens; lives as long as the CA. */
const struct sl_token_key *ca_token_key(const struct ca *ca);

#endif

/* Who is at the other end: read from the certificate that the handshake has checked.
 *
 * Parsing one costs more than a whole small call, so what was read is kept beside its
 * text: one slot for texts whose ends hash alike, the newest stays. Queue thread, but for
 * references. */
#include <string.h>

#include <grpc/grpc_security.h>
#include <grpc/grpc_security_constants.h>

#include "base/crypto/crypto.h"
#include "server/rpc/rpc_internal.h"

_Static_assert(RPC_FINGERPRINT_BYTES == SL_HASH_BYTES, "a fingerprint is a hash");

const struct rpc_peer_identity *rpc_identity_peer(const struct rpc_identity *identity)
{
	return identity != NULL ? &identity->peer : NULL;
}

void rpc_identity_unref(struct rpc_identity *identity)
{
	if (identity != NULL &&
	    atomic_fetch_sub_explicit(&identity->refs, 1, memory_order_acq_rel) == 1) {
		free(identity);
	}
}

static struct rpc_identity *ref(struct rpc_identity *identity)
{
	atomic_fetch_add_explicit(&identity->refs, 1, memory_order_relaxed);
	return identity;
}

static struct rpc_identity *identity_new(struct sl_bytes pem)
{
	struct tls_cert cert;
	if (tls_cert_read(pem, &cert, NULL) != SL_OK || cert.uri[0] == '\0') {
		return NULL;
	}
	struct rpc_identity *identity = calloc(1, sizeof(*identity) + pem.size);
	if (identity == NULL) {
		return NULL;
	}
	atomic_init(&identity->refs, 1);
	struct rpc_peer_identity *peer = &identity->peer;
	memcpy(peer->uri, cert.uri, sizeof(peer->uri));
	peer->not_after_ms = cert.not_after_ms;
	memcpy(peer->serial, cert.serial, cert.serial_size);
	peer->serial_size = cert.serial_size;
	memcpy(peer->key_fingerprint, cert.fingerprint, sizeof(peer->key_fingerprint));
	sl_hash(peer->fingerprint, pem.data, pem.size, NULL, 0);
	memcpy(identity->pem, pem.data, pem.size);
	identity->pem_size = pem.size;
	return identity;
}

/* The slot for this text. Its end is the signature: no two are alike. */
static struct rpc_identity **slot_of(struct rpc_server *server, struct sl_bytes pem)
{
	enum { END_BYTES = 64 };
	uint32_t hash = 2166136261u;
	for (size_t at = pem.size > END_BYTES ? pem.size - END_BYTES : 0; at < pem.size; at++) {
		hash = (hash ^ pem.data[at]) * 16777619u;
	}
	return &server->identities[hash % RPC_IDENTITIES_KEPT];
}

static bool is_of(const struct rpc_identity *identity, struct sl_bytes pem)
{
	return identity != NULL && identity->pem_size == pem.size &&
	       memcmp(identity->pem, pem.data, pem.size) == 0;
}

/* A new reference, or NULL. */
static struct rpc_identity *look_up(struct rpc_server *server, struct sl_bytes pem)
{
	struct rpc_identity **slot = slot_of(server, pem);
	if (!is_of(*slot, pem)) {
		struct rpc_identity *identity = identity_new(pem);
		if (identity == NULL) {
			return NULL;
		}
		rpc_identity_unref(*slot);
		*slot = identity;
	}
	return ref(*slot);
}

bool rpc_identify(struct rpc_server *server, grpc_call *call, struct rpc_identity **ret_identity)
{
	const struct rpc_tls *tls = server->options.tls;
	if (tls == NULL || tls->admit == NULL) {
		return true; /* nobody was asked for a certificate */
	}
	grpc_auth_context *auth = grpc_call_auth_context(call);
	if (auth == NULL) {
		return false;
	}
	grpc_auth_property_iterator found =
	    grpc_auth_context_find_properties_by_name(auth, GRPC_X509_PEM_CERT_PROPERTY_NAME);
	const grpc_auth_property *pem = grpc_auth_property_iterator_next(&found);
	if (pem != NULL) {
		*ret_identity = look_up(server, SL_BYTES(pem->value, pem->value_length));
	}
	grpc_auth_context_release(auth);
	return *ret_identity != NULL;
}

sl_code rpc_nobody(struct sl_err *err)
{
	return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_IDENTITY_MALFORMED,
			      "the client certificate names no identity of this server");
}

void rpc_identities_free(struct rpc_server *server)
{
	for (unsigned i = 0; i < RPC_IDENTITIES_KEPT; i++) {
		rpc_identity_unref(server->identities[i]);
	}
}

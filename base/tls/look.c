#include "base/tls/look.h"

#include <openssl/err.h>
#include <string.h>

#include "base/tls/dial_internal.h"
#include "base/tls/tls_internal.h"

SL_DEFINE_AUTO(SSL *, SSL_free);

/* --- judging ------------------------------------------------------------------------------ */

static const char *copy(struct sl_arena *arena, const char *text)
{
	char *clean = sl_arena_printf(arena, "%.*s", TLS_LOOK_TEXT_MAX, text);
	for (char *c = clean; c != NULL && *c != '\0'; c++) {
		*c = *c < ' ' || *c > '~' ? '?' : *c;
	}
	return clean != NULL ? clean : "";
}

/* Asked for every certificate of the chain, and again for what is wrong of it. Goes on. */
static int note(int fine, X509_STORE_CTX *ctx)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_look *look = SSL_get_app_data(ssl);
	int error = X509_STORE_CTX_get_error(ctx);
	if (fine == 1) {
		return 1;
	}
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		look->in_time = false;
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		look->for_host = false;
		break;
	default:
		look->trusted = false;
		break;
	}
	if (look->wrong[0] == '\0') {
		look->wrong = X509_verify_cert_error_string(error);
	}
	return 1;
}

/* --- what is shown ---------------------------------------------------------------------------- */

static const char *name_text(const X509_NAME *name, struct sl_arena *arena)
{
	SL_AUTO(BIO_free_all_auto) BIO *bio = BIO_new(BIO_s_mem());
	char text[TLS_LOOK_TEXT_MAX + 1];
	if (bio == NULL || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0) {
		return "";
	}
	int size = BIO_read(bio, text, TLS_LOOK_TEXT_MAX);
	text[size > 0 ? size : 0] = '\0';
	return copy(arena, text);
}

static void read_certificate(X509 *x509, struct sl_arena *arena, struct tls_look *look)
{
	struct tls_cert facts;
	look->shown = true;
	(void)tls_x509_facts(x509, &facts); /* what it could not read is 0 */
	look->not_before_ms = facts.not_before_ms;
	look->not_after_ms = facts.not_after_ms;
	look->all_names = facts.name_count;
	look->subject = name_text(X509_get_subject_name(x509), arena);
	look->issuer = name_text(X509_get_issuer_name(x509), arena);
	if (!tls_x509_hosts(x509, arena, &look->names, &look->name_count)) {
		look->name_count = 0;
	}
	if (look->name_count > TLS_LOOK_NAMES_MAX) {
		look->name_count = TLS_LOOK_NAMES_MAX;
	}
}

/* --- the handshake --- */

static bool is_no_tls(int reason)
{
	return reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
	       reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_RECORD_LENGTH_MISMATCH;
}

static enum tls_look_end end_of(SSL *ssl, int rc, struct sl_arena *arena, struct tls_look *look)
{
	unsigned long error = ERR_peek_error();
	int kind = SSL_get_error(ssl, rc);
	const char *why = ERR_reason_error_string(error);
	if (kind == SSL_ERROR_SYSCALL ||
	    ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		return TLS_LOOK_LOST;
	}
	look->why = copy(arena, why != NULL ? why : "the handshake failed");
	return is_no_tls(ERR_GET_REASON(error)) ? TLS_LOOK_NO_TLS : TLS_LOOK_FAILED;
}

enum tls_look_end tls_look(int fd, const char *host, const struct tls_trust *trust,
			   struct sl_arena *arena, struct tls_look *ret_look)
{
	SL_AUTO(SSL_free_auto) SSL *ssl = SSL_new(trust->ctx);
	*ret_look = (struct tls_look){.protocol = "",
				      .why = "",
				      .trusted = true,
				      .in_time = true,
				      .for_host = true,
				      .wrong = "",
				      .subject = "",
				      .issuer = ""};
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_set_app_data(ssl, ret_look) != 1 ||
	    !tls_set_host(ssl, host)) {
		ERR_clear_error();
		ret_look->why = "a handshake with such a host cannot be begun";
		return TLS_LOOK_FAILED;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER, note);
	ERR_clear_error();
	int rc = SSL_connect(ssl);
	enum tls_look_end end = rc == 1 ? TLS_LOOK_DONE : end_of(ssl, rc, arena, ret_look);
	X509 *peer = SSL_get0_peer_certificate(ssl);
	if (peer != NULL) {
		read_certificate(peer, arena, ret_look);
	}
	ret_look->protocol = rc == 1 ? SSL_get_version(ssl) : "";
	ERR_clear_error();
	return end;
}

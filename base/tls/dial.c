#include "base/tls/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/tls/dial_internal.h"

/* What Debian's ca-certificates keeps up to date. Its folder of hashed names would be read late. */
#define MACHINE_ROOTS "/etc/ssl/certs/ca-certificates.crt"

struct tls_dial {
	int fd;
	unsigned wait_ms;
	SSL *ssl;           /* owned; NULL: no TLS */
	unsigned char *der; /* owned */
	size_t der_size;
};

SL_DEFINE_AUTO(BIO *, BIO_free_all);
SL_DEFINE_AUTO(X509 *, X509_free);

/* --- trust ------------------------------------------------------------------------- */

static sl_code add_roots(SSL_CTX *ctx, const char *pem, struct sl_err *err)
{
	SL_AUTO(BIO_free_all_auto) BIO *bio = BIO_new_mem_buf(pem, -1);
	unsigned count = 0;
	bool more = bio != NULL;
	while (more) {
		SL_AUTO(X509_free_auto) X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		more = cert != NULL && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) == 1;
		count += more;
	}
	bool broken = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
	ERR_clear_error();
	return count > 0 && !broken ? SL_OK
				    : sl_err_set(err, SL_INVALID_ARGUMENT,
						 "CA certificates must be PEM, and at least one");
}

sl_code tls_trust_new(const char *pem, struct tls_trust **ret_trust, struct sl_err *err)
{
	SL_AUTO(tls_trust_free_auto) struct tls_trust *trust = calloc(1, sizeof(*trust));
	if (trust == NULL || (trust->ctx = SSL_CTX_new(TLS_client_method())) == NULL) {
		return sl_err_no_memory(err);
	}
	(void)SSL_CTX_set_min_proto_version(trust->ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(trust->ctx, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_mode(trust->ctx,
			       SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	sl_code code = SL_OK;
	if (pem != NULL) {
		code = add_roots(trust->ctx, pem, err);
	} else {
		/* Without them nothing is trusted, and each handshake says so. */
		(void)SSL_CTX_load_verify_file(trust->ctx, MACHINE_ROOTS);
		ERR_clear_error();
	}
	if (code == SL_OK) {
		*ret_trust = SL_TAKE(trust);
	}
	return code;
}

void tls_trust_free(struct tls_trust *trust)
{
	if (trust != NULL) {
		SSL_CTX_free(trust->ctx);
		free(trust);
	}
}

/* --- the socket --------------------------------------------------------------------- */

static bool wait_for(int fd, short events, unsigned wait_ms)
{
	struct pollfd waiting = {.fd = fd, .events = events};
	int count = 0;
	do {
		count = poll(&waiting, 1, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms);
	} while (count < 0 && errno == EINTR);
	if (count == 0) {
		errno = ETIMEDOUT;
	}
	return count == 1;
}

static bool is_connected(int fd, unsigned wait_ms)
{
	int error = 0;
	socklen_t size = sizeof(error);
	if (errno != EINPROGRESS || !wait_for(fd, POLLOUT, wait_ms) ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
		return false;
	}
	errno = error;
	return error == 0;
}

/* -1, with errno. */
static int dial_one(const struct addrinfo *at, unsigned wait_ms)
{
	int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, at->ai_addr, at->ai_addrlen) == 0 || is_connected(fd, wait_ms)) {
		return fd;
	}
	int why = errno;
	(void)close(fd);
	errno = why;
	return -1;
}

static sl_code dial(struct tls_dial *d, const struct tls_dial_options *options, struct sl_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
	int rc = getaddrinfo(options->host, options->port, &hints, &all);
	if (rc != 0) {
		return sl_err_set(err, SL_UNAVAILABLE, "look up '%s': %s", options->host,
				  gai_strerror(rc));
	}
	for (const struct addrinfo *at = all; at != NULL && d->fd < 0; at = at->ai_next) {
		d->fd = dial_one(at, options->wait_ms);
	}
	freeaddrinfo(all);
	return d->fd >= 0 ? SL_OK
			  : sl_err_set(err, SL_UNAVAILABLE, "connect to '%s' port %s: %s",
				       options->host, options->port, strerror(errno));
}

/* --- TLS ------------------------------------------------------------------------------ */

/* Waits for what OpenSSL wants; false: an error, the end, or too long. */
static bool try_again(struct tls_dial *d, int rc)
{
	int why = SSL_get_error(d->ssl, rc);
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
		return false;
	}
	return wait_for(d->fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, d->wait_ms);
}

bool tls_set_host(SSL *ssl, const char *host)
{
	uint8_t raw[16];
	if (inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1) {
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	}
	/* A common name is no name: it counts where no DNS name is, though an address may be. */
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

static sl_code keep_certificate(struct tls_dial *d, struct sl_err *err)
{
	X509 *peer = SSL_get0_peer_certificate(d->ssl);
	int size = peer == NULL ? -1 : i2d_X509(peer, &d->der);
	d->der_size = size > 0 ? (size_t)size : 0;
	return size > 0 ? SL_OK
			: sl_err_set(err, SL_UNAUTHENTICATED, "the server has no certificate");
}

static sl_code shake_hands(struct tls_dial *d, const struct tls_dial_options *options,
			   struct sl_err *err)
{
	d->ssl = SSL_new(options->trust->ctx);
	if (d->ssl == NULL || SSL_set_fd(d->ssl, d->fd) != 1 ||
	    !tls_set_host(d->ssl, options->host)) {
		return sl_err_no_memory(err);
	}
	ERR_clear_error();
	int rc = 0;
	do {
		rc = SSL_connect(d->ssl);
	} while (rc != 1 && try_again(d, rc));
	long verdict = SSL_get_verify_result(d->ssl);
	if (verdict != X509_V_OK) {
		return sl_err_set(err, SL_UNAUTHENTICATED,
				  "the certificate of '%s' is not trusted: %s", options->host,
				  X509_verify_cert_error_string(verdict));
	}
	const char *why = ERR_reason_error_string(ERR_peek_last_error());
	sl_code code = rc == 1 ? keep_certificate(d, err)
			       : sl_err_set(err, SL_UNAVAILABLE, "TLS with '%s': %s", options->host,
					    why != NULL ? why : "no answer, or cut off");
	ERR_clear_error();
	return code;
}

/* --- face -------------------------------------------------------------------------------- */

sl_code tls_dial_new(const struct tls_dial_options *options, struct tls_dial **ret_dial,
		     struct sl_err *err)
{
	SL_AUTO(tls_dial_free_auto) struct tls_dial *d = calloc(1, sizeof(*d));
	if (d == NULL) {
		return sl_err_no_memory(err);
	}
	d->fd = -1;
	d->wait_ms = options->wait_ms;
	sl_code code = dial(d, options, err);
	if (code == SL_OK && options->trust != NULL) {
		code = shake_hands(d, options, err);
	}
	if (code == SL_OK) {
		*ret_dial = SL_TAKE(d);
	}
	return code;
}

static ptrdiff_t read_plain(struct tls_dial *d, void *out, size_t size)
{
	ssize_t got = -1;
	do {
		got = wait_for(d->fd, POLLIN, d->wait_ms) ? recv(d->fd, out, size, 0) : -1;
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	return got;
}

static ptrdiff_t write_plain(struct tls_dial *d, const void *data, size_t size)
{
	ssize_t sent = -1;
	do {
		sent = wait_for(d->fd, POLLOUT, d->wait_ms) ? send(d->fd, data, size, MSG_NOSIGNAL)
							    : -1;
	} while (sent < 0 && (errno == EINTR || errno == EAGAIN));
	return sent;
}

static int one_piece(size_t size)
{
	return size > INT_MAX ? INT_MAX : (int)size;
}

ptrdiff_t tls_dial_read(struct tls_dial *d, void *out, size_t size)
{
	if (d->ssl == NULL) {
		return read_plain(d, out, size);
	}
	int got = 0;
	do {
		ERR_clear_error();
		got = SSL_read(d->ssl, out, one_piece(size));
		if (got <= 0 && SSL_get_error(d->ssl, got) == SSL_ERROR_ZERO_RETURN) {
			return 0;
		}
	} while (got <= 0 && try_again(d, got));
	return got > 0 ? got : -1;
}

ptrdiff_t tls_dial_write(struct tls_dial *d, const void *data, size_t size)
{
	if (d->ssl == NULL) {
		return write_plain(d, data, size);
	}
	int sent = 0;
	do {
		ERR_clear_error();
		sent = SSL_write(d->ssl, data, one_piece(size));
	} while (sent <= 0 && try_again(d, sent));
	return sent > 0 ? sent : -1;
}

struct sl_bytes tls_dial_certificate(const struct tls_dial *d)
{
	return SL_BYTES(d->der, d->der_size);
}

void tls_dial_free(struct tls_dial *d)
{
	if (d == NULL) {
		return;
	}
	if (d->ssl != NULL) {
		(void)SSL_shutdown(d->ssl);
		SSL_free(d->ssl);
	}
	if (d->fd >= 0) {
		(void)close(d->fd);
	}
	OPENSSL_free(d->der);
	free(d);
}

/* What dial.c and look.c share. */
#ifndef SL_BASE_TLS_DIAL_INTERNAL_H
#define SL_BASE_TLS_DIAL_INTERNAL_H

#include <openssl/ssl.h>

#include "base/tls/dial.h"

struct tls_trust {
	SSL_CTX *ctx; /* owned */
};

/* Says to whom the handshake will be, and which names count. */
bool tls_set_host(SSL *ssl, const char *host);

#endif

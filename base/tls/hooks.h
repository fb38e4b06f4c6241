/* hooks: what gRPC's SSL credentials leave out, added to every TLS connection of this
 * program through OpenSSL's own hooks.
 *
 * - TLS 1.3 only, and no session tickets: a resumed session is not verified again, so
 *   an expired or revoked certificate would come back in
 * - a say in each client's handshake, before gRPC reads a byte of HTTP/2
 * - a look at what clients say (frames.h); who is hung up on for it stays out, and where it came
 *   from is known (offenders.h)
 * - less memory a connection: idle buffers given back, smaller buffers between gRPC
 *   and OpenSSL, the CA not sent along with a leaf
 * - nothing of OpenSSL is taken down at exit, where threads of gRPC may still need it
 *
 * One per process. OpenSSL reports every SSL_CTX and SSL at birth. */
#ifndef SL_BASE_TLS_HOOKS_H
#define SL_BASE_TLS_HOOKS_H

#include "base/tls/tls.h"

/* The largest TLS record that we send: GRPC_ARG_TSI_MAX_FRAME_SIZE of every channel and server. */
enum { TLS_FRAME_BYTES = 4096 };

/* May the holder of this certificate of our CA come in? It is a leaf for clients with
 * exactly one name, a URI. gRPC's threads; must not block. */
typedef bool tls_admit_fn(void *ctx, const struct tls_cert *cert);

/* Before grpc_init(), in every program; again does no harm. Quiets Abseil, too. */
void tls_hooks_install(void);

/* Who is asked from now on by servers that demand certificates; NULL: nobody but OpenSSL.
 * Set it before the server listens, and again only when it is gone. */
void tls_hooks_admit(tls_admit_fn *admit, void *ctx);

/* The next connection that a server begins on this thread comes from there: a number for the
 * address, 0: not known. OpenSSL hears nothing of addresses, and gRPC makes the SSL of what it has
 * accepted before it accepts again. */
void tls_hooks_coming(uint64_t from);
/* Is a key out that came from there? Cheap as long as none is. Any thread. */
bool tls_hooks_is_out_from(uint64_t from);

#endif

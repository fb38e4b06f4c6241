/* secure: measuring over mTLS: keys for the servers, and who the bench is to them.
 *
 * A folder that has keys is one that `sluiced init` has been in: its CA, its server
 * certificate, and beside them, in this process, a client certificate of the principal `admin`
 * and one for each simulated agent. A server that is started with such a folder speaks mTLS, all
 * others speak in the clear; who dials a port gets what fits it.
 *
 * Threads: one, but for secure_credentials(), which is for any while no server is started. */
#ifndef SL_BENCH_SECURE_H
#define SL_BENCH_SECURE_H

#include <stdbool.h>

struct grpc_channel_credentials;
struct ssl_st;

/* Gives a store that no server has keys, and the bench a client certificate of its `admin`; makes
 * the folder when there is none. */
void secure_init(const char *folder);
bool secure_has_keys(const char *folder);
/* Client certificates for the agents of instances PREFIX-0 to PREFIX-(count - 1), which replace
 * those of other instances. No server has the store. Without keys nobody needs one. */
void secure_enrol(const char *folder, const char *prefix, unsigned count);

/* From now on this port is the server's that has the keys of this folder; NULL: in the clear. */
void secure_serve(int port, const char *folder);
/* For dialling the port as `admin`. The caller releases them. */
struct grpc_channel_credentials *secure_credentials(int port);
/* The same for a client that is not gRPC's: it is to shake hands with 127.0.0.1. NULL: in the
 * clear. The caller frees it. */
struct ssl_st *secure_tls(int port);
/* As the agent of instance PREFIX-number. */
struct ssl_st *secure_agent_tls(int port, unsigned number);

#endif

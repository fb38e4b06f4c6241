/* With what the port is opened: nothing, or certificates that can change while it serves. */
#include <grpc/grpc_security.h>

#include "base/tls/hooks.h"
#include "server/rpc/rpc_internal.h"

static void make_config(void *ctx, const struct rpc_certificates *certificates)
{
	grpc_ssl_server_certificate_config **ret_config = ctx;
	const grpc_ssl_pem_key_cert_pair pair = {
	    .private_key = certificates->key_pem,
	    .cert_chain = certificates->cert_pem,
	};
	*ret_config = grpc_ssl_server_certificate_config_create(certificates->ca_pem, &pair, 1);
}

/* Once when the port is bound and once for each connection, under a lock of gRPC's. What
 * cannot be used is reported by gRPC, and what it had stays in use. */
static grpc_ssl_certificate_config_reload_status
on_fetch(void *user_data, grpc_ssl_server_certificate_config **ret_config)
{
	struct rpc_port *port = user_data;
	const struct rpc_tls *tls = port->server->options.tls;
	unsigned generation = tls->generation(tls->ctx);
	if (port->has_certificates && generation == port->certificates_generation) {
		return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
	}
	tls->certificates(tls->ctx, make_config, ret_config);
	port->has_certificates = true;
	port->certificates_generation = generation;
	return *ret_config != NULL ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW
				   : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
}

grpc_server_credentials *rpc_credentials_new(struct rpc_port *port)
{
	const struct rpc_tls *tls = port->server->options.tls;
	if (tls == NULL) {
		return grpc_insecure_server_credentials_create();
	}
	if (tls->admit != NULL) {
		tls_hooks_admit(tls->admit, tls->ctx);
	}
	grpc_ssl_client_certificate_request_type request =
	    tls->admit != NULL ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
			       : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
	return grpc_ssl_server_credentials_create_with_options(
	    grpc_ssl_server_credentials_create_options_using_config_fetcher(request, on_fetch,
									    port));
}

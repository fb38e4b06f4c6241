#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>

#include "base/absl/absl.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "base/tls/tls.h"
#include "client/rpc/rpc_internal.h"

enum {
	MESSAGE_MAX = 16 << 20,
	METADATA_MAX = 16 << 10, /* 4 KiB of details, a text and what HTTP/2 adds */
	KEEPALIVE_MS = 60 * 1000,
	KEEPALIVE_TIMEOUT_MS = 10 * 1000,
	BACKOFF_FIRST_MS = 200,
	BACKOFF_MAX_MS = 5 * 1000,
	CONNECT_MS = 5 * 1000, /* one attempt to connect */
	RESOLVE_EVERY_MS = 5 * 1000,
	TARGET_MAX = 261,       /* a DNS name, a colon and a port */
	TLS_FRAME_BYTES = 4096, /* the largest TLS record that we send: smaller buffers */
	ARGS_MAX = 20,
};

SL_DEFINE_AUTO(struct crpc_channel *, crpc_channel_free);

void crpc_init(void)
{
	sl_absl_quiet();
	grpc_init();
}

void crpc_shutdown(void)
{
	grpc_shutdown_blocking();
}

/* --- channel arguments -------------------------------------------------------- */

struct arg_list {
	grpc_arg args[ARGS_MAX];
	size_t count;
};

static void add_int(struct arg_list *list, const char *key, int value)
{
	if (list->count == ARGS_MAX) {
		abort();
	}
	list->args[list->count++] = (grpc_arg){
	    .type = GRPC_ARG_INTEGER,
	    .key = (char *)key,
	    .value.integer = value,
	};
}

static void add_text(struct arg_list *list, const char *key, const char *value)
{
	if (list->count == ARGS_MAX) {
		abort();
	}
	list->args[list->count++] = (grpc_arg){
	    .type = GRPC_ARG_STRING,
	    .key = (char *)key,
	    .value.string = (char *)value,
	};
}

static int or_default(size_t value, int fallback)
{
	if (value == 0) {
		return fallback;
	}
	return value > INT32_MAX ? INT32_MAX : (int)value;
}

static void fill_args(struct arg_list *list, const struct crpc_options *options)
{
	add_int(list, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		or_default(options->message_max, MESSAGE_MAX));
	add_int(list, GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX);
	add_int(list, GRPC_ARG_KEEPALIVE_TIME_MS, or_default(options->keepalive_ms, KEEPALIVE_MS));
	add_int(list, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS);
	/* A quiet stream is the normal case: its pings must not run out. */
	add_int(list, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
	add_int(list, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, BACKOFF_FIRST_MS);
	add_int(list, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, BACKOFF_MAX_MS);
	add_int(list, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS);
	add_int(list, GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, RESOLVE_EVERY_MS);
	/* Only the caller knows whether a repeated request is safe. */
	add_int(list, GRPC_ARG_ENABLE_RETRIES, 0);
	/* The server is dialled as named, whatever DNS or http_proxy suggest. */
	add_int(list, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
	add_int(list, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
	add_int(list, GRPC_ARG_ENABLE_CHANNELZ, 0);
	add_int(list, GRPC_ARG_TSI_MAX_FRAME_SIZE, TLS_FRAME_BYTES);
	add_int(list, GRPC_ARG_HTTP2_BDP_PROBE, !options->quiet);
	if (options->own_connection) {
		add_int(list, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
	}
	if (options->user_agent != NULL) {
		add_text(list, GRPC_ARG_PRIMARY_USER_AGENT_STRING, options->user_agent);
	}
}

/* --- TLS ----------------------------------------------------------------------- */

static sl_code check_pair(const struct crpc_options *options, struct sl_err *err)
{
	struct tls_cert cert;
	SL_AUTO(tls_key_free_auto) struct tls_key *of_cert = NULL;
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	struct sl_bytes pem = sl_bytes_text(options->cert_pem);
	sl_code code = tls_cert_read(pem, &cert, err);
	code = code != SL_OK ? code : tls_cert_key(pem, &of_cert, err);
	code = code != SL_OK ? code : tls_key_read(sl_bytes_text(options->key_pem), &key, err);
	if (code != SL_OK) {
		return sl_err_wrap(err, "client certificate and key");
	}
	if (!tls_key_equal(of_cert, key)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "client certificate and key do not belong together");
	}
	if (cert.not_after_ms <= sl_clock_unix_ms()) {
		char text[SL_CLOCK_TEXT_SIZE];
		return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_CERTIFICATE_EXPIRED,
				      "the client certificate has expired on %s",
				      sl_clock_text(text, cert.not_after_ms));
	}
	return SL_OK;
}

/* gRPC looks at a PEM only when it connects, and then says little. */
static sl_code check_pems(const struct crpc_options *options, struct sl_err *err)
{
	struct tls_cert ca;
	if ((options->cert_pem != NULL) != (options->key_pem != NULL) ||
	    (options->cert_pem != NULL && options->ca_pem == NULL)) {
		return sl_err_set(
		    err, SL_INVALID_ARGUMENT,
		    "TLS needs the CA, and the client's certificate and key together");
	}
	if (options->ca_pem == NULL) {
		return SL_OK;
	}
	if (tls_cert_read(sl_bytes_text(options->ca_pem), &ca, err) != SL_OK) {
		return sl_err_wrap(err, "CA");
	}
	return options->cert_pem != NULL ? check_pair(options, err) : SL_OK;
}

static grpc_channel_credentials *credentials_of(const struct crpc_options *options)
{
	if (options->ca_pem == NULL) {
		return grpc_insecure_credentials_create();
	}
	grpc_ssl_pem_key_cert_pair pair = {
	    .private_key = options->key_pem,
	    .cert_chain = options->cert_pem,
	};
	return grpc_ssl_credentials_create_ex(options->ca_pem,
					      options->cert_pem != NULL ? &pair : NULL, NULL, NULL);
}

/* --- channel ------------------------------------------------------------------ */

/* "host:port" or "[v6]:port" and nothing that gRPC would take for another
 * scheme or path. */
static bool target_is_valid(const char *target)
{
	size_t length = target != NULL ? strlen(target) : 0;
	if (length == 0 || length > TARGET_MAX || strpbrk(target, "/ ,%?#@") != NULL) {
		return false;
	}
	const char *colon = strrchr(target, ':');
	if (colon == NULL || colon == target) {
		return false;
	}
	bool bracketed = target[0] == '[' && colon[-1] == ']';
	if (!bracketed && memchr(target, ':', (size_t)(colon - target)) != NULL) {
		return false;
	}
	size_t digits = strspn(colon + 1, "0123456789");
	if (digits == 0 || digits > 5 || colon[1 + digits] != '\0') {
		return false;
	}
	long port = strtol(colon + 1, NULL, 10);
	return port >= 1 && port <= UINT16_MAX;
}

sl_code crpc_channel_new(const struct crpc_options *options, struct crpc_channel **ret_channel,
			 struct sl_err *err)
{
	if (!target_is_valid(options->target)) {
		return sl_err_because(
		    err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
		    "server address '%s' must be host:port with a port of 1 to 65535",
		    options->target != NULL ? options->target : "");
	}
	sl_code code = check_pems(options, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(crpc_channel_free_auto) struct crpc_channel *channel = calloc(1, sizeof(*channel));
	SL_AUTO(sl_free_auto) char *uri = NULL;
	if (channel == NULL || asprintf(&uri, "dns:///%s", options->target) < 0) {
		return sl_err_no_memory(err);
	}
	channel->target = strdup(options->target);
	if (channel->target == NULL) {
		return sl_err_no_memory(err);
	}
	struct arg_list list = {.count = 0};
	fill_args(&list, options);
	grpc_channel_args args = {.num_args = list.count, .args = list.args};
	grpc_channel_credentials *credentials = credentials_of(options);
	channel->grpc = grpc_channel_create(uri, credentials, &args);
	grpc_channel_credentials_release(credentials);
	*ret_channel = SL_TAKE(channel);
	return SL_OK;
}

void crpc_channel_free(struct crpc_channel *channel)
{
	if (channel == NULL) {
		return;
	}
	if (channel->grpc != NULL) {
		grpc_channel_destroy(channel->grpc);
	}
	free(channel->target);
	free(channel);
}

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "base/version.h"
#include "client/api/api_internal.h"

enum {
	TIMEOUT_DEFAULT_MS = 30 * 1000,
	ATTEMPTS_DEFAULT = 5,
	BACKOFF_DEFAULT_MS = 100,
	BACKOFF_MAX_MS = 5 * 1000,
	DOUBLINGS_MAX = 16
};

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
	return value != 0 ? value : fallback;
}

static sl_code client_new(const char *server, const sluice_options *options,
			  sluice_client **ret_client, struct sl_err *err)
{
	if (server == NULL || server[0] == '\0') {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "the server's address is empty; it is host:port");
	}
	if (!sl_crypto_init()) {
		return sl_err_set(err, SL_INTERNAL, "the machine gives no random numbers");
	}
	sluice_client *client = malloc(sizeof(*client));
	if (client == NULL) {
		return sl_err_no_memory(err);
	}
	*client = (sluice_client){
	    .timeout_ms = or_default(options->timeout_ms, TIMEOUT_DEFAULT_MS),
	    .attempts_max = or_default(options->attempts_max, ATTEMPTS_DEFAULT),
	    .backoff_ms = or_default(options->backoff_ms, BACKOFF_DEFAULT_MS),
	};
	crpc_init();
	const char *agent = options->user_agent;
	sl_code code = crpc_channel_new(
	    &(struct crpc_options){
		.target = server,
		.user_agent = agent != NULL ? agent : "libsluice/" SLUICE_VERSION,
		.ca_pem = options->ca_pem,
		.cert_pem = options->cert_pem,
		.key_pem = options->key_pem,
	    },
	    &client->channel, err);
	if (code != SL_OK) {
		sluice_client_free(client);
		return code;
	}
	*ret_client = client;
	return SL_OK;
}

int sluice_client_new(const char *server, const sluice_options *options, sluice_client **ret_client,
		      sluice_error *error)
{
	struct sl_err err = SL_ERR_INIT;
	const sluice_options defaults = {0};
	sl_code code = client_new(server, options != NULL ? options : &defaults, ret_client, &err);
	return code == SL_OK ? SLUICE_OK : api_fail(error, &err);
}

void sluice_client_free(sluice_client *client)
{
	if (client == NULL) {
		return;
	}
	crpc_channel_free(client->channel);
	crpc_shutdown();
	free(client);
}

uint32_t api_backoff(const struct sluice_client *client, unsigned attempt)
{
	unsigned doublings = attempt > 0 ? attempt - 1 : 0;
	doublings = doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX;
	uint64_t pause = (uint64_t)client->backoff_ms << doublings;
	pause = pause < BACKOFF_MAX_MS ? pause : BACKOFF_MAX_MS;
	uint32_t random = 0;
	sl_random(&random, sizeof(random));
	uint32_t half = (uint32_t)pause / 2;
	return (uint32_t)pause - half + random % (half + 1);
}

void api_sleep(uint32_t ms)
{
	struct timespec rest = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L};
	while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
	}
}

bool api_is_transient(const struct sl_err *err)
{
	return err->code == SL_UNAVAILABLE ||
	       (err->code == SL_RESOURCE_EXHAUSTED && err->reason == SL_REASON_QUEUE_FULL);
}

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "server/ca/ca_internal.h"

enum { LOOK_EVERY_MS = 1000, RETRY_MS = 60 * 60 * 1000 };

struct ca {
	struct ca_options options;
	struct rpc_tls tls, door_tls;
	atomic_uint generation;
	struct sl_token_key *token_key; /* secret */

	pthread_mutex_t lock; /* guards set */
	struct ca_set *set;

	/* ca_tick() only. */
	int folder;
	struct ca_stamp loaded[CA_FILES]; /* what `set` was read from, or was refused */
	struct ca_stamp seen[CA_FILES];   /* at the last look */
	uint64_t look_at_ms, renew_at_ms; /* of sl_clock_mono_ms() */
	uint64_t failed_ms;               /* when, by the wall clock, one could not be renewed */
};

/* --- what gRPC asks ---------------------------------------------------------------------- */

static unsigned generation(void *ctx)
{
	return atomic_load_explicit(&((struct ca *)ctx)->generation, memory_order_acquire);
}

static void use_pair(struct ca *ca, enum ca_file pem,
		     void (*use)(void *use_ctx, const struct rpc_certificates *certificates),
		     void *use_ctx)
{
	pthread_mutex_lock(&ca->lock);
	use(use_ctx, &(struct rpc_certificates){
			 .cert_pem = ca->set->texts[pem],
			 .key_pem = ca->set->texts[pem + 1],
			 .ca_pem = ca->set->texts[CA_PEM],
		     });
	pthread_mutex_unlock(&ca->lock);
}

static void server_certificates(void *ctx,
				void (*use)(void *use_ctx, const struct rpc_certificates *),
				void *use_ctx)
{
	use_pair(ctx, SERVER_PEM, use, use_ctx);
}

static void door_certificates(void *ctx,
			      void (*use)(void *use_ctx, const struct rpc_certificates *),
			      void *use_ctx)
{
	use_pair(ctx, DOOR_PEM, use, use_ctx);
}

static bool admit(void *ctx, const struct tls_cert *cert)
{
	const struct ca_options *options = &((struct ca *)ctx)->options;
	struct ca_identity identity;
	return ca_identity_parse(cert->uri, &identity) &&
	       (options->admits == NULL || options->admits(options->ctx, &identity, cert));
}

const struct rpc_tls *ca_tls(const struct ca *ca)
{
	return &ca->tls;
}

const struct rpc_tls *ca_door_tls(const struct ca *ca)
{
	return &ca->door_tls;
}

/* --- the files in use -------------------------------------------------------------------- */

static void stamp(int folder, struct ca_stamp stamps[static CA_FILES])
{
	for (int i = 0; i < CA_FILES; i++) {
		stamps[i] = ca_file_stamp(folder, ca_file_names[i]);
	}
}

static bool stamps_equal(const struct ca_stamp a[static CA_FILES],
			 const struct ca_stamp b[static CA_FILES])
{
	for (int i = 0; i < CA_FILES; i++) {
		if (!ca_stamp_equal(a[i], b[i])) {
			return false;
		}
	}
	return true;
}

static void put_in_use(struct ca *ca, struct ca_set *set)
{
	pthread_mutex_lock(&ca->lock);
	struct ca_set *old = ca->set;
	ca->set = set;
	pthread_mutex_unlock(&ca->lock);
	ca_set_free(old);
	atomic_fetch_add_explicit(&ca->generation, 1, memory_order_release);
}

static sl_code load(struct ca *ca, struct sl_err *err)
{
	struct ca_set *set = NULL;
	stamp(ca->folder, ca->loaded);
	sl_code code = ca_set_read(ca->folder, &set, err);
	if (code == SL_OK) {
		put_in_use(ca, set);
	}
	return code;
}

static void log_end(const char *id, const struct ca_set *set, enum ca_file pem)
{
	struct tls_cert cert;
	char until[SL_CLOCK_TEXT_SIZE];
	if (tls_cert_read(sl_bytes_text(set->texts[pem]), &cert, NULL) == SL_OK) {
		log_info(id, "file=%s not_after=%s", ca_file_names[pem],
			 sl_clock_text(until, cert.not_after_ms));
	}
}

/* --- renewing ------------------------------------------------------------------------------ */

static sl_code renew_one(struct ca *ca, enum ca_file pem, uint64_t now_ms, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *text = NULL;
	if (!ca_set_is_due(ca->set, pem, now_ms)) {
		return SL_OK;
	}
	sl_code code = ca_set_renew(ca->set, pem, now_ms, &text, err);
	code = code != SL_OK
		   ? code
		   : ca_file_replace(ca->folder, ca_file_names[pem], sl_bytes_text(text), err);
	code = code != SL_OK ? code : load(ca, err);
	if (code == SL_OK) {
		log_end("certificate-renewed", ca->set, pem);
	}
	return code;
}

/* One that cannot be renewed is tried again, and said again, every hour; at once when the clock was
 * ahead. */
static void renew(struct ca *ca, uint64_t now_ms, uint64_t mono_ms)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (mono_ms < ca->renew_at_ms && now_ms >= ca->failed_ms) {
		return;
	}
	ca->renew_at_ms = 0;
	sl_code code = renew_one(ca, SERVER_PEM, now_ms, &err);
	code = code != SL_OK ? code : renew_one(ca, DOOR_PEM, now_ms, &err);
	if (code != SL_OK) {
		ca->renew_at_ms = mono_ms + RETRY_MS;
		ca->failed_ms = now_ms;
		log_error("certificate-not-renewed", "error=%s action=\"the old one stays\"",
			  SL_QUOTE(err.msg));
	}
}

/* --- replaced files --- */

/* Several files are replaced one after the other: only what has rested since the last look
 * is read. */
static void look(struct ca *ca)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct ca_stamp now[CA_FILES];
	stamp(ca->folder, now);
	bool rests = stamps_equal(now, ca->seen);
	memcpy(ca->seen, now, sizeof(now));
	if (!rests || stamps_equal(now, ca->loaded)) {
		return;
	}
	if (load(ca, &err) != SL_OK) {
		log_error("certificate-refused", "error=%s action=\"the old ones stay in use\"",
			  SL_QUOTE(err.msg));
		return;
	}
	ca->renew_at_ms = 0;
	log_end("certificate-replaced", ca->set, SERVER_PEM);
}

void ca_tick(struct ca *ca, uint64_t now_ms, uint64_t mono_ms)
{
	if (mono_ms < ca->look_at_ms) {
		return;
	}
	ca->look_at_ms = mono_ms + LOOK_EVERY_MS;
	look(ca);
	renew(ca, now_ms, mono_ms);
}

/* --- issuing --- */

static sl_code issue(const struct ca_set *set, struct tls_spec *spec, const struct tls_key *subject,
		     char **ret_pem, struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	struct sl_bytes ca_pem = sl_bytes_text(set->texts[CA_PEM]);
	struct tls_cert ca;
	sl_code code = tls_cert_read(ca_pem, &ca, err);
	code = code != SL_OK ? code : tls_key_read(sl_bytes_text(set->texts[CA_KEY]), &key, err);
	if (code != SL_OK) {
		return code;
	}
	if (spec->not_after_ms > ca.not_after_ms) {
		spec->not_after_ms = ca.not_after_ms;
	}
	return tls_issue(ca_pem, key, spec, subject, ret_pem, err);
}

sl_code ca_issue(struct ca *ca, const struct ca_identity *identity, const struct tls_key *subject,
		 const uint8_t *serial, struct ca_life life, char **ret_pem, struct sl_err *err)
{
	char uri[TLS_URI_MAX + 1];
	struct tls_spec spec = {
	    .use = TLS_CLIENT,
	    .common_name = identity->subject,
	    .uri = ca_identity_uri(uri, identity),
	    .not_before_ms = life.now_ms - CA_SKEW_MS,
	    .not_after_ms = life.until_ms,
	    .serial = serial,
	};
	struct ca_identity again;
	if (!ca_identity_parse(uri, &again)) {
		return sl_err_set(err, SL_INTERNAL, "'%s' is no name of an identity", uri);
	}
	pthread_mutex_lock(&ca->lock);
	sl_code code = issue(ca->set, &spec, subject, ret_pem, err);
	pthread_mutex_unlock(&ca->lock);
	return code;
}

sl_code ca_check(struct ca *ca, struct sl_bytes pem, struct sl_err *err)
{
	pthread_mutex_lock(&ca->lock);
	sl_code code =
	    tls_cert_check(pem, sl_bytes_text(ca->set->texts[CA_PEM]), TLS_CLIENT, 0, err);
	pthread_mutex_unlock(&ca->lock);
	return code;
}

sl_code ca_trust(struct ca *ca, char **ret_pem, struct sl_err *err)
{
	pthread_mutex_lock(&ca->lock);
	char *pem = strdup(ca->set->texts[CA_PEM]);
	pthread_mutex_unlock(&ca->lock);
	if (pem == NULL) {
		return sl_err_no_memory(err);
	}
	*ret_pem = pem;
	return SL_OK;
}

const struct sl_token_key *ca_token_key(const struct ca *ca)
{
	return ca->token_key;
}

/* --- life --- */

static sl_code read_token_key(struct ca *ca, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *bytes = NULL;
	size_t size = 0;
	sl_code code = ca_file_read(ca->folder, CA_TOKEN_KEY, &bytes, &size, err);
	if (code == SL_OK && size != sizeof(*ca->token_key)) {
		code = sl_err_set(err, SL_FAILED_PRECONDITION,
				  "'" CA_TOKEN_KEY "' must have %zu bytes, has %zu",
				  sizeof(*ca->token_key), size);
	}
	if (code == SL_OK) {
		ca->token_key = (struct sl_token_key *)(void *)SL_TAKE(bytes);
	}
	return code;
}

sl_code ca_open(const struct ca_options *options, uint64_t now_ms, struct ca **ret_ca,
		struct sl_err *err)
{
	SL_AUTO(ca_free_auto) struct ca *ca = calloc(1, sizeof(*ca));
	if (ca == NULL) {
		return sl_err_no_memory(err);
	}
	pthread_mutex_init(&ca->lock, NULL);
	ca->options = *options;
	ca->folder = -1;
	ca->tls = (struct rpc_tls){
	    .generation = generation,
	    .certificates = server_certificates,
	    .admit = admit,
	    .ctx = ca,
	};
	ca->door_tls = ca->tls;
	ca->door_tls.certificates = door_certificates;
	ca->door_tls.admit = NULL;
	sl_code code = ca_folder_open(options->data, &ca->folder, err);
	if (code != SL_OK) {
		return code;
	}
	code = load(ca, err);
	code = code != SL_OK ? code : read_token_key(ca, err);
	if (code != SL_OK) {
		(void)sl_err_wrap(err, "keys in '%s/" CA_FOLDER "'", options->data);
		return SL_FAILED_PRECONDITION; /* a missing file is not a missing folder */
	}
	memcpy(ca->seen, ca->loaded, sizeof(ca->seen));
	renew(ca, now_ms, sl_clock_mono_ms());
	*ret_ca = SL_TAKE(ca);
	return SL_OK;
}

void ca_free(struct ca *ca)
{
	if (ca == NULL) {
		return;
	}
	ca_set_free(ca->set);
	sl_secret_free(ca->token_key);
	if (ca->folder >= 0) {
		(void)close(ca->folder);
	}
	pthread_mutex_destroy(&ca->lock);
	free(ca);
}

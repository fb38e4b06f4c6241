/* Takes the place of libssl's SSL_read(), for which gRPC asks when bytes of a connection came: in
 * servers, what clients say is looked at before gRPC has it. Who is hung up on for it stays out for
 * a while, with all of its connections. */
#include <assert.h>
#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/tls/frames.h"
#include "base/tls/hooks.h"
#include "base/tls/hurry.h"
#include "base/tls/offenders.h"
#include "base/tls/tls_internal.h"

static_assert((int)TLS_OFFENDER_KEY == TLS_FINGERPRINT_BYTES &&
		  (int)TLS_HURRY_KEY == TLS_FINGERPRINT_BYTES,
	      "offenders go by their key");

enum { LOG_EVERY_US = 1000000 };

typedef int read_fn(SSL *ssl, void *buffer, int size);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static read_fn *libssl_read;
static int frames_index;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tls_offenders offenders;      /* under the lock */
static struct tls_hurry hurry;              /* likewise */
static atomic_uint_least64_t quiet_from_us; /* nobody is out from then on */

/* One connection of a server. */
struct line {
	struct tls_frames frames;
	bool has_key;
	uint8_t key[TLS_FINGERPRINT_BYTES];
};

static void forget(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	(void)parent, (void)data, (void)index, (void)argl, (void)argp;
	free(ptr);
}

static void prepare(void)
{
	void *symbol = dlsym(RTLD_NEXT, "SSL_read");
	memcpy(&libssl_read, &symbol, sizeof(libssl_read));
	frames_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL, NULL, forget);
	if (libssl_read == NULL || frames_index < 0) {
		abort(); /* not linked as it must be */
	}
}

static struct line *line_new(SSL *ssl)
{
	struct tls_cert cert;
	X509 *x509 = SSL_get0_peer_certificate(ssl);
	struct line *line = calloc(1, sizeof(*line));
	if (line == NULL || SSL_set_ex_data(ssl, frames_index, line) == 0) {
		free(line);
		return NULL;
	}
	line->frames.stranger = x509 == NULL;
	line->has_key = x509 != NULL && tls_x509_facts(x509, &cert);
	if (line->has_key) {
		memcpy(line->key, cert.fingerprint, sizeof(line->key));
	}
	return line;
}

/* NULL: nothing is to be looked at, or there is no memory to do so. */
static struct line *line_of(SSL *ssl)
{
	const unsigned char *protocol = NULL;
	unsigned length = 0;
	struct line *line = SSL_get_ex_data(ssl, frames_index);
	if (line != NULL || SSL_is_server(ssl) == 0) {
		return line;
	}
	SSL_get0_alpn_selected(ssl, &protocol, &length);
	bool is_http2 = length == 2 && memcmp(protocol, "h2", 2) == 0;
	return is_http2 ? line_new(ssl) : NULL;
}

static bool is_quiet(uint64_t now_us)
{
	return now_us >= atomic_load_explicit(&quiet_from_us, memory_order_relaxed);
}

bool tls_is_out(const SSL *ssl, const uint8_t key[static TLS_FINGERPRINT_BYTES])
{
	uint64_t now_us = sl_clock_mono_us();
	if (is_quiet(now_us)) {
		return false;
	}
	(void)pthread_mutex_lock(&lock);
	bool out = tls_offenders_meet(&offenders, key, tls_origin_of(ssl), now_us);
	(void)pthread_mutex_unlock(&lock);
	return out;
}

bool tls_hooks_is_out_from(uint64_t from)
{
	uint64_t now_us = sl_clock_mono_us();
	if (is_quiet(now_us)) {
		return false;
	}
	(void)pthread_mutex_lock(&lock);
	bool out = tls_offenders_came_from(&offenders, from, now_us);
	(void)pthread_mutex_unlock(&lock);
	return out;
}

static void put_out(const SSL *ssl, const struct line *line, uint64_t now_us)
{
	if (!line->has_key) {
		return;
	}
	(void)pthread_mutex_lock(&lock);
	uint64_t until_us = tls_offenders_add(&offenders, line->key, tls_origin_of(ssl), now_us);
	if (until_us > atomic_load_explicit(&quiet_from_us, memory_order_relaxed)) {
		atomic_store_explicit(&quiet_from_us, until_us, memory_order_relaxed);
	}
	(void)pthread_mutex_unlock(&lock);
}

/* NULL: go on; else what is wrong. */
static const char *look_along(struct line *line, const uint8_t *bytes, size_t size, uint64_t now_us)
{
	uint32_t before = line->frames.young_resets;
	const char *wrong = tls_frames_take(&line->frames, bytes, size, now_us);
	uint32_t resets = line->frames.young_resets - before;
	if (wrong != NULL || resets == 0 || !line->has_key) {
		return wrong;
	}
	(void)pthread_mutex_lock(&lock);
	bool bears = tls_hurry_bears(&hurry, line->key, resets, now_us);
	(void)pthread_mutex_unlock(&lock);
	return bears ? NULL : "streams opened and reset, on all connections of a key";
}

/* One line a second is enough. */
static void tell(const char *wrong, uint64_t now_us)
{
	static atomic_uint_least64_t told_us, untold;
	uint64_t last = atomic_load(&told_us);
	if (now_us - last < LOG_EVERY_US ||
	    !atomic_compare_exchange_strong(&told_us, &last, now_us)) {
		atomic_fetch_add(&untold, 1);
		return;
	}
	log_warn("peer-cut-off", "why=%s untold=%lu", SL_QUOTE(wrong),
		 (unsigned long)atomic_exchange(&untold, 0));
}

__attribute__((visibility("default"))) int SSL_read(SSL *ssl, void *buffer, int size)
{
	(void)pthread_once(&once, prepare);
	int got = libssl_read(ssl, buffer, size);
	struct line *line = got > 0 ? line_of(ssl) : NULL;
	if (line == NULL) {
		return got;
	}
	uint64_t now_us = sl_clock_mono_us();
	const char *wrong = look_along(line, buffer, (size_t)got, now_us);
	if (wrong != NULL) {
		tell(wrong, now_us);
		put_out(ssl, line, now_us);
	}
	if (wrong == NULL && !(line->has_key && tls_is_out(ssl, line->key))) {
		return got;
	}
	ERR_raise(ERR_LIB_SSL, SSL_R_UNEXPECTED_RECORD); /* gRPC hangs up */
	return -1;
}

/* Takes the place of libssl's SSL_read(), for which gRPC asks when bytes of a connection came: in
 * servers, what clients say is looked at before gRPC has it. */
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

enum { LOG_EVERY_US = 1000000 };

typedef int read_fn(SSL *ssl, void *buffer, int size);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static read_fn *libssl_read;
static int frames_index;

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

/* NULL: nothing is to be looked at, or there is no memory to do so. */
static struct tls_frames *frames_of(SSL *ssl)
{
	const unsigned char *protocol = NULL;
	unsigned length = 0;
	struct tls_frames *frames = SSL_get_ex_data(ssl, frames_index);
	if (frames != NULL || SSL_is_server(ssl) == 0) {
		return frames;
	}
	SSL_get0_alpn_selected(ssl, &protocol, &length);
	if (length != 2 || memcmp(protocol, "h2", 2) != 0) {
		return NULL;
	}
	frames = calloc(1, sizeof(*frames));
	if (frames != NULL && SSL_set_ex_data(ssl, frames_index, frames) == 0) {
		free(frames);
		frames = NULL;
	}
	return frames;
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
	struct tls_frames *frames = got > 0 ? frames_of(ssl) : NULL;
	if (frames == NULL) {
		return got;
	}
	uint64_t now_us = sl_clock_mono_us();
	const char *wrong = tls_frames_take(frames, buffer, (size_t)got, now_us);
	if (wrong == NULL) {
		return got;
	}
	tell(wrong, now_us);
	ERR_raise(ERR_LIB_SSL, SSL_R_UNEXPECTED_RECORD); /* gRPC hangs up */
	return -1;
}

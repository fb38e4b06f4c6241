#include "server/signing/signing.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/keyfile/keyfile.h"
#include "base/mem/own.h"
#include "server/signing/chain.h"

/* By which a change of the chain is noticed: it is always replaced as a whole. */
struct stamp {
	dev_t device;
	ino_t inode;
	struct timespec modified;
};

struct signing {
	const char *dir; /* borrowed */
	pthread_mutex_t lock;
	struct chain chain;
	struct sl_signer *signer; /* of the chain's last key */
	struct stamp stamp;
};

SL_DEFINE_AUTO(struct signing *, signing_free);

static void chain_auto(struct chain *chain)
{
	chain_fini(chain);
}

static struct stamp stamp_of(const char *dir)
{
	char path[4096];
	struct stat found;
	(void)snprintf(path, sizeof(path), "%s/" CHAIN_FILE, dir);
	if (stat(path, &found) != 0) {
		return (struct stamp){.inode = 0};
	}
	return (struct stamp){
	    .device = found.st_dev, .inode = found.st_ino, .modified = found.st_mtim};
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode &&
	       a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec;
}

/* What the folder says now takes the place of what was read before. */
static sl_code read_folder(struct signing *signing, struct sl_err *err)
{
	SL_AUTO(chain_auto) struct chain chain = {.keys = NULL};
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = NULL;
	const char *name = NULL;
	struct stamp stamp = stamp_of(signing->dir);
	sl_code code = keyfile_check_folder(signing->dir, err);
	code = code == SL_OK ? chain_read(signing->dir, &chain, err) : code;
	code = code == SL_OK ? signing_read_last(signing->dir, &chain, &signer, &name, err) : code;
	if (code != SL_OK) {
		return code;
	}
	pthread_mutex_lock(&signing->lock);
	struct chain old_chain = signing->chain;
	struct sl_signer *old_signer = signing->signer;
	signing->chain = chain;
	signing->signer = signer;
	signing->stamp = stamp;
	pthread_mutex_unlock(&signing->lock);
	chain = old_chain;
	signer = old_signer;
	return SL_OK;
}

sl_code signing_open(const char *dir, struct signing **ret_signing, struct sl_err *err)
{
	SL_AUTO(signing_free_auto) struct signing *signing = calloc(1, sizeof(*signing));
	if (signing == NULL) {
		return sl_err_no_memory(err);
	}
	signing->dir = dir;
	pthread_mutex_init(&signing->lock, NULL);
	sl_code code = read_folder(signing, err);
	if (code == SL_OK) {
		*ret_signing = SL_TAKE(signing);
	}
	return code;
}

void signing_free(struct signing *signing)
{
	if (signing == NULL) {
		return;
	}
	chain_fini(&signing->chain);
	sl_signer_free(signing->signer);
	pthread_mutex_destroy(&signing->lock);
	free(signing);
}

sl_code signing_reload(struct signing *signing, bool *ret_changed, struct sl_err *err)
{
	struct stamp now = stamp_of(signing->dir);
	*ret_changed = false;
	if (same_stamp(&now, &signing->stamp)) {
		return SL_OK;
	}
	signing->stamp = now; /* what cannot be read is not tried again before it changes */
	sl_code code = read_folder(signing, err);
	*ret_changed = code == SL_OK;
	return code;
}

void signing_current(struct signing *signing, struct signing_key *ret_key)
{
	pthread_mutex_lock(&signing->lock);
	*ret_key = *chain_last(&signing->chain);
	pthread_mutex_unlock(&signing->lock);
}

void signing_recovery(struct signing *signing, uint8_t out[static SL_SIGN_PUBLIC_BYTES])
{
	pthread_mutex_lock(&signing->lock);
	memcpy(out, signing->chain.recovery, SL_SIGN_PUBLIC_BYTES);
	pthread_mutex_unlock(&signing->lock);
}

sl_code signing_sign(struct signing *signing, uint32_t epoch, const char *purpose,
		     struct sl_bytes message, uint8_t out[static SL_SIGNATURE_BYTES],
		     struct sl_err *err)
{
	sl_code code = SL_OK;
	pthread_mutex_lock(&signing->lock);
	uint32_t current = chain_last(&signing->chain)->epoch;
	if (current != epoch) {
		code = sl_err_set(err, SL_ABORTED,
				  "the manifest key in use is of epoch %" PRIu32 ", not %" PRIu32,
				  current, epoch);
	} else if (!sl_sign(signing->signer, purpose, message, out)) {
		code = sl_err_no_memory(err);
	}
	pthread_mutex_unlock(&signing->lock);
	return code;
}

/* Where the missing ones begin. */
static size_t first_missing(const struct chain *chain, uint32_t epoch, struct sl_bytes public_key)
{
	size_t from = chain->count;
	for (size_t i = chain->count; i > 0; i--) {
		const struct signing_key *key = &chain->keys[i - 1];
		if (key->epoch == epoch &&
		    sl_bytes_equal(public_key, SL_BYTES(key->public_key, SL_SIGN_PUBLIC_BYTES))) {
			return i;
		}
		if (key->by == SIGNING_BY_RECOVERY && from == chain->count) {
			from = i - 1;
		}
	}
	return from;
}

/* From this one on; none: NULL. */
static sl_code copy_keys(const struct chain *chain, size_t from, struct signing_key **ret_keys,
			 size_t *ret_count, struct sl_err *err)
{
	*ret_keys = NULL;
	*ret_count = chain->count - from;
	if (*ret_count == 0) {
		return SL_OK;
	}
	*ret_keys = malloc(*ret_count * sizeof(**ret_keys));
	if (*ret_keys == NULL) {
		return sl_err_no_memory(err);
	}
	memcpy(*ret_keys, chain->keys + from, *ret_count * sizeof(**ret_keys));
	return SL_OK;
}

sl_code signing_missing(struct signing *signing, uint32_t epoch, struct sl_bytes public_key,
			struct signing_key **ret_keys, size_t *ret_count, struct sl_err *err)
{
	pthread_mutex_lock(&signing->lock);
	size_t from = first_missing(&signing->chain, epoch, public_key);
	sl_code code = copy_keys(&signing->chain, from, ret_keys, ret_count, err);
	pthread_mutex_unlock(&signing->lock);
	return code;
}

sl_code signing_keys(struct signing *signing, struct signing_key **ret_keys, size_t *ret_count,
		     struct sl_err *err)
{
	pthread_mutex_lock(&signing->lock);
	sl_code code = copy_keys(&signing->chain, 0, ret_keys, ret_count, err);
	pthread_mutex_unlock(&signing->lock);
	return code;
}

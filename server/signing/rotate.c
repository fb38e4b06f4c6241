/* How keys come and go. A change of keys is three steps, each of which a crash may be the last of:
 *
 *   the new key as manifest.key.next ; its announcement at the chain's end ; next becomes
 * manifest.key
 *
 * The second step is the one that counts: who reads finds the key in either file, and the next
 * change puts it in place. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/keyfile/keyfile.h"
#include "base/mem/own.h"
#include "server/signing/chain.h"

static void chain_auto(struct chain *chain)
{
	chain_fini(chain);
}

/* --- reading ------------------------------------------------------------------------------ */

sl_code signing_read_key(const char *dir, const char *name, uint32_t *ret_epoch,
			 struct sl_signer **ret_signer, struct sl_err *err)
{
	SL_AUTO(sl_secret_free_auto) void *raw = sl_secret_new(KEY_BYTES);
	if (raw == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code =
	    keyfile_read_key(dir, name, KEYFILE_SECRET, SL_KEY_MANIFEST, raw, KEY_BYTES, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_epoch = sl_get_be32(raw);
	*ret_signer = sl_signer_new((const uint8_t *)raw + 4);
	return *ret_signer != NULL ? SL_OK : sl_err_no_memory(err);
}

static bool is_key_of(const struct signing_key *key, uint32_t epoch, const struct sl_signer *signer)
{
	return epoch == key->epoch &&
	       memcmp(sl_signer_public(signer), key->public_key, SL_SIGN_PUBLIC_BYTES) == 0;
}

/* SL_ABORTED: it is the key of another epoch. */
static sl_code read_key_of(const char *dir, const char *name, const struct signing_key *key,
			   struct sl_signer **ret_signer, struct sl_err *err)
{
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = NULL;
	uint32_t epoch = 0;
	sl_code code = signing_read_key(dir, name, &epoch, &signer, err);
	if (code == SL_OK && !is_key_of(key, epoch, signer)) {
		code = sl_err_set(err, SL_ABORTED,
				  "key file '%s/%s' is not the manifest key of epoch %" PRIu32
				  ", which the chain ends with",
				  dir, name, key->epoch);
	}
	if (code == SL_OK) {
		*ret_signer = SL_TAKE(signer);
	}
	return code;
}

/* A crash, or a change that goes on right now, has left it as the next one. */
static bool is_not_here(sl_code code)
{
	return code == SL_ABORTED || code == SL_NOT_FOUND;
}

sl_code signing_read_last(const char *dir, const struct chain *chain, struct sl_signer **ret_signer,
			  const char **ret_name, struct sl_err *err)
{
	static const char *const names[] = {KEY_FILE, NEXT_FILE, KEY_FILE};
	sl_code code = SL_NOT_FOUND;
	for (size_t i = 0; i < SL_COUNT(names) && is_not_here(code); i++) {
		sl_err_clear(err);
		*ret_name = names[i];
		code = read_key_of(dir, names[i], chain_last(chain), ret_signer, err);
	}
	return is_not_here(code) ? (err->code = SL_FAILED_PRECONDITION) : code;
}

/* The same, and it lies where it belongs. Under the lock. */
static sl_code settle_last(const char *dir, const struct chain *chain,
			   struct sl_signer **ret_signer, struct sl_err *err)
{
	const char *name = NULL;
	sl_code code = signing_read_last(dir, chain, ret_signer, &name, err);
	bool done = code != SL_OK || strcmp(name, KEY_FILE) == 0;
	return done ? code : keyfile_rename(dir, name, KEY_FILE, err);
}

/* --- making ---------------------------------------------------------------------------------- */

static sl_code write_key(const char *dir, const char *name, uint32_t epoch,
			 const uint8_t seed[static SL_SIGN_SEED_BYTES], struct sl_err *err)
{
	SL_AUTO(sl_secret_free_auto) void *raw = sl_secret_new(KEY_BYTES);
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new(SL_KEY_LINE_SIZE);
	if (raw == NULL || text == NULL) {
		return sl_err_no_memory(err);
	}
	sl_put_be32(raw, epoch);
	memcpy((uint8_t *)raw + 4, seed, SL_SIGN_SEED_BYTES);
	(void)sl_key_line(text, SL_KEY_MANIFEST, SL_BYTES(raw, KEY_BYTES));
	return keyfile_replace(dir, name, KEYFILE_SECRET, text, err);
}

/* A fresh key for `epoch`; its private half lies in NEXT_FILE. */
static sl_code make_next(const char *dir, uint32_t epoch, uint64_t now_ms,
			 struct signing_key *ret_key, struct sl_err *err)
{
	SL_AUTO(sl_secret_free_auto) void *seed = sl_secret_new(SL_SIGN_SEED_BYTES);
	if (seed == NULL) {
		return sl_err_no_memory(err);
	}
	sl_random(seed, SL_SIGN_SEED_BYTES);
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = sl_signer_new(seed);
	if (signer == NULL) {
		return sl_err_no_memory(err);
	}
	*ret_key = (struct signing_key){.epoch = epoch, .since_ms = now_ms};
	memcpy(ret_key->public_key, sl_signer_public(signer), SL_SIGN_PUBLIC_BYTES);
	return write_key(dir, NEXT_FILE, epoch, seed, err);
}

static bool announce(struct signing_key *key, enum signing_by by, const struct sl_signer *signer)
{
	uint8_t words[VOUCH_KEY_BYTES];
	vouch_key(key->epoch, key->public_key, words);
	key->by = by;
	return sl_sign(signer, VOUCH_KEY, SL_BYTES(words, sizeof(words)), key->signature);
}

static sl_code put_in_use(const char *dir, struct chain *chain, const struct signing_key *key,
			  struct sl_err *err)
{
	sl_code code = chain_add(chain, key, err);
	code = code == SL_OK ? chain_write(dir, chain, err) : code;
	return code == SL_OK ? keyfile_rename(dir, NEXT_FILE, KEY_FILE, err) : code;
}

/* One change at a time. The lock goes with the descriptor. */
static sl_code lock_folder(const char *dir, int *ret_fd, struct sl_err *err)
{
	sl_code code = keyfile_check_folder(dir, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_fd < 0 || flock(*ret_fd, LOCK_EX | LOCK_NB) != 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "key folder '%s': cannot be locked: %s", dir, strerror(errno));
	}
	return SL_OK;
}

static sl_code check_end(const struct chain *chain, struct sl_err *err)
{
	return chain_last(chain)->epoch < UINT32_MAX
		   ? SL_OK
		   : sl_err_set(err, SL_FAILED_PRECONDITION, "there is no epoch after %" PRIu32,
				UINT32_MAX);
}

sl_code signing_rotate(const char *dir, uint64_t now_ms, struct signing_key *ret_key,
		       struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int lock = -1;
	SL_AUTO(chain_auto) struct chain chain = {.keys = NULL};
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = NULL;
	struct signing_key key;
	sl_code code = lock_folder(dir, &lock, err);
	code = code == SL_OK ? chain_read(dir, &chain, err) : code;
	code = code == SL_OK ? check_end(&chain, err) : code;
	code = code == SL_OK ? settle_last(dir, &chain, &signer, err) : code;
	code =
	    code == SL_OK ? make_next(dir, chain_last(&chain)->epoch + 1, now_ms, &key, err) : code;
	if (code == SL_OK && !announce(&key, SIGNING_BY_PREVIOUS, signer)) {
		code = sl_err_no_memory(err);
	}
	code = code == SL_OK ? put_in_use(dir, &chain, &key, err) : code;
	if (code == SL_OK) {
		*ret_key = key;
	}
	return code;
}

/* The chain, or without one a fresh one that begins with `epoch`. */
static sl_code chain_for_recovery(const char *dir, uint32_t epoch, struct chain *chain,
				  struct sl_err *err)
{
	sl_code code = chain_read(dir, chain, err);
	if (code == SL_OK) {
		return check_end(chain, err);
	}
	if (code != SL_NOT_FOUND) {
		return code;
	}
	if (epoch == 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "key folder '%s' has no " CHAIN_FILE
				  ": say with --epoch the one after the highest that agents have "
				  "(sluice instance show says it)",
				  dir);
	}
	sl_err_clear(err);
	return chain_read_recovery(dir, chain, err);
}

static sl_code read_recovery_key(const char *text, const struct chain *chain,
				 struct sl_signer **ret_signer, struct sl_err *err)
{
	SL_AUTO(sl_secret_free_auto) void *seed = sl_secret_new(SL_SIGN_SEED_BYTES);
	if (seed == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = sl_key_parse(text, SL_KEY_RECOVERY, seed, SL_SIGN_SEED_BYTES, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = sl_signer_new(seed);
	if (signer == NULL) {
		return sl_err_no_memory(err);
	}
	if (memcmp(sl_signer_public(signer), chain->recovery, SL_SIGN_PUBLIC_BYTES) != 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "recovery-key: it is another server's: its public half is not "
				  "the one in " RECOVERY_FILE);
	}
	*ret_signer = SL_TAKE(signer);
	return SL_OK;
}

sl_code signing_recover(const char *dir, const char *recovery_text, uint32_t epoch, uint64_t now_ms,
			struct signing_key *ret_key, struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int lock = -1;
	SL_AUTO(chain_auto) struct chain chain = {.keys = NULL};
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = NULL;
	struct signing_key key;
	sl_code code = lock_folder(dir, &lock, err);
	code = code == SL_OK ? chain_for_recovery(dir, epoch, &chain, err) : code;
	code = code == SL_OK ? read_recovery_key(recovery_text, &chain, &signer, err) : code;
	if (code != SL_OK) {
		return code;
	}
	if (epoch == 0) {
		epoch = chain_last(&chain)->epoch + 1;
	}
	code = make_next(dir, epoch, now_ms, &key, err);
	if (code == SL_OK && !announce(&key, SIGNING_BY_RECOVERY, signer)) {
		code = sl_err_no_memory(err);
	}
	code = code == SL_OK ? put_in_use(dir, &chain, &key, err) : code;
	if (code == SL_OK) {
		*ret_key = key;
	}
	return code;
}

/* --- the first ones --------------------------------------------------------------------------- */

static sl_code make_recovery(const char *dir, char ret_text[static SL_KEY_TEXT_SIZE],
			     struct sl_err *err)
{
	char public[SL_KEY_LINE_SIZE];
	SL_AUTO(sl_secret_free_auto) void *seed = sl_secret_new(SL_SIGN_SEED_BYTES);
	if (seed == NULL) {
		return sl_err_no_memory(err);
	}
	sl_random(seed, SL_SIGN_SEED_BYTES);
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = sl_signer_new(seed);
	if (signer == NULL) {
		return sl_err_no_memory(err);
	}
	(void)sl_key_line(public, SL_KEY_RECOVERY_PUBLIC,
			  SL_BYTES(sl_signer_public(signer), SL_SIGN_PUBLIC_BYTES));
	(void)sl_key_text(ret_text, SL_KEY_RECOVERY, SL_BYTES(seed, SL_SIGN_SEED_BYTES));
	return keyfile_create(dir, RECOVERY_FILE, KEYFILE_SECRET, public, err);
}

static sl_code check_empty(const char *dir, struct sl_err *err)
{
	static const char *const files[] = {KEY_FILE, CHAIN_FILE, RECOVERY_FILE};
	SL_AUTO(sl_fd_auto) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < SL_COUNT(files); i++) {
		if (faccessat(fd, files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			return sl_err_set(err, SL_ALREADY_EXISTS,
					  "key folder '%s' has a %s already", dir, files[i]);
		}
	}
	return SL_OK;
}

sl_code signing_init(const char *dir, uint64_t now_ms, char ret_recovery[static SL_KEY_TEXT_SIZE],
		     struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int lock = -1;
	SL_AUTO(chain_auto) struct chain chain = {.keys = NULL};
	struct signing_key key;
	sl_code code = lock_folder(dir, &lock, err);
	code = code == SL_OK ? check_empty(dir, err) : code;
	code = code == SL_OK ? make_recovery(dir, ret_recovery, err) : code;
	code = code == SL_OK ? make_next(dir, 1, now_ms, &key, err) : code;
	return code == SL_OK ? put_in_use(dir, &chain, &key, err) : code;
}

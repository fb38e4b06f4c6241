/* vault: values that lie encrypted in the store: credentials of repositories, secrets, all of them
 * texts or bytes of whoever puts them; nothing here knows what they are for.
 *
 *   master key     32 bytes, in a file outside the store
 *     wraps        the key of each workspace (table workspace_keys)
 *       seals      its values (table sealed), XChaCha20-Poly1305
 *
 * What a value is sealed with says where it belongs: workspace, kind, name,
 * environment, and the revision that set it. The record of whoever owns the value
 * keeps that revision: so a value that was changed, put in the place of another,
 * or put back to an older one does not open.
 *
 * Without a master key the vault is *locked*: putting and getting are refused,
 * everything else works. With a wrong one the server must not start.
 *
 * Threads: any; one lock inside, around the keys. Values and keys lie in memory for secrets. */
#ifndef SL_SERVER_VAULT_H
#define SL_SERVER_VAULT_H

#include "base/crypto/secret.h"
#include "server/records/records.h"

enum { VAULT_KEY_BYTES = 32, VAULT_NAME_MAX = 100, VAULT_VALUE_MAX = 64 << 10 };

/* Where a value belongs. */
struct vault_place {
	uint32_t workspace;
	uint32_t kind; /* enum sealed_kind, of who owns it */
	const char *name;
	uint32_t environment; /* 0: of none */
};

struct vault;

/* --- the master key -------------------------------------------------------------------- */

/* Reads the master key: `file` unless it is "", else a systemd credential, else
 * DATA/keys/master.key. There is none: a locked vault, and *ret_vault all the same.
 * SL_FAILED_PRECONDITION: it is none, or others may reach it. */
SL_MUST_USE sl_code vault_open(const char *data, const char *file, struct vault **ret_vault,
			       struct sl_err *err);
void vault_free(struct vault *vault); /* NULL is fine */
SL_DEFINE_AUTO(struct vault *, vault_free);
bool vault_is_locked(const struct vault *vault);
/* Where the master key lies, or would. Borrowed. */
const char *vault_path(const struct vault *vault);

/* Does every workspace's key open? For the start. SL_FAILED_PRECONDITION: the master key is another
 * one than the store was written with. A locked vault is fine. */
SL_MUST_USE sl_code vault_check(struct vault *vault, const struct store_view *view,
				struct sl_err *err);

/* --- values ------------------------------------------------------------------------------ */

/* A workspace's key while one command puts values: it may have to make it. {0} before the first. */
struct vault_key {
	uint32_t number; /* 0: not there yet */
	uint8_t *bytes;  /* owned; secret memory */
};
void vault_key_fini(struct vault_key *key);

/* Seals a value into its place, in place of what is there; d->revision is what its owner must
 * keep. SL_FAILED_PRECONDITION / VAULT_LOCKED. */
SL_MUST_USE sl_code vault_put(struct vault *vault, struct decision *d,
			      const struct vault_place *place, struct sl_bytes value,
			      struct vault_key *key, struct sl_err *err);
/* Removes it; fine when it is not there. Needs no key. */
void vault_remove(struct decision *d, const struct vault_place *place);

/* The value that was put at `revision`, as a secret text with a NUL behind it; sl_secret_free() it.
 * SL_NOT_FOUND: it is unset. SL_DATA_LOSS: it does not open. SL_FAILED_PRECONDITION / VAULT_LOCKED.
 */
SL_MUST_USE sl_code vault_get(struct vault *vault, const struct store_view *view,
			      const struct vault_place *place, uint64_t revision, char **ret_value,
			      size_t *ret_size, struct sl_err *err);

/* --- rotation ------------------------------------------------------------------------------ */

/* A new key for the workspace of d: everything is sealed anew, and the old key is gone. One
 * command, so a crash leaves all of it or nothing. Owners' revisions stay. */
SL_MUST_USE sl_code vault_rotate_workspace(struct vault *vault, struct decision *d,
					   struct sl_err *err);

/* A new master key is three steps, each of which a crash may be the last of:
 *
 *   KEY.next is written ; one command wraps all keys with it ; KEY.next becomes KEY
 *
 * The first is vault_new_master(), of `sluiced keys rotate-master`; who finds KEY.next does the
 * rest: vault_settle() at start, vault_tick() while serving.
 *
 * SL_ALREADY_EXISTS: a rotation is under way. SL_FAILED_PRECONDITION: there is no master key, or it
 * lies where this program must not write (a credential). */
SL_MUST_USE sl_code vault_new_master(const char *data, const char *file, struct sl_err *err);
/* Blocks until all is done; nothing to do is fine. */
SL_MUST_USE sl_code vault_settle(struct vault *vault, struct store *store, uint64_t now_ms,
				 struct sl_err *err);
/* Queue thread, often; looks twice a second. Logs what it does. */
void vault_tick(struct vault *vault, struct store *store, uint64_t now_ms, uint64_t mono_ms);
/* Is KEY.next there? */
bool vault_is_rotating(const char *data, const char *file);

/* Forgets every value of every workspace, and their keys; names and owners stay. Needs no key.
 * *ret_count: values. */
SL_MUST_USE sl_code vault_reset(struct decision *d, uint64_t *ret_count, struct sl_err *err);

#endif

/* vault_internal: what the files of vault share; nobody else may include it. */
#ifndef SL_SERVER_VAULT_INTERNAL_H
#define SL_SERVER_VAULT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/crypto/aead.h"
#include "server/vault/vault.h"

enum { MASTER_ID_BYTES = 16, WRAPPED_BYTES = VAULT_KEY_BYTES + SL_AEAD_EXTRA_BYTES };

/* A master key and what records call it. */
struct master {
	uint8_t *bytes; /* owned; secret memory; NULL: none */
	uint8_t id[MASTER_ID_BYTES];
};

/* One command that wraps all keys with the next master key. */
struct rewrap;

struct vault {
	char *path, *next_path;  /* owned */
	pthread_mutex_t lock;    /* guards the two keys */
	struct master now, next; /* next: a rotation is under way */
	struct rewrap *rewrap;   /* on its way; queue thread only */
	atomic_int rewrapped;    /* REWRAP_*: what became of it */
	uint64_t look_mono_ms;
};

/* master.c */
SL_MUST_USE sl_code master_read(const char *path, struct master *ret_master, struct sl_err *err);
void master_fini(struct master *master);
/* The key of this id; false: neither. Caller holds the lock. */
const struct master *master_of(const struct vault *vault, struct sl_bytes id);

/* keys.c */
struct record_key vault_key_key(uint32_t workspace, uint32_t number);
/* The newest key of the workspace. SL_NOT_FOUND: it has none. */
SL_MUST_USE sl_code vault_key_newest(struct vault *vault, const struct store_view *view,
				     uint32_t workspace, struct vault_key *ret_key,
				     struct sl_err *err);
SL_MUST_USE sl_code vault_key_get(struct vault *vault, const struct store_view *view,
				  uint32_t workspace, uint32_t number, struct vault_key *ret_key,
				  struct sl_err *err);
/* Makes key `number` of d's workspace. */
SL_MUST_USE sl_code vault_key_make(struct vault *vault, struct decision *d, uint32_t number,
				   struct vault_key *ret_key, struct sl_err *err);
SL_MUST_USE sl_code vault_key_open(struct vault *vault, uint32_t workspace,
				   const Sluice__Store__V1__WorkspaceKeyRecord *record,
				   struct vault_key *ret_key, struct sl_err *err);
/* Wraps it with this master key, in d's arena. */
SL_MUST_USE sl_code vault_key_wrap(const struct master *master, struct decision *d,
				   uint32_t workspace, const struct vault_key *key,
				   Sluice__Store__V1__WorkspaceKeyRecord *record,
				   struct sl_err *err);

/* rotate.c */
void vault_rewrap_free(struct rewrap *rewrap); /* NULL is fine */

sl_code vault_locked(struct sl_err *err);

#endif

/* keys: a folder with a master key, for tests of what is sealed. */
#ifndef SL_TESTS_VAULT_KEYS_H
#define SL_TESTS_VAULT_KEYS_H

#include "server/vault/vault.h"

/* DIR/keys/NAME; until the next call. */
char *keys_path(const char *dir, const char *name);
void keys_write(const char *path, const char *text);
/* A random key. */
void keys_master(const char *dir, const char *name);
void keys_copy(const char *dir, const char *from, const char *to);
/* The vault of DIR/keys/master.key. */
struct vault *keys_open(const char *dir);
/* Makes the folder and the key first. */
struct vault *keys_new(const char *dir);

#endif

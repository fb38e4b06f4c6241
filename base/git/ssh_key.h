/* ssh_key: private ssh keys as texts: made, and looked at before they are used.
 *
 * Form of OpenSSH's PROTOCOL.key ("openssh-key-v1"), and SEC1 PEM for ECDSA.
 * Threads: any. */
#ifndef SL_BASE_GIT_SSH_KEY_H
#define SL_BASE_GIT_SSH_KEY_H

#include "base/err/err.h"

enum { GIT_SSH_PRIVATE_SIZE = 600, GIT_SSH_PUBLIC_SIZE = 600, GIT_SSH_KEY_MAX = 16 << 10 };

/* A fresh Ed25519 key. The private half is a secret text, sl_secret_free() it; the public one a
 * line of authorized_keys without its end. The comment has at most 100 bytes. */
SL_MUST_USE sl_code git_ssh_key_new(const char *comment, char **ret_private,
				    char ret_public[static GIT_SSH_PUBLIC_SIZE],
				    struct sl_err *err);

/* Can workers log in with this private key? *ret_public is its public half, "" where the form does
 * not show it. SL_INVALID_ARGUMENT / KEY_REFUSED says why not: RSA (what libssh2 signs with SHA-1,
 * hosts refuse), DSA, a pass phrase, another form. Never a byte of the key. */
SL_MUST_USE sl_code git_ssh_key_check(const char *text, char ret_public[static GIT_SSH_PUBLIC_SIZE],
				      struct sl_err *err);

#endif

/* sshserver: a Git host for tests over ssh: OpenSSH with git-shell, on a loopback port.
 *
 * Two keys may come: the writer, and the reader, whom pushes are refused in
 * the words of a host with deploy keys. As root it needs /run/sshd, which it
 * makes: its tests are `local`. Trouble of the test itself aborts. */
#ifndef SL_TESTS_SSHSERVER_H
#define SL_TESTS_SSHSERVER_H

#include <stddef.h>

struct sshserver;

struct sshserver *sshserver_new(void);
void sshserver_free(struct sshserver *server); /* NULL is fine */

/* "ssh://USER@127.0.0.1:PORT/PATH" of an absolute path. Returns `url`. */
#define SSHSERVER_URL_SIZE 600
char *sshserver_url(const struct sshserver *server, const char *path,
		    char url[static SSHSERVER_URL_SIZE]);

enum sshserver_key {
	SSHSERVER_WRITER,   /* Ed25519 */
	SSHSERVER_READER,   /* ECDSA, as PEM */
	SSHSERVER_STRANGER, /* Ed25519; may not come */
	SSHSERVER_RSA,      /* may come */
	SSHSERVER_LOCKED,   /* Ed25519 with a pass phrase; may not come */
	SSHSERVER_KEYS
};
/* The private half as ssh-keygen writes it; the caller frees it. */
char *sshserver_key(const struct sshserver *server, enum sshserver_key key);
/* Lines of a known_hosts file: Ed25519 and ECDSA keys of the host; the caller frees it. */
char *sshserver_known_hosts(const struct sshserver *server);

/* Other host keys, on the same port. */
void sshserver_rekey(struct sshserver *server);

/* Lets this public key in as a writer, too: a line as ssh-keygen prints it. */
void sshserver_allow(struct sshserver *server, const char *public_key);

/* Stalled: connections are taken and nothing is answered, until it goes on. */
void sshserver_pause(struct sshserver *server);
void sshserver_resume(struct sshserver *server);

#endif

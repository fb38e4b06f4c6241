/* identity: who this agent is, and with whom it speaks: DIR/identity, one file (0600), replaced as
 * a whole. Made by `sluice-agent enroll`, kept by renewals.
 *
 * The key never leaves the folder. What a renewal is asked with, its counter and nonce, is written
 * down before it is sent: so a lost answer is asked for again in the same words, and a copy of the
 * folder is found by asking in others. Threads: one. */
#ifndef SL_AGENT_IDENTITY_H
#define SL_AGENT_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/join/join.h"
#include "base/mem/own.h"

enum { IDENTITY_KEY_BYTES = 32, IDENTITY_NONCE_BYTES = 16 };

struct identity {
	char *server, *door; /* host:port */
	char *workspace, *instance, *instance_id, *environment, *identity_id;
	char *ca, *cert;                          /* PEM */
	char *key;                                /* PEM, secret memory */
	uint8_t box_secret[IDENTITY_KEY_BYTES];   /* X25519 */
	uint8_t manifest_key[IDENTITY_KEY_BYTES]; /* Ed25519, public; of key_epoch */
	uint8_t recovery_key[IDENTITY_KEY_BYTES]; /* likewise */
	uint32_t key_epoch;                       /* 0: manifests are not signed */
	bool recovery_known;
	uint64_t renewals; /* answered */
	bool asked;        /* one more was asked for with this nonce */
	uint8_t nonce[IDENTITY_NONCE_BYTES];
	uint64_t taken_ms;     /* when the certificate came, by this machine's clock */
	uint64_t not_after_ms; /* when it ends */
};

/* SL_NOT_FOUND: the agent has not enrolled. */
SL_MUST_USE sl_code identity_load(const char *dir, struct identity **ret_identity,
				  struct sl_err *err);
void identity_free(struct identity *identity); /* NULL is fine */
SL_DEFINE_AUTO(struct identity *, identity_free);

/* Makes keys, shows the token at the door, writes the file. Blocks. crpc_init() was called. What
 * the server says of the token comes as it is. */
SL_MUST_USE sl_code identity_enroll(const char *dir, const struct join *join,
				    struct identity **ret_identity, struct sl_err *err);

/* Half of its life is over. */
bool identity_is_due(const struct identity *identity, uint64_t now_ms);
uint64_t identity_due_ms(const struct identity *identity);
bool identity_is_over(const struct identity *identity, uint64_t now_ms);

/* The packed request for the next certificate, the caller's: a RenewCertificateRequest for the main
 * port, with `late` a RenewRequest for the door. Counter and nonce are on disk first. */
SL_MUST_USE sl_code identity_ask(const char *dir, struct identity *identity, bool late,
				 struct sl_buf *request, struct sl_err *err);
/* The answer. SL_INTERNAL: it is not of our key or CA; what was is kept. */
SL_MUST_USE sl_code identity_take(const char *dir, struct identity *identity, bool late,
				  struct sl_bytes response, struct sl_err *err);

#endif

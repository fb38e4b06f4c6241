/* audit_head: a head of the audit sequence that was kept elsewhere, as `sluice audit head -o json`
 * printed it, and whether the server's manifest key signed it.
 *
 * The key that signed must be known from somewhere else than the file: from the server, or from a
 * pinned key, from which the announcements of the file lead to it. Threads: none. */
#ifndef SL_CLIENT_AUDIT_HEAD_H
#define SL_CLIENT_AUDIT_HEAD_H

#include "base/crypto/sign.h"
#include "client/cli/audit_file.h"

/* A manifest key. */
struct audit_key {
	uint32_t epoch;
	uint8_t public_key[SL_SIGN_PUBLIC_BYTES];
	uint8_t signature[SL_SIGNATURE_BYTES]; /* that announces it; zeros: the first */
};

struct audit_kept {
	struct audit_head head;
	uint32_t epoch; /* of the key that signed; 0: it is not signed */
	uint64_t at_ms;
	uint8_t signature[SL_SIGNATURE_BYTES];
	struct audit_key *keys; /* owned; by epoch */
	size_t key_count;
};
/* SL_NOT_FOUND, SL_INVALID_ARGUMENT name the file. */
SL_MUST_USE sl_code audit_kept_read(const char *path, struct audit_kept *ret_kept,
				    struct sl_err *err);
void audit_kept_fini(struct audit_kept *kept);

/* Keys that somebody vouches for. */
struct audit_trust {
	const struct audit_key *keys; /* all of the server's, from itself */
	size_t key_count;
	const struct audit_key *pinned; /* this one, and what it leads to; NULL: none */
	const uint8_t *recovery;        /* SL_SIGN_PUBLIC_BYTES: it may announce, too; NULL */
};
/* SL_FAILED_PRECONDITION says why the signature is none. */
SL_MUST_USE sl_code audit_kept_check(const struct audit_kept *kept, const struct audit_trust *trust,
				     struct sl_err *err);

#endif

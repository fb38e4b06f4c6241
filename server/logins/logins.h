/* logins: repositories' credentials: checked as they come in, sealed by the vault, opened for the
 * worker that needs them, sealed anew for the agent that does.
 *
 * Records hold what may be shown (server/records/logins.h). Opened credentials lie in memory for
 * secrets, and go into a git_job, a box, or nowhere. Threads: any. */
#ifndef SL_SERVER_LOGINS_H
#define SL_SERVER_LOGINS_H

#include "base/git/git.h"
#include "server/records/logins.h"
#include "server/vault/vault.h"

enum { LOGIN_TOKEN_MAX = 4096, LOGIN_PEM_MAX = 32 << 10 };

/* Credentials as they come in; borrowed. "" in any: not given. */
struct login_new {
	const char *user, *token, *ssh_key;
};

/* Do they fit this URL? SL_INVALID_ARGUMENT / MALFORMED or KEY_REFUSED names the rule, never a
 * credential. */
SL_MUST_USE sl_code logins_check(const struct login_new *wanted, const char *url,
				 struct sl_err *err);

/* What follows changes *repository, which the caller puts. `key` as in vault_put(). */

/* Of credentials that logins_check() took. */
SL_MUST_USE sl_code logins_set(struct vault *vault, struct decision *d,
			       Sluice__Store__V1__RepositoryRecord *repository,
			       enum login_slot slot, const struct login_new *wanted,
			       struct vault_key *key, struct sl_err *err);
void logins_forget(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository,
		   enum login_slot slot);
/* Makes an Ed25519 key for the slot. *ret_public lies in the arena. */
SL_MUST_USE sl_code logins_generate(struct vault *vault, struct decision *d,
				    Sluice__Store__V1__RepositoryRecord *repository,
				    enum login_slot slot, const char **ret_public,
				    struct sl_err *err);
/* The credentials of slot `next` take the place of `slot`. SL_NOT_FOUND / LOGIN_NOT_FOUND. */
SL_MUST_USE sl_code logins_move(struct vault *vault, struct decision *d,
				Sluice__Store__V1__RepositoryRecord *repository,
				enum login_slot next, enum login_slot slot, struct sl_err *err);

/* Opened; git points into `secret` and the record. */
struct repository_login {
	struct git_login git;
	char *secret; /* owned */
};
void repository_login_fini(struct repository_login *login);

/* Who the server is to the repository's host: when it pushes, or when it reads (then who pushes
 * does, when nobody else is set); the slots that wait instead, where they are set, with `next`.
 * Nobody is set: an empty login. */
struct login_wish {
	bool push, next;
};
SL_MUST_USE sl_code logins_open(struct vault *vault, const struct store_view *view,
				uint32_t workspace, Sluice__Store__V1__RepositoryRecord *repository,
				struct login_wish wish, struct repository_login *ret_login,
				struct sl_err *err);

/* What the agent with this identity is told to read the repository, or for one push to write on it:
 * a box that only its key opens, see AgentLogin. SL_NOT_FOUND: it needs nothing, or has no key. */
struct login_reader {
	uint32_t workspace;
	const char *identity_id, *repository_id;
	bool push; /* for a push that it was ordered; else to read */
};
SL_MUST_USE sl_code logins_box(struct vault *vault, const struct store_view *view,
			       const struct login_reader *reader, struct sl_buf *ret_box,
			       uint64_t *ret_revision, struct sl_err *err);

#endif

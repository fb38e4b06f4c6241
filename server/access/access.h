/* access: before every call: who is it, what may it do, how often.
 *
 * A caller is named by its certificate: `spiffe://sluice/principal/<pri_>/<idn_>` or
 * `spiffe://sluice/agent/<ins_>/<idn_>`. The identity behind it, its principal and the rights of
 * its grants are read from the store and kept in memory until something about rights changes
 * (access_generation()): what is kept is asked for with a view, so that a decision on the store's
 * writer thread sees a revocation of the very batch that it is in.
 *
 * Without certificates (--insecure, loopback only) every caller is `anonymous` and may do
 * everything; so it is for whoever has no struct access at all.
 *
 * Threads: all functions are for any, but for access_limit() and those of streams.h (queue thread).
 */
#ifndef SL_SERVER_ACCESS_H
#define SL_SERVER_ACCESS_H

#include "base/err/err.h"
#include "base/id/id.h"
#include "base/token/token.h"
#include "server/ca/identity.h"
#include "server/rpc/rpc.h"
#include "server/rules/rights.h"
#include "server/store/store.h"

struct access;

struct access_options {
	struct store *store; /* borrowed */
	bool open;           /* --insecure: who has no certificate may do everything */
	const struct sl_token_key *token_key; /* hashes access tokens; borrowed. NULL: none */
	unsigned rate_per_s, rate_burst;      /* calls of one principal; 0: no bound */
};
SL_MUST_USE sl_code access_new(const struct access_options *options, struct access **ret_access,
			       struct sl_err *err);
void access_free(struct access *access);                                  /* NULL is fine */
const struct sl_token_key *access_token_key(const struct access *access); /* may be NULL */

/* --- who ------------------------------------------------------------------------------ */

enum access_kind { ACCESS_ANONYMOUS, ACCESS_PERSON, ACCESS_BOT, ACCESS_INSTANCE };
const char *access_kind_name(enum access_kind kind); /* "bot"; static */

struct access_caller {
	enum access_kind kind;
	uint32_t workspace;           /* its own; 0: anonymous */
	char principal[64];           /* for records: "alice", "agent:prod-1", "anonymous" */
	char subject_id[SL_ID_SIZE];  /* "pri_...", "ins_..."; "" for anonymous */
	char identity_id[SL_ID_SIZE]; /* "idn_..."; "" for anonymous */
	uint64_t not_after_ms;        /* its certificate's end; 0: anonymous */
};

extern const struct access_caller access_anonymous;

/* SL_UNAUTHENTICATED: CERTIFICATE_EXPIRED, IDENTITY_MALFORMED, IDENTITY_REVOKED (unknown, revoked,
 * its subject is gone or disabled). peer NULL: there is no certificate. */
SL_MUST_USE sl_code access_identify(struct access *access, const struct rpc_peer_identity *peer,
				    struct access_caller *ret_caller, struct sl_err *err);
/* During the handshake: may the holder of this name come in at all? */
bool access_admit(struct access *access, const struct ca_identity *identity);

/* --- what ------------------------------------------------------------------------------- */

/* What the caller may do by this view. Ended with access_rights_end(). SL_UNAUTHENTICATED as
 * above: by now its identity may be revoked. Of an instance: nothing but its own. */
struct access_entry;
struct access_hold {
	const struct rights *rights; /* until the end of the hold; never NULL */
	struct access_entry *entry;  /* access' own */
};
SL_MUST_USE sl_code access_rights_begin(struct access *access, const struct store_view *view,
					const struct access_caller *caller,
					struct access_hold *ret_hold, struct sl_err *err);
void access_rights_end(struct access_hold *hold);

/* May it act in this workspace at all? Its own; every one for who administers all of `default`. */
bool access_enters(const struct access_caller *caller, const struct rights *rights,
		   uint32_t workspace);
/* May it do what is of no workspace, to the server? */
bool access_serves(const struct access_caller *caller, const struct rights *rights);

/* --- how often --------------------------------------------------------------------------- */

/* Counts one call. SL_RESOURCE_EXHAUSTED / RATE_LIMITED with `retry_after_ms` in the metadata. */
SL_MUST_USE sl_code access_limit(struct access *access, const struct access_caller *caller,
				 struct sl_err *err);

#endif

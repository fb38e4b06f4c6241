/* reason: the closed list of machine-readable reasons of refusals.
 *
 * They travel as google.rpc.ErrorInfo.reason with domain "sluice". A reason is
 * added here and nowhere else; the README's table is printed from this list. */
#ifndef SL_BASE_REASON_H
#define SL_BASE_REASON_H

/* X(name, meaning) */
#define SL_REASONS(X)                                                                              \
	X(MALFORMED, "a field breaks its rule; BadRequest names the field")                        \
	X(NAME_INVALID, "a name breaks its rule")                                                  \
	X(WORKSPACE_NOT_FOUND, "no such workspace")                                                \
	X(ENVIRONMENT_NOT_FOUND, "no such environment")                                            \
	X(REPOSITORY_NOT_FOUND, "no such repository")                                              \
	X(APP_NOT_FOUND, "no such app")                                                            \
	X(VERSION_NOT_FOUND, "no such version")                                                    \
	X(INSTANCE_NOT_FOUND, "no such instance")                                                  \
	X(PROMOTION_NOT_FOUND, "no such promotion")                                                \
	X(RELEASE_NOT_FOUND, "nothing is released, or no such release")                            \
	X(OWED_NOT_FOUND, "nothing of this id is owed to the repository")                          \
	X(OWED_IS_NEEDED, "a sealed version's tag cannot be dropped")                              \
	X(REPOSITORY_READ_ONLY, "nothing is written into a repository with publish = NONE")        \
	X(NAME_TAKEN, "the name is in use")                                                        \
	X(PATH_TAKEN, "an app of this repository and path exists")                                 \
	X(REQUEST_ID_REUSED, "the request id was used with another payload")                       \
	X(STALE_REVISION, "expected_revision is not the record's; metadata has the current one")   \
	X(STALE_EXPECTATION, "the version is in another environment than the caller says")         \
	X(STALE_PLAN, "the plan no longer holds; metadata has the current hash")                   \
	X(GATE_BLOCKED, "a gate blocks; PreconditionFailure lists every one")                      \
	X(NOT_IN_DEVELOPMENT, "only possible while the version is in development")                 \
	X(VERSION_SEALED, "the version is sealed: nothing of it can change")                       \
	X(VERSION_BLOCKED, "the version is blocked")                                               \
	X(VERSION_IN_USE, "the version is released, or an instance runs it or is told to")         \
	X(LAST_VERSION, "an app keeps at least one version")                                       \
	X(APP_IN_USE, "the app has a release or a pin")                                            \
	X(REPOSITORY_IN_USE, "apps refer to the repository")                                       \
	X(NO_DRAFT, "the app has no draft that could take a push")                                 \
	X(NO_WORKING_COPY, "the instance has no working copy of that draft")                       \
	X(LEASE_HELD, "another development instance writes on the app; metadata has which")        \
	X(LEASE_NOT_FOUND, "no instance holds the app's lease")                                    \
	X(PUSH_UNDER_WAY, "an instance is about to push this version")                             \
	X(AGENT_OFFLINE, "the instance's agent is not connected")                                  \
	X(WORKSPACE_IN_USE, "the workspace still has repositories, apps, instances or config")     \
	X(CONTENT_NOT_READY, "the version's content is not READY")                                 \
	X(LAST_ENVIRONMENT, "there is no environment after this one")                              \
	X(NOT_ELIGIBLE, "the version may not run in this environment")                             \
	X(NO_PREVIOUS, "there is no earlier release to go back to")                                \
	X(RELEASED_NEEDS_DECISION,                                                                 \
	  "recalling the released version needs rollback_to, withdraw or keep_serving")            \
	X(NOT_SUPPORTED_THERE, "this is not possible in that environment")                         \
	X(URL_NOT_ALLOWED, "the URL's scheme or host is not allowed")                              \
	X(PAGE_TOKEN_INVALID, "the page token is not of this list or server")                      \
	X(AUDIT_RECORD_UNKNOWN, "no audit record has that number and hash")                        \
	X(REVISION_COMPACTED, "below the compaction floor; metadata has floor and head")           \
	X(REVISION_AHEAD, "above the head; metadata has floor and head")                           \
	X(WATCHER_TOO_SLOW, "the watcher's buffer is full; metadata has the last revision sent")   \
	X(WAIT_TIMEOUT, "what was waited for did not come in time")                                \
	X(INSTANCE_REMOVED, "the instance is removed: stop dialling")                              \
	X(INSTANCE_MISMATCH, "the state folder belongs to another instance")                       \
	X(AGENT_REPLACED, "another agent of the same instance connected")                          \
	X(QUEUE_FULL, "too many writes wait; try again later")                                     \
	X(TOO_MANY, "a limit of this server is reached")                                           \
	X(STORE_FULL, "the store's map is full")                                                   \
	X(DISK_LOW, "free disk is under the reserve: only deletes pass")                           \
	X(ROLE_IN_USE, "the role is built in, or a grant names it")                                \
	X(IN_RECOVERY, "the server was restored from a backup: sluice admin resume")               \
	X(STOPPING, "the server is stopping")                                                      \
	X(STORAGE_FAILED, "the server's storage failed and it is stopping")                        \
	X(CERTIFICATE_EXPIRED, "the client certificate has expired: renew it, or log in again")    \
	X(IDENTITY_REVOKED, "the identity of the client certificate is revoked")                   \
	X(IDENTITY_MALFORMED, "the client certificate names no identity of this server")           \
	X(TOKEN_REFUSED, "the token is unknown, used, expired or revoked")                         \
	X(RIGHT_MISSING, "the caller lacks the right that metadata names")                         \
	X(RATE_LIMITED, "too many calls of this caller; try again later")                          \
	X(PRINCIPAL_NOT_FOUND, "no such principal")                                                \
	X(ROLE_NOT_FOUND, "no such role")                                                          \
	X(TOKEN_NOT_FOUND, "no such token")                                                        \
	X(PRINCIPAL_IN_USE, "the principal cannot go: something still needs it")                   \
	X(CSR_REFUSED, "the certificate request breaks a rule: PEM, P-256, signed by its own key") \
	X(RENEWAL_REFUSED, "this certificate is not renewed: its key, counter or age do not fit")  \
	X(VAULT_LOCKED, "the server has no master key: nothing sealed can be written or read")     \
	X(CONFIG_NOT_FOUND, "no such constant or secret, or it is unset there")                    \
	X(CONFIG_KIND_FIXED, "the name is of the other kind, which is fixed for its life")         \
	X(SOURCE_NOT_FOUND, "no such data source")                                                 \
	X(LOGIN_NOT_FOUND, "the repository has no such credentials")                               \
	X(KEY_REFUSED, "the private key is of a kind or form that cannot be used")                 \
	X(MANIFEST_REFUSED, "the manifest's signature, key, instance or order does not fit")

enum sl_reason {
	SL_REASON_NONE = 0,
#define X(name, meaning) SL_REASON_##name,
	SL_REASONS(X)
#undef X
	    SL_REASON_COUNT
};

/* "STALE_REVISION"; "" for SL_REASON_NONE. Static. */
const char *sl_reason_name(enum sl_reason reason);
const char *sl_reason_meaning(enum sl_reason reason);

#endif

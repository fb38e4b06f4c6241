/* client: libsluice, the C client of the Sluice control plane.
 *
 *   sluice_client *client = NULL;
 *   sluice_error error = SLUICE_ERROR_INIT;
 *   if (sluice_client_new("127.0.0.1:7443", NULL, &client, &error) != SLUICE_OK) ...
 *   Sluice__V1__GetAppRequest request = SLUICE__V1__GET_APP_REQUEST__INIT;
 *   Sluice__V1__GetAppResponse *response = NULL;
 *   request.app = "shop";
 *   if (sluice_get_app(client, NULL, &request, &response, &error) != SLUICE_OK) {
 *           fprintf(stderr, "%s (%s)\n", error.message, error.reason);
 *   }
 *   sluice_message_free(response);
 *   sluice_error_clear(&error);
 *   sluice_client_free(client);
 *
 * Messages are the generated protobuf-c structs of proto/sluice/v1; what each
 * field means stands there. AgentService.Sync, which only agents speak, is not
 * part of this library.
 *
 * Threads: a client may be used by any number of threads at once; a watch and
 * an error belong to one thread at a time. Calls block. The library keeps no
 * global state but gRPC's own, which is counted. A process that uses it must
 * not fork without exec.
 *
 * Plain C11; compiles as C++ too. */
#ifndef SLUICE_CLIENT_H
#define SLUICE_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/v1/access.pb-c.h"
#include "sluice/v1/admin.pb-c.h"
#include "sluice/v1/app.pb-c.h"
#include "sluice/v1/audit.pb-c.h"
#include "sluice/v1/config.pb-c.h"
#include "sluice/v1/door.pb-c.h"
#include "sluice/v1/environment.pb-c.h"
#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/identity.pb-c.h"
#include "sluice/v1/promotion.pb-c.h"
#include "sluice/v1/release.pb-c.h"
#include "sluice/v1/repository.pb-c.h"
#include "sluice/v1/version.pb-c.h"
#include "sluice/v1/watch.pb-c.h"
#include "sluice/v1/workspace.pb-c.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- errors --------------------------------------------------------------------- */

/* gRPC's status codes. */
enum sluice_code {
	SLUICE_OK = 0,
	SLUICE_CANCELLED = 1,
	SLUICE_UNKNOWN = 2,
	SLUICE_INVALID_ARGUMENT = 3,
	SLUICE_DEADLINE_EXCEEDED = 4,
	SLUICE_NOT_FOUND = 5,
	SLUICE_ALREADY_EXISTS = 6,
	SLUICE_PERMISSION_DENIED = 7,
	SLUICE_RESOURCE_EXHAUSTED = 8,
	SLUICE_FAILED_PRECONDITION = 9,
	SLUICE_ABORTED = 10,
	SLUICE_OUT_OF_RANGE = 11,
	SLUICE_UNIMPLEMENTED = 12,
	SLUICE_INTERNAL = 13,
	SLUICE_UNAVAILABLE = 14,
	SLUICE_DATA_LOSS = 15,
	SLUICE_UNAUTHENTICATED = 16
};

#define SLUICE_MESSAGE_SIZE 400

/* Why a call failed. Declare it with SLUICE_ERROR_INIT, end it with
 * sluice_error_clear(); a function that fails drops what was in it. */
typedef struct sluice_error {
	int code;           /* enum sluice_code */
	const char *reason; /* of the closed list, such as "STALE_PLAN"; "": none. Static */
	char message[SLUICE_MESSAGE_SIZE]; /* names thing, value and rule */
	struct sluice_details *details;    /* private */
} sluice_error;

#define SLUICE_ERROR_INIT                                                                          \
	{                                                                                          \
		SLUICE_OK, "", "", NULL                                                            \
	}

void sluice_error_clear(sluice_error *error);
/* "NOT_FOUND"; static. */
const char *sluice_code_name(int code);

/* The value that the server sent for `key` (such as "revision", "floor", "head"); NULL: none.
 * Borrowed until the error is cleared or reused. */
const char *sluice_error_metadata(const sluice_error *error, const char *key);

/* Every blocking gate (SLUICE_FAILED_PRECONDITION) or broken field (SLUICE_INVALID_ARGUMENT). */
typedef struct sluice_violation {
	const char *type;        /* the gate's id; "": a field */
	const char *subject;     /* what it is about: an id, or the field's path */
	const char *description; /* why */
} sluice_violation;
size_t sluice_error_violation_count(const sluice_error *error);
/* The i-th, in the server's order; empty texts when there is none. Borrowed likewise. */
sluice_violation sluice_error_violation(const sluice_error *error, size_t i);

/* --- the client ------------------------------------------------------------------ */

typedef struct sluice_client sluice_client;

/* Zeroed fields take the defaults. */
typedef struct sluice_options {
	uint32_t timeout_ms;    /* of a call with all its retries; 0: 30 000 */
	uint32_t attempts_max;  /* of a call, the first one included; 0: 5; 1: no retries */
	uint32_t backoff_ms;    /* pause before the second attempt, doubled each time, up to 5 s,
				 * half of it at random; 0: 100 */
	const char *user_agent; /* "my-bot/1.2"; NULL: the library's. Copied */
	/* TLS, as PEM, copied. ca_pem: whom the server must be certified by; NULL: no TLS, for a
	 * server with --insecure. cert_pem and key_pem: the client's own; another certificate is
	 * another client. */
	const char *ca_pem, *cert_pem, *key_pem;
} sluice_options;

/* Makes a client of the server at "host:port". Does not connect: the first call
 * does. options may be NULL. Expects SLUICE_INVALID_ARGUMENT for a wrong address or PEM, and
 * SLUICE_UNAUTHENTICATED / CERTIFICATE_EXPIRED for a certificate whose time is over. */
int sluice_client_new(const char *server, const sluice_options *options, sluice_client **ret_client,
		      sluice_error *error);
/* After all calls have returned and all watches are closed. NULL is fine. */
void sluice_client_free(sluice_client *client);

/* --- calls ----------------------------------------------------------------------- */

/* For one call; NULL takes the client's. */
typedef struct sluice_call {
	uint32_t timeout_ms; /* 0: the client's */
} sluice_call;

/* Every unary method of the API: X(name, Method, Service) is the function
 *
 *   int sluice_<name>(sluice_client *client, const sluice_call *call,
 *                     const Sluice__V1__<Method>Request *request,
 *                     Sluice__V1__<Method>Response **ret_response, sluice_error *error);
 *
 * It returns an enum sluice_code. *ret_response is set on SLUICE_OK only and is
 * the caller's: sluice_message_free(). call and error may be NULL.
 *
 * A call that ends with SLUICE_UNAVAILABLE, or with SLUICE_RESOURCE_EXHAUSTED
 * and reason QUEUE_FULL, is tried again with back-off within its time-out. When
 * a mutating request has no write->request_id, the library makes one at random,
 * and every attempt carries the same: it takes effect once at most. Nothing
 * else is retried: SLUICE_ABORTED means that the caller must look again.
 *
 * sluice_login() is for a client of the door: its address, ca_pem, and no certificate yet.
 *
 * sluice_wait_for() waits on the server: unless `call` says otherwise its
 * time-out is the request's own plus ten seconds. */
#define SLUICE_METHODS(X)                                                                          \
	X(create_workspace, CreateWorkspace, WorkspaceService)                                     \
	X(get_workspace, GetWorkspace, WorkspaceService)                                           \
	X(list_workspaces, ListWorkspaces, WorkspaceService)                                       \
	X(rotate_workspace_key, RotateWorkspaceKey, WorkspaceService)                              \
	X(delete_workspace, DeleteWorkspace, WorkspaceService)                                     \
	X(list_environments, ListEnvironments, EnvironmentService)                                 \
	X(set_environment_policy, SetEnvironmentPolicy, EnvironmentService)                        \
	X(get_environment, GetEnvironment, EnvironmentService)                                     \
	X(create_repository, CreateRepository, RepositoryService)                                  \
	X(get_repository, GetRepository, RepositoryService)                                        \
	X(list_repositories, ListRepositories, RepositoryService)                                  \
	X(refresh_repository, RefreshRepository, RepositoryService)                                \
	X(list_owed, ListOwed, RepositoryService)                                                  \
	X(retry_owed, RetryOwed, RepositoryService)                                                \
	X(drop_owed, DropOwed, RepositoryService)                                                  \
	X(set_repository, SetRepository, RepositoryService)                                        \
	X(generate_repository_key, GenerateRepositoryKey, RepositoryService)                       \
	X(rotate_repository_key, RotateRepositoryKey, RepositoryService)                           \
	X(test_repository, TestRepository, RepositoryService)                                      \
	X(list_importable, ListImportable, RepositoryService)                                      \
	X(delete_repository, DeleteRepository, RepositoryService)                                  \
	X(create_app, CreateApp, AppService)                                                       \
	X(import_app, ImportApp, AppService)                                                       \
	X(get_app, GetApp, AppService)                                                             \
	X(list_apps, ListApps, AppService)                                                         \
	X(rename_app, RenameApp, AppService)                                                       \
	X(update_app, UpdateApp, AppService)                                                       \
	X(delete_app, DeleteApp, AppService)                                                       \
	X(list_new_commits, ListNewCommits, AppService)                                            \
	X(open_app, OpenApp, AppService)                                                           \
	X(create_version, CreateVersion, VersionService)                                           \
	X(get_version, GetVersion, VersionService)                                                 \
	X(list_versions, ListVersions, VersionService)                                             \
	X(set_version_content, SetVersionContent, VersionService)                                  \
	X(update_version, UpdateVersion, VersionService)                                           \
	X(upload_content, UploadContent, VersionService)                                           \
	X(push_version, PushVersion, VersionService)                                               \
	X(seal_version, SealVersion, VersionService)                                               \
	X(block_version, BlockVersion, VersionService)                                             \
	X(unblock_version, UnblockVersion, VersionService)                                         \
	X(note_version, NoteVersion, VersionService)                                               \
	X(list_version_facts, ListVersionFacts, VersionService)                                    \
	X(list_version_notes, ListVersionNotes, VersionService)                                    \
	X(diff_versions, DiffVersions, VersionService)                                             \
	X(delete_version, DeleteVersion, VersionService)                                           \
	X(plan, Plan, PromotionService)                                                            \
	X(promote, Promote, PromotionService)                                                      \
	X(get_promotion, GetPromotion, PromotionService)                                           \
	X(list_promotions, ListPromotions, PromotionService)                                       \
	X(release, Release, ReleaseService)                                                        \
	X(sign_release, SignRelease, ReleaseService)                                               \
	X(withdraw_release, WithdrawRelease, ReleaseService)                                       \
	X(rollback, Rollback, ReleaseService)                                                      \
	X(get_release, GetRelease, ReleaseService)                                                 \
	X(list_release_history, ListReleaseHistory, ReleaseService)                                \
	X(register_instance, RegisterInstance, FleetService)                                       \
	X(get_instance, GetInstance, FleetService)                                                 \
	X(list_instances, ListInstances, FleetService)                                             \
	X(update_instance, UpdateInstance, FleetService)                                           \
	X(remove_instance, RemoveInstance, FleetService)                                           \
	X(invite_instance, InviteInstance, FleetService)                                           \
	X(revoke_instance, RevokeInstance, FleetService)                                           \
	X(clear_instance_alerts, ClearInstanceAlerts, FleetService)                                \
	X(pause_instance, PauseInstance, FleetService)                                             \
	X(resume_instance, ResumeInstance, FleetService)                                           \
	X(list_updates, ListUpdates, FleetService)                                                 \
	X(check_for_updates, CheckForUpdates, FleetService)                                        \
	X(pull, Pull, FleetService)                                                                \
	X(retry_instance, RetryInstance, FleetService)                                             \
	X(select_version, SelectVersion, FleetService)                                             \
	X(clear_selection, ClearSelection, FleetService)                                           \
	X(list_selections, ListSelections, FleetService)                                           \
	X(push_working_copy, PushWorkingCopy, FleetService)                                        \
	X(break_lease, BreakLease, FleetService)                                                   \
	X(get_status, GetStatus, FleetService)                                                     \
	X(explain, Explain, FleetService)                                                          \
	X(wait_for, WaitFor, FleetService)                                                         \
	X(renew_certificate, RenewCertificate, IdentityService)                                    \
	X(login, Login, DoorService)                                                               \
	X(who_am_i, WhoAmI, AccessService)                                                         \
	X(logout, Logout, AccessService)                                                           \
	X(set_config_value, SetConfigValue, ConfigService)                                         \
	X(unset_config_value, UnsetConfigValue, ConfigService)                                     \
	X(get_config_name, GetConfigName, ConfigService)                                           \
	X(list_config_names, ListConfigNames, ConfigService)                                       \
	X(delete_config_name, DeleteConfigName, ConfigService)                                     \
	X(reveal_secret, RevealSecret, ConfigService)                                              \
	X(create_source, CreateSource, ConfigService)                                              \
	X(set_source, SetSource, ConfigService)                                                    \
	X(get_source, GetSource, ConfigService)                                                    \
	X(list_sources, ListSources, ConfigService)                                                \
	X(test_source, TestSource, ConfigService)                                                  \
	X(delete_source, DeleteSource, ConfigService)                                              \
	X(create_principal, CreatePrincipal, AccessService)                                        \
	X(get_principal, GetPrincipal, AccessService)                                              \
	X(list_principals, ListPrincipals, AccessService)                                          \
	X(disable_principal, DisablePrincipal, AccessService)                                      \
	X(enable_principal, EnablePrincipal, AccessService)                                        \
	X(delete_principal, DeletePrincipal, AccessService)                                        \
	X(create_grant, CreateGrant, AccessService)                                                \
	X(delete_grant, DeleteGrant, AccessService)                                                \
	X(create_role, CreateRole, AccessService)                                                  \
	X(get_role, GetRole, AccessService)                                                        \
	X(list_roles, ListRoles, AccessService)                                                    \
	X(update_role, UpdateRole, AccessService)                                                  \
	X(delete_role, DeleteRole, AccessService)                                                  \
	X(create_access_token, CreateAccessToken, AccessService)                                   \
	X(list_access_tokens, ListAccessTokens, AccessService)                                     \
	X(revoke_access_token, RevokeAccessToken, AccessService)                                   \
	X(get_stats, GetStats, AdminService)                                                       \
	X(compact, Compact, AdminService)                                                          \
	X(resume, Resume, AdminService)                                                            \
	X(list_audit_records, ListAuditRecords, AuditService)                                      \
	X(get_audit_head, GetAuditHead, AuditService)                                              \
	X(verify_audit, VerifyAudit, AuditService)                                                 \
	X(export_audit, ExportAudit, AuditService)                                                 \
	X(cut_audit, CutAudit, AuditService)

#define SLUICE_DECLARE_(name, Method, Service)                                                     \
	int sluice_##name(sluice_client *client, const sluice_call *call,                          \
			  const Sluice__V1__##Method##Request *request,                            \
			  Sluice__V1__##Method##Response **ret_response, sluice_error *error);
SLUICE_METHODS(SLUICE_DECLARE_)
#undef SLUICE_DECLARE_

/* The same methods as values, for programs that treat them alike. */
enum sluice_rpc {
#define SLUICE_NUMBER_(name, Method, Service) SLUICE_RPC_##Method,
	SLUICE_METHODS(SLUICE_NUMBER_)
#undef SLUICE_NUMBER_
	    SLUICE_RPC_COUNT
};

typedef struct sluice_method {
	const char *path; /* "/sluice.v1.AppService/ListApps" */
	const ProtobufCMessageDescriptor *request, *response;
} sluice_method;

/* Static. */
const sluice_method *sluice_method_of(enum sluice_rpc rpc);
/* request is of the method's request type; otherwise as the functions above. */
int sluice_invoke(sluice_client *client, enum sluice_rpc rpc, const sluice_call *call,
		  const ProtobufCMessage *request, ProtobufCMessage **ret_response,
		  sluice_error *error);

/* Frees any message that this library handed out. NULL is fine. */
void sluice_message_free(void *message);

/* --- backup ---------------------------------------------------------------------- */

/* One message of a backup, borrowed until it returns: the first one says revision and size, the
 * last one the digest. Not 0 ends the backup. */
typedef int (*sluice_backup_piece)(void *ctx, const Sluice__V1__BackupResponse *piece);

/* Takes a backup: all pieces in order, in the calling thread. Size and digest are checked before
 * the last piece is handed out. call->timeout_ms bounds the wait for each message (10 minutes; the
 * first one comes when the server has made its copy). Nothing is retried.
 * Expects SLUICE_DATA_LOSS (what came is not what the server said), SLUICE_CANCELLED (piece() said
 * so), SLUICE_RESOURCE_EXHAUSTED (another backup runs, or the server's disk is low). */
int sluice_backup(sluice_client *client, const sluice_call *call, sluice_backup_piece piece,
		  void *ctx, sluice_error *error);

/* --- bundles --------------------------------------------------------------------- */

/* One message of a bundle file, borrowed until it returns: the first one says how many bytes come.
 * Not 0 ends it. */
typedef int (*sluice_bundle_piece)(void *ctx, const Sluice__V1__ExportBundleResponse *piece);

/* Takes a version's content as a file, piece by piece, in the calling thread. Its own last bytes
 * are a digest of it, which whoever imports it checks. call->timeout_ms as for a backup; nothing is
 * retried. Expects SLUICE_FAILED_PRECONDITION (content that is not READY), SLUICE_DATA_LOSS,
 * SLUICE_CANCELLED, SLUICE_RESOURCE_EXHAUSTED (too many are sent, or the server's disk is low). */
int sluice_export_bundle(sluice_client *client, const sluice_call *call,
			 const Sluice__V1__ExportBundleRequest *request, sluice_bundle_piece piece,
			 void *ctx, sluice_error *error);

/* --- watch ----------------------------------------------------------------------- */

typedef struct sluice_watch sluice_watch;

/* Begins to watch: every change after request->from_revision, in order, each
 * once; 0: from now on, which asks the server for its present revision first.
 * The request is copied. Expects SLUICE_UNAVAILABLE (after the client's
 * retries); what the server thinks of the request comes from the first
 * sluice_watch_next(). */
int sluice_watch_open(sluice_client *client, const Sluice__V1__WatchRequest *request,
		      sluice_watch **ret_watch, sluice_error *error);
/* Waits up to timeout_ms for the next response (a mark without changes is one
 * too). SLUICE_OK with *ret_response = NULL: nothing came yet. *ret_response is
 * the caller's: sluice_message_free().
 *
 * A stream that breaks (SLUICE_UNAVAILABLE, SLUICE_CANCELLED by the server, or
 * SLUICE_RESOURCE_EXHAUSTED with WATCHER_TOO_SLOW) is resumed from the last
 * revision, with back-off, for as long as the caller keeps asking: nothing is
 * lost and nothing comes twice.
 * Any other end is final and is returned by this and every later call, such as
 * SLUICE_OUT_OF_RANGE with REVISION_COMPACTED (metadata `floor`, `head`): what
 * follows sluice_watch_revision() is no longer all there. Read the lists anew
 * and watch from their revision. */
int sluice_watch_next(sluice_watch *watch, uint32_t timeout_ms,
		      Sluice__V1__WatchResponse **ret_response, sluice_error *error);
/* Everything up to here was handed out: resume from it, over restarts too. */
uint64_t sluice_watch_revision(const sluice_watch *watch);
/* Before its client is freed. NULL is fine. */
void sluice_watch_close(sluice_watch *watch);

#ifdef __cplusplus
}
#endif

#endif

/* commands: every command of `sluice`, one row each; noun by noun in a file of its own. */
#ifndef SL_CLIENT_CLI_COMMANDS_H
#define SL_CLIENT_CLI_COMMANDS_H

#include "client/cli/cli.h"

extern const struct cli_command cli_cmd_workspace_add, cli_cmd_workspace_ls, cli_cmd_workspace_rm,
    cli_cmd_workspace_rekey;
extern const struct cli_command cli_cmd_env_ls, cli_cmd_env_set;
extern const struct cli_command cli_cmd_repo_add, cli_cmd_repo_ls, cli_cmd_repo_show, cli_cmd_push,
    cli_cmd_lease_break, cli_cmd_repo_owed, cli_cmd_repo_retry, cli_cmd_repo_drop,
    cli_cmd_repo_refresh, cli_cmd_repo_rm, cli_cmd_repo_set, cli_cmd_repo_test, cli_cmd_repo_keygen,
    cli_cmd_repo_rotate;
extern const struct cli_command cli_cmd_const_set, cli_cmd_const_ls, cli_cmd_const_show,
    cli_cmd_const_unset, cli_cmd_const_rm, cli_cmd_secret_set, cli_cmd_secret_ls,
    cli_cmd_secret_reveal, cli_cmd_secret_unset, cli_cmd_secret_rm, cli_cmd_source_add,
    cli_cmd_source_set, cli_cmd_source_ls, cli_cmd_source_show, cli_cmd_source_test,
    cli_cmd_source_rm, cli_cmd_config_export, cli_cmd_config_apply;
extern const struct cli_command cli_cmd_app_create, cli_cmd_app_ls, cli_cmd_app_show,
    cli_cmd_app_rename, cli_cmd_app_open, cli_cmd_app_rm, cli_cmd_import;
extern const struct cli_command cli_cmd_version_create, cli_cmd_version_set, cli_cmd_version_ls,
    cli_cmd_version_show, cli_cmd_version_diff, cli_cmd_version_seal, cli_cmd_version_block,
    cli_cmd_version_unblock, cli_cmd_version_note, cli_cmd_version_rm, cli_cmd_bundle_export;
extern const struct cli_command cli_cmd_plan, cli_cmd_promote, cli_cmd_select, cli_cmd_release,
    cli_cmd_release_history, cli_cmd_release_withdraw, cli_cmd_release_keygen, cli_cmd_release_sign,
    cli_cmd_rollback;
extern const struct cli_command cli_cmd_instance_add, cli_cmd_instance_ls, cli_cmd_instance_show,
    cli_cmd_instance_label, cli_cmd_instance_pause, cli_cmd_instance_resume, cli_cmd_instance_retry,
    cli_cmd_instance_rm, cli_cmd_instance_rejoin, cli_cmd_instance_revoke, cli_cmd_instance_clear,
    cli_cmd_instance_set, cli_cmd_updates, cli_cmd_pull;
extern const struct cli_command cli_cmd_status, cli_cmd_explain, cli_cmd_wait, cli_cmd_watch,
    cli_cmd_man;
extern const struct cli_command cli_cmd_principal_add, cli_cmd_principal_ls, cli_cmd_principal_show,
    cli_cmd_principal_disable, cli_cmd_principal_enable, cli_cmd_principal_rm, cli_cmd_grant,
    cli_cmd_revoke, cli_cmd_role_add, cli_cmd_role_set, cli_cmd_role_ls, cli_cmd_role_show,
    cli_cmd_role_rm, cli_cmd_token_create, cli_cmd_token_ls, cli_cmd_token_revoke, cli_cmd_whoami;
extern const struct cli_command cli_cmd_backup, cli_cmd_admin_stats, cli_cmd_admin_compact,
    cli_cmd_admin_resume;

extern const struct cli_command cli_cmd_audit_ls, cli_cmd_audit_head, cli_cmd_audit_verify,
    cli_cmd_audit_export, cli_cmd_audit_cut;

extern const struct cli_command cli_cmd_login, cli_cmd_logout, cli_cmd_context_ls,
    cli_cmd_context_show, cli_cmd_context_use, cli_cmd_context_rm;

/* contexts.c. With -o json prints the context, with -o name its name. True then. */
struct login_context;
bool context_printed(const struct cli *cli, const struct login_context *login);

/* Prints the table. Returns CLI_DONE, or CLI_FAILED when memory was short. */
int cli_end_table(struct table *table);

/* env.c. NULL: cli->error says why. */
Sluice__V1__ListEnvironmentsResponse *cli_environments(struct cli *cli);
/* By name or id; NULL name: the one that serves users. NULL: there is none, or cli->error says why.
 */
const Sluice__V1__Environment *cli_environment(struct cli *cli, const char *name);

#endif

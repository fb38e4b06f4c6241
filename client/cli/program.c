/* The program: its commands in one table, and its man page. */
#include "base/version.h"
#include "client/cli/commands.h"

static int man(struct cli *cli, const struct sl_args *args, void *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *form = args->count > 0 ? args->items[0] : NULL;
	(void)cli, (void)config;
	sl_code code = sl_command_page(stdout, &cli_program, 1, form, &err);
	return code == SL_OK ? CLI_DONE : cli_complain(CLI_USAGE, "%s", err.msg);
}

const struct cli_command cli_cmd_man = {
    .about = {.name = "man",
	      .synopsis = "[roff|markdown]",
	      .summary = "Print the man page, or all flags as Markdown",
	      .args_max = 1,
	      .examples =
		  (const struct sl_example[]){{"sluice man | man -l -", "Read it."}, {NULL, NULL}}},
    .run = man,
    .offline = true,
};

int cli_end_table(struct table *table)
{
	return table_end(table) ? CLI_DONE : cli_complain(CLI_FAILED, "out of memory for a table");
}

#define ROW(name) &cli_cmd_##name.about
/* In the order of --help. */
static const struct sl_command *const commands[] = {
    ROW(login),
    ROW(logout),
    ROW(context_ls),
    ROW(context_show),
    ROW(context_use),
    ROW(context_rm),
    ROW(workspace_add),
    ROW(workspace_ls),
    ROW(workspace_rm),
    ROW(workspace_rekey),
    ROW(env_ls),
    ROW(env_set),
    ROW(repo_add),
    ROW(repo_ls),
    ROW(repo_show),
    ROW(repo_refresh),
    ROW(repo_owed),
    ROW(repo_retry),
    ROW(repo_drop),
    ROW(repo_set),
    ROW(repo_test),
    ROW(repo_keygen),
    ROW(repo_rotate),
    ROW(repo_rm),
    ROW(const_set),
    ROW(const_ls),
    ROW(const_show),
    ROW(const_unset),
    ROW(const_rm),
    ROW(secret_set),
    ROW(secret_ls),
    ROW(secret_reveal),
    ROW(secret_unset),
    ROW(secret_rm),
    ROW(source_add),
    ROW(source_set),
    ROW(source_ls),
    ROW(source_show),
    ROW(source_test),
    ROW(source_rm),
    ROW(config_export),
    ROW(config_apply),
    ROW(app_create),
    ROW(app_ls),
    ROW(app_show),
    ROW(app_rename),
    ROW(app_open),
    ROW(app_rm),
    ROW(import),
    ROW(version_create),
    ROW(push),
    ROW(lease_break),
    ROW(version_set),
    ROW(version_ls),
    ROW(version_show),
    ROW(version_diff),
    ROW(version_seal),
    ROW(version_block),
    ROW(version_unblock),
    ROW(version_note),
    ROW(version_rm),
    ROW(bundle_export),
    ROW(plan),
    ROW(promote),
    ROW(select),
    ROW(release),
    ROW(release_history),
    ROW(release_withdraw),
    ROW(release_keygen),
    ROW(release_sign),
    ROW(rollback),
    ROW(instance_add),
    ROW(instance_ls),
    ROW(instance_show),
    ROW(instance_label),
    ROW(instance_pause),
    ROW(instance_resume),
    ROW(instance_set),
    ROW(instance_retry),
    ROW(instance_rm),
    ROW(instance_rejoin),
    ROW(instance_revoke),
    ROW(instance_clear),
    ROW(status),
    ROW(explain),
    ROW(updates),
    ROW(pull),
    ROW(wait),
    ROW(watch),
    ROW(whoami),
    ROW(principal_add),
    ROW(principal_ls),
    ROW(principal_show),
    ROW(principal_disable),
    ROW(principal_enable),
    ROW(principal_rm),
    ROW(grant),
    ROW(revoke),
    ROW(role_add),
    ROW(role_set),
    ROW(role_ls),
    ROW(role_show),
    ROW(role_rm),
    ROW(token_create),
    ROW(token_ls),
    ROW(token_revoke),
    ROW(backup),
    ROW(audit_ls),
    ROW(audit_verify),
    ROW(audit_head),
    ROW(audit_export),
    ROW(audit_cut),
    ROW(admin_stats),
    ROW(admin_compact),
    ROW(admin_resume),
    ROW(man),
    NULL,
};

const struct sl_program cli_program = {
    .name = "sluice",
    .version = SLUICE_VERSION,
    .summary = "Move versions of apps through development, staging and production",
    .description =
	"A version is made in development, promoted step by step, and released to "
	"users. Names and ids can be "
	"used alike.\n\n`sluice login` keeps contexts in $XDG_CONFIG_HOME/sluice, else "
	"~/.config/sluice: contexts/NAME/{ca,cert,key}.pem, and `current`, a link to the "
	"one in use. For a server without TLS context.json there may name server and "
	"workspace: {\"server\": \"127.0.0.1:7443\", \"workspace\": \"default\"}.",
    .commands = commands,
    .flags = cli_global_flags,
    .exit_codes = cli_exit_codes,
};

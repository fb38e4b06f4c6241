/* commands: every command of `sluice`, one row each; noun by noun in a file of its own. */
#ifndef SL_CLIENT_CLI_COMMANDS_H
#define SL_CLIENT_CLI_COMMANDS_H

#include "client/cli/cli.h"

/* In the order of --help. */
#define CLI_COMMANDS(X)                                                                            \
	X(workspace_add)                                                                           \
	X(workspace_ls)                                                                            \
	X(workspace_rm)                                                                            \
	X(env_ls)                                                                                  \
	X(repo_add)                                                                                \
	X(repo_ls) X(repo_show) X(repo_refresh) X(repo_rm) X(app_create) X(app_ls) X(app_show)     \
	    X(app_rename) X(app_open) X(app_rm) X(version_create) X(version_set) X(version_ls)     \
		X(version_show) X(version_seal) X(version_block) X(version_unblock)                \
		    X(version_note) X(version_diff) X(version_rm) X(plan) X(promote) X(select)     \
			X(release) X(release_history) X(release_withdraw) X(rollback)              \
			    X(instance_add) X(instance_ls) X(instance_show) X(instance_label)      \
				X(instance_pause) X(instance_resume) X(instance_retry)             \
				    X(instance_rm) X(status) X(explain) X(wait) X(watch) X(man)

#define CLI_DECLARE_(name) extern const struct cli_command cli_cmd_##name;
CLI_COMMANDS(CLI_DECLARE_)
#undef CLI_DECLARE_

/* Prints the table. Returns CLI_DONE, or CLI_FAILED when memory was short. */
int cli_end_table(struct table *table);

/* env.c. NULL: cli->error says why. */
Sluice__V1__ListEnvironmentsResponse *cli_environments(struct cli *cli);
/* By name or id; NULL name: the one that serves users. NULL: there is none, or cli->error says why.
 */
const Sluice__V1__Environment *cli_environment(struct cli *cli, const char *name);

#endif

/* config: what the agent's commands can be told; one table of flags each. */
#ifndef SL_AGENT_CONFIG_H
#define SL_AGENT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"
#include "base/flags/flags.h"
#include "base/git/git.h"

#define AGENT_VERSION "0.1.0"

struct agent_config {
	const char *server, *instance, *workspace, *state_dir, *join;
	const char *tls_ca, *tls_cert, *tls_key; /* files; "": none */
	const char *hook, *probe, *sync, *log_level, *output, *bundles_from;
	const char *manifest_key, *recovery_key, *release_key,
	    *overrides; /* files; "": not given */
	uint64_t hook_timeout_ms, probe_timeout_ms, probe_deadline_ms, probe_every_ms;
	uint64_t work_every_ms; /* between looks at working copies */
	uint64_t drift_every_ms, compare_every_ms;
	uint64_t keep, prune_after_ms, disk_reserve, git_deadline_ms;
	uint64_t max_files, max_bytes, max_file_bytes, max_depth, max_name;
	bool allow_local, local_told; /* --allow-local-repos; it was on the command line */
};

extern const struct sl_program agent_program;

/* What single flags cannot say: the probe's form. SL_INVALID_ARGUMENT names flag and rule. */
SL_MUST_USE sl_code agent_config_check(const struct agent_config *config, struct sl_err *err);

/* Settles what hangs on how the server is dialled: in the clear only a server with --insecure
 * answers, on loopback, and --allow-local-repos is implied unless the command line says no. */
void agent_config_settle(struct agent_config *config, bool enrolled);

struct git_limits agent_config_limits(const struct agent_config *config);

#endif

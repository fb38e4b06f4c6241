#include "agent/config/config.h"

#include <stddef.h>

#include "agent/probe/probe.h"

#define AT(field) offsetof(struct agent_config, field)
#define STATE_FLAG                                                                                 \
	{                                                                                          \
		.name = "state", .kind = SL_FLAG_TEXT, .offset = AT(state_dir), .min = 1,          \
		.max = 2048, .fallback = "/var/lib/sluice-agent", .placeholder = "DIR",            \
		.help = "Folder of this instance: what it serves, and what it knows."              \
	}
#define RESERVE_FLAG                                                                               \
	{                                                                                          \
		.name = "disk-reserve", .kind = SL_FLAG_BYTES, .offset = AT(disk_reserve),         \
		.fallback = "256M", .help = "Bytes that stay free: no bundle is fetched below."    \
	}
#define LOCAL_FLAG                                                                                 \
	{                                                                                          \
		.name = "allow-local-repos", .kind = SL_FLAG_BOOL, .offset = AT(allow_local),      \
		.help = "Accept repositories by file, git and http and at private addresses. "     \
			"Implied when the server is dialled without TLS, as one with --insecure."  \
	}
#define GIT_DEADLINE_FLAG                                                                          \
	{                                                                                          \
		.name = "git-deadline", .kind = SL_FLAG_DURATION, .offset = AT(git_deadline_ms),   \
		.fallback = "5m", .min = 1000, .max = 86400000,                                    \
		.help = "Longest time of one fetch or checkout."                                   \
	}

#define BUNDLES_FLAG                                                                               \
	{                                                                                          \
		.name = "bundles-from", .kind = SL_FLAG_TEXT, .offset = AT(bundles_from),          \
		.fallback = "git", .choices = "git|server",                                        \
		.help = "Where bundles are fetched: from their Git hosts, or, where those cannot " \
			"be reached, from the server over the agent's connection."                 \
	}

#define TLS_FLAG(flag, field, text)                                                                \
	{                                                                                          \
		.name = flag, .kind = SL_FLAG_TEXT, .offset = AT(field), .placeholder = "FILE",    \
		.help = text                                                                       \
	}
#define TLS_FLAGS                                                                                  \
	TLS_FLAG("tls-ca", tls_ca, "Speak TLS, with a server that this CA (PEM) certifies."),      \
	    TLS_FLAG("tls-cert", tls_cert, "The agent's own certificate (PEM)."),                  \
	    TLS_FLAG("tls-key", tls_key, "Its key (PEM, 0600).")

#define LIMIT_FLAGS                                                                                \
	{.name = "max-files",                                                                      \
	 .kind = SL_FLAG_INT,                                                                      \
	 .offset = AT(max_files),                                                                  \
	 .fallback = "100000",                                                                     \
	 .min = 1,                                                                                 \
	 .max = 10000000,                                                                          \
	 .help = "Most files in a bundle."},                                                       \
	    {.name = "max-bytes",                                                                  \
	     .kind = SL_FLAG_BYTES,                                                                \
	     .offset = AT(max_bytes),                                                              \
	     .fallback = "2G",                                                                     \
	     .min = 1,                                                                             \
	     .help = "Most bytes in a bundle."},                                                   \
	    {.name = "max-file-bytes",                                                             \
	     .kind = SL_FLAG_BYTES,                                                                \
	     .offset = AT(max_file_bytes),                                                         \
	     .fallback = "1G",                                                                     \
	     .min = 1,                                                                             \
	     .help = "Most bytes in one file of a bundle."},                                       \
	    {.name = "max-depth",                                                                  \
	     .kind = SL_FLAG_INT,                                                                  \
	     .offset = AT(max_depth),                                                              \
	     .fallback = "64",                                                                     \
	     .min = 1,                                                                             \
	     .max = 512,                                                                           \
	     .help = "Most folders within folders in a bundle."},                                  \
	{                                                                                          \
		.name = "max-name", .kind = SL_FLAG_INT, .offset = AT(max_name),                   \
		.fallback = "255", .min = 1, .max = 255,                                           \
		.help = "Most bytes in one name in a bundle."                                      \
	}
#define SYNC_FLAG                                                                                  \
	{                                                                                          \
		.name = "sync", .kind = SL_FLAG_TEXT, .offset = AT(sync), .fallback = "fs",        \
		.choices = "fs|each",                                                              \
		.help = "How a bundle gets to the disk: one sync of the file system, or one of "   \
			"each file."                                                               \
	}

static const struct sl_flag run_flags[] = {
    {.name = "server",
     .kind = SL_FLAG_TEXT,
     .offset = AT(server),
     .min = 3,
     .max = 256,
     .placeholder = "HOST:PORT",
     .help = "Server to dial; one that has enrolled knows it."},
    TLS_FLAGS,
    {.name = "instance",
     .kind = SL_FLAG_TEXT,
     .offset = AT(instance),
     .min = 1,
     .max = 50,
     .placeholder = "NAME",
     .help = "Instance that this agent is for: its name or id; one that has enrolled knows it."},
    {.name = "workspace",
     .letter = 'w',
     .kind = SL_FLAG_TEXT,
     .offset = AT(workspace),
     .min = 1,
     .max = 50,
     .fallback = "default",
     .placeholder = "NAME",
     .help = "Workspace of the instance."},
    STATE_FLAG,
    {.name = "manifest-key",
     .kind = SL_FLAG_TEXT,
     .offset = AT(manifest_key),
     .max = 4000,
     .placeholder = "FILE",
     .help = "Pin the manifest key in FILE: only what it signed is believed, or a key that it "
	     "announced. An agent that enrols gets it then; this is for those that do not. A FILE "
	     "with another key than last time is pinned anew."},
    {.name = "recovery-key",
     .kind = SL_FLAG_TEXT,
     .offset = AT(recovery_key),
     .max = 4000,
     .placeholder = "FILE",
     .help = "Pin the public half of the server's recovery key (recovery.pub), which announces a "
	     "new manifest key when the old one is lost or stolen."},
    {.name = "release-key",
     .kind = SL_FLAG_TEXT,
     .offset = AT(release_key),
     .max = 4000,
     .placeholder = "FILE",
     .help = "Activate only versions that the offline release key with the public half in FILE has "
	     "signed (`sluice release sign`). Kept for later starts; `none` demands it no more."},
    {.name = "overrides",
     .kind = SL_FLAG_TEXT,
     .offset = AT(overrides),
     .max = 4000,
     .placeholder = "FILE",
     .help = "Values of this host, which win over the environment's: lines "
	     "SLUICE_CONST__NAME=VALUE and SLUICE_SECRET__NAME=VALUE. Only the agent's user may "
	     "read FILE. Variables of those names in the agent's own environment win over FILE."},
    {.name = "hook",
     .kind = SL_FLAG_TEXT,
     .offset = AT(hook),
     .placeholder = "PROGRAM",
     .help =
	 "Run after each change of what an app serves, with the app's slug, the version and its "
	 "path as arguments (the last two empty when the app is taken down), and with "
	 "SLUICE_APP, SLUICE_APP_ID, SLUICE_VERSION, SLUICE_PATH, SLUICE_CONFIG (the folder of its "
	 "config, or empty) and SLUICE_REASON (activate, rollback, recover; reload: its config "
	 "changed) in its environment. It runs at least once per change, also on the way back and "
	 "after a crash."},
    {.name = "hook-timeout",
     .kind = SL_FLAG_DURATION,
     .offset = AT(hook_timeout_ms),
     .fallback = "30s",
     .min = 100,
     .max = 3600000,
     .help = "Longest time of one run of the hook."},
    {.name = "probe",
     .kind = SL_FLAG_TEXT,
     .offset = AT(probe),
     .max = 1024,
     .placeholder = "PROBE",
     .help =
	 "How to ask whether an app is well: http://HOST:PORT/PATH, tcp:HOST:PORT or cmd:WORDS; "
	 "{app} and {slug} become the app's id and slug. HOST is an IP address or localhost."},
    {.name = "probe-timeout",
     .kind = SL_FLAG_DURATION,
     .offset = AT(probe_timeout_ms),
     .fallback = "10s",
     .min = 10,
     .max = 600000,
     .help = "Longest time of one probe."},
    {.name = "probe-deadline",
     .kind = SL_FLAG_DURATION,
     .offset = AT(probe_deadline_ms),
     .fallback = "60s",
     .min = 10,
     .max = 3600000,
     .help =
	 "Time for the probe to say yes after a change; then the previous version is put back."},
    {.name = "probe-every",
     .kind = SL_FLAG_DURATION,
     .offset = AT(probe_every_ms),
     .fallback = "10s",
     .min = 100,
     .max = 3600000,
     .help = "Pause between probes of a healthy app; three misses in a row make it DEGRADED."},
    {.name = "work-every",
     .kind = SL_FLAG_DURATION,
     .offset = AT(work_every_ms),
     .fallback = "30s",
     .min = 100,
     .max = 86400000,
     .help = "Pause between looks at the working copies of drafts (development only): what is "
	     "edited there is told, and one with nothing edited follows its draft."},
    {.name = "drift-every",
     .kind = SL_FLAG_DURATION,
     .offset = AT(drift_every_ms),
     .fallback = "60s",
     .min = 100,
     .max = 86400000,
     .help = "Pause between cheap looks whether files of what is served were changed here (stat "
	     "of each); what looks changed is compared byte by byte."},
    {.name = "compare-every",
     .kind = SL_FLAG_DURATION,
     .offset = AT(compare_every_ms),
     .fallback = "24h",
     .min = 100,
     .max = 2592000000,
     .help = "Pause between comparisons byte by byte, with digest, that no look has asked for."},
    {.name = "keep",
     .kind = SL_FLAG_INT,
     .offset = AT(keep),
     .fallback = "1",
     .max = 1000,
     .help = "Versions kept on disk beyond what the server names and the one before."},
    {.name = "prune-after",
     .kind = SL_FLAG_DURATION,
     .offset = AT(prune_after_ms),
     .fallback = "60s",
     .max = 86400000,
     .help = "Pause after an activation, or a deletion, before a version that is not kept is "
	     "deleted: deleting slows the disk down for those who write."},
    LIMIT_FLAGS,
    BUNDLES_FLAG,
    GIT_DEADLINE_FLAG,
    SYNC_FLAG,
    RESERVE_FLAG,
    LOCAL_FLAG,
    {.name = "log-level",
     .kind = SL_FLAG_TEXT,
     .offset = AT(log_level),
     .fallback = "info",
     .choices = "debug|info|warn|error",
     .help = "What is logged on stderr."},
    {.name = NULL},
};

static const struct sl_flag enroll_flags[] = {
    {.name = "join",
     .kind = SL_FLAG_TEXT,
     .offset = AT(join),
     .min = 1,
     .max = 4000,
     .required = true,
     .placeholder = "FILE",
     .help = "The join file of `sluice instance add` or `instance rejoin`; - for standard input."},
    STATE_FLAG,
    {.name = NULL},
};

static const struct sl_flag status_flags[] = {
    STATE_FLAG,
    {.name = "output",
     .letter = 'o',
     .kind = SL_FLAG_TEXT,
     .offset = AT(output),
     .fallback = "table",
     .choices = "table|json",
     .help = "Form of the answer."},
    {.name = NULL},
};

static const struct sl_flag reset_flags[] = {
    STATE_FLAG,
    {.name = NULL},
};

static const struct sl_flag import_flags[] = {
    STATE_FLAG, LIMIT_FLAGS, GIT_DEADLINE_FLAG, SYNC_FLAG, RESERVE_FLAG, {.name = NULL},
};

static const struct sl_flag check_flags[] = {
    STATE_FLAG,
    {.name = "server",
     .kind = SL_FLAG_TEXT,
     .offset = AT(server),
     .min = 3,
     .max = 256,
     .placeholder = "HOST:PORT",
     .help =
	 "Server to reach; one that has enrolled knows it. Without either that check is left out."},
    TLS_FLAGS,
    RESERVE_FLAG,
    LOCAL_FLAG,
    BUNDLES_FLAG,
    GIT_DEADLINE_FLAG,
    {.name = NULL},
};

static const struct sl_example run_examples[] = {
    {"sluice-agent --server 127.0.0.1:7443 --instance prod-1 --state /srv/prod-1",
     "Keep prod-1 as the server wants it."},
    {"sluice-agent run ... --probe http://127.0.0.1:8080/{slug}/",
     "Put the previous version back when the new one does not answer."},
    {NULL, NULL},
};
static const struct sl_exit_code exit_codes[] = {
    {0, "done; for run: ended by a signal"},
    {3, "failed"},
    {64, "usage"},
    {0, NULL},
};

static const struct sl_command run_command = {
    .name = "run",
    .synopsis = "[--server HOST:PORT --instance NAME]",
    .summary = "Pull and serve what the server wants; the default command",
    .description = "Dials the server, fetches through Git what it names, verifies it, and points "
		   "DIR/apps/SLUG/current at it by one rename. What is served goes on when server, "
		   "Git host or agent are away.",
    .flags = run_flags,
    .env_prefix = "SLUICE_",
    .examples = run_examples,
};
static const struct sl_command enroll_command = {
    .name = "enroll",
    .synopsis = "--join FILE",
    .summary = "Become the agent of an instance: make keys, get a certificate",
    .description = "Makes the agent's keys, which never leave DIR, shows the one-time token of the "
		   "join file at the server's door and keeps what it gets in DIR/identity (0600). "
		   "From then on `run` needs no address and no name, and renews the certificate by "
		   "itself. A running agent takes a new identity at its next start.",
    .flags = enroll_flags,
    .env_prefix = "SLUICE_",
    .examples =
	(const struct sl_example[]){
	    {"sluice instance add prod-1 --env production | ssh host sluice-agent enroll --join - "
	     "--state /srv/prod-1",
	     "The token is good once, and for minutes."},
	    {NULL, NULL}},
};
static const struct sl_command status_command = {
    .name = "status",
    .synopsis = "",
    .summary = "Show what this instance serves, from its own disk",
    .flags = status_flags,
    .env_prefix = "SLUICE_",
};
static const struct sl_command check_command = {
    .name = "check",
    .synopsis = "",
    .summary = "Check clock, server, Git hosts, disk and what is served",
    .flags = check_flags,
    .env_prefix = "SLUICE_",
};
static const struct sl_command reset_command = {
    .name = "reset",
    .synopsis = "APP",
    .summary = "Give up what is edited in the working copy of an app's draft",
    .description = "Renames DIR/apps/APP/work to work.before, in the place of the one that was "
		   "there. The running agent makes it anew from the draft.",
    .args_min = 1,
    .args_max = 1,
    .flags = reset_flags,
    .env_prefix = "SLUICE_",
};
static const struct sl_command import_command = {
    .name = "import",
    .synopsis = "FILE",
    .summary = "Put a bundle that was carried here on the instance's disk",
    .description =
	"FILE is one that `sluice bundle export` wrote. It is verified as if it had been fetched, "
	"without a network: what is cut, changed or against the rules of bundles is refused "
	"whole. Nothing is activated on the word of FILE: that takes a manifest of the server, "
	"which may have come before or comes later, that names the version with this digest. A "
	"version that none has named is kept for 30 days. The agent must not be running, and the "
	"command is run as its user; what is served stays served.",
    .args_min = 1,
    .args_max = 1,
    .flags = import_flags,
    .env_prefix = "SLUICE_",
    .examples =
	(const struct sl_example[]){{"sluice-agent import /media/usb/shop-v1.bundle --state "
				     "/srv/prod-1",
				     "With the agent stopped; it finds it at its next start."},
				    {NULL, NULL}},
};
static const struct sl_command man_command = {
    .name = "man",
    .synopsis = "[roff|markdown]",
    .summary = "Print this program's man page, or its flags as Markdown",
    .args_max = 1,
};
static const struct sl_command *const commands[] = {
    &run_command,   &enroll_command, &status_command, &check_command,
    &reset_command, &import_command, &man_command,    NULL};

const struct sl_program agent_program = {
    .name = "sluice-agent",
    .version = AGENT_VERSION,
    .summary = "Keep one instance as a Sluice server wants it",
    .description =
	"The program beside an instance: it pulls versions of apps through Git, verifies and "
	"activates them, and reports. It only ever dials out.",
    .commands = commands,
    .exit_codes = exit_codes,
};

sl_code agent_config_check(const struct agent_config *config, struct sl_err *err)
{
	if (config->probe == NULL || config->probe[0] == '\0') {
		return SL_OK;
	}
	sl_code code = probe_check(config->probe, err);
	return code == SL_OK ? SL_OK : sl_err_wrap(err, "--probe");
}

void agent_config_settle(struct agent_config *config, bool enrolled)
{
	config->allow_local |= !config->local_told && !enrolled && config->tls_ca[0] == '\0';
}

struct git_limits agent_config_limits(const struct agent_config *config)
{
	struct git_limits limits = GIT_LIMITS_DEFAULT;
	limits.files = config->max_files;
	limits.bytes = config->max_bytes;
	limits.file_bytes = config->max_file_bytes;
	limits.depth = (unsigned)config->max_depth;
	limits.name_bytes = (unsigned)config->max_name;
	return limits;
}

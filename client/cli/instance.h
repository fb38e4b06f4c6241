/* instance: what the commands about instances share. */
#ifndef SL_CLIENT_CLI_INSTANCE_H
#define SL_CLIENT_CLI_INSTANCE_H

#include "client/cli/cli.h"

/* --pull auto|manual; then .help and, if there is one, .fallback. */
#define INSTANCE_PULL_FLAG(type, field, ...)                                                       \
	{                                                                                          \
		.name = "pull", .kind = SL_FLAG_TEXT, .offset = offsetof(type, field),             \
		.choices = "auto|manual", __VA_ARGS__                                              \
	}

/* --drift report|correct; likewise. */
#define INSTANCE_DRIFT_FLAG(type, field, ...)                                                      \
	{                                                                                          \
		.name = "drift", .kind = SL_FLAG_TEXT, .offset = offsetof(type, field),            \
		.choices = "report|correct", __VA_ARGS__                                           \
	}

/* NULL: cli->error says why. */
Sluice__V1__Instance *instance_get(struct cli *cli, const char *name,
				   Sluice__V1__GetInstanceResponse **ret_response);
/* "auto", "manual"; "": UNSPECIFIED. */
Sluice__V1__PullMode instance_pull_mode(const char *word);
/* "report", "correct"; "": UNSPECIFIED. */
Sluice__V1__DriftPolicy instance_drift_policy(const char *word);
const char *instance_drift_name(const Sluice__V1__Instance *in); /* "CORRECT"; static */
const char *instance_pull_name(const Sluice__V1__Instance *in);  /* "MANUAL"; static */

#endif

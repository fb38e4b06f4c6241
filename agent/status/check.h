/* Shared by the files of `sluice-agent check`. */
#ifndef SL_AGENT_STATUS_CHECK_H
#define SL_AGENT_STATUS_CHECK_H

#include <stdio.h>

#include "agent/activate/activate.h"
#include "agent/config/config.h"
#include "agent/identity/identity.h"
#include "agent/state/state.h"
#include "base/err/err.h"
#include "sluice/v1/agent.pb-c.h"

struct check {
	struct agent_config config; /* settled */
	char dir[ACTIVATE_PATH_SIZE];
	const struct state *state;
	const Sluice__V1__Manifest *manifest;
	struct identity *identity; /* owned; NULL: none that can be read */
	FILE *out;
	unsigned failed;
};

enum check_verdict { CHECK_OK, CHECK_WARN, CHECK_FAIL };

/* One line. */
void check_say(struct check *check, enum check_verdict verdict, const char *what, const char *fmt,
	       ...) SL_PRINTF(4, 5);

/* Reads it, too. */
void check_identity(struct check *check);
bool check_has_identity(const char *dir);

#endif

/* target: what the text of a probe says. Private to agent/probe. */
#ifndef SL_AGENT_PROBE_TARGET_H
#define SL_AGENT_PROBE_TARGET_H

#include <sys/socket.h>

#include "base/err/err.h"

enum { PROBE_TEXT_SIZE = 2048 };
enum target_kind { TARGET_HTTP, TARGET_TCP, TARGET_COMMAND };

struct target {
	enum target_kind kind;
	struct sockaddr_storage address; /* HTTP, TCP */
	socklen_t address_size;
	char authority[128];        /* "127.0.0.1:8080" */
	char rest[PROBE_TEXT_SIZE]; /* HTTP: path; COMMAND: words */
};

/* Puts app and slug in their places, then reads the text. SL_INVALID_ARGUMENT names the rule. */
SL_MUST_USE sl_code target_parse(const char *text, const char *app_id, const char *slug,
				 struct target *ret_target, struct sl_err *err);

#endif

/* join: the file that lets an agent in: `sluice instance add ... > join.json`, `sluice-agent enroll
 * --join join.json`.
 *
 *   {"server": "host:7443", "door": "host:7444", "ca": "PEM", "workspace": "default",
 *    "instance": "prod-1", "token": "jtk_....<secret>"}
 *
 * The token is good once and for minutes; the rest is no secret. Threads: none. */
#ifndef SL_BASE_JOIN_H
#define SL_BASE_JOIN_H

#include "base/bytes/bytes.h"
#include "base/err/err.h"

enum { JOIN_ADDRESS_MAX = 261, JOIN_NAME_MAX = 50, JOIN_CA_MAX = 60 << 10, JOIN_TOKEN_MAX = 100 };

/* All texts are owned. {0} is empty. */
struct join {
	char *server, *door, *ca, *workspace, *instance, *token;
};
void join_fini(struct join *join);

/* SL_INVALID_ARGUMENT names what is missing, unknown or too long. */
SL_MUST_USE sl_code join_parse(struct sl_bytes text, struct join *ret_join, struct sl_err *err);
/* Of a file, or of standard input for "-". SL_NOT_FOUND: there is none. */
SL_MUST_USE sl_code join_read(const char *path, struct join *ret_join, struct sl_err *err);
/* The file's text, the caller's. NULL: out of memory. */
char *join_text(const struct join *join);

#endif

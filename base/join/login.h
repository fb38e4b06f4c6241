/* login: the file that lets a person or bot in: `sluice token create NAME --login`, `sluiced token
 * --login`, `sluice login`.
 *
 *   {"server":"host:7443","door":"host:7444","ca":"PEM","token":"slc_<id>_<secret>"}
 *
 * One line, so that it can be pasted as well. The token is a secret; the rest is none. Threads:
 * none. */
#ifndef SL_BASE_JOIN_LOGIN_H
#define SL_BASE_JOIN_LOGIN_H

#include "base/bytes/bytes.h"
#include "base/err/err.h"

/* All texts are owned. {0} is empty. */
struct login_file {
	char *server, *door, *ca, *token;
};
void login_file_fini(struct login_file *file); /* wipes */

/* SL_INVALID_ARGUMENT names what is missing, unknown or too long; never a value. */
SL_MUST_USE sl_code login_file_parse(struct sl_bytes text, struct login_file *ret_file,
				     struct sl_err *err);
/* The file's text, the caller's. NULL: out of memory. */
char *login_file_text(const struct login_file *file);

#endif

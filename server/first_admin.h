/* first_admin: the principal `admin` and an access token for it, while no server has the store. */
#ifndef SL_SERVER_FIRST_ADMIN_H
#define SL_SERVER_FIRST_ADMIN_H

#include "base/err/err.h"
#include "base/token/token.h"

/* Opens, or makes, the store in DIR. SL_FAILED_PRECONDITION: a server has it. *ret_text is
 * malloc'ed; wipe it. */
SL_MUST_USE sl_code server_first_admin(const char *data, const struct sl_token_key *key,
				       uint64_t now_ms, uint64_t life_ms, char **ret_text,
				       struct sl_err *err);

#endif

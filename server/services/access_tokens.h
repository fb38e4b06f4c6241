/* access_tokens: rows of AccessService's table, as service.h describes them: Create, List and
 * RevokeAccessToken. */
#ifndef SL_SERVER_SERVICES_ACCESS_TOKENS_H
#define SL_SERVER_SERVICES_ACCESS_TOKENS_H

#include "server/services/service.h"

sl_code create_access_token_check(const void *message, struct sl_err *err);
sl_code create_access_token_decide(struct decision *d, const void *message, void *reply,
				   struct sl_err *err);
sl_code list_access_tokens_check(const void *message, struct sl_err *err);
sl_code list_access_tokens_read(struct service_read *read, const void *message, void *reply,
				struct sl_err *err);
sl_code revoke_access_token_check(const void *message, struct sl_err *err);
sl_code revoke_access_token_decide(struct decision *d, const void *message, void *reply,
				   struct sl_err *err);

#endif

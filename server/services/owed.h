/* owed: RepositoryService, what is owed to a repository's host: listed, tried again, given up. */
#ifndef SL_SERVER_SERVICES_OWED_H
#define SL_SERVER_SERVICES_OWED_H

#include "server/services/service.h"

SL_MUST_USE sl_code owed_list_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code owed_list_read(struct service_read *read, const void *message, void *reply,
				   struct sl_err *err);
SL_MUST_USE sl_code owed_retry_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code owed_retry(struct decision *d, const void *message, void *reply,
			       struct sl_err *err);
SL_MUST_USE sl_code owed_drop_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code owed_drop(struct decision *d, const void *message, void *reply,
			      struct sl_err *err);

#endif

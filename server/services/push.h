/* push: VersionService, a folder on its way into Git: taken piece by piece, then owed as a commit.
 */
#ifndef SL_SERVER_SERVICES_PUSH_H
#define SL_SERVER_SERVICES_PUSH_H

#include "server/services/service.h"

SL_MUST_USE sl_code push_upload_check(const void *message, struct sl_err *err);
void push_upload_start(struct service_call *call, const void *message);
/* What a push's commit may say. */
SL_MUST_USE sl_code push_check_message(const char *message, struct sl_err *err);
SL_MUST_USE sl_code push_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code push_decide(struct decision *d, const void *message, void *reply,
				struct sl_err *err);

#endif

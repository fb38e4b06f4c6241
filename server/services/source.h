/* source: the part of ConfigService that is about data sources. Private to services. */
#ifndef SL_SERVER_SERVICES_SOURCE_H
#define SL_SERVER_SERVICES_SOURCE_H

#include "server/services/service.h"

sl_code source_create_check(const void *request, struct sl_err *err);
sl_code source_create_decide(struct decision *d, const void *request, void *response,
			     struct sl_err *err);
sl_code source_set_check(const void *request, struct sl_err *err);
sl_code source_set_decide(struct decision *d, const void *request, void *response,
			  struct sl_err *err);
sl_code source_get_check(const void *request, struct sl_err *err);
sl_code source_get_read(struct service_read *read, const void *request, void *response,
			struct sl_err *err);
sl_code source_list_read(struct service_read *read, const void *request, void *response,
			 struct sl_err *err);
sl_code source_delete_check(const void *request, struct sl_err *err);
sl_code source_delete_decide(struct decision *d, const void *request, void *response,
			     struct sl_err *err);

#endif

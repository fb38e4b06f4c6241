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
/* source_test.c */
sl_code source_test_check(const void *request, struct sl_err *err);
sl_code source_test_ask(struct decision *d, const void *request, const void **ret_question,
			struct sl_err *err);
void source_test_find(struct service_write *write, const struct services *services,
		      const void *question);
sl_code source_test_decide(struct decision *d, const void *request, void *response,
			   struct sl_err *err);
sl_code source_delete_check(const void *request, struct sl_err *err);
sl_code source_delete_decide(struct decision *d, const void *request, void *response,
			     struct sl_err *err);

/* Set only where the caller does not see, it is as unknown. */
bool source_is_seen(const struct rights *rights, const Sluice__Store__V1__SourceRecord *record);
sl_code source_check_name(const char *field, const char *name, struct sl_err *err);

#endif

/* import: ListImportable of RepositoryService, and what ImportApp of AppService is made of. */
#ifndef SL_SERVER_IMPORT_H
#define SL_SERVER_IMPORT_H

#include "server/records/apps.h"
#include "server/services/service.h"

sl_code import_list_check(const void *request, struct sl_err *err);
/* Answers from a thread of gitsync's. */
void import_list_start(struct service_call *call, const void *request);

/* What the request of ImportApp has and that of CreateApp has not. */
SL_MUST_USE sl_code import_check(const void *request, struct sl_err *err);
SL_MUST_USE sl_code import_ask(struct decision *d, const struct app_new *wanted,
			       const void **ret_question, struct sl_err *err);
void import_find(struct service_write *write, const struct services *services,
		 const void *question);
/* With d->answer. */
SL_MUST_USE sl_code import_decide(struct decision *d, struct app_new *wanted,
				  struct app_created *ret_created, struct sl_err *err);

#endif

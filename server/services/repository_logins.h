/* repository_logins: the part of RepositoryService that is about credentials. Private to services.
 */
#ifndef SL_SERVER_REPOSITORY_LOGINS_H
#define SL_SERVER_REPOSITORY_LOGINS_H

#include "server/records/repositories.h"
#include "server/services/service.h"
#include "sluice/v1/repository.pb-c.h"

/* Of CreateRepository. */
sl_code repository_logins_check_new(const Sluice__V1__CreateRepositoryRequest *request,
				    struct sl_err *err);
/* For repository_new.complete; ctx: the request. */
sl_code repository_logins_complete(void *ctx, struct decision *d,
				   Sluice__Store__V1__RepositoryRecord *repository,
				   struct sl_err *err);
/* Of DeleteRepository. */
void repository_logins_forget(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository);

sl_code repository_set_check(const void *request, struct sl_err *err);
sl_code repository_set_decide(struct decision *d, const void *request, void *response,
			      struct sl_err *err);
void repository_set_after(const struct services *services, const void *response);
sl_code repository_generate_check(const void *request, struct sl_err *err);
sl_code repository_generate_decide(struct decision *d, const void *request, void *response,
				   struct sl_err *err);
sl_code repository_rotate_check(const void *request, struct sl_err *err);
sl_code repository_rotate_decide(struct decision *d, const void *request, void *response,
				 struct sl_err *err);

/* repository_test.c */
sl_code repository_test_check(const void *request, struct sl_err *err);
void repository_test_start(struct service_call *call, const void *request);

#endif

/* EnvironmentService: the three fixed steps. */
#include "server/services/service.h"
#include "sluice/v1/environment.pb-c.h"

static Sluice__V1__Environment *environment_new(struct sl_arena *arena, uint32_t number)
{
	Sluice__V1__Environment *environment = SL_ARENA_NEW(arena, Sluice__V1__Environment);
	if (environment != NULL) {
		sluice__v1__environment__init(environment);
		environment->id = (char *)environment_id(number);
		environment->name = (char *)environment_name(number);
		environment->rank = number;
		environment->serves_users = number == ENV_PRODUCTION;
	}
	return environment;
}

static sl_code list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	(void)message;
	(void)err;
	Sluice__V1__ListEnvironmentsResponse *response = reply;
	response->environments = SL_ARENA_ARRAY(read->arena, Sluice__V1__Environment *, ENV_COUNT);
	for (uint32_t number = 1; response->environments != NULL && number <= ENV_COUNT; number++) {
		response->environments[response->n_environments++] =
		    environment_new(read->arena, number);
	}
	return SL_OK;
}

static sl_code get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	const Sluice__V1__GetEnvironmentRequest *request = message;
	Sluice__V1__GetEnvironmentResponse *response = reply;
	uint32_t number = 0;
	sl_code code = environment_find(request->environment, &number, err);
	if (code == SL_OK) {
		response->environment = environment_new(read->arena, number);
	}
	return code;
}

#define ROW(method) "/sluice.v1.EnvironmentService/" #method

const struct service_method environment_methods[2] = {
    {ROW(ListEnvironments), ACCESS_VIEW, &sluice__v1__list_environments_request__descriptor,
     &sluice__v1__list_environments_response__descriptor, .read = list_read,
     .scope = ACCESS_WORKSPACE},
    {ROW(GetEnvironment), ACCESS_VIEW, &sluice__v1__get_environment_request__descriptor,
     &sluice__v1__get_environment_response__descriptor, .read = get_read,
     .scope = ACCESS_WORKSPACE},
};

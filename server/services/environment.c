/* EnvironmentService: the three fixed steps, and how strict the gates of each are. */
#include "server/records/policies.h"
#include "server/services/noun_checks.h"
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

/* With its policy, when the caller sees it. */
static sl_code tell(const struct service_read *read, uint32_t number,
		    Sluice__V1__Environment **ret_environment, struct sl_err *err)
{
	Sluice__Store__V1__PolicyRecord *policy = NULL;
	Sluice__V1__Environment *environment = environment_new(read->arena, number);
	if (environment == NULL) {
		return sl_err_no_memory(err);
	}
	*ret_environment = environment;
	if (!rights_allow(read->rights, ACCESS_VIEW, NULL, number)) {
		return SL_OK;
	}
	sl_code code = policy_get(read->view, read->arena, read->workspace, number, &policy, err);
	if (code == SL_OK) {
		environment->policy = wire_policy(read->arena, policy);
	}
	return code;
}

static sl_code list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	(void)message;
	Sluice__V1__ListEnvironmentsResponse *response = reply;
	sl_code code = SL_OK;
	response->environments = SL_ARENA_ARRAY(read->arena, Sluice__V1__Environment *, ENV_COUNT);
	for (uint32_t number = 1;
	     code == SL_OK && response->environments != NULL && number <= ENV_COUNT; number++) {
		code = tell(read, number, &response->environments[response->n_environments++], err);
	}
	return code;
}

static sl_code get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	const Sluice__V1__GetEnvironmentRequest *request = message;
	Sluice__V1__GetEnvironmentResponse *response = reply;
	uint32_t number = 0;
	sl_code code = environment_find(request->environment, &number, err);
	return code != SL_OK ? code : tell(read, number, &response->environment, err);
}

static sl_code set_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__SetEnvironmentPolicyRequest *request = message;
	sl_code code = check_reference("environment", request->environment, err);
	bool known =
	    (unsigned)request->contract <= SLUICE__V1__GATE_STRICTNESS__GATE_STRICTNESS_BLOCK;
	return code != SL_OK || known ? code
				      : check_refused("contract", "must be WARN or BLOCK", err);
}

static sl_code set_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__SetEnvironmentPolicyRequest *request = message;
	Sluice__V1__SetEnvironmentPolicyResponse *response = reply;
	Sluice__Store__V1__PolicyRecord *policy = NULL;
	uint32_t number = 0;
	sl_code code = environment_find(request->environment, &number, err);
	code =
	    code != SL_OK ? code : policies_decide_set(d, number, request->contract, &policy, err);
	if (code == SL_OK) {
		response->policy = wire_policy(d->arena, policy);
	}
	return code;
}

#define ROW(method) "/sluice.v1.EnvironmentService/" #method

const struct service_method environment_methods[3] = {
    {ROW(ListEnvironments), ACCESS_VIEW, &sluice__v1__list_environments_request__descriptor,
     &sluice__v1__list_environments_response__descriptor, .read = list_read,
     .scope = ACCESS_WORKSPACE},
    {ROW(GetEnvironment), ACCESS_VIEW, &sluice__v1__get_environment_request__descriptor,
     &sluice__v1__get_environment_response__descriptor, .read = get_read,
     .scope = ACCESS_WORKSPACE},
    {ROW(SetEnvironmentPolicy), ACCESS_ADMINISTER,
     &sluice__v1__set_environment_policy_request__descriptor,
     &sluice__v1__set_environment_policy_response__descriptor, .check = set_check,
     .decide = set_decide, .scope = ACCESS_WORKSPACE, .where = ACCESS_IN_FIELD},
};

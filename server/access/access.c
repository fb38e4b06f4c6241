#include "server/access/access.h"

const char *access_verb_name(enum access_verb verb)
{
	static const char *const names[ACCESS_VERB_COUNT] = {
	    [ACCESS_NONE] = "",
	    [ACCESS_VIEW] = "view",
	    [ACCESS_EDIT] = "edit",
	    [ACCESS_PROMOTE] = "promote",
	    [ACCESS_APPROVE] = "approve",
	    [ACCESS_RELEASE] = "release",
	    [ACCESS_ROLLBACK] = "rollback",
	    [ACCESS_CONFIGURE] = "configure",
	    [ACCESS_REVEAL] = "reveal",
	    [ACCESS_MANAGE_INSTANCES] = "manage-instances",
	    [ACCESS_MANAGE_FREEZES] = "manage-freezes",
	    [ACCESS_OVERRIDE] = "override",
	    [ACCESS_ADMINISTER] = "administer",
	    [ACCESS_AGENT] = "agent",
	};
	return verb < ACCESS_VERB_COUNT ? names[verb] : "";
}

static const struct access_caller anonymous = {.principal = "anonymous"};

sl_code access_identify(const struct rpc_call *call, struct access_caller *ret_caller,
			struct sl_err *err)
{
	(void)call;
	(void)err;
	*ret_caller = anonymous;
	return SL_OK;
}

sl_code access_identify_stream(const struct rpc_stream *stream, struct access_caller *ret_caller,
			       struct sl_err *err)
{
	(void)stream;
	(void)err;
	*ret_caller = anonymous;
	return SL_OK;
}

#include "server/services/enrolment.h"

#include <stdlib.h>

#include "server/ca/ca.h"
#include "server/records/identities.h"
#include "server/records/wire.h"
#include "server/services/where.h"

/* --- InviteInstance --------------------------------------------------------------------- */

static uint64_t ttl_of(const Sluice__V1__InviteInstanceRequest *request)
{
	return request->ttl == NULL ? INVITATION_TTL_MS
				    : (uint64_t)request->ttl->seconds * 1000 +
					  (uint64_t)(request->ttl->nanos / 1000000);
}

sl_code enrolment_invite_check(const void *message, struct sl_err *err)
{
	static const char rule[] = "1 minute to 7 days";
	const Sluice__V1__InviteInstanceRequest *request = message;
	sl_code code = check_reference("instance", request->instance, err);
	bool odd = request->ttl != NULL &&
		   (request->ttl->seconds < 0 || request->ttl->nanos < 0 ||
		    request->ttl->seconds > (int64_t)(INVITATION_TTL_MAX_MS / 1000));
	uint64_t ttl = code == SL_OK && !odd ? ttl_of(request) : 0;
	if (code == SL_OK && (ttl < INVITATION_TTL_MIN_MS || ttl > INVITATION_TTL_MAX_MS)) {
		code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "ttl must be %s", rule);
		sl_err_field(err, "ttl", rule);
	}
	return code;
}

static sl_code fill_where(const struct services *services, struct sl_arena *arena,
			  Sluice__V1__InviteInstanceResponse *response, struct sl_err *err)
{
	struct where where;
	sl_code code = where_find(services, arena, &where, err);
	if (code == SL_OK) {
		response->server = where.server;
		response->door = where.door;
		response->door_port = where.door_port;
		response->ca = where.ca;
	}
	return code;
}

sl_code enrolment_invite_decide(struct decision *d, const void *message, void *reply,
				struct sl_err *err)
{
	const Sluice__V1__InviteInstanceRequest *request = message;
	Sluice__V1__InviteInstanceResponse *response = reply;
	const struct services *services = d->services;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__JoinTokenRecord *token = NULL;
	if (services == NULL || services->ca == NULL || services->door_port == 0) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_NOT_SUPPORTED_THERE,
				      "this server has no door: agents of a server with --insecure "
				      "need no invitation");
	}
	struct invitation_wish wish = {.instance = request->instance,
				       .ttl_ms = ttl_of(request),
				       .key = ca_token_key(services->ca)};
	sl_code code = invitations_decide(d, &wish, &instance, &token, &response->secret, err);
	code = code != SL_OK ? code : fill_where(services, d->arena, response, err);
	if (code == SL_OK) {
		response->instance = wire_instance(d->arena, instance);
		response->expires_at = wire_time(d->arena, token->expires_ms);
	}
	return code;
}

/* --- RevokeInstance, ClearInstanceAlerts --------------------------------------------------- */

sl_code enrolment_revoke_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RevokeInstanceRequest *request = message;
	return check_reference("instance", request->instance, err);
}

sl_code enrolment_revoke_decide(struct decision *d, const void *message, void *reply,
				struct sl_err *err)
{
	const Sluice__V1__RevokeInstanceRequest *request = message;
	Sluice__V1__RevokeInstanceResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = revocations_decide_instance(d, request->instance, &instance, err);
	if (code == SL_OK) {
		response->instance = wire_instance(d->arena, instance);
	}
	return code;
}

sl_code enrolment_clear_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ClearInstanceAlertsRequest *request = message;
	return check_reference("instance", request->instance, err);
}

sl_code enrolment_clear_decide(struct decision *d, const void *message, void *reply,
			       struct sl_err *err)
{
	const Sluice__V1__ClearInstanceAlertsRequest *request = message;
	Sluice__V1__ClearInstanceAlertsResponse *response = reply;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code = alerts_decide_clear(d, request->instance, &instance, err);
	if (code == SL_OK) {
		response->instance = wire_instance(d->arena, instance);
	}
	return code;
}

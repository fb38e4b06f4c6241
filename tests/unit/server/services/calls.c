#include "tests/unit/server/services/calls.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "base/id/id.h"
#include "server/records/principals.h"
#include "server/rpc/rpc.h"
#include "sluice/v1/access.pb-c.h"
#include "sluice/v1/admin.pb-c.h"
#include "sluice/v1/agent.pb-c.h"
#include "sluice/v1/config.pb-c.h"
#include "sluice/v1/environment.pb-c.h"
#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/identity.pb-c.h"
#include "sluice/v1/promotion.pb-c.h"
#include "sluice/v1/release.pb-c.h"
#include "sluice/v1/workspace.pb-c.h"

/* --- the transport: calls that begin and end here ------------------------------------------- */

struct rpc_call {
	const struct rpc_method *method;
	struct world *w;
	struct sl_bytes response; /* in w->arena */
	sem_t finished;
};

void *rpc_call_row(const struct rpc_call *call)
{
	return call->method->row;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *call)
{
	return call->method;
}

uint64_t rpc_call_deadline_mono_ms(const struct rpc_call *call)
{
	(void)call;
	return UINT64_MAX;
}

bool rpc_call_is_cancelled(const struct rpc_call *call)
{
	(void)call;
	return false;
}

const struct rpc_peer_identity *rpc_call_identity(const struct rpc_call *call)
{
	return call->w->peer;
}

const char *rpc_call_peer(const struct rpc_call *call)
{
	(void)call;
	return "test";
}

void rpc_call_finish(struct rpc_call *call, sl_code code, const struct sl_err *err,
		     struct sl_bytes response)
{
	call->w->code = code;
	if (code != SL_OK) {
		(void)sl_err_because(&call->w->err, code, err->reason, "%s", err->msg);
	} else {
		call->response = SL_BYTES(
		    sl_arena_dup(&call->w->arena, response.data, response.size), response.size);
	}
	sem_post(&call->finished);
}

/* --- people ----------------------------------------------------------------------------------- */

static const struct sl_token_key token_key = {{3}};

/* "role-or-verb [apps [environment]]" */
static Sluice__Store__V1__GrantRecord *grant_of(struct world *w, const char *text)
{
	Sluice__Store__V1__GrantRecord *grant =
	    sl_arena_alloc(&w->arena, sizeof(Sluice__Store__V1__GrantRecord));
	char *rest = NULL, *words = sl_arena_strdup(&w->arena, text);
	sluice__store__v1__grant_record__init(grant);
	char *what = strtok_r(words, " ", &rest), *apps = strtok_r(NULL, " ", &rest);
	char *environment = strtok_r(NULL, " ", &rest);
	for (uint32_t verb = ACCESS_VIEW; verb < ACCESS_AGENT; verb++) {
		grant->verb = strcmp(access_verb_name((enum access_verb)verb), what) == 0
				  ? verb
				  : grant->verb;
	}
	grant->role = grant->verb == 0 ? what : grant->role;
	grant->apps = apps == NULL ? (char *)"*" : apps;
	if (environment != NULL) {
		assert_int_equal(environment_find(environment, &grant->environment, NULL), SL_OK);
	}
	return grant;
}

struct wanted_principal {
	uint32_t workspace;
	Sluice__Store__V1__PrincipalRecord *record;
};

static sl_code put_principal(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct wanted_principal *wanted = in;
	Sluice__Store__V1__PrincipalRecord *record = wanted->record;
	struct record_key key = KEY(wanted->workspace, key_text(k, record->id));
	struct record_key by_name = KEY(wanted->workspace, key_text(k, record->name));
	(void)out, (void)err;
	record->revision = d->revision;
	decision_put(d, TABLE_PRINCIPALS, &key, &record->base);
	decision_put_bytes(d, TABLE_PRINCIPALS_BY_NAME, &by_name, sl_bytes_text(record->id));
	access_changed(d);
	return SL_OK;
}

const char *calls_principal(struct world *w, uint32_t workspace, const char *name,
			    const char *const *grants, size_t count)
{
	Sluice__Store__V1__PrincipalRecord *record =
	    sl_arena_alloc(&w->arena, sizeof(Sluice__Store__V1__PrincipalRecord));
	sluice__store__v1__principal_record__init(record);
	record->id = sl_arena_strdup(&w->arena, sl_id_new("pri").text);
	record->name = (char *)name;
	record->kind = 1;
	record->grants = SL_ARENA_ARRAY(&w->arena, Sluice__Store__V1__GrantRecord *, count + 1);
	for (size_t i = 0; i < count; i++) {
		record->grants[record->n_grants++] = grant_of(w, grants[i]);
	}
	struct wanted_principal wanted = {.workspace = workspace, .record = record};
	assert_int_equal(world_run(w, put_principal, &wanted, NULL), SL_OK);
	return record->id;
}

static sl_code put_people(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	static const uint8_t hash[SL_TOKEN_HASH_BYTES];
	(void)out, (void)err;
	Sluice__Store__V1__AccessTokenRecord token = SLUICE__STORE__V1__ACCESS_TOKEN_RECORD__INIT;
	Sluice__Store__V1__RightRecord right = SLUICE__STORE__V1__RIGHT_RECORD__INIT,
				       *rights[] = {&right};
	Sluice__Store__V1__RoleRecord role = SLUICE__STORE__V1__ROLE_RECORD__INIT;
	token.id = (char *)"tok_aaaaaaaaaaaaaaaaaaaa";
	token.workspace = WORLD;
	token.principal_id = (char *)in;
	token.hash = (ProtobufCBinaryData){.data = (uint8_t *)hash, .len = sizeof(hash)};
	token.expires_ms = UINT64_MAX;
	token.revision = role.revision = d->revision;
	right.verbs = 1u << ACCESS_VIEW;
	right.apps = (char *)"*";
	role.name = (char *)"looker";
	role.rights = rights;
	role.n_rights = 1;
	struct record_key token_key_ = {.size = 0};
	key_text(&token_key_, token.id);
	struct record_key index = KEY(WORLD, key_text(k, in), key_text(k, token.id));
	struct record_key role_key = KEY(WORLD, key_text(k, role.name));
	decision_put(d, TABLE_ACCESS_TOKENS, &token_key_, &token.base);
	decision_put_bytes(d, TABLE_ACCESS_TOKENS_BY_PRINCIPAL, &index, SL_BYTES("", 0));
	decision_put(d, TABLE_ROLES, &role_key, &role.base);
	return SL_OK;
}

void calls_people(struct world *w)
{
	static const char *const grants[] = {"viewer"};
	const struct access_options options = {
	    .store = w->store, .open = true, .token_key = &token_key};
	assert_int_equal(access_new(&options, &w->services.access, &w->err), SL_OK);
	const char *id = calls_principal(w, WORLD, "tess", grants, 1);
	assert_int_equal(world_run(w, put_people, id, NULL), SL_OK);
}

/* --- requests ------------------------------------------------------------------------------- */

const ProtobufCServiceDescriptor *const calls_services[CALLS_SERVICES] = {
    &sluice__v1__workspace_service__descriptor,  &sluice__v1__environment_service__descriptor,
    &sluice__v1__repository_service__descriptor, &sluice__v1__app_service__descriptor,
    &sluice__v1__version_service__descriptor,    &sluice__v1__promotion_service__descriptor,
    &sluice__v1__release_service__descriptor,    &sluice__v1__fleet_service__descriptor,
    &sluice__v1__agent_service__descriptor,      &sluice__v1__watch_service__descriptor,
    &sluice__v1__admin_service__descriptor,      &sluice__v1__access_service__descriptor,
    &sluice__v1__audit_service__descriptor,      &sluice__v1__identity_service__descriptor,
    &sluice__v1__config_service__descriptor,
};

static const ProtobufCMethodDescriptor *method_of(const char *name)
{
	for (size_t i = 0; i < CALLS_SERVICES; i++) {
		const ProtobufCMethodDescriptor *method =
		    protobuf_c_service_descriptor_get_method_by_name(calls_services[i], name);
		if (method != NULL) {
			return method;
		}
	}
	fail_msg("no method %s", name);
	return NULL;
}

static ProtobufCMessage *new_message(struct world *w, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message = sl_arena_alloc(&w->arena, type->sizeof_message);
	protobuf_c_message_init(type, message);
	return message;
}

/* Where a value of the field goes: the one element of a repeated one. */
static void *place_of(struct world *w, ProtobufCMessage *message,
		      const ProtobufCFieldDescriptor *field)
{
	uint8_t *at = (uint8_t *)message + field->offset;
	if (field->label != PROTOBUF_C_LABEL_REPEATED) {
		return at;
	}
	*(size_t *)((uint8_t *)message + field->quantifier_offset) = 1;
	if (*(void **)at == NULL) {
		*(void **)at = sl_arena_alloc(&w->arena, sizeof(uint64_t));
	}
	return *(void **)at;
}

static void set_field(struct world *w, ProtobufCMessage *message, char *name, char *value)
{
	char *part = strchr(name, '.');
	if (part != NULL) {
		*part++ = '\0';
	}
	const ProtobufCFieldDescriptor *field =
	    protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
	assert_non_null(field);
	void *at = place_of(w, message, field);
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		*(char **)at = value;
		return;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)at = value[0] == '1';
		return;
	case PROTOBUF_C_TYPE_ENUM:
		*(int *)at = (int)strtol(value, NULL, 10);
		return;
	case PROTOBUF_C_TYPE_UINT64:
		*(uint64_t *)at = strtoull(value, NULL, 10);
		return;
	case PROTOBUF_C_TYPE_BYTES: /* a hash, or as many zeros as the number says */
		*(ProtobufCBinaryData *)at =
		    (ProtobufCBinaryData){.len = strcmp(value, "64") == 0 ? 64 : 32,
					  .data = sl_arena_alloc(&w->arena, 64)};
		return;
	case PROTOBUF_C_TYPE_MESSAGE:
		assert_non_null(part);
		if (*(ProtobufCMessage **)at == NULL) {
			*(ProtobufCMessage **)at = new_message(w, field->descriptor);
		}
		set_field(w, *(ProtobufCMessage **)at, part, value);
		return;
	default:
		fail_msg("field %s is of another type", name);
	}
}

ProtobufCMessage *calls_request(struct world *w, const char *method, const char *text,
				const char *version, const char *environment)
{
	ProtobufCMessage *message = new_message(w, method_of(method)->input);
	char *fields = sl_arena_strdup(&w->arena, text), *rest = NULL;
	for (char *field = strtok_r(fields, " ", &rest); field != NULL;
	     field = strtok_r(NULL, " ", &rest)) {
		char *value = strchr(field, '=');
		assert_non_null(value);
		*value++ = '\0';
		value = strcmp(value, "$V") == 0 ? (char *)version : value;
		value = strcmp(value, "$E") == 0 ? (char *)environment : value;
		set_field(w, message, field, value);
	}
	return message;
}

/* --- calls ------------------------------------------------------------------------------------ */

static const struct rpc_method *find_method(const char *name)
{
	static const struct rpc_method *methods;
	static size_t count;
	if (methods == NULL) {
		methods = services_rpc_methods(&count);
	}
	for (size_t i = 0; i < count; i++) {
		if (strcmp(strrchr(methods[i].path, '/') + 1, name) == 0) {
			return &methods[i];
		}
	}
	fail_msg("no method %s", name);
	return NULL;
}

sl_code calls_make(struct world *w, const char *method, const void *message, void *ret_response)
{
	const ProtobufCMessage *request = message;
	struct rpc_call call = {.method = find_method(method), .w = w};
	size_t size = protobuf_c_message_get_packed_size(request);
	uint8_t *bytes = sl_arena_alloc(&w->arena, size + 1);
	protobuf_c_message_pack(request, bytes);
	sl_err_clear(&w->err);
	sem_init(&call.finished, 0, 0);
	call.method->handle(&call, SL_BYTES(bytes, size), &w->services);
	while (sem_wait(&call.finished) != 0) {
	}
	sem_destroy(&call.finished);
	if (w->code == SL_INTERNAL || w->code == SL_DATA_LOSS || w->code == SL_UNIMPLEMENTED) {
		fail_msg("%s: %s: %s", method, sl_code_name(w->code), w->err.msg);
	}
	if (w->code == SL_OK && ret_response != NULL) {
		*(ProtobufCMessage **)ret_response = protobuf_c_message_unpack(
		    method_of(method)->output, sl_arena_protobuf(&w->arena), call.response.size,
		    call.response.data);
	}
	return w->code;
}

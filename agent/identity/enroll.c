/* How an identity begins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/identity/identity_internal.h"
#include "agent/state/state.h"
#include "base/clock/clock.h"
#include "base/crypto/box.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/tls/tls.h"
#include "client/rpc/rpc.h"
#include "sluice/v1/door.pb-c.h"

enum { DOOR_WAIT_MS = 20000, TOKEN_ID_CHARS = 24, VOUCHED_MAX = 128 };

SL_DEFINE_AUTO(struct crpc_channel *, crpc_channel_free);

/* One call at the door. The reply is the caller's. */
static sl_code call_door(const char *door, const char *ca, const char *path,
			 struct sl_bytes request, uint8_t **ret_reply, size_t *ret_size,
			 struct sl_err *err)
{
	SL_AUTO(crpc_channel_free_auto) struct crpc_channel *channel = NULL;
	struct crpc_options options = {.target = door, .own_connection = true, .ca_pem = ca};
	sl_code code = crpc_channel_new(&options, &channel, err);
	return code != SL_OK ? code
			     : crpc_unary(channel, path, request, DOOR_WAIT_MS, true, ret_reply,
					  ret_size, err);
}

/* The request's key vouches for the box key. */
static sl_code vouch(const struct tls_key *key, const char *token, const uint8_t *box_public,
		     uint8_t *signature, size_t *ret_size, struct sl_err *err)
{
	uint8_t text[VOUCHED_MAX];
	int head = snprintf((char *)text, sizeof(text), "sluice enroll v1%c%.*s%c", 0,
			    TOKEN_ID_CHARS, token, 0);
	memcpy(text + head, box_public, SL_BOX_PUBLIC_BYTES);
	return tls_sign(key, SL_BYTES(text, (size_t)head + SL_BOX_PUBLIC_BYTES), signature,
			ret_size, err);
}

static sl_code ask(const struct join *join, const struct tls_key *key,
		   const struct identity *identity, Sluice__V1__EnrollResponse **ret_response,
		   struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *csr = NULL;
	SL_AUTO(sl_free_auto) uint8_t *reply = NULL;
	uint8_t box_public[SL_BOX_PUBLIC_BYTES], signature[TLS_SIGNATURE_MAX], packed[8192];
	Sluice__V1__EnrollRequest request = SLUICE__V1__ENROLL_REQUEST__INIT;
	size_t size = 0;
	sl_box_public(identity->box_secret, box_public);
	request.token = join->token;
	request.box_key = (ProtobufCBinaryData){.data = box_public, .len = sizeof(box_public)};
	request.signature.data = signature;
	sl_code code = tls_csr_new(key, &csr, err);
	code = code != SL_OK
		   ? code
		   : vouch(key, join->token, box_public, signature, &request.signature.len, err);
	if (code != SL_OK) {
		return code;
	}
	request.certificate_request = csr;
	if (sluice__v1__enroll_request__get_packed_size(&request) > sizeof(packed)) {
		return sl_err_set(err, SL_INTERNAL, "the request is too long");
	}
	size_t length = sluice__v1__enroll_request__pack(&request, packed);
	code = call_door(join->door, join->ca, "/sluice.v1.DoorService/Enroll",
			 SL_BYTES(packed, length), &reply, &size, err);
	sl_wipe(packed, sizeof(packed));
	if (code != SL_OK) {
		return code;
	}
	*ret_response = sluice__v1__enroll_response__unpack(NULL, size, reply);
	return *ret_response != NULL ? SL_OK
				     : sl_err_set(err, SL_INTERNAL, "the door's answer is not one");
}

static char *either(const char *first, const char *second)
{
	return strdup(first[0] != '\0' ? first : second);
}

static bool take_public(uint8_t *out, const ProtobufCBinaryData *data)
{
	if (data->len == IDENTITY_KEY_BYTES) {
		memcpy(out, data->data, IDENTITY_KEY_BYTES);
	}
	return data->len == IDENTITY_KEY_BYTES;
}

static sl_code fill(struct identity *identity, const struct join *join,
		    const Sluice__V1__EnrollResponse *response, struct sl_err *err)
{
	identity->server = either(response->server, join->server);
	identity->door = either(response->door, join->door);
	identity->workspace = strdup(response->workspace);
	identity->instance = strdup(response->instance);
	identity->instance_id = strdup(response->instance_id);
	identity->environment = strdup(response->environment);
	identity->identity_id = strdup(response->identity_id);
	identity->ca = either(response->ca, join->ca);
	identity->cert = strdup(response->certificate);
	identity->taken_ms = sl_clock_unix_ms();
	bool signs = take_public(identity->manifest_key, &response->manifest_key);
	identity->key_epoch = signs ? response->key_epoch : 0;
	identity->recovery_known = take_public(identity->recovery_key, &response->recovery_key);
	bool whole = identity->server != NULL && identity->door != NULL &&
		     identity->workspace != NULL && identity->instance != NULL &&
		     identity->instance_id != NULL && identity->environment != NULL &&
		     identity->identity_id != NULL && identity->ca != NULL &&
		     identity->cert != NULL;
	return whole ? identity_check(identity, err) : sl_err_no_memory(err);
}

/* A folder is of one instance for life. */
static sl_code check_folder(const char *dir, const struct identity *fresh, struct sl_err *err)
{
	struct state *state = NULL;
	sl_code code = state_load(dir, &state, err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		return SL_OK;
	}
	if (code == SL_OK && state->instance_id[0] != '\0' &&
	    strcmp(state->instance_id, fresh->instance_id) != 0) {
		code = sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_INSTANCE_MISMATCH,
				      "'%s' belongs to instance %s, and the join file is for %s: "
				      "another instance needs another folder",
				      dir, state->instance_id, fresh->instance_id);
	}
	state_free(state);
	return code;
}

sl_code identity_enroll(const char *dir, const struct join *join, struct identity **ret_identity,
			struct sl_err *err)
{
	SL_AUTO(identity_free_auto) struct identity *identity = identity_new();
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	Sluice__V1__EnrollResponse *response = NULL;
	if (identity == NULL) {
		return sl_err_no_memory(err);
	}
	sl_random(identity->box_secret, sizeof(identity->box_secret));
	sl_code code = tls_key_new(&key, err);
	code = code != SL_OK ? code : tls_key_pem(key, &identity->key, err);
	code = code != SL_OK ? code : ask(join, key, identity, &response, err);
	if (code != SL_OK) {
		return code;
	}
	code = fill(identity, join, response, err);
	sluice__v1__enroll_response__free_unpacked(response, NULL);
	code = code != SL_OK ? code : check_folder(dir, identity, err);
	code = code != SL_OK ? code : identity_save(dir, identity, err);
	if (code == SL_OK) {
		*ret_identity = SL_TAKE(identity);
	}
	return code;
}

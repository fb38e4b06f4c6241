#include "server/admission/admission.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/id/id.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/admission/admission_internal.h"
#include "server/records/identities.h"
#include "server/records/wire.h"

sl_code admission_new(const struct admission_options *options, struct admission **ret_admission,
		      struct sl_err *err)
{
	struct admission *admission = calloc(1, sizeof(*admission));
	if (admission == NULL) {
		return sl_err_no_memory(err);
	}
	admission->options = *options;
	*ret_admission = admission;
	return SL_OK;
}

void admission_free(struct admission *admission)
{
	free(admission);
}

/* --- certificates --------------------------------------------------------------------- */

sl_code admission_certify(struct admission *admission, const struct ca_identity *identity,
			  const struct tls_key *key, uint64_t now_ms, struct certified *ret_made,
			  struct sl_err *err)
{
	uint64_t life = identity->kind == CA_AGENT ? admission->options.agent_life_ms
						   : admission->options.login_life_ms;
	struct certified made = {.pem = NULL};
	tls_serial_new(made.serial);
	sl_code code = tls_key_fingerprint(key, made.fingerprint, err);
	code = code != SL_OK ? code
			     : ca_issue(admission->options.ca, identity, key, made.serial,
					(struct ca_life){now_ms, now_ms + life}, &made.pem, err);
	/* The CA may end before: what counts is what the certificate says. */
	struct tls_cert facts;
	code = code != SL_OK ? code : tls_cert_read(sl_bytes_text(made.pem), &facts, err);
	if (code != SL_OK) {
		free(made.pem);
		return code;
	}
	made.not_after_ms = facts.not_after_ms;
	*ret_made = made;
	return SL_OK;
}

void certified_fini(struct certified *made)
{
	free(made->pem);
	made->pem = NULL;
}

struct identity_cert certified_kept(const struct certified *made)
{
	return (struct identity_cert){.public_key_hash = made->fingerprint,
				      .serial = made->serial,
				      .serial_size = sizeof(made->serial),
				      .not_after_ms = made->not_after_ms};
}

static char *trust(struct admission *admission, struct sl_arena *arena)
{
	SL_AUTO(sl_free_auto) char *pem = NULL;
	return ca_trust(admission->options.ca, &pem, NULL) == SL_OK ? sl_arena_strdup(arena, pem)
								    : NULL;
}

/* --- Enroll ---------------------------------------------------------------------------- */

static void note_spent(struct admission *admission, struct sl_arena *arena, const char *peer,
		       const struct invitation *found)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *text = alert_of_spent(arena, found->token, peer);
	if (text == NULL) {
		return;
	}
	log_warn("token-reused", "token=%s instance=%s peer=%s first_peer=%s identity=%s",
		 found->token->id, found->token->instance_id, peer, found->token->used_from,
		 found->token->identity_id);
	struct command command = {
	    .kind = COMMAND_ALERT,
	    .workspace = found->token->workspace,
	    .principal = "door",
	    .method = "Enroll",
	    .alert = {.kind = SLUICE__V1__INSTANCE_ALERT_KIND__INSTANCE_ALERT_KIND_TOKEN_REUSED,
		      .instance_id = found->token->instance_id,
		      .peer = peer,
		      .text = text}};
	if (command_run(admission, arena, &command, &err) != SL_OK) {
		log_warn("alert-not-written", "error=%s", SL_QUOTE(err.msg));
	}
}

/* Whoever holds the request's key vouches for the box key. */
static bool vouches(const struct tls_key *key, const char *token_id,
		    const Sluice__V1__EnrollRequest *request)
{
	uint8_t text[128];
	int head = snprintf((char *)text, sizeof(text), "sluice enroll v1%c%s%c", 0, token_id, 0);
	if (head < 0 || (size_t)head + request->box_key.len > sizeof(text)) {
		return false;
	}
	memcpy(text + head, request->box_key.data, request->box_key.len);
	return tls_verify(key, SL_BYTES(text, (size_t)head + request->box_key.len),
			  SL_BYTES(request->signature.data, request->signature.len));
}

static sl_code check_enroll(const struct invitation *found,
			    const Sluice__V1__EnrollRequest *request, struct tls_key **ret_key,
			    struct sl_err *err)
{
	if (request->box_key.len != IDENTITY_BOX_KEY_BYTES) {
		return sl_err_malformed(err, "box_key", "must be an X25519 public key of 32 bytes");
	}
	sl_code code = tls_csr_read(sl_bytes_text(request->certificate_request), ret_key, err);
	if (code == SL_OK && !vouches(*ret_key, found->token->id, request)) {
		return sl_err_malformed(
		    err, "signature",
		    "must be made by the request's key over token id and box_key");
	}
	return code;
}

static void fill_enroll(struct admission *admission, struct sl_arena *arena,
			const struct command *command, const struct certified *made,
			Sluice__V1__EnrollResponse *response)
{
	const Sluice__Store__V1__InstanceRecord *instance = command->instance;
	response->certificate = sl_arena_strdup(arena, made->pem);
	response->ca = trust(admission, arena);
	response->server = sl_arena_strdup(arena, admission->options.server);
	response->door = sl_arena_strdup(arena, admission->options.door);
	response->workspace = sl_arena_strdup(arena, command->workspace_name);
	response->instance = instance->name;
	response->instance_id = instance->id;
	response->environment = sl_arena_strdup(arena, environment_name(instance->environment));
	response->identity_id = sl_arena_strdup(arena, command->enrolment.identity_id);
	response->server_time = wire_time(arena, sl_clock_unix_ms());
	if (admission->options.pins != NULL) {
		admission->options.pins(admission->options.pins_ctx, arena, response);
	}
}

static sl_code enroll(struct admission *admission, struct sl_arena *arena, const char *peer,
		      const struct invitation *found, const Sluice__V1__EnrollRequest *request,
		      Sluice__V1__EnrollResponse *response, struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	SL_AUTO(certified_fini) struct certified made = {.pem = NULL};
	struct sl_id id = sl_id_new("idn");
	struct ca_identity identity = {.kind = CA_AGENT};
	sl_text_copy(identity.subject, sizeof(identity.subject), found->instance->id);
	sl_text_copy(identity.identity, sizeof(identity.identity), id.text);
	sl_code code = check_enroll(found, request, &key, err);
	code = code != SL_OK
		   ? code
		   : admission_certify(admission, &identity, key, sl_clock_unix_ms(), &made, err);
	if (code != SL_OK) {
		return code;
	}
	struct command command = {.kind = COMMAND_ENROLL,
				  .workspace = found->token->workspace,
				  .principal =
				      sl_arena_printf(arena, "agent:%s", found->instance->name),
				  .method = "Enroll",
				  .enrolment = {.token_id = found->token->id,
						.identity_id = id.text,
						.peer = peer,
						.box_key = request->box_key.data,
						.cert = certified_kept(&made)}};
	code = command.principal == NULL ? sl_err_no_memory(err)
					 : command_run(admission, arena, &command, err);
	if (code == SL_OK) {
		fill_enroll(admission, arena, &command, &made, response);
		log_info("enrolled", "instance=%s identity=%s token=%s peer=%s",
			 found->instance->name, id.text, found->token->id, peer);
	}
	return code == SL_OK && sl_arena_failed(arena) ? sl_err_no_memory(err) : code;
}

sl_code admission_enroll(struct admission *admission, struct sl_arena *arena, const char *peer,
			 const Sluice__V1__EnrollRequest *request,
			 Sluice__V1__EnrollResponse *response, struct sl_err *err)
{
	struct invitation found;
	const struct store_view *view = NULL;
	sl_code code = store_view_begin(admission->options.store, &view, err);
	if (code != SL_OK) {
		return code;
	}
	code = invitation_look(view, arena, &admission->options.token_key, request->token,
			       sl_clock_unix_ms(), &found, err);
	store_view_end(view); /* what was found is in the arena */
	if (code != SL_OK) {
		return code;
	}
	if (found.verdict == INVITATION_SPENT) {
		note_spent(admission, arena, peer, &found);
	}
	if (found.verdict != INVITATION_GOOD) {
		return sl_token_refused(err);
	}
	return enroll(admission, arena, peer, &found, request, response, err);
}

/* --- Login ----------------------------------------------------------------------------- */

static sl_code login(struct admission *admission, struct sl_arena *arena, const char *peer,
		     const struct access_token_login *found,
		     const Sluice__V1__LoginRequest *request, Sluice__V1__LoginResponse *response,
		     struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	SL_AUTO(certified_fini) struct certified made = {.pem = NULL};
	struct sl_id id = sl_id_new("idn");
	struct ca_identity identity = {.kind = CA_PRINCIPAL};
	sl_text_copy(identity.subject, sizeof(identity.subject), found->principal->id);
	sl_text_copy(identity.identity, sizeof(identity.identity), id.text);
	sl_code code = tls_csr_read(sl_bytes_text(request->certificate_request), &key, err);
	code = code != SL_OK
		   ? code
		   : admission_certify(admission, &identity, key, sl_clock_unix_ms(), &made, err);
	if (code != SL_OK) {
		return code;
	}
	struct command command = {.kind = COMMAND_LOGIN,
				  .workspace = found->token->workspace,
				  .principal = found->principal->name,
				  .method = "Login",
				  .login = {.token_id = found->token->id,
					    .principal_id = found->principal->id,
					    .identity_id = id.text,
					    .peer = peer,
					    .cert = certified_kept(&made)}};
	code = command_run(admission, arena, &command, err);
	if (code != SL_OK) {
		return code;
	}
	response->certificate = sl_arena_strdup(arena, made.pem);
	response->ca = trust(admission, arena);
	response->server = sl_arena_strdup(arena, admission->options.server);
	response->principal = found->principal->name;
	response->workspace = sl_arena_strdup(arena, command.workspace_name);
	response->identity_id = sl_arena_strdup(arena, id.text);
	response->server_time = wire_time(arena, sl_clock_unix_ms());
	log_info("logged-in", "principal=%s identity=%s token=%s peer=%s", found->principal->name,
		 id.text, found->token->id, peer);
	return sl_arena_failed(arena) ? sl_err_no_memory(err) : SL_OK;
}

sl_code admission_login(struct admission *admission, struct sl_arena *arena, const char *peer,
			const Sluice__V1__LoginRequest *request,
			Sluice__V1__LoginResponse *response, struct sl_err *err)
{
	struct access_token_login found;
	const struct store_view *view = NULL;
	sl_code code = store_view_begin(admission->options.store, &view, err);
	if (code != SL_OK) {
		return code;
	}
	code = access_token_login(view, arena, &admission->options.token_key, request->token,
				  sl_clock_unix_ms(), &found, err);
	store_view_end(view);
	if (code == SL_NOT_FOUND) {
		return sl_token_refused(err);
	}
	return code != SL_OK ? code : login(admission, arena, peer, &found, request, response, err);
}

/* --- Renew, late ------------------------------------------------------------------------- */

size_t admission_renewal_text(const char *identity_id, uint64_t counter,
			      const uint8_t nonce[static IDENTITY_NONCE_BYTES],
			      uint8_t out[static ADMISSION_RENEWAL_BYTES])
{
	int head = snprintf((char *)out, ADMISSION_RENEWAL_BYTES, "sluice renew v1%c%.24s%c", 0,
			    identity_id, 0);
	size_t at = (size_t)(head > 0 ? head : 0);
	sl_put_be64(out + at, counter);
	memcpy(out + at + 8, nonce, IDENTITY_NONCE_BYTES);
	return at + 8 + IDENTITY_NONCE_BYTES;
}

static sl_code refuse_renewal(const char *why, struct sl_err *err)
{
	return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_RENEWAL_REFUSED,
			      "the certificate is not renewed: %s", why);
}

/* Whose certificate is it, and has who asks its key? */
static sl_code prove(struct admission *admission, const Sluice__V1__RenewRequest *request,
		     struct ca_identity *ret_identity, struct tls_key **ret_key, struct sl_err *err)
{
	struct sl_bytes pem = sl_bytes_text(request->certificate);
	struct tls_cert facts;
	uint8_t text[ADMISSION_RENEWAL_BYTES];
	if (request->nonce.len != IDENTITY_NONCE_BYTES) {
		return sl_err_malformed(err, "nonce", "must be 16 bytes");
	}
	if (ca_check(admission->options.ca, pem, NULL) != SL_OK ||
	    tls_cert_read(pem, &facts, NULL) != SL_OK ||
	    !ca_identity_parse(facts.uri, ret_identity)) {
		return refuse_renewal("it is not of this server", err);
	}
	/* An agent was off, and nobody is there to help it. A login ends. */
	if (ret_identity->kind != CA_AGENT) {
		return refuse_renewal("the door renews those of agents, log in again: sluice login",
				      err);
	}
	sl_code code = tls_cert_key(pem, ret_key, err);
	if (code != SL_OK) {
		return code;
	}
	size_t size = admission_renewal_text(ret_identity->identity, request->counter,
					     request->nonce.data, text);
	bool proven = tls_verify(*ret_key, SL_BYTES(text, size),
				 SL_BYTES(request->signature.data, request->signature.len));
	return proven ? SL_OK : refuse_renewal("the signature is not of its key", err);
}

static sl_code same_key_requested(const Sluice__V1__RenewRequest *request,
				  const struct tls_key *key, struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *requested = NULL;
	sl_code code = tls_csr_read(sl_bytes_text(request->certificate_request), &requested, err);
	if (code == SL_OK && !tls_key_equal(requested, key)) {
		return refuse_renewal("the request is of another key", err);
	}
	return code;
}

sl_code admission_renew_late(struct admission *admission, struct sl_arena *arena, const char *peer,
			     const Sluice__V1__RenewRequest *request,
			     Sluice__V1__RenewResponse *response, struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	SL_AUTO(certified_fini) struct certified made = {.pem = NULL};
	struct ca_identity identity;
	sl_code code = prove(admission, request, &identity, &key, err);
	code = code != SL_OK ? code : same_key_requested(request, key, err);
	code = code != SL_OK
		   ? code
		   : admission_certify(admission, &identity, key, sl_clock_unix_ms(), &made, err);
	if (code != SL_OK) {
		return code;
	}
	struct command command = {.kind = COMMAND_RENEW,
				  .method = "Renew",
				  .renewal = {.identity_id = identity.identity,
					      .peer = peer,
					      .counter = request->counter,
					      .nonce = request->nonce.data,
					      .cert = certified_kept(&made),
					      .grace_ms = admission->options.late_ms}};
	code = command_run(admission, arena, &command, err);
	if (code != SL_OK) {
		return code;
	}
	response->certificate = sl_arena_strdup(arena, made.pem);
	response->ca = trust(admission, arena);
	response->server_time = wire_time(arena, sl_clock_unix_ms());
	log_info("renewed-late", "identity=%s counter=%lu peer=%s", identity.identity,
		 (unsigned long)request->counter, peer);
	return sl_arena_failed(arena) ? sl_err_no_memory(err) : SL_OK;
}

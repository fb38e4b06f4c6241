/* The generic path of every mutating call:
 *
 *   queue thread:  decode, check, draw time and ids, submit
 *   writer thread: a known request id? its reply again
 *                  something is to be found out first? submit again when it has been
 *                  else decide; build reply and log record
 *                  validate_only: drop it all, answer as if
 *   after commit:  answer
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/id/id.h"
#include "base/mem/own.h"
#include "server/audit/audit.h"
#include "server/services/service_internal.h"

enum { ARENA_MAX = 64 << 20, REQUEST_ID_MAX = 64, REASON_MAX = 1000 };

struct service_write {
	struct store_cmd cmd;
	struct rpc_call *call; /* borrowed until rpc_call_finish() */
	const struct services *services;
	const struct service_bound *bound;
	struct sl_arena arena; /* owns all below */
	ProtobufCMessage *request;
	const Sluice__V1__WriteOptions *options; /* never NULL */
	struct access_caller caller;
	Sluice__V1__AuditCaller origin; /* of it, for the audit record */
	bool refused, counted;          /* audit was asked; only a count is left */
	uint64_t now_ms;
	uint8_t secret[32]; /* random; of methods that answer with one */
	struct sl_id ids[DECISION_IDS];
	bool has_request_id;
	uint8_t request_key[REQUEST_KEY_BYTES], payload_hash[REQUEST_KEY_BYTES];
	bool validated;             /* validate_only: decided well, nothing written */
	const void *question;       /* of this decision: what is to be found out; NULL: nothing */
	const void *answer;         /* what was found out; NULL: nothing yet */
	ProtobufCMessage *response; /* of this decision; NULL: a kept one, or none */
	struct sl_bytes reply;
	struct sl_bytes kept; /* the same as it is kept for a retry */
};

static const Sluice__V1__WriteOptions no_options = SLUICE__V1__WRITE_OPTIONS__INIT;

static void write_free(struct service_write *w)
{
	sl_err_clear(&w->cmd.err);
	sl_arena_fini(&w->arena);
	free(w);
}

/* --- request ids ------------------------------------------------------------ */

static bool is_map_entry(const ProtobufCMessageDescriptor *type)
{
	size_t length = strlen(type->short_name);
	return length > 5 && strcmp(type->short_name + length - 5, "Entry") == 0 &&
	       type->n_fields == 2 && strcmp(type->fields[0].name, "key") == 0 &&
	       type->fields[0].type == PROTOBUF_C_TYPE_STRING;
}

static int compare_entries(const void *a, const void *b)
{
	const ProtobufCMessage *const *left = a, *const *right = b;
	size_t at = (*left)->descriptor->fields[0].offset;
	return strcmp(*(char *const *)((const uint8_t *)*left + at),
		      *(char *const *)((const uint8_t *)*right + at));
}

/* Map entries have no order on the wire, and a retry may send another one: sorted, the same payload
 * hashes the same. */
static void sort_maps(ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		if (field->label != PROTOBUF_C_LABEL_REPEATED ||
		    field->type != PROTOBUF_C_TYPE_MESSAGE || !is_map_entry(field->descriptor)) {
			continue;
		}
		size_t count = *(size_t *)((uint8_t *)message + field->quantifier_offset);
		ProtobufCMessage **entries =
		    *(ProtobufCMessage ***)((uint8_t *)message + field->offset);
		if (count > 1) {
			qsort(entries, count, sizeof(*entries), compare_entries);
		}
	}
}

/* Requests may hold secrets: without the server's token key, who has the store could try guesses.
 */
static void hash_payload(struct service_write *w)
{
	uint8_t hash[SL_HASH_BYTES], key[REQUEST_KEY_BYTES + SL_HASH_BYTES] = {0};
	const struct access *access = w->services->access;
	const struct sl_token_key *token_key = access != NULL ? access_token_key(access) : NULL;
	size_t size = REQUEST_KEY_BYTES;
	memcpy(key, w->request_key, REQUEST_KEY_BYTES);
	if (token_key != NULL) {
		size = sizeof(key);
		sl_derive(token_key->bytes, "sluice request payloads", key + REQUEST_KEY_BYTES);
	}
	sort_maps(w->request);
	struct sl_bytes payload = service_pack(&w->arena, w->request);
	sl_hash(hash, payload.data, payload.size, key, size);
	memcpy(w->payload_hash, hash, sizeof(w->payload_hash));
	sl_wipe(key, sizeof(key));
}

static void hash_request(struct service_write *w, const char *workspace)
{
	struct sl_hasher hasher;
	uint8_t hash[SL_HASH_BYTES];
	const char *parts[] = {workspace, w->caller.principal, w->bound->name,
			       w->options->request_id};
	sl_hasher_init(&hasher);
	for (size_t i = 0; i < SL_COUNT(parts); i++) {
		sl_hasher_add(&hasher, parts[i], strlen(parts[i]) + 1);
	}
	sl_hasher_end(&hasher, hash);
	memcpy(w->request_key, hash, sizeof(w->request_key));
	hash_payload(w);
	w->has_request_id = true;
}

/* The field of a response that holds its WriteResult. */
static Sluice__V1__WriteResult **result_field(const struct service_write *w,
					      ProtobufCMessage *response)
{
	return (Sluice__V1__WriteResult **)((uint8_t *)response + w->bound->result->offset);
}

static sl_code add_result(struct service_write *w, ProtobufCMessage *response, uint64_t revision,
			  bool replayed, struct sl_err *err)
{
	Sluice__V1__WriteResult *result = SL_ARENA_NEW(&w->arena, Sluice__V1__WriteResult);
	if (result == NULL) {
		return service_no_memory(err);
	}
	sluice__v1__write_result__init(result);
	result->revision = revision;
	result->replayed = replayed;
	*result_field(w, response) = result;
	return SL_OK;
}

/* The change that this id made. SL_NOT_FOUND: it has not taken effect. */
static sl_code find_kept(struct service_write *w, const struct store_view *view,
			 Sluice__Store__V1__LogRecord **ret_record, struct sl_err *err)
{
	uint64_t revision = requests_find(w->services->requests, w->request_key);
	struct sl_bytes value;
	if (revision == 0) {
		return SL_NOT_FOUND;
	}
	sl_code code = store_get_log(view, revision, &value, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__Store__V1__LogRecord *record = NULL;
	code = record_unpack(&w->arena, value, &sluice__store__v1__log_record__descriptor, &record,
			     err);
	if (code != SL_OK) {
		return code;
	}
	if (record->request_key.len != REQUEST_KEY_BYTES ||
	    memcmp(record->request_key.data, w->request_key, REQUEST_KEY_BYTES) != 0) {
		return SL_NOT_FOUND; /* that command was decided but never committed */
	}
	*ret_record = record;
	return SL_OK;
}

static bool repeats_a_reply(struct store_cmd *cmd, const struct store_view *view)
{
	struct service_write *w = SL_CONTAINER_OF(cmd, struct service_write, cmd);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__Store__V1__LogRecord *record = NULL;
	return w->has_request_id && find_kept(w, view, &record, &err) == SL_OK;
}

/* SL_NOT_FOUND: this id has not taken effect. */
static sl_code replay(struct service_write *w, const struct store_view *view, struct sl_err *err)
{
	Sluice__Store__V1__LogRecord *record = NULL;
	sl_code code = find_kept(w, view, &record, err);
	if (code != SL_OK) {
		return code;
	}
	if (record->payload_hash.len != REQUEST_KEY_BYTES ||
	    memcmp(record->payload_hash.data, w->payload_hash, REQUEST_KEY_BYTES) != 0) {
		return sl_err_because(err, SL_ALREADY_EXISTS, SL_REASON_REQUEST_ID_REUSED,
				      "write.request_id '%s' was used for another %s: take a new "
				      "id for a new request",
				      w->options->request_id, w->bound->name);
	}
	ProtobufCMessage *response = NULL;
	struct sl_bytes kept = SL_BYTES(record->reply.data, record->reply.len);
	code = record_unpack(&w->arena, kept, w->bound->method->response, &response, err);
	if (code != SL_OK) {
		return code;
	}
	Sluice__V1__WriteResult *first = *result_field(w, response);
	code = add_result(w, response, first == NULL ? 0 : first->revision, true, err);
	w->reply = service_pack(&w->arena, response);
	return code;
}

/* --- deciding ---------------------------------------------------------------- */

static void log_change(struct service_write *w, struct decision *d)
{
	const struct decision_reply kept = {
	    .request_key = SL_BYTES(w->request_key, REQUEST_KEY_BYTES),
	    .payload_hash = SL_BYTES(w->payload_hash, REQUEST_KEY_BYTES),
	    .reply = w->kept,
	};
	decision_log(d, w->has_request_id ? &kept : NULL);
}

/* A rule said no; not: the request is malformed, or the server cannot now. What is unknown counts:
 * to whom may not see a thing it is unknown. */
static bool is_refusal(sl_code code)
{
	return code == SL_FAILED_PRECONDITION || code == SL_ABORTED || code == SL_ALREADY_EXISTS ||
	       code == SL_NOT_FOUND || code == SL_OUT_OF_RANGE || code == SL_PERMISSION_DENIED ||
	       code == SL_UNAUTHENTICATED;
}

/* A refused act leaves a trace, though it changes nothing. */
static void note_refusal(struct service_write *w, struct decision *d, sl_code code,
			 const struct sl_err *err)
{
	if (!is_refusal(code) || w->options->validate_only) {
		return;
	}
	const struct audit_attempt attempt = {
	    .workspace = d->workspace,
	    .workspace_name = d->workspace_name,
	    .principal = d->principal,
	    .method = d->method,
	    .caller = d->caller,
	    .object = &d->object,
	    .reason = err->reason,
	    .text = err->msg,
	    .denied = code == SL_PERMISSION_DENIED || code == SL_UNAUTHENTICATED,
	    .now_ms = d->now_ms,
	};
	if (!w->refused) {
		w->refused = true;
		w->counted = !audit_refused(w->services->audit, &attempt);
	}
	if (w->counted) {
		return;
	}
	Sluice__V1__AuditRefusal refusal = SLUICE__V1__AUDIT_REFUSAL__INIT;
	refusal.reason = (char *)sl_reason_name(err->reason);
	refusal.text = (char *)err->msg;
	refusal.denied = attempt.denied;
	refusal.count = 1;
	refusal.first_ms = d->now_ms;
	audit_refusal(d, &refusal);
}

/* In recovery nobody has agreed yet that what the backup says is to be. */
static sl_code check_recovery(const struct service_write *w, const struct store_view *view,
			      struct sl_err *err)
{
	if (w->bound->method->recovers || !store_view_is_recovering(view)) {
		return SL_OK;
	}
	return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_IN_RECOVERY,
			      "%s: the server was restored from a backup and changes nothing "
			      "until `sluice admin resume`",
			      w->bound->name);
}

/* The reply, and what of it is kept: a secret is shown once, and never to who only asks. */
static void pack_reply(struct service_write *w, ProtobufCMessage *response)
{
	w->reply = service_pack(&w->arena, response);
	w->kept = w->reply;
	if (w->bound->secret == NULL) {
		return;
	}
	char **secret = (char **)((uint8_t *)response + w->bound->secret->offset);
	char *shown = *secret;
	*secret = (char *)protobuf_c_empty_string;
	w->kept = service_pack(&w->arena, response);
	*secret = shown;
	w->reply = w->options->validate_only ? w->kept : w->reply;
}

/* SL_CANCELLED: there is something to be found out first. */
static sl_code ask(struct service_write *w, struct decision *d, struct sl_err *err)
{
	const struct service_method *method = w->bound->method;
	if (method->ask == NULL || w->answer != NULL) {
		return SL_OK;
	}
	sl_code code = method->ask(d, w->request, &w->question, err);
	return code == SL_OK ? SL_CANCELLED : code;
}

static sl_code decide_anew(struct service_write *w, struct decision *d, struct sl_err *err)
{
	ProtobufCMessage *response = NULL;
	sl_code code = check_recovery(w, d->view, err);
	code =
	    code != SL_OK ? code : workspace_find(d->view, d->workspace_name, &d->workspace, err);
	code = code != SL_OK ? code : ask(w, d, err);
	code = code != SL_OK ? code : service_new_response(w->bound, &w->arena, &response, err);
	if (code != SL_OK) {
		return code;
	}
	code = w->bound->method->decide(d, w->request, response, err);
	if (code != SL_OK) {
		return code;
	}
	const struct service_read shown = {
	    .view = d->view, .arena = &w->arena, .workspace = d->workspace, .rights = d->rights};
	code = service_hold_back(w->bound, &shown, w->request, response, err);
	if (code != SL_OK) {
		return code;
	}
	bool writes = d->changed && !w->options->validate_only;
	code = add_result(w, response, writes ? d->revision : 0, false, err);
	pack_reply(w, response);
	if (code != SL_OK || w->options->validate_only) {
		w->validated = code == SL_OK;
		return code == SL_OK ? SL_CANCELLED : code; /* drops the changes */
	}
	if (d->changed || w->has_request_id) {
		log_change(w, d);
	}
	if (sl_arena_failed(&w->arena)) {
		return service_no_memory(err);
	}
	if (w->has_request_id) {
		requests_put(w->services->requests, w->request_key, d->revision,
			     sl_clock_steady_ms());
	}
	w->response = response;
	return SL_OK;
}

static sl_code replay_or_decide(struct service_write *w, struct decision *d, struct sl_err *err)
{
	sl_code code = w->has_request_id ? replay(w, d->view, err) : SL_NOT_FOUND;
	return code == SL_NOT_FOUND ? decide_anew(w, d, err) : code;
}

/* What a request did may be why its object is not found any more: repeated, it is answered all the
 * same, to the principal that was told so before. Not across workspaces: principals' names are
 * theirs. Returns `code` when nothing is kept. */
static sl_code repeat_or(sl_code code, struct service_write *w, const struct store_view *view,
			 struct sl_err *err)
{
	SL_AUTO(sl_err_clear) struct sl_err unused = SL_ERR_INIT;
	if (!w->has_request_id || code != SL_NOT_FOUND ||
	    err->reason == SL_REASON_WORKSPACE_NOT_FOUND || replay(w, view, &unused) != SL_OK) {
		return code;
	}
	sl_err_clear(err);
	return SL_OK;
}

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct service_write *w = SL_CONTAINER_OF(cmd, struct service_write, cmd);
	SL_AUTO(access_rights_end) struct access_hold hold = {.rights = NULL};
	w->validated = false; /* the store may ask again */
	w->question = NULL;
	w->response = NULL;
	struct decision d = {
	    .view = view,
	    .changes = changes,
	    .arena = &w->arena,
	    .revision = store_changes_revision(changes),
	    .now_ms = w->now_ms,
	    .workspace_name = service_workspace_name(w->bound, w->request),
	    .principal = w->caller.principal,
	    .identity_id = w->caller.identity_id,
	    .method = w->bound->name,
	    .reason = w->options->reason,
	    .services = w->services,
	    .caller = &w->origin,
	    .answer = w->answer,
	    .secret = w->bound->secret != NULL ? w->secret : NULL,
	    .expected_revision = w->options->expected_revision,
	    .object = SLUICE__V1__AUDIT_OBJECT__INIT,
	};
	for (unsigned i = 0; i < DECISION_IDS; i++) {
		d.ids[i] = w->ids[i].text + 4; /* behind the prefix */
	}
	struct service_read asked = {
	    .services = w->services, .view = view, .arena = &w->arena, .caller = &w->caller};
	sl_code code = service_permit_call(w->bound, &asked, w->request, &hold, err);
	d.rights = hold.rights;
	code = code != SL_OK ? repeat_or(code, w, view, err) : replay_or_decide(w, &d, err);
	note_refusal(w, &d, code, err);
	return code;
}

static void done(struct store_cmd *cmd)
{
	struct service_write *w = SL_CONTAINER_OF(cmd, struct service_write, cmd);
	if (w->question != NULL && cmd->code == SL_CANCELLED) {
		sl_err_clear(&cmd->err);
		w->bound->method->find(w, w->services, w->question);
		return;
	}
	sl_code code = w->validated ? SL_OK : cmd->code;
	if (code == SL_OK && sl_arena_failed(&w->arena)) {
		code = service_no_memory(&cmd->err);
	}
	if (code == SL_OK && w->response != NULL && w->bound->method->after != NULL) {
		w->bound->method->after(w->services, w->response);
	}
	rpc_call_finish(w->call, code, &cmd->err, code == SL_OK ? w->reply : SL_BYTES_NONE);
	write_free(w);
}

struct sl_arena *service_write_arena(struct service_write *w)
{
	return &w->arena;
}

void service_write_answer(struct service_write *w, const void *answer)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	w->answer = answer;
	sl_code code = store_submit(w->services->store, &w->cmd, &err);
	if (code != SL_OK) {
		rpc_call_finish(w->call, code, &err, SL_BYTES_NONE);
		write_free(w);
	}
}

/* --- arriving ------------------------------------------------------------------ */

static sl_code check_options(const Sluice__V1__WriteOptions *options, struct sl_err *err)
{
	size_t length = strlen(options->request_id);
	for (size_t i = 0; i < length; i++) {
		if (options->request_id[i] <= ' ' || options->request_id[i] > '~') {
			length = REQUEST_ID_MAX + 1;
		}
	}
	if (length > REQUEST_ID_MAX) {
		sl_code code = sl_err_because(
		    err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
		    "write.request_id must be 1 to %d printable ASCII characters without spaces",
		    REQUEST_ID_MAX);
		sl_err_field(err, "write.request_id",
			     "1 to 64 printable ASCII characters without spaces");
		return code;
	}
	return check_text_or_empty("write.reason", options->reason, REASON_MAX, err);
}

static sl_code write_call(struct service_write *w, struct sl_bytes bytes, struct sl_err *err)
{
	sl_code code = service_identify(w->services, w->call, &w->caller, err);
	code = code != SL_OK ? code : service_decode(w->bound, &w->arena, bytes, &w->request, err);
	if (code != SL_OK) {
		return code;
	}
	const Sluice__V1__WriteOptions *options =
	    *(Sluice__V1__WriteOptions *const *)((const uint8_t *)w->request +
						 w->bound->write->offset);
	w->options = options == NULL ? &no_options : options;
	const struct service_peer peer = service_peer_of_call(w->call);
	w->origin = service_origin(&w->arena, &peer);
	w->origin.request_id = w->options->request_id;
	w->now_ms = sl_clock_unix_ms();
	for (unsigned i = 0; i < DECISION_IDS; i++) {
		w->ids[i] = sl_id_new("new");
	}
	if (w->bound->secret != NULL) {
		sl_random(w->secret, sizeof(w->secret));
	}
	code = check_options(w->options, err);
	if (code == SL_OK && w->options->request_id[0] != '\0' && !w->options->validate_only) {
		hash_request(w, service_workspace_name(w->bound, w->request));
	}
	return code != SL_OK ? code : store_submit(w->services->store, &w->cmd, err);
}

void service_handle_write(struct rpc_call *call, struct sl_bytes bytes, void *services)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct service_write *w = calloc(1, sizeof(*w));
	if (w == NULL) {
		rpc_call_finish(call, service_no_memory(&err), &err, SL_BYTES_NONE);
		return;
	}
	*w = (struct service_write){
	    .call = call, .services = services, .bound = service_bound_of(call)};
	w->cmd.decide = decide;
	w->cmd.writes_nothing = repeats_a_reply;
	w->cmd.done = done;
	w->cmd.shrinks = w->bound->method->shrinks;
	w->cmd.err = (struct sl_err)SL_ERR_INIT;
	sl_arena_init(&w->arena, ARENA_MAX);
	sl_code code = write_call(w, bytes, &err);
	if (code != SL_OK) {
		rpc_call_finish(call, code, &err, SL_BYTES_NONE);
		write_free(w);
	}
}

/* AuditService: the audit sequence, read and proved; and cut, when somebody has it elsewhere. */
#include <stdio.h>
#include <string.h>

#include "server/records/audit.h"
#include "server/records/history.h"
#include "server/records/wire.h"
#include "server/services/audit_internal.h"

/* A call looks at no more: all run on the queue thread. */
enum { LOOK_MAX = 2000, CHECK_MAX = 1000, EXPORT_BYTES = 512 << 10, FAULTS_MAX = 100 };
/* Clocks may go back, and coalesced records come late; not by more. */
enum { CLOCK_SLACK_MS = 3600000 };

/* NULL: no memory, or its body does not parse; *err says which. */
static Sluice__V1__AuditRecord *
wire_record(struct sl_arena *arena, const struct store_audit_record *record, struct sl_err *err)
{
	Sluice__V1__AuditRecord *wire = SL_ARENA_NEW(arena, Sluice__V1__AuditRecord);
	if (wire == NULL) {
		(void)sl_err_no_memory(err);
		return NULL;
	}
	sluice__v1__audit_record__init(wire);
	if (audit_entry(arena, record, &wire->entry, err) != SL_OK) {
		(void)sl_err_wrap(err, "audit record %lu", (unsigned long)record->sequence);
		return NULL;
	}
	wire->sequence = record->sequence;
	wire->hash = audit_wire_bytes(arena, record->hash, sizeof(record->hash));
	if (record->change) {
		wire->content_hash =
		    audit_wire_bytes(arena, record->bulk_hash, sizeof(record->bulk_hash));
	}
	return wire;
}

/* --- ListAuditRecords ------------------------------------------------------------------- */

struct filter {
	const Sluice__V1__ListAuditRecordsRequest *request;
	const char *app_id; /* NULL: all */
	uint32_t environment;
	uint64_t since_ms, until_ms;
};

static uint64_t to_ms(const Google__Protobuf__Timestamp *at)
{
	return at->seconds < 0 ? 0
			       : (uint64_t)at->seconds * 1000u + (uint64_t)(at->nanos / 1000000);
}

static sl_code list_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__ListAuditRecordsRequest *request = message;
	const struct {
		const char *field, *value;
	} texts[] = {{"in_workspace", request->in_workspace},
		     {"principal", request->principal},
		     {"method", request->method},
		     {"app", request->app},
		     {"environment", request->environment}};
	sl_code code = SL_OK;
	for (size_t i = 0; i < SL_COUNT(texts) && code == SL_OK; i++) {
		code = check_text_or_empty(texts[i].field, texts[i].value, 100, err);
	}
	return code;
}

static sl_code read_filter(const struct service_read *read,
			   const Sluice__V1__ListAuditRecordsRequest *request,
			   struct filter *filter, struct sl_err *err)
{
	*filter = (struct filter){.request = request, .until_ms = UINT64_MAX};
	filter->since_ms = request->since != NULL ? to_ms(request->since) : 0;
	filter->until_ms = request->until != NULL ? to_ms(request->until) : UINT64_MAX;
	if (request->environment[0] != '\0') {
		sl_code code = environment_find(request->environment, &filter->environment, err);
		if (code != SL_OK) {
			return code;
		}
	}
	if (request->app[0] == '\0') {
		return SL_OK;
	}
	struct wire wire = {.view = read->view, .arena = read->arena};
	sl_code code = workspace_find(read->view, request->in_workspace, &wire.workspace, err);
	return code != SL_OK ? code : history_app_id(&wire, request->app, &filter->app_id, err);
}

static bool is(const char *wanted, const char *value)
{
	return wanted[0] == '\0' || strcmp(wanted, value) == 0;
}

static bool passes(const struct filter *filter, const Sluice__V1__AuditEntry *entry)
{
	const Sluice__V1__ListAuditRecordsRequest *request = filter->request;
	const Sluice__V1__AuditObject *object = entry->object;
	bool of_app = filter->app_id == NULL ||
		      (object != NULL && (strcmp(object->app_id, filter->app_id) == 0 ||
					  strcmp(object->id, filter->app_id) == 0));
	bool of_environment = filter->environment == 0 ||
			      (object != NULL && object->environment == filter->environment);
	return of_app && of_environment && is(request->in_workspace, entry->workspace_name) &&
	       is(request->principal, entry->principal) && is(request->method, entry->method) &&
	       entry->at_ms >= filter->since_ms && entry->at_ms < filter->until_ms &&
	       (!request->refused || entry->refusal != NULL) &&
	       (!request->denied || (entry->refusal != NULL && entry->refusal->denied));
}

/* Of all filters: a token of another list is refused. */
static const char *scope_of(struct sl_arena *arena,
			    const Sluice__V1__ListAuditRecordsRequest *request)
{
	return sl_arena_printf(arena, "ListAuditRecords %s\n%s\n%s\n%s\n%s\n%ld %ld %d %d",
			       request->in_workspace, request->principal, request->method,
			       request->app, request->environment,
			       request->since != NULL ? (long)request->since->seconds : -1,
			       request->until != NULL ? (long)request->until->seconds : -1,
			       request->refused, request->denied);
}

static sl_code fill(struct service_read *read, const struct filter *filter,
		    const struct service_page *page, Sluice__V1__ListAuditRecordsResponse *response,
		    struct sl_err *err)
{
	uint64_t from = page->from.size == 8 ? sl_get_be64(page->from.data) : UINT64_MAX;
	uint8_t next[8];
	size_t looked = 0, next_size = 0;
	SL_AUTO(store_audit_end) struct store_audit_walk walk;
	store_audit_begin(&walk, read->view, from, STORE_BACKWARD);
	response->records = SL_ARENA_ARRAY(read->arena, Sluice__V1__AuditRecord *, page->size);
	while (response->records != NULL && store_audit_next(&walk)) {
		if (response->n_records == page->size || looked++ == LOOK_MAX) {
			sl_put_be64(next, walk.record.sequence);
			next_size = sizeof(next);
			break;
		}
		Sluice__V1__AuditRecord *record = wire_record(read->arena, &walk.record, err);
		if (record == NULL) {
			return err->code;
		}
		if (record->entry->at_ms + CLOCK_SLACK_MS < filter->since_ms) {
			break;
		}
		if (passes(filter, record->entry)) {
			response->records[response->n_records++] = record;
		}
	}
	response->page = service_page_end(read, page, SL_BYTES(next, next_size));
	return store_audit_result(&walk, err);
}

static sl_code list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__ListAuditRecordsRequest *request = message;
	struct filter filter;
	struct service_page page;
	const char *scope = scope_of(read->arena, request);
	sl_code code = read_filter(read, request, &filter, err);
	if (code == SL_OK && scope == NULL) {
		code = sl_err_no_memory(err);
	}
	code = code != SL_OK ? code : service_page_begin(read, request->page, scope, &page, err);
	return code != SL_OK ? code : fill(read, &filter, &page, reply, err);
}

/* --- VerifyAudit --------------------------------------------------------------------------- */

static sl_code check_point(const char *field, const Sluice__V1__AuditPoint *point,
			   struct sl_err *err)
{
	if (point == NULL || point->hash.len == STORE_HASH_BYTES) {
		return SL_OK;
	}
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "%s.hash has %zu bytes, must have %d", field, point->hash.len,
				      STORE_HASH_BYTES);
	sl_err_field(err, field, "number and hash of a record, 32 bytes");
	return code;
}

static sl_code verify_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__VerifyAuditRequest *request = message;
	sl_code code = check_point("after", request->after, err);
	return code != SL_OK ? code : check_point("kept", request->kept, err);
}

struct verifying {
	struct sl_arena *arena;
	Sluice__V1__VerifyAuditResponse *response;
};

static void on_fault(void *ctx, uint64_t sequence, const char *what)
{
	struct verifying *v = ctx;
	v->response->fault_count++;
	Sluice__V1__AuditFault *fault = v->response->n_faults < FAULTS_MAX
					    ? SL_ARENA_NEW(v->arena, Sluice__V1__AuditFault)
					    : NULL;
	if (fault != NULL) {
		sluice__v1__audit_fault__init(fault);
		fault->sequence = sequence;
		fault->text = (char *)what;
		v->response->faults[v->response->n_faults++] = fault;
	}
}

/* Is the record that somebody remembers there, and the same? */
static sl_code look_for_kept(const struct service_read *read, const Sluice__V1__AuditPoint *kept,
			     struct verifying *v, struct sl_err *err)
{
	struct store_audit_point anchor = store_view_audit_anchor(read->view);
	struct store_audit_point head = store_view_audit_head(read->view);
	struct store_audit_point found = anchor;
	if (kept->sequence > head.sequence) {
		on_fault(v, kept->sequence, "is missing: the head that was kept is later");
		return SL_OK;
	}
	if (kept->sequence < anchor.sequence) {
		on_fault(v, kept->sequence, "was cut: it cannot be compared with what was kept");
		return SL_OK;
	}
	if (kept->sequence > anchor.sequence) {
		SL_AUTO(store_audit_end) struct store_audit_walk walk;
		store_audit_begin(&walk, read->view, kept->sequence, STORE_FORWARD);
		found.sequence = store_audit_next(&walk) ? walk.record.sequence : 0;
		memcpy(found.hash, walk.record.hash, sizeof(found.hash));
		sl_code code = store_audit_result(&walk, err);
		if (code != SL_OK) {
			return code;
		}
	}
	if (found.sequence != kept->sequence ||
	    memcmp(found.hash, kept->hash.data, sizeof(found.hash)) != 0) {
		on_fault(v, kept->sequence, "is not the one of the head that was kept");
	}
	return SL_OK;
}

static sl_code verify_read(struct service_read *read, const void *message, void *reply,
			   struct sl_err *err)
{
	const Sluice__V1__VerifyAuditRequest *request = message;
	Sluice__V1__VerifyAuditResponse *response = reply;
	struct verifying v = {.arena = read->arena, .response = response};
	struct store_audit_check check = {
	    .at = store_view_audit_anchor(read->view), .on_fault = on_fault, .ctx = &v};
	response->faults = SL_ARENA_ARRAY(read->arena, Sluice__V1__AuditFault *, FAULTS_MAX);
	if (response->faults == NULL) {
		return sl_err_no_memory(err);
	}
	if (request->after != NULL) {
		check.at.sequence = request->after->sequence;
		memcpy(check.at.hash, request->after->hash.data, sizeof(check.at.hash));
	}
	sl_code code = SL_OK;
	if (request->kept != NULL && request->after == NULL) {
		code = look_for_kept(read, request->kept, &v, err);
	}
	code = code != SL_OK ? code : store_audit_check(&check, read->view, CHECK_MAX, err);
	response->checked = check.checked;
	response->finished = check.finished;
	response->at = audit_wire_point(read->arena, &check.at);
	return code;
}

/* --- ExportAudit ----------------------------------------------------------------------------- */

static sl_code export_read(struct service_read *read, const void *message, void *reply,
			   struct sl_err *err)
{
	const Sluice__V1__ExportAuditRequest *request = message;
	Sluice__V1__ExportAuditResponse *response = reply;
	struct store_audit_point head = store_view_audit_head(read->view);
	struct store_audit_point anchor = store_view_audit_anchor(read->view);
	response->head = audit_wire_point(read->arena, &head);
	response->anchor = audit_wire_point(read->arena, &anchor);
	response->records = SL_ARENA_ARRAY(read->arena, Sluice__V1__AuditRecord *, CHECK_MAX);
	if (request->after >= head.sequence || response->records == NULL) {
		return response->records != NULL ? SL_OK : sl_err_no_memory(err);
	}
	SL_AUTO(store_audit_end) struct store_audit_walk walk;
	store_audit_begin(&walk, read->view, request->after + 1, STORE_FORWARD);
	size_t bytes = 0;
	while (response->n_records < CHECK_MAX && bytes < EXPORT_BYTES && store_audit_next(&walk)) {
		Sluice__V1__AuditRecord *record = wire_record(read->arena, &walk.record, err);
		if (record == NULL) {
			return err->code;
		}
		record->body =
		    audit_wire_bytes(read->arena, walk.record.body.data, walk.record.body.size);
		bytes += 2 * walk.record.body.size;
		response->records[response->n_records++] = record;
	}
	return store_audit_result(&walk, err);
}

/* --- CutAudit ------------------------------------------------------------------------------- */

static sl_code cut_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CutAuditRequest *request = message;
	if (request->through == NULL) {
		sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
					      "through is missing: number and hash of the last "
					      "record that goes");
		sl_err_field(err, "through", "number and hash of a record");
		return code;
	}
	return check_point("through", request->through, err);
}

static sl_code cut_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__CutAuditRequest *request = message;
	Sluice__V1__CutAuditResponse *response = reply;
	struct store_audit_point through = {.sequence = request->through->sequence};
	struct store_audit_point anchor = store_view_audit_anchor(d->view);
	memcpy(through.hash, request->through->hash.data, sizeof(through.hash));
	sl_code code = audit_cut(d, &through, err);
	response->anchor =
	    audit_wire_point(d->arena, through.sequence > anchor.sequence ? &through : &anchor);
	return code;
}

const struct service_method audit_methods[5] = {
    {"/sluice.v1.AuditService/ListAuditRecords", ACCESS_ADMINISTER,
     &sluice__v1__list_audit_records_request__descriptor,
     &sluice__v1__list_audit_records_response__descriptor, .check = list_check, .read = list_read,
     .scope = ACCESS_SERVER},
    {"/sluice.v1.AuditService/GetAuditHead", ACCESS_ADMINISTER,
     &sluice__v1__get_audit_head_request__descriptor,
     &sluice__v1__get_audit_head_response__descriptor, .read = audit_head_read,
     .scope = ACCESS_SERVER},
    {"/sluice.v1.AuditService/VerifyAudit", ACCESS_ADMINISTER,
     &sluice__v1__verify_audit_request__descriptor, &sluice__v1__verify_audit_response__descriptor,
     .check = verify_check, .read = verify_read, .scope = ACCESS_SERVER},
    {"/sluice.v1.AuditService/ExportAudit", ACCESS_ADMINISTER,
     &sluice__v1__export_audit_request__descriptor, &sluice__v1__export_audit_response__descriptor,
     .read = export_read, .scope = ACCESS_SERVER},
    {"/sluice.v1.AuditService/CutAudit", ACCESS_ADMINISTER,
     &sluice__v1__cut_audit_request__descriptor, &sluice__v1__cut_audit_response__descriptor,
     .check = cut_check, .decide = cut_decide, .shrinks = true, .scope = ACCESS_SERVER},
};

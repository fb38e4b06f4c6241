/* google.rpc.Status, as servers pack it beside the status, into a sl_err. */
#include <string.h>

#include "base/mem/own.h"
#include "client/rpc/rpc_internal.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

static const char our_domain[] = "sluice";

static enum sl_reason reason_by_name(const char *name)
{
	for (int i = SL_REASON_NONE + 1; i < SL_REASON_COUNT; i++) {
		if (strcmp(sl_reason_name((enum sl_reason)i), name) == 0) {
			return (enum sl_reason)i;
		}
	}
	return SL_REASON_NONE;
}

static void take_error_info(struct sl_bytes packed, struct sl_err *err)
{
	Google__Rpc__ErrorInfo *info =
	    google__rpc__error_info__unpack(NULL, packed.size, packed.data);
	if (info == NULL) {
		return;
	}
	if (strcmp(info->domain, our_domain) == 0) {
		err->reason = reason_by_name(info->reason);
		if (err->reason == SL_REASON_NONE && info->reason[0] != '\0') {
			sl_err_meta(err, "reason", "%s", info->reason); /* of a newer server */
		}
		for (size_t i = 0; i < info->n_metadata; i++) {
			sl_err_meta(err, info->metadata[i]->key, "%s", info->metadata[i]->value);
		}
	}
	google__rpc__error_info__free_unpacked(info, NULL);
}

static void take_precondition_failure(struct sl_bytes packed, struct sl_err *err)
{
	Google__Rpc__PreconditionFailure *failure =
	    google__rpc__precondition_failure__unpack(NULL, packed.size, packed.data);
	if (failure == NULL) {
		return;
	}
	for (size_t i = 0; i < failure->n_violations; i++) {
		const Google__Rpc__PreconditionFailure__Violation *gate = failure->violations[i];
		sl_err_gate(err, gate->type, gate->subject, gate->description);
	}
	google__rpc__precondition_failure__free_unpacked(failure, NULL);
}

static void take_bad_request(struct sl_bytes packed, struct sl_err *err)
{
	Google__Rpc__BadRequest *bad =
	    google__rpc__bad_request__unpack(NULL, packed.size, packed.data);
	if (bad == NULL) {
		return;
	}
	for (size_t i = 0; i < bad->n_field_violations; i++) {
		sl_err_field(err, bad->field_violations[i]->field,
			     bad->field_violations[i]->description);
	}
	google__rpc__bad_request__free_unpacked(bad, NULL);
}

static const struct {
	const char *type;
	void (*take)(struct sl_bytes packed, struct sl_err *err);
} takers[] = {
    {"google.rpc.ErrorInfo", take_error_info},
    {"google.rpc.PreconditionFailure", take_precondition_failure},
    {"google.rpc.BadRequest", take_bad_request},
};

/* type_url: "type.googleapis.com/google.rpc.ErrorInfo". */
static void take_one(const Google__Protobuf__Any *any, struct sl_err *err)
{
	const char *slash = strrchr(any->type_url, '/');
	const char *type = slash != NULL ? slash + 1 : any->type_url;
	for (size_t i = 0; i < SL_COUNT(takers); i++) {
		if (strcmp(takers[i].type, type) == 0) {
			takers[i].take(SL_BYTES(any->value.data, any->value.len), err);
			return;
		}
	}
}

void crpc_details_decode(struct sl_bytes packed, struct sl_err *err)
{
	Google__Rpc__Status *status = google__rpc__status__unpack(NULL, packed.size, packed.data);
	if (status == NULL) {
		return;
	}
	for (size_t i = 0; i < status->n_details; i++) {
		take_one(status->details[i], err);
	}
	google__rpc__status__free_unpacked(status, NULL);
}

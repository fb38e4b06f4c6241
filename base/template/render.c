#include <string.h>

#include "base/crypto/secret.h"
#include "base/mem/own.h"
#include "base/template/template_internal.h"

static const struct {
	const char *name, *rule;
	bool of_config; /* not the text is wrong, but what it refers to */
} faults[TEMPLATE_FAULT_COUNT] = {
    [TEMPLATE_FINE] = {"TEMPLATE_FINE", "", false},
    [TEMPLATE_UNCLOSED] = {"TEMPLATE_UNCLOSED",
			   "{{ has no }} in its line: for the braces themselves write \\{{", false},
    [TEMPLATE_MALFORMED] = {"TEMPLATE_MALFORMED",
			    "is no reference: constants.NAME, secrets.NAME or sources.NAME.option",
			    false},
    [TEMPLATE_UNDECLARED] = {"TEMPLATE_UNDECLARED", "is not required by sluice.json", false},
    [TEMPLATE_UNKNOWN] = {"TEMPLATE_UNKNOWN", "is not there", true},
    [TEMPLATE_WRONG_KIND] = {"TEMPLATE_WRONG_KIND", "is of the other kind", true},
    [TEMPLATE_UNSET] = {"TEMPLATE_UNSET", "has no value in this environment", true},
    [TEMPLATE_EMPTY] = {"TEMPLATE_EMPTY", "is empty", true},
    [TEMPLATE_NOT_HERE] = {"TEMPLATE_NOT_HERE", "must not be referred to here", false},
    [TEMPLATE_QUOTE] = {"TEMPLATE_QUOTE",
			"has a ' and stands within single quotes: write double ones", true},
    [TEMPLATE_TOO_BIG] = {"TEMPLATE_TOO_BIG",
			  "the text must have at most 1 MiB, and 4 MiB with its values", false},
};

const char *template_fault_name(enum template_fault fault)
{
	return faults[fault].name;
}

static sl_code refuse(const struct template_scan *scan, enum template_fault fault,
		      const struct template_ref *ref, enum template_fault *ret_fault,
		      struct sl_err *err)
{
	static const char *const spaces[] = {"constants", "secrets", "sources"};
	if (ret_fault != NULL) {
		*ret_fault = fault;
	}
	sl_code code = faults[fault].of_config ? SL_FAILED_PRECONDITION : SL_INVALID_ARGUMENT;
	enum sl_reason reason =
	    faults[fault].of_config ? SL_REASON_CONFIG_NOT_FOUND : SL_REASON_MALFORMED;
	if (ref != NULL) {
		return sl_err_because(err, code, reason, "line %zu: {{%s.%s%s%s}} %s (%s)",
				      scan->line, spaces[ref->space], ref->name,
				      ref->option[0] != '\0' ? "." : "", ref->option,
				      faults[fault].rule, faults[fault].name);
	}
	const char *inside = fault == TEMPLATE_MALFORMED ? scan->inside : "";
	return sl_err_because(err, code, reason, "line %zu: %s%.60s%s%s (%s)", scan->line,
			      inside[0] != '\0' ? "{{" : "", inside, inside[0] != '\0' ? "}} " : "",
			      faults[fault].rule, faults[fault].name);
}

/* Goes over the text; what it says goes to `out`, unless that is NULL. */
static sl_code pass(const struct template *template, struct template_out *out,
		    enum template_fault *ret_fault, struct sl_err *err)
{
	struct template_scan scan;
	template_scan_begin(&scan, template);
	while (template_scan_next(&scan)) {
		const char *value = "";
		if (scan.literal.size > 0) {
			if (out != NULL) {
				template_put(out, (const char *)scan.literal.data,
					     scan.literal.size);
			}
			continue;
		}
		enum template_fault fault = template->look_up(template->ctx, &scan.ref, &value);
		if (fault == TEMPLATE_FINE && out != NULL) {
			fault = template_put_value(out, &scan, value);
		}
		if (fault != TEMPLATE_FINE) {
			return refuse(&scan, fault, &scan.ref, ret_fault, err);
		}
		if (out != NULL && out->size > TEMPLATE_RENDERED_MAX) {
			return refuse(&scan, TEMPLATE_TOO_BIG, NULL, ret_fault, err);
		}
	}
	return scan.fault == TEMPLATE_FINE ? SL_OK
					   : refuse(&scan, scan.fault, NULL, ret_fault, err);
}

sl_code template_check(const struct template *template, enum template_fault *ret_fault,
		       struct sl_err *err)
{
	return pass(template, NULL, ret_fault, err);
}

sl_code template_render(const struct template *template, char **ret_text, size_t *ret_size,
			enum template_fault *ret_fault, struct sl_err *err)
{
	struct template_out counted = {.at = NULL};
	sl_code code = pass(template, &counted, ret_fault, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new(counted.size + 1);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	struct template_out out = {.at = text};
	code = pass(template, &out, ret_fault, err);
	if (code == SL_OK) {
		*ret_size = out.size;
		*ret_text = SL_TAKE(text);
	}
	return code;
}

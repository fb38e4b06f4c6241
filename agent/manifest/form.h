/* form: is a manifest well-formed? Private to agent/manifest.
 *
 * Its names become folders and its ids become keys, so nothing goes on that
 * breaks a rule, whoever signed it. */
#ifndef SL_AGENT_MANIFEST_FORM_H
#define SL_AGENT_MANIFEST_FORM_H

#include "base/err/err.h"
#include "sluice/v1/agent.pb-c.h"

/* SL_INVALID_ARGUMENT names the app, the value and the rule. */
SL_MUST_USE sl_code form_check(const Sluice__V1__Manifest *manifest, struct sl_err *err);

#endif

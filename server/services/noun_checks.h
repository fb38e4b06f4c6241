/* noun_checks: shape checks and page steps that repositories, apps and versions share. */
#ifndef SL_SERVER_NOUN_CHECKS_H
#define SL_SERVER_NOUN_CHECKS_H

#include "server/services/service.h"

/* SL_INVALID_ARGUMENT / MALFORMED: "<field> <rule>", with the field in the details. */
sl_code check_refused(const char *field, const char *rule, struct sl_err *err);
/* The URL's form (base/git); whether its host is allowed here is said by the worker that dials it.
 */
SL_MUST_USE sl_code check_url(const char *field, const char *url, struct sl_err *err);
/* Branch, tag or commit id, not empty. */
SL_MUST_USE sl_code check_revision(const char *field, const char *revision, struct sl_err *err);
/* The same, may be empty. */
SL_MUST_USE sl_code check_revision_or_empty(const char *field, const char *revision,
					    struct sl_err *err);
/* A folder in a repository, not empty. */
SL_MUST_USE sl_code check_path(const char *field, const char *path, struct sl_err *err);
/* A name or an id, may be empty. */
SL_MUST_USE sl_code check_reference_or_empty(const char *field, const char *value,
					     struct sl_err *err);

#endif

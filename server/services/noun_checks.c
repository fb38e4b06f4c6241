#include "server/services/noun_checks.h"

#include <string.h>

#include "base/git/git.h"
#include "server/rules/names.h"

sl_code check_refused(const char *field, const char *rule, struct sl_err *err)
{
	sl_code code =
	    sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED, "%s %s", field, rule);
	sl_err_field(err, field, rule);
	return code;
}

/* What was given is named when it can be shown. */
static sl_code broken(const char *field, const char *value, const char *rule, struct sl_err *err)
{
	SL_AUTO(sl_err_clear) struct sl_err unshowable = SL_ERR_INIT;
	if (check_text_or_empty(field, value, 100, &unshowable) != SL_OK) {
		return check_refused(field, rule, err);
	}
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED, "%s '%s' %s",
				      field, value, rule);
	sl_err_field(err, field, rule);
	return code;
}

sl_code check_url(const char *field, const char *url, struct sl_err *err)
{
	sl_code code = check_text(field, url, GIT_URL_MAX - 1, err);
	if (code == SL_OK) {
		code = git_url_check(url, true, err);
		if (code != SL_OK) {
			sl_err_field(err, field,
				     "a https, ssh, git or file URL without a password");
		}
	}
	return code;
}

sl_code check_revision(const char *field, const char *revision, struct sl_err *err)
{
	const char *rule = revision_broken_rule(revision);
	return rule != NULL ? broken(field, revision, rule, err)
			    : check_text(field, revision, REVISION_MAX_BYTES, err);
}

sl_code check_revision_or_empty(const char *field, const char *revision, struct sl_err *err)
{
	return revision[0] == '\0' ? SL_OK : check_revision(field, revision, err);
}

/* What no bundle may be called, no folder of a bundle's may be: Git work would refuse it. */
static bool has_refused_part(const char *path)
{
	for (const char *part = path;; part++) {
		size_t bytes = strcspn(part, "/");
		enum git_rule rule = GIT_RULE_NONE;
		if (!git_name_check(part, bytes, &rule)) {
			return true;
		}
		part += bytes;
		if (*part == '\0') {
			return false;
		}
	}
}

sl_code check_path(const char *field, const char *path, struct sl_err *err)
{
	const char *rule = path_broken_rule(path);
	if (rule == NULL && strcmp(path, ".") != 0 && has_refused_part(path)) {
		rule = "must have no part that is a spelling of .git, is longer than 255 bytes, is "
		       "not UTF-8 or has a backslash";
	}
	return rule != NULL ? broken(field, path, rule, err)
			    : check_text(field, path, APP_PATH_MAX_BYTES, err);
}

sl_code check_reference_or_empty(const char *field, const char *value, struct sl_err *err)
{
	return value[0] == '\0' ? SL_OK : check_reference(field, value, err);
}

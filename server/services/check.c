/* Shape checks shared by services: pure, one rule each. */
#include <stdbool.h>
#include <string.h>

#include "server/services/service.h"

static sl_code malformed(const char *field, enum sl_reason reason, const char *value,
			 const char *rule, struct sl_err *err)
{
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, reason,
				      "%s '%.80s' is not valid: %s", field, value, rule);
	sl_err_field(err, field, rule);
	return code;
}

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alphanumeric(char c)
{
	return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool name_is_valid(const char *value)
{
	size_t length = strlen(value);
	if (length < 1 || length > 50 || !is_lower_or_digit(value[0]) ||
	    !is_lower_or_digit(value[length - 1])) {
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		if (!is_lower_or_digit(value[i]) && value[i] != '-') {
			return false;
		}
	}
	return true;
}

sl_code check_name(const char *field, const char *value, struct sl_err *err)
{
	return name_is_valid(value)
		   ? SL_OK
		   : malformed(
			 field, SL_REASON_NAME_INVALID, value,
			 "1 to 50 of a-z, 0-9 and '-', beginning and ending with a letter or digit",
			 err);
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);
	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

sl_code check_version_name(const char *field, const char *value, struct sl_err *err)
{
	static const char rule[] = "1 to 25 of A-Z, a-z, 0-9 and '._+-', beginning with a letter "
				   "or digit, without '..', not "
				   "ending in '.' or '.lock', not beginning with 'ver_'";
	size_t length = strlen(value);
	bool good = length >= 1 && length <= 25 && is_alphanumeric(value[0]);
	for (size_t i = 0; good && i < length; i++) {
		good = is_alphanumeric(value[i]) || strchr("._+-", value[i]) != NULL;
	}
	good = good && strstr(value, "..") == NULL && !ends_with(value, ".") &&
	       !ends_with(value, ".lock") && strncmp(value, "ver_", 4) != 0;
	return good ? SL_OK : malformed(field, SL_REASON_NAME_INVALID, value, rule, err);
}

static bool is_control(unsigned char c)
{
	return (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f;
}

static bool is_utf8(const char *value, bool controls)
{
	const unsigned char *at = (const unsigned char *)value;
	while (*at != '\0') {
		size_t length = is_control(*at) && !controls ? 0 : sl_utf8_length(at);
		if (length == 0) {
			return false;
		}
		at += length;
	}
	return true;
}

static sl_code too_long(const char *field, size_t length, size_t max, struct sl_err *err)
{
	sl_code code =
	    sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
			   "%s has %zu bytes, at most %zu are allowed", field, length, max);
	sl_err_field(err, field, "too long");
	return code;
}

sl_code check_value(const char *field, const char *value, size_t max, struct sl_err *err)
{
	size_t length = strlen(value);
	if (length > max) {
		return too_long(field, length, max, err);
	}
	if (is_utf8(value, true)) {
		return SL_OK;
	}
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
				      "%s must be UTF-8 without NUL bytes", field);
	sl_err_field(err, field, "UTF-8 without NUL bytes");
	return code;
}

sl_code check_text_or_empty(const char *field, const char *value, size_t max, struct sl_err *err)
{
	size_t length = strlen(value);
	if (length > max) {
		return too_long(field, length, max, err);
	}
	return is_utf8(value, false) ? SL_OK
				     : malformed(field, SL_REASON_MALFORMED, value,
						 "UTF-8 text without control characters", err);
}

sl_code check_text(const char *field, const char *value, size_t max, struct sl_err *err)
{
	if (value[0] == '\0') {
		return malformed(field, SL_REASON_MALFORMED, value, "must not be empty", err);
	}
	return check_text_or_empty(field, value, max, err);
}

sl_code check_reference(const char *field, const char *value, struct sl_err *err)
{
	if (value[0] == '\0') {
		return malformed(field, SL_REASON_MALFORMED, value, "a name or an id is required",
				 err);
	}
	return strlen(value) <= 64 ? SL_OK
				   : malformed(field, SL_REASON_MALFORMED, value,
					       "names and ids have at most 64 bytes", err);
}

static bool label_value_is_valid(const char *value)
{
	size_t length = strlen(value);
	for (size_t i = 0; i < length; i++) {
		if (!is_alphanumeric(value[i]) && strchr("._-", value[i]) == NULL) {
			return false;
		}
	}
	return length <= 63;
}

sl_code check_labels(const char *field, char *const *keys, char *const *values, size_t count,
		     size_t max, struct sl_err *err)
{
	if (count > max) {
		sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
					      "%s has %zu entries, at most %zu are allowed", field,
					      count, max);
		sl_err_field(err, field, "too many");
		return code;
	}
	for (size_t i = 0; i < count; i++) {
		sl_code code = check_name(field, keys[i], err);
		if (code != SL_OK) {
			return code;
		}
		if (!label_value_is_valid(values[i])) {
			return malformed(field, SL_REASON_MALFORMED, values[i],
					 "label values have 0 to 63 of A-Z, a-z, 0-9 and '._-'",
					 err);
		}
		for (size_t j = 0; j < i; j++) {
			if (strcmp(keys[i], keys[j]) == 0) {
				return malformed(field, SL_REASON_MALFORMED, keys[i],
						 "each label key once", err);
			}
		}
	}
	return SL_OK;
}

#include "client/cli/text.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

const char *text_color_on(enum text_color color)
{
	static const char *const on[] = {
	    [TEXT_PLAIN] = "",       [TEXT_GOOD] = "\033[32m", [TEXT_BUSY] = "\033[33m",
	    [TEXT_BAD] = "\033[31m", [TEXT_FAINT] = "\033[2m", [TEXT_STRONG] = "\033[1m",
	};
	return on[color];
}

const char *text_copy(char buffer[static TEXT_SIZE], const char *text)
{
	(void)snprintf(buffer, TEXT_SIZE, "%s", text);
	return buffer;
}

const char *text_age(char buffer[static TEXT_SIZE], const Google__Protobuf__Timestamp *at,
		     uint64_t now_unix_ms)
{
	static const struct {
		int64_t seconds;
		const char *unit;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
	if (at == NULL) {
		return text_copy(buffer, "-");
	}
	int64_t age = (int64_t)(now_unix_ms / 1000) - at->seconds;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (age >= units[i].seconds) {
			(void)snprintf(buffer, TEXT_SIZE, "%lld%s",
				       (long long)(age / units[i].seconds), units[i].unit);
			return buffer;
		}
	}
	return text_copy(buffer, "now");
}

const char *text_time(char buffer[static TEXT_SIZE], const Google__Protobuf__Timestamp *at)
{
	struct tm parts;
	time_t seconds = at != NULL ? (time_t)at->seconds : 0;
	buffer[0] = '\0';
	if (at != NULL && gmtime_r(&seconds, &parts) != NULL &&
	    strftime(buffer, TEXT_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0) {
		buffer[0] = '\0';
	}
	return buffer;
}

const char *text_bytes(char buffer[static TEXT_SIZE], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	size_t unit = 0;
	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(buffer, TEXT_SIZE, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value,
		       units[unit]);
	return buffer;
}

const char *text_short(char buffer[static TEXT_SIZE], const char *id)
{
	(void)snprintf(buffer, TEXT_SIZE, "%.12s", id[0] != '\0' ? id : "-");
	return buffer;
}

/* All values of an enum begin with what stands before UNSPECIFIED in the first. */
static size_t prefix_of(const ProtobufCEnumDescriptor *descriptor)
{
	const char *zero = descriptor->values[0].name;
	const char *end = strstr(zero, "UNSPECIFIED");
	return end != NULL ? (size_t)(end - zero) : 0;
}

const char *text_enum(char buffer[static TEXT_SIZE], const ProtobufCEnumDescriptor *descriptor,
		      int value)
{
	const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(descriptor, value);
	if (value == 0) {
		return text_copy(buffer, "-");
	}
	if (found == NULL) {
		(void)snprintf(buffer, TEXT_SIZE, "%d", value);
		return buffer;
	}
	(void)snprintf(buffer, TEXT_SIZE, "%s", found->name + prefix_of(descriptor));
	return buffer;
}

/* C1 controls are U+0080 to U+009F: C2 80 to C2 9F. */
static bool is_control(const unsigned char *at)
{
	if (at[0] == 0xC2) {
		return at[1] >= 0x80 && at[1] <= 0x9F;
	}
	return (at[0] < 0x20 && at[0] != '\n' && at[0] != '\t') || at[0] == 0x7F;
}

void text_put(FILE *out, const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
		if (!is_control(at)) {
			(void)fputc(*at, out);
			continue;
		}
		(void)fputc('?', out);
		at += *at == 0xC2 ? 1 : 0;
	}
}

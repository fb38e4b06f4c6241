/* What a name in a bundle may be. */
#include "base/git/git.h"

#include <stdint.h>
#include <string.h>
#include <unistr.h>

enum { NAME_BYTES_MAX = 255, DEL = 0x7f, C1_FIRST = 0x80, C1_LAST = 0x9f };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Code points that HFS+ leaves out when it compares names (as git knows them). */
static bool is_ignored(ucs4_t point)
{
	return (point >= 0x200c && point <= 0x200f) || (point >= 0x202a && point <= 0x202e) ||
	       (point >= 0x206a && point <= 0x206f) || point == 0xfeff;
}

/* The first bytes of the name, lower-case and without what HFS+ ignores. */
static size_t plain_start(char *out, size_t room, const char *name, size_t bytes)
{
	size_t used = 0;
	for (size_t at = 0; at < bytes && used < room;) {
		ucs4_t point = 0;
		int width = u8_mbtouc(&point, (const uint8_t *)name + at, bytes - at);
		for (int i = 0; i < width && !is_ignored(point) && used < room; i++) {
			out[used++] = lower(name[at + (size_t)i]);
		}
		at += (size_t)width;
	}
	return used;
}

/* NTFS drops trailing dots and spaces, and takes what follows a colon as the name of a stream. */
static bool ends_for_ntfs(const char *rest, size_t bytes)
{
	size_t at = 0;
	while (at < bytes && (rest[at] == ' ' || rest[at] == '.')) {
		at++;
	}
	return at == bytes || rest[at] == ':';
}

static bool is_dot_git(const char *name, size_t bytes)
{
	char start[NAME_BYTES_MAX + 1];
	size_t used = plain_start(start, sizeof(start), name, bytes);
	if (used >= 4 && memcmp(start, ".git", 4) == 0) {
		return ends_for_ntfs(start + 4, used - 4);
	}
	/* The 8.3 name of .git; the digit counts what had the same beginning before. */
	if (used < 5 || memcmp(start, "git~", 4) != 0) {
		return false;
	}
	size_t digits = 0;
	while (4 + digits < used && start[4 + digits] >= '0' && start[4 + digits] <= '9') {
		digits++;
	}
	return digits > 0 && ends_for_ntfs(start + 4 + digits, used - 4 - digits);
}

static bool has_control(const char *name, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		uint8_t c = (uint8_t)name[i];
		if (c < ' ' || c == DEL) {
			return true;
		}
		/* U+0080 to U+009F steer terminals as ESC does. */
		if (c == 0xc2 && i + 1 < bytes && (uint8_t)name[i + 1] >= C1_FIRST &&
		    (uint8_t)name[i + 1] <= C1_LAST) {
			return true;
		}
	}
	return false;
}

static enum git_rule broken_rule(const char *name, size_t bytes)
{
	if (bytes == 0) {
		return GIT_RULE_NAME_EMPTY;
	}
	if (bytes == 1 && name[0] == '.') {
		return GIT_RULE_NAME_DOT;
	}
	if (bytes == 2 && name[0] == '.' && name[1] == '.') {
		return GIT_RULE_NAME_DOT_DOT;
	}
	if (memchr(name, '/', bytes) != NULL) {
		return GIT_RULE_NAME_SLASH;
	}
	if (memchr(name, '\\', bytes) != NULL) {
		return GIT_RULE_NAME_BACKSLASH;
	}
	if (has_control(name, bytes)) {
		return GIT_RULE_NAME_CONTROL;
	}
	if (u8_check((const uint8_t *)name, bytes) != NULL) {
		return GIT_RULE_NAME_NOT_UTF8;
	}
	if (bytes > NAME_BYTES_MAX) {
		return GIT_RULE_NAME_TOO_LONG;
	}
	return is_dot_git(name, bytes) ? GIT_RULE_NAME_DOT_GIT : GIT_RULE_NONE;
}

bool git_name_check(const char *name, size_t bytes, enum git_rule *ret_rule)
{
	enum git_rule rule = broken_rule(name, bytes);
	if (rule != GIT_RULE_NONE) {
		*ret_rule = rule;
	}
	return rule == GIT_RULE_NONE;
}

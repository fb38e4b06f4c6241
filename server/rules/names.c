#include "server/rules/names.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/contract/contract.h"

static bool is_control(char c)
{
	unsigned char byte = (unsigned char)c;
	return byte < 0x20 || byte == 0x7f;
}

static const char *broken_part(const char *part, size_t size)
{
	if (size == 0) {
		return "must have no empty part: no leading, trailing or double slash";
	}
	if ((size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.')) {
		return "must have no part \".\" or \"..\"";
	}
	return NULL;
}

const char *path_broken_rule(const char *path)
{
	size_t size = strlen(path);
	if (size == 0 || size > APP_PATH_MAX_BYTES) {
		return "must have 1 to 1000 bytes";
	}
	if (strcmp(path, ".") == 0) {
		return NULL;
	}
	for (size_t i = 0; i < size; i++) {
		if (is_control(path[i])) {
			return "must have no control bytes";
		}
	}
	for (const char *part = path;;) {
		size_t part_size = strcspn(part, "/");
		const char *broken = broken_part(part, part_size);
		if (broken != NULL || part[part_size] == '\0') {
			return broken;
		}
		part += part_size + 1;
	}
}

const char *revision_broken_rule(const char *revision)
{
	size_t size = strlen(revision);
	if (size == 0 || size > REVISION_MAX_BYTES) {
		return "must have 1 to 200 bytes";
	}
	if (revision[0] == '-') {
		return "must not start with \"-\"";
	}
	for (size_t i = 0; i < size; i++) {
		if (is_control(revision[i]) || strchr(" ~^:?*[\\", revision[i]) != NULL) {
			return "must be a branch, a tag or a full commit id: no control bytes, "
			       "blanks or any of ~^:?*[\\";
		}
	}
	if (strstr(revision, "..") != NULL || strstr(revision, "@{") != NULL) {
		return "must be a branch, a tag or a full commit id: no \"..\" or \"@{\"";
	}
	return NULL;
}

const char *config_name_broken_rule(const char *name)
{
	return contract_is_name(name)
		   ? NULL
		   : "must have 1 to 50 of A-Z, a-z, 0-9 and '_', not beginning with a digit";
}

/* Appends what may stand in a name; runs of anything else become one "-". */
static size_t append_allowed(char *out, size_t size, char c)
{
	if (c >= 'A' && c <= 'Z') {
		c = (char)(c - 'A' + 'a');
	}
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
		out[size] = c;
		return size + 1;
	}
	if (size == 0 || out[size - 1] == '-') {
		return size;
	}
	out[size] = '-';
	return size + 1;
}

static size_t without_trailing_dashes(const char *text, size_t size)
{
	while (size > 0 && text[size - 1] == '-') {
		size--;
	}
	return size;
}

/* What of the text may stand in a name; `otherwise` when nothing is left. */
static void fill(char out[static NAME_MAX_BYTES + 1], const char *text, size_t bytes,
		 const char *otherwise)
{
	size_t size = 0;
	for (size_t i = 0; i < bytes && size < NAME_MAX_BYTES; i++) {
		size = append_allowed(out, size, text[i]);
	}
	size = without_trailing_dashes(out, size);
	out[size] = '\0';
	if (size == 0) {
		(void)snprintf(out, NAME_MAX_BYTES + 1, "%s", otherwise);
	}
}

void name_from_text(char out[static NAME_MAX_BYTES + 1], const char *text)
{
	fill(out, text, strlen(text), "app");
}

void name_from_url(char out[static NAME_MAX_BYTES + 1], const char *url)
{
	const char *scheme = strstr(url, "://");
	const char *path = scheme != NULL ? strchr(scheme + 3, '/') : url;
	size_t end = path != NULL ? strcspn(path, "?#") : 0;
	while (end > 0 && path[end - 1] == '/') {
		end--;
	}
	if (end > 4 && strncmp(path + end - 4, ".git", 4) == 0) {
		end -= 4;
	}
	size_t start = end;
	while (start > 0 && path[start - 1] != '/' && path[start - 1] != ':') {
		start--;
	}
	fill(out, path != NULL ? path + start : "", end - start, "repository");
}

void name_numbered(char out[static NAME_MAX_BYTES + 1], const char *base, unsigned number)
{
	char suffix[16];
	int suffix_size = snprintf(suffix, sizeof(suffix), "-%u", number);
	size_t room = NAME_MAX_BYTES - (size_t)suffix_size;
	size_t size = strnlen(base, room);
	size = without_trailing_dashes(base, size);
	(void)snprintf(out, NAME_MAX_BYTES + 1, "%.*s%s", (int)size, base, suffix);
}

/* Texts cut into literals and references. */
#include <string.h>

#include "base/template/template_internal.h"

void template_scan_begin(struct template_scan *scan, const struct template *template)
{
	*scan = (struct template_scan){.template = template, .line = 1, .blank = true};
	scan->fault = template->text.size > TEMPLATE_BYTES_MAX ? TEMPLATE_TOO_BIG : TEMPLATE_FINE;
}

static const char *here(const struct template_scan *scan)
{
	return (const char *)scan->template->text.data + scan->at;
}

static size_t left(const struct template_scan *scan)
{
	return scan->template->text.size - scan->at;
}

static bool stands(const struct template_scan *scan, const char *text)
{
	size_t size = strlen(text);
	return left(scan) >= size && memcmp(here(scan), text, size) == 0;
}

/* --- quotes -------------------------------------------------------------------------------- */

static void step_json(struct template_scan *scan, char c)
{
	if (c == '"') {
		scan->quote = scan->quote == QUOTE_NONE ? QUOTE_DOUBLE : QUOTE_NONE;
	}
}

static void step_env(struct template_scan *scan, char c)
{
	if (scan->quote == QUOTE_NONE && c == '#' && scan->blank) {
		scan->quote = QUOTE_COMMENT;
	} else if (scan->quote == QUOTE_COMMENT) {
		scan->quote = c == '\n' ? QUOTE_NONE : QUOTE_COMMENT;
	} else if (c == '"' && scan->quote != QUOTE_SINGLE) {
		scan->quote = scan->quote == QUOTE_NONE ? QUOTE_DOUBLE : QUOTE_NONE;
	} else if (c == '\'' && scan->quote != QUOTE_DOUBLE) {
		scan->quote = scan->quote == QUOTE_NONE ? QUOTE_SINGLE : QUOTE_NONE;
	}
}

/* One character of a literal; with the one behind a backslash, where that escapes it. */
static void step(struct template_scan *scan)
{
	enum template_format format = scan->template->format;
	char c = *here(scan);
	bool escapes =
	    c == '\\' && left(scan) > 1 && here(scan)[1] != '\n' &&
	    (format == TEMPLATE_JSON ? scan->quote == QUOTE_DOUBLE : scan->quote < QUOTE_SINGLE);
	if (format == TEMPLATE_JSON) {
		step_json(scan, c);
	} else if (format == TEMPLATE_ENV) {
		step_env(scan, c);
	}
	scan->line += c == '\n';
	scan->blank = c == '\n' || (scan->blank && (c == ' ' || c == '\t'));
	scan->at += format != TEMPLATE_PLAIN && escapes ? 2 : 1;
}

/* --- references ------------------------------------------------------------------------------ */

/* Cuts the first part off, at a dot or the end. */
static char *part(char **rest)
{
	char *begin = *rest, *dot = strchr(begin, '.');
	*rest = dot != NULL ? dot + 1 : begin + strlen(begin);
	if (dot != NULL) {
		*dot = '\0';
	}
	return begin;
}

static enum template_fault read_ref(struct template_scan *scan)
{
	static const char *const spaces[] = {[TEMPLATE_CONSTANT] = "constants",
					     [TEMPLATE_SECRET] = "secrets",
					     [TEMPLATE_SOURCE] = "sources"};
	char text[sizeof(scan->inside)], *rest = text;
	memcpy(text, scan->inside, sizeof(text));
	size_t space = 0, dots = 0;
	for (const char *c = text; *c != '\0'; c++) {
		dots += *c == '.';
	}
	const char *first = part(&rest);
	while (space < sizeof(spaces) / sizeof(spaces[0]) && strcmp(first, spaces[space]) != 0) {
		space++;
	}
	const char *name = part(&rest);
	bool source = space == TEMPLATE_SOURCE;
	if (space > TEMPLATE_SOURCE || dots != (source ? 2 : 1) || !contract_is_name(name) ||
	    (source && !contract_is_name(rest))) {
		return TEMPLATE_MALFORMED;
	}
	char *kept = strchr(scan->inside, '.') + 1;
	scan->ref = (struct template_ref){.space = (enum template_space)space, .name = kept};
	kept[strlen(name)] = '\0';
	scan->ref.option = source ? kept + strlen(name) + 1 : "";
	return TEMPLATE_FINE;
}

/* From the opening braces to behind the closing ones. */
static enum template_fault scan_ref(struct template_scan *scan)
{
	const char *begin = here(scan) + 2, *end = begin, *limit = here(scan) + left(scan);
	while (end + 1 < limit && *end != '\n' && (end[0] != '}' || end[1] != '}')) {
		end++;
	}
	if (end + 1 >= limit || *end != '}') {
		return TEMPLATE_UNCLOSED;
	}
	scan->at += (size_t)(end + 2 - here(scan));
	while (begin < end && (*begin == ' ' || *begin == '\t')) {
		begin++;
	}
	while (end > begin && (end[-1] == ' ' || end[-1] == '\t')) {
		end--;
	}
	size_t size = (size_t)(end - begin);
	if (size >= sizeof(scan->inside) || memchr(begin, '\0', size) != NULL) {
		return TEMPLATE_MALFORMED;
	}
	memcpy(scan->inside, begin, size);
	scan->inside[size] = '\0';
	return read_ref(scan);
}

bool template_scan_next(struct template_scan *scan)
{
	scan->literal = SL_BYTES_NONE;
	if (scan->fault != TEMPLATE_FINE || left(scan) == 0) {
		return false;
	}
	bool comment = scan->quote == QUOTE_COMMENT;
	if (!comment && stands(scan, "\\{{")) {
		scan->literal = SL_BYTES(here(scan) + 1, 2);
		scan->at += 3;
		scan->blank = false;
		return true;
	}
	if (!comment && stands(scan, "{{")) {
		scan->fault = scan_ref(scan);
		scan->blank = false;
		return scan->fault == TEMPLATE_FINE;
	}
	const char *begin = here(scan);
	do {
		step(scan);
	} while (left(scan) > 0 &&
		 (scan->quote == QUOTE_COMMENT || (!stands(scan, "{{") && !stands(scan, "\\{{"))));
	scan->literal = SL_BYTES(begin, (size_t)(here(scan) - begin));
	return true;
}

#include "base/git/tree_parse.h"

/* Git writes at most 6 digits; a leading zero is tolerated as git tolerates it. */
enum { MODE_DIGITS_MAX = 7 };

static size_t parse_mode(struct sl_bytes bytes, uint32_t *ret_mode)
{
	uint32_t mode = 0;
	size_t at = 0;
	while (at < bytes.size && at < MODE_DIGITS_MAX && bytes.data[at] >= '0' &&
	       bytes.data[at] <= '7') {
		mode = mode << 3 | (uint32_t)(bytes.data[at] - '0');
		at++;
	}
	if (at == 0 || at == bytes.size || bytes.data[at] != ' ') {
		return 0;
	}
	*ret_mode = mode;
	return at + 1;
}

enum tree_parse_result tree_parse_next(struct sl_bytes *rest, struct tree_entry *ret_entry)
{
	if (rest->size == 0) {
		return TREE_PARSE_END;
	}
	struct tree_entry entry = {0};
	size_t name_at = parse_mode(*rest, &entry.mode);
	if (name_at == 0) {
		return TREE_PARSE_MALFORMED;
	}
	const uint8_t *name = rest->data + name_at;
	const uint8_t *nul = memchr(name, '\0', rest->size - name_at);
	if (nul == NULL) {
		return TREE_PARSE_MALFORMED;
	}
	size_t id_at = (size_t)(nul - rest->data) + 1;
	if (rest->size - id_at < TREE_ID_BYTES) {
		return TREE_PARSE_MALFORMED;
	}
	entry.name = (const char *)name;
	entry.name_bytes = (size_t)(nul - name);
	entry.id = rest->data + id_at;
	*rest = SL_BYTES(rest->data + id_at + TREE_ID_BYTES, rest->size - id_at - TREE_ID_BYTES);
	*ret_entry = entry;
	return TREE_PARSE_ENTRY;
}

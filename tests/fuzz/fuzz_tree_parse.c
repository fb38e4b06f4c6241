/* Targets: tree_parse_next, git_name_check.
 * Property: whatever comes out lies inside what went in, in order and without gaps; the parser
 * ends; a name that passes git_name_check is not empty, has no '/', no backslash, no control byte,
 * and is none of ".", ".." and ".git". */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/git/git.h"
#include "base/git/tree_parse.h"

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static int is(const char *name, size_t bytes, const char *word)
{
	return bytes == strlen(word) && strncasecmp(name, word, bytes) == 0;
}

static void check_name(const char *name, size_t bytes)
{
	enum git_rule rule = GIT_RULE_NONE;
	if (!git_name_check(name, bytes, &rule)) {
		expect(rule > GIT_RULE_NONE && rule < GIT_RULE_COUNT);
		return;
	}
	expect(rule == GIT_RULE_NONE && bytes > 0 && bytes <= 255);
	expect(!is(name, bytes, ".") && !is(name, bytes, "..") && !is(name, bytes, ".git") &&
	       !is(name, bytes, "git~1"));
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)name[i];
		expect(c >= ' ' && c != 0x7f && c != '/' && c != '\\');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_bytes rest = SL_BYTES(data, size);
	struct tree_entry entry;
	const uint8_t *at = data;
	enum tree_parse_result got = tree_parse_next(&rest, &entry);
	for (; got == TREE_PARSE_ENTRY; got = tree_parse_next(&rest, &entry)) {
		expect((const uint8_t *)entry.name > at && entry.mode < 1u << 21);
		expect(entry.id == (const uint8_t *)entry.name + entry.name_bytes + 1);
		expect(entry.id + TREE_ID_BYTES == rest.data &&
		       rest.data + rest.size == data + size);
		at = rest.data;
		check_name(entry.name, entry.name_bytes);
	}
	expect(got == TREE_PARSE_MALFORMED || rest.size == 0);
	check_name((const char *)data, size);
	return 0;
}

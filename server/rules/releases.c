#include "server/rules/releases.h"

enum release_skip release_skip(const struct release_entry *entry, uint32_t released)
{
	if (entry->version == released) {
		return RELEASE_SKIP_RELEASED;
	}
	if (entry->missing) {
		return RELEASE_SKIP_MISSING;
	}
	return entry->blocked ? RELEASE_SKIP_BLOCKED : RELEASE_SKIP_NOT;
}

const char *release_skip_text(enum release_skip skip)
{
	static const char *const texts[] = {
	    [RELEASE_SKIP_NOT] = "can be gone back to",
	    [RELEASE_SKIP_MISSING] = "is gone",
	    [RELEASE_SKIP_BLOCKED] = "is blocked",
	    [RELEASE_SKIP_RELEASED] = "is released now",
	};
	return texts[skip];
}

uint32_t release_push_depth(uint32_t depth, uint32_t top, uint32_t version)
{
	return depth > 0 && top == version ? depth : depth + 1;
}

uint32_t release_pop_depth(uint32_t depth, uint32_t target_depth)
{
	return target_depth > 0 ? target_depth : depth + 1;
}

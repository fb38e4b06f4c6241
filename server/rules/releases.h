/* releases: the stack of releases of an app, and where Rollback goes.
 *
 * Release pushes, Rollback pops to its target. The top is the last one set; a
 * withdrawal clears the pointer and leaves the stack alone, so that PREVIOUS is
 * still the entry below the top and releasing the top again pushes nothing.
 *
 * A target that is in the stack is popped to: its newest entry is the top then. One
 * that was popped off before is pushed again.
 *
 * Pure: the caller reads the entries (records/release_stack.h). Any thread. */
#ifndef SL_SERVER_RULES_RELEASES_H
#define SL_SERVER_RULES_RELEASES_H

#include <stdbool.h>
#include <stdint.h>

struct release_entry {
	uint32_t depth;   /* 1 is the oldest */
	uint32_t version; /* its number */
	bool missing;     /* the version is gone */
	bool blocked;     /* a block of any mode holds */
};

/* Why PREVIOUS passes an entry by. */
enum release_skip {
	RELEASE_SKIP_NOT, /* it is where Rollback would go */
	RELEASE_SKIP_MISSING,
	RELEASE_SKIP_BLOCKED,
	RELEASE_SKIP_RELEASED, /* it is what is released: no way back from it to itself. Not
				  reported */
};

/* `released`: number of the version that is released now; 0: none. */
enum release_skip release_skip(const struct release_entry *entry, uint32_t released);
/* To follow "v2 ", "is blocked". Static. */
const char *release_skip_text(enum release_skip skip);

/* Depth after a release of `version` on a stack whose top is `top` (depth 0: it is
 * empty): one more, but for the top itself, which is not pushed again. */
uint32_t release_push_depth(uint32_t depth, uint32_t top, uint32_t version);

/* Depth after a rollback to a target whose newest entry lies at `target_depth`; 0: it is not in the
 * stack. */
uint32_t release_pop_depth(uint32_t depth, uint32_t target_depth);

#endif

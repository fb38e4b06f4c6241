/* tree_parse: reads the raw bytes of a Git tree object, entry by entry.
 *
 * libgit2's own parser refuses or normalises some trees by itself; here every
 * byte is seen as it is stored, so that each rule of a bundle is ours. Pure:
 * no allocation, no state but the cursor; safe on any bytes. */
#ifndef SL_BASE_GIT_TREE_PARSE_H
#define SL_BASE_GIT_TREE_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"

#define TREE_ID_BYTES 20 /* SHA-1 */

struct tree_entry {
	uint32_t mode;     /* as stored: 0100644, 040000, ... */
	const char *name;  /* points into the object */
	size_t name_bytes; /* may be 0 */
	const uint8_t *id; /* TREE_ID_BYTES, points into the object */
};

enum tree_parse_result {
	TREE_PARSE_ENTRY,     /* *ret_entry is filled */
	TREE_PARSE_END,       /* all bytes are used up */
	TREE_PARSE_MALFORMED, /* *rest stays where it is */
};

/* Takes the next entry off *rest, the object's bytes that are still to be read. */
enum tree_parse_result tree_parse_next(struct sl_bytes *rest, struct tree_entry *ret_entry);

#endif

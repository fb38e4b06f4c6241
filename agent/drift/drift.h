/* drift: a cheap look at whether somebody has touched a folder.
 *
 * A print is a hash over what stat(2) says of every entry: name, kind, mode, owner, size, inode,
 * device, and when content and inode were last changed. No content is read. The same print means
 * that nothing was touched, as far as the clock's ticks tell changes apart; another one only that
 * it is worth comparing the content (GIT_VERIFY). A reboot or a copy may change it.
 *
 * A scan takes a few entries a step, so that large folders hold nobody up. Threads: one. */
#ifndef SL_AGENT_DRIFT_H
#define SL_AGENT_DRIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"

enum { DRIFT_PRINT_BYTES = 32 };

struct drift_scan;

/* `folder` is an absolute path. SL_RESOURCE_EXHAUSTED: out of memory. */
SL_MUST_USE sl_code drift_scan_new(const char *folder, struct drift_scan **ret_scan,
				   struct sl_err *err);
/* Looks at `budget` more entries. True: it is over, and *ret_print says what was found; all zero
 * when there is no folder, or not all of it can be read. */
bool drift_scan_step(struct drift_scan *scan, unsigned budget,
		     uint8_t ret_print[static DRIFT_PRINT_BYTES]);
void drift_scan_free(struct drift_scan *scan); /* NULL is fine */

#endif

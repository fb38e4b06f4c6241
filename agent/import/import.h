/* import: a bundle file, carried here, becomes a version on the instance's disk.
 *
 * For a stopped agent: it holds the folder's lock meanwhile. All goes the way of a pull (unpacked
 * into the mirror, checked by every rule, written to staging, placed by one rename), then into the
 * state: under the app and version that the last manifest names with this digest; else without
 * their ids, as what was found on disk, since only a manifest says what is what. */
#ifndef SL_AGENT_IMPORT_H
#define SL_AGENT_IMPORT_H

#include <stdio.h>

#include "agent/config/config.h"
#include "base/err/err.h"

/* Says on `out` what became of it. SL_INVALID_ARGUMENT, SL_FAILED_PRECONDITION: the file, or an
 * agent that runs; SL_RESOURCE_EXHAUSTED: the disk; else SL_INTERNAL. Nothing is left but what is
 * whole. Blocks. */
SL_MUST_USE sl_code import_bundle(const struct agent_config *config, const char *file, FILE *out,
				  struct sl_err *err);

#endif

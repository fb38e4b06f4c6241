/* verify: is a store sound? Everything is read and everything that refers to something is followed.
 */
#ifndef SL_SERVER_VERIFY_H
#define SL_SERVER_VERIFY_H

#include <stdio.h>

#include "server/records/records.h"

/* Opens the store at `path` read-only (no server may have it open) and prints to
 * `out` the revision that it is at, then the first 50 faults, one a line: table,
 * key, what is wrong.
 * SL_OK also with faults; *ret_faults counts them all. */
SL_MUST_USE sl_code records_verify(const char *path, FILE *out, uint64_t *ret_checked,
				   uint64_t *ret_faults, struct sl_err *err);

#endif

/* export: all key files in one: a tar archive with keys/NAME, which `tar -xpf` puts back. */
#ifndef SL_SERVER_CA_EXPORT_H
#define SL_SERVER_CA_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err/err.h"

/* Makes `file` (0600), which must not be there yet, of all files in DIR/keys. Whole or not at
 * all. SL_NOT_FOUND: there are no keys. */
SL_MUST_USE sl_code ca_export(const char *data, const char *file, uint64_t now_ms,
			      size_t *ret_count, struct sl_err *err);

#endif

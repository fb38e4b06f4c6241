/* folder: DIR/keys, where the server's keys lie: 0700, files 0600, the server's own user's.
 *
 * Whoever else could read or change one would be the server: so what others may
 * reach is refused, not mended. No threads. */
#ifndef SL_SERVER_CA_FOLDER_H
#define SL_SERVER_CA_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"

enum { CA_FILE_MAX = 64 << 10 };

#define CA_FOLDER "keys"

/* Opens DIR/keys. SL_NOT_FOUND: there is none; SL_FAILED_PRECONDITION: others may reach it. The
 * caller closes *ret_fd. */
SL_MUST_USE sl_code ca_folder_open(const char *data, int *ret_fd, struct sl_err *err);

/* The whole file as a secret text (base/crypto/secret.h), with a NUL behind its bytes.
 * SL_NOT_FOUND; SL_FAILED_PRECONDITION: others may reach it, it is no file or too long. The caller
 * gives it back. */
SL_MUST_USE sl_code ca_file_read(int folder, const char *name, char **ret_text, size_t *ret_size,
				 struct sl_err *err);

/* Makes a file that is not there yet, durably. */
SL_MUST_USE sl_code ca_file_write(int folder, const char *name, struct sl_bytes content,
				  struct sl_err *err);
/* Puts a file in the place of another in one step, durably. */
SL_MUST_USE sl_code ca_file_replace(int folder, const char *name, struct sl_bytes content,
				    struct sl_err *err);

/* What a file looks like from outside: another one when it has been replaced or written. */
struct ca_stamp {
	uint64_t inode, size, changed_ns;
};
struct ca_stamp ca_file_stamp(int folder, const char *name); /* zeros: not there */
bool ca_stamp_equal(struct ca_stamp a, struct ca_stamp b);

#endif

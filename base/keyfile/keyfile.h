/* keyfile: small files that hold keys: read with care, replaced as a whole.
 *
 * A secret is a file of its reader's user that nobody else may open; what is
 * read lies in locked memory. Links are not followed. Threads: any. */
#ifndef SL_BASE_KEYFILE_H
#define SL_BASE_KEYFILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err/err.h"

enum { KEYFILE_MAX = 1 << 20 }; /* bytes of a file */

enum keyfile_kind {
	KEYFILE_SECRET, /* mode 0600 or less, own user */
	KEYFILE_PUBLIC, /* not writable by others */
};

/* SL_FAILED_PRECONDITION: no folder of this user that nobody else may enter. */
SL_MUST_USE sl_code keyfile_check_folder(const char *dir, struct sl_err *err);

/* The text of DIR/NAME with a NUL; sl_secret_free() it. SL_NOT_FOUND: there is none.
 * SL_FAILED_PRECONDITION names the rule that the file breaks. */
SL_MUST_USE sl_code keyfile_read(const char *dir, const char *name, enum keyfile_kind kind,
				 char **ret_text, struct sl_err *err);
/* The same of a path as people give it. */
SL_MUST_USE sl_code keyfile_read_path(const char *path, enum keyfile_kind kind, char **ret_text,
				      struct sl_err *err);

/* Writes aside, syncs, renames, syncs the folder: a crash leaves the old file or the new one. Mode
 * 0600 for secrets, else 0644. */
SL_MUST_USE sl_code keyfile_replace(const char *dir, const char *name, enum keyfile_kind kind,
				    const char *text, struct sl_err *err);
/* The same for one that must not be there yet: SL_ALREADY_EXISTS. */
SL_MUST_USE sl_code keyfile_create(const char *dir, const char *name, enum keyfile_kind kind,
				   const char *text, struct sl_err *err);
/* The same of a path as people give it. */
SL_MUST_USE sl_code keyfile_create_path(const char *path, enum keyfile_kind kind, const char *text,
					struct sl_err *err);
/* Renames within the folder, for good. */
SL_MUST_USE sl_code keyfile_rename(const char *dir, const char *from, const char *to,
				   struct sl_err *err);

/* A key's text (base/crypto/keytext.h) of exactly `size` bytes. */
SL_MUST_USE sl_code keyfile_read_key(const char *dir, const char *name, enum keyfile_kind file_kind,
				     const char *key_kind, uint8_t *out, size_t size,
				     struct sl_err *err);

#endif

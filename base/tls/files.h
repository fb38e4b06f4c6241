/* files: the three PEM files that a client needs: whom it trusts, and who it is. */
#ifndef SL_BASE_TLS_FILES_H
#define SL_BASE_TLS_FILES_H

#include "base/err/err.h"

/* {0} holds nothing. */
struct tls_files {
	char *ca, *cert,
	    *key; /* PEM; owned, secret texts (base/crypto/secret.h); NULL: not given */
};

/* Reads what has a path ("" or NULL: none); what fits together is for who uses it to say.
 * SL_INVALID_ARGUMENT names the file: it cannot be read or is too long, or others may read a key.
 */
SL_MUST_USE sl_code tls_files_read(const char *ca_path, const char *cert_path, const char *key_path,
				   struct tls_files *ret_files, struct sl_err *err);
void tls_files_fini(struct tls_files *files);

#endif

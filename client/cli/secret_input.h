/* secret_input: what must not be seen: from a file, from standard input, or typed without echo.
 * Threads: one; catches signals while somebody types. */
#ifndef SL_CLIENT_CLI_SECRET_INPUT_H
#define SL_CLIENT_CLI_SECRET_INPUT_H

#include "base/err/err.h"

enum { SECRET_INPUT_MAX = 64 << 10 };

/* path: a file; "-", "" or NULL: standard input, and if that is a terminal one line of it, after
 * `prompt`. White space around it is cut off. A secret text (base/crypto/secret.h), the caller's.
 * SL_INVALID_ARGUMENT: it cannot be read, is too long or has a NUL; SL_CANCELLED: a signal came
 * instead. */
SL_MUST_USE sl_code secret_input(const char *path, const char *prompt, char **ret_text,
				 struct sl_err *err);
/* The same of a value, of which nothing is cut off but the last line end. */
SL_MUST_USE sl_code secret_input_value(const char *path, const char *prompt, char **ret_text,
				       struct sl_err *err);

#endif

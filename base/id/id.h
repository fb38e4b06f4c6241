/* id: names that nobody chooses: `app_`, `ver_`, `ins_`, `rep_`, `req_` and 20 characters [a-z2-7]
 * (100 random bits). */
#ifndef SL_BASE_ID_H
#define SL_BASE_ID_H

#include <stdbool.h>

#define SL_ID_SIZE 25 /* "app_" + 20 + NUL */

struct sl_id {
	char text[SL_ID_SIZE];
};

/* `prefix` is three letters: "app". Any thread; cannot fail after sl_crypto_init(). */
struct sl_id sl_id_new(const char prefix[static 3]);

/* True if text has the form of an id with this prefix. */
bool sl_id_is(const char *text, const char prefix[static 3]);

#endif

/* die: how the bench ends when it cannot go on. */
#ifndef SL_BENCH_DIE_H
#define SL_BENCH_DIE_H

#include "base/err/err.h"

/* Says why on stderr and exits with 3; the servers are ended. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The pointer; dies when it is NULL. */
void *need(void *pointer);
/* Dies unless code is SL_OK: "doing: message". */
void need_ok(sl_code code, const struct sl_err *err, const char *doing);

#endif

/* What the commands of `sluice audit` share. */
#ifndef SL_CLIENT_AUDIT_VERIFY_H
#define SL_CLIENT_AUDIT_VERIFY_H

#include "client/cli/audit_file.h"

/* For struct audit_file: ctx is the struct cli. */
void audit_say_fault(void *ctx, uint64_t sequence, const char *what);
/* Returns the exit code. */
struct cli;
int audit_say_result(const struct cli *cli, uint64_t checked, uint64_t faults, uint64_t last);

#endif

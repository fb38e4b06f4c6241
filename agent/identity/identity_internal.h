/* Shared by the files of agent/identity. */
#ifndef SL_AGENT_IDENTITY_INTERNAL_H
#define SL_AGENT_IDENTITY_INTERNAL_H

#include "agent/identity/identity.h"

SL_MUST_USE sl_code identity_save(const char *dir, const struct identity *identity,
				  struct sl_err *err);
/* Reads the certificate's dates, and that key, CA and certificate fit. */
SL_MUST_USE sl_code identity_check(struct identity *identity, struct sl_err *err);
struct identity *identity_new(void);

#endif

/* logins: what is told of a repository's credentials; they themselves are sealed (server/vault). */
#ifndef SL_SERVER_RECORDS_LOGINS_H
#define SL_SERVER_RECORDS_LOGINS_H

#include "server/records/records.h"
#include "server/records/sealed.h"

enum login_slot { LOGIN_PUSH, LOGIN_PULL, LOGIN_NEXT_PUSH, LOGIN_NEXT_PULL, LOGIN_SLOTS };

const char *login_slot_name(enum login_slot slot); /* "push", "next-pull"; static */
/* Where the record keeps it. */
Sluice__Store__V1__LoginRecord **login_at(Sluice__Store__V1__RepositoryRecord *repository,
					  enum login_slot slot);
/* By the slot's name; NULL: none. */
const Sluice__Store__V1__LoginRecord *login_by_name(Sluice__Store__V1__RepositoryRecord *repository,
						    const char *name);
/* What agents are told of it changes with this; 0: they need nothing. */
uint64_t login_revision(const Sluice__Store__V1__RepositoryRecord *repository);

#endif

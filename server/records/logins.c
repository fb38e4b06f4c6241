#include "server/records/logins.h"

#include <string.h>

static const char *const names[LOGIN_SLOTS] = {
    [LOGIN_PUSH] = "push",
    [LOGIN_PULL] = "pull",
    [LOGIN_NEXT_PUSH] = "next-push",
    [LOGIN_NEXT_PULL] = "next-pull",
};

const char *login_slot_name(enum login_slot slot)
{
	return names[slot];
}

Sluice__Store__V1__LoginRecord **login_at(Sluice__Store__V1__RepositoryRecord *repository,
					  enum login_slot slot)
{
	Sluice__Store__V1__LoginRecord **const all[LOGIN_SLOTS] = {
	    [LOGIN_PUSH] = &repository->push,
	    [LOGIN_PULL] = &repository->pull,
	    [LOGIN_NEXT_PUSH] = &repository->next_push,
	    [LOGIN_NEXT_PULL] = &repository->next_pull,
	};
	return all[slot];
}

const Sluice__Store__V1__LoginRecord *login_by_name(Sluice__Store__V1__RepositoryRecord *repository,
						    const char *name)
{
	for (int slot = 0; slot < LOGIN_SLOTS; slot++) {
		if (strcmp(name, names[slot]) == 0) {
			return *login_at(repository, (enum login_slot)slot);
		}
	}
	return NULL;
}

uint64_t login_revision(const Sluice__Store__V1__RepositoryRecord *repository)
{
	bool needed = repository->pull != NULL || repository->host_keys[0] != '\0' ||
		      repository->ca_pem[0] != '\0';
	return needed ? repository->login_revision : 0;
}

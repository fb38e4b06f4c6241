/* repositories: the commands that change repositories. Called inside decisions; see versions.h for
 * what that means. */
#ifndef SL_SERVER_RECORDS_REPOSITORIES_H
#define SL_SERVER_RECORDS_REPOSITORIES_H

#include "server/records/records.h"

/* Texts are checked before and borrowed as long as the arena. */
struct repository_new {
	const char *name, *url, *branch;
	Sluice__V1__PublishMode publish; /* UNSPECIFIED: TAGS */
	Sluice__V1__CommitMode commits;  /* UNSPECIFIED: AUTOMATIC where tags are published */
	/* Fills what it has besides, before it is put; NULL: nothing. */
	sl_code (*complete)(void *ctx, struct decision *d,
			    Sluice__Store__V1__RepositoryRecord *repository, struct sl_err *err);
	void *ctx;
};
/* SL_ALREADY_EXISTS / NAME_TAKEN. */
SL_MUST_USE sl_code repositories_decide_create(struct decision *d,
					       const struct repository_new *new_repository,
					       Sluice__Store__V1__RepositoryRecord **ret_repository,
					       struct sl_err *err);

/* As part of CreateApp: the repository with exactly this URL (of several the oldest), else a new
 * one that is named after the URL's last part. */
SL_MUST_USE sl_code repository_find_or_make_in(struct decision *d, const char *url,
					       Sluice__Store__V1__RepositoryRecord **ret_repository,
					       struct sl_err *err);

/* Everything owed to the repository's host is due at once: contents that failed since it was
 * unreachable are RESOLVING again, parked tags are OWED again. Counts what is owed. */
SL_MUST_USE sl_code repositories_decide_refresh(
    struct decision *d, const Sluice__Store__V1__RepositoryRecord *repository,
    uint32_t *ret_resolving, uint32_t *ret_publishing, struct sl_err *err);

/* The tag of this row is due at once. */
SL_MUST_USE sl_code repositories_publish_now(struct decision *d,
					     Sluice__Store__V1__OwedRecord *owed,
					     struct sl_err *err);
/* Puts a changed record, at this revision, with its event. */
void repositories_put(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository);

/* SL_FAILED_PRECONDITION / REPOSITORY_IN_USE names an app. */
SL_MUST_USE sl_code repositories_decide_delete(
    struct decision *d, const Sluice__Store__V1__RepositoryRecord *repository, struct sl_err *err);

#endif

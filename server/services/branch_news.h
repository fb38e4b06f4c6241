/* branch_news: commits of an app's branch that belong to no version yet, and lists of commits. */
#ifndef SL_SERVER_SERVICES_BRANCH_NEWS_H
#define SL_SERVER_SERVICES_BRANCH_NEWS_H

#include "base/git/git.h"
#include "server/services/service.h"
#include "sluice/v1/app.pb-c.h"

/* What gitsync has found for the app goes into its message. */
void branch_news_add(const struct service_read *read, const Sluice__Store__V1__AppRecord *app,
		     Sluice__V1__App *message);

SL_MUST_USE sl_code branch_news_check(const void *message, struct sl_err *err);
void branch_news_start(struct service_call *call, const void *request);

/* The result's log as messages, in the arena. */
SL_MUST_USE sl_code branch_news_commits(struct sl_arena *arena, const struct git_result *result,
					Sluice__V1__CommitInfo ***ret_commits, size_t *ret_count,
					struct sl_err *err);

#endif

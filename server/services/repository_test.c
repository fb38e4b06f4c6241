/* TestRepository: which of reach, host, login, read, branch and write works.
 *
 *   queue thread:      find the repository on a snapshot, ask gitsync
 *   gitsync's thread:  turn its results into steps */
#include <string.h>

#include "base/mem/own.h"
#include "server/gitsync/gitsync.h"
#include "server/services/noun_checks.h"
#include "server/services/repository_logins.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

#define OK SLUICE__V1__REPOSITORY_CHECK_STATE__REPOSITORY_CHECK_STATE_OK
#define FAILED SLUICE__V1__REPOSITORY_CHECK_STATE__REPOSITORY_CHECK_STATE_FAILED
#define SKIPPED SLUICE__V1__REPOSITORY_CHECK_STATE__REPOSITORY_CHECK_STATE_SKIPPED

/* In the order in which they are passed. */
enum step { REACH, HOST, LOGIN, READ, BRANCH, WRITE, STEPS };
static const char *const step_names[STEPS] = {"reach", "host", "login", "read", "branch", "write"};

/* The step that a failure is about; one that is not here is about reading, or about writing. */
static const struct {
	enum git_failure failure;
	enum step step;
} failed_steps[] = {
    {GIT_REPOSITORY_UNREACHABLE, REACH}, {GIT_REPOSITORY_MOVED, REACH},
    {GIT_HOST_KEY_UNKNOWN, HOST},        {GIT_HOST_KEY_CHANGED, HOST},
    {GIT_CERTIFICATE_REFUSED, HOST},     {GIT_LOGIN_REFUSED, LOGIN},
    {GIT_REPOSITORY_EMPTY, BRANCH},      {GIT_BRANCH_NOT_FOUND, BRANCH},
};

sl_code repository_test_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__TestRepositoryRequest *request = message;
	return check_reference("repository", request->repository, err);
}

static enum step failed_step(enum git_failure failure)
{
	for (size_t i = 0; i < SL_COUNT(failed_steps); i++) {
		if (failed_steps[i].failure == failure) {
			return failed_steps[i].step;
		}
	}
	return READ;
}

static void set(Sluice__V1__RepositoryCheck *check, struct sl_arena *arena,
		const struct git_result *result)
{
	if (result->failure == GIT_OK) {
		check->state = OK;
		return;
	}
	check->state = FAILED;
	check->failure = (char *)git_failure_name(result->failure);
	check->text = sl_arena_strdup(arena, result->text);
}

static void fill(struct sl_arena *arena, Sluice__V1__TestRepositoryResponse *response,
		 const struct git_result *read, const struct git_result *write)
{
	enum step failed = read->failure == GIT_OK ? WRITE : failed_step(read->failure);
	for (enum step step = REACH; step < WRITE; step++) {
		response->checks[step]->state = step < failed ? OK : SKIPPED;
	}
	if (read->failure != GIT_OK) {
		set(response->checks[failed], arena, read);
	}
	response->checks[WRITE]->state = SKIPPED;
	if (write != NULL && (failed == WRITE || failed == BRANCH)) {
		set(response->checks[WRITE], arena, write);
	}
	response->ok = true;
	for (size_t i = 0; i < STEPS; i++) {
		response->ok = response->ok && response->checks[i]->state != FAILED;
	}
}

static void done(void *ctx, const struct git_result *read, const struct git_result *write)
{
	struct service_call *call = ctx;
	struct sl_arena *arena = service_call_arena(call);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__TestRepositoryResponse response = SLUICE__V1__TEST_REPOSITORY_RESPONSE__INIT;
	response.checks = SL_ARENA_ARRAY(arena, Sluice__V1__RepositoryCheck *, STEPS);
	for (size_t i = 0; response.checks != NULL && i < STEPS; i++) {
		Sluice__V1__RepositoryCheck *check =
		    SL_ARENA_NEW(arena, Sluice__V1__RepositoryCheck);
		if (check == NULL) {
			break;
		}
		sluice__v1__repository_check__init(check);
		check->name = (char *)step_names[i];
		response.checks[response.n_checks++] = check;
	}
	sl_code code = response.n_checks == STEPS ? SL_OK : sl_err_no_memory(&err);
	if (code == SL_OK) {
		fill(arena, &response, read, write);
	}
	service_call_finish(call, code, &err, &response.base);
}

static sl_code find(struct service_call *call, const char *name,
		    Sluice__Store__V1__RepositoryRecord **ret_repository, struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(service_call_services(call)->store, &view, err);
	return code != SL_OK
		   ? code
		   : repository_find(view, service_call_arena(call), service_call_workspace(call),
				     name, ret_repository, err);
}

void repository_test_start(struct service_call *call, const void *message)
{
	const Sluice__V1__TestRepositoryRequest *request = message;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	sl_code code = find(call, request->repository, &repository, &err);
	if (code != SL_OK) {
		service_call_finish(call, code, &err, NULL);
		return;
	}
	gitsync_try(
	    service_call_services(call)->gitsync,
	    &(struct gitsync_try_request){
		.repository_id = repository->id, .next = request->next, .done = done, .ctx = call});
}

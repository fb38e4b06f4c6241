/* Orders to push: the working copy of a draft becomes one commit on its repository's branch. An
 * order is told on each stream until it is answered; a commit of an earlier try, also one that a
 * crash cut short, is found by its trailer. Nothing is pushed once the order's time is over: then
 * the server looks by itself what is there. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"

enum { RETRY_FIRST_MS = 1000, RETRY_MAX_MS = 30000, RETRY_JITTER_PERCENT = 20 };
enum { CONFLICTS_MAX = 20, SHORTEST_MS = 1000 };

static uint64_t time_left_ms(const struct loop *loop, const Sluice__V1__AgentPush *order)
{
	uint64_t until = manifest_time_ms(order->expires_at);
	/* As late as it can be at the server. */
	uint64_t now = loop_now_unix_ms(loop) + loop->time_slack_ms;
	return until > now ? until - now : 0;
}

/* --- answering ------------------------------------------------------------------------------ */

static bool copy_text(char **to, const char *from)
{
	*to = strdup(from);
	return *to != NULL;
}

static bool add_conflicts(Sluice__V1__AgentPushed *answer, const struct git_result *result)
{
	size_t count = result->log_count < CONFLICTS_MAX ? result->log_count : CONFLICTS_MAX;
	answer->conflicts = calloc(count + 1, sizeof(*answer->conflicts));
	for (size_t i = 0; answer->conflicts != NULL && i < count; i++) {
		const struct git_log_entry *from = &result->log[i];
		Sluice__V1__CommitInfo *to = calloc(1, sizeof(*to));
		Google__Protobuf__Timestamp *at = calloc(1, sizeof(*at));
		if (to == NULL || at == NULL) {
			free(to);
			free(at);
			return false;
		}
		sluice__v1__commit_info__init(to);
		google__protobuf__timestamp__init(at);
		at->seconds = (int64_t)from->unix_s;
		to->at = at;
		to->files = from->files;
		answer->conflicts[answer->n_conflicts++] = to;
		if (!copy_text(&to->commit, from->commit) ||
		    !copy_text(&to->author, from->author) ||
		    !copy_text(&to->message, from->subject)) {
			return false;
		}
	}
	return answer->conflicts != NULL;
}

/* Without memory there is no answer: the server looks by itself. */
static void answer(struct loop *loop, struct run *run, const struct git_result *result)
{
	struct draft *draft = &run->draft;
	Sluice__V1__AgentPushed *to = calloc(1, sizeof(*to));
	bool fine = result->failure == GIT_OK;
	if (to == NULL) {
		return;
	}
	sluice__v1__agent_pushed__init(to);
	draft->answer = to;
	draft->answer_due =
	    copy_text(&to->operation, draft->order->operation) &&
	    copy_text(&to->app_id, run->app->id) &&
	    copy_text(&to->failure, fine ? "" : git_failure_name(result->failure)) &&
	    copy_text(&to->text, result->text) &&
	    copy_text(&to->rule,
		      result->rule == GIT_RULE_NONE ? "" : git_rule_name(result->rule)) &&
	    copy_text(&to->commit, fine ? result->commit : "") && add_conflicts(to, result);
	log_info("pushed", "app=%s operation=%s result=%s commit=%s text=%s", run->app->slug,
		 to->operation, fine ? "OK" : git_failure_name(result->failure), result->commit,
		 SL_QUOTE(result->text));
	loop_wake_at(loop, 1);
}

static void refuse(struct loop *loop, struct run *run, enum git_failure failure, const char *text)
{
	struct git_result result = {.failure = failure};
	state_error_text(result.text, text);
	answer(loop, run, &result);
}

bool pushes_tell(struct loop *loop, struct run *run)
{
	struct draft *draft = &run->draft;
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	if (!draft->answer_due) {
		return true;
	}
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_PUSHED;
	request.pushed = draft->answer;
	draft->answer_due = !session_send(loop->session, &request);
	return !draft->answer_due;
}

/* --- orders ----------------------------------------------------------------------------------- */

static Sluice__V1__AgentPush *dup(const Sluice__V1__AgentPush *order)
{
	size_t size = sluice__v1__agent_push__get_packed_size(order);
	SL_AUTO(sl_free_auto) uint8_t *bytes = malloc(size + 1);
	if (bytes == NULL) {
		return NULL;
	}
	(void)sluice__v1__agent_push__pack(order, bytes);
	return sluice__v1__agent_push__unpack(NULL, size, bytes);
}

static void take_login(struct loop *loop, struct run *run, const Sluice__V1__AgentPush *order)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__AgentLogin login = SLUICE__V1__AGENT_LOGIN__INIT;
	login.repository_id = order->repository_id;
	login.revision = 1;
	login.box = order->login;
	sl_code code =
	    loop->identity == NULL
		? sl_err_set(&err, SL_FAILED_PRECONDITION, "the agent has no key: it did not enrol")
		: logins_take(&run->draft.login, loop->identity->box_secret, &login, &err);
	if (code != SL_OK) {
		log_warn("login-refused", "repository=%.32s why=%s", order->repository_id,
			 SL_QUOTE(err.msg));
	}
}

void pushes_order(struct loop *loop, const Sluice__V1__AgentPush *order)
{
	struct run *run = NULL;
	for (size_t i = 0; i < loop->run_count; i++) {
		run = strcmp(loop->runs[i]->app->id, order->app_id) == 0 ? loop->runs[i] : run;
	}
	if (run == NULL) {
		log_warn("push-unknown", "app=%.32s operation=%.32s", order->app_id,
			 order->operation);
		return; /* the server looks by itself */
	}
	struct draft *draft = &run->draft;
	if (draft->order != NULL && strcmp(draft->order->operation, order->operation) == 0) {
		draft->answer_due = draft->answer != NULL;
		return;
	}
	draft_fini(draft);
	draft->answer_due = false;
	draft->push_at_ms = draft->failed = 0;
	draft->order = dup(order);
	if (draft->order != NULL && order->login.len > 0) {
		take_login(loop, run, order);
	}
	log_info("push", "app=%s operation=%.40s", run->app->slug, order->operation);
	loop_wake_at(loop, 1);
}

/* --- the push --- */

/* "": it can be pushed. */
static const char *why_not(const struct loop *loop, const struct run *run)
{
	const struct state_work *work = &run->app->work;
	if (strcmp(work->version_id, run->draft.order->version_id) != 0 ||
	    !activate_has_work(loop->dir, run->app->slug)) {
		return "the instance has no working copy of this version";
	}
	if (work->commit[0] == '\0' || work->tree[0] == '\0') {
		return "nobody knows what the working copy was made from: reset it";
	}
	/* An order is not signed; what the copy came from was. */
	return strcmp(work->repository_id, run->draft.order->repository_id) == 0 &&
		       strcmp(work->url, run->draft.order->url) == 0
		   ? ""
		   : "the working copy is of another repository than the order's";
}

static void fill(struct git_job *job, const struct run *run)
{
	const Sluice__V1__AgentPush *order = run->draft.order;
	job->url = order->url;
	job->ref = order->branch;
	job->commit = order->tip;
	job->path = order->path;
	job->record_path = order->record_path;
	job->record = order->record;
	job->author = order->author;
	job->operation = order->operation;
	job->message = order->message;
	job->unix_s = order->at_s;
	job->onto = order->onto;
	job->other_commit = run->app->work.commit;
}

static sl_code start(struct loop *loop, struct run *run, uint64_t left_ms, struct sl_err *err)
{
	const struct agent_config *config = loop->config;
	const Sluice__V1__AgentPush *order = run->draft.order;
	char mirror[ACTIVATE_PATH_SIZE], folder[ACTIVATE_PATH_SIZE];
	activate_mirror_path(loop->dir, order->repository_id, mirror);
	activate_work_path(loop->dir, run->app->slug, folder);
	git_mirror_sweep(mirror); /* no other job runs */
	uint64_t deadline = left_ms < config->git_deadline_ms ? left_ms : config->git_deadline_ms;
	struct git_job job = {
	    .op = GIT_COMMIT,
	    .mirror = mirror,
	    .folder = folder,
	    .allow_local = config->allow_local,
	    .limits = agent_config_limits(config),
	    .deadline_ms = (unsigned)deadline,
	};
	fill(&job, run);
	sl_code code = order->login.len == 0 ? SL_OK
					     : logins_find(&run->draft.login, order->repository_id,
							   1, &job.login, err);
	return code != SL_OK ? code : git_worker_start(&job, &loop->task.worker, err);
}

bool pushes_begin(struct loop *loop, struct run *run)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct draft *draft = &run->draft;
	uint64_t left = 0;
	if (draft->order == NULL || draft->answer != NULL ||
	    (left = time_left_ms(loop, draft->order)) < SHORTEST_MS) {
		return false;
	}
	if (sl_clock_mono_ms() < draft->push_at_ms) {
		loop_wake_at(loop, draft->push_at_ms);
		return false;
	}
	const char *why = why_not(loop, run);
	if (why[0] != '\0') {
		refuse(loop, run, GIT_PATH_NOT_FOUND, why);
		return false;
	}
	if (start(loop, run, left, &err) != SL_OK) {
		refuse(loop, run, GIT_PUSH_REFUSED, err.msg);
		return false;
	}
	loop->task.kind = DRAFT_PUSH;
	(void)state_text(loop->task.app_id, sizeof(loop->task.app_id), run->app->id);
	return true;
}

/* What the copy is from now on. What others changed beside it is not in it: then it was made from
 * what it was before, until it follows the draft. */
static void note_pushed(struct loop *loop, struct run *run, const struct git_result *result)
{
	struct state_work *work = &run->app->work;
	(void)state_text(work->tree, sizeof(work->tree), result->given);
	if (strcmp(result->given, result->tree) == 0) {
		(void)state_text(work->commit, sizeof(work->commit), result->commit);
	}
	run->draft.look_at_ms = 0;
	run->draft.looked = false;
	loop->dirty = true;
}

static bool is_worth_a_retry(enum git_failure failure)
{
	return git_failure_is_transient(failure) || failure == GIT_WORKER_FAILED ||
	       failure == GIT_DISK_FULL || failure == GIT_MIRROR_CORRUPT;
}

void pushes_end(struct loop *loop, struct run *run, const struct git_result *result)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct draft *draft = &run->draft;
	if (draft->order == NULL) {
		return;
	}
	if (result->failure == GIT_MIRROR_CORRUPT &&
	    activate_discard_mirror(loop->dir, draft->order->repository_id, &err) != SL_OK) {
		log_warn("mirror-stays", "why=%s", SL_QUOTE(err.msg));
	}
	if (!is_worth_a_retry(result->failure)) {
		if (result->failure == GIT_OK) {
			note_pushed(loop, run, result);
		}
		answer(loop, run, result);
		return;
	}
	draft->failed++;
	draft->push_at_ms =
	    sl_clock_mono_ms() + reconcile_backoff_ms(draft->failed, RETRY_FIRST_MS, RETRY_MAX_MS,
						      RETRY_JITTER_PERCENT, loop_random());
	log_warn("push-failed", "app=%s operation=%s left_ms=%" PRIu64 " why=%s", run->app->slug,
		 draft->order->operation, time_left_ms(loop, draft->order), SL_QUOTE(result->text));
}

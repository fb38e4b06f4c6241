#include "base/git/work_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock/clock.h"
#include "base/git/text_internal.h"
#include "base/spawn/spawn.h"

enum { TELL_EVERY_MS = 100 };

static void note(struct work *work, enum git_failure failure, enum git_rule rule, const char *fmt,
		 va_list args)
{
	char text[1024]; /* longer than the result's, so that cleaning cuts at a whole character */
	(void)vsnprintf(text, sizeof(text), fmt, args);
	work->result->failure = failure;
	work->result->rule = rule;
	text_clean(work->result->text, sizeof(work->result->text), text, strlen(text));
}

enum git_failure work_fail(struct work *work, enum git_failure failure, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	note(work, failure, GIT_RULE_NONE, fmt, args);
	va_end(args);
	return failure;
}

enum git_failure work_break(struct work *work, enum git_failure failure, enum git_rule rule,
			    const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	note(work, failure, rule, fmt, args);
	va_end(args);
	return failure;
}

void work_forgive(struct work *work)
{
	work->result->failure = GIT_OK;
	work->result->rule = GIT_RULE_NONE;
	work->result->text[0] = '\0';
}

enum git_failure work_fail_errno(struct work *work, const char *doing, const char *name)
{
	int why = errno;
	bool full = why == ENOSPC || why == EDQUOT;
	return work_fail(work, full ? GIT_DISK_FULL : GIT_WORKER_FAILED, "%s '%s': %s", doing, name,
			 strerror(why));
}

bool work_send(struct work *work)
{
	ssize_t sent = -1;
	do {
		sent = send(SPAWN_FD, work->record.data, work->record.size, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent >= 0;
}

void work_tell(struct work *work)
{
	uint64_t now = sl_clock_mono_ms();
	if (now - work->told_mono_ms < TELL_EVERY_MS) {
		return;
	}
	work->told_mono_ms = now;
	protocol_put_progress(&work->record, &work->progress);
	(void)send(SPAWN_FD, work->record.data, work->record.size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static enum git_failure do_inspect(struct work *work)
{
	return inspect(work, work->job->commit, work->job->path);
}

void work_run(struct work *work)
{
	static enum git_failure (*const steps[])(struct work *) = {
	    [GIT_RESOLVE] = do_resolve, [GIT_INSPECT] = do_inspect,   [GIT_PUBLISH] = do_publish,
	    [GIT_FETCH] = do_fetch,     [GIT_CHECKOUT] = do_checkout, [GIT_DIFF] = do_diff,
	    [GIT_LS] = do_ls,           [GIT_LS_PUSH] = do_ls_push,   [GIT_COMMIT] = do_commit,
	    [GIT_LOG] = do_log,         [GIT_COMPARE] = do_compare,   [GIT_COUNT] = do_count,
	    [GIT_VERIFY] = do_verify,   [GIT_APPS] = do_apps,         [GIT_EXPORT] = do_export,
	    [GIT_UNPACK] = do_unpack,
	};
	enum git_failure failure = mirror_open(work);
	if (failure == GIT_OK) {
		failure = steps[work->job->op](work);
	}
	mirror_close(work);
	if (failure != GIT_OK && work->result->text[0] == '\0') {
		(void)work_fail(work, failure, "%s", git_failure_name(failure));
	}
}

/* The parent's side: start, listen, kill when a step takes too long, reap. */
#include "agent/reach/reach.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/reach/reach_internal.h"
#include "base/clock/clock.h"
#include "base/confine/confine.h"
#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/mem/own.h"
#include "base/spawn/spawn.h"

#define FAILURE(name) SLUICE__V1__SOURCE_TEST_FAILURE__SOURCE_TEST_FAILURE_##name

enum { START_MS = 10000 }; /* for the child to come to its first step */

struct reach {
	pid_t pid; /* 0: reaped */
	int fd;
	uint32_t step_ms;
	uint64_t deadline_mono_ms;
	Sluice__V1__SourceTest *heard; /* owned; what the child said last; NULL: nothing yet */
	Sluice__V1__SourceTest test;   /* the result: as heard, or what became of the child */
	char text[100];
};

SL_DEFINE_AUTO(struct reach *, reach_free);

/* --- start --- */

static sl_code spawn(struct reach *reach, int *ret_child_fd, struct sl_err *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		return sl_err_set(err, SL_UNAVAILABLE, "make a socket pair: %s", strerror(errno));
	}
	reach->fd = pair[0];
	*ret_child_fd = pair[1];
	const struct spawn_self self = {
	    .program = "sluice-agent",
	    .command = "reach-worker",
	    .fd = pair[1],
	    .keeps_stderr = confine_is_sanitized(), /* a sanitizer's report must be seen */
	};
	int rc = spawn_self(&self, &reach->pid);
	if (rc != 0) {
		reach->pid = 0;
		return sl_err_set(err, SL_UNAVAILABLE, "start /proc/self/exe: %s", strerror(rc));
	}
	return SL_OK;
}

sl_code reach_start(struct sl_bytes target, uint32_t step_ms, struct reach **ret_reach,
		    struct sl_err *err)
{
	SL_AUTO(reach_free_auto) struct reach *reach = calloc(1, sizeof(*reach));
	SL_AUTO(sl_fd_auto) int child_fd = -1;
	uint8_t order[REACH_ORDER_MAX];
	if (reach == NULL) {
		return sl_err_no_memory(err);
	}
	reach->fd = -1;
	reach->step_ms = step_ms;
	if (target.size > REACH_TARGET_MAX) {
		return sl_err_set(err, SL_UNAVAILABLE, "the target has more than %d bytes",
				  REACH_TARGET_MAX);
	}
	sl_code code = spawn(reach, &child_fd, err);
	if (code != SL_OK) {
		return code;
	}
	sl_put_be32(order, step_ms);
	memcpy(order + REACH_HEAD, target.data, target.size);
	ssize_t sent =
	    send(reach->fd, order, REACH_HEAD + target.size, MSG_NOSIGNAL | MSG_DONTWAIT);
	sl_wipe(order, sizeof(order));
	if (sent < 0) {
		return sl_err_set(err, SL_UNAVAILABLE, "send the order: %s", strerror(errno));
	}
	reach->deadline_mono_ms = sl_clock_mono_ms() + START_MS;
	*ret_reach = SL_TAKE(reach);
	return SL_OK;
}

int reach_fd(const struct reach *reach)
{
	return reach->fd;
}

uint64_t reach_deadline_mono_ms(const struct reach *reach)
{
	return reach->deadline_mono_ms;
}

/* --- listen --- */

static void end_child(struct reach *reach)
{
	if (reach->pid == 0) {
		return;
	}
	(void)kill(reach->pid, SIGKILL);
	while (waitpid(reach->pid, NULL, 0) < 0 && errno == EINTR) {
	}
	reach->pid = 0;
}

static const Sluice__V1__SourceTest *end(struct reach *reach)
{
	end_child(reach);
	return &reach->test;
}

static const Sluice__V1__SourceTest *fail(struct reach *reach,
					  Sluice__V1__SourceTestFailure failure, const char *text)
{
	(void)snprintf(reach->text, sizeof(reach->text), "%s", text);
	if (reach->heard != NULL) {
		reach->test = *reach->heard;
	} else {
		sluice__v1__source_test__init(&reach->test);
	}
	reach->test.failure = failure;
	reach->test.text = reach->text;
	return end(reach);
}

/* A step that is begun has its own time; each is begun once. */
static void note(struct reach *reach, Sluice__V1__SourceTest *news)
{
	if (reach->heard == NULL || news->reached > reach->heard->reached) {
		reach->deadline_mono_ms = sl_clock_mono_ms() + reach->step_ms;
	}
	if (reach->heard != NULL) {
		sluice__v1__source_test__free_unpacked(reach->heard, NULL);
	}
	reach->heard = news;
}

/* NULL: nothing more for now. */
static const Sluice__V1__SourceTest *hear(struct reach *reach, bool *ret_more)
{
	uint8_t news[REACH_NEWS_MAX];
	ssize_t got = recv(reach->fd, news, sizeof(news), MSG_DONTWAIT);
	*ret_more = got > 0 || (got < 0 && errno == EINTR);
	if (got < 0) {
		return NULL;
	}
	if (got == 0) {
		return fail(reach, FAILURE(AGENT_FAILED), "the look ended without a result");
	}
	Sluice__V1__SourceTest *test =
	    sluice__v1__source_test__unpack(NULL, (size_t)got - 1, news + 1);
	if (test == NULL || test->reached > SLUICE__V1__SOURCE_TEST_STEP__SOURCE_TEST_STEP_TLS) {
		if (test != NULL) {
			sluice__v1__source_test__free_unpacked(test, NULL);
		}
		return fail(reach, FAILURE(AGENT_FAILED), "the look's result is malformed");
	}
	note(reach, test);
	if (news[0] == 0) {
		return NULL;
	}
	reach->test = *reach->heard;
	return end(reach);
}

const Sluice__V1__SourceTest *reach_step(struct reach *reach)
{
	enum {
		NEWS_A_STEP = 8
	}; /* a child that floods must not keep its time from being looked at */
	bool more = true;
	for (int i = 0; more && i < NEWS_A_STEP; i++) {
		const Sluice__V1__SourceTest *test = hear(reach, &more);
		if (test != NULL) {
			return test;
		}
	}
	if (sl_clock_mono_ms() < reach->deadline_mono_ms) {
		return NULL;
	}
	char text[sizeof(reach->text)];
	(void)snprintf(text, sizeof(text), "no answer within %u ms", reach->step_ms);
	return fail(reach, FAILURE(TIMED_OUT), text);
}

void reach_free(struct reach *reach)
{
	if (reach == NULL) {
		return;
	}
	end_child(reach);
	if (reach->heard != NULL) {
		sluice__v1__source_test__free_unpacked(reach->heard, NULL);
	}
	if (reach->fd >= 0) {
		(void)close(reach->fd);
	}
	free(reach);
}

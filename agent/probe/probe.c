/* One question, one answer:
 *
 *   CONNECTING --> SENDING --> READING --> over     HTTP
 *   CONNECTING --> over                             TCP
 *   RUNNING --> over                                command
 */
#include "agent/probe/probe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/child/child.h"
#include "agent/probe/target.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "base/sm/sm.h"

enum { CONNECTING, SENDING, READING, RUNNING };
static const struct sl_sm_state probe_states[] = {
    [CONNECTING] = {"CONNECTING", SL_SM_TO(SENDING)},
    [SENDING] = {"SENDING", SL_SM_TO(READING)},
    [READING] = {"READING", 0},
    [RUNNING] = {"RUNNING", 0},
};

enum { ANSWER_BYTES = 1024 };

struct probe {
	struct sl_sm sm;
	struct target target;
	int fd; /* socket; -1 for a command */
	struct child *child;
	uint64_t timeout_ms, deadline_ms;
	char request[PROBE_TEXT_SIZE + 256];
	size_t request_size, sent;
	char answer[ANSWER_BYTES + 1];
	size_t answer_size;
};

SL_DEFINE_AUTO(struct probe *, probe_free);

sl_code probe_check(const char *text, struct sl_err *err)
{
	struct target target;
	/* The longest that an id and a slug can be. */
	return target_parse(text, "app_aaaaaaaaaaaaaaaaaaaa",
			    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &target, err);
}

static sl_code start_command(struct probe *probe, struct sl_err *err)
{
	const char *const argv[] = {"/bin/sh", "-c", probe->target.rest, NULL};
	struct child_options options = {.argv = argv, .deadline_ms = probe->timeout_ms};
	sl_sm_init(&probe->sm, probe_states, RUNNING);
	return child_start(&options, &probe->child, err);
}

static sl_code start_socket(struct probe *probe, struct sl_err *err)
{
	const struct target *target = &probe->target;
	probe->fd =
	    socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe->fd < 0) {
		return sl_err_set(err, SL_INTERNAL, "socket: %s", strerror(errno));
	}
	/* A refusal at once is an answer, which the first step finds. */
	(void)connect(probe->fd, (const struct sockaddr *)&target->address, target->address_size);
	int length = snprintf(probe->request, sizeof(probe->request),
			      "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice-agent\r\n"
			      "Accept: */*\r\nConnection: close\r\n\r\n",
			      target->rest, target->authority);
	probe->request_size = (size_t)length;
	sl_sm_init(&probe->sm, probe_states, CONNECTING);
	return SL_OK;
}

sl_code probe_start(const char *text, const char *app_id, const char *slug, uint64_t timeout_ms,
		    struct probe **ret_probe, struct sl_err *err)
{
	SL_AUTO(probe_free_auto) struct probe *probe = calloc(1, sizeof(*probe));
	if (probe == NULL) {
		return sl_err_no_memory(err);
	}
	probe->fd = -1;
	probe->timeout_ms = timeout_ms;
	probe->deadline_ms = sl_clock_mono_ms() + timeout_ms;
	sl_code code = target_parse(text, app_id, slug, &probe->target, err);
	if (code == SL_OK) {
		code = probe->target.kind == TARGET_COMMAND ? start_command(probe, err)
							    : start_socket(probe, err);
	}
	if (code == SL_OK) {
		*ret_probe = SL_TAKE(probe);
	}
	return code;
}

int probe_fd(const struct probe *probe)
{
	return probe->child != NULL ? child_fd(probe->child) : probe->fd;
}

short probe_events(const struct probe *probe)
{
	return probe->sm.at == CONNECTING || probe->sm.at == SENDING ? POLLOUT : POLLIN;
}

uint64_t probe_deadline_mono_ms(const struct probe *probe)
{
	return probe->deadline_ms;
}

enum turn { TURN_WAIT, TURN_ON, TURN_NO, TURN_YES };

static enum turn turn_connect(struct probe *probe, char *why, size_t why_size)
{
	struct pollfd ready = {.fd = probe->fd, .events = POLLOUT};
	if (poll(&ready, 1, 0) != 1) {
		return TURN_WAIT;
	}
	int error = 0;
	socklen_t size = sizeof(error);
	(void)getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	struct sockaddr_storage peer;
	socklen_t peer_size = sizeof(peer);
	if (error == 0 && getpeername(probe->fd, (struct sockaddr *)&peer, &peer_size) != 0) {
		error = ECONNREFUSED; /* connect() itself had said so */
	}
	if (error != 0) {
		(void)snprintf(why, why_size, "connect to %s: %s", probe->target.authority,
			       strerror(error));
		return TURN_NO;
	}
	if (probe->target.kind == TARGET_TCP) {
		return TURN_YES;
	}
	sl_sm_move(&probe->sm, SENDING);
	return TURN_ON;
}

static enum turn turn_send(struct probe *probe, char *why, size_t why_size)
{
	ssize_t put = send(probe->fd, probe->request + probe->sent,
			   probe->request_size - probe->sent, MSG_NOSIGNAL);
	if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
		return TURN_WAIT;
	}
	if (put < 0) {
		(void)snprintf(why, why_size, "send to %s: %s", probe->target.authority,
			       strerror(errno));
		return TURN_NO;
	}
	probe->sent += (size_t)put;
	if (probe->sent == probe->request_size) {
		sl_sm_move(&probe->sm, READING);
	}
	return TURN_ON;
}

/* "HTTP/1.1 200 OK": the status, or 0 for anything else. */
static unsigned status_of(const char *line)
{
	static const char start[] = "HTTP/1.";
	enum { MINOR = sizeof(start) - 1, CODE = MINOR + 2 };
	if (strncmp(line, start, MINOR) != 0 || line[MINOR] < '0' || line[MINOR] > '9' ||
	    line[MINOR + 1] != ' ' || strspn(line + CODE, "0123456789") != 3) {
		return 0;
	}
	unsigned status = (unsigned)(line[CODE] - '0') * 100 +
			  (unsigned)(line[CODE + 1] - '0') * 10 + (unsigned)(line[CODE + 2] - '0');
	return status >= 100 && status <= 599 ? status : 0;
}

static enum turn turn_read(struct probe *probe, char *why, size_t why_size)
{
	ssize_t got = recv(probe->fd, probe->answer + probe->answer_size,
			   ANSWER_BYTES - probe->answer_size, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return TURN_WAIT;
	}
	if (got > 0) {
		probe->answer_size += (size_t)got;
		probe->answer[probe->answer_size] = '\0';
	}
	bool line = memchr(probe->answer, '\n', probe->answer_size) != NULL;
	if (!line && got > 0 && probe->answer_size < ANSWER_BYTES) {
		return TURN_ON;
	}
	unsigned status = line ? status_of(probe->answer) : 0;
	if (status >= 200 && status <= 399) {
		return TURN_YES;
	}
	if (status != 0) {
		(void)snprintf(why, why_size, "http://%s%s: HTTP %u", probe->target.authority,
			       probe->target.rest, status);
	} else {
		(void)snprintf(why, why_size, "http://%s%s: no HTTP answer",
			       probe->target.authority, probe->target.rest);
	}
	return TURN_NO;
}

static enum turn turn_run(struct probe *probe, char *why, size_t why_size)
{
	bool ok = false;
	char how[64] = "";
	if (!child_step(probe->child, &ok, how, sizeof(how))) {
		return TURN_WAIT;
	}
	(void)snprintf(why, why_size, "probe command: %s", how);
	return ok ? TURN_YES : TURN_NO;
}

bool probe_step(struct probe *probe, bool *ret_ok, char *why, size_t why_size)
{
	static enum turn (*const turns[])(struct probe *, char *, size_t) = {
	    [CONNECTING] = turn_connect,
	    [SENDING] = turn_send,
	    [READING] = turn_read,
	    [RUNNING] = turn_run,
	};
	enum turn turn = TURN_ON;
	while (turn == TURN_ON) {
		turn = turns[probe->sm.at](probe, why, why_size);
	}
	*ret_ok = turn == TURN_YES;
	if (turn != TURN_WAIT) {
		return true;
	}
	if (probe->sm.at == RUNNING || sl_clock_mono_ms() < probe->deadline_ms) {
		return false; /* a command has its own deadline, the same */
	}
	(void)snprintf(why, why_size, "%s: no answer within %llu ms", probe->target.authority,
		       (unsigned long long)probe->timeout_ms);
	return true;
}

void probe_free(struct probe *probe)
{
	if (probe == NULL) {
		return;
	}
	child_free(probe->child);
	if (probe->fd >= 0) {
		(void)close(probe->fd);
	}
	free(probe);
}

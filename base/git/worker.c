/* The parent's side: start, listen, kill at the deadline, reap. */
#include "base/git/libgit2_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/confine/confine.h"
#include "base/file/file.h"
#include "base/git/job_internal.h"
#include "base/git/protocol_internal.h"
#include "base/git/text_internal.h"
#include "base/mem/own.h"
#include "base/spawn/spawn.h"

/* RECORDS_A_STEP: a child that floods must not keep its own deadline from being looked at. */
enum { DEADLINE_DEFAULT_MS = 300000, STOP_LOOK_MS = 100, RECORDS_A_STEP = 256 };

struct git_worker {
	pid_t pid; /* 0: reaped */
	int fd;
	unsigned deadline_ms;
	uint64_t deadline_mono_ms;
	enum git_op op;
	char url[200]; /* without credentials, for texts */
	size_t diff_room;
	struct git_progress progress;
	struct git_result result; /* what has come of it so far */
	struct protocol_record record;
};

SL_DEFINE_AUTO(struct git_worker *, git_worker_free);

void git_result_fini(struct git_result *result)
{
	for (size_t i = 0; i < result->diff_count; i++) {
		free(result->diff[i].path);
	}
	free(result->diff);
	free(result->log);
	free(result->apps);
	free(result->sluice_json);
	*result = (struct git_result){0};
}

/* --- start ---------------------------------------------------------------------- */

static struct git_job with_defaults(const struct git_job *job)
{
	static const struct git_limits standard = GIT_LIMITS_DEFAULT;
	struct git_job full = *job;
	struct git_limits *l = &full.limits;
	l->files = l->files != 0 ? l->files : standard.files;
	l->bytes = l->bytes != 0 ? l->bytes : standard.bytes;
	l->file_bytes = l->file_bytes != 0 ? l->file_bytes : standard.file_bytes;
	l->depth = l->depth != 0 ? l->depth : standard.depth;
	l->name_bytes = l->name_bytes != 0 ? l->name_bytes : standard.name_bytes;
	l->path_bytes = l->path_bytes != 0 ? l->path_bytes : standard.path_bytes;
	l->pack_bytes = l->pack_bytes != 0 ? l->pack_bytes : standard.pack_bytes;
	l->pack_objects = l->pack_objects != 0 ? l->pack_objects : standard.pack_objects;
	l->part_bytes = l->part_bytes != 0 ? l->part_bytes : standard.part_bytes;
	full.deadline_ms = job->deadline_ms != 0 ? job->deadline_ms : DEADLINE_DEFAULT_MS;
	return full;
}

static sl_code send_job(struct git_worker *worker, const struct git_job *job, struct sl_err *err)
{
	protocol_put_job(&worker->record, job);
	ssize_t sent = -1;
	if (!worker->record.failed) {
		sent = send(worker->fd, worker->record.data, worker->record.size,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	int why = errno;
	bool too_big = worker->record.failed;
	explicit_bzero(worker->record.data, sizeof(worker->record.data));
	if (too_big) {
		return sl_err_because(
		    err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
		    "git job: its texts and certificates must have at most %d bytes together",
		    PROTOCOL_RECORD_MAX);
	}
	if (sent < 0) {
		return sl_err_set(err, SL_UNAVAILABLE, "git worker: send the job: %s",
				  strerror(why));
	}
	return SL_OK;
}

sl_code git_worker_start(const struct git_job *job, struct git_worker **ret_worker,
			 struct sl_err *err)
{
	struct git_job full = with_defaults(job);
	sl_code code = job_check(&full, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(git_worker_free_auto) struct git_worker *worker = calloc(1, sizeof(*worker));
	if (worker == NULL) {
		return sl_err_no_memory(err);
	}
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		worker->fd = -1;
		return sl_err_set(err, SL_UNAVAILABLE, "git worker: make a socket pair: %s",
				  strerror(errno));
	}
	worker->fd = pair[0];
	SL_AUTO(sl_fd_auto) int child_fd = pair[1];
	worker->op = full.op;
	worker->deadline_ms = full.deadline_ms;
	text_url(worker->url, sizeof(worker->url), full.url == NULL ? "" : full.url);
	const struct spawn_self spawn = {
	    .program = "sluice",
	    .command = "git-worker",
	    .fd = child_fd,
	    .library = confine_is_sanitized() ? NULL : LIBGIT2_FILE, /* a sanitizer's is first */
	    .keeps_stderr = confine_is_sanitized(), /* a sanitizer's report must be seen */
	};
	int rc = spawn_self(&spawn, &worker->pid);
	if (rc != 0) {
		worker->pid = 0;
		return sl_err_set(err, SL_UNAVAILABLE, "git worker: start /proc/self/exe: %s",
				  strerror(rc));
	}
	worker->deadline_mono_ms = sl_clock_mono_ms() + full.deadline_ms;
	code = send_job(worker, &full, err);
	if (code == SL_OK) {
		*ret_worker = SL_TAKE(worker);
	}
	return code;
}

int git_worker_fd(const struct git_worker *worker)
{
	return worker->fd;
}

uint64_t git_worker_deadline_mono_ms(const struct git_worker *worker)
{
	return worker->deadline_mono_ms;
}

/* --- listen --------------------------------------------------------------------- */

static bool keep_diff_entry(struct git_worker *worker)
{
	struct git_diff_entry entry;
	struct git_result *result = &worker->result;
	if (!protocol_get_diff_entry(&worker->record, &entry) ||
	    result->diff_count == PROTOCOL_DIFF_MAX) {
		return false;
	}
	if (result->diff_count == worker->diff_room) {
		size_t room = worker->diff_room == 0 ? 64 : worker->diff_room * 2;
		struct git_diff_entry *diff = realloc(result->diff, room * sizeof(*diff));
		if (diff == NULL) {
			return false;
		}
		result->diff = diff;
		worker->diff_room = room;
	}
	entry.path = strdup(entry.path);
	if (entry.path == NULL) {
		return false;
	}
	result->diff[result->diff_count++] = entry;
	return true;
}

static bool keep_log_entry(struct git_worker *worker)
{
	struct git_result *result = &worker->result;
	struct git_log_entry entry;
	if (result->log_count == GIT_LOG_MAX || !protocol_get_log_entry(&worker->record, &entry) ||
	    !job_is_oid(entry.commit)) {
		return false;
	}
	if (result->log == NULL) {
		result->log = calloc(GIT_LOG_MAX, sizeof(*result->log));
	}
	if (result->log == NULL) {
		return false;
	}
	text_clean_self(entry.subject, sizeof(entry.subject));
	text_clean_self(entry.author, sizeof(entry.author));
	result->log[result->log_count++] = entry;
	return true;
}

static bool keep_app(struct git_worker *worker)
{
	struct git_result *result = &worker->result;
	struct git_app app;
	if (result->app_count == GIT_APPS_MAX || !protocol_get_app(&worker->record, &app) ||
	    app.path[0] == '\0' || !job_path_is_fine(app.path) ||
	    (app.last.commit[0] != '\0' && !job_is_oid(app.last.commit))) {
		return false;
	}
	if (result->apps == NULL) {
		result->apps = calloc(GIT_APPS_MAX, sizeof(*result->apps));
	}
	if (result->apps == NULL) {
		return false;
	}
	text_clean_self(app.name, sizeof(app.name));
	text_clean_self(app.version, sizeof(app.version));
	text_clean_self(app.last.subject, sizeof(app.last.subject));
	text_clean_self(app.last.author, sizeof(app.last.author));
	result->apps[result->app_count++] = app;
	return true;
}

static bool keep_json(struct git_worker *worker)
{
	struct sl_bytes json = protocol_get_json(&worker->record);
	if (worker->result.sluice_json != NULL || json.size > PROTOCOL_JSON_MAX) {
		return false;
	}
	worker->result.sluice_json = strndup((const char *)json.data, json.size);
	return worker->result.sluice_json != NULL;
}

static bool keep_result(struct git_worker *worker)
{
	struct git_result end;
	if (!protocol_get_result(&worker->record, &end) ||
	    (end.commit[0] != '\0' && !job_is_oid(end.commit)) ||
	    (end.tree[0] != '\0' && !job_is_oid(end.tree)) ||
	    (end.tip[0] != '\0' && !job_is_oid(end.tip)) ||
	    (end.ref[0] != '\0' && !job_ref_is_fine(end.ref))) {
		return false;
	}
	end.diff = worker->result.diff;
	end.diff_count = worker->result.diff_count;
	end.log = worker->result.log;
	end.log_count = worker->result.log_count;
	end.apps = worker->result.apps;
	end.app_count = worker->result.app_count;
	end.sluice_json = worker->result.sluice_json;
	worker->result = end;
	text_clean_self(worker->result.text, sizeof(end.text));
	text_clean_self(worker->result.subject, sizeof(end.subject));
	text_clean_self(worker->result.author, sizeof(end.author));
	return true;
}

static void end_child(struct git_worker *worker, int *ret_status)
{
	int status = 0;
	(void)kill(worker->pid, SIGKILL);
	while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR) {
	}
	worker->pid = 0;
	if (ret_status != NULL) {
		*ret_status = status;
	}
}

static void fail(struct git_worker *worker, enum git_failure failure, const char *text)
{
	git_result_fini(&worker->result);
	worker->result.failure = failure;
	(void)snprintf(worker->result.text, sizeof(worker->result.text), "%s", text);
}

static void fail_dead(struct git_worker *worker)
{
	int status = 0;
	char text[160];
	end_child(worker, &status);
	/* libgit2 writes packs through a map of the file: a full disk is a SIGBUS there. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS) {
		(void)snprintf(text, sizeof(text),
			       "the disk under the mirror is full (SIGBUS in %s)",
			       job_op_name(worker->op));
		fail(worker, GIT_DISK_FULL, text);
		return;
	}
	/* Nobody else kills it: its own limits end it by other signals. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		(void)snprintf(
		    text, sizeof(text),
		    "the git worker was killed in %s (signal 9), as the kernel does when "
		    "memory is short",
		    job_op_name(worker->op));
		fail(worker, GIT_OUT_OF_MEMORY, text);
		return;
	}
	bool killed = WIFSIGNALED(status);
	(void)snprintf(text, sizeof(text), "the git worker ended without a result (%s %d) in %s",
		       killed ? "signal" : "exit status",
		       killed ? WTERMSIG(status) : WEXITSTATUS(status), job_op_name(worker->op));
	fail(worker, GIT_WORKER_FAILED, text);
}

static void fail_late(struct git_worker *worker)
{
	char text[400];
	bool network = job_uses_network(worker->op);
	end_child(worker, NULL);
	(void)snprintf(text, sizeof(text), "%s %s%snot done after %u ms, its deadline: stopped",
		       job_op_name(worker->op), network ? worker->url : "", network ? " " : "",
		       worker->deadline_ms);
	fail(worker, network ? GIT_REPOSITORY_UNREACHABLE : GIT_WORKER_FAILED, text);
}

/* True: the job is over. */
static bool take_record(struct git_worker *worker)
{
	bool fine = false;
	switch (protocol_kind_of(&worker->record)) {
	case PROTOCOL_PROGRESS:
		fine = protocol_get_progress(&worker->record, &worker->progress);
		break;
	case PROTOCOL_DIFF_ENTRY:
		fine = keep_diff_entry(worker);
		break;
	case PROTOCOL_LOG_ENTRY:
		fine = keep_log_entry(worker);
		break;
	case PROTOCOL_APP:
		fine = keep_app(worker);
		break;
	case PROTOCOL_SLUICE_JSON:
		fine = keep_json(worker);
		break;
	case PROTOCOL_RESULT:
		if (keep_result(worker)) {
			end_child(worker, NULL);
			return true;
		}
		break;
	case PROTOCOL_JOB:
		break;
	}
	if (!fine) {
		end_child(worker, NULL);
		fail(worker, GIT_WORKER_FAILED, "the git worker sent what no worker sends");
	}
	return !fine;
}

/* True: the job is over. */
static bool listen_to(struct git_worker *worker)
{
	for (int i = 0; i < RECORDS_A_STEP; i++) {
		ssize_t got = recv(worker->fd, worker->record.data, sizeof(worker->record.data),
				   MSG_DONTWAIT);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0 && errno == EAGAIN) {
			return false;
		}
		if (got <= 0) {
			fail_dead(worker);
			return true;
		}
		worker->record.size = (size_t)got;
		if (take_record(worker)) {
			return true;
		}
	}
	return false;
}

bool git_worker_step(struct git_worker *worker, struct git_progress *ret_progress,
		     struct git_result *ret_result)
{
	bool over = worker->pid == 0 || listen_to(worker);
	if (!over && sl_clock_mono_ms() >= worker->deadline_mono_ms) {
		fail_late(worker);
		over = true;
	}
	if (ret_progress != NULL) {
		*ret_progress = worker->progress;
	}
	if (over) {
		*ret_result = worker->result;
		worker->result = (struct git_result){0};
	}
	return over;
}

void git_worker_free(struct git_worker *worker)
{
	if (worker == NULL) {
		return;
	}
	if (worker->pid != 0) {
		end_child(worker, NULL);
	}
	if (worker->fd >= 0) {
		(void)close(worker->fd);
	}
	git_result_fini(&worker->result);
	free(worker);
}

/* --- for threads that may block ------------------------------------------------- */

static int wait_ms(const struct git_worker *worker)
{
	uint64_t now = sl_clock_mono_ms();
	uint64_t left = now < worker->deadline_mono_ms ? worker->deadline_mono_ms - now : 0;
	return left < STOP_LOOK_MS ? (int)left : STOP_LOOK_MS;
}

sl_code git_run(const struct git_job *job, bool (*stop)(void *ctx), void *ctx,
		struct git_result *ret_result, struct sl_err *err)
{
	SL_AUTO(git_worker_free_auto) struct git_worker *worker = NULL;
	sl_code code = git_worker_start(job, &worker, err);
	if (code != SL_OK) {
		return code;
	}
	while (!git_worker_step(worker, NULL, ret_result)) {
		if (stop != NULL && stop(ctx)) {
			return sl_err_because(err, SL_CANCELLED, SL_REASON_STOPPING,
					      "git job %s was stopped", job_op_name(job->op));
		}
		struct pollfd waiting = {.fd = worker->fd, .events = POLLIN};
		(void)poll(&waiting, 1, wait_ms(worker));
	}
	return SL_OK;
}

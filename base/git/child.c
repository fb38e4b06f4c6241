/* The child's entry: takes the job, gives up its rights, does it, says what came of it. */
#include "base/git/work_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/confine/confine.h"
#include "base/git/job_internal.h"
#include "base/git/text_internal.h"
#include "base/git/url_internal.h"
#include "base/git/wire_internal.h"
#include "base/spawn/spawn.h"

enum { EXIT_NO_JOB = 2, EXIT_NOT_CONFINED = 3, EXIT_NO_PARENT = 4 };
enum { OPEN_FILES = 256, OPEN_PACKS = 128, CPU_SLACK_S = 5 };
static const char nowhere[] = "/nonexistent";
static const uint64_t mib = 1u << 20;

static const char *or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

static bool take_job(struct protocol_record *record, struct git_job *ret_job)
{
	ssize_t got = -1;
	do {
		got = recv(SPAWN_FD, record->data, sizeof(record->data), 0);
	} while (got < 0 && errno == EINTR);
	record->size = got > 0 ? (size_t)got : 0;
	struct git_job job;
	if (got <= 0 || !protocol_get_job(record, &job) || job_check(&job, NULL) != SL_OK) {
		return false;
	}
	const char **texts[] = {&job.url,     &job.revision,     &job.ref,         &job.commit,
				&job.path,    &job.other_commit, &job.other_path,  &job.message,
				&job.staging, &job.want_tree,    &job.author,      &job.operation,
				&job.archive, &job.move_from,    &job.record_path, &job.record,
				&job.folder};
	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		*texts[i] = or_empty(*texts[i]);
	}
	*ret_job = job;
	return true;
}

/* --- libgit2's settings ------------------------------------------------------------- */

/* Nothing of this machine's or user's Git configuration, templates or known hosts counts. */
static bool set_options(struct work *work)
{
	const struct git_limits *limits = &work->job->limits;
	int rc = 0;
	for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++) {
		rc |= git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, nowhere);
	}
	rc |= git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, nowhere);
	rc |=
	    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0); /* the mirror is ours, by the job */
	rc |= git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
	rc |= git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
	rc |= git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)limits->pack_objects);
	rc |= git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECT_SIZE, (size_t)limits->pack_bytes);
	/* By default a window is a gigabyte: all of a big pack would be in memory at once. */
	rc |= git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, (size_t)(8 * mib));
	rc |= git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)(64 * mib));
	rc |= git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, (size_t)OPEN_PACKS);
	rc |= git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)(32 * mib));
	rc |= git_libgit2_opts(GIT_OPT_SET_USER_AGENT, "sluice");
	if (rc != 0) {
		(void)work_fail(work, GIT_WORKER_FAILED, "libgit2 refuses a setting");
		return false;
	}
	return wire_open(work);
}

/* --- rights --------------------------------------------------------------------------- */

const char *git_worker_gap(void)
{
	return confine_reach_gap();
}

static bool confine_network(const struct git_job *job, struct sl_err *err)
{
	struct url url;
	if (url_parse(job->url, &url, err) != SL_OK) {
		return false;
	}
	bool file = url.scheme == URL_FILE;
	bool pushes = job->op == GIT_PUBLISH || job->op == GIT_COMMIT;
	enum confine_right source = pushes ? CONFINE_WRITE : CONFINE_READ;
	const struct confine_path paths[] = {
	    {job->mirror, CONFINE_WRITE},
	    {file ? url.path : nowhere, source},
	    {job->archive[0] != '\0' ? job->archive : nowhere, CONFINE_READ},
	    {job->folder[0] != '\0' ? job->folder : nowhere, CONFINE_READ},
	};
	unsigned calls = CONFINE_CALLS_FILES | (file ? 0 : CONFINE_CALLS_NET);
	return confine_dialling(paths, SL_COUNT(paths), file ? 0 : url.port, err) == SL_OK &&
	       confine_calls(calls, err) == SL_OK;
}

static bool confine_local(const struct git_job *job, struct sl_err *err)
{
	enum confine_right staging = job->op == GIT_CHECKOUT ? CONFINE_WRITE : CONFINE_READ;
	enum confine_right mirror = job_makes_mirror(job->op) ? CONFINE_WRITE : CONFINE_READ;
	enum confine_right archive = job->op == GIT_EXPORT ? CONFINE_WRITE : CONFINE_READ;
	const struct confine_path paths[] = {
	    {job->mirror, mirror},
	    {job->archive[0] != '\0' ? job->archive : nowhere, archive},
	    {job->staging[0] != '\0' ? job->staging : nowhere, staging},
	    {job->folder[0] != '\0' ? job->folder : nowhere, CONFINE_READ},
	    {"/dev/urandom", CONFINE_READ},
	    {"/dev/null", CONFINE_WRITE},
	};
	return confine_reach(paths, SL_COUNT(paths), NULL, 0, NULL, err) == SL_OK &&
	       confine_calls(CONFINE_CALLS_FILES, err) == SL_OK;
}

static bool confine(struct work *work)
{
	const struct git_job *job = work->job;
	const struct git_limits *limits = &job->limits;
	uint64_t biggest =
	    limits->pack_bytes > limits->file_bytes ? limits->pack_bytes : limits->file_bytes;
	/* A file, what it is a delta of, and both packed, besides windows on the packs. */
	struct confine_limits own = {
	    .address_bytes = 2048 * mib + 3 * limits->file_bytes,
	    .file_bytes = biggest + 64 * mib,
	    .cpu_s = job->deadline_ms / 1000 + CPU_SLACK_S,
	    .open_files = OPEN_FILES,
	};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	bool fine =
	    confine_limits(&own, &err) == SL_OK &&
	    (job_uses_network(job->op) ? confine_network(job, &err) : confine_local(job, &err));
	if (!fine) {
		(void)work_fail(work, GIT_WORKER_FAILED, "%s", err.msg);
	}
	return fine;
}

/* --- entry ---------------------------------------------------------------------------- */

static bool open_places(struct work *work)
{
	const struct git_job *job = work->job;
	if (job_makes_mirror(job->op) && mkdir(job->mirror, 0700) != 0 && errno != EEXIST) {
		(void)work_fail_errno(work, "make mirror", job->mirror);
		return false;
	}
	if (job->op == GIT_CHECKOUT || job->op == GIT_VERIFY) {
		work->staging = open(job->staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		bool gone = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
		if (work->staging < 0 && !(job->op == GIT_VERIFY && gone)) {
			(void)work_fail_errno(work, "open staging folder", job->staging);
			return false;
		}
	}
	return true;
}

static int report(struct work *work)
{
	protocol_put_result(&work->record, work->result);
	return work_send(work) ? EXIT_SUCCESS : EXIT_NO_PARENT;
}

int git_worker_main(void)
{
	static struct protocol_record record;
	static struct work work = {.staging = -1};
	static struct git_result result;
	struct git_job job;
	(void)umask(077);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a write that is too much fails with EFBIG instead */
	if (confine_basics(NULL) != SL_OK) {
		return EXIT_NOT_CONFINED;
	}
	if (!take_job(&record, &job)) {
		return EXIT_NO_JOB;
	}
	work.job = &job;
	work.result = &result;
	text_url(work.url, sizeof(work.url), job.url);
	/* Before the confinement: reads the machine's certificates and seeds its random numbers. */
	if (!sl_crypto_init() || git_libgit2_init == NULL || git_libgit2_init() < 0) {
		(void)work_fail(&work, GIT_WORKER_FAILED,
				LIBGIT2_FILE " or its random numbers cannot start");
		return report(&work);
	}
	if (open_places(&work) && set_options(&work) && confine(&work)) {
		work_run(&work);
	}
	return report(&work);
}

/* The worker as a process: deadlines, stopping, hosts that stall, crash or lie, logins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "tests/lib/listener.h"
#include "tests/unit/base/git/fixture.h"

enum { SHORT_MS = 400 };

/* A socket that takes connections and never says a word. */
static int mute_host(char *url, size_t room, const char *scheme)
{
	uint16_t port = 0;
	int fd = listener_open(16, &port);
	(void)snprintf(url, room, "%s://127.0.0.1:%u/origin.git", scheme, port);
	return fd;
}

/* Every operation that talks, against a host that stalls: killed at its deadline. */
static void test_git_worker_is_killed_at_its_deadline(void **state)
{
	static const char *const schemes[] = {"git", "http", "https", "ssh"};
	static const enum git_op ops[] = {GIT_RESOLVE, GIT_FETCH, GIT_LS};
	struct fixture *f = *state;
	for (size_t i = 0; i < SL_COUNT(schemes) * SL_COUNT(ops); i++) {
		int host = mute_host(f->url, sizeof(f->url), schemes[i % SL_COUNT(schemes)]);
		struct git_job job = fixture_job(f, ops[i / SL_COUNT(schemes)]);
		job.ref = "refs/heads/main";
		job.deadline_ms = SHORT_MS;
		uint64_t begin = sl_clock_mono_ms();
		fixture_expect(f, &job, GIT_REPOSITORY_UNREACHABLE);
		uint64_t took = sl_clock_mono_ms() - begin;
		assert_true(took >= SHORT_MS && took < 30000);
		assert_true(strstr(f->result.text, "400 ms") != NULL);
		(void)close(host);
	}
}

static void test_git_worker_is_killed_when_the_host_stalls_and_goes_on_later(void **state)
{
	struct fixture *f = *state;
	fixture_serve(f, GITSERVER_GIT);
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	job.deadline_ms = SHORT_MS;
	gitserver_pause(f->server);
	fixture_expect(f, &job, GIT_REPOSITORY_UNREACHABLE);
	gitserver_resume(f->server);
	job.deadline_ms = 60000;
	git_mirror_sweep(f->mirror);
	fixture_expect(f, &job, GIT_OK);
	gitserver_stop(f->server);
	fixture_expect(f, &job, GIT_REPOSITORY_UNREACHABLE);
	assert_true(strstr(f->result.text, "Connection refused") != NULL);
	gitserver_start(f->server);
	fixture_expect(f, &job, GIT_OK);
}

static bool stop_after_three(void *ctx)
{
	return ++*(int *)ctx >= 3;
}

static void test_git_run_stops_when_asked(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	int asked = 0, host = mute_host(f->url, sizeof(f->url), "git");
	struct git_job job = fixture_job(f, GIT_LS);
	uint64_t begin = sl_clock_mono_ms();
	assert_int_equal(git_run(&job, stop_after_three, &asked, &f->result, &err), SL_CANCELLED);
	assert_true(sl_clock_mono_ms() - begin < 30000);
	(void)close(host);
}

static size_t open_descriptors(void)
{
	size_t count = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir) != NULL) {
		count++;
	}
	(void)closedir(dir);
	return count;
}

/* The child of the worker, found by its parent. */
static pid_t child_of_me(void)
{
	char path[64];
	pid_t child = 0;
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &child), 1);
	(void)fclose(file);
	return child;
}

static void killed(struct fixture *f, int signal_number)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	int host = mute_host(f->url, sizeof(f->url), "git");
	size_t before = open_descriptors();
	struct git_job job = fixture_job(f, GIT_LS);
	struct git_worker *worker = NULL;
	assert_int_equal(git_worker_start(&job, &worker, &err), SL_OK);
	assert_true(git_worker_deadline_mono_ms(worker) > sl_clock_mono_ms());
	assert_false(git_worker_step(worker, NULL, &f->result));
	assert_int_equal(kill(child_of_me(), signal_number), 0);
	struct pollfd waiting = {.fd = git_worker_fd(worker), .events = POLLIN};
	assert_int_equal(poll(&waiting, 1, 10000), 1);
	assert_true(git_worker_step(worker, NULL, &f->result));
	git_worker_free(worker);
	assert_int_equal(open_descriptors(), before);
	git_worker_free(NULL);
	(void)close(host);
}

static void test_git_worker_that_is_killed_is_a_failed_attempt(void **state)
{
	struct fixture *f = *state;
	killed(f, SIGSEGV);
	assert_int_equal(f->result.failure, GIT_WORKER_FAILED);
	assert_true(strstr(f->result.text, "signal 11") != NULL ||
		    strstr(f->result.text, "exit status") != NULL ||
		    strstr(f->result.text, "signal 6") != NULL);
}

/* Only the kernel does that, for want of memory. */
static void test_git_worker_that_ends_by_sigkill_had_no_memory(void **state)
{
	struct fixture *f = *state;
	killed(f, SIGKILL);
	assert_int_equal(f->result.failure, GIT_OUT_OF_MEMORY);
	assert_true(git_failure_is_transient(f->result.failure));
	assert_non_null(strstr(f->result.text, "killed in LS (signal 9)"));
}

static bool child_has_only(pid_t child, int highest)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", child);
	DIR *dir = opendir(path);
	bool fine = dir != NULL;
	for (struct dirent *entry = fine ? readdir(dir) : NULL; entry != NULL;
	     entry = readdir(dir)) {
		fine = fine && (entry->d_name[0] == '.' || atoi(entry->d_name) <= highest);
	}
	if (dir != NULL) {
		(void)closedir(dir);
	}
	return fine;
}

/* One that is not close-on-exec all the same stays here. */
static void test_git_worker_inherits_nothing(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	int host = mute_host(f->url, sizeof(f->url), "git");
	int leak = fcntl(open("/dev/null", O_RDONLY | O_CLOEXEC), F_DUPFD, 100);
	assert_true(leak >= 100);
	struct git_job job = fixture_job(f, GIT_LS);
	struct git_worker *worker = NULL;
	assert_int_equal(git_worker_start(&job, &worker, &err), SL_OK);
	struct pollfd waiting = {.fd = host, .events = POLLIN};
	assert_int_equal(poll(&waiting, 1, 10000), 1); /* it has connected: past its start */
	assert_true(child_has_only(child_of_me(), 20));
	git_worker_free(worker);
	(void)close(leak);
	(void)close(host);
}

static void test_git_login_is_needed_and_checked(void **state)
{
	struct fixture *f = *state;
	f->server = gitserver_new(&(struct gitserver_options){
	    .kind = GITSERVER_HTTP, .root = f->dir, .user = "robot", .password = "hunter2"});
	(void)gitserver_url(f->server, "origin.git", f->url);
	static const struct {
		const char *user, *password;
		enum git_failure want;
	} rows[] = {
	    {NULL, NULL, GIT_LOGIN_REFUSED},
	    {"robot", "wrong-secret", GIT_LOGIN_REFUSED},
	    {"nobody", "hunter2", GIT_LOGIN_REFUSED},
	    {"robot", "hunter2", GIT_OK},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct git_job job = fixture_job(f, GIT_RESOLVE);
		job.login.user = rows[i].user;
		job.login.password = rows[i].password;
		fixture_expect(f, &job, rows[i].want);
		assert_null(strstr(f->result.text, "hunter2"));
		assert_null(strstr(f->result.text, "wrong-secret"));
	}
	struct git_job job = fixture_job(f, GIT_PUBLISH);
	job.login.user = "robot";
	job.login.password = "hunter2";
	job.commit = f->first;
	job.ref = "refs/tags/sluice/shop/v1";
	job.message = "x\n";
	fixture_expect(f, &job, GIT_OK);
	job.login.password = "wrong";
	job.ref = "refs/tags/sluice/shop/v2";
	fixture_expect(f, &job, GIT_LOGIN_REFUSED);
}

static void test_git_https_needs_a_trusted_certificate(void **state)
{
	struct fixture *f = *state;
	fixture_serve(f, GITSERVER_HTTPS);
	SL_AUTO(sl_free_auto) char *pem = gitserver_ca_pem(f->server);
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_CERTIFICATE_REFUSED);
	assert_non_null(strstr(f->result.text, "certificate of 'localhost' is not trusted"));
	job.login.ca_pem = pem;
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, f->first);
	job.login.ca_pem = "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n";
	fixture_expect(f, &job, GIT_CERTIFICATE_REFUSED);
}

static void test_git_fetch_keeps_its_limits(void **state)
{
	struct fixture *f = *state;
	fixture_serve(f, GITSERVER_GIT);
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	job.limits.pack_objects = 3;
	fixture_expect(f, &job, GIT_BUNDLE_TOO_BIG);
	job = fixture_job(f, GIT_RESOLVE);
	job.limits.pack_bytes = 100;
	fixture_expect(f, &job, GIT_BUNDLE_TOO_BIG);
	git_mirror_sweep(f->mirror);
	job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
}

/* A worker without a job, and one that is told nonsense, just ends. */
static void test_git_host_that_hangs_up_is_unreachable(void **state)
{
	struct fixture *f = *state;
	int host = mute_host(f->url, sizeof(f->url), "git");
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct git_job job = fixture_job(f, GIT_LS);
	struct git_worker *worker = NULL;
	assert_int_equal(git_worker_start(&job, &worker, &err), SL_OK);
	int guest = accept(host, NULL, NULL);
	assert_true(guest >= 0);
	(void)close(guest);
	struct pollfd waiting = {.fd = git_worker_fd(worker), .events = POLLIN};
	assert_int_equal(poll(&waiting, 1, 10000), 1);
	assert_true(git_worker_step(worker, NULL, &f->result));
	assert_int_equal(f->result.failure, GIT_REPOSITORY_UNREACHABLE);
	git_worker_free(worker);
	(void)close(host);
}

/* A redirect to another port would take the password with it: nobody is dialled there. */
static void test_git_redirects_are_not_followed(void **state)
{
	static const char form[] =
	    "HTTP/1.1 302 Found\r\nLocation: %s/info/refs?service=git-upload-pack\r\n"
	    "Content-Length: 0\r\nConnection: close\r\n\r\n";
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char elsewhere[GIT_URL_MAX], answer[GIT_URL_MAX + sizeof(form)], request[4096];
	int other = mute_host(elsewhere, sizeof(elsewhere), "http");
	int host = mute_host(f->url, sizeof(f->url), "http");
	struct git_job job = fixture_job(f, GIT_LS);
	job.login.user = "robot";
	job.login.password = "hunter2";
	job.deadline_ms = 10000;
	struct git_worker *worker = NULL;
	assert_int_equal(git_worker_start(&job, &worker, &err), SL_OK);
	int guest = accept(host, NULL, NULL);
	assert_true(guest >= 0);
	assert_true(recv(guest, request, sizeof(request), 0) > 0);
	(void)snprintf(answer, sizeof(answer), form, elsewhere);
	assert_true(send(guest, answer, strlen(answer), MSG_NOSIGNAL) > 0);
	struct pollfd waiting = {.fd = git_worker_fd(worker), .events = POLLIN};
	assert_int_equal(poll(&waiting, 1, 10000), 1);
	assert_true(git_worker_step(worker, NULL, &f->result));
	assert_int_equal(f->result.failure, GIT_REPOSITORY_MOVED);
	struct pollfd dialled = {.fd = other, .events = POLLIN};
	assert_int_equal(poll(&dialled, 1, 0), 0);
	git_worker_free(worker);
	(void)close(guest);
	(void)close(host);
	(void)close(other);
}

static void test_git_workers_share_a_mirror(void **state)
{
	enum { WORKERS = 8 };
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	fixture_serve(f, GITSERVER_GIT);
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	fixture_expect(f, &job, GIT_OK);
	for (int round = 0; round < 3; round++) {
		struct git_worker *workers[WORKERS];
		char text[32];
		(void)snprintf(text, sizeof(text), "round %d\n", round);
		gitrepo_text(&f->repo, "apps/shop/index.html", text);
		gitrepo_commit(&f->repo, text, NULL);
		for (int i = 0; i < WORKERS; i++) {
			assert_int_equal(git_worker_start(&job, &workers[i], &err), SL_OK);
		}
		for (int i = 0; i < WORKERS; i++) {
			struct pollfd waiting = {.fd = git_worker_fd(workers[i]), .events = POLLIN};
			git_result_fini(&f->result);
			while (!git_worker_step(workers[i], NULL, &f->result)) {
				(void)poll(&waiting, 1, 100);
			}
			git_worker_free(workers[i]);
			if (f->result.failure != GIT_OK) {
				fail_msg("%s: %s", git_failure_name(f->result.failure),
					 f->result.text);
			}
		}
	}
}

static bool write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0) {
		(void)close(fd);
	}
	return written;
}

/* A name space of this process's own in which it may mount; it stays who it is. */
static bool enter_name_space(void)
{
	char users[32], groups[32];
	(void)snprintf(users, sizeof(users), "%u %u 1", getuid(), getuid());
	(void)snprintf(groups, sizeof(groups), "%u %u 1", getgid(), getgid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       write_proc("/proc/self/setgroups", "deny") &&
	       write_proc("/proc/self/uid_map", users) && write_proc("/proc/self/gid_map", groups);
}

/* Runs the job with `folder` on a small file system; needs to be allowed to mount one. */
static int run_on_a_small_disk(struct fixture *f, const struct git_job *job, const char *folder)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (!enter_name_space() || mount("none", folder, "tmpfs", 0, "size=512k") != 0) {
		return -1;
	}
	if (git_run(job, NULL, NULL, &f->result, &err) != SL_OK) {
		return -2;
	}
	(void)fprintf(stderr, "%s\n", f->result.text);
	return (int)f->result.failure;
}

static void expect_full(struct fixture *f, const struct git_job *job, const char *folder)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		_exit(run_on_a_small_disk(f, job, folder) & 0xff);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 0xff) {
		print_message("no file system can be mounted here: not tried\n");
		return;
	}
	assert_int_equal(WEXITSTATUS(status), GIT_DISK_FULL);
}

static void test_git_a_full_disk_is_called_so(void **state)
{
	enum { BIG = 2000000 };
	struct fixture *f = *state;
	SL_AUTO(sl_free_auto) uint8_t *big = malloc(BIG);
	assert_non_null(big);
	sl_random(big, BIG);
	gitrepo_write(&f->repo, "big", big, BIG);
	gitrepo_commit(&f->repo, "Big", f->first);
	assert_int_equal(mkdir(f->staging, 0755), 0);
	fixture_serve(f, GITSERVER_GIT);
	struct git_job job = fixture_job(f, GIT_RESOLVE);
	job.path = "";
	char full[600];
	(void)snprintf(full, sizeof(full), "%s/full.git", f->dir);
	assert_int_equal(mkdir(full, 0700), 0);
	fixture_expect(f, &job, GIT_OK);
	job.mirror = full;
	expect_full(f, &job, full);
	job = fixture_job(f, GIT_CHECKOUT);
	job.path = "";
	job.commit = f->first;
	job.staging = f->staging;
	expect_full(f, &job, f->staging);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    TEST(test_git_worker_is_killed_at_its_deadline),
	    TEST(test_git_worker_is_killed_when_the_host_stalls_and_goes_on_later),
	    TEST(test_git_run_stops_when_asked),
	    TEST(test_git_worker_that_is_killed_is_a_failed_attempt),
	    TEST(test_git_worker_that_ends_by_sigkill_had_no_memory),
	    TEST(test_git_worker_inherits_nothing),
	    TEST(test_git_login_is_needed_and_checked),
	    TEST(test_git_https_needs_a_trusted_certificate),
	    TEST(test_git_fetch_keeps_its_limits),
	    TEST(test_git_host_that_hangs_up_is_unreachable),
	    TEST(test_git_redirects_are_not_followed),
	    TEST(test_git_workers_share_a_mirror),
	    TEST(test_git_a_full_disk_is_called_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

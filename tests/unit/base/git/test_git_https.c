/* https: whom workers believe, and what refusals are called. nginx speaks TLS 1.3 only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem/own.h"
#include "tests/unit/base/git/fixture.h"

static void serve(struct fixture *f, const char *names)
{
	f->server = gitserver_new(&(struct gitserver_options){.kind = GITSERVER_HTTPS,
							      .root = f->dir,
							      .user = "robot",
							      .password = "hunter2",
							      .reader = "reader",
							      .names = names});
	(void)gitserver_url(f->server, "origin.git", f->url);
}

static struct git_job job_of(const struct fixture *f, enum git_op op, const char *user,
			     const char *pem)
{
	struct git_job job = fixture_job(f, op);
	job.login = (struct git_login){.user = user, .password = "hunter2", .ca_pem = pem};
	job.commit = op == GIT_PUBLISH ? f->first : "";
	job.ref = op == GIT_PUBLISH ? "refs/tags/sluice/shop/v1" : "";
	job.message = "x\n";
	return job;
}

/* The same host by another name. */
static void use_address(struct fixture *f)
{
	char rest[GIT_URL_MAX];
	(void)snprintf(rest, sizeof(rest), "%s", strstr(f->url, "localhost") + strlen("localhost"));
	(void)snprintf(f->url, sizeof(f->url), "https://127.0.0.1%.900s", rest);
}

static void test_git_https_fetches_and_pushes(void **state)
{
	struct fixture *f = *state;
	serve(f, NULL);
	SL_AUTO(sl_free_auto) char *pem = gitserver_ca_pem(f->server);
	struct git_job job = job_of(f, GIT_RESOLVE, "robot", pem);
	fixture_expect(f, &job, GIT_OK);
	assert_string_equal(f->result.commit, f->first);
	job = job_of(f, GIT_PUBLISH, "robot", pem);
	fixture_expect(f, &job, GIT_OK);
}

static void test_git_https_takes_addresses_that_the_certificate_names(void **state)
{
	struct fixture *f = *state;
	serve(f, "IP:127.0.0.1");
	SL_AUTO(sl_free_auto) char *pem = gitserver_ca_pem(f->server);
	struct git_job job = job_of(f, GIT_LS, "robot", pem);
	fixture_expect(f, &job, GIT_CERTIFICATE_REFUSED);
	assert_non_null(strstr(f->result.text, "hostname mismatch"));
	use_address(f);
	fixture_expect(f, &job, GIT_OK);
}

static void test_git_https_refuses_addresses_that_it_does_not_name(void **state)
{
	struct fixture *f = *state;
	serve(f, NULL);
	use_address(f);
	SL_AUTO(sl_free_auto) char *pem = gitserver_ca_pem(f->server);
	struct git_job job = job_of(f, GIT_LS, "robot", pem);
	fixture_expect(f, &job, GIT_CERTIFICATE_REFUSED);
	assert_non_null(strstr(f->result.text, "IP address mismatch"));
}

static void test_git_https_tells_refusals_apart(void **state)
{
	struct fixture *f = *state;
	serve(f, NULL);
	SL_AUTO(sl_free_auto) char *pem = gitserver_ca_pem(f->server);
	static const struct {
		enum git_op op;
		const char *user;
		bool trusted;
		enum git_failure want;
	} rows[] = {
	    {GIT_LS, "robot", false, GIT_CERTIFICATE_REFUSED},
	    {GIT_LS, "nobody", true, GIT_LOGIN_REFUSED},
	    {GIT_LS, "reader", true, GIT_OK},
	    {GIT_RESOLVE, "reader", true, GIT_OK},
	    {GIT_PUBLISH, "reader", true, GIT_WRITE_REFUSED},
	    {GIT_PUBLISH, "nobody", true, GIT_LOGIN_REFUSED},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct git_job job =
		    job_of(f, rows[i].op, rows[i].user, rows[i].trusted ? pem : NULL);
		fixture_expect(f, &job, rows[i].want);
		assert_null(strstr(f->result.text, "hunter2"));
	}
}

static void test_git_https_stalled_host_ends_at_the_deadline(void **state)
{
	struct fixture *f = *state;
	serve(f, NULL);
	SL_AUTO(sl_free_auto) char *pem = gitserver_ca_pem(f->server);
	gitserver_pause(f->server);
	struct git_job job = job_of(f, GIT_LS, "robot", pem);
	job.deadline_ms = 700;
	fixture_expect(f, &job, GIT_REPOSITORY_UNREACHABLE);
	gitserver_resume(f->server);
}

/* Tokens come with the name that the host wants to see. */
static void test_git_login_user_is_what_hosts_want(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
	    {"https://github.com/acme/app.git", "x-access-token"},
	    {"https://gitlab.com/acme/app.git", "oauth2"},
	    {"https://GitLab.acme.example/app.git", "oauth2"},
	    {"https://bitbucket.org/acme/app.git", "x-token-auth"},
	    {"https://git.acme.example/app.git", "x-access-token"},
	    {"ssh://git.acme.example/app.git", "git"},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		assert_string_equal(git_login_user(rows[i][0]), rows[i][1]);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    CASE(test_git_https_fetches_and_pushes),
	    CASE(test_git_https_takes_addresses_that_the_certificate_names),
	    CASE(test_git_https_refuses_addresses_that_it_does_not_name),
	    CASE(test_git_https_tells_refusals_apart),
	    CASE(test_git_https_stalled_host_ends_at_the_deadline),
	    cmocka_unit_test(test_git_login_user_is_what_hosts_want),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

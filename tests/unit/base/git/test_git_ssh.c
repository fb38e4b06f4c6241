/* ssh: OpenSSH with git-shell, pinned host keys, keys from memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/git/ssh_key.h"
#include "base/mem/own.h"
#include "tests/lib/sshserver.h"
#include "tests/unit/base/git/fixture.h"

struct ssh {
	struct fixture *f;
	struct sshserver *server;
	char host_keys[GIT_HOST_KEYS_SIZE];
};

static int setup(void **state)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct ssh *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	assert_int_equal(fixture_setup((void **)&s->f), 0);
	s->server = sshserver_new();
	(void)sshserver_url(s->server, s->f->repo.bare, s->f->url);
	SL_AUTO(sl_free_auto) char *known = sshserver_known_hosts(s->server);
	if (git_host_keys_read(known, s->f->url, s->host_keys, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct ssh *s = *state;
	sshserver_free(s->server);
	void *fixture = s->f;
	(void)fixture_teardown(&fixture);
	free(s);
	return 0;
}

static struct git_job job_of(const struct ssh *s, enum git_op op, const char *key)
{
	struct git_job job = fixture_job(s->f, op);
	job.login = (struct git_login){.ssh_key = key, .host_keys = s->host_keys};
	job.commit = op == GIT_PUBLISH ? s->f->first : "";
	job.ref = op == GIT_PUBLISH ? "refs/tags/sluice/shop/v1" : "";
	job.message = "x\n";
	return job;
}

static void test_git_ssh_fetches_and_pushes(void **state)
{
	struct ssh *s = *state;
	SL_AUTO(sl_free_auto) char *key = sshserver_key(s->server, SSHSERVER_WRITER);
	struct git_job job = job_of(s, GIT_RESOLVE, key);
	fixture_expect(s->f, &job, GIT_OK);
	assert_string_equal(s->f->result.commit, s->f->first);
	job = job_of(s, GIT_PUBLISH, key);
	fixture_expect(s->f, &job, GIT_OK);
}

static void test_git_ssh_tells_refusals_apart(void **state)
{
	struct ssh *s = *state;
	static const struct {
		enum git_op op;
		enum sshserver_key key;
		enum git_failure want;
	} rows[] = {
	    {GIT_LS, SSHSERVER_READER, GIT_OK},
	    {GIT_RESOLVE, SSHSERVER_READER, GIT_OK},
	    {GIT_PUBLISH, SSHSERVER_READER, GIT_WRITE_REFUSED},
	    {GIT_LS, SSHSERVER_STRANGER, GIT_LOGIN_REFUSED},
	    {GIT_PUBLISH, SSHSERVER_STRANGER, GIT_LOGIN_REFUSED},
	};
	SL_AUTO(sl_free_auto) char *writer = sshserver_key(s->server, SSHSERVER_WRITER);
	struct git_job job = job_of(s, GIT_RESOLVE, writer);
	fixture_expect(s->f, &job, GIT_OK);
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_free_auto) char *key = sshserver_key(s->server, rows[i].key);
		job = job_of(s, rows[i].op, key);
		fixture_expect(s->f, &job, rows[i].want);
		assert_null(strstr(s->f->result.text, "PRIVATE"));
	}
	job = job_of(s, GIT_LS, NULL);
	fixture_expect(s->f, &job, GIT_LOGIN_REFUSED);
	job = job_of(s, GIT_LS, "-----BEGIN OPENSSH PRIVATE KEY-----\nnone\n");
	fixture_expect(s->f, &job, GIT_LOGIN_REFUSED);
}

static void test_git_ssh_knows_its_host(void **state)
{
	struct ssh *s = *state;
	SL_AUTO(sl_free_auto) char *key = sshserver_key(s->server, SSHSERVER_WRITER);
	struct git_job job = job_of(s, GIT_LS, key);
	job.login.host_keys = NULL;
	fixture_expect(s->f, &job, GIT_HOST_KEY_UNKNOWN);
	job.login.host_keys = s->host_keys;
	fixture_expect(s->f, &job, GIT_OK);
	sshserver_rekey(s->server);
	fixture_expect(s->f, &job, GIT_HOST_KEY_CHANGED);
}

static void test_git_ssh_stalled_host_ends_at_the_deadline(void **state)
{
	struct ssh *s = *state;
	SL_AUTO(sl_free_auto) char *key = sshserver_key(s->server, SSHSERVER_WRITER);
	struct git_job job = job_of(s, GIT_LS, key);
	job.deadline_ms = 700;
	sshserver_pause(s->server);
	fixture_expect(s->f, &job, GIT_REPOSITORY_UNREACHABLE);
	sshserver_resume(s->server);
}

static void test_git_ssh_repository_that_is_not_there(void **state)
{
	struct ssh *s = *state;
	SL_AUTO(sl_free_auto) char *key = sshserver_key(s->server, SSHSERVER_WRITER);
	(void)sshserver_url(s->server, "/nowhere/none.git", s->f->url);
	struct git_job job = job_of(s, GIT_LS, key);
	fixture_expect(s->f, &job, GIT_REPOSITORY_UNREACHABLE);
}

/* What is made here is what OpenSSH makes: it logs in. */
static void test_git_ssh_key_that_was_made_here_logs_in(void **state)
{
	struct ssh *s = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *key = NULL;
	char public[GIT_SSH_PUBLIC_SIZE], seen[GIT_SSH_PUBLIC_SIZE];
	assert_int_equal(git_ssh_key_new("sluice-web-push", &key, public, &err), SL_OK);
	assert_int_equal(git_ssh_key_check(key, seen, &err), SL_OK);
	assert_int_equal(strncmp(public, seen, strlen(seen)), 0);
	struct git_job job = job_of(s, GIT_LS_PUSH, key);
	fixture_expect(s->f, &job, GIT_LOGIN_REFUSED);
	sshserver_allow(s->server, public);
	fixture_expect(s->f, &job, GIT_OK);
	job = job_of(s, GIT_PUBLISH, key);
	fixture_expect(s->f, &job, GIT_COMMIT_GONE); /* nothing was fetched yet */
	job = job_of(s, GIT_RESOLVE, key);
	fixture_expect(s->f, &job, GIT_OK);
	job = job_of(s, GIT_PUBLISH, key);
	fixture_expect(s->f, &job, GIT_OK);
}

static void test_git_ssh_keys_are_looked_at_before_they_are_used(void **state)
{
	struct ssh *s = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char public[GIT_SSH_PUBLIC_SIZE];
	static const enum sshserver_key good[] = {SSHSERVER_WRITER, SSHSERVER_READER};
	for (size_t i = 0; i < SL_COUNT(good); i++) {
		SL_AUTO(sl_free_auto) char *key = sshserver_key(s->server, good[i]);
		assert_int_equal(git_ssh_key_check(key, public, &err), SL_OK);
	}
	SL_AUTO(sl_free_auto) char *rsa = sshserver_key(s->server, SSHSERVER_RSA);
	SL_AUTO(sl_free_auto) char *locked = sshserver_key(s->server, SSHSERVER_LOCKED);
	const char *const bad[][2] = {
	    {rsa, "SHA-1"},
	    {locked, "pass phrase"},
	    {"-----BEGIN RSA PRIVATE KEY-----\nx\n", "SHA-1"},
	    {"-----BEGIN PRIVATE KEY-----\nx\n", "ssh-keygen"},
	    {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "cut short"},
	    {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n",
	     "not what"},
	    {"", "ssh-keygen"},
	};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		assert_int_equal(git_ssh_key_check(bad[i][0], public, &err), SL_INVALID_ARGUMENT);
		assert_int_equal(err.reason, SL_REASON_KEY_REFUSED);
		assert_non_null(strstr(err.msg, bad[i][1]));
	}
}

static void test_git_host_keys_are_those_of_the_host(void **state)
{
	static const char ed25519[] =
	    "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
	static const char hex[] =
	    "f83898df0bef57a4ee24985ba598ac17fccb0c0d333cc4af1dd92be14bc23aa5";
	(void)state;
	char out[GIT_HOST_KEYS_SIZE], text[1000];
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	(void)snprintf(text, sizeof(text),
		       "# github.com:22 SSH-2.0\ngithub.com,140.82.121.4 ssh-ed25519 %s\n"
		       "[github.com]:443 ssh-ed25519 %s\nelsewhere.example ssh-ed25519 %s",
		       ed25519, ed25519, ed25519);
	assert_int_equal(git_host_keys_read(text, "ssh://git@github.com/a/b.git", out, &err),
			 SL_OK);
	assert_string_equal(out, hex);
	assert_int_equal(git_host_keys_read(text, "ssh://git@github.com:443/a/b.git", out, &err),
			 SL_OK);
	assert_string_equal(out, hex);
	static const char *const bad[][2] = {
	    {"", "ssh://h/x"},
	    {"other.example ssh-ed25519 AAAA", "ssh://h/x"},
	    {"h ssh-ed25519", "ssh://h/x"},
	    {"h ssh-ed25519 !!!!", "ssh://h/x"},
	    {"h ssh-ed25519 AAA", "ssh://h/x"},
	    {"|1|abc=|def= ssh-ed25519 AAAA", "ssh://h/x"},
	    {"@revoked h ssh-ed25519 AAAA", "ssh://h/x"},
	    {"h ssh-ed25519 AAAA", "ssh://h:2222/x"},
	    {"h ssh-ed25519 AAAA", "https://h/x"},
	};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		assert_int_equal(git_host_keys_read(bad[i][0], bad[i][1], out, &err),
				 SL_INVALID_ARGUMENT);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	int status = 0;
	if (fixture_is_worker(argc, argv, &status)) {
		return status;
	}
	const struct CMUnitTest tests[] = {
	    CASE(test_git_ssh_fetches_and_pushes),
	    CASE(test_git_ssh_tells_refusals_apart),
	    CASE(test_git_ssh_knows_its_host),
	    CASE(test_git_ssh_stalled_host_ends_at_the_deadline),
	    CASE(test_git_ssh_repository_that_is_not_there),
	    CASE(test_git_ssh_key_that_was_made_here_logs_in),
	    CASE(test_git_ssh_keys_are_looked_at_before_they_are_used),
	    cmocka_unit_test(test_git_host_keys_are_those_of_the_host),
	};
	return sl_crypto_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

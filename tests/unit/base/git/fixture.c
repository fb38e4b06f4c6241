#include "tests/unit/base/git/fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

enum { DEADLINE_MS = 60000 };

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->dir = tmpdir_new();
	gitrepo_init(&f->repo, f->dir);
	(void)snprintf(f->url, sizeof(f->url), "file://%s", f->repo.bare);
	(void)snprintf(f->mirror, sizeof(f->mirror), "%s/mirror.git", f->dir);
	(void)snprintf(f->staging, sizeof(f->staging), "%s/staging", f->dir);
	gitrepo_text(&f->repo, "apps/shop/index.html", "<h1>Shop</h1>\n");
	gitrepo_text(&f->repo, "apps/shop/a/b/c.txt", "deep\n");
	gitrepo_text(&f->repo, "apps/shop/a.txt",
		     "comes before a/b in bytes, after a in Git's trees\n");
	gitrepo_text(&f->repo, "apps/shop/sluice.json", "{\"requires\":{}}\n");
	gitrepo_text(&f->repo, "README", "not the app\n");
	gitrepo_commit(&f->repo, "First of all\n\nAnd more.", f->first);
	*state = f;
	return 0;
}

int fixture_setup_git(void **state)
{
	int rc = fixture_setup(state);
	fixture_serve(*state, GITSERVER_GIT);
	return rc;
}

int fixture_setup_http(void **state)
{
	int rc = fixture_setup(state);
	fixture_serve(*state, GITSERVER_HTTP);
	return rc;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	git_result_fini(&f->result);
	gitserver_free(f->server);
	tmpdir_free(f->dir);
	free(f);
	return 0;
}

void fixture_serve(struct fixture *f, enum gitserver_kind kind)
{
	f->server = gitserver_new(&(struct gitserver_options){.kind = kind, .root = f->dir});
	(void)gitserver_url(f->server, "origin.git", f->url);
}

void fixture_hook(const struct fixture *f, const char *name, const char *text)
{
	char path[600];
	(void)snprintf(path, sizeof(path), "%s/hooks/%s", f->repo.bare, name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

struct git_job fixture_job(const struct fixture *f, enum git_op op)
{
	return (struct git_job){
	    .op = op,
	    .mirror = f->mirror,
	    .url = f->url,
	    .allow_local = true,
	    .path = "apps/shop",
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = DEADLINE_MS,
	};
}

enum git_failure fixture_run(struct fixture *f, const struct git_job *job)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	git_result_fini(&f->result);
	if (git_run(job, NULL, NULL, &f->result, &err) != SL_OK) {
		fail_msg("the job cannot be started: %s", err.msg);
	}
	return f->result.failure;
}

void fixture_expect(struct fixture *f, const struct git_job *job, enum git_failure want)
{
	enum git_failure got = fixture_run(f, job);
	if (got != want) {
		fail_msg("is %s (%s: %s) and not %s", git_failure_name(got),
			 git_rule_name(f->result.rule), f->result.text, git_failure_name(want));
	}
	assert_int_equal(f->result.text[0] == '\0', want == GIT_OK);
}

bool fixture_is_worker(int argc, char **argv, int *ret_status)
{
	bool worker = argc > 1 && strcmp(argv[1], "git-worker") == 0;
	if (worker) {
		*ret_status = git_worker_main();
	}
	return worker;
}

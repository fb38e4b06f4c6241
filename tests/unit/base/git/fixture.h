/* fixture: a small app in a repository, a mirror, and jobs on them. */
#ifndef SL_TESTS_UNIT_BASE_GIT_FIXTURE_H
#define SL_TESTS_UNIT_BASE_GIT_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/git/git.h"
#include "tests/lib/gitrepo.h"
#include "tests/lib/gitserver.h"

struct fixture {
	char *dir; /* owned */
	struct gitrepo repo;
	char url[GIT_URL_MAX], mirror[500], staging[500];
	char first[GIT_OID_TEXT]; /* the commit of what fixture_new() writes; main is there */
	struct gitserver *server; /* owned; NULL over file:// */
	struct git_result result; /* of the last job */
};

/* apps/shop: 4 files, one of them sluice.json; README beside it. The URL is file://. */
int fixture_setup(void **state);
int fixture_setup_git(void **state);  /* behind git daemon */
int fixture_setup_http(void **state); /* behind an HTTP server */
int fixture_teardown(void **state);

/* A test over one of them, and over each. */
#define OVER(setup_fn, test) cmocka_unit_test_setup_teardown(test, setup_fn, fixture_teardown)
#define OVER_ALL(test)                                                                             \
	OVER(fixture_setup, test), OVER(fixture_setup_git, test), OVER(fixture_setup_http, test)

/* Puts a server in front of the folder; the URL is its own then. */
void fixture_serve(struct fixture *f, enum gitserver_kind kind);

/* A hook of the bare repository, a script. */
void fixture_hook(const struct fixture *f, const char *name, const char *text);

/* A job on apps/shop with the fixture's URL and mirror, limits and 60 s. */
struct git_job fixture_job(const struct fixture *f, enum git_op op);

/* Runs it to its end; the test fails when it cannot be started. */
enum git_failure fixture_run(struct fixture *f, const struct git_job *job);

/* fixture_run() and compares; prints the text when it is another failure. */
void fixture_expect(struct fixture *f, const struct git_job *job, enum git_failure want);

/* For main(): the child's part, when this is the child. */
bool fixture_is_worker(int argc, char **argv, int *ret_status);

#endif

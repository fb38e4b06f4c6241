#include "tests/bench/git_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/bench/host.h"

enum { FILE_BYTES_MAX = 100 << 10, PATH_BYTES = 600, DATE_S = 1700000000 };

static const char bundle_path[] = "apps/shop";

static void run_job(const struct git_job *job, struct git_result *result, const char *doing)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	need_ok(git_run(job, NULL, NULL, result, &err), &err, doing);
	if (result->failure != GIT_OK) {
		die("%s: %s", doing, result->text);
	}
}

/* --- the repository ---------------------------------------------------------------- */

void git_bench_write(const struct git_bench *g, unsigned number)
{
	static uint8_t bytes[FILE_BYTES_MAX];
	char name[PATH_BYTES];
	sl_random(bytes, g->file_bytes); /* does not compress: 7 MB are 7 MB on the wire */
	(void)snprintf(name, sizeof(name), "%s/asset-%02u.bin", bundle_path, number);
	gitrepo_write(&g->repo, name, bytes, g->file_bytes);
}

void git_bench_publish(struct git_bench *g, unsigned version)
{
	struct git_bundle *bundle = &g->bundles[version];
	struct git_result found = {0}, published = {0};
	gitrepo_commit(&g->repo, "A version", NULL);
	struct git_job job = {
	    .op = GIT_RESOLVE,
	    .mirror = g->mirror,
	    .url = g->url,
	    .allow_local = true,
	    .revision = "",
	    .ref = "main",
	    .path = bundle_path,
	};
	run_job(&job, &found, "resolve");
	(void)snprintf(bundle->ref, sizeof(bundle->ref), "refs/tags/sluice/shop/v%u-%.12s",
		       version + 1, found.tree);
	job.op = GIT_PUBLISH;
	job.revision = NULL;
	job.ref = bundle->ref;
	job.commit = found.commit;
	job.message = "bench";
	job.other_commit = version > 0 ? g->bundles[version - 1].commit : "";
	job.unix_s = DATE_S;
	job.limits.part_bytes = g->part_bytes;
	run_job(&job, &published, "publish");
	memcpy(bundle->commit, published.commit, sizeof(bundle->commit));
	memcpy(bundle->tree, found.tree, sizeof(bundle->tree));
	memcpy(bundle->digest, found.digest, sizeof(bundle->digest));
	git_result_fini(&found);
	git_result_fini(&published);
}

void git_bench_repack(const struct git_bench *g)
{
	gitrepo_git(g->repo.bare, NULL, 0, "repack", "-adq", NULL);
	gitrepo_git(g->repo.bare, NULL, 0, "pack-refs", "--all", NULL);
}

void git_bench_begin(struct git_bench *g, const char *name, unsigned files, size_t file_bytes)
{
	g->file_bytes = file_bytes;
	g->dir = host_path("%s", name);
	g->mirror = host_path("%s/publisher.git", name);
	if (mkdir(g->dir, 0700) != 0) {
		die("cannot make '%s'", g->dir);
	}
	gitrepo_init(&g->repo, g->dir);
	/* Random bytes cannot be made smaller: trying takes minutes of a gigabyte. */
	const char *const repositories[] = {g->repo.work, g->repo.bare};
	for (size_t i = 0; i < SL_COUNT(repositories); i++) {
		gitrepo_git(repositories[i], NULL, 0, "config", "core.compression", "0", NULL);
		gitrepo_git(repositories[i], NULL, 0, "config", "pack.window", "0", NULL);
	}
	const struct gitserver_options options = {.kind = GITSERVER_GIT, .root = g->dir};
	g->server = gitserver_new(&options);
	(void)gitserver_url(g->server, "origin.git", g->url);
	for (unsigned i = 0; i < files; i++) {
		git_bench_write(g, i);
	}
	git_bench_publish(g, 0);
}

void git_bench_end(struct git_bench *g)
{
	gitserver_free(g->server);
	free(g->dir);
	free(g->mirror);
}

void git_bench_next(struct git_bench *g, char name[static GIT_BENCH_NAME])
{
	(void)snprintf(name, GIT_BENCH_NAME, "p%u", g->made++);
}

/* --- both sides ------------------------------------------------------------------------ */

double git_bench_by_agent(struct git_bench *g, const char *name, unsigned version)
{
	const struct git_bundle *bundle = &g->bundles[version];
	char mirror[PATH_BYTES], staging[PATH_BYTES];
	struct git_result result = {0};
	(void)snprintf(mirror, sizeof(mirror), "%s/%s.git", g->dir, name);
	(void)snprintf(staging, sizeof(staging), "%s/%s-v%u", g->dir, name, version);
	if (mkdir(staging, 0700) != 0) {
		die("cannot make '%s'", staging);
	}
	uint64_t started = sl_clock_mono_us();
	const struct git_job fetch = {
	    .op = GIT_FETCH,
	    .mirror = mirror,
	    .url = g->url,
	    .allow_local = true,
	    .ref = bundle->ref,
	    .commit = bundle->commit,
	};
	run_job(&fetch, &result, "fetch");
	g->fetched_bytes[version] = result.fetched_bytes;
	git_result_fini(&result);
	const struct git_job checkout = {
	    .op = GIT_CHECKOUT,
	    .mirror = mirror,
	    .url = "",
	    .commit = bundle->commit,
	    .path = "",
	    .staging = staging,
	    .want_tree = bundle->tree,
	    .want_digest = bundle->digest,
	};
	run_job(&checkout, &result, "checkout");
	double took_ms = (double)(sl_clock_mono_us() - started) / 1000;
	git_result_fini(&result);
	return took_ms;
}

double git_bench_by_git(const struct git_bench *g, const char *name, unsigned version)
{
	char clone[PATH_BYTES];
	(void)snprintf(clone, sizeof(clone), "%s/%s-clone", g->dir, name);
	if (version == 0) {
		gitrepo_git(g->dir, NULL, 0, "init", "-q", clone, NULL);
	}
	uint64_t started = sl_clock_mono_us();
	gitrepo_git(clone, NULL, 0, "fetch", "-q", "--depth=1", g->url, g->bundles[version].ref,
		    NULL);
	gitrepo_git(clone, NULL, 0, "checkout", "-q", "FETCH_HEAD", NULL);
	return (double)(sl_clock_mono_us() - started) / 1000;
}

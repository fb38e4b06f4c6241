/* P14: an agent's fetch and checkout of a bundle, beside what git does for the same ref. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/git/git.h"
#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/lib/gitrepo.h"
#include "tests/lib/gitserver.h"

enum {
	FILES = 70,
	FILE_BYTES = 100 << 10,
	OTHER_TAGS = 10000,
	OTHER_TAGS_QUICK = 500,
	BIG_FILES = 10000, /* with FILE_BYTES each: 1 GB */
	BIG_FILES_QUICK = 500,
	VERSIONS = 2,
	PATH_BYTES = 600,
	DATE_S = 1700000000,
};

static const char bundle_path[] = "apps/shop";
static const char git_does[] = "git fetch --depth=1, checkout";

#define GIT_CLAIM(text)                                                                            \
	{                                                                                          \
		.id = "P14", .what = text, .against = git_does, .unit = "ms", .floor = 1.5,        \
		.aim = 1.1, .less_is_better = true                                                 \
	}
/* [with many tags][version] */
static const struct claim claims[2][VERSIONS] = {
    {GIT_CLAIM("agent: 70 files, 7 MB, fetched and checked out"),
     GIT_CLAIM("the next version, one file changed")},
    {GIT_CLAIM("70 files, 7 MB, beside 10 000 other tags"),
     GIT_CLAIM("the next version, beside 10 000 other tags")},
};

static const struct claim big_claim = {.id = "P14",
				       .what = "10 000 files, 1 GB, fetched and checked out",
				       .against = git_does,
				       .unit = "s",
				       .less_is_better = true};
static const struct claim memory_claim = {.id = "P14",
					  .what = "the same, the agent's Git worker at its peak",
					  .unit = "MiB",
					  .less_is_better = true};

/* A published version. */
struct bundle {
	char commit[GIT_OID_TEXT], tree[GIT_OID_TEXT], ref[GIT_REF_MAX];
	uint8_t digest[SL_HASH_BYTES];
};

struct git_bench {
	struct gitrepo repo;
	struct gitserver *server;
	char url[GITSERVER_URL_SIZE];
	char *dir, *mirror; /* mirror: the one that publishes */
	struct bundle bundles[VERSIONS];
	unsigned made;                    /* mirrors and clones so far */
	uint64_t fetched_bytes[VERSIONS]; /* by an agent, the last time */
};

static void run_job(const struct git_job *job, struct git_result *result, const char *doing)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	need_ok(git_run(job, NULL, NULL, result, &err), &err, doing);
	if (result->failure != GIT_OK) {
		die("%s: %s", doing, result->text);
	}
}

/* --- the repository ---------------------------------------------------------------- */

static void write_file(const struct git_bench *g, unsigned number)
{
	static uint8_t bytes[FILE_BYTES];
	char name[PATH_BYTES];
	sl_random(bytes, sizeof(bytes)); /* does not compress: 7 MB are 7 MB on the wire */
	(void)snprintf(name, sizeof(name), "%s/asset-%02u.bin", bundle_path, number);
	gitrepo_write(&g->repo, name, bytes, sizeof(bytes));
}

/* What the server does when a version is sealed. */
static void publish(struct git_bench *g, unsigned version)
{
	struct bundle *bundle = &g->bundles[version];
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
	run_job(&job, &published, "publish");
	memcpy(bundle->commit, published.commit, sizeof(bundle->commit));
	memcpy(bundle->tree, found.tree, sizeof(bundle->tree));
	memcpy(bundle->digest, found.digest, sizeof(bundle->digest));
	git_result_fini(&found);
	git_result_fini(&published);
}

static void repack(const struct git_bench *g)
{
	gitrepo_git(g->repo.bare, NULL, 0, "repack", "-adq", NULL);
	gitrepo_git(g->repo.bare, NULL, 0, "pack-refs", "--all", NULL);
}

static void add_other_tags(const struct git_bench *g, unsigned count)
{
	struct sl_buf stream = {0};
	for (unsigned i = 0; i < count; i++) {
		char text[32];
		int size = snprintf(text, sizeof(text), "bundle %u\n", i);
		sl_buf_printf(&stream,
			      "commit refs/tags/sluice/other-%u/v%u-0123456789ab\n"
			      "committer sluice <sluice@localhost> %d +0000\n"
			      "data 6\nother\nM 100644 inline index.html\ndata %d\n%s\n",
			      i % 100, i, DATE_S, size, text);
	}
	gitrepo_feed(g->repo.bare, stream.data, stream.size, NULL, 0, "fast-import", "--quiet",
		     NULL);
	sl_buf_fini(&stream);
	repack(g);
}

/* With what `version` 0 is made of. */
static void make_repository(struct git_bench *g, const char *name, unsigned files)
{
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
		write_file(g, i);
	}
	publish(g, 0);
}

static void end_repository(struct git_bench *g)
{
	gitserver_free(g->server);
	free(g->dir);
	free(g->mirror);
}

/* --- both sides ------------------------------------------------------------------------ */

/* As agent/pull does it. Returns milliseconds. */
static double pull_by_agent(struct git_bench *g, const char *name, unsigned version)
{
	const struct bundle *bundle = &g->bundles[version];
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

static double pull_by_git(const struct git_bench *g, const char *name, unsigned version)
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

static void measure(struct bench *bench, struct git_bench *g, const struct claim *pair_claims)
{
	double agent_ms[VERSIONS][PAIRS_MAX], git_ms[VERSIONS][PAIRS_MAX];
	/* Short: more of them cost little. */
	size_t pairs = bench->options.pairs * 3 < PAIRS_MAX ? bench->options.pairs * 3 : PAIRS_MAX;
	for (size_t p = 0; p < pairs; p++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "p%u", g->made++);
		for (unsigned version = 0; version < VERSIONS; version++) {
			sync(); /* nobody pays for what others wrote */
			agent_ms[version][p] = pull_by_agent(g, name, version);
			sync();
			git_ms[version][p] = pull_by_git(g, name, version);
			(void)fprintf(stderr, "  P14 v%u: agent %.0f ms, git %.0f ms\n",
				      version + 1, agent_ms[version][p], git_ms[version][p]);
		}
	}
	for (unsigned version = 0; version < VERSIONS; version++) {
		report_add(bench->report, &pair_claims[version], "free", agent_ms[version],
			   git_ms[version], pairs);
	}
}

/* In a process of its own, so that what the kernel says of its children is of this worker. */
static double pull_apart(struct git_bench *g, double *ret_peak_mib)
{
	double found[2] = {0};
	int fds[2];
	pid_t pid = pipe(fds) == 0 ? fork() : -1;
	if (pid == 0) {
		struct rusage usage;
		found[0] = pull_by_agent(g, "big", 0) / 1000;
		(void)getrusage(RUSAGE_CHILDREN, &usage);
		found[1] = (double)usage.ru_maxrss / 1024;
		_exit(write(fds[1], found, sizeof(found)) == sizeof(found) ? 0 : 1);
	}
	int status = 1;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 ||
	    read(fds[0], found, sizeof(found)) != sizeof(found)) {
		die("the pull of a big bundle failed");
	}
	(void)close(fds[0]);
	(void)close(fds[1]);
	*ret_peak_mib = found[1];
	return found[0];
}

static void measure_big(struct bench *bench)
{
	struct git_bench g = {0};
	double peak_mib = 0;
	make_repository(&g, "git-big", bench->options.quick ? BIG_FILES_QUICK : BIG_FILES);
	repack(&g);
	sync();
	double agent_s = pull_apart(&g, &peak_mib);
	sync();
	double git_s = pull_by_git(&g, "big", 0) / 1000;
	report_add(bench->report, &big_claim, "free", &agent_s, &git_s, 1);
	report_add(bench->report, &memory_claim, "free", &peak_mib, NULL, 1);
	end_repository(&g);
}

void row_git(struct bench *bench)
{
	struct git_bench g = {0};
	make_repository(&g, "git", FILES);
	write_file(&g, FILES / 2);
	publish(&g, 1);
	repack(&g);
	measure(bench, &g, claims[0]);
	add_other_tags(&g, bench->options.quick ? OTHER_TAGS_QUICK : OTHER_TAGS);
	measure(bench, &g, claims[1]);
	report_note(bench->report,
		    "P14: over git daemon; the agent's side starts two confined workers, verifies "
		    "tree and digest, makes its mirror, and syncs the files to disk; git's side "
		    "does none of these");
	report_note(bench->report,
		    "P14: the agent fetches %llu KiB of the first version, %llu of the next",
		    (unsigned long long)(g.fetched_bytes[0] >> 10),
		    (unsigned long long)(g.fetched_bytes[1] >> 10));
	end_repository(&g);
	measure_big(bench);
}

/* P14: an agent's fetch and checkout of a bundle, beside what git does for the same ref. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/bench/git_bench.h"
#include "tests/bench/rows.h"

enum {
	FILES = 70,
	FILE_BYTES = 100 << 10,
	OTHER_TAGS = 10000,
	OTHER_TAGS_QUICK = 500,
	BIG_FILES = 10000, /* with FILE_BYTES each: 1 GB */
	BIG_FILES_QUICK = 500,
	VERSIONS = GIT_BENCH_VERSIONS,
	DATE_S = 1700000000,
};

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

#define BIG_CLAIM(text, of, other)                                                                 \
	{                                                                                          \
		.id = "P14", .what = text, .unit = of, .against = other, .less_is_better = true    \
	}
static const struct claim big_claims[] = {
    BIG_CLAIM("10 000 files, 1 GB, fetched and checked out", "s", git_does),
    BIG_CLAIM("the same, the agent's Git worker at its peak", "MiB", NULL),
    BIG_CLAIM("the same without parts, in one piece", "s", NULL),
    BIG_CLAIM("in one piece, the worker at its peak", "MiB", NULL),
};

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
	git_bench_repack(g);
}

static void measure(struct bench *bench, struct git_bench *g, const struct claim *pair_claims)
{
	double agent_ms[VERSIONS][PAIRS_MAX], git_ms[VERSIONS][PAIRS_MAX];
	/* Short: more of them cost little. */
	size_t pairs = bench->options.pairs * 3 < PAIRS_MAX ? bench->options.pairs * 3 : PAIRS_MAX;
	for (size_t p = 0; p < pairs; p++) {
		char name[GIT_BENCH_NAME];
		git_bench_next(g, name);
		for (unsigned version = 0; version < VERSIONS; version++) {
			sync(); /* nobody pays for what others wrote */
			agent_ms[version][p] = git_bench_by_agent(g, name, version);
			sync();
			git_ms[version][p] = git_bench_by_git(g, name, version);
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
static double pull_apart(struct git_bench *g, const char *name, unsigned version,
			 double *ret_peak_mib)
{
	double found[2] = {0};
	int fds[2];
	pid_t pid = pipe(fds) == 0 ? fork() : -1;
	if (pid == 0) {
		struct rusage usage;
		found[0] = git_bench_by_agent(g, name, version) / 1000;
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
	double ours[SL_COUNT(big_claims)]; /* s and MiB in parts, s and MiB in one piece */
	git_bench_begin(&g, "git-big", bench->options.quick ? BIG_FILES_QUICK : BIG_FILES,
			FILE_BYTES);
	git_bench_write(&g, 0);
	g.part_bytes = UINT64_MAX; /* the second version has no parts */
	git_bench_publish(&g, 1);
	git_bench_repack(&g);
	sync();
	ours[0] = pull_apart(&g, "big", 0, &ours[1]);
	sync();
	ours[2] = pull_apart(&g, "whole", 1, &ours[3]);
	sync();
	double git_s = git_bench_by_git(&g, "big", 0) / 1000;
	for (size_t i = 0; i < SL_COUNT(big_claims); i++) {
		const double *against = big_claims[i].against != NULL ? &git_s : NULL;
		report_add(bench->report, &big_claims[i], "free", &ours[i], against, 1);
	}
	git_bench_end(&g);
}

void row_git(struct bench *bench)
{
	struct git_bench g = {0};
	git_bench_begin(&g, "git", FILES, FILE_BYTES);
	git_bench_write(&g, FILES / 2);
	git_bench_publish(&g, 1);
	git_bench_repack(&g);
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
	git_bench_end(&g);
	measure_big(bench);
}

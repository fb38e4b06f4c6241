/* push: a folder that is pushed, and a version that is pulled, beside what git does; by the number
 * of files. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "tests/bench/cli.h"
#include "tests/bench/die.h"
#include "tests/bench/git_bench.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/lib/process.h"

enum { FILE_BYTES = 4096, SIZES = 3, PATH_BYTES = 600, COPY_MS = 60000 };
static const unsigned sizes[SIZES] = {10, 1000, 10000}, quick_sizes[SIZES] = {10, 20, 30};

#define AGAINST(text, other)                                                                       \
	{                                                                                          \
		.id = "push", .what = text, .against = other, .unit = "ms", .less_is_better = true \
	}
#define PUSH(text) AGAINST(text, "git add, commit, push")
#define PULL(text) AGAINST(text, "git fetch --depth=1, checkout")
enum { FIRST, NEXT, STEPS };
static const struct claim push_claims[SIZES][STEPS] = {
    {PUSH("sluice push, 10 files of 4 KiB"), PUSH("the same with one changed")},
    {PUSH("sluice push, 1 000 files"), PUSH("the same with one changed")},
    {PUSH("sluice push, 10 000 files"), PUSH("the same with one changed")},
};
static const struct claim pull_claims[SIZES][STEPS] = {
    {PULL("an agent's pull, 10 files of 4 KiB"), PULL("the next version, one changed")},
    {PULL("an agent's pull, 1 000 files"), PULL("the next version, one changed")},
    {PULL("an agent's pull, 10 000 files"), PULL("the next version, one changed")},
};

static void copy_files(const char *from, const char *to)
{
	char all[PATH_BYTES];
	(void)snprintf(all, sizeof(all), "%s/.", from);
	const char *const args[] = {"-a", all, to, NULL};
	const struct process_options options = {.program = "cp", .args = args};
	if (process_run(&options, COPY_MS, NULL, NULL) != 0) {
		die("cannot copy '%s'", from);
	}
}

/* One repository for each side, both with one commit that has a file of no app. */
static double push_by_git(const struct gitrepo *repo, const char *folder)
{
	char app[PATH_BYTES];
	(void)snprintf(app, sizeof(app), "%s/apps/shop", repo->work);
	copy_files(folder, app);
	sync();
	uint64_t started = sl_clock_mono_us();
	gitrepo_git(repo->work, NULL, 0, "add", "-A", NULL);
	gitrepo_git(repo->work, NULL, 0, "commit", "-q", "-m", "Changed", NULL);
	gitrepo_git(repo->work, NULL, 0, "push", "-q", "origin", "HEAD:main", NULL);
	return (double)(sl_clock_mono_us() - started) / 1000;
}

static void begin_repository(struct gitrepo *repo, const char *dir)
{
	char app[PATH_BYTES];
	if (mkdir(dir, 0700) != 0) {
		die("cannot make '%s'", dir);
	}
	gitrepo_init(repo, dir);
	gitrepo_text(repo, "apps/shop/first.txt", "first\n");
	gitrepo_commit(repo, "First", NULL);
	(void)snprintf(app, sizeof(app), "%s/apps/shop", repo->work);
	if (access(app, F_OK) != 0) {
		die("no folder '%s'", app);
	}
}

static void write_file(const char *folder, unsigned number)
{
	uint8_t bytes[FILE_BYTES];
	char path[PATH_BYTES];
	(void)snprintf(path, sizeof(path), "%s/asset-%05u.bin", folder, number);
	sl_random(bytes, sizeof(bytes));
	FILE *file = fopen(path, "we");
	if (file == NULL || fwrite(bytes, 1, sizeof(bytes), file) != sizeof(bytes) ||
	    fclose(file) != 0) {
		die("cannot write '%s'", path);
	}
}

/* Two hosts below one folder: one that Sluice pushes to, one that git does, over git daemon both.
 */
struct sides {
	struct gitrepo ours, theirs;
	struct gitserver *host;
	char *dir, *folder; /* folder: what is pushed */
};

static void begin_sides(struct sides *s, unsigned number)
{
	char url[GITSERVER_URL_SIZE], path[PATH_BYTES];
	s->dir = host_path("push-%u", number);
	s->folder = host_path("push-%u/folder", number);
	if (mkdir(s->dir, 0700) != 0 || mkdir(s->folder, 0700) != 0) {
		die("cannot make '%s'", s->dir);
	}
	(void)snprintf(path, sizeof(path), "%s/ours", s->dir);
	begin_repository(&s->ours, path);
	(void)snprintf(path, sizeof(path), "%s/theirs", s->dir);
	begin_repository(&s->theirs, path);
	const struct gitserver_options options = {.kind = GITSERVER_GIT, .root = s->dir};
	s->host = gitserver_new(&options);
	(void)gitserver_url(s->host, "theirs/origin.git", url);
	gitrepo_git(s->theirs.work, NULL, 0, "remote", "set-url", "origin", url, NULL);
}

static void end_sides(struct sides *s)
{
	gitserver_free(s->host);
	host_remove(s->dir);
	free(s->dir);
	free(s->folder);
}

static void measure_push(struct bench *bench, size_t size)
{
	SL_AUTO(sl_free_auto) char *data = host_path("push-data");
	unsigned files = bench->options.quick ? quick_sizes[size] : sizes[size];
	size_t pairs = bench->options.pairs;
	double ours_ms[STEPS][PAIRS_MAX], git_ms[STEPS][PAIRS_MAX];
	for (size_t p = 0; p < pairs; p++) {
		struct sides s = {0};
		char url[GITSERVER_URL_SIZE];
		begin_sides(&s, (unsigned)p);
		struct bench_server server = servers_sluiced(data, false);
		(void)gitserver_url(s.host, "ours/origin.git", url);
		cli_run(server.port, "app", "create", "shop", "--repo", url, NULL);
		for (unsigned i = 0; i < files; i++) {
			write_file(s.folder, i);
		}
		for (unsigned step = 0; step < STEPS; step++) {
			if (step == NEXT) {
				write_file(s.folder, files / 2);
			}
			sync(); /* nobody pays for what others wrote */
			ours_ms[step][p] = cli_run(server.port, "push", s.folder, "--app", "shop",
						   "-m", "Changed", NULL);
			git_ms[step][p] = push_by_git(&s.theirs, s.folder);
			(void)fprintf(stderr, "  push of %u files, step %u: %.0f ms, git %.0f ms\n",
				      files, step + 1, ours_ms[step][p], git_ms[step][p]);
		}
		servers_stop(&server);
		host_remove(data);
		end_sides(&s);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		report_add(bench->report, &push_claims[size][step], "free", ours_ms[step],
			   git_ms[step], pairs);
	}
}

static void measure_pull(struct bench *bench, size_t size)
{
	struct git_bench g = {0};
	char name[GIT_BENCH_NAME];
	unsigned files = bench->options.quick ? quick_sizes[size] : sizes[size];
	double agent_ms[STEPS][PAIRS_MAX], git_ms[STEPS][PAIRS_MAX];
	(void)snprintf(name, sizeof(name), "pull-%u", files);
	git_bench_begin(&g, name, files, FILE_BYTES);
	git_bench_write(&g, files / 2);
	git_bench_publish(&g, 1);
	git_bench_repack(&g);
	for (size_t p = 0; p < bench->options.pairs; p++) {
		git_bench_next(&g, name);
		for (unsigned version = 0; version < GIT_BENCH_VERSIONS; version++) {
			sync();
			agent_ms[version][p] = git_bench_by_agent(&g, name, version);
			sync();
			git_ms[version][p] = git_bench_by_git(&g, name, version);
		}
	}
	for (unsigned step = 0; step < STEPS; step++) {
		report_add(bench->report, &pull_claims[size][step], "free", agent_ms[step],
			   git_ms[step], bench->options.pairs);
	}
	git_bench_end(&g);
}

void row_push(struct bench *bench)
{
	for (size_t size = 0; size < SIZES; size++) {
		measure_push(bench, size);
		measure_pull(bench, size);
		report_follow(bench->report);
	}
	report_note(
	    bench->report,
	    "push: over git daemon; sluice's side sends the folder to the server, which "
	    "checks it, writes it down, fetches the branch, commits and pushes, and says so; "
	    "git's side has the repository and the work tree at hand");
}

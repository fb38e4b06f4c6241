/* updates: what it costs to ask for updates, by how many apps are in the repository. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "sluice/v1/app.pb-c.h"
#include "sluice/v1/fleet.pb-c.h"
#include "tests/bench/cli.h"
#include "tests/bench/die.h"
#include "tests/bench/fleet_calls.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/lib/gitrepo.h"
#include "tests/lib/gitserver.h"

enum { COUNTS = 3, COMMITS = 20, TEXT_BYTES = 64 };
static const unsigned counts[COUNTS] = {1, 100, 1000}, quick_counts[COUNTS] = {1, 2, 3};

#define CLAIM(text)                                                                                \
	{                                                                                          \
		.id = "updates", .what = text, .against = "1 app", .unit = "ms",                   \
		.less_is_better = true                                                             \
	}
enum { STEP, NEWS, ASKED };
static const struct claim claims[COUNTS][ASKED] = {
    {CLAIM("updates INSTANCE APP, 1 app in the repository"), CLAIM("updates --app APP")},
    {CLAIM("updates INSTANCE APP, 100 apps in it"), CLAIM("updates --app APP")},
    {CLAIM("updates INSTANCE APP, 1 000 apps in it"), CLAIM("updates --app APP")},
};

/* Each has a folder; the one that is asked about has all the commits but the first. */
static void make_repository(struct gitrepo *repo, const char *dir, unsigned apps)
{
	char path[TEXT_BYTES], text[TEXT_BYTES];
	if (mkdir(dir, 0700) != 0) {
		die("cannot make '%s'", dir);
	}
	gitrepo_init(repo, dir);
	for (unsigned i = 0; i < apps; i++) {
		(void)snprintf(path, sizeof(path), "apps/app-%u/index.html", i);
		(void)snprintf(text, sizeof(text), "app %u\n", i);
		gitrepo_text(repo, path, text);
	}
	gitrepo_commit(repo, "First", NULL);
}

static void commit_more(const struct gitrepo *repo)
{
	char text[TEXT_BYTES];
	for (unsigned i = 0; i < COMMITS; i++) {
		(void)snprintf(text, sizeof(text), "step %u\n", i);
		gitrepo_text(repo, "apps/app-0/index.html", text);
		gitrepo_commit(repo, text, NULL);
	}
}

static void create_apps(int port, const char *url, unsigned apps)
{
	char name[TEXT_BYTES];
	for (unsigned i = 0; i < apps; i++) {
		Sluice__V1__CreateAppRequest create = SLUICE__V1__CREATE_APP_REQUEST__INIT;
		(void)snprintf(name, sizeof(name), "app-%u", i);
		create.name = name;
		create.repository_url = (char *)url;
		create.no_commit = true;
		fleet_call(port, "/sluice.v1.AppService/CreateApp", &create.base);
	}
	for (unsigned i = 0; i < apps; i++) {
		(void)snprintf(name, sizeof(name), "app-%u", i);
		cli_run(port, "wait", name, "v1", "--content", NULL);
	}
}

static double check_step(int port)
{
	Sluice__V1__CheckForUpdatesRequest check = SLUICE__V1__CHECK_FOR_UPDATES_REQUEST__INIT;
	check.instance = (char *)"dev";
	check.app = (char *)"app-0";
	uint64_t started = sl_clock_mono_us();
	fleet_call(port, "/sluice.v1.FleetService/CheckForUpdates", &check.base);
	return (double)(sl_clock_mono_us() - started) / 1000;
}

static double check_news(int port)
{
	Sluice__V1__ListNewCommitsRequest list = SLUICE__V1__LIST_NEW_COMMITS_REQUEST__INIT;
	list.app = (char *)"app-0";
	uint64_t started = sl_clock_mono_us();
	fleet_call(port, "/sluice.v1.AppService/ListNewCommits", &list.base);
	return (double)(sl_clock_mono_us() - started) / 1000;
}

static void measure(struct bench *bench, unsigned apps, double ret_ms[ASKED][PAIRS_MAX])
{
	SL_AUTO(sl_free_auto) char *data = host_path("updates-data");
	SL_AUTO(sl_free_auto) char *dir = host_path("updates-git");
	struct gitrepo repo;
	char url[GITSERVER_URL_SIZE];
	make_repository(&repo, dir, apps);
	const struct gitserver_options options = {.kind = GITSERVER_GIT, .root = dir};
	struct gitserver *host = gitserver_new(&options);
	struct bench_server server = servers_sluiced(data, false);
	cli_run(server.port, "instance", "add", "dev", "--env", "development", "--pull", "manual",
		NULL);
	create_apps(server.port, gitserver_url(host, "origin.git", url), apps);
	commit_more(&repo);
	(void)check_news(server.port); /* fetches what is new */
	for (size_t p = 0; p < bench->options.pairs; p++) {
		ret_ms[STEP][p] = check_step(server.port);
		ret_ms[NEWS][p] = check_news(server.port);
	}
	servers_stop(&server);
	gitserver_free(host);
	host_remove(data);
	host_remove(dir);
}

void row_updates(struct bench *bench)
{
	double ms[COUNTS][ASKED][PAIRS_MAX];
	for (size_t i = 0; i < COUNTS; i++) {
		measure(bench, bench->options.quick ? quick_counts[i] : counts[i], ms[i]);
		for (size_t asked = 0; asked < ASKED; asked++) {
			report_add(bench->report, &claims[i][asked], "free", ms[i][asked],
				   ms[0][asked], bench->options.pairs);
		}
		report_follow(bench->report);
	}
	report_note(bench->report,
		    "updates: over git daemon; the app has %d commits that no version has; each "
		    "question runs git work in a process of its own, --app asks the host as well",
		    COMMITS);
}

/* bench: measures Sluice beside etcd, a bare C core server, raw LMDB and git, all
 * on this machine in one run. Timed figures are reported, never judged by a test. */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/flags/flags.h"
#include "base/git/git.h"
#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/bench/host.h"
#include "tests/bench/rows.h"
#include "tests/bench/secure.h"
#include "tests/bench/seed.h"

enum { EXIT_ODD = 3, EXIT_USAGE = 64 };

struct row {
	const char *ids; /* "P1,P2" */
	void (*run)(struct bench *bench);
	bool calls; /* compares calls: wants the servers, and runs pinned and free */
	const char *what;
};

static const struct row rows[] = {
    {"disk", row_disk, false, "fdatasync and LMDB alone"},
    {"P1,P2", row_writes, true, "writes, 100 in flight: rate and p99"},
    {"P3", row_one_write, true, "writes, one at a time"},
    {"P4", row_reads, true, "reads, 100 in flight"},
    {"P5,P6", row_memory, false, "memory of a connected agent: over mTLS, in the clear"},
    {"P7,P12", row_fleet, false, "ten thousand agents: connecting, memory, heartbeats, a release"},
    {"P8", row_return, false, "the server is killed: how soon all agents are back"},
    {"P9", row_delivery, false, "changes delivered to many watchers"},
    {"P10", row_fanout, false, "a promotion told to all agents"},
    {"P11", row_bot, false, "a change seen by one watching bot"},
    {"P13", row_start, false, "start on a large store"},
    {"P14", row_git, false, "an agent's fetch and checkout"},
    {"P15", row_stalled, false, "watchers that never read"},
    {"P16", row_plans, false, "plans, and the status of an app on all instances"},
    {"G", row_growth, false,
     "how cost grows with apps, versions, log records, instances, watchers"},
    {"T", row_transport, false, "what mTLS and authorisation cost a write and a read"},
    {"P17", row_size, false, "an idle agent's memory; stripped binaries"},
    {"push", row_push, false, "pushes and pulls of 10, 1 000, 10 000 files, against git"},
    {"config", row_config, false,
     "plans of what requires 1 600 names; a changed constant told to 1 000 agents"},
    {"updates", row_updates, false, "a check for updates beside 1, 100, 1 000 apps"},
    {"turns", row_turns, false,
     "200 agents pull a release from one Git host, with turns and without"},
};

/* clang-format off */
#define AT(field) offsetof(struct bench_options, field)
static const struct sl_flag flags[] = {
	{ .name = "rows", .kind = SL_FLAG_TEXT, .offset = AT(rows), .placeholder = "P1,P3",
	  .help = "Only these rows, commas between; all when not given. 'disk' is one of them." },
	{ .name = "pairs", .kind = SL_FLAG_INT, .offset = AT(pairs), .fallback = "5", .min = 1, .max = PAIRS_MAX,
	  .help = "Interleaved pairs that are measured of each row." },
	{ .name = "seconds", .kind = SL_FLAG_DURATION, .offset = AT(run_ms), .fallback = "10s", .min = 200, .max = 600000,
	  .help = "How long each side of a pair is measured." },
	{ .name = "warmup", .kind = SL_FLAG_DURATION, .offset = AT(warmup_ms), .fallback = "2s", .max = 600000,
	  .help = "How long each side runs before it is measured." },
	{ .name = "cores", .kind = SL_FLAG_TEXT, .offset = AT(mode), .fallback = "both", .choices = "both|pinned|free",
	  .help = "Rows that compare calls: server on one core and generator on another (pinned), as the kernel likes (free), or both." },
	{ .name = "records", .kind = SL_FLAG_INT, .offset = AT(records), .fallback = "1000000", .min = 25000, .max = 100000000,
	  .help = "Log records in the seeded store." },
	{ .name = "agents", .kind = SL_FLAG_INT, .offset = AT(agents), .fallback = "5000", .min = 1, .max = 20000,
	  .help = "Connected agents of P5, P6, P8 and P10." },
	{ .name = "fleet", .kind = SL_FLAG_INT, .offset = AT(fleet), .fallback = "10000", .min = 1, .max = 19000,
	  .help = "Connected agents of P7 and P12." },
	{ .name = "watchers", .kind = SL_FLAG_INT, .offset = AT(watchers), .fallback = "1000", .min = 1, .max = 4000,
	  .help = "Watchers of P9." },
	{ .name = "tls", .kind = SL_FLAG_BOOL, .offset = AT(tls),
	  .help = "Measure over mTLS (P-256, TLS 1.3), all servers alike: P5 then takes the place of P6." },
	{ .name = "quick", .kind = SL_FLAG_BOOL, .offset = AT(quick),
	  .help = "Smoke run: one pair of 2 s, a small store, few agents. The figures mean nothing." },
	{ .name = "dir", .kind = SL_FLAG_TEXT, .offset = AT(dir), .fallback = "/var/tmp", .min = 1, .max = 200, .placeholder = "DIR",
	  .help = "Where the scratch folder is made: the filesystem that is measured." },
	{ .name = "seed", .kind = SL_FLAG_TEXT, .offset = AT(seed), .max = 200, .placeholder = "DIR",
	  .help = "Keep the seeded store here, and use the one that is there; else it is made anew and removed." },
	{ .name = "json", .kind = SL_FLAG_TEXT, .offset = AT(json), .max = 4000, .placeholder = "FILE",
	  .help = "Write all figures there too." },
	{ 0 },
};
/* clang-format on */

static bool wanted(const struct bench *bench, const char *ids)
{
	const char *list = bench->options.rows;
	bool all = list[0] == '\0';
	for (size_t length; *list != '\0' && !all; list += length + (list[length] == ',')) {
		length = strcspn(list, ",");
		const char *at = ids;
		for (size_t size; *at != '\0'; at += size + (at[size] == ',')) {
			size = strcspn(at, ",");
			all = all || (size == length && strncasecmp(at, list, length) == 0);
		}
	}
	return all;
}

/* --- the store and the servers -------------------------------------------------------- */

static void make_seed(const char *path, const struct seed_shape *shape)
{
	uint64_t started = sl_clock_mono_ms();
	(void)fprintf(stderr, "seeding %lu log records ...\n", (unsigned long)shape->records);
	seed_write(path, shape);
	(void)fprintf(stderr, "seeded in %lu ms\n", (unsigned long)(sl_clock_mono_ms() - started));
}

static char *copy_of(const char *seed, const char *name, const struct seed_shape *shape)
{
	char *path = host_path("%s", name);
	if (access(seed, F_OK) != 0) {
		make_seed(seed, shape);
	}
	host_copy(seed, path);
	return path;
}

static char *with_keys(const struct bench *bench, char *store)
{
	if (bench->options.tls) {
		secure_init(store);
	}
	return store;
}

const char *bench_transport(const struct bench *bench)
{
	return bench->options.tls ? "over mTLS" : "in the clear";
}

char *bench_store_clear(struct bench *bench, const char *name)
{
	const char *kept = bench->options.seed;
	const struct seed_shape shape = {SEED_APPS, SEED_VERSIONS, bench->options.records};
	SL_AUTO(sl_free_auto)
	char *seed = kept[0] != '\0' ? need(strdup(kept)) : host_path("seed");
	return copy_of(seed, name, &shape);
}

char *bench_store(struct bench *bench, const char *name)
{
	return with_keys(bench, bench_store_clear(bench, name));
}

char *bench_store_of(struct bench *bench, const char *name, const struct seed_shape *shape)
{
	const char *kept = bench->options.seed;
	char suffix[80];
	(void)snprintf(suffix, sizeof(suffix), "-%u-%u-%lu", shape->apps, shape->versions,
		       (unsigned long)shape->records);
	SL_AUTO(sl_free_auto) char *seed = NULL;
	if (kept[0] == '\0') {
		seed = host_path("seed%s", suffix);
	} else if (asprintf(&seed, "%s%s", kept, suffix) < 0) {
		die("out of memory");
	}
	return with_keys(bench, copy_of(seed, name, shape));
}

/* What a reply to the measured read weighs: the bare server answers as much. */
static size_t probe_read(const struct bench *bench)
{
	struct calls *calls = calls_sluice_read(bench->sluiced.port, 1, 1);
	const struct load_target *target = calls_target(calls);
	struct load_request request;
	struct sl_buf reply = {0};
	char text[200];
	target->next(target->ctx, 0, &request);
	if (load_call(target->port, target->methods[0], SL_BYTES(request.data, request.size),
		      &reply, text) != 0) {
		die("GetVersion: %s", text);
	}
	size_t size = reply.size;
	sl_buf_fini(&reply);
	calls_free(calls);
	return size;
}

static void run_with_servers(struct bench *bench, bool pinned)
{
	SL_AUTO(sl_free_auto) char *store = bench_store(bench, "store");
	SL_AUTO(sl_free_auto) char *etcd = host_path("etcd");
	bench->pinned = pinned;
	bench->sluiced = servers_sluiced(store, pinned);
	bench->etcd = servers_etcd(etcd, pinned, bench->keys);
	bench->read_bytes = probe_read(bench);
	bench->bare = servers_bare(bench->read_bytes, pinned, bench->keys);
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		if (rows[i].calls && wanted(bench, rows[i].ids)) {
			rows[i].run(bench);
			report_follow(bench->report);
		}
	}
	servers_stop(&bench->bare);
	servers_stop(&bench->etcd);
	servers_stop(&bench->sluiced);
	host_remove(store);
	host_remove(etcd);
}

static bool wants_servers(const struct bench *bench)
{
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		if (rows[i].calls && wanted(bench, rows[i].ids)) {
			return true;
		}
	}
	return false;
}

static void run_rows(struct bench *bench)
{
	const char *mode = bench->options.mode;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		if (!rows[i].calls && wanted(bench, rows[i].ids)) {
			rows[i].run(bench);
			report_follow(bench->report);
		}
	}
	if (wants_servers(bench) && strcmp(mode, "free") != 0) {
		run_with_servers(bench, true);
	}
	if (wants_servers(bench) && strcmp(mode, "pinned") != 0) {
		run_with_servers(bench, false);
	}
}

/* --- the program ------------------------------------------------------------------------ */

static void print_help(void)
{
	(void)printf("Usage: bazel run -c opt //tests/bench -- [flags]\n\n"
		     "Measures Sluice beside etcd, a bare C core server, LMDB and git on this "
		     "machine; see tests/bench/README.md.\n\nFlags:\n");
	for (const struct sl_flag *flag = flags; flag->name != NULL; flag++) {
		(void)printf("  --%-9s %s%s%s\n", flag->name, flag->help,
			     flag->fallback != NULL ? " Default: " : "",
			     flag->fallback != NULL ? flag->fallback : "");
	}
	(void)printf("\nRows:\n");
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		(void)printf("  %-6s %s\n", rows[i].ids, rows[i].what);
	}
}

static void settle(struct bench_options *options, const struct sl_args *args)
{
	if (!options->quick) {
		return;
	}
	const struct {
		const char *name;
		uint64_t *value, quick;
	} shorter[] = {
	    {"pairs", &options->pairs, 1},        {"seconds", &options->run_ms, 2000},
	    {"warmup", &options->warmup_ms, 200}, {"records", &options->records, 30000},
	    {"agents", &options->agents, 100},    {"fleet", &options->fleet, 100},
	    {"watchers", &options->watchers, 20},
	};
	for (size_t i = 0; i < SL_COUNT(shorter); i++) {
		if (!sl_args_given(args, shorter[i].name)) {
			*shorter[i].value = shorter[i].quick;
		}
	}
}

/* Thousands of connections. */
static void raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* `bazel run` starts in the runfiles: a file is meant to be where the caller is. */
static void to_callers_folder(void)
{
	const char *folder = getenv("BUILD_WORKING_DIRECTORY");
	if (folder != NULL && chdir(folder) != 0) {
		die("cannot change to '%s'", folder);
	}
}

static int run(const struct bench_options *options)
{
	struct bench bench = {.options = *options};
	size_t odd = 0;
	bench.report = report_new();
	bench.scratch = host_scratch(options->dir);
	load_library_init();
	SL_AUTO(sl_free_auto) char *keys = host_path("keys-of-others");
	if (options->tls) {
		secure_init(keys);
		bench.keys = keys;
	}
	run_rows(&bench);
	load_library_shutdown();
	report_table(bench.report);
	if (options->json[0] != '\0') {
		report_json(bench.report, options->json);
	}
	size_t count = report_count(bench.report, &odd);
	report_free(bench.report);
	return count > 0 && odd == 0 ? EXIT_SUCCESS : EXIT_ODD;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "git-worker") == 0) {
		return git_worker_main();
	}
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	static struct bench_options options;
	const struct sl_flag_set set = {
	    .flags = flags, .config = &options, .config_size = sizeof(options)};
	struct sl_args args;
	if (!sl_crypto_init()) {
		die("the machine gives no random numbers");
	}
	if (sl_flags_parse(&set, 1, argc - 1, (const char *const *)argv + 1, &args, &err) !=
	    SL_OK) {
		(void)fprintf(stderr, "bench: %s\n", err.msg);
		return EXIT_USAGE;
	}
	if (args.help) {
		print_help();
		sl_args_fini(&args);
		return EXIT_SUCCESS;
	}
	settle(&options, &args);
	raise_descriptors();
	to_callers_folder();
	int status = run(&options);
	sl_args_fini(&args);
	return status;
}

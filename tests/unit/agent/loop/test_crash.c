/* The agent stops at each of its steps on disk, in turn; then it starts again.
 * Property: whatever `current` points at is whole at every moment, and the next
 * start ends where the first one was going, hook included. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/activate/activate.h"
#include "agent/loop/loop.h"
#include "agent/manifest/manifest.h"
#include "agent/reconcile/reconcile.h"
#include "agent/state/state.h"
#include "base/clock/clock.h"
#include "base/crypto/box.h"
#include "base/crypto/crypto.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "client/rpc/rpc.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"
#include "tests/unit/agent/lib/want.h"

static int countdown = -1; /* calls until the machine stops; below 0: never */
static bool stop_after;    /* the call is still done */

/* As if the power went: nothing of the process runs on, sanitizers included. */
static void stop_now(void)
{
	(void)kill(getpid(), SIGKILL);
	for (;;) {
		(void)pause();
	}
}

#define WRAP(name, params, args)                                                                   \
	int __real_##name params;                                                                  \
	int __wrap_##name params;                                                                  \
	int __wrap_##name params                                                                   \
	{                                                                                          \
		bool now = countdown >= 0 && countdown-- == 0;                                     \
		if (now && !stop_after) {                                                          \
			stop_now();                                                                \
		}                                                                                  \
		int rc = __real_##name args;                                                       \
		if (now) {                                                                         \
			stop_now();                                                                \
		}                                                                                  \
		return rc;                                                                         \
	}

WRAP(fsync, (int fd), (fd))
WRAP(rename, (const char *from, const char *to), (from, to))
WRAP(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(symlink, (const char *target, const char *path), (target, path))
WRAP(unlink, (const char *path), (path))

struct fixture {
	char *dir, *hooks, *hook;
	struct agent_config config;
	struct sl_arena arena;
	bool serves_y; /* from the start */
	bool requires; /* its versions require a constant, of which "two" is held */
};

static char *printed(const char *dir, const char *name)
{
	char *text = NULL;
	assert_true(asprintf(&text, "%s/%s", dir, name) > 0);
	return text;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_true(sl_crypto_init());
	sl_log_level_set(SL_LOG_ERROR);
	sl_arena_init(&f->arena, 0);
	f->dir = tmpdir_new();
	f->hooks = printed(f->dir, "hooks");
	f->hook = printed(f->dir, "hook");
	FILE *script = fopen(f->hook, "w");
	assert_non_null(script);
	(void)fprintf(script, "#!/bin/sh\necho \"$2 $SLUICE_REASON\" >> '%s'\n", f->hooks);
	assert_int_equal(fclose(script), 0);
	assert_int_equal(chmod(f->hook, 0755), 0);
	f->config = (struct agent_config){
	    .server = "127.0.0.1:1",
	    .instance = "prod-1",
	    .workspace = "default",
	    .hook = f->hook,
	    .probe = "",
	    .sync = "fs",
	    .bundles_from = "git",
	    .hook_timeout_ms = 10000,
	    .probe_timeout_ms = 5000,
	    .probe_deadline_ms = 30,
	    .probe_every_ms = 60000,
	    .git_deadline_ms = 10000,
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	tmpdir_free(f->dir);
	sl_arena_fini(&f->arena);
	free(f->hooks);
	free(f->hook);
	free(f);
	return 0;
}

static void put(const char *dir, const char *name, const char *text)
{
	char *path = printed(dir, name);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	(void)fputs(text, out);
	assert_int_equal(fclose(out), 0);
	free(path);
}

static void add_version(const struct fixture *f, const char *dir,
			const struct state_version *version)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char staged[ACTIVATE_PATH_SIZE];
	assert_int_equal(activate_stage(dir, staged, &err), SL_OK);
	put(staged, "index.html", version->name);
	if (f->requires) {
		put(staged, "sluice.json",
		    "{\"requires\": {\"constants\": [\"A\"]}, \"render\": [\"a.txt\"]}");
		put(staged, "a.txt", "A=\"{{constants.A}}\"\n");
	}
	assert_int_equal(activate_place(dir, staged, "app-a", version->folder, &err), SL_OK);
}

/* --- config -------------------------------------------------------------------------------- */

static const uint8_t box_secret[SL_BOX_SECRET_BYTES] = {7};
static uint8_t stamp[SL_HASH_BYTES] = {2};

/* The server told that A is "two"; the agent has written it when it stopped last. */
static void hold_config(struct fixture *f, const char *dir)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char hex[2 * SL_HASH_BYTES + 1], *folder = printed(dir, "config");
	uint8_t box[400], public[SL_BOX_PUBLIC_BYTES];
	char text[400] = "c\nA\ntwo\n.\n";
	Sluice__V1__AgentConfig config = SLUICE__V1__AGENT_CONFIG__INIT;
	config.app_id = want_id(&f->arena, "app", 'a');
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\n%s\n%s\n",
		       config.app_id, WANT_INSTANCE, sl_hex(hex, stamp, sizeof(stamp)));
	size_t size = strlen(text);
	for (size_t i = 0; i < size; i++) {
		text[i] = text[i] == '\n' ? '\0' : text[i];
	}
	sl_box_public(box_secret, public);
	assert_true(sl_box_seal(public, SL_BYTES(text, size), box));
	config.stamp = (ProtobufCBinaryData){.data = stamp, .len = sizeof(stamp)};
	config.box = (ProtobufCBinaryData){.data = box, .len = size + SL_BOX_EXTRA_BYTES};
	uint8_t message[600];
	size_t packed = sluice__v1__agent_config__pack(&config, message);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(state_write_file(folder, config.app_id, message, packed, 0600, &err),
			 SL_OK);
	assert_int_equal(
	    state_write_file(dir, "box.key", box_secret, sizeof(box_secret), 0600, &err), SL_OK);
	free(folder);
}

/* What the version's files said before: A is "one". */
static void add_old_config(const char *dir, const struct state_version *version)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char set[ACTIVATE_PATH_SIZE];
	const char *line = "A=\"one\"\n";
	assert_int_equal(activate_config_begin(dir, "app-a", version->folder, set, &err), SL_OK);
	assert_int_equal(activate_config_write(set, "env", sl_bytes_text(line), &err), SL_OK);
	assert_int_equal(activate_config_write(set, "a.txt", sl_bytes_text(line), &err), SL_OK);
	assert_int_equal(activate_config_place(dir, "app-a", version->folder, set, &err), SL_OK);
}

static bool read_from(int set, const char *name, char line[static 32])
{
	int fd = openat(set, name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd >= 0 ? read(fd, line, 31) : -1;
	line[size < 0 ? 0 : size] = '\0';
	return fd >= 0 && close(fd) == 0;
}

/* The value in the files of the version that users see, which all say the same. A set that goes
 * while it is read is looked for again. */
static void configured(const char *dir, char line[static 32])
{
	char folder[ACTIVATE_NAME_SIZE], path[ACTIVATE_PATH_SIZE], other[32];
	bool whole = false;
	while (!whole) {
		activate_current(dir, "app-a", folder);
		activate_config_path(dir, "app-a", folder, path);
		int set = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(set >= 0);
		whole = read_from(set, "env", line) && read_from(set, "a.txt", other);
		(void)close(set);
	}
	assert_string_equal(line, other);
}

/* A folder that serves version x and is told to activate y; both are on disk. */
static char *new_instance(struct fixture *f)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char *dir = printed(f->dir, "instance");
	(void)unlink(f->hooks);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(activate_prepare(dir, &err), SL_OK);
	struct state *s = state_new();
	(void)state_text(s->instance, sizeof(s->instance), f->config.instance);
	(void)state_text(s->workspace, sizeof(s->workspace), f->config.workspace);
	Sluice__V1__Manifest *manifest = want_manifest(&f->arena, 5);
	Sluice__V1__ManifestApp *app = want_app(&f->arena, 'a', 'y', "xy");
	if (f->requires) {
		app->config = (ProtobufCBinaryData){.data = stamp, .len = sizeof(stamp)};
		hold_config(f, dir);
	}
	want_add(&f->arena, manifest, app);
	assert_int_equal(manifest_store(s, want_pack(&f->arena, manifest), manifest, &err), SL_OK);
	assert_int_equal(reconcile_merge(s, manifest, &err), SL_OK);
	for (size_t i = 0; i < 2; i++) {
		s->apps[0]->versions[i]->on_disk = true;
		add_version(f, dir, s->apps[0]->versions[i]);
	}
	const struct state_version *serves = s->apps[0]->versions[f->serves_y ? 1 : 0];
	(void)state_text(s->apps[0]->active, STATE_FOLDER_SIZE, serves->folder);
	if (f->requires) {
		add_old_config(dir, serves);
	}
	assert_int_equal(activate_flip(dir, "app-a", s->apps[0]->active, &err), SL_OK);
	assert_int_equal(state_save(dir, s, &err), SL_OK);
	state_free(s);
	return dir;
}

static void remove_instance(char *dir)
{
	tmpdir_free(dir); /* frees the text as well */
}

/* The name of the version that users see; it must be whole. */
static void served(const char *dir, char name[static 8])
{
	char path[ACTIVATE_PATH_SIZE], folder[ACTIVATE_NAME_SIZE];
	activate_current(dir, "app-a", folder);
	(void)snprintf(path, sizeof(path), "%s/apps/app-a/versions/%s/index.html", dir, folder);
	FILE *in = fopen(path, "r");
	assert_non_null(in);
	assert_non_null(fgets(name, 8, in));
	assert_int_equal(fclose(in), 0);
	assert_memory_equal(folder, name, strlen(name));
}

static pid_t start_agent(struct fixture *f, const char *dir, int stop_at, bool after)
{
	(void)fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0) {
		return child;
	}
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	f->config.state_dir = dir;
	crpc_init();
	stop_after = after;
	countdown = stop_at;
	sl_code code = loop_run(&f->config, NULL, NULL, &err);
	_exit(code == SL_OK ? 0 : 8);
}

/* True when no flip is under way and `name` is served. */
static bool is_settled(const struct fixture *f, const char *dir, const char *name)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct state *s = NULL;
	char now[8] = "", line[32] = "";
	served(dir, now);
	if (f->requires) {
		configured(dir, line);
	}
	assert_int_equal(state_load(dir, &s, &err), SL_OK);
	const struct state_app *app = s->apps[0];
	const struct state_version *active = state_active(app);
	/* The way back leaves its mark on the version that failed. */
	bool decided = strcmp(name, "vy") == 0 || app->versions[1]->outcome == STATE_ROLLED_BACK;
	bool settled = decided && app->flip.reason == STATE_FLIP_NONE && active != NULL &&
		       strcmp(active->name, name) == 0 && strcmp(now, name) == 0 &&
		       (!f->requires || strcmp(line, "A=\"two\"\n") == 0);
	state_free(s);
	return settled;
}

enum { STOPPED = 9 };

/* STOPPED, or the exit status. */
static int outcome(int status)
{
	bool stopped = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	assert_true(stopped || WIFEXITED(status));
	return stopped ? STOPPED : WEXITSTATUS(status);
}

/* Until the child has ended (its status) or serves `name` for good (-1). */
static int watch(const struct fixture *f, const char *dir, pid_t child, const char *name)
{
	uint64_t end_ms = sl_clock_mono_ms() + 60000;
	while (sl_clock_mono_ms() < end_ms) {
		int status = 0;
		if (waitpid(child, &status, WNOHANG) == child) {
			return outcome(status);
		}
		if (is_settled(f, dir, name)) {
			return -1;
		}
		(void)poll(NULL, 0, 2);
	}
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	fail_msg("'%s' is not served within a minute", name);
	return -2;
}

/* The status that it ends with: at once, if there is a processor for it. */
static int end_agent(pid_t child)
{
	int status = 0;
	uint64_t start_ms = sl_clock_mono_ms();
	assert_int_equal(kill(child, SIGTERM), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(sl_clock_mono_ms() - start_ms < 30000);
	return outcome(status);
}

static void stop_agent(pid_t child)
{
	assert_int_equal(end_agent(child), 0);
}

/* The last line that the hook wrote starts with `name`. */
static void assert_hook_saw(const struct fixture *f, const char *name)
{
	char line[64], last[64] = "";
	FILE *in = fopen(f->hooks, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		memcpy(last, line, sizeof(last));
	}
	assert_int_equal(fclose(in), 0);
	assert_memory_equal(last, name, strlen(name));
}

/* Stops at call `at`; false when the agent was through before. */
static bool crash_once(struct fixture *f, int at, bool after, const char *ends_with)
{
	char now[8] = "";
	char *dir = new_instance(f);
	pid_t child = start_agent(f, dir, at, after);
	int status = watch(f, dir, child, ends_with);
	if (status == -1) {
		status = end_agent(child); /* the stop may come in its last save */
	}
	bool crashed = status == STOPPED;
	assert_true(crashed || status == 0);
	served(dir, now);
	assert_true(strcmp(now, "vx") == 0 || strcmp(now, "vy") == 0);
	child = start_agent(f, dir, -1, false);
	assert_int_equal(watch(f, dir, child, ends_with), -1);
	stop_agent(child);
	assert_hook_saw(f, ends_with);
	remove_instance(dir);
	return crashed;
}

static void crash_everywhere(struct fixture *f, const char *ends_with, int least)
{
	for (int after = 0; after < 2; after++) {
		int at = 0;
		while (crash_once(f, at, after != 0, ends_with)) {
			at++;
		}
		assert_true(at >= least);
	}
}

static void test_crash_while_activating(void **state)
{
	struct fixture *f = *state;
	f->config.probe = "";
	crash_everywhere(f, "vy", 10);
}

static void test_crash_while_going_back(void **state)
{
	struct fixture *f = *state;
	char probe[ACTIVATE_PATH_SIZE + 64];
	(void)snprintf(probe, sizeof(probe),
		       "cmd:grep -q vx '%s/instance/apps/{slug}/current/index.html'", f->dir);
	f->config.probe = probe;
	crash_everywhere(f, "vx", 20);
}

/* Old files or new ones, each set whole; those of what is served are there before it is. */
static void test_crash_while_activating_with_config(void **state)
{
	struct fixture *f = *state;
	f->requires = true;
	crash_everywhere(f, "vy", 20);
}

static void test_crash_while_reloading(void **state)
{
	struct fixture *f = *state;
	f->requires = f->serves_y = true;
	crash_everywhere(f, "vy", 10);
}

static void test_second_agent_is_refused(void **state)
{
	struct fixture *f = *state;
	char *dir = new_instance(f);
	pid_t child = start_agent(f, dir, -1, false);
	assert_int_equal(watch(f, dir, child, "vy"), -1);
	pid_t second = start_agent(f, dir, -1, false);
	int status = 0;
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_int_equal(WEXITSTATUS(status), 8);
	f->config.instance = "prod-2"; /* and a folder of another instance */
	stop_agent(child);
	second = start_agent(f, dir, -1, false);
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_int_equal(WEXITSTATUS(status), 8);
	remove_instance(dir);
}

static void test_lost_link_and_lost_state_go_on(void **state)
{
	struct fixture *f = *state;
	char now[8] = "";
	char *dir = new_instance(f);
	char *link = printed(dir, "apps/app-a/current"), *file = printed(dir, "state");
	pid_t child = start_agent(f, dir, -1, false);
	assert_int_equal(watch(f, dir, child, "vy"), -1);
	stop_agent(child);
	assert_int_equal(unlink(link), 0);
	child = start_agent(f, dir, -1, false);
	assert_true(WAIT_FOR(access(link, F_OK) == 0, 60000));
	served(dir, now);
	assert_string_equal(now, "vy");
	stop_agent(child);
	assert_int_equal(unlink(file), 0);
	child = start_agent(f, dir, -1, false);
	assert_true(WAIT_FOR(access(file, F_OK) == 0, 60000));
	stop_agent(child);
	served(dir, now);
	assert_string_equal(now, "vy");
	free(link);
	free(file);
	remove_instance(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	sigset_t mask; /* agents inherit it, as from main() */
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	const struct CMUnitTest tests[] = {
	    TEST(test_crash_while_activating),
	    TEST(test_crash_while_going_back),
	    TEST(test_crash_while_activating_with_config),
	    TEST(test_crash_while_reloading),
	    TEST(test_second_agent_is_refused),
	    TEST(test_lost_link_and_lost_state_go_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

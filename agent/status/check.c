#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/activate/activate.h"
#include "agent/manifest/manifest.h"
#include "agent/state/state.h"
#include "agent/status/status.h"
#include "base/clock/clock.h"
#include "base/git/git.h"
#include "base/mem/own.h"
#include "base/tls/files.h"
#include "client/rpc/rpc.h"
#include "grpc/health/v1/health.pb-c.h"

enum { CLOCK_OFF_MS = 30000, SERVER_WAIT_MS = 5000, GIT_WAIT_MS = 30000 };

SL_DEFINE_AUTO(struct state *, state_free);
SL_DEFINE_AUTO(Sluice__V1__Manifest *, manifest_free);

struct check {
	const struct agent_config *config;
	char dir[ACTIVATE_PATH_SIZE];
	const struct state *state;
	const Sluice__V1__Manifest *manifest;
	FILE *out;
	unsigned failed;
};

enum verdict { OK, WARN, FAIL };

static void say(struct check *check, enum verdict verdict, const char *what, const char *fmt, ...)
    SL_PRINTF(4, 5);

static void say(struct check *check, enum verdict verdict, const char *what, const char *fmt, ...)
{
	static const char *const words[] = {[OK] = "ok", [WARN] = "warn", [FAIL] = "FAIL"};
	va_list args;
	va_start(args, fmt);
	(void)fprintf(check->out, "%-5s %-8s ", words[verdict], what);
	(void)vfprintf(check->out, fmt, args);
	(void)fputc('\n', check->out);
	va_end(args);
	check->failed += verdict == FAIL;
}

static void check_agent(struct check *check)
{
	const struct state *state = check->state;
	bool running = state_is_locked(check->dir);
	say(check, running ? OK : WARN, "agent", "%s", running ? "running" : "not running");
	if (state->removed) {
		say(check, WARN, "instance",
		    "%s was removed by the server; it serves, and dials no more", state->instance);
	}
	if (state->last_error[0] != '\0') {
		char text[SL_CLOCK_TEXT_SIZE];
		say(check, WARN, "error", "last at %s: %s",
		    sl_clock_text(text, state->last_error_unix_ms), state->last_error);
	}
}

static void check_clock(struct check *check)
{
	const struct state *state = check->state;
	uint64_t now = sl_clock_unix_ms();
	int64_t off = state->clock_offset_ms;
	char text[SL_CLOCK_TEXT_SIZE];
	if (now + CLOCK_OFF_MS < state->time_floor_unix_ms) {
		say(check, FAIL, "clock",
		    "%s is earlier than what this agent has seen: %" PRIu64 " s",
		    sl_clock_text(text, now), (state->time_floor_unix_ms - now) / 1000);
		return;
	}
	if (state->connected_unix_ms == 0) {
		say(check, WARN, "clock", "%s; no server to compare with yet",
		    sl_clock_text(text, now));
		return;
	}
	bool far = off > CLOCK_OFF_MS || off < -CLOCK_OFF_MS;
	say(check, far ? FAIL : OK, "clock", "%s; server minus this machine: %" PRId64 " ms",
	    sl_clock_text(text, now), off);
}

static void check_disk(struct check *check)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t room = 0;
	if (activate_free_bytes(check->dir, &room, &err) != SL_OK) {
		say(check, FAIL, "disk", "%s", err.msg);
		return;
	}
	bool low = room < check->config->disk_reserve;
	say(check, low ? FAIL : OK, "disk", "%" PRIu64 " bytes free, reserve %" PRIu64, room,
	    check->config->disk_reserve);
}

static void check_confinement(struct check *check)
{
	const char *gap = git_worker_gap();
	say(check, gap == NULL ? OK : WARN, "confined", "Git workers: %s",
	    gap == NULL ? "files, ports, system calls, resources" : gap);
}

static void check_app(struct check *check, const struct state_app *app)
{
	char current[ACTIVATE_NAME_SIZE];
	const struct state_version *active = state_active(app);
	activate_current(check->dir, app->slug, current);
	if (strcmp(current, app->active) != 0) {
		say(check, FAIL, "app", "%s: link points at '%s', the agent put it to '%s'",
		    app->slug, current, app->active);
		return;
	}
	if (current[0] == '\0') {
		say(check, OK, "app", "%s: serves nothing", app->slug);
		return;
	}
	say(check, app->degraded ? FAIL : OK, "app", "%s: serves %s (%s)%s%s", app->slug,
	    active != NULL && active->name[0] != '\0' ? active->name : "an unknown version",
	    current, app->degraded ? ": " : "",
	    app->degraded && active != NULL ? active->error : "");
}

static void check_server(struct check *check)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *server = check->config->server;
	struct crpc_channel *channel = NULL;
	SL_AUTO(sl_free_auto) uint8_t *reply = NULL;
	size_t size = 0;
	if (server == NULL || server[0] == '\0') {
		say(check, WARN, "server", "not checked: no --server");
		return;
	}
	SL_AUTO(tls_files_fini) struct tls_files tls = {0};
	uint64_t start = sl_clock_mono_ms();
	sl_code code = tls_files_read(check->config->tls_ca, check->config->tls_cert,
				      check->config->tls_key, &tls, &err);
	struct crpc_options options = {
	    .target = server,
	    .own_connection = true,
	    .ca_pem = tls.ca,
	    .cert_pem = tls.cert,
	    .key_pem = tls.key,
	};
	code = code != SL_OK ? code : crpc_channel_new(&options, &channel, &err);
	if (code == SL_OK) {
		code = crpc_unary(channel, "/grpc.health.v1.Health/Check", SL_BYTES_NONE,
				  SERVER_WAIT_MS, false, &reply, &size, &err);
	}
	crpc_channel_free(channel);
	Grpc__Health__V1__HealthCheckResponse *health =
	    code == SL_OK ? grpc__health__v1__health_check_response__unpack(NULL, size, reply)
			  : NULL;
	bool serving =
	    health != NULL &&
	    health->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	if (health != NULL) {
		grpc__health__v1__health_check_response__free_unpacked(health, NULL);
	}
	if (code != SL_OK) {
		say(check, FAIL, "server", "%s: %s", server, err.msg);
		return;
	}
	say(check, serving ? OK : FAIL, "server", "%s: %s, %" PRIu64 " ms", server,
	    serving ? "serving" : "not serving", sl_clock_mono_ms() - start);
}

static void check_repository(struct check *check, const Sluice__V1__Bundle *bundle)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct git_result result = {.failure = GIT_OK};
	char mirror[ACTIVATE_PATH_SIZE];
	activate_mirror_path(check->dir, bundle->repository_id, mirror);
	struct git_job job = {
	    .op = GIT_LS,
	    .mirror = mirror,
	    .url = bundle->url,
	    .allow_local = check->config->allow_local,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = GIT_WAIT_MS,
	};
	if (check->config->git_deadline_ms < GIT_WAIT_MS) {
		job.deadline_ms = (unsigned)check->config->git_deadline_ms;
	}
	sl_code code = git_run(&job, NULL, NULL, &result, &err);
	if (code != SL_OK) {
		say(check, FAIL, "git", "%s: %s", bundle->url, err.msg);
		return;
	}
	bool ok = result.failure == GIT_OK || result.failure == GIT_REPOSITORY_EMPTY;
	say(check, ok ? OK : FAIL, "git", "%s: %s%s%s", bundle->url,
	    ok ? "reachable" : git_failure_name(result.failure), ok ? "" : ": ",
	    ok ? "" : result.text);
	git_result_fini(&result);
}

static int by_repository(const void *a, const void *b)
{
	const Sluice__V1__Bundle *const *left = a, *const *right = b;
	return strcmp((*left)->repository_id, (*right)->repository_id);
}

/* Each repository of the manifest once. */
static sl_code check_repositories(struct check *check, struct sl_err *err)
{
	size_t count = 0;
	for (size_t i = 0; check->manifest != NULL && i < check->manifest->n_apps; i++) {
		count += check->manifest->apps[i]->n_keep;
	}
	SL_AUTO(sl_free_auto) const Sluice__V1__Bundle **all = calloc(count + 1, sizeof(*all));
	if (all == NULL) {
		return sl_err_no_memory(err);
	}
	size_t at = 0;
	for (size_t i = 0; count > 0 && i < check->manifest->n_apps; i++) {
		for (size_t j = 0; j < check->manifest->apps[i]->n_keep; j++) {
			all[at++] = check->manifest->apps[i]->keep[j];
		}
	}
	if (count > 1) {
		qsort(all, count, sizeof(*all), by_repository);
	}
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || by_repository(&all[i - 1], &all[i]) != 0) {
			check_repository(check, all[i]);
		}
	}
	return SL_OK;
}

sl_code status_check(const struct agent_config *config, FILE *out, unsigned *ret_failed,
		     struct sl_err *err)
{
	SL_AUTO(state_free_auto) struct state *state = NULL;
	SL_AUTO(manifest_free_auto) Sluice__V1__Manifest *manifest = NULL;
	SL_AUTO(sl_free_auto) char *dir = realpath(config->state_dir, NULL);
	sl_code code = state_load(dir != NULL ? dir : config->state_dir, &state, err);
	code = code == SL_OK ? manifest_of_state(state, &manifest, err) : code;
	if (code != SL_OK) {
		return code;
	}
	struct check check = {.config = config, .state = state, .manifest = manifest, .out = out};
	(void)state_text(check.dir, sizeof(check.dir), dir != NULL ? dir : config->state_dir);
	check_agent(&check);
	check_clock(&check);
	check_disk(&check);
	check_confinement(&check);
	for (size_t i = 0; i < state->app_count; i++) {
		check_app(&check, state->apps[i]);
	}
	check_server(&check);
	code = check_repositories(&check, err);
	*ret_failed = check.failed;
	return code;
}

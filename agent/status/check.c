#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/manifest/manifest.h"
#include "agent/status/check.h"
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

void check_say(struct check *check, enum check_verdict verdict, const char *what, const char *fmt,
	       ...)
{
	static const char *const words[] = {
	    [CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_FAIL] = "FAIL"};
	va_list args;
	va_start(args, fmt);
	(void)fprintf(check->out, "%-5s %-8s ", words[verdict], what);
	(void)vfprintf(check->out, fmt, args);
	(void)fputc('\n', check->out);
	va_end(args);
	check->failed += verdict == CHECK_FAIL;
}

static void check_agent(struct check *check)
{
	const struct state *state = check->state;
	bool running = state_is_locked(check->dir);
	check_say(check, running ? CHECK_OK : CHECK_WARN, "agent", "%s",
		  running ? "running" : "not running");
	if (state->removed) {
		check_say(check, CHECK_WARN, "instance",
			  "%s was removed by the server; it serves, and dials no more",
			  state->instance);
	}
	if (state->last_error[0] != '\0') {
		char text[SL_CLOCK_TEXT_SIZE];
		check_say(check, CHECK_WARN, "error", "last at %s: %s",
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
		check_say(check, CHECK_FAIL, "clock",
			  "%s is earlier than what this agent has seen: %" PRIu64 " s",
			  sl_clock_text(text, now), (state->time_floor_unix_ms - now) / 1000);
		return;
	}
	if (state->connected_unix_ms == 0) {
		check_say(check, CHECK_WARN, "clock", "%s; no server to compare with yet",
			  sl_clock_text(text, now));
		return;
	}
	bool far = off > CLOCK_OFF_MS || off < -CLOCK_OFF_MS;
	check_say(check, far ? CHECK_FAIL : CHECK_OK, "clock",
		  "%s; server minus this machine: %" PRId64 " ms", sl_clock_text(text, now), off);
}

static void check_disk(struct check *check)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t room = 0;
	if (activate_free_bytes(check->dir, &room, &err) != SL_OK) {
		check_say(check, CHECK_FAIL, "disk", "%s", err.msg);
		return;
	}
	bool low = room < check->config.disk_reserve;
	check_say(check, low ? CHECK_FAIL : CHECK_OK, "disk",
		  "%" PRIu64 " bytes free, reserve %" PRIu64, room, check->config.disk_reserve);
}

static void check_confinement(struct check *check)
{
	const char *gap = git_worker_gap();
	check_say(check, gap == NULL ? CHECK_OK : CHECK_WARN, "confined", "Git workers: %s",
		  gap == NULL ? "files, ports, system calls, resources" : gap);
}

static void check_app(struct check *check, const struct state_app *app)
{
	char current[ACTIVATE_NAME_SIZE];
	const struct state_version *active = state_active(app);
	activate_current(check->dir, app->slug, current);
	if (strcmp(current, app->active) != 0) {
		check_say(check, CHECK_FAIL, "app",
			  "%s: link points at '%s', the agent put it to '%s'", app->slug, current,
			  app->active);
		return;
	}
	if (current[0] == '\0') {
		check_say(check, CHECK_OK, "app", "%s: serves nothing", app->slug);
		return;
	}
	check_say(check, app->degraded ? CHECK_FAIL : CHECK_OK, "app", "%s: serves %s (%s)%s%s",
		  app->slug,
		  active != NULL && active->name[0] != '\0' ? active->name : "an unknown version",
		  current, app->degraded ? ": " : "",
		  app->degraded && active != NULL ? active->error : "");
	if (active != NULL && active->not_ready[0] != '\0') {
		check_say(check, CHECK_WARN, "config", "%s: %s", app->slug, active->not_ready);
	}
}

/* By what it has enrolled with, unless the flags say otherwise. */
static sl_code server_options(const struct check *check, struct tls_files *files,
			      struct crpc_options *ret_options, struct sl_err *err)
{
	const struct agent_config *config = &check->config;
	const struct identity *identity = check->identity;
	bool told = config->tls_ca[0] != '\0' || config->tls_cert[0] != '\0';
	*ret_options = (struct crpc_options){.target = config->server, .own_connection = true};
	if (identity != NULL && !told) {
		ret_options->target = config->server[0] != '\0' ? config->server : identity->server;
		ret_options->ca_pem = identity->ca;
		ret_options->cert_pem = identity->cert;
		ret_options->key_pem = identity->key;
		return SL_OK;
	}
	sl_code code =
	    tls_files_read(config->tls_ca, config->tls_cert, config->tls_key, files, err);
	ret_options->ca_pem = files->ca;
	ret_options->cert_pem = files->cert;
	ret_options->key_pem = files->key;
	return code;
}

static sl_code ask_health(const struct crpc_options *options, bool *ret_serving, struct sl_err *err)
{
	struct crpc_channel *channel = NULL;
	SL_AUTO(sl_free_auto) uint8_t *reply = NULL;
	size_t size = 0;
	sl_code code = crpc_channel_new(options, &channel, err);
	if (code == SL_OK) {
		code = crpc_unary(channel, "/grpc.health.v1.Health/Check", SL_BYTES_NONE,
				  SERVER_WAIT_MS, false, &reply, &size, err);
	}
	crpc_channel_free(channel);
	Grpc__Health__V1__HealthCheckResponse *health =
	    code == SL_OK ? grpc__health__v1__health_check_response__unpack(NULL, size, reply)
			  : NULL;
	*ret_serving =
	    health != NULL &&
	    health->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	if (health != NULL) {
		grpc__health__v1__health_check_response__free_unpacked(health, NULL);
	}
	return code;
}

static void check_server(struct check *check)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(tls_files_fini) struct tls_files files = {0};
	struct crpc_options options;
	bool serving = false;
	sl_code code = server_options(check, &files, &options, &err);
	if (code == SL_OK && options.target[0] == '\0') {
		check_say(check, CHECK_WARN, "server", "not checked: no --server");
		return;
	}
	uint64_t start = sl_clock_mono_ms();
	code = code != SL_OK ? code : ask_health(&options, &serving, &err);
	if (code != SL_OK) {
		check_say(check, CHECK_FAIL, "server", "%s: %s", options.target, err.msg);
		return;
	}
	check_say(check, serving ? CHECK_OK : CHECK_FAIL, "server", "%s: %s, %" PRIu64 " ms",
		  options.target, serving ? "serving" : "not serving", sl_clock_mono_ms() - start);
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
	    .allow_local = check->config.allow_local,
	    .limits = GIT_LIMITS_DEFAULT,
	    .deadline_ms = GIT_WAIT_MS,
	};
	if (check->config.git_deadline_ms < GIT_WAIT_MS) {
		job.deadline_ms = (unsigned)check->config.git_deadline_ms;
	}
	sl_code code = git_run(&job, NULL, NULL, &result, &err);
	if (code != SL_OK) {
		check_say(check, CHECK_FAIL, "git", "%s: %s", bundle->url, err.msg);
		return;
	}
	bool ok = result.failure == GIT_OK || result.failure == GIT_REPOSITORY_EMPTY;
	check_say(check, ok ? CHECK_OK : CHECK_FAIL, "git", "%s: %s%s%s", bundle->url,
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
	if (strcmp(check->config.bundles_from, "server") == 0) {
		return SL_OK; /* nothing is asked of Git hosts */
	}
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

/* One that has enrolled and not run yet has no state, and can be looked at all the same. */
static sl_code load_state(const char *dir, struct state **ret_state, struct sl_err *err)
{
	sl_code code = state_load(dir, ret_state, err);
	if (code != SL_NOT_FOUND || !check_has_identity(dir)) {
		return code;
	}
	sl_err_clear(err);
	*ret_state = state_new();
	return *ret_state != NULL ? SL_OK : sl_err_no_memory(err);
}

sl_code status_check(const struct agent_config *config, FILE *out, unsigned *ret_failed,
		     struct sl_err *err)
{
	SL_AUTO(state_free_auto) struct state *state = NULL;
	SL_AUTO(manifest_free_auto) Sluice__V1__Manifest *manifest = NULL;
	SL_AUTO(sl_free_auto) char *dir = realpath(config->state_dir, NULL);
	sl_code code = load_state(dir != NULL ? dir : config->state_dir, &state, err);
	code = code == SL_OK ? manifest_of_state(state, &manifest, err) : code;
	if (code != SL_OK) {
		return code;
	}
	struct check check = {.config = *config, .state = state, .manifest = manifest, .out = out};
	(void)state_text(check.dir, sizeof(check.dir), dir != NULL ? dir : config->state_dir);
	check_agent(&check);
	check_identity(&check);
	agent_config_settle(&check.config, check.identity != NULL);
	check_clock(&check);
	check_disk(&check);
	check_confinement(&check);
	for (size_t i = 0; i < state->app_count; i++) {
		check_app(&check, state->apps[i]);
	}
	check_server(&check);
	code = check_repositories(&check, err);
	*ret_failed = check.failed;
	identity_free(check.identity);
	return code;
}

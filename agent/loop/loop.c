#include "agent/loop/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/git/git.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "base/notify/notify.h"

enum { SAVE_AGAIN_MS = 2000, DIR_MAX = 2048 };

uint32_t loop_random(void)
{
	uint32_t value = 0;
	sl_random(&value, sizeof(value));
	return value;
}

/* What signed words have proven of the time goes on with the machine's. */
static uint64_t proven_now(const struct loop *loop)
{
	uint64_t proven = loop->state->trust.proven_unix_ms;
	return proven == 0 ? 0 : proven + (sl_clock_mono_ms() - loop->proven_mono_ms);
}

/* So that it is kept as far as it has gone. */
static void carry_time(struct loop *loop)
{
	loop->state->trust.proven_unix_ms = proven_now(loop);
	loop->proven_mono_ms = sl_clock_mono_ms();
}

void loop_prove_time(struct loop *loop, uint64_t expires_unix_ms)
{
	uint64_t said = trust_proven_ms(loop->state, expires_unix_ms);
	carry_time(loop);
	if (said > loop->state->trust.proven_unix_ms) {
		loop->state->trust.proven_unix_ms = said;
	}
}

uint64_t loop_now_unix_ms(const struct loop *loop)
{
	uint64_t floor = loop->state->time_floor_unix_ms;
	uint64_t now = loop->time_known
			   ? loop->time_unix_ms + (sl_clock_mono_ms() - loop->time_mono_ms)
			   : sl_clock_unix_ms();
	now = !loop->time_known && now < floor ? floor : now;
	uint64_t proven = proven_now(loop);
	return now < proven ? proven : now;
}

void loop_wake_at(struct loop *loop, uint64_t mono_ms)
{
	if (mono_ms != 0 && (loop->wake_at_ms == 0 || mono_ms < loop->wake_at_ms)) {
		loop->wake_at_ms = mono_ms;
	}
}

sl_code loop_save(struct loop *loop, struct sl_err *err)
{
	loop->state->time_floor_unix_ms = loop_now_unix_ms(loop);
	carry_time(loop);
	sl_code code = state_save(loop->dir, loop->state, err);
	loop->dirty = code != SL_OK;
	return code;
}

void loop_note_error(struct loop *loop, const char *text)
{
	state_error_text(loop->state->last_error, text);
	loop->state->last_error_unix_ms = loop_now_unix_ms(loop);
	loop->dirty = true;
}

struct reconcile_input loop_input(const struct loop *loop, const struct run *run)
{
	return (struct reconcile_input){
	    .state = loop->state,
	    .manifest = loop->manifest,
	    .busy = run_is_busy(run),
	    .now_unix_ms = loop_now_unix_ms(loop),
	    .now_mono_ms = sl_clock_mono_ms(),
	    .settled_mono_ms = run->settled_ms,
	    .reload_due = run->values.reload_due,
	    .keep_extra = (unsigned)loop->config->keep,
	    .prune_after_ms = loop->config->prune_after_ms,
	};
}

static struct run *take_run(struct run **runs, size_t count, const struct state_app *app)
{
	for (size_t i = 0; i < count; i++) {
		if (runs[i] != NULL && runs[i]->app == app) {
			return SL_TAKE(runs[i]);
		}
	}
	return NULL;
}

sl_code loop_sync_runs(struct loop *loop, struct sl_err *err)
{
	const struct state *state = loop->state;
	struct run **runs = calloc(state->app_count + 1, sizeof(*runs));
	bool whole = runs != NULL;
	size_t count = 0;
	for (; whole && count < state->app_count; count++) {
		runs[count] = take_run(loop->runs, loop->run_count, state->apps[count]);
		runs[count] = runs[count] != NULL ? runs[count] : run_new(state->apps[count]);
		whole = runs[count] != NULL;
		if (whole && runs[count]->compare_at_ms == 0) { /* spread over the period */
			runs[count]->compare_at_ms =
			    sl_clock_mono_ms() +
			    loop_random() % (loop->config->compare_every_ms + 1);
		}
	}
	for (size_t i = 0; i < loop->run_count; i++) {
		run_free(loop->runs[i]); /* its app is gone */
	}
	free(loop->runs);
	loop->runs = runs;
	loop->run_count = whole ? count : count > 0 ? count - 1 : 0;
	return whole ? SL_OK : sl_err_no_memory(err);
}

/* --- start -------------------------------------------------------------------------- */

/* A folder belongs to one instance for life. */
static sl_code check_owner(const struct loop *loop, struct sl_err *err)
{
	const struct state *state = loop->state;
	const struct agent_config *config = loop->config;
	bool mine = strcmp(config->instance, state->instance) == 0 ||
		    strcmp(config->instance, state->instance_id) == 0;
	if (mine && strcmp(config->workspace, state->workspace) == 0) {
		return SL_OK;
	}
	return sl_err_because(
	    err, SL_FAILED_PRECONDITION, SL_REASON_INSTANCE_MISMATCH,
	    "state folder '%s' belongs to instance '%s' of workspace '%s', not to '%s' of "
	    "'%s': another instance needs another folder",
	    loop->dir, state->instance, state->workspace, config->instance, config->workspace);
}

static sl_code load_state(struct loop *loop, struct sl_err *err)
{
	sl_code code = state_load(loop->dir, &loop->state, err);
	if (code == SL_OK) {
		return check_owner(loop, err);
	}
	if (code != SL_NOT_FOUND) {
		return code;
	}
	sl_err_clear(err);
	loop->state = state_new();
	if (loop->state == NULL ||
	    !state_text(loop->state->workspace, STATE_SLUG_SIZE, loop->config->workspace) ||
	    !state_text(loop->state->instance, STATE_SLUG_SIZE, loop->config->instance)) {
		return sl_err_no_memory(err);
	}
	return SL_OK;
}

/* What enrolment said, unless flags say it. */
static void pin_identity(const struct identity *identity, struct trust_pin *pin)
{
	if (identity == NULL) {
		return;
	}
	if (pin->epoch == 0 && identity->key_epoch != 0) {
		pin->epoch = identity->key_epoch;
		memcpy(pin->manifest_key, identity->manifest_key, sizeof(pin->manifest_key));
	}
	if (!pin->recovery_given && identity->recovery_known) {
		pin->recovery_given = true;
		memcpy(pin->recovery_key, identity->recovery_key, sizeof(pin->recovery_key));
	}
}

/* What is pinned, before anything is believed. */
static sl_code load_pins(struct loop *loop, struct sl_err *err)
{
	struct trust_pin pin;
	const struct agent_config *config = loop->config;
	sl_code code = trust_read_pin(config->manifest_key, config->recovery_key,
				      config->release_key, &pin, err);
	if (code != SL_OK) {
		return code;
	}
	pin_identity(loop->identity, &pin);
	loop->proven_mono_ms = sl_clock_mono_ms();
	if (trust_pin(loop->state, &pin)) {
		log_info("pinned", "key_epoch=%u recovery=%d release=%d",
			 (unsigned)loop->state->trust.epoch, loop->state->trust.recovery_known,
			 loop->state->trust.release_known);
		return loop_save(loop, err);
	}
	return SL_OK;
}

static sl_code load_manifest(struct loop *loop, struct sl_err *err)
{
	sl_code code = manifest_of_state(loop->state, &loop->manifest, err);
	if (code == SL_OK && loop->manifest != NULL) {
		code = reconcile_merge(loop->state, loop->manifest, err);
	}
	return code;
}

static void on_beat(void *ctx, Sluice__V1__AgentHeartbeat *heartbeat)
{
	const struct loop *loop = ctx;
	heartbeat->sequence = loop->state->sequence;
	heartbeat->key_epoch = loop->state->trust.epoch;
}

static sl_code open_session(struct loop *loop, struct sl_err *err)
{
	if (loop->state->removed) {
		log_warn("removed", "instance=%s msg=\"the server removed it: serving only\"",
			 loop->config->instance);
		return SL_OK;
	}
	const struct agent_config *config = loop->config;
	const struct identity *identity = loop->identity;
	sl_code code = identity != NULL ? SL_OK
					: tls_files_read(config->tls_ca, config->tls_cert,
							 config->tls_key, &loop->tls, err);
	if (code != SL_OK) {
		return code;
	}
	if (identity != NULL && identity_is_over(identity, sl_clock_unix_ms())) {
		log_warn("certificate-over",
			 "identity=%s action=\"renew it at the door, then dial\"",
			 identity->identity_id);
		return SL_OK;
	}
	struct session_options options = {
	    .server = config->server,
	    .ca_pem = identity != NULL ? identity->ca : loop->tls.ca,
	    .cert_pem = identity != NULL ? identity->cert : loop->tls.cert,
	    .key_pem = identity != NULL ? identity->key : loop->tls.key,
	    .user_agent = "sluice-agent/" AGENT_VERSION,
	    .ctx = loop,
	    .on_greet = report_greet,
	    .on_greeted = report_greeted,
	    .on_message = server_message,
	    .on_end = server_end,
	    .on_beat = on_beat,
	};
	return session_new(&options, &loop->session, err);
}

bool loop_open_session(struct loop *loop)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (open_session(loop, &err) != SL_OK) {
		log_error("session", "error=%s", SL_QUOTE(err.msg));
		loop_note_error(loop, err.msg);
	}
	return loop->session != NULL;
}

/* --- one turn ------------------------------------------------------------------------- */

static void save_if_dirty(struct loop *loop)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t now = sl_clock_mono_ms();
	if (!loop->dirty) {
		return;
	}
	if (now >= loop->save_at_ms && loop_save(loop, &err) != SL_OK) {
		log_warn("state-not-saved", "why=%s", SL_QUOTE(err.msg));
		loop->save_at_ms = now + SAVE_AGAIN_MS;
	}
	if (loop->dirty) {
		loop_wake_at(loop, loop->save_at_ms);
	}
}

static void turn(struct loop *loop)
{
	loop->wake_at_ms = 0;
	renew_step(loop);
	if (loop->session != NULL) {
		session_step(loop->session);
	}
	work_step(loop);
	source_tests_step(loop);
	save_if_dirty(loop); /* what is told outlives a crash */
	report_step(loop);
	if (loop->session != NULL) {
		loop_wake_at(loop, session_wake_mono_ms(loop->session));
	}
}

static int timeout_of(const struct loop *loop)
{
	uint64_t now = sl_clock_mono_ms();
	if (loop->wake_at_ms == 0) {
		return 60000;
	}
	if (loop->wake_at_ms <= now) {
		return 0;
	}
	uint64_t pause = loop->wake_at_ms - now;
	return pause > 60000 ? 60000 : (int)pause;
}

static void add_fd(struct pollfd *fds, nfds_t *count, int fd, short events)
{
	if (fd >= 0) {
		fds[(*count)++] = (struct pollfd){.fd = fd, .events = events};
	}
}

/* Everything that can have news. False: out of memory. */
static bool wait_for_news(const struct loop *loop, int signals, bool *ret_signalled)
{
	const struct git_worker *drifting = loop->drifting.worker;
	SL_AUTO(sl_free_auto)
	struct pollfd *fds = calloc(6 + SOURCE_LOOKS + 2 * loop->run_count, sizeof(*fds));
	nfds_t count = 0;
	if (fds == NULL) {
		return false;
	}
	add_fd(fds, &count, signals, POLLIN);
	add_fd(fds, &count, loop->session != NULL ? session_fd(loop->session) : -1, POLLIN);
	add_fd(fds, &count, renew_fd(loop), POLLIN);
	add_fd(fds, &count, loop->pull != NULL ? pull_fd(loop->pull) : -1, POLLIN);
	add_fd(fds, &count, drafts_fd(loop), POLLIN);
	add_fd(fds, &count, drifting != NULL ? git_worker_fd(drifting) : -1, POLLIN);
	for (size_t i = 0; i < SOURCE_LOOKS; i++) {
		const struct source_look *look = &loop->source_looks[i];
		bool looks = look->reach != NULL && look->found == NULL;
		add_fd(fds, &count, looks ? reach_fd(look->reach) : -1, POLLIN);
	}
	for (size_t i = 0; i < loop->run_count; i++) {
		const struct run *run = loop->runs[i];
		add_fd(fds, &count, run->hook != NULL ? child_fd(run->hook) : -1, POLLIN);
		add_fd(fds, &count, run->probe != NULL ? probe_fd(run->probe) : -1,
		       run->probe != NULL ? probe_events(run->probe) : 0);
	}
	(void)poll(fds, count, timeout_of(loop));
	*ret_signalled = (fds[0].revents & POLLIN) != 0;
	return true;
}

static sl_code serve(struct loop *loop, int signals, struct sl_err *err)
{
	bool signalled = false;
	struct sl_watchdog watchdog;
	sl_watchdog_init(&watchdog);
	sl_notify("READY=1");
	while (!signalled) {
		turn(loop);
		loop_wake_at(loop, sl_watchdog_step(&watchdog, sl_clock_mono_ms()));
		if (!wait_for_news(loop, signals, &signalled)) {
			return sl_err_no_memory(err);
		}
	}
	log_info("stopping", "msg=\"what is served stays\"");
	sl_notify("STOPPING=1");
	if (loop->dirty) {
		return loop_save(loop, err);
	}
	return SL_OK;
}

static sl_code start(struct loop *loop, struct sl_err *err)
{
	sl_code code = load_state(loop, err);
	code = code == SL_OK ? load_pins(loop, err) : code;
	code = code == SL_OK ? activate_prepare(loop->dir, err) : code;
	code = code == SL_OK ? load_manifest(loop, err) : code;
	code = code == SL_OK ? recover(loop, err) : code;
	code = code == SL_OK ? values_start(loop, err) : code;
	return code == SL_OK ? open_session(loop, err) : code;
}

static void stop(struct loop *loop)
{
	renew_stop(loop);
	session_free(loop->session);
	tls_files_fini(&loop->tls);
	pull_free(loop->pull);
	drafts_stop(loop);
	source_tests_drop(loop);
	drift_drop(loop);
	logins_fini(&loop->logins);
	values_stop(loop);
	for (size_t i = 0; i < loop->run_count; i++) {
		run_free(loop->runs[i]);
	}
	free(loop->runs);
	manifest_free(loop->manifest);
	state_free(loop->state);
}

static int open_signals(void)
{
	sigset_t mask;
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

sl_code loop_run(const struct agent_config *config, struct identity *identity,
		 const struct overrides *overrides, struct sl_err *err)
{
	struct loop loop = {.config = config, .identity = identity, .overrides = overrides};
	int lock = -1;
	sl_code code = state_lock(config->state_dir, &lock, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(sl_free_auto) char *dir = realpath(config->state_dir, NULL);
	int signals = open_signals();
	if (dir == NULL || strlen(dir) >= DIR_MAX || signals < 0) {
		code = sl_err_set(err, SL_INTERNAL, "state folder '%s': %s", config->state_dir,
				  errno != 0 ? strerror(errno) : "its path is too long");
	} else {
		(void)state_text(loop.dir, sizeof(loop.dir), dir);
		log_info("start", "version=%s instance=%s server=%s state=%s", AGENT_VERSION,
			 config->instance, config->server, loop.dir);
		if (geteuid() == 0) {
			log_warn("root",
				 "action=\"run it as a user of its own: see packaging/systemd\"");
		}
		if (git_worker_gap() != NULL) {
			log_warn("git-worker-confined-less", "why=%s", SL_QUOTE(git_worker_gap()));
		}
		code = start(&loop, err);
	}
	if (code == SL_OK) {
		code = serve(&loop, signals, err);
	}
	stop(&loop);
	if (signals >= 0) {
		(void)close(signals);
	}
	(void)close(lock);
	return code;
}

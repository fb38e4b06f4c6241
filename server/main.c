/* sluiced: builds the parts, runs, stops in order: the wiring diagram in code.
 *
 *   rpc ─> services ─> records ─> store ─commit─> watch ─┬─> streams
 *                                                        ├─> fleet ─> agents
 *                                                        └─> gitsync ─results─> store
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/git/git.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "base/notify/notify.h"
#include "base/version.h"
#include "proto/descriptors.h"
#include "server/admission/admission.h"
#include "server/audit/audit.h"
#include "server/ca/ca.h"
#include "server/ca/make.h"
#include "server/collect.h"
#include "server/config/config.h"
#include "server/door/desk.h"
#include "server/fleet/fleet.h"
#include "server/gitsync/gitsync.h"
#include "server/local/local.h"
#include "server/metrics/metrics.h"
#include "server/program.h"
#include "server/records/bootstrap.h"
#include "server/sealing.h"
#include "server/services/backup.h"
#include "server/services/bundles.h"
#include "server/services/requests.h"
#include "server/services/service.h"
#include "server/signing/signing.h"
#include "server/vault/vault.h"
#include "server/watch/watch.h"

enum { EXIT_NOT_STARTED = 1, EXIT_FAILED = 3, RETENTION_EVERY_MS = 60000 };

struct server {
	struct services services; /* first: the ctx of every handler */
	struct server_config config;
	struct ca *ca; /* NULL: --insecure */
	struct desk *desk;
	struct door *door;   /* NULL: none */
	struct local *local; /* NULL: --insecure, or no socket could be made */
	struct watch_sight sight;
	char *keys;              /* owned; DIR/keys */
	struct signing *signing; /* NULL: --insecure, and no keys */
	struct sealing sealing;
	struct rpc_server *rpc;
	struct metrics *metrics;
	pthread_t signals;
	bool signals_started;
	bool recovering; /* it starts in recovery */
	atomic_bool storage_failed;
	atomic_bool wired;    /* all parts are there: the writer and watch may call them */
	uint64_t retained_ms; /* queue thread only, as what follows */
	struct sl_watchdog watchdog;
};

/* --- what the parts tell each other ------------------------------------------------ */

/* Commits come before watch and gitsync are there, and they look by themselves as soon as they are.
 */
static void on_commit(void *ctx, uint64_t first, uint64_t last, uint64_t tables)
{
	/* A named value says whether the server is recovering: what is owed waits for its end. */
	const uint64_t owing = UINT64_C(1) << TABLE_OWED | STORE_NAMED_VALUES;
	struct server *server = ctx;
	(void)first;
	(void)last;
	if (!atomic_load(&server->wired)) {
		return;
	}
	watch_committed(server->services.watch);
	if ((tables & owing) != 0) {
		gitsync_wake(server->services.gitsync);
	}
}

static void on_storage_failure(void *ctx, const struct sl_err *err)
{
	struct server *server = ctx;
	log_error("storage-failed", "error=%s action=stop", SL_QUOTE(err->msg));
	atomic_store(&server->storage_failed, true);
	(void)kill(getpid(), SIGTERM);
}

static enum store_prune on_prune(void *ctx, uint64_t revision, struct sl_bytes record)
{
	struct server *server = ctx;
	if (atomic_load(&server->wired) && revision > watch_position(server->services.watch)) {
		return STORE_PRUNE_LATER; /* fleet and live streams have yet to see it */
	}
	return records_prune(
	    record, revision,
	    requests_oldest_revision(server->services.requests, sl_clock_steady_ms()));
}

static void on_record(void *ctx, const struct store_view *view,
		      const Sluice__Store__V1__LogRecord *record)
{
	const struct services *services = &((struct server *)ctx)->services;
	for (size_t i = 0; i < record->n_events; i++) {
		const Sluice__V1__Event *event = record->events[i];
		if (event->object_case == SLUICE__V1__EVENT__OBJECT_REPOSITORY &&
		    event->type == SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED) {
			gitsync_forget(services->gitsync, event->repository->id);
		}
	}
	fleet_on_record(services->fleet, view, record);
}

static void on_batch(void *ctx, const struct store_view *view)
{
	struct server *server = ctx;
	fleet_on_batch(server->services.fleet, view);
}

static void on_tick(void *ctx)
{
	struct server *server = ctx;
	fleet_tick(server->services.fleet);
	access_tick(server->services.access);
	audit_tick(server->services.audit);
	uint64_t now = sl_clock_mono_ms();
	(void)sl_watchdog_step(&server->watchdog, now);
	vault_tick(server->services.vault, server->services.store, sl_clock_unix_ms(), now);
	boxes_tick(server->sealing.boxes, now);
	if (server->ca != NULL) {
		ca_tick(server->ca, sl_clock_unix_ms(), now);
	}
	if (now - server->retained_ms >= RETENTION_EVERY_MS) {
		server->retained_ms = now;
		records_retain(server->services.store, sl_clock_unix_ms(),
			       &(struct records_keep){.log_ms = server->config.log_keep_ms,
						      .audit_ms = server->config.audit_keep_ms});
	}
}

static void on_finished(void *ctx, const struct rpc_method *method, sl_code code,
			uint64_t microseconds)
{
	struct server *server = ctx;
	if (server->metrics != NULL) {
		metrics_call(server->metrics, method->path, method->stream != NULL, code,
			     microseconds);
	}
	bool ours = code == SL_INTERNAL || code == SL_DATA_LOSS || code == SL_UNKNOWN;
	sl_log(ours ? SL_LOG_ERROR : SL_LOG_DEBUG, "rpc", "method=%s code=%s us=%lu", method->path,
	       sl_code_name(code), (unsigned long)microseconds);
}

/* --- stopping ------------------------------------------------------------------------ */

/* Waits for the first signal and starts the orderly end; a second one is not waited for. */
static void *signals_main(void *arg)
{
	struct server *server = arg;
	sigset_t set;
	int signal_number = 0;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigwait(&set, &signal_number);
	log_info("stopping", "signal=%s", signal_number == SIGINT ? "INT" : "TERM");
	sl_notify("STOPPING=1");
	if (server->metrics != NULL) {
		metrics_set_ready(server->metrics, false);
	}
	rpc_server_stop(server->rpc);
	fleet_stop(server->services.fleet);
	watch_stop(server->services.watch);
	gitsync_stop(server->services.gitsync);
	backup_stop(server->services.backup);
	bundles_stop(server->services.bundles);
	return NULL;
}

static void block_signals(void)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &set,
			      NULL); /* inherited by every thread started from here on */
	(void)signal(SIGPIPE, SIG_IGN);
}

/* In reverse order of building; what was not built is NULL. */
static void server_fini(struct server *server)
{
	local_free(server->local);
	door_free(server->door); /* what it waits for, the store still writes */
	desk_free(server->desk);
	metrics_free(server->metrics);
	backup_free(server->services.backup);
	gitsync_stop(server->services.gitsync);
	bundles_free(server->services.bundles);
	watch_stop(server->services.watch);
	/* Answers what is queued: its calls are gone by now, but statuses and retention are not
	 * waited for, and every commit is told to watch. */
	audit_flush(server->services.audit);
	store_free(server->services.store);
	audit_free(server->services.audit);
	watch_free(server->services.watch);
	gitsync_free(server->services.gitsync);
	fleet_free(server->services.fleet);
	rpc_server_free(server->rpc);
	access_free(server->services.access);
	ca_free(server->ca);
	admission_free(server->services.admission);
	signing_free(server->signing);
	sealing_fini(&server->sealing);
	vault_free(server->services.vault);
	free(server->keys);
	requests_free(server->services.requests);
}

/* --- building -------------------------------------------------------------------------- */

/* A wrong master key stops the start: what is sealed would be lost without a word. None at all
 * stops nothing but what needs it. */
static sl_code open_vault(struct server *server, struct sl_err *err)
{
	const struct server_config *config = &server->config;
	const struct store_view *view = NULL;
	sl_code code =
	    vault_open(config->data, config->master_key_file, &server->services.vault, err);
	if (code == SL_OK && vault_is_locked(server->services.vault) && !config->insecure) {
		log_warn("master-key",
			 "msg=\"there is none: credentials can be neither set nor used\"");
	}
	code = code != SL_OK ? code : store_view_begin(server->services.store, &view, err);
	code = code != SL_OK ? code : vault_check(server->services.vault, view, err);
	store_view_end(view);
	code = code != SL_OK ? code
			     : vault_settle(server->services.vault, server->services.store,
					    sl_clock_unix_ms(), err);
	return code != SL_OK
		   ? code
		   : sealing_init(&server->sealing, server->services.vault, config->insecure, err);
}

/* During a handshake, on gRPC's threads; before the port is open there is none. */
static bool admits(void *ctx, const struct ca_identity *identity, const struct tls_cert *cert)
{
	const struct server *server = ctx;
	(void)cert;
	return access_admit(server->services.access, identity);
}

/* --insecure without keys signs nothing; with keys everybody does. */
static sl_code open_signing(struct server *server, struct sl_err *err)
{
	const struct server_config *config = &server->config;
	if (asprintf(&server->keys, "%s/keys", config->data) < 0) {
		server->keys = NULL;
		return sl_err_no_memory(err);
	}
	sl_code code = signing_open(server->keys, &server->signing, err);
	if (code == SL_NOT_FOUND && config->insecure) {
		sl_err_clear(err);
		return SL_OK;
	}
	return code;
}

static sl_code open_keys(struct server *server, struct sl_err *err)
{
	const struct server_config *config = &server->config;
	const struct ca_options options = {.data = config->data, .admits = admits, .ctx = server};
	if (config->insecure) {
		return open_signing(server, err);
	}
	sl_code code = ca_open(&options, sl_clock_unix_ms(), &server->ca, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "'%s' has no keys: make them with `sluiced init --data %s`, or "
				  "serve --insecure on loopback",
				  config->data, config->data);
	}
	if (code == SL_OK) {
		code = open_signing(server, err);
	}
	return code;
}

static sl_code open_store(struct server *server, struct sl_err *err)
{
	const struct server_config *config = &server->config;
	const struct store_options options = {
	    .path = config->data,
	    .map_bytes = config->map_bytes,
	    .journal_bytes = config->journal_bytes,
	    .reserve_bytes = config->disk_reserve_bytes,
	    .queue_max = (unsigned)config->queue_max,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	    .on_commit = on_commit,
	    .on_failure = on_storage_failure,
	    .prune = on_prune,
	    .ctx = server,
	};
	sl_code code = requests_new((size_t)config->requests_max, config->requests_keep_ms,
				    &server->services.requests, err);
	code = code != SL_OK ? code : store_open(&options, &server->services.store, err);
	code = code != SL_OK ? code
			     : records_bootstrap(server->services.store, sl_clock_unix_ms(), err);
	const struct store_view *view = NULL;
	code = code != SL_OK ? code : store_view_begin(server->services.store, &view, err);
	if (code == SL_OK) {
		code = requests_load(server->services.requests, view, sl_clock_steady_ms(), err);
		server->recovering = store_view_is_recovering(view);
		store_view_end(view);
	}
	return code;
}

static sl_code start_parts(struct server *server, struct sl_err *err)
{
	const struct server_config *config = &server->config;
	struct services *services = &server->services;
	const struct fleet_options fleet = {.store = services->store,
					    .signing = server->signing,
					    .login = sealing_login,
					    .login_ctx = &server->sealing,
					    .config = sealing_config,
					    .config_ctx = &server->sealing,
					    .heartbeat_ms = (unsigned)config->heartbeat_ms,
					    .fetches_per_host = (unsigned)config->fetches_per_host};
	const struct gitsync_options gitsync = {
	    .store = services->store,
	    .vault = services->vault,
	    .data = config->data,
	    .allow_local = config->allow_local_repos,
	    .jobs = (unsigned)config->git_jobs,
	    .deadline_ms = (unsigned)config->git_deadline_ms,
	    .disk_reserve = config->disk_reserve_bytes,
	    .poll_every_ms = config->poll_every_ms,
	};
	const struct access_options access = {
	    .store = services->store,
	    .open = config->insecure,
	    .token_key = server->ca != NULL ? ca_token_key(server->ca) : NULL,
	    .rate_per_s = (unsigned)config->calls_per_second,
	    .rate_burst = (unsigned)config->calls_burst,
	};
	services->signing = server->signing;
	server->sight = services_watch_sight(services);
	const struct watch_options watch = {
	    .store = services->store,
	    .sight = &server->sight,
	    .on_record = on_record,
	    .on_batch = on_batch,
	    .on_failure = on_storage_failure,
	    .ctx = server,
	    .streams_max = (unsigned)config->watchers_max,
	};
	sl_code code =
	    audit_new(&(struct audit_options){.store = services->store}, &services->audit, err);
	code = code != SL_OK ? code
			     : backup_new(services->store, config->data, &services->backup, err);
	code = code != SL_OK ? code : access_new(&access, &services->access, err);
	code = code != SL_OK ? code : fleet_new(&fleet, &services->fleet, err);
	/* gitsync writes as soon as it is there: watch, and so fleet, must not miss that. */
	code = code != SL_OK ? code : watch_new(&watch, &services->watch, err);
	code = code != SL_OK ? code : gitsync_new(&gitsync, &services->gitsync, err);
	const struct bundles_options bundles = {.gitsync = services->gitsync,
						.data = config->data,
						.disk_reserve = config->disk_reserve_bytes,
						.max = (unsigned)config->bundles_max};
	code = code != SL_OK ? code : bundles_new(&bundles, &services->bundles, err);
	atomic_store(&server->wired, code == SL_OK);
	return code;
}

static sl_code start_metrics(struct server *server, struct sl_err *err)
{
	if (server->config.metrics_listen[0] == '\0') {
		return SL_OK;
	}
	sl_code code = metrics_new(server->config.metrics_listen, &server->metrics, err);
	return code != SL_OK
		   ? code
		   : metrics_collect(server->metrics, collect_metrics, &server->services, err);
}

static sl_code start_rpc(struct server *server, struct sl_err *err)
{
	const struct server_config *config = &server->config;
	struct rpc_options options = {
	    .listen = config->listen,
	    .ctx = &server->services,
	    .descriptors = SL_BYTES(sluice_descriptors, sluice_descriptors_size),
	    .services = services_names,
	    .message_max = (size_t)config->message_max_bytes,
	    .connections_max = (unsigned)config->connections_max,
	    .accepts_per_second = (unsigned)config->accepts_per_second,
	    .on_tick = on_tick,
	    .tick_ms = 100,
	    .on_finished = on_finished,
	    .drain_ms = (unsigned)config->drain_ms,
	    .tls = server->ca != NULL ? ca_tls(server->ca) : NULL,
	    .connection_age_ms = (unsigned)config->connection_age_ms,
	};
	options.methods = services_rpc_methods(&options.method_count);
	return rpc_server_new(&options, &server->rpc, err);
}

/* What an agent pins when it enrols. */
static void fill_pins(void *ctx, struct sl_arena *arena, Sluice__V1__EnrollResponse *response)
{
	const struct server *server = ctx;
	struct signing_key key;
	uint8_t recovery[SL_SIGN_PUBLIC_BYTES];
	signing_current(server->signing, &key);
	signing_recovery(server->signing, recovery);
	response->key_epoch = key.epoch;
	response->manifest_key =
	    (ProtobufCBinaryData){.data = sl_arena_dup(arena, key.public_key, SL_SIGN_PUBLIC_BYTES),
				  .len = SL_SIGN_PUBLIC_BYTES};
	response->recovery_key =
	    (ProtobufCBinaryData){.data = sl_arena_dup(arena, recovery, SL_SIGN_PUBLIC_BYTES),
				  .len = SL_SIGN_PUBLIC_BYTES};
}

static sl_code start_admission(struct server *server, struct sl_err *err)
{
	const struct server_config *config = &server->config;
	if (server->ca == NULL) {
		return SL_OK;
	}
	struct admission_options options = {
	    .store = server->services.store,
	    .ca = server->ca,
	    .token_key = *ca_token_key(server->ca),
	    .agent_life_ms = config->agent_cert_life_ms,
	    .login_life_ms = config->login_cert_life_ms,
	    .late_ms = config->renew_late_ms,
	    .server = config->advertise,
	    .door = config->door_advertise,
	    .pins = fill_pins,
	    .pins_ctx = server,
	};
	server->services.ca = server->ca;
	return admission_new(&options, &server->services.admission, err);
}

/* A burst of a second, and of four for all together. */
static sl_code start_door(struct server *server, struct sl_err *err)
{
	const struct server_config *config = &server->config;
	if (server->ca == NULL || config->door_listen[0] == '\0') {
		return SL_OK;
	}
	const struct desk_options desk = {
	    .admission = server->services.admission,
	    .ca = server->ca,
	    .peer = {config->door_peer_rate, config->door_peer_rate},
	    .overall = {config->door_rate, 4 * config->door_rate},
	};
	sl_code code = desk_new(&desk, &server->desk, err);
	const struct door_options door = {.listen = config->door_listen,
					  .accepts_per_second = config->door_accepts,
					  .certificate = desk_certificate,
					  .answer = desk_answer,
					  .ctx = server->desk};
	code = code != SL_OK ? code : door_new(&door, &server->door, err);
	if (code == SL_OK) {
		server->services.door_port = (unsigned)door_port(server->door);
	}
	return code;
}

/* The server serves without it too. */
static void start_local(struct server *server)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct server_config *config = &server->config;
	if (server->ca == NULL) {
		return;
	}
	const struct local_options options = {
	    .data = config->data,
	    .store = server->services.store,
	    .ca = server->ca,
	    .server = {config->advertise, config->listen, rpc_server_port(server->rpc)},
	    .door = {config->door_advertise, config->door_listen, (int)server->services.door_port},
	};
	if (local_new(&options, &server->local, &err) != SL_OK) {
		log_warn("admin-socket", "error=%s", SL_QUOTE(err.msg));
	}
}

static sl_code server_init(struct server *server, struct sl_err *err)
{
	server->services.config = &server->config;
	server->services.started_ms = sl_clock_unix_ms();
	server->retained_ms = sl_clock_mono_ms();
	sl_watchdog_init(&server->watchdog);
	sl_code code = sl_secret_harden(err);
	code = code != SL_OK ? code : open_keys(server, err);
	code = code != SL_OK ? code : open_store(server, err);
	code = code != SL_OK ? code : open_vault(server, err);
	code = code != SL_OK ? code : start_admission(server, err);
	code = code != SL_OK ? code : start_parts(server, err);
	code = code != SL_OK ? code : start_metrics(server, err);
	code = code != SL_OK ? code : start_rpc(server, err);
	code = code != SL_OK ? code : start_door(server, err);
	if (code == SL_OK) {
		start_local(server);
	}
	if (code == SL_OK && server->metrics != NULL) {
		metrics_set_ready(server->metrics, true); /* before a signal can take it back */
	}
	if (code == SL_OK && pthread_create(&server->signals, NULL, signals_main, server) != 0) {
		code = sl_err_set(err, SL_RESOURCE_EXHAUSTED, "cannot start the signal thread");
	}
	server->signals_started = code == SL_OK;
	return code;
}

static int serve(const struct server_config *config)
{
	static struct server server;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	server.config = *config;
	block_signals();
	if (geteuid() == 0) {
		log_warn("root", "action=\"run it as a user of its own: see packaging/systemd\"");
	}
	if (server_init(&server, &err) != SL_OK) {
		log_error("start-failed", "error=%s", SL_QUOTE(err.msg));
		server_fini(&server);
		return EXIT_NOT_STARTED;
	}
	if (config->insecure) {
		log_warn("insecure",
			 "listen=%s meaning=\"no TLS, no identities: for this machine only\"",
			 config->listen);
	}
	log_info("listening", "port=%d metrics_port=%d door_port=%d version=%s data=%s",
		 rpc_server_port(server.rpc),
		 server.metrics == NULL ? 0 : metrics_port(server.metrics),
		 server.door == NULL ? 0 : door_port(server.door), SLUICE_VERSION,
		 SL_QUOTE(config->data));
	if (git_worker_gap() != NULL) {
		log_warn("git-worker-confined-less", "why=%s", SL_QUOTE(git_worker_gap()));
	}
	if (server.recovering) {
		log_warn("recovery",
			 "meaning=\"restored from a backup: nothing changes, agents are "
			 "told nothing\" action=\"sluice status, then sluice admin "
			 "resume\"");
	}
	sl_notify("READY=1");
	rpc_server_run(server.rpc);
	(void)pthread_join(server.signals, NULL);
	server_fini(&server);
	bool failed = atomic_load(&server.storage_failed);
	log_info("stopped", "exit=%d", failed ? EXIT_FAILED : 0);
	return failed ? EXIT_FAILED : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "git-worker") == 0) {
		return git_worker_main();
	}
	if (argc > 1 && strcmp(argv[1], "door") == 0) {
		return door_child_main();
	}
	return program_run(argc, argv, serve);
}

/* sluiced: builds the parts, runs, stops in order: the wiring diagram in code.
 *
 *   rpc ─> services ─> records ─> store ─commit─> watch ─┬─> streams
 *                                                        ├─> fleet ─> agents
 *                                                        └─> gitsync ─results─> store
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/git/git.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "base/version.h"
#include "server/admission/admission.h"
#include "server/audit/audit.h"
#include "server/ca/ca.h"
#include "server/door/desk.h"
#include "server/fleet/fleet.h"
#include "server/gitsync/gitsync.h"
#include "server/local/local.h"
#include "server/metrics/metrics.h"
#include "server/parts.h"
#include "server/program.h"
#include "server/services/backup.h"
#include "server/services/bundles.h"
#include "server/services/requests.h"
#include "server/signing/signing.h"
#include "server/vault/vault.h"

enum { EXIT_NOT_STARTED = 1, EXIT_FAILED = 3 };

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

/* --- starting -------------------------------------------------------------------------- */

static sl_code server_init(struct server *server, struct sl_err *err)
{
	server->services.config = &server->config;
	server->services.started_ms = sl_clock_unix_ms();
	server->retained_ms = sl_clock_mono_ms();
	sl_watchdog_init(&server->watchdog);
	sl_code code = sl_secret_harden(err);
	code = code != SL_OK ? code : parts_open_keys(server, err);
	code = code != SL_OK ? code : parts_open_store(server, err);
	code = code != SL_OK ? code : parts_open_vault(server, err);
	code = code != SL_OK ? code : parts_start_admission(server, err);
	code = code != SL_OK ? code : parts_start_services(server, err);
	code = code != SL_OK ? code : parts_start_metrics(server, err);
	code = code != SL_OK ? code : parts_start_rpc(server, err);
	code = code != SL_OK ? code : parts_start_door(server, err);
	if (code == SL_OK) {
		parts_start_local(server);
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

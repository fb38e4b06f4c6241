#include "server/parts.h"

#include <stdio.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "proto/descriptors.h"
#include "server/admission/admission.h"
#include "server/audit/audit.h"
#include "server/ca/ca.h"
#include "server/collect.h"
#include "server/door/desk.h"
#include "server/events.h"
#include "server/fleet/fleet.h"
#include "server/gitsync/gitsync.h"
#include "server/local/local.h"
#include "server/metrics/metrics.h"
#include "server/records/bootstrap.h"
#include "server/services/backup.h"
#include "server/services/bundles.h"
#include "server/services/requests.h"
#include "server/signing/signing.h"
#include "server/vault/vault.h"
#include "server/watch/watch.h"

/* A wrong master key stops the start: what is sealed would be lost without a word. None at all
 * stops nothing but what needs it. */
sl_code parts_open_vault(struct server *server, struct sl_err *err)
{
	const struct server_config *config = &server->config;
	const struct store_view *view = NULL;
	sl_code code =
	    vault_open(config->data, config->master_key_file, &server->services.vault, err);
	if (code == SL_OK && vault_is_locked(server->services.vault) && !config->insecure) {
		log_warn("master-key",
			 "file=%s msg=\"there is none: what is sealed can be neither written nor "
			 "read\"",
			 SL_QUOTE(vault_path(server->services.vault)));
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

sl_code parts_open_keys(struct server *server, struct sl_err *err)
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

sl_code parts_open_store(struct server *server, struct sl_err *err)
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
	    .on_commit = events_commit,
	    .on_failure = events_storage_failed,
	    .prune = events_prune,
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

sl_code parts_start_services(struct server *server, struct sl_err *err)
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
	    .on_record = events_record,
	    .on_batch = events_batch,
	    .on_failure = events_storage_failed,
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

sl_code parts_start_metrics(struct server *server, struct sl_err *err)
{
	if (server->config.metrics_listen[0] == '\0') {
		return SL_OK;
	}
	sl_code code = metrics_new(server->config.metrics_listen, &server->metrics, err);
	return code != SL_OK
		   ? code
		   : metrics_collect(server->metrics, collect_metrics, &server->services, err);
}

sl_code parts_start_rpc(struct server *server, struct sl_err *err)
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
	    .on_tick = events_tick,
	    .tick_ms = 100,
	    .on_finished = events_finished,
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

sl_code parts_start_admission(struct server *server, struct sl_err *err)
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
sl_code parts_start_door(struct server *server, struct sl_err *err)
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
void parts_start_local(struct server *server)
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

#include <inttypes.h>
#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"

/* What the server said is on disk before anything follows from it. What cannot be written is tried
 * again, and a flip waits for that. */
static void persist(struct loop *loop)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (loop_save(loop, &err) != SL_OK) {
		log_warn("state-not-saved", "why=%s", SL_QUOTE(err.msg));
	}
}

/* Serving goes on; dialling does not, also after a restart on this folder. */
static void removed(struct loop *loop)
{
	loop->state->removed = true;
	persist(loop);
	log_warn("removed",
		 "instance=%s msg=\"the server removed it: serving goes on, dialling stops\"",
		 loop->config->instance);
	session_off(loop->session);
}

static void mismatch(struct loop *loop, const char *why)
{
	log_error("instance-mismatch", "instance=%s why=%s", loop->config->instance, SL_QUOTE(why));
	loop_note_error(loop, why);
	session_off(loop->session);
}

static void on_pace(struct loop *loop, const Sluice__V1__Pace *pace)
{
	struct state *state = loop->state;
	uint64_t server_ms = manifest_time_ms(pace->server_time);
	if (pace->instance_id[0] != '\0' && state->instance_id[0] != '\0' &&
	    strcmp(pace->instance_id, state->instance_id) != 0) {
		mismatch(
		    loop,
		    "the state folder belongs to another instance than the server's of this name");
		return;
	}
	if (state->instance_id[0] == '\0') {
		(void)state_text(state->instance_id, sizeof(state->instance_id), pace->instance_id);
	}
	if (server_ms != 0) {
		loop->time_known = true;
		loop->time_unix_ms = server_ms;
		loop->time_mono_ms = sl_clock_mono_ms();
		loop->time_slack_ms = loop->time_mono_ms - loop->greet_mono_ms;
		state->clock_offset_ms = (int64_t)server_ms - (int64_t)sl_clock_unix_ms();
	}
	turns_begin_stream(loop, pace->fetch_turns);
	state->connected_unix_ms = loop_now_unix_ms(loop);
	state->last_error[0] = '\0';
	loop->dirty = true;
	log_info("connected", "server=%s instance=%s heartbeat_ms=%" PRIu32, loop->config->server,
		 state->instance_id, pace->heartbeat_ms);
}

static sl_code take_manifest(struct loop *loop, const Sluice__V1__SignedManifest *signed_manifest,
			     struct sl_err *err)
{
	Sluice__V1__Manifest *manifest = NULL;
	struct sl_bytes body = SL_BYTES(signed_manifest->body.data, signed_manifest->body.len);
	sl_code code =
	    manifest_accept(loop->state, signed_manifest, loop_now_unix_ms(loop), &manifest, err);
	if (code != SL_OK) {
		return code;
	}
	code = manifest_store(loop->state, body, manifest, err);
	if (code != SL_OK) {
		manifest_free(manifest);
		return code;
	}
	loop_prove_time(loop, manifest_time_ms(manifest->expires_at));
	manifest_free(loop->manifest);
	loop->manifest = manifest;
	code = reconcile_merge(loop->state, manifest, err);
	if (code == SL_OK) {
		code = loop_sync_runs(loop, err);
	}
	work_check_pull(loop);
	persist(loop);
	log_info("manifest", "sequence=%" PRIu64 " apps=%zu removed=%zu paused=%d",
		 manifest->sequence, manifest->n_apps, manifest->n_removed, manifest->paused);
	return code;
}

/* What the agent has stays as it is; people on both sides hear of it. */
static void refuse(struct loop *loop, const struct sl_err *err)
{
	log_warn("manifest-refused", "why=%s", SL_QUOTE(err->msg));
	loop_note_error(loop, err->msg);
	loop->refusals++;
	loop->refusal_due = true;
	state_error_text(loop->refusal_why, err->msg);
}

static void on_manifest(struct loop *loop, const Sluice__V1__SignedManifest *signed_manifest)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (take_manifest(loop, signed_manifest, &err) != SL_OK) {
		refuse(loop, &err);
	}
}

static void on_keys(struct loop *loop, const Sluice__V1__ManifestKeys *keys)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	bool changed = false;
	sl_code code = trust_walk(loop->state, keys, &changed, &err);
	if (changed) {
		log_info("manifest-key", "epoch=%" PRIu32, loop->state->trust.epoch);
		persist(loop);
	}
	if (code != SL_OK) {
		refuse(loop, &err);
	}
}

static void on_refresh(struct loop *loop, const Sluice__V1__NotModified *refresh)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (manifest_refresh(loop->state, refresh, &err) != SL_OK) {
		refuse(loop, &err);
		return;
	}
	loop_prove_time(loop, manifest_time_ms(refresh->expires_at));
	loop->dirty = true;
}

static void on_config(struct loop *loop, const Sluice__V1__AgentConfig *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (values_take(loop, config, &err) != SL_OK) {
		refuse(loop, &err);
	}
	loop_wake_at(loop, 1);
}

/* Kept in memory only. Nobody but the agent with this key can read it, so nothing of it is told. */
static void on_login(struct loop *loop, const Sluice__V1__AgentLogin *login)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code =
	    loop->identity == NULL
		? sl_err_set(&err, SL_FAILED_PRECONDITION, "the agent has no key: it did not enrol")
		: logins_take(&loop->logins, loop->identity->box_secret, login, &err);
	if (code != SL_OK) {
		log_warn("login-refused", "repository=%.32s why=%s", login->repository_id,
			 SL_QUOTE(err.msg));
		return;
	}
	log_info("login", "repository=%.32s revision=%" PRIu64, login->repository_id,
		 login->revision);
	loop_wake_at(loop, 1);
}

void server_message(void *ctx, const Sluice__V1__SyncResponse *message)
{
	struct loop *loop = ctx;
	switch (message->message_case) {
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_PACE:
		on_pace(loop, message->pace);
		return;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_MANIFEST:
		on_manifest(loop, message->manifest);
		return;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_NOT_MODIFIED:
		on_refresh(loop, message->not_modified);
		return;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_KEYS:
		on_keys(loop, message->keys);
		return;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_LOGIN:
		on_login(loop, message->login);
		return;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_CONFIG:
		on_config(loop, message->config);
		return;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_PUSH:
		pushes_order(loop, message->push);
		return;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_FETCH_TURN:
		turns_hear(loop, message->fetch_turn);
		return;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_SOURCE_TEST:
		source_tests_order(loop, message->source_test);
		return;
	case SLUICE__V1__SYNC_RESPONSE__MESSAGE_COMMAND:
		if (message->command->kind ==
		    SLUICE__V1__AGENT_COMMAND_KIND__AGENT_COMMAND_KIND_REMOVED) {
			removed(loop);
		} else {
			report_forget(loop);
		}
		return;
	default:
		log_debug("unknown-message", "case=%d", (int)message->message_case);
	}
}

void server_end(void *ctx, const struct sl_err *err)
{
	struct loop *loop = ctx;
	if (err->reason == SL_REASON_INSTANCE_REMOVED) {
		removed(loop);
		return;
	}
	if (err->reason == SL_REASON_INSTANCE_MISMATCH) {
		mismatch(loop, err->msg);
		return;
	}
	log_warn("disconnected", "server=%s code=%s reason=%s why=%s", loop->config->server,
		 sl_code_name(err->code), sl_reason_name(err->reason), SL_QUOTE(err->msg));
	if (strcmp(loop->state->last_error, err->msg) != 0) {
		loop_note_error(loop, err->msg);
	}
}

/* The next certificate: asked for at half of the life of the one that is, on the main port; once
 * that is over, at the door. One call as a stream, so that the loop never waits for it. */
#include <inttypes.h>
#include <stdlib.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"

enum { CALL_MS = 20000, AGAIN_MIN_MS = 1000, AGAIN_MAX_MS = 60000, REFUSED_AGAIN_MS = 600000 };

int renew_fd(const struct loop *loop)
{
	return loop->renewing.stream != NULL ? crpc_stream_fd(loop->renewing.stream) : -1;
}

void renew_stop(struct loop *loop)
{
	struct renewing *renewing = &loop->renewing;
	crpc_stream_free(SL_TAKE(renewing->stream));
	crpc_channel_free(SL_TAKE(renewing->channel));
	sl_buf_fini(&renewing->request);
	renewing->sent = false;
}

/* --- how it ends --------------------------------------------------------------------------- */

/* Nothing that asking again could change: somebody has to act. */
static bool is_final(const struct sl_err *err)
{
	return err->reason == SL_REASON_RENEWAL_REFUSED ||
	       err->reason == SL_REASON_IDENTITY_REVOKED;
}

static void failed(struct loop *loop, const struct sl_err *err)
{
	struct renewing *renewing = &loop->renewing;
	renew_stop(loop);
	uint64_t pause = is_final(err) ? REFUSED_AGAIN_MS
				       : reconcile_backoff_ms(++renewing->failed, AGAIN_MIN_MS,
							      AGAIN_MAX_MS, 20, loop_random());
	renewing->next_mono_ms = sl_clock_mono_ms() + pause;
	log_warn(
	    "not-renewed", "identity=%s late=%d code=%s reason=%s why=%s again_ms=%" PRIu64 "%s",
	    loop->identity->identity_id, renewing->late, sl_code_name(err->code),
	    sl_reason_name(err->reason), SL_QUOTE(err->msg), pause,
	    is_final(err) ? " action=\"sluice instance rejoin, then sluice-agent enroll\"" : "");
	loop_note_error(loop, err->msg);
}

static void renewed(struct loop *loop, struct sl_bytes answer)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct renewing *renewing = &loop->renewing;
	struct identity *identity = loop->identity;
	if (identity_take(loop->dir, identity, renewing->late, answer, &err) != SL_OK) {
		failed(loop, &err);
		return;
	}
	char until[SL_CLOCK_TEXT_SIZE];
	log_info("renewed", "identity=%s renewals=%" PRIu64 " late=%d until=%s",
		 identity->identity_id, identity->renewals, renewing->late,
		 sl_clock_text(until, identity->not_after_ms));
	renew_stop(loop);
	renewing->failed = 0;
	renewing->next_mono_ms = 0;
	if (loop->session != NULL) {
		session_renewed(loop->session, identity->ca, identity->cert);
	} else if (!loop->state->removed) {
		(void)loop_open_session(loop);
	}
}

/* --- one call ------------------------------------------------------------------------------- */

static sl_code begin(struct loop *loop, struct sl_err *err)
{
	struct renewing *renewing = &loop->renewing;
	struct identity *identity = loop->identity;
	renewing->late = identity_is_over(identity, sl_clock_unix_ms());
	struct crpc_options options = {
	    .target = renewing->late ? identity->door : loop->config->server,
	    .own_connection = true,
	    .ca_pem = identity->ca,
	    .cert_pem = renewing->late ? NULL : identity->cert,
	    .key_pem = renewing->late ? NULL : identity->key,
	    .user_agent = "sluice-agent/" AGENT_VERSION,
	};
	const char *path = renewing->late ? "/sluice.v1.DoorService/Renew"
					  : "/sluice.v1.IdentityService/RenewCertificate";
	sl_code code = identity_ask(loop->dir, identity, renewing->late, &renewing->request, err);
	code = code != SL_OK ? code : crpc_channel_new(&options, &renewing->channel, err);
	return code != SL_OK
		   ? code
		   : crpc_stream_open(renewing->channel, path, CALL_MS, &renewing->stream, err);
}

/* A failure is told by the stream's end. */
static void offer(struct renewing *renewing)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	bool taken = false;
	sl_code code =
	    crpc_stream_offer(renewing->stream, sl_buf_bytes(&renewing->request), &taken, &err);
	if (code == SL_OK && taken) {
		renewing->sent = true;
		(void)!crpc_stream_close_send(renewing->stream, &err);
	}
}

static void hear(struct loop *loop)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) uint8_t *bytes = NULL;
	size_t size = 0;
	bool ended = false;
	sl_code code = crpc_stream_recv(loop->renewing.stream, 0, &bytes, &size, &ended, &err);
	if (bytes != NULL) {
		renewed(loop, SL_BYTES(bytes, size));
		return;
	}
	if (ended && code == SL_OK) {
		(void)sl_err_set(&err, SL_INTERNAL, "the server ended the call without an answer");
	}
	if (ended) {
		failed(loop, &err);
	}
}

void renew_step(struct loop *loop)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct renewing *renewing = &loop->renewing;
	uint64_t mono = sl_clock_mono_ms(), now = sl_clock_unix_ms();
	if (loop->identity == NULL || loop->state->removed) {
		return;
	}
	if (renewing->stream == NULL && !identity_is_due(loop->identity, now)) {
		loop_wake_at(loop, mono + (identity_due_ms(loop->identity) - now));
		return;
	}
	if (renewing->stream == NULL && mono < renewing->next_mono_ms) {
		loop_wake_at(loop, renewing->next_mono_ms);
		return;
	}
	if (renewing->stream == NULL && begin(loop, &err) != SL_OK) {
		failed(loop, &err);
		return;
	}
	if (!renewing->sent) {
		offer(renewing);
	}
	hear(loop);
}

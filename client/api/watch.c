/* Watch with resume.
 *
 *   CLOSED ── open, send the request ──> OPEN ── response ──> OPEN
 *     ^                                   │
 *     └── back-off <── it broke ──────────┤
 *                                         └── any other end ──> ENDED (the error is kept)
 *
 * `revision` moves with what is handed out, so a new stream begins where the
 * caller stands. */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "client/api/api_internal.h"

static const char watch_path[] = "/sluice.v1.WatchService/Watch";

struct sluice_watch {
	sluice_client *client;             /* borrowed until close */
	Sluice__V1__WatchRequest *request; /* owned; from_revision is kept up to date */
	struct crpc_stream *stream;        /* owned; NULL: CLOSED or ENDED */
	bool answered;                     /* the server has sent something once */
	bool ended;
	unsigned failures;      /* in a row */
	uint64_t retry_mono_ms; /* CLOSED: not before */
	struct sl_err end;      /* ENDED: why */
};

uint64_t sluice_watch_revision(const sluice_watch *watch)
{
	return watch->request->from_revision;
}

void sluice_watch_close(sluice_watch *watch)
{
	if (watch == NULL) {
		return;
	}
	crpc_stream_free(watch->stream);
	sluice_message_free(watch->request);
	sl_err_clear(&watch->end);
	free(watch);
}
SL_DEFINE_AUTO(sluice_watch *, sluice_watch_close);

/* A deep copy, by way of the wire. */
static sl_code copy_request(const Sluice__V1__WatchRequest *request,
			    Sluice__V1__WatchRequest **ret_copy, struct sl_err *err)
{
	struct sl_bytes packed = SL_BYTES_NONE;
	sl_code code = api_pack(&request->base, &packed, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_copy = sluice__v1__watch_request__unpack(NULL, packed.size, packed.data);
	free((void *)packed.data);
	return *ret_copy != NULL ? SL_OK : sl_err_no_memory(err);
}

/* "From now on" must be a number, or a break before the first response would lose changes. */
static int find_now(sluice_watch *watch, sluice_error *error)
{
	Sluice__V1__ListAppsRequest list = SLUICE__V1__LIST_APPS_REQUEST__INIT;
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListAppsResponse *response = NULL;
	page.page_size = 1;
	list.page = &page;
	list.workspace = watch->request->workspace;
	int code = sluice_list_apps(watch->client, NULL, &list, &response, error);
	if (code != SLUICE_OK) {
		return code;
	}
	watch->request->from_revision = response->page != NULL ? response->page->revision : 0;
	sluice_message_free(response);
	return SLUICE_OK;
}

int sluice_watch_open(sluice_client *client, const Sluice__V1__WatchRequest *request,
		      sluice_watch **ret_watch, sluice_error *error)
{
	struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sluice_watch_close_auto) sluice_watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL) {
		(void)sl_err_no_memory(&err);
		return api_fail(error, &err);
	}
	watch->client = client;
	watch->end = (struct sl_err)SL_ERR_INIT;
	if (copy_request(request, &watch->request, &err) != SL_OK) {
		return api_fail(error, &err);
	}
	if (request->from_revision == 0) {
		int code = find_now(watch, error);
		if (code != SLUICE_OK) {
			return code;
		}
	}
	*ret_watch = SL_TAKE(watch);
	return SLUICE_OK;
}

static sl_code open_stream(sluice_watch *watch, struct sl_err *err)
{
	struct sl_bytes packed = SL_BYTES_NONE;
	sl_code code = api_pack(&watch->request->base, &packed, err);
	if (code != SL_OK) {
		return code;
	}
	code = api_ask(watch->client, watch_path, packed, &watch->stream, err);
	free((void *)packed.data);
	return code;
}

/* CANCELLED was not us: a stream that we end is not listened to any more. It is what a server
 * says that has no time left to stop properly. */
static bool is_break(const struct sl_err *err)
{
	return api_is_transient(err) || err->code == SL_CANCELLED ||
	       err->reason == SL_REASON_WATCHER_TOO_SLOW;
}

/* The stream is over. Says whether a new one is worth a try; if not, *err is kept for good. */
static bool may_resume(sluice_watch *watch, struct sl_err *err)
{
	crpc_stream_free(SL_TAKE(watch->stream));
	watch->failures++;
	if (is_break(err) && (watch->answered || watch->failures < watch->client->attempts_max)) {
		watch->retry_mono_ms =
		    sl_clock_mono_ms() + api_backoff(watch->client, watch->failures);
		sl_err_clear(err);
		return true;
	}
	watch->ended = true;
	sl_err_move(&watch->end, err);
	return false;
}

/* ENDED: the same answer for ever. */
static int tell_end(const sluice_watch *watch, sluice_error *error)
{
	struct sl_err copy = SL_ERR_INIT;
	(void)sl_err_because(&copy, watch->end.code, watch->end.reason, "%s", watch->end.msg);
	for (const struct sl_detail *d = watch->end.details; d != NULL; d = d->next) {
		if (d->kind == SL_DETAIL_METADATA) {
			sl_err_meta(&copy, d->subject, "%s", d->text);
		}
		if (d->kind == SL_DETAIL_FIELD) {
			sl_err_field(&copy, d->subject, d->text);
		}
	}
	return api_fail(error, &copy);
}

static sl_code take_message(sluice_watch *watch, const uint8_t *message, size_t size,
			    Sluice__V1__WatchResponse **ret_response, struct sl_err *err)
{
	Sluice__V1__WatchResponse *response =
	    sluice__v1__watch_response__unpack(NULL, size, message);
	if (response == NULL) {
		return sl_err_set(err, SL_INTERNAL, "the server sent a malformed change");
	}
	uint64_t *revision = &watch->request->from_revision;
	*revision = response->revision > *revision ? response->revision : *revision;
	if (response->n_changes > 0) {
		uint64_t last = response->changes[response->n_changes - 1]->revision;
		*revision = last > *revision ? last : *revision;
	}
	watch->answered = true;
	watch->failures = 0;
	*ret_response = response;
	return SL_OK;
}

/* One look at the stream, up to `wait_ms`. */
static sl_code receive(sluice_watch *watch, uint32_t wait_ms,
		       Sluice__V1__WatchResponse **ret_response, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *message = NULL;
	size_t size = 0;
	bool ended = false;
	sl_code code = crpc_stream_recv(watch->stream, wait_ms, &message, &size, &ended, err);
	if (code == SL_OK && ended) {
		return sl_err_set(err, SL_UNAVAILABLE, "the server ended the watch");
	}
	if (code != SL_OK || message == NULL) {
		return code;
	}
	return take_message(watch, message, size, ret_response, err);
}

/* Opens the stream once its back-off is over; then looks. */
static sl_code step(sluice_watch *watch, uint32_t left_ms, Sluice__V1__WatchResponse **ret_response,
		    struct sl_err *err)
{
	if (watch->stream == NULL) {
		uint64_t now = sl_clock_mono_ms();
		if (now < watch->retry_mono_ms) {
			uint64_t pause = watch->retry_mono_ms - now;
			api_sleep(pause < left_ms ? (uint32_t)pause : left_ms);
			return SL_OK;
		}
		sl_code code = open_stream(watch, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return receive(watch, left_ms, ret_response, err);
}

int sluice_watch_next(sluice_watch *watch, uint32_t timeout_ms,
		      Sluice__V1__WatchResponse **ret_response, sluice_error *error)
{
	uint64_t deadline = sl_clock_mono_ms() + timeout_ms;
	*ret_response = NULL;
	while (!watch->ended) {
		uint64_t now = sl_clock_mono_ms();
		uint32_t left = now < deadline ? (uint32_t)(deadline - now) : 0;
		struct sl_err err = SL_ERR_INIT;
		if (step(watch, left, ret_response, &err) != SL_OK && !may_resume(watch, &err)) {
			break;
		}
		if (*ret_response != NULL || sl_clock_mono_ms() >= deadline) {
			return SLUICE_OK;
		}
	}
	return tell_end(watch, error);
}

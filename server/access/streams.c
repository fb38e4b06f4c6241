#include "server/access/streams.h"

#include <stdlib.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/access/access_internal.h"
#include "server/records/principals.h"

/* A tick looks at so many buckets: at all of them within 2 s, so that 10 000 streams whose rights
 * have changed at once do not hold up the queue thread. */
enum { BUCKETS_A_TICK = ACCESS_STREAM_BUCKETS / 20 + 1 };

struct access_stream {
	struct access_stream *next;
	struct rpc_stream *stream; /* counted */
	struct access_caller caller;
	struct access_need need;
	uint64_t generation; /* as of which its rights were found good */
	bool ended;          /* its end was said: closed() follows */
};

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

static struct access_stream **place_of(struct access *access, const struct rpc_stream *stream)
{
	uintptr_t number = (uintptr_t)stream >> 4;
	struct access_stream **at = &access->streams[number % ACCESS_STREAM_BUCKETS];
	while (*at != NULL && (*at)->stream != stream) {
		at = &(*at)->next;
	}
	return at;
}

sl_code access_stream_opened(struct access *access, struct rpc_stream *stream,
			     const struct access_caller *caller, const struct access_need *need,
			     struct sl_err *err)
{
	if (access == NULL || caller->kind == ACCESS_ANONYMOUS) {
		return SL_OK;
	}
	struct access_stream *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return sl_err_no_memory(err);
	}
	*s = (struct access_stream){
	    .stream = rpc_stream_ref(stream), .caller = *caller, .need = *need};
	*place_of(access, stream) = s;
	return SL_OK;
}

void access_stream_closed(struct access *access, struct rpc_stream *stream)
{
	struct access_stream **at = access == NULL ? NULL : place_of(access, stream);
	if (at == NULL || *at == NULL) {
		return;
	}
	struct access_stream *s = *at;
	*at = s->next;
	rpc_stream_unref(s->stream);
	free(s);
}

const struct access_caller *access_stream_caller(struct access *access,
						 const struct rpc_stream *stream)
{
	struct access_stream *s = access == NULL ? NULL : *place_of(access, stream);
	return s == NULL ? NULL : &s->caller;
}

/* --- looking ---------------------------------------------------------------------- */

static sl_code meets(const struct access_stream *s, const struct rights *rights, struct sl_err *err)
{
	const struct access_need *need = &s->need;
	const char *slug = need->slug[0] == '\0' ? NULL : need->slug;
	bool good = s->caller.kind == ACCESS_INSTANCE;
	if (need->server) {
		good = access_serves(&s->caller, rights);
	} else if (!good) {
		good = access_enters(&s->caller, rights, need->workspace) &&
		       rights_allow(rights, ACCESS_VIEW, slug, 0);
	}
	return good ? SL_OK
		    : rights_missing(s->caller.principal,
				     need->server ? ACCESS_ADMINISTER : ACCESS_VIEW, slug, 0, err);
}

static sl_code look(struct access *access, const struct store_view *view, uint64_t generation,
		    uint64_t now_ms, struct access_stream *s, struct sl_err *err)
{
	if (s->caller.not_after_ms <= now_ms) {
		return sl_err_because(
		    err, SL_UNAUTHENTICATED, SL_REASON_CERTIFICATE_EXPIRED,
		    "the client certificate has expired: renew it, or log in again");
	}
	if (s->generation == generation && generation != 0) {
		return SL_OK;
	}
	struct access_hold hold = {.rights = NULL};
	sl_code code = access_rights_begin(access, view, &s->caller, &hold, err);
	code = code != SL_OK ? code : meets(s, hold.rights, err);
	access_rights_end(&hold);
	s->generation = code == SL_OK ? generation : s->generation;
	return code;
}

static void look_at(struct access *access, const struct store_view *view, uint64_t generation,
		    struct access_stream *s)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = look(access, view, generation, sl_clock_unix_ms(), s, &err);
	if (code != SL_UNAUTHENTICATED && code != SL_PERMISSION_DENIED) {
		return; /* it may go on, or cannot be told now */
	}
	log_info("stream-ended", "principal=%s identity=%s code=%s reason=%s", s->caller.principal,
		 s->caller.identity_id, sl_code_name(code), sl_reason_name(err.reason));
	s->ended = true;
	rpc_stream_finish(s->stream, code, &err);
}

void access_tick(struct access *access)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	uint64_t generation = 0;
	if (access == NULL || store_view_begin(access->options.store, &view, NULL) != SL_OK ||
	    access_generation(view, &generation, NULL) != SL_OK) {
		return;
	}
	for (size_t i = 0; i < BUCKETS_A_TICK; i++) {
		struct access_stream *s = access->streams[access->looked_at];
		access->looked_at = (access->looked_at + 1) % ACCESS_STREAM_BUCKETS;
		for (; s != NULL; s = s->next) {
			if (!s->ended) {
				look_at(access, view, generation, s);
			}
		}
	}
}

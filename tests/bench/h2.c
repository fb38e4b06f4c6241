#include "tests/bench/h2.h"

#include <stdio.h>
#include <stdlib.h>

#include <nghttp2/nghttp2.h>

#include "base/mem/own.h"
#include "tests/bench/die.h"
#include "tests/bench/wire.h"

enum {
	PREFIX_BYTES = 5, /* of each message: compressed or not, and its length */
	MESSAGE_MAX = 16 << 20,
	HEADERS_MAX = 16 << 10, /* what a real agent takes */
	WINDOW_BYTES = 65535,
	ALLOW_TRUE_BINARY = 0xfe03, /* a setting of gRPC's own */
	AUTHORITY_BYTES = 32,
	TEXT_BYTES = 200
};

struct h2 {
	struct wire *wire;
	nghttp2_session *session;
	bool secure, settled; /* settled: the server's settings came */
	char authority[AUTHORITY_BYTES];
	struct h2_call call;
	bool running;       /* begun and not ended */
	int32_t stream;     /* of the call; 0: not submitted yet */
	struct sl_buf out;  /* the message that is on its way, with its prefix */
	size_t out_taken;   /* by nghttp2 */
	struct sl_buf in;   /* what is not a whole message yet */
	size_t unannounced; /* bytes of DATA that the windows do not have back yet */
	int status;
	char text[TEXT_BYTES];
};

static void must(int rc, const char *doing)
{
	if (rc < 0) {
		die("%s: %s", doing, nghttp2_strerror(rc));
	}
}

static void end_call(struct h2 *h2, int status, const char *text)
{
	if (h2->running) {
		h2->running = false;
		h2->call.ended(h2->call.ctx, status, text);
	}
}

/* --- what is said --------------------------------------------------------------------- */

static void flush(struct h2 *h2)
{
	const uint8_t *data = NULL;
	ssize_t size = 0;
	while ((size = nghttp2_session_mem_send(h2->session, &data)) > 0) {
		wire_put(h2->wire, SL_BYTES(data, (size_t)size));
	}
	must((int)size, "HTTP/2");
	wire_flush(h2->wire);
}

static void put_message(struct h2 *h2, struct sl_bytes message)
{
	uint8_t prefix[PREFIX_BYTES] = {0};
	sl_put_be32(prefix + 1, (uint32_t)message.size);
	sl_buf_clear(&h2->out);
	sl_buf_append(&h2->out, prefix, sizeof(prefix));
	sl_buf_append(&h2->out, message.data, message.size);
	h2->out_taken = 0;
	if (h2->out.failed) {
		die("out of memory");
	}
}

static ssize_t read_message(nghttp2_session *session, int32_t stream, uint8_t *out, size_t room,
			    uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	(void)session, (void)stream, (void)source;
	struct h2 *h2 = ctx;
	size_t left = h2->out.size - h2->out_taken, size = left < room ? left : room;
	if (left == 0) {
		return NGHTTP2_ERR_DEFERRED;
	}
	memcpy(out, h2->out.data + h2->out_taken, size);
	h2->out_taken += size;
	if (h2->call.unary && size == left) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	}
	return (ssize_t)size;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){
	    .name = (uint8_t *)name,
	    .value = (uint8_t *)value,
	    .namelen = strlen(name),
	    .valuelen = strlen(value),
	    .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
	};
}

static void submit(struct h2 *h2)
{
	const nghttp2_nv headers[] = {
	    header(":path", h2->call.path),
	    header(":authority", h2->authority),
	    header(":method", "POST"),
	    header(":scheme", h2->secure ? "https" : "http"),
	    header("content-type", "application/grpc"),
	    header("te", "trailers"),
	    header("grpc-accept-encoding", "identity, deflate, gzip"),
	    header("user-agent", "grpc-c/29.0.0 (linux; chttp2)"),
	};
	const nghttp2_data_provider message = {.read_callback = read_message};
	h2->stream =
	    nghttp2_submit_request(h2->session, NULL, headers, SL_COUNT(headers), &message, NULL);
	must(h2->stream, h2->call.path);
}

void h2_call(struct h2 *h2, const struct h2_call *call, struct sl_bytes message)
{
	h2->call = *call;
	h2->running = true;
	h2->stream = 0;
	h2->status = H2_UNAVAILABLE;
	(void)snprintf(h2->text, sizeof(h2->text), "the stream ended without a status");
	sl_buf_clear(&h2->in);
	put_message(h2, message);
	if (h2->settled) {
		submit(h2);
		flush(h2);
	}
}

bool h2_is_saying(const struct h2 *h2)
{
	return h2->out_taken < h2->out.size || wire_is_sending(h2->wire);
}

void h2_say(struct h2 *h2, struct sl_bytes message)
{
	put_message(h2, message);
	if (h2->stream != 0) {
		must(nghttp2_session_resume_data(h2->session, h2->stream), "a message");
		flush(h2);
	}
}

/* --- what comes --------------------------------------------------------------------------- */

/* The windows of stream and connection grow by so much. */
static void announce(struct h2 *h2, size_t bytes)
{
	if (h2->running) {
		must(nghttp2_submit_window_update(h2->session, NGHTTP2_FLAG_NONE, h2->stream,
						  (int32_t)bytes),
		     "a window");
	}
	must(nghttp2_submit_window_update(h2->session, NGHTTP2_FLAG_NONE, 0, (int32_t)bytes),
	     "a window");
}

/* gRPC asks for the five bytes before the first message. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	(void)session;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		announce(ctx, PREFIX_BYTES);
	}
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	(void)session;
	struct h2 *h2 = ctx;
	bool settings =
	    frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
	if (settings && !h2->settled) {
		h2->settled = true;
		if (h2->running) {
			submit(h2);
		}
	}
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_size, const uint8_t *value, size_t size, uint8_t flags, void *ctx)
{
	(void)session, (void)frame, (void)flags;
	struct h2 *h2 = ctx;
	struct sl_bytes key = SL_BYTES(name, name_size);
	if (sl_bytes_equal(key, sl_bytes_text("grpc-status"))) {
		h2->status = atoi((const char *)value); /* nghttp2 ends it with a NUL */
		h2->text[0] = '\0';
	} else if (sl_bytes_equal(key, sl_bytes_text("grpc-message"))) {
		(void)snprintf(h2->text, sizeof(h2->text), "%.*s", (int)size, (const char *)value);
	}
	return 0;
}

/* The whole messages at the start of what came; returns how many bytes they are. */
static size_t tell_whole(struct h2 *h2, struct sl_bytes came)
{
	size_t told = 0;
	while (came.size - told >= PREFIX_BYTES) {
		const uint8_t *at = came.data + told;
		size_t size = sl_get_be32(at + 1);
		if (at[0] != 0 || size > MESSAGE_MAX) {
			die("%s: a message is compressed, or of %zu bytes", h2->call.path, size);
		}
		if (came.size - told - PREFIX_BYTES < size) {
			return told;
		}
		h2->call.came(h2->call.ctx, SL_BYTES(at + PREFIX_BYTES, size));
		told += PREFIX_BYTES + size;
	}
	return told;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
		   size_t size, void *ctx)
{
	(void)session, (void)flags, (void)stream;
	struct h2 *h2 = ctx;
	struct sl_bytes came = SL_BYTES(data, size);
	h2->unannounced += size;
	if (h2->in.size > 0) {
		sl_buf_append(&h2->in, data, size);
		came = sl_buf_bytes(&h2->in);
	}
	size_t told = tell_whole(h2, came), left = came.size - told;
	if (h2->in.size > 0) {
		memmove(h2->in.data, h2->in.data + told, left);
		h2->in.size = left;
	} else if (left > 0) {
		sl_buf_append(&h2->in, data + told, left);
	}
	if (h2->in.failed) {
		die("out of memory");
	}
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *ctx)
{
	(void)session, (void)stream, (void)error;
	struct h2 *h2 = ctx;
	end_call(h2, h2->status, h2->text);
	return 0;
}

static void on_bytes(void *ctx, struct sl_bytes bytes)
{
	struct h2 *h2 = ctx;
	ssize_t taken = nghttp2_session_mem_recv(h2->session, bytes.data, bytes.size);
	must((int)taken, "HTTP/2");
	if (h2->unannounced > 0) {
		announce(h2, h2->unannounced);
		h2->unannounced = 0;
	}
	flush(h2);
}

static void on_broken(void *ctx, const char *why)
{
	end_call(ctx, H2_UNAVAILABLE, why);
}

/* --- connections ------------------------------------------------------------------------------ */

static const nghttp2_session_callbacks *callbacks(void)
{
	static nghttp2_session_callbacks *made;
	if (made == NULL) {
		must(nghttp2_session_callbacks_new(&made), "HTTP/2");
		nghttp2_session_callbacks_set_on_frame_send_callback(made, on_sent);
		nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame);
		nghttp2_session_callbacks_set_on_header_callback(made, on_header);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data);
		nghttp2_session_callbacks_set_on_stream_close_callback(made, on_close);
	}
	return made;
}

static void start_session(struct h2 *h2)
{
	const nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX},
	    {ALLOW_TRUE_BINARY, 1},
	};
	nghttp2_option *option = NULL;
	must(nghttp2_option_new(&option), "HTTP/2");
	nghttp2_option_set_no_auto_window_update(option, 1);
	must(nghttp2_session_client_new2(&h2->session, callbacks(), h2, option), "HTTP/2");
	nghttp2_option_del(option);
	must(nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, SL_COUNT(settings)),
	     "HTTP/2");
}

struct h2 *h2_new(struct wires *wires, int port, struct ssl_st *ssl)
{
	struct h2 *h2 = need(calloc(1, sizeof(*h2)));
	const struct wire_owner owner = {.came = on_bytes, .broken = on_broken, .ctx = h2};
	h2->secure = ssl != NULL;
	(void)snprintf(h2->authority, sizeof(h2->authority), "127.0.0.1:%d", port);
	h2->wire = wire_new(wires, port, ssl, &owner);
	start_session(h2);
	flush(h2);
	return h2;
}

void h2_free(struct h2 *h2)
{
	if (h2 == NULL) {
		return;
	}
	if (h2->running && h2->stream != 0) {
		h2->running = false;
		must(nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, h2->stream,
					       NGHTTP2_CANCEL),
		     "a cancelled call");
		flush(h2);
	}
	nghttp2_session_del(h2->session);
	wire_free(h2->wire);
	sl_buf_fini(&h2->out);
	sl_buf_fini(&h2->in);
	free(h2);
}

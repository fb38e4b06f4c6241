#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/bench/die.h"

enum { EVENTS = 64, READ_BYTES = 16384 };
enum state { CONNECTING, SHAKING, OPEN, BROKEN };
enum outcome { DONE, WAIT, FAILED };

struct wires {
	int epoll;
	uint8_t in[READ_BYTES];
};

struct wire {
	struct wires *wires;
	struct wire_owner owner;
	SSL *ssl; /* owned; NULL: in the clear */
	int fd;
	enum state state;
	bool watching_out; /* epoll tells when it can be written */
	bool wants_out;    /* TLS has to write before it goes on */
	struct sl_buf out;
	size_t sent; /* of out */
};

struct wires *wires_new(void)
{
	struct wires *wires = need(calloc(1, sizeof(*wires)));
	wires->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (wires->epoll < 0) {
		die("epoll: %s", strerror(errno));
	}
	return wires;
}

void wires_free(struct wires *wires)
{
	if (wires != NULL) {
		(void)close(wires->epoll);
		free(wires);
	}
}

static void watch(struct wire *wire, int op, bool out)
{
	struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = wire};
	if (epoll_ctl(wire->wires->epoll, op, wire->fd, &event) != 0) {
		die("epoll: %s", strerror(errno));
	}
	wire->watching_out = out;
}

static void watch_again(struct wire *wire)
{
	bool out = wire->state == CONNECTING || wire->wants_out ||
		   (wire->state == OPEN && wire_is_sending(wire));
	if (wire->state != BROKEN && out != wire->watching_out) {
		watch(wire, EPOLL_CTL_MOD, out);
	}
}

static void break_off(struct wire *wire, const char *why)
{
	if (wire->state != BROKEN) {
		wire->state = BROKEN;
		(void)epoll_ctl(wire->wires->epoll, EPOLL_CTL_DEL, wire->fd, NULL);
		wire->owner.broken(wire->owner.ctx, why);
	}
}

/* --- bytes ------------------------------------------------------------------------ */

/* After a call of OpenSSL that returned rc. */
static enum outcome tls_outcome(struct wire *wire, int rc)
{
	int why = rc > 0 ? SSL_ERROR_NONE : SSL_get_error(wire->ssl, rc);
	wire->wants_out = why == SSL_ERROR_WANT_WRITE;
	if (why == SSL_ERROR_NONE) {
		return DONE;
	}
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? WAIT : FAILED;
}

static enum outcome plain_outcome(ssize_t moved)
{
	if (moved > 0) {
		return DONE;
	}
	return moved < 0 && (errno == EAGAIN || errno == EINTR) ? WAIT : FAILED;
}

static enum outcome send_some(struct wire *wire, struct sl_bytes bytes, size_t *ret_sent)
{
	if (wire->ssl == NULL) {
		ssize_t sent = send(wire->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
		*ret_sent = sent > 0 ? (size_t)sent : 0;
		return plain_outcome(sent);
	}
	ERR_clear_error();
	return tls_outcome(wire, SSL_write_ex(wire->ssl, bytes.data, bytes.size, ret_sent));
}

static enum outcome read_some(struct wire *wire, size_t *ret_got)
{
	if (wire->ssl == NULL) {
		ssize_t got = recv(wire->fd, wire->wires->in, READ_BYTES, 0);
		*ret_got = got > 0 ? (size_t)got : 0;
		return plain_outcome(got);
	}
	ERR_clear_error();
	return tls_outcome(wire, SSL_read_ex(wire->ssl, wire->wires->in, READ_BYTES, ret_got));
}

static const char *why_failed(const struct wire *wire)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());
	return wire->ssl != NULL && why != NULL ? why : "the server hung up";
}

/* What lies in OpenSSL's buffer is nothing that epoll knows of. */
static void read_all(struct wire *wire)
{
	bool more = true;
	while (more && wire->state == OPEN) {
		size_t got = 0;
		enum outcome outcome = read_some(wire, &got);
		if (outcome == FAILED) {
			break_off(wire, why_failed(wire));
		} else if (outcome == DONE) {
			wire->owner.came(wire->owner.ctx, SL_BYTES(wire->wires->in, got));
		}
		more = outcome == DONE && wire->ssl != NULL && SSL_has_pending(wire->ssl) == 1;
	}
}

void wire_put(struct wire *wire, struct sl_bytes bytes)
{
	sl_buf_append(&wire->out, bytes.data, bytes.size);
	if (wire->out.failed) {
		die("out of memory");
	}
}

void wire_flush(struct wire *wire)
{
	enum outcome outcome = DONE;
	while (wire->state == OPEN && wire_is_sending(wire) && outcome == DONE) {
		size_t sent = 0;
		outcome = send_some(
		    wire, SL_BYTES(wire->out.data + wire->sent, wire->out.size - wire->sent),
		    &sent);
		wire->sent += sent;
	}
	if (!wire_is_sending(wire)) {
		sl_buf_clear(&wire->out);
		wire->sent = 0;
	}
	if (outcome == FAILED) {
		(void)shutdown(wire->fd, SHUT_RDWR); /* the next read tells it */
		sl_buf_clear(&wire->out);
		wire->sent = 0;
	}
	watch_again(wire);
}

bool wire_is_sending(const struct wire *wire)
{
	return wire->sent < wire->out.size;
}

/* --- opening ------------------------------------------------------------------------- */

static void finish_connecting(struct wire *wire)
{
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
		break_off(wire, strerror(error != 0 ? error : errno));
		return;
	}
	wire->state = wire->ssl != NULL ? SHAKING : OPEN;
}

static bool speaks_http2(SSL *ssl)
{
	const unsigned char *name = NULL;
	unsigned size = 0;
	SSL_get0_alpn_selected(ssl, &name, &size);
	return size == 2 && memcmp(name, "h2", size) == 0;
}

static void shake_hands(struct wire *wire)
{
	ERR_clear_error();
	enum outcome outcome = tls_outcome(wire, SSL_connect(wire->ssl));
	if (outcome == FAILED || (outcome == DONE && !speaks_http2(wire->ssl))) {
		break_off(wire, outcome == FAILED ? why_failed(wire) : "no HTTP/2");
	} else if (outcome == DONE) {
		wire->state = OPEN;
	}
}

static int dial(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
		die("a socket: %s", strerror(errno));
	}
	/* Whether it went well is asked when epoll tells. */
	(void)connect(fd, (const struct sockaddr *)&to, sizeof(to));
	return fd;
}

struct wire *wire_new(struct wires *wires, int port, SSL *ssl, const struct wire_owner *owner)
{
	struct wire *wire = need(calloc(1, sizeof(*wire)));
	wire->wires = wires;
	wire->owner = *owner;
	wire->ssl = ssl;
	wire->fd = dial(port);
	if (ssl != NULL && SSL_set_fd(ssl, wire->fd) != 1) {
		die("out of memory");
	}
	watch(wire, EPOLL_CTL_ADD, true);
	return wire;
}

void wire_free(struct wire *wire)
{
	if (wire == NULL) {
		return;
	}
	SSL_free(wire->ssl);
	(void)close(wire->fd);
	sl_buf_fini(&wire->out);
	free(wire);
}

/* --- epoll ------------------------------------------------------------------------------ */

static void on_ready(struct wire *wire)
{
	if (wire->state == CONNECTING) {
		finish_connecting(wire);
	}
	if (wire->state == SHAKING) {
		shake_hands(wire);
	}
	if (wire->state == OPEN && wire_is_sending(wire)) {
		wire_flush(wire);
	}
	if (wire->state == OPEN) {
		read_all(wire);
	}
	watch_again(wire);
}

bool wires_wait(struct wires *wires, unsigned ms)
{
	struct epoll_event events[EVENTS];
	int count = 0;
	do {
		count = epoll_wait(wires->epoll, events, EVENTS, (int)ms);
	} while (count < 0 && errno == EINTR);
	for (int i = 0; i < count; i++) {
		on_ready(events[i].data.ptr);
	}
	return count > 0;
}

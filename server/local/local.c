#include "server/local/local.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/json/json.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/local/socket_internal.h"
#include "server/records/principals.h"

struct local {
	struct local_options options;
	pthread_t thread;
	bool started;
	int listen_fd, stop_fd; /* stop_fd: readable once it is to end */
};

/* --- the answer ---------------------------------------------------------------------------- */

/* Who listens everywhere is reached on loopback from here. */
static char *address_of(const struct local_port *port)
{
	if (port->advertised[0] != '\0') {
		return strdup(port->advertised);
	}
	const char *colon = strrchr(port->listen, ':');
	int length = colon != NULL ? (int)(colon - port->listen) : 0;
	bool all = length == 0 || strncmp(port->listen, "0.0.0.0:", 8) == 0 ||
		   strncmp(port->listen, "[::]:", 5) == 0;
	char *text = NULL;
	int size = asprintf(&text, "%.*s:%d", all ? 9 : length, all ? "127.0.0.1" : port->listen,
			    port->port);
	return size >= 0 ? text : NULL;
}

static sl_code make(struct local *local, struct login_file *file, struct sl_err *err)
{
	const struct local_options *options = &local->options;
	if (options->door.port == 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "this server has no door, so no token logs anybody in: "
				  "--door-listen");
	}
	file->server = address_of(&options->server);
	file->door = address_of(&options->door);
	if (file->server == NULL || file->door == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = ca_trust(options->ca, &file->ca, err);
	return code != SL_OK ? code
			     : records_first_admin(options->store, ca_token_key(options->ca),
						   sl_clock_unix_ms(), LOCAL_TOKEN_LIFE_MS,
						   &file->token, err);
}

static char *refusal(const char *why)
{
	struct sl_json_writer writer = {.style = SL_JSON_COMPACT};
	sl_json_open_object(&writer, NULL);
	sl_json_put_text(&writer, "error", why);
	sl_json_close(&writer);
	return sl_json_finish(&writer);
}

static void answer(struct local *local, int fd, const struct ucred *peer)
{
	SL_AUTO(login_file_fini) struct login_file file = {0};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = make(local, &file, &err);
	char *text = code == SL_OK ? login_file_text(&file) : refusal(err.msg);
	if (text == NULL) {
		return;
	}
	bool sent = send(fd, text, strlen(text), MSG_NOSIGNAL) > 0;
	sl_wipe(text, strlen(text));
	free(text);
	log_info("admin-token", "uid=%u pid=%d made=%d sent=%d", (unsigned)peer->uid,
		 (int)peer->pid, code == SL_OK, sent);
}

/* The mode of the socket keeps others out already; this does too where a folder is opened up. */
static bool is_ours(const struct ucred *peer)
{
	return peer->uid == geteuid() || peer->uid == 0;
}

static void serve(struct local *local, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	char question[sizeof(SOCKET_QUESTION)] = "";
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || !is_ours(&peer)) {
		log_warn("admin-token-refused", "uid=%u", (unsigned)peer.uid);
		return;
	}
	socket_bound_waits(fd);
	ssize_t got = recv(fd, question, sizeof(question), 0);
	if (got == (ssize_t)strlen(SOCKET_QUESTION) &&
	    memcmp(question, SOCKET_QUESTION, (size_t)got) == 0) {
		answer(local, fd, &peer);
	}
}

static void *serve_all(void *arg)
{
	struct local *local = arg;
	struct pollfd fds[] = {{.fd = local->listen_fd, .events = POLLIN},
			       {.fd = local->stop_fd, .events = POLLIN}};
	for (;;) {
		if (poll(fds, SL_COUNT(fds), -1) < 0 && errno != EINTR) {
			log_error("admin-socket", "error=%s", SL_QUOTE(strerror(errno)));
			return NULL;
		}
		if (fds[1].revents != 0) {
			return NULL;
		}
		int fd = accept4(local->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			serve(local, fd);
			(void)close(fd);
		}
	}
}

/* --- life --------------------------------------------------------------------------------- */

static sl_code start(struct local *local, struct sl_err *err)
{
	local->listen_fd = socket_listen(local->options.data);
	if (local->listen_fd < 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "socket '%s/" SOCKET_NAME "': %s",
				  local->options.data, strerror(errno));
	}
	local->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	local->started =
	    local->stop_fd >= 0 && pthread_create(&local->thread, NULL, serve_all, local) == 0;
	return local->started ? SL_OK
			      : sl_err_set(err, SL_RESOURCE_EXHAUSTED,
					   "cannot start the thread of '%s/" SOCKET_NAME "'",
					   local->options.data);
}

SL_DEFINE_AUTO(struct local *, local_free);

sl_code local_new(const struct local_options *options, struct local **ret_local, struct sl_err *err)
{
	SL_AUTO(local_free_auto) struct local *local = calloc(1, sizeof(*local));
	if (local == NULL) {
		return sl_err_no_memory(err);
	}
	*local = (struct local){.options = *options, .listen_fd = -1, .stop_fd = -1};
	sl_code code = start(local, err);
	if (code == SL_OK) {
		*ret_local = SL_TAKE(local);
	}
	return code;
}

void local_free(struct local *local)
{
	if (local == NULL) {
		return;
	}
	if (local->started) {
		(void)eventfd_write(local->stop_fd, 1);
		(void)pthread_join(local->thread, NULL);
	}
	if (local->listen_fd >= 0) {
		(void)close(local->listen_fd);
		socket_remove(local->options.data);
	}
	if (local->stop_fd >= 0) {
		(void)close(local->stop_fd);
	}
	free(local);
}

/* --- asking --------------------------------------------------------------------------------- */

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

static sl_code read_answer(struct sl_bytes text, struct login_file *ret_file, struct sl_err *err)
{
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	const char *why = NULL;
	sl_code code = sl_json_parse(text, &root, err);
	code = code != SL_OK ? code : sl_json_get_text(root, "error", SL_ERR_MSG_SIZE, &why, err);
	if (code == SL_OK && why != NULL) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "%s", why);
	}
	return code != SL_OK ? code : login_file_parse(text, ret_file, err);
}

static sl_code ask(int fd, struct login_file *ret_file, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new(SOCKET_PACKET_MAX);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	if (send(fd, SOCKET_QUESTION, strlen(SOCKET_QUESTION), MSG_NOSIGNAL) < 0) {
		return sl_err_set(err, SL_UNAVAILABLE, "ask the server: %s", strerror(errno));
	}
	ssize_t got = recv(fd, text, SOCKET_PACKET_MAX, 0);
	if (got <= 0) {
		return sl_err_set(err, SL_UNAVAILABLE, "the server does not answer: %s",
				  got < 0 ? strerror(errno) : "it hung up");
	}
	return read_answer(SL_BYTES(text, (size_t)got), ret_file, err);
}

sl_code local_ask(const char *data, struct login_file *ret_file, struct sl_err *err)
{
	int fd = socket_connect(data);
	if (fd < 0) {
		bool none = errno == ENOENT || errno == ECONNREFUSED;
		return sl_err_set(err, none ? SL_NOT_FOUND : SL_FAILED_PRECONDITION,
				  "socket '%s/" SOCKET_NAME "': %s", data, strerror(errno));
	}
	sl_code code = ask(fd, ret_file, err);
	(void)close(fd);
	return code;
}

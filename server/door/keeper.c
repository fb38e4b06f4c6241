/* The door's parent side: one thread that keeps a child alive and answers it.
 *
 *   spawn --> start record --> READY --> ask, answer ... --> ended --pause--> spawn
 *
 * The pause grows by 50 ms with each child that does not live for 10 s, up to 400 ms. The thread
 * never ends before the door does: the child's PDEATHSIG goes by the thread that spawned it. */
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
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/handover/handover.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/door/door_internal.h"
#include "server/door/gate.h"

enum {
	PAUSE_STEP_MS = 50,
	PAUSE_MAX_MS = 400,
	GOOD_LIFE_MS = 10000,
	FIRST_READY_MS = 20000,
	ADDRESS_SIZE = 80,
	PEER_SIZE = 128,
	TOKEN_SIZE = 128,
};

struct door {
	struct door_options options;
	struct gate *gate;
	int stop_fd;
	pthread_t thread;
	bool thread_started, stopped;
	uint8_t in[DOOR_RECORD_MAX], out[DOOR_RECORD_MAX];
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct door_stats stats; /* under the lock, as what follows */
	bool failed_first;       /* the first child ended before it listened */
};

/* --- one child ------------------------------------------------------------------------- */

static void certificate_fini(struct door_certificate *certificate)
{
	free(certificate->cert_pem);
	free(certificate->ca_pem);
	sl_secret_free(certificate->key_pem);
}

static sl_code send_start(struct door *door, struct door_child *child, struct sl_err *err)
{
	SL_AUTO(certificate_fini) struct door_certificate own = {.cert_pem = NULL};
	SL_AUTO(sl_secret_free_auto) void *out = sl_secret_new(DOOR_RECORD_MAX);
	SL_AUTO(sl_fd_auto) int theirs = -1;
	char address[ADDRESS_SIZE];
	sl_code code = door->options.certificate(door->options.ctx, &own, err);
	code = code != SL_OK ? code : hatch_new(&child->hatch, &theirs, err);
	if (code != SL_OK) {
		return code;
	}
	(void)snprintf(address, sizeof(address), "unix-abstract:%s", child->hatch.knock);
	struct door_record start = {.kind = DOOR_START,
				    .parts = {sl_bytes_text(address), sl_bytes_text(own.cert_pem),
					      sl_bytes_text(own.key_pem),
					      sl_bytes_text(own.ca_pem)},
				    .count = 4};
	size_t size = out == NULL ? 0 : door_write(&start, out, DOOR_RECORD_MAX);
	if (size == 0 || !handover_send(child->fd, out, size, theirs)) {
		return sl_err_set(err, SL_INTERNAL, "door: send its certificate: %s",
				  strerror(errno));
	}
	return SL_OK;
}

static void note_ready(struct door *door, const struct door_child *child)
{
	gate_open(door->gate, &child->hatch);
	pthread_mutex_lock(&door->lock);
	door->stats.listening = true;
	door->stats.pid = child->pid;
	pthread_cond_broadcast(&door->news);
	pthread_mutex_unlock(&door->lock);
}

static void note_ended(struct door *door)
{
	pthread_mutex_lock(&door->lock);
	door->failed_first =
	    door->failed_first || (door->stats.starts == 1 && !door->stats.listening);
	door->stats.listening = false;
	door->stats.pid = 0;
	pthread_cond_broadcast(&door->news);
	pthread_mutex_unlock(&door->lock);
}

/* --- asks and answers -------------------------------------------------------------------- */

static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text <= ' ' || *text > '~') {
			return false;
		}
	}
	return true;
}

/* Texts that the ask points at. */
struct texts {
	char peer[PEER_SIZE], token[TOKEN_SIZE];
};

static bool read_ask(const struct door_record *record, struct texts *texts, struct door_ask *ask)
{
	const struct sl_bytes *parts = record->parts;
	if (!door_text(parts[0], texts->peer, PEER_SIZE) || !is_printable(texts->peer)) {
		return false;
	}
	*ask = (struct door_ask){.peer = texts->peer, .token = texts->token, .request = parts[2]};
	texts->token[0] = '\0';
	switch (record->kind) {
	case DOOR_ENROLL:
		ask->method = DOOR_METHOD_ENROLL;
		ask->box_key = parts[3];
		ask->signature = parts[4];
		break;
	case DOOR_LOGIN:
		ask->method = DOOR_METHOD_LOGIN;
		break;
	case DOOR_RENEW:
		ask->method = DOOR_METHOD_RENEW;
		ask->certificate = parts[1];
		ask->nonce = parts[4];
		ask->signature = parts[5];
		ask->counter = parts[3].size == 8 ? sl_get_be64(parts[3].data) : 0;
		return true;
	default:
		return false;
	}
	if (!door_text(parts[1], texts->token, TOKEN_SIZE)) {
		texts->token[0] = '\0'; /* no token is so long: refused like any other */
	}
	return true;
}

static void send_answer(struct door *door, int fd, const struct door_record *record)
{
	size_t size = door_write(record, door->out, sizeof(door->out));
	/* A child that does not read is a dead child soon. */
	if (size != 0) {
		(void)!send(fd, door->out, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static void count(struct door *door, enum door_method method, bool good)
{
	pthread_mutex_lock(&door->lock);
	(good ? door->stats.answered : door->stats.refused)[method]++;
	pthread_mutex_unlock(&door->lock);
}

static void answer(struct door *door, int fd, const struct door_record *record,
		   const struct door_ask *ask)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_buf_fini) struct sl_buf reply = {0};
	sl_code code = door->options.answer(door->options.ctx, ask, &reply, &err);
	if (code == SL_OK && reply.failed) {
		code = sl_err_no_memory(&err);
	}
	struct door_record out = {.id = record->id};
	uint8_t numbers[2] = {(uint8_t)code, (uint8_t)err.reason};
	if (code == SL_OK) {
		out.kind = DOOR_OK;
		out.parts[0] = sl_buf_bytes(&reply);
		out.count = 1;
	} else {
		out.kind = DOOR_REFUSED;
		out.parts[0] = SL_BYTES(numbers, 1);
		out.parts[1] = SL_BYTES(numbers + 1, 1);
		out.parts[2] = sl_bytes_text(err.msg);
		out.count = 3;
	}
	count(door, ask->method, code == SL_OK);
	send_answer(door, fd, &out);
}

/* False: the child says what no child of ours says. */
static bool hear(struct door *door, const struct door_child *child, size_t size)
{
	struct door_record record;
	struct door_ask ask;
	struct texts texts;
	if (!door_read(SL_BYTES(door->in, size), &record)) {
		return false;
	}
	if (record.kind == DOOR_READY) {
		note_ready(door, child);
		return true;
	}
	if (!read_ask(&record, &texts, &ask)) {
		return false;
	}
	answer(door, child->fd, &record, &ask);
	return true;
}

/* Until it ends, or the door is stopped. */
static void serve_child(struct door *door, const struct door_child *child)
{
	struct pollfd fds[] = {{.fd = child->fd, .events = POLLIN},
			       {.fd = child->pid_fd, .events = POLLIN},
			       {.fd = door->stop_fd, .events = POLLIN}};
	for (;;) {
		if (poll(fds, SL_COUNT(fds), -1) < 0 && errno != EINTR) {
			return;
		}
		if (fds[2].revents != 0 || (fds[1].revents != 0 && fds[0].revents == 0)) {
			return;
		}
		if (fds[0].revents == 0) {
			continue;
		}
		ssize_t size = recv(child->fd, door->in, sizeof(door->in), MSG_DONTWAIT);
		if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
			continue;
		}
		if (size <= 0) {
			return;
		}
		if (!hear(door, child, (size_t)size)) {
			log_warn("door-babbles", "pid=%d bytes=%zd action=kill", child->pid, size);
			return;
		}
	}
}

/* --- keeping one alive --------------------------------------------------------------------- */

static void count_start(struct door *door)
{
	pthread_mutex_lock(&door->lock);
	door->stats.starts++;
	pthread_mutex_unlock(&door->lock);
}

static void live_once(struct door *door, unsigned *pause_ms)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct door_child child = {.fd = -1, .pid_fd = -1, .hatch = {.fd = -1}};
	char how[64] = "";
	uint64_t born = sl_clock_mono_ms();
	count_start(door);
	sl_code code = door_spawn(&child, &err);
	code = code != SL_OK ? code : send_start(door, &child, &err);
	if (code == SL_OK) {
		serve_child(door, &child);
	}
	int pid = (int)child.pid;
	gate_shut(door->gate);
	door_child_end(&child, how, sizeof(how));
	note_ended(door);
	uint64_t lived = sl_clock_mono_ms() - born;
	*pause_ms = lived > GOOD_LIFE_MS ? 0 : *pause_ms + PAUSE_STEP_MS;
	*pause_ms = *pause_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : *pause_ms;
	struct pollfd stop = {.fd = door->stop_fd, .events = POLLIN};
	if (poll(&stop, 1, 0) == 0) {
		log_warn("door-ended", "pid=%d how=%s lived_ms=%lu again_ms=%u error=%s", pid,
			 SL_QUOTE(how), (unsigned long)lived, *pause_ms, SL_QUOTE(err.msg));
	}
}

static void *keep(void *arg)
{
	struct door *door = arg;
	struct pollfd stop = {.fd = door->stop_fd, .events = POLLIN};
	unsigned pause_ms = 0;
	while (poll(&stop, 1, (int)pause_ms) <= 0) {
		live_once(door, &pause_ms);
	}
	return NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

static sl_code wait_ready(struct door *door, struct sl_err *err)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FIRST_READY_MS / 1000;
	int rc = 0;
	pthread_mutex_lock(&door->lock);
	while (!door->stats.listening && !door->failed_first && rc == 0) {
		rc = pthread_cond_timedwait(&door->news, &door->lock, &until);
	}
	bool ready = door->stats.listening;
	pthread_mutex_unlock(&door->lock);
	return ready ? SL_OK : sl_err_set(err, SL_UNAVAILABLE, "the door's process does not start");
}

sl_code door_new(const struct door_options *options, struct door **ret_door, struct sl_err *err)
{
	struct door *door = calloc(1, sizeof(*door));
	if (door == NULL) {
		return sl_err_no_memory(err);
	}
	door->options = *options;
	(void)pthread_mutex_init(&door->lock, NULL);
	(void)pthread_cond_init(&door->news, NULL);
	door->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sl_code code = gate_new(options->listen, options->accepts_per_second, &door->gate, err);
	if (code == SL_OK &&
	    (door->stop_fd < 0 || pthread_create(&door->thread, NULL, keep, door) != 0)) {
		code = sl_err_set(err, SL_RESOURCE_EXHAUSTED, "door: cannot start its thread");
	}
	door->thread_started = code == SL_OK;
	code = code != SL_OK ? code : wait_ready(door, err);
	if (code != SL_OK) {
		door_free(door);
		return code;
	}
	*ret_door = door;
	return SL_OK;
}

int door_port(const struct door *door)
{
	return gate_port(door->gate);
}

void door_stop(struct door *door)
{
	if (door == NULL || door->stopped) {
		return;
	}
	door->stopped = true;
	(void)!write(door->stop_fd, &(uint64_t){1}, sizeof(uint64_t));
	if (door->thread_started) {
		(void)pthread_join(door->thread, NULL);
	}
}

void door_free(struct door *door)
{
	if (door == NULL) {
		return;
	}
	if (door->stop_fd >= 0) {
		door_stop(door);
		(void)close(door->stop_fd);
	}
	gate_free(door->gate);
	(void)pthread_cond_destroy(&door->news);
	(void)pthread_mutex_destroy(&door->lock);
	free(door);
}

void door_stats_read(struct door *door, struct door_stats *ret_stats)
{
	pthread_mutex_lock(&door->lock);
	*ret_stats = door->stats;
	pthread_mutex_unlock(&door->lock);
}

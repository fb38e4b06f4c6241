#include "server/door/gate.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/door/door_internal.h"
#include "server/rpc/accept_guard.h"
#include "server/rpc/line.h"

enum {
	PLACES = 512,
	PATIENCE_S = 10,
	BATCH = 64, /* are taken in at once, then nobody for a moment: to connect and leave costs us
		       little, but not nothing */
	BATCH_PAUSE_US = 50000,
	NO_ROOM_PAUSE_US = 100000,
	BURST_MS = 200, /* turns that have not been taken */
};

struct gate {
	int listener, port, wake_fd;
	struct line *line; /* the thread's, as what follows */
	uint64_t deaf_until_us;
	struct hatch_crowd crowd;
	pthread_t thread;
	bool thread_started;
	atomic_bool stopping;
	pthread_mutex_t lock;      /* guards what follows */
	const struct hatch *hatch; /* NULL: no child */
};

/* --- in ------------------------------------------------------------------------------ */

static void take_in(struct gate *gate, uint64_t now_us)
{
	for (int i = 0; i < BATCH; i++) {
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);
		int fd = (int)syscall(SYS_accept4, gate->listener, &from, &size,
				      SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && errno == EAGAIN) {
			return;
		}
		if (fd < 0 && errno != ECONNABORTED && errno != EINTR && errno != EPROTO) {
			gate->deaf_until_us = now_us + NO_ROOM_PAUSE_US;
			return;
		}
		if (fd < 0) {
			continue;
		}
		int gone = accept_guard_has_room(fd)
			       ? line_join(gate->line, fd, (struct sockaddr *)&from, now_us)
			       : fd;
		if (gone >= 0) {
			hatch_send_away(&gate->crowd, gone);
		}
	}
	gate->deaf_until_us = now_us + BATCH_PAUSE_US;
}

/* --- the thread ------------------------------------------------------------------------ */

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* In ms, for poll(); -1: for ever. */
static int rest(const struct gate *gate, bool open, uint64_t now_us)
{
	uint64_t us = line_late_in(gate->line, now_us);
	us = open ? smaller(us, line_turn_in(gate->line, now_us)) : us;
	us = gate->deaf_until_us > now_us ? smaller(us, gate->deaf_until_us - now_us) : us;
	return us == UINT64_MAX ? -1 : (int)smaller(us / 1000 + 1, INT_MAX);
}

static void *watch_port(void *arg)
{
	struct gate *gate = arg;
	struct pollfd fds[] = {{.fd = gate->wake_fd, .events = POLLIN}, {.events = POLLIN}};
	while (!atomic_load(&gate->stopping)) {
		uint64_t now_us = sl_clock_mono_us();
		if (now_us >= gate->deaf_until_us) {
			take_in(gate, now_us);
		}
		pthread_mutex_lock(&gate->lock);
		bool open = gate->hatch != NULL;
		if (open) {
			hatch_let_in(gate->hatch, gate->line, &gate->crowd, now_us);
		}
		pthread_mutex_unlock(&gate->lock);
		hatch_send_away_late(&gate->crowd, "door-crowded", gate->line, now_us);
		fds[1].fd = gate->deaf_until_us > now_us ? -1 : gate->listener;
		(void)poll(fds, SL_COUNT(fds), rest(gate, open, now_us));
		(void)!read(gate->wake_fd, &(uint64_t){0}, sizeof(uint64_t));
	}
	return NULL;
}

static void wake(struct gate *gate)
{
	(void)!write(gate->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

void gate_open(struct gate *gate, const struct hatch *hatch)
{
	pthread_mutex_lock(&gate->lock);
	gate->hatch = hatch;
	pthread_mutex_unlock(&gate->lock);
	wake(gate);
}

void gate_shut(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->hatch = NULL;
	pthread_mutex_unlock(&gate->lock);
}

/* --- life ------------------------------------------------------------------------------ */

sl_code gate_new(const char *listen, uint64_t per_second, struct gate **ret_gate,
		 struct sl_err *err)
{
	const struct line_rules rules = {.per_second = per_second,
					 .burst = per_second * BURST_MS / 1000,
					 .places = PLACES,
					 .patience_us = PATIENCE_S * 1000000ULL};
	struct gate *gate = calloc(1, sizeof(*gate));
	if (gate == NULL) {
		return sl_err_no_memory(err);
	}
	gate->listener = -1;
	(void)pthread_mutex_init(&gate->lock, NULL);
	gate->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sl_code code = line_new(&rules, &gate->line, err);
	code = code != SL_OK ? code : door_listen(listen, &gate->listener, &gate->port, err);
	if (code == SL_OK &&
	    (gate->wake_fd < 0 || pthread_create(&gate->thread, NULL, watch_port, gate) != 0)) {
		code = sl_err_set(err, SL_RESOURCE_EXHAUSTED, "door: cannot start its thread");
	}
	gate->thread_started = code == SL_OK;
	if (code != SL_OK) {
		gate_free(gate);
		return code;
	}
	*ret_gate = gate;
	return SL_OK;
}

int gate_port(const struct gate *gate)
{
	return gate->port;
}

void gate_free(struct gate *gate)
{
	if (gate == NULL) {
		return;
	}
	if (gate->thread_started) {
		atomic_store(&gate->stopping, true);
		wake(gate);
		(void)pthread_join(gate->thread, NULL);
	}
	hatch_free_line(gate->line);
	if (gate->listener >= 0) {
		(void)close(gate->listener);
	}
	if (gate->wake_fd >= 0) {
		(void)close(gate->wake_fd);
	}
	(void)pthread_mutex_destroy(&gate->lock);
	free(gate);
}

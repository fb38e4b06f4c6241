#include "server/rpc/porch.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "server/rpc/hatch.h"

enum {
	PER_SECOND = 10, /* one at a tick: two in a row hold up calls twice as long */
	BURST = 2,
	PATIENCE_S = 10,
	PLACES = PER_SECOND * PATIENCE_S,
};

static atomic_bool is_open;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static int port;
static struct hatch hatch;
static int inside = -1; /* the hatch's other end */
static struct line *line;
static struct hatch_crowd crowd;

/* --- who comes ------------------------------------------------------------------------- */

static bool is_at_port(int listener, int wanted)
{
	struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof(at);
	const struct sockaddr_in *v4 = (const void *)&at;
	const struct sockaddr_in6 *v6 = (const void *)&at;
	if (getsockname(listener, (struct sockaddr *)&at, &size) != 0) {
		return false;
	}
	return (at.ss_family == AF_INET && ntohs(v4->sin_port) == wanted) ||
	       (at.ss_family == AF_INET6 && ntohs(v6->sin6_port) == wanted);
}

bool porch_take(int listener, int fd, const struct sockaddr *from)
{
	if (!atomic_load_explicit(&is_open, memory_order_acquire)) {
		return false;
	}
	(void)pthread_mutex_lock(&lock);
	bool ours = line != NULL && is_at_port(listener, port);
	if (ours) {
		uint64_t now_us = sl_clock_mono_us();
		int gone = line_join(line, fd, from, now_us);
		if (gone >= 0) {
			hatch_send_away(&crowd, gone);
		}
		hatch_let_in(&hatch, line, &crowd, now_us);
	}
	(void)pthread_mutex_unlock(&lock);
	return ours;
}

int porch_hatch(int listener)
{
	struct sockaddr_un at = {.sun_family = AF_UNSPEC};
	socklen_t size = sizeof(at);
	if (!atomic_load_explicit(&is_open, memory_order_acquire) ||
	    getsockname(listener, (struct sockaddr *)&at, &size) != 0 || at.sun_family != AF_UNIX) {
		return -1;
	}
	(void)pthread_mutex_lock(&lock);
	size_t length = strlen(hatch.knock);
	bool ours = size == offsetof(struct sockaddr_un, sun_path) + 1 + length &&
		    at.sun_path[0] == '\0' && memcmp(at.sun_path + 1, hatch.knock, length) == 0;
	int fd = ours ? inside : -1;
	(void)pthread_mutex_unlock(&lock);
	return fd;
}

void porch_tick(void)
{
	if (!atomic_load_explicit(&is_open, memory_order_acquire)) {
		return;
	}
	(void)pthread_mutex_lock(&lock);
	if (line != NULL) {
		uint64_t now_us = sl_clock_mono_us();
		hatch_let_in(&hatch, line, &crowd, now_us);
		hatch_send_away_late(&crowd, "porch-crowded", line, now_us);
	}
	(void)pthread_mutex_unlock(&lock);
}

/* --- life ------------------------------------------------------------------------------ */

sl_code porch_open(int new_port, char ret_address[static PORCH_ADDRESS_SIZE], struct sl_err *err)
{
	const struct line_rules rules = {.per_second = PER_SECOND,
					 .burst = BURST,
					 .places = PLACES,
					 .patience_us = PATIENCE_S * UINT64_C(1000000)};
	porch_shut();
	(void)pthread_mutex_lock(&lock);
	port = new_port;
	sl_code code = line_new(&rules, &line, err);
	code = code != SL_OK ? code : hatch_new(&hatch, &inside, err);
	if (code == SL_OK) {
		(void)snprintf(ret_address, PORCH_ADDRESS_SIZE, "unix-abstract:%s", hatch.knock);
		atomic_store_explicit(&is_open, true, memory_order_release);
	}
	(void)pthread_mutex_unlock(&lock);
	return code;
}

void porch_shut(void)
{
	(void)pthread_mutex_lock(&lock);
	if (atomic_exchange(&is_open, false)) {
		(void)close(hatch.fd);
		(void)close(inside); /* and with it who is on the way */
		inside = -1;
	}
	hatch_free_line(line);
	line = NULL;
	(void)pthread_mutex_unlock(&lock);
}

#include "server/rpc/hatch.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/handover/handover.h"
#include "base/log/log.h"

enum { LOG_US = 10000000 };

sl_code hatch_new(struct hatch *ret_hatch, int *ret_theirs, struct sl_err *err)
{
	uint8_t random[16];
	char hex[2 * sizeof(random) + 1];
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		return sl_err_set(err, SL_INTERNAL, "hatch: socket pair: %s", strerror(errno));
	}
	sl_random(random, sizeof(random));
	(void)snprintf(ret_hatch->knock, sizeof(ret_hatch->knock), "sluice-%s",
		       sl_hex(hex, random, sizeof(random)));
	ret_hatch->fd = pair[0];
	*ret_theirs = pair[1];
	return SL_OK;
}

/* Also with words of theirs that nobody has read yet. */
static bool has_left(int fd)
{
	struct pollfd left = {.fd = fd, .events = POLLRDHUP};
	return poll(&left, 1, 0) != 0;
}

static void knock_at(const char *name)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) {
		memcpy(to.sun_path + 1, name, length);
		/* Refused where many knocks are still to be heard: one of those will do. */
		(void)!connect(fd, (struct sockaddr *)&to,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
		(void)close(fd);
	}
}

void hatch_send_away(struct hatch_crowd *crowd, int fd)
{
	(void)close(fd);
	crowd->sent_away++;
}

void hatch_send_away_late(struct hatch_crowd *crowd, const char *event, struct line *line,
			  uint64_t now_us)
{
	int fd;
	while ((fd = line_late(line, now_us)) >= 0) {
		hatch_send_away(crowd, fd);
	}
	if (crowd->sent_away > 0 && now_us - crowd->logged_us >= LOG_US) {
		log_warn(event, "waiting=%zu sent_away=%lu", line_length(line), crowd->sent_away);
		*crowd = (struct hatch_crowd){.logged_us = now_us};
	}
}

void hatch_let_in(const struct hatch *hatch, struct line *line, struct hatch_crowd *crowd,
		  uint64_t now_us)
{
	bool any = false;
	int fd;
	while ((fd = line_first(line, now_us)) >= 0) {
		if (has_left(fd)) {
			line_skip(line);
			(void)close(fd);
			continue;
		}
		line_serve(line, now_us);
		bool taken = handover_send(hatch->fd, "", 1, fd);
		any = any || taken;
		crowd->sent_away += !taken;
		(void)close(fd);
	}
	if (any) {
		knock_at(hatch->knock);
	}
}

void hatch_free_line(struct line *line)
{
	int fd;
	while (line != NULL && (fd = line_late(line, UINT64_MAX)) >= 0) {
		(void)close(fd);
	}
	line_free(line);
}

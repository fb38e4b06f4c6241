#include "base/notify/notify.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A path, or with '@' in front a name of Linux's abstract space. 0: neither. */
static socklen_t address_of(const char *name, struct sockaddr_un *ret_address)
{
	size_t length = name == NULL ? 0 : strlen(name);
	if (length < 2 || length >= sizeof(ret_address->sun_path) ||
	    (name[0] != '/' && name[0] != '@')) {
		return 0;
	}
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret_address->sun_path, name, length);
	if (name[0] == '@') {
		ret_address->sun_path[0] = '\0';
	}
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

void sl_notify(const char *lines)
{
	struct sockaddr_un address;
	socklen_t size = address_of(getenv("NOTIFY_SOCKET"), &address);
	int fd = size == 0 ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) {
		(void)sendto(fd, lines, strlen(lines), MSG_NOSIGNAL,
			     (const struct sockaddr *)&address, size);
		(void)close(fd);
	}
}

static uint64_t number_of(const char *variable)
{
	const char *text = getenv(variable);
	return text == NULL ? 0 : strtoull(text, NULL, 10);
}

void sl_watchdog_init(struct sl_watchdog *watchdog)
{
	uint64_t pid = number_of("WATCHDOG_PID"); /* not set: whoever reads it is meant */
	uint64_t patience_us = number_of("WATCHDOG_USEC");
	bool ours = pid == 0 || pid == (uint64_t)getpid();
	*watchdog = (struct sl_watchdog){.every_ms = ours ? patience_us / 2000 : 0};
}

uint64_t sl_watchdog_step(struct sl_watchdog *watchdog, uint64_t now_mono_ms)
{
	if (watchdog->every_ms == 0) {
		return 0;
	}
	if (now_mono_ms >= watchdog->next_mono_ms) {
		watchdog->next_mono_ms = now_mono_ms + watchdog->every_ms;
		sl_notify("WATCHDOG=1");
	}
	return watchdog->next_mono_ms;
}

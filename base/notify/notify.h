/* notify: tells the service manager how this program is: systemd's Type=notify and watchdog.
 *
 * The protocol of sd_notify(3): a datagram to the socket that the environment names. It is these
 * few lines and not libsystemd, which would map more into the agent than the agent itself is.
 * Without a manager that asks, all of it does nothing.
 *
 * Threads: sl_notify() any; a watchdog belongs to the thread whose life it shows. */
#ifndef SL_BASE_NOTIFY_H
#define SL_BASE_NOTIFY_H

#include <stdint.h>

/* Lines of NAME=VALUE, such as "READY=1" and "STOPPING=1". Never blocks; what cannot be sent is
 * dropped: the manager has deadlines of its own. */
void sl_notify(const char *lines);

struct sl_watchdog {
	uint64_t every_ms; /* half of the manager's patience; 0: it has no watchdog for us */
	uint64_t next_mono_ms;
};

void sl_watchdog_init(struct sl_watchdog *watchdog);
/* Says "I am alive" when that is due. Returns when the next one is, on sl_clock_mono_ms()'s
 * scale; 0: never. */
uint64_t sl_watchdog_step(struct sl_watchdog *watchdog, uint64_t now_mono_ms);

#endif

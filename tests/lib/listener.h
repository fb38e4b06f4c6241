/* listener: a socket that listens on a loopback port of its own, for servers that a test fakes.
 * Threads: any. */
#ifndef SL_TESTS_LISTENER_H
#define SL_TESTS_LISTENER_H

#include <stdint.h>

/* The caller closes it. Trouble aborts. */
int listener_open(int backlog, uint16_t *ret_port);

#endif

/* wire: how libgit2 reaches https and http hosts: by base/tls, and only the host of the job.
 *
 * libgit2's own TLS knows neither TLS 1.3 nor IP addresses in certificates, and
 * takes a redirect to another port along with the password. One job a process. */
#ifndef SL_BASE_GIT_WIRE_INTERNAL_H
#define SL_BASE_GIT_WIRE_INTERNAL_H

#include "base/git/work_internal.h"

/* Puts itself between libgit2 and the net. Before the confinement: reads the machine's roots.
 * False: noted. */
bool wire_open(struct work *work);

/* What the wire said no to, since libgit2 has other words for it; GIT_OK: nothing. */
enum git_failure wire_refused(char *why, size_t room);

#endif

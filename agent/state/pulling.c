/* The pull under way, for those who look from outside. It says nothing that must outlive a crash,
 * so it is neither synced nor part of the state. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/state/state.h"

enum { LINE_MAX_BYTES = 100, PATH_MAX_BYTES = 2200 };

static bool path_of(char path[static PATH_MAX_BYTES], const char *dir)
{
	int length = snprintf(path, PATH_MAX_BYTES, "%s/pulling", dir);
	return length > 0 && length < PATH_MAX_BYTES;
}

void state_pulling_write(const char *dir, const struct state_pulling *pulling)
{
	char path[PATH_MAX_BYTES], line[LINE_MAX_BYTES];
	int size = snprintf(line, sizeof(line), "%s %c %u\n", pulling->version_id,
			    pulling->is_verifying ? 'v' : 'f', pulling->percent);
	int fd = path_of(path, dir)
		     ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)
		     : -1;
	if (fd < 0) {
		return;
	}
	/* What is not written is not shown. */
	(void)!write(fd, line, size > 0 ? (size_t)size : 0);
	(void)close(fd);
}

void state_pulling_clear(const char *dir)
{
	char path[PATH_MAX_BYTES];
	if (path_of(path, dir)) {
		(void)unlink(path);
	}
}

bool state_pulling_read(const char *dir, struct state_pulling *ret_pulling)
{
	char path[PATH_MAX_BYTES], line[LINE_MAX_BYTES] = "", phase = 0;
	struct state_pulling pulling = {.percent = 0};
	int fd = path_of(path, dir) ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd < 0) {
		return false;
	}
	ssize_t size = read(fd, line, sizeof(line) - 1);
	(void)close(fd);
	_Static_assert(STATE_ID_SIZE == 32, "the width below");
	if (size <= 0 ||
	    /* NOLINTNEXTLINE(cert-err34-c): what is no percentage is refused below */
	    sscanf(line, "%31s %c %u\n", pulling.version_id, &phase, &pulling.percent) != 3 ||
	    (phase != 'v' && phase != 'f') || pulling.percent > 100) {
		return false;
	}
	pulling.is_verifying = phase == 'v';
	*ret_pulling = pulling;
	return true;
}

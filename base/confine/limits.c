#include "base/confine/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem/own.h"

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

bool confine_is_sanitized(void)
{
	return SANITIZED;
}

/* Rather this process than who started it. */
static void go_first(void)
{
	static const char worst[] = "1000";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, worst, sizeof(worst) - 1);
		(void)close(fd);
	}
}

sl_code confine_basics(struct sl_err *err)
{
	go_first(); /* it cannot be opened once others may not look */
	struct rlimit none = {0, 0};
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
		return sl_err_set(err, SL_INTERNAL, "confine: give up privileges: %s",
				  strerror(errno));
	}
	return SL_OK;
}

/* Never above what the process has: raising a hard limit takes root. */
static bool lower(__rlimit_resource_t resource, uint64_t value)
{
	struct rlimit now;
	if (value == 0) {
		return true;
	}
	if (getrlimit(resource, &now) != 0) {
		return false;
	}
	rlim_t low = now.rlim_max < value ? now.rlim_max : value;
	return setrlimit(resource, &(struct rlimit){.rlim_cur = low, .rlim_max = low}) == 0;
}

sl_code confine_limits(const struct confine_limits *limits, struct sl_err *err)
{
	const struct {
		const char *name;
		__rlimit_resource_t resource;
		uint64_t value;
	} rows[] = {
	    {"address space", RLIMIT_AS, SANITIZED ? 0 : limits->address_bytes},
	    {"file size", RLIMIT_FSIZE, limits->file_bytes},
	    {"CPU time", RLIMIT_CPU, limits->cpu_s},
	    {"open files", RLIMIT_NOFILE, limits->open_files},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		if (!lower(rows[i].resource, rows[i].value)) {
			return sl_err_set(err, SL_INTERNAL, "confine: limit %s to %llu: %s",
					  rows[i].name, (unsigned long long)rows[i].value,
					  strerror(errno));
		}
	}
	return SL_OK;
}

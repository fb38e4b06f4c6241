#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>

#include "base/confine/confine.h"
#include "base/mem/own.h"

#define CALL(name) SCMP_SYS(name)

static const int always[] = {
    CALL(read),
    CALL(write),
    CALL(readv),
    CALL(writev),
    CALL(pread64),
    CALL(pwrite64),
    CALL(lseek),
    CALL(close),
    CALL(fstat),
    CALL(newfstatat),
    CALL(fcntl),
    CALL(dup),
    CALL(mmap),
    CALL(munmap),
    CALL(mremap),
    CALL(mprotect),
    CALL(madvise),
    CALL(brk),
    CALL(futex),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sigaltstack),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(nanosleep),
    CALL(gettimeofday),
    CALL(getrandom),
    CALL(getpid),
    CALL(gettid),
    CALL(tgkill),
    CALL(exit),
    CALL(exit_group),
    CALL(sched_yield),
    CALL(sched_getaffinity),
    CALL(set_robust_list),
    CALL(rseq),
    CALL(restart_syscall),
    CALL(getrusage),
    CALL(sysinfo),
    CALL(uname),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(poll),
    CALL(ppoll),
    CALL(select),
    CALL(pselect6),
    CALL(recvmsg),
    CALL(sendmsg),
    CALL(recvfrom),
    CALL(sendto),
    CALL(setitimer),
};

static const int files[] = {
    CALL(open),       CALL(openat),    CALL(openat2),    CALL(access),     CALL(faccessat),
    CALL(faccessat2), CALL(stat),      CALL(lstat),      CALL(statx),      CALL(statfs),
    CALL(fstatfs),    CALL(readlink),  CALL(readlinkat), CALL(getdents64), CALL(getcwd),
    CALL(mkdir),      CALL(mkdirat),   CALL(unlink),     CALL(unlinkat),   CALL(rmdir),
    CALL(rename),     CALL(renameat),  CALL(renameat2),  CALL(link),       CALL(linkat),
    CALL(symlink),    CALL(symlinkat), CALL(chmod),      CALL(fchmod),     CALL(fchmodat),
    CALL(umask),      CALL(utimensat), CALL(utimes),     CALL(ftruncate),  CALL(fallocate),
    CALL(fsync),      CALL(fdatasync), CALL(syncfs),
};

static const int net[] = {
    CALL(socket),      CALL(connect),
    CALL(shutdown),    CALL(sendmmsg),
    CALL(recvmmsg),    CALL(getsockopt),
    CALL(setsockopt),  CALL(getsockname),
    CALL(getpeername), CALL(bind) /* the netlink socket of a name look-up */,
    CALL(ioctl),
};

static const int serve[] = {
    CALL(accept4),  CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_ctl),   CALL(epoll_create1),
    CALL(eventfd2), CALL(getsockopt), CALL(setsockopt),  CALL(getsockname), CALL(getpeername),
    CALL(shutdown), CALL(getrlimit),  CALL(prlimit64),
};

/* Asked for by glibc and by aborting code; "no" is an answer that they take. */
static const struct {
	int call, answer;
} refused_softly[] = {
    {CALL(clone3), ENOSYS}, /* glibc then takes clone, whose flags a filter can see */
    {CALL(prctl), EPERM},
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	}
	return rc;
}

static int fill(scmp_filter_ctx filter, unsigned groups)
{
	int rc = allow(filter, always, SL_COUNT(always));
	if (rc == 0 && (groups & CONFINE_CALLS_FILES) != 0) {
		rc = allow(filter, files, SL_COUNT(files));
	}
	if (rc == 0 && (groups & CONFINE_CALLS_NET) != 0) {
		rc = allow(filter, net, SL_COUNT(net));
	}
	if (rc == 0 && (groups & CONFINE_CALLS_SERVE) != 0) {
		rc = allow(filter, serve, SL_COUNT(serve));
	}
	if (rc == 0 &&
	    (groups & (CONFINE_CALLS_SERVE | CONFINE_CALLS_FILES)) == CONFINE_CALLS_SERVE) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), CALL(openat), 0);
	}
	/* A sanitizer asks whether its report goes to a terminal, and would end without a word. */
	if (rc == 0 && confine_is_sanitized() && (groups & CONFINE_CALLS_NET) == 0) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(ioctl), 0);
	}
	for (size_t i = 0; i < SL_COUNT(refused_softly) && rc == 0; i++) {
		uint32_t answer = SCMP_ACT_ERRNO((uint32_t)refused_softly[i].answer);
		rc = seccomp_rule_add(filter, answer, refused_softly[i].call, 0);
	}
	if (rc == 0) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(clone), 1,
				      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	}
	return rc == 0 ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) : rc;
}

sl_code confine_calls(unsigned groups, struct sl_err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (filter == NULL) {
		return sl_err_set(err, SL_INTERNAL,
				  "confine: make a seccomp filter: out of memory");
	}
	int rc = fill(filter, groups);
	rc = rc == 0 ? seccomp_load(filter) : rc;
	seccomp_release(filter);
	if (rc != 0) {
		return sl_err_set(err, SL_INTERNAL, "confine: enter the seccomp filter: %s",
				  strerror(-rc));
	}
	return SL_OK;
}

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/confine/confine.h"
#include "base/file/file.h"
#include "base/mem/own.h"

/* Debian 12's headers know version 2; the kernel may know more. */
#define FS_TRUNCATE (1ull << 14)  /* version 3 */
#define FS_IOCTL_DEV (1ull << 15) /* version 5 */
#define NET_BIND_TCP (1ull << 0)  /* version 4 */
#define NET_CONNECT_TCP (1ull << 1)
enum { VERSION_REFER = 2, VERSION_TRUNCATE = 3, VERSION_NET = 4, VERSION_IOCTL = 5 };
enum { RULE_NET_PORT = 2, DNS_PORT = 53 };

struct ruleset {
	uint64_t fs, net;
};

struct port_rule {
	uint64_t allowed, port;
};

static struct ruleset everything_of(int version)
{
	struct ruleset all = {.fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
	all.fs |= version >= VERSION_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
	all.fs |= version >= VERSION_TRUNCATE ? FS_TRUNCATE : 0;
	all.fs |= version >= VERSION_IOCTL ? FS_IOCTL_DEV : 0;
	all.net = version >= VERSION_NET ? NET_BIND_TCP | NET_CONNECT_TCP : 0;
	return all;
}

static uint64_t rights_on(const struct stat *st, enum confine_right right, uint64_t handled)
{
	const uint64_t read_only = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	const uint64_t of_a_file =
	    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;
	uint64_t rights = right == CONFINE_READ ? read_only : ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
	return handled & rights & (S_ISDIR(st->st_mode) ? ~0ull : of_a_file);
}

static bool allow_path(int ruleset, const struct confine_path *path, uint64_t handled)
{
	SL_AUTO(sl_fd_auto) int fd = open(path->path, O_PATH | O_CLOEXEC);
	if (fd < 0) {
		return errno == ENOENT || errno == ENOTDIR;
	}
	struct stat st;
	if (fstat(fd, &st) != 0) {
		return false;
	}
	struct landlock_path_beneath_attr rule = {
	    .allowed_access = rights_on(&st, path->right, handled),
	    .parent_fd = fd,
	};
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

static bool allow_port(int ruleset, uint64_t what, uint16_t port)
{
	struct port_rule rule = {.allowed = what, .port = port};
	return syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) == 0;
}

static int landlock_version(void)
{
	int version =
	    (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return version < 0 ? 0 : version;
}

const char *confine_reach_gap_of(int version)
{
	if (version == 0) {
		return "the kernel has no Landlock: files and ports are not confined, system calls "
		       "and resources are";
	}
	return version < VERSION_NET
		   ? "the kernel's Landlock does not know ports (Linux 6.7 does): files are "
		     "confined, ports are not"
		   : NULL;
}

const char *confine_reach_gap(void)
{
	return confine_reach_gap_of(landlock_version());
}

/* A ruleset of everything that the kernel knows; *ret_ruleset stays -1 without Landlock. */
static sl_code open_ruleset(struct ruleset *ret_all, int *ret_ruleset, int *ret_version,
			    struct sl_err *err)
{
	int version = landlock_version();
	if (ret_version != NULL) {
		*ret_version = version;
	}
	if (version == 0) {
		return SL_OK;
	}
	*ret_all = everything_of(version);
	size_t known = version >= VERSION_NET ? sizeof(*ret_all) : sizeof(ret_all->fs);
	*ret_ruleset = (int)syscall(SYS_landlock_create_ruleset, ret_all, known, 0);
	if (*ret_ruleset < 0) {
		return sl_err_set(err, SL_INTERNAL, "confine: make a Landlock ruleset: %s",
				  strerror(errno));
	}
	return SL_OK;
}

static sl_code enter(int ruleset, struct sl_err *err)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
		return sl_err_set(err, SL_INTERNAL, "confine: enter the Landlock ruleset: %s",
				  strerror(errno));
	}
	return SL_OK;
}

static sl_code port_failed(uint16_t port, struct sl_err *err)
{
	return sl_err_set(err, SL_INTERNAL, "confine: allow port %u: %s", port, strerror(errno));
}

sl_code confine_reach(const struct confine_path *paths, size_t path_count, const uint16_t *ports,
		      size_t port_count, int *ret_version, struct sl_err *err)
{
	struct ruleset all = {.fs = 0};
	SL_AUTO(sl_fd_auto) int ruleset = -1;
	sl_code code = open_ruleset(&all, &ruleset, ret_version, err);
	if (code != SL_OK || ruleset < 0) {
		return code;
	}
	for (size_t i = 0; i < path_count; i++) {
		if (!allow_path(ruleset, &paths[i], all.fs)) {
			return sl_err_set(err, SL_INTERNAL, "confine: allow '%s': %s",
					  paths[i].path, strerror(errno));
		}
	}
	for (size_t i = 0; i < port_count && all.net != 0; i++) {
		if (!allow_port(ruleset, NET_CONNECT_TCP, ports[i])) {
			return port_failed(ports[i], err);
		}
	}
	return enter(ruleset, err);
}

/* What looking up a name takes, and OpenSSL. */
static const struct confine_path dialling[] = {
    {"/etc/resolv.conf", CONFINE_READ},   {"/etc/hosts", CONFINE_READ},
    {"/etc/nsswitch.conf", CONFINE_READ}, {"/etc/gai.conf", CONFINE_READ},
    {"/etc/host.conf", CONFINE_READ},     {"/etc/services", CONFINE_READ},
    {"/usr/lib", CONFINE_READ},           {"/lib", CONFINE_READ},
    {"/etc/ld.so.cache", CONFINE_READ},   {"/dev/urandom", CONFINE_READ},
    {"/dev/null", CONFINE_WRITE},
};

sl_code confine_dialling(const struct confine_path *paths, size_t path_count, uint16_t port,
			 struct sl_err *err)
{
	struct confine_path all[CONFINE_OWN_MAX + SL_COUNT(dialling)];
	const uint16_t ports[] = {port, DNS_PORT};
	size_t count = 0;
	if (path_count > CONFINE_OWN_MAX) {
		return sl_err_set(err, SL_INTERNAL, "confine: at most %d paths of its own",
				  CONFINE_OWN_MAX);
	}
	for (; count < path_count; count++) {
		all[count] = paths[count];
	}
	for (size_t i = 0; i < SL_COUNT(dialling); i++) {
		all[count++] = dialling[i];
	}
	return confine_reach(all, count, ports, port == 0 ? 0 : SL_COUNT(ports), NULL, err);
}

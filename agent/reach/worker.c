/* The child: takes the order, gives up its rights, looks, says what it found. It may block wherever
 * it likes: the parent counts the time. No text has anything of the target in it. */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/reach/reach_internal.h"
#include "base/clock/clock.h"
#include "base/confine/confine.h"
#include "base/mem/own.h"
#include "base/spawn/spawn.h"
#include "base/tls/look.h"

enum { EXIT_NOT_CONFINED = 2, EXIT_NO_ORDER = 3, EXIT_NO_PARENT = 4 };
enum { OPEN_FILES = 32, CPU_S = 20, ADDRESS_MIB = 512, HOST_MAX = 253 };

#define STEP(name) SLUICE__V1__SOURCE_TEST_STEP__SOURCE_TEST_STEP_##name
#define FAILURE(name) SLUICE__V1__SOURCE_TEST_FAILURE__SOURCE_TEST_FAILURE_##name

struct look {
	const Sluice__V1__AgentSourceTarget *target;
	Sluice__V1__SourceTest test;
	struct tls_trust *trust; /* owned; NULL: not read yet, or not needed */
	struct addrinfo *addresses;
	uint32_t step_ms;
	uint64_t begun_us; /* the step at hand */
	int fd;
	struct sl_arena arena;
};

/* --- telling ---------------------------------------------------------------------------------- */

static bool tell(struct look *look, bool over)
{
	static uint8_t news[REACH_NEWS_MAX];
	size_t size = sluice__v1__source_test__get_packed_size(&look->test);
	if (size + 1 > sizeof(news)) {
		return false;
	}
	news[0] = over;
	(void)sluice__v1__source_test__pack(&look->test, news + 1);
	return send(SPAWN_FD, news, size + 1, MSG_NOSIGNAL) == (ssize_t)size + 1;
}

static void begin_step(struct look *look, Sluice__V1__SourceTestStep step)
{
	look->test.reached = step;
	look->begun_us = sl_clock_mono_us();
	(void)tell(look, false);
}

static uint32_t took_us(const struct look *look)
{
	uint64_t took = sl_clock_mono_us() - look->begun_us;
	return took == 0 ? 1 : took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

static bool fail(struct look *look, Sluice__V1__SourceTestFailure failure, const char *text)
{
	look->test.failure = failure;
	look->test.text = sl_arena_printf(&look->arena, "%.200s", text);
	return false;
}

/* --- name and connection ---------------------------------------------------------------------- */

static bool resolve(struct look *look)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	char port[8];
	(void)snprintf(port, sizeof(port), "%u", look->target->port);
	begin_step(look, STEP(RESOLVE));
	int rc = getaddrinfo(look->target->host, port, &hints, &look->addresses);
	look->test.resolve_us = took_us(look);
	return rc == 0 || fail(look, FAILURE(NAME_NOT_FOUND), gai_strerror(rc));
}

/* -1, with errno. */
static int connect_one(const struct addrinfo *at, uint32_t wait_ms)
{
	const struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval ever = {.tv_sec = 0};
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
	    connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &ever, sizeof(ever));
		return fd;
	}
	int why = errno == EINPROGRESS || errno == EAGAIN ? ETIMEDOUT : errno;
	if (fd >= 0) {
		(void)close(fd);
	}
	errno = why;
	return -1;
}

static Sluice__V1__SourceTestFailure failure_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return FAILURE(REFUSED);
	case ETIMEDOUT:
		return FAILURE(TIMED_OUT);
	case ECONNRESET:
		return FAILURE(CONNECTION_LOST);
	default:
		return FAILURE(UNREACHABLE);
	}
}

/* One address after the other; each has its share of the time. */
static bool connect_any(struct look *look)
{
	uint32_t count = 0;
	for (const struct addrinfo *at = look->addresses; at != NULL; at = at->ai_next) {
		count++;
	}
	begin_step(look, STEP(CONNECT));
	for (const struct addrinfo *at = look->addresses; at != NULL && look->fd < 0;
	     at = at->ai_next) {
		look->fd = connect_one(at, look->step_ms * 4 / 5 / count);
	}
	int why = errno;
	look->test.connect_us = took_us(look);
	return look->fd >= 0 || fail(look, failure_of(why), strerror(why));
}

/* --- TLS --- */

static Google__Protobuf__Timestamp *time_of(struct sl_arena *arena, uint64_t unix_ms)
{
	Google__Protobuf__Timestamp *at = SL_ARENA_NEW(arena, Google__Protobuf__Timestamp);
	if (at != NULL && unix_ms != 0) {
		google__protobuf__timestamp__init(at);
		at->seconds = (int64_t)(unix_ms / 1000);
		return at;
	}
	return NULL;
}

static void tell_certificate(struct look *look, const struct tls_look *seen)
{
	Sluice__V1__SourceCertificate *cert =
	    SL_ARENA_NEW(&look->arena, Sluice__V1__SourceCertificate);
	if (cert == NULL) {
		return;
	}
	sluice__v1__source_certificate__init(cert);
	cert->subject = (char *)seen->subject;
	cert->issuer = (char *)seen->issuer;
	cert->names = (char **)(uintptr_t)seen->names;
	cert->n_names = seen->name_count;
	cert->name_count = seen->all_names;
	cert->not_before = time_of(&look->arena, seen->not_before_ms);
	cert->not_after = time_of(&look->arena, seen->not_after_ms);
	cert->verified = seen->trusted && seen->in_time && seen->for_host;
	cert->verify_error = (char *)seen->wrong;
	look->test.certificate = cert;
}

/* What the options do not ask for is told, and no failure. */
static bool judge(struct look *look, const struct tls_look *seen)
{
	Sluice__V1__SourceVerify verify = look->target->verify;
	if (verify == SLUICE__V1__SOURCE_VERIFY__SOURCE_VERIFY_UNSPECIFIED || !seen->shown) {
		return true;
	}
	if (!seen->trusted) {
		return fail(look, FAILURE(CERTIFICATE_UNTRUSTED), seen->wrong);
	}
	if (!seen->in_time) {
		return fail(look, FAILURE(CERTIFICATE_EXPIRED), seen->wrong);
	}
	return seen->for_host || verify == SLUICE__V1__SOURCE_VERIFY__SOURCE_VERIFY_CHAIN ||
	       fail(look, FAILURE(CERTIFICATE_WRONG_NAME), seen->wrong);
}

static bool shake_hands(struct look *look)
{
	struct tls_look seen;
	enum tls_look_end end =
	    tls_look(look->fd, look->target->host, look->trust, &look->arena, &seen);
	look->test.protocol = (char *)seen.protocol;
	if (seen.shown) {
		tell_certificate(look, &seen);
	}
	switch (end) {
	case TLS_LOOK_DONE:
		return judge(look, &seen);
	case TLS_LOOK_LOST:
		return fail(look, FAILURE(CONNECTION_LOST),
			    "the server hung up in the handshake: it may have no TLS");
	case TLS_LOOK_NO_TLS:
		return fail(look, FAILURE(NO_TLS), "what answers speaks no TLS");
	case TLS_LOOK_FAILED:
		break;
	}
	return fail(look, FAILURE(TLS_FAILED), seen.why);
}

static bool begin_tls_with(struct look *look)
{
	begin_step(look, STEP(TLS));
	switch (begin_tls(look->fd, look->target->tls)) {
	case BEGIN_TLS:
		return shake_hands(look);
	case BEGIN_NO_TLS:
		return look->target->tls_optional ||
		       fail(look, FAILURE(NO_TLS), "the server says that it has no TLS");
	case BEGIN_STRANGE:
		return fail(look, FAILURE(NO_TLS), "what answers is no server of this kind");
	case BEGIN_LOST:
		break;
	}
	return fail(look, FAILURE(CONNECTION_LOST), "the server hung up when it was asked for TLS");
}

/* --- entry --- */

static bool confine(struct look *look)
{
	static const struct confine_limits limits = {
	    .address_bytes = (uint64_t)ADDRESS_MIB << 20, .cpu_s = CPU_S, .open_files = OPEN_FILES};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	return (confine_limits(&limits, &err) == SL_OK &&
		confine_dialling(NULL, 0, (uint16_t)look->target->port, &err) == SL_OK &&
		confine_calls(CONFINE_CALLS_FILES | CONFINE_CALLS_NET, &err) == SL_OK) ||
	       fail(look, FAILURE(AGENT_FAILED), err.msg);
}

/* Reads the machine's roots: before the confinement. */
static bool read_trust(struct look *look)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const char *ca = look->target->ca;
	if (look->target->tls == SLUICE__V1__SOURCE_TLS__SOURCE_TLS_UNSPECIFIED ||
	    tls_trust_new(ca[0] != '\0' ? ca : NULL, &look->trust, &err) == SL_OK) {
		return true;
	}
	return fail(look, FAILURE(CA_UNREADABLE), err.msg);
}

static void run(struct look *look)
{
	bool reached = read_trust(look) && confine(look) && resolve(look) && connect_any(look);
	if (reached && look->target->tls != SLUICE__V1__SOURCE_TLS__SOURCE_TLS_UNSPECIFIED) {
		reached = begin_tls_with(look);
		look->test.tls_us = took_us(look);
	}
}

static Sluice__V1__AgentSourceTarget *take_order(uint32_t *ret_step_ms)
{
	static uint8_t order[REACH_ORDER_MAX];
	ssize_t got = -1;
	do {
		got = recv(SPAWN_FD, order, sizeof(order), 0);
	} while (got < 0 && errno == EINTR);
	if (got <= REACH_HEAD) {
		return NULL;
	}
	*ret_step_ms = sl_get_be32(order);
	Sluice__V1__AgentSourceTarget *target = sluice__v1__agent_source_target__unpack(
	    NULL, (size_t)got - REACH_HEAD, order + REACH_HEAD);
	if (target != NULL && target->host[0] != '\0' && strlen(target->host) <= HOST_MAX &&
	    target->port > 0 && target->port <= UINT16_MAX) {
		return target;
	}
	if (target != NULL) {
		sluice__v1__agent_source_target__free_unpacked(target, NULL);
	}
	return NULL;
}

int reach_worker_main(void)
{
	struct look look = {.test = SLUICE__V1__SOURCE_TEST__INIT, .fd = -1};
	(void)signal(SIGPIPE, SIG_IGN);
	if (confine_basics(NULL) != SL_OK) {
		return EXIT_NOT_CONFINED;
	}
	look.target = take_order(&look.step_ms);
	if (look.target == NULL) {
		return EXIT_NO_ORDER;
	}
	sl_arena_init(&look.arena, 1 << 20);
	run(&look);
	return tell(&look, true) ? EXIT_SUCCESS : EXIT_NO_PARENT;
}

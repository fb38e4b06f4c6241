/* TLS that begins in the middle of another protocol. What strangers say is read within bounds, and
 * no further than the handshake needs. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/reach/reach_internal.h"
#include "base/mem/own.h"

static bool put(int fd, const void *data, size_t size)
{
	ssize_t sent = -1;
	do {
		sent = send(fd, data, size, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)size; /* a few bytes into an empty buffer go at once */
}

static bool get(int fd, void *out, size_t size)
{
	size_t had = 0;
	while (had < size) {
		ssize_t got = recv(fd, (uint8_t *)out + had, size - had, 0);
		if (got == 0 || (got < 0 && errno != EINTR)) {
			return false;
		}
		had += got > 0 ? (size_t)got : 0;
	}
	return true;
}

static enum begin at_once(int fd)
{
	(void)fd;
	return BEGIN_TLS;
}

/* --- PostgreSQL ---------------------------------------------------------------------------- */

/* SSLRequest, which is answered with one byte: S or N. */
static enum begin postgres(int fd)
{
	static const uint8_t request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
	char answer = 0;
	if (!put(fd, request, sizeof(request)) || !get(fd, &answer, 1)) {
		return BEGIN_LOST;
	}
	return answer == 'S' ? BEGIN_TLS : answer == 'N' ? BEGIN_NO_TLS : BEGIN_STRANGE;
}

/* --- MySQL ---------------------------------------------------------------------------------- */

enum {
	MYSQL_HEAD = 4,
	MYSQL_GREETING_MAX = 1024,
	MYSQL_VERSION_10 = 10,
	MYSQL_BEFORE_FLAGS = 4 + 8 + 1, /* thread, salt, filler */
	MYSQL_CLIENT_SSL = 0x0800,
};

/* The server's flags, low half, of its greeting; 0: it is none. */
static unsigned mysql_flags(const uint8_t *greeting, size_t size)
{
	const uint8_t *end = size > 1 && greeting[0] == MYSQL_VERSION_10
				 ? memchr(greeting + 1, '\0', size - 1)
				 : NULL;
	if (end == NULL || (size_t)(greeting + size - end) < 1 + MYSQL_BEFORE_FLAGS + 2) {
		return 0;
	}
	const uint8_t *flags = end + 1 + MYSQL_BEFORE_FLAGS;
	return (unsigned)flags[0] | (unsigned)flags[1] << 8;
}

/* The server greets first; then SSLRequest: a login that ends before the user's name. */
static enum begin mysql(int fd)
{
	static const uint8_t request[MYSQL_HEAD + 32] = {
	    32,   0,    0, 1, /* length, number */
	    0x00, 0x8a, 0, 0, /* 4.1 protocol, SSL, secure connection */
	    0,    0,    0, 1, /* biggest packet: 16 MiB */
	    45,               /* utf8mb4 */
	};
	uint8_t head[MYSQL_HEAD], greeting[MYSQL_GREETING_MAX];
	if (!get(fd, head, sizeof(head))) {
		return BEGIN_LOST;
	}
	size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
	if (size > sizeof(greeting)) {
		return BEGIN_STRANGE;
	}
	if (!get(fd, greeting, size)) {
		return BEGIN_LOST;
	}
	unsigned flags = mysql_flags(greeting, size);
	if ((flags & MYSQL_CLIENT_SSL) == 0) {
		return flags == 0 ? BEGIN_STRANGE : BEGIN_NO_TLS;
	}
	return put(fd, request, sizeof(request)) ? BEGIN_TLS : BEGIN_LOST;
}

/* --- SMTP ----------------------------------------------------------------------------------- */

enum { SMTP_LINE_MAX = 1000, SMTP_LINES_MAX = 100 };

/* One line without its end; false: hung up, or a line that is too long. */
static bool get_line(int fd, char line[static SMTP_LINE_MAX + 1])
{
	for (size_t size = 0; size < SMTP_LINE_MAX; size++) {
		if (!get(fd, &line[size], 1)) {
			return false;
		}
		if (line[size] == '\n') {
			line[size > 0 && line[size - 1] == '\r' ? size - 1 : size] = '\0';
			return true;
		}
	}
	return false;
}

/* A reply of one or more lines: BEGIN_TLS if it begins with `code`; *ret_offers: it offers
 * STARTTLS. */
static enum begin smtp_reply(int fd, const char *code, bool *ret_offers)
{
	char line[SMTP_LINE_MAX + 1];
	*ret_offers = false;
	for (int i = 0; i < SMTP_LINES_MAX; i++) {
		if (!get_line(fd, line)) {
			return BEGIN_LOST;
		}
		if (strncmp(line, code, 3) != 0) {
			return BEGIN_STRANGE;
		}
		*ret_offers = *ret_offers || strcmp(line + 3, "-STARTTLS") == 0 ||
			      strcmp(line + 3, " STARTTLS") == 0;
		if (line[3] != '-') {
			return BEGIN_TLS;
		}
	}
	return BEGIN_STRANGE;
}

static enum begin smtp(int fd)
{
	static const char hello[] = "EHLO localhost\r\n", start[] = "STARTTLS\r\n";
	bool offers = false;
	enum begin begin = smtp_reply(fd, "220", &offers);
	if (begin != BEGIN_TLS) {
		return begin;
	}
	begin = put(fd, hello, sizeof(hello) - 1) ? smtp_reply(fd, "250", &offers) : BEGIN_LOST;
	if (begin != BEGIN_TLS || !offers) {
		return begin == BEGIN_TLS ? BEGIN_NO_TLS : begin;
	}
	return put(fd, start, sizeof(start) - 1) ? smtp_reply(fd, "220", &offers) : BEGIN_LOST;
}

enum begin begin_tls(int fd, Sluice__V1__SourceTls way)
{
	static enum begin (*const ways[])(int) = {
	    [SLUICE__V1__SOURCE_TLS__SOURCE_TLS_AT_ONCE] = at_once,
	    [SLUICE__V1__SOURCE_TLS__SOURCE_TLS_POSTGRES] = postgres,
	    [SLUICE__V1__SOURCE_TLS__SOURCE_TLS_MYSQL] = mysql,
	    [SLUICE__V1__SOURCE_TLS__SOURCE_TLS_SMTP] = smtp,
	};
	bool known = (size_t)way < SL_COUNT(ways) && ways[way] != NULL;
	return known ? ways[way](fd) : BEGIN_STRANGE;
}

#include "base/git/url_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/git/text_internal.h"
#include "base/mem/own.h"

static const struct scheme {
	const char *prefix;
	uint16_t port;
	bool local_only; /* neither encrypted nor authenticated, or this machine's own */
} schemes[URL_SCHEME_COUNT] = {
    [URL_HTTPS] = {"https://", 443, false}, [URL_SSH] = {"ssh://", 22, false},
    [URL_GIT] = {"git://", 9418, true},     [URL_HTTP] = {"http://", 80, true},
    [URL_FILE] = {"file://", 0, true},
};

static sl_code refuse(struct sl_err *err, const char *text, const char *rule)
{
	char shown[200];
	text_url(shown, sizeof(shown), text);
	return sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_URL_NOT_ALLOWED, "url '%s': %s",
			      shown, rule);
}

/* Characters that no Git URL needs and that a shell or a log at the other end could take amiss. */
static const char *broken_bytes(const char *text, bool is_file)
{
	const char *refused = is_file ? "%?#\"\\" : " \"'`<>\\^{|}#?";
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			return "must not contain control characters";
		}
		if (strchr(refused, *c) != NULL) {
			return is_file
				   ? "must not contain any of % ? # \" \\"
				   : "must not contain spaces, quotes or any of < > \\ ^ { | } # ?";
		}
		if (!is_file && (unsigned char)*c > 0x7f) {
			return "must be ASCII";
		}
	}
	return NULL;
}

static const char *parse_port(const char *text, size_t bytes, uint16_t *ret_port)
{
	unsigned long port = 0;
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9' || port > 65535) {
			return "the port must be 1 to 65535";
		}
		port = port * 10 + (unsigned long)(text[i] - '0');
	}
	if (bytes == 0 || port == 0 || port > 65535) {
		return "the port must be 1 to 65535";
	}
	*ret_port = (uint16_t)port;
	return NULL;
}

static const char *parse_host(const char *text, size_t bytes, struct url *url)
{
	const char *end = text + bytes, *host_end = memchr(text, ':', bytes);
	if (bytes > 0 && text[0] == '[') {
		host_end = memchr(text, ']', bytes);
		text++;
		if (host_end == NULL || (host_end + 1 < end && host_end[1] != ':')) {
			return "an IPv6 address must stand in brackets";
		}
	}
	size_t host_bytes = (size_t)((host_end == NULL ? end : host_end) - text);
	if (host_bytes == 0 || host_bytes >= sizeof(url->host)) {
		return "must name a host of at most 255 bytes";
	}
	if (text[0] == '-') {
		return "the host must not begin with '-'";
	}
	(void)snprintf(url->host, sizeof(url->host), "%.*s", (int)host_bytes, text);
	const char *rest = host_end == NULL ? end : host_end + (*host_end == ']');
	return rest == end ? NULL : parse_port(rest + 1, (size_t)(end - rest) - 1, &url->port);
}

static const char *parse_authority(const char *text, struct url *url)
{
	size_t bytes = strcspn(text, "/");
	url->path = text + bytes;
	const char *at = memrchr(text, '@', bytes);
	if (at != NULL && memchr(text, ':', (size_t)(at - text)) != NULL) {
		return "must not contain a password: set credentials apart from the URL";
	}
	/* Hosts take tokens as the user, so one is not told from the other. ssh wants a user. */
	if (at != NULL && url->scheme != URL_SSH) {
		return "must not contain a user or a token, but for ssh: credentials are set apart "
		       "from the URL, never in it";
	}
	if (at != NULL && text[0] == '-') {
		return "the user must not begin with '-'";
	}
	const char *host = at == NULL ? text : at + 1;
	return parse_host(host, (size_t)(url->path - host), url);
}

/* Its rule, or NULL. libgit2 is not asked: it takes "/etc" for a local repository and "ext::" for a
 * host. */
static const char *parse(const char *text, struct url *url)
{
	size_t i = 0;
	while (i < URL_SCHEME_COUNT &&
	       strncmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) != 0) {
		i++;
	}
	if (i == URL_SCHEME_COUNT) {
		return "must begin with https://, ssh://, git://, http:// or file:// (for "
		       "user@host:path write ssh://user@host/path)";
	}
	*url = (struct url){.scheme = (enum url_scheme)i, .port = schemes[i].port};
	const char *rest = text + strlen(schemes[i].prefix);
	const char *rule = url->scheme == URL_FILE ? NULL : parse_authority(rest, url);
	if (rule != NULL) {
		return rule;
	}
	url->path = url->scheme == URL_FILE ? rest : url->path;
	if (url->path[0] != '/' || url->path[1] == '\0') {
		return url->scheme == URL_FILE ? "must be file:// and an absolute path"
					       : "must have a path after the host";
	}
	return broken_bytes(rest, url->scheme == URL_FILE);
}

sl_code url_parse(const char *text, struct url *ret_url, struct sl_err *err)
{
	struct url url = {0};
	if (strnlen(text, GIT_URL_MAX) >= GIT_URL_MAX) {
		return refuse(err, "", "must have at most 1023 bytes");
	}
	const char *rule = parse(text, &url);
	if (rule != NULL) {
		return refuse(err, text, rule);
	}
	*ret_url = url;
	return SL_OK;
}

static bool is_local_v4(uint32_t ip)
{
	static const struct {
		uint32_t net;
		unsigned bits;
	} nets[] = {
	    {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},
	    {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0a80000, 16},
	    {0xc6120000, 15}, {0xe0000000, 3},
	};
	for (size_t i = 0; i < SL_COUNT(nets); i++) {
		if ((ip ^ nets[i].net) >> (32 - nets[i].bits) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_local_v6(const struct in6_addr *ip)
{
	static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b};
	const uint8_t *b = ip->s6_addr;
	uint32_t inner =
	    (uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15];
	if (IN6_IS_ADDR_V4MAPPED(ip) || memcmp(b, translated, sizeof(translated)) == 0) {
		return is_local_v4(inner);
	}
	/* 2000::/3 is all that is given out for the public net. */
	return (b[0] & 0xe0) != 0x20;
}

bool url_address_is_local(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		return is_local_v4(
		    ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
	}
	return address->sa_family != AF_INET6 ||
	       is_local_v6(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static bool host_is_local(const char *host)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	if (inet_aton(host, &v4.sin_addr) !=
	    0) { /* also "127.1" and "0x7f000001", as the resolver takes them */
		return url_address_is_local((struct sockaddr *)&v4);
	}
	if (strchr(host, ':') !=
	    NULL) { /* a zone ("fe80::1%eth0") makes it unreadable here: local */
		return inet_pton(AF_INET6, host, &v6.sin6_addr) != 1 ||
		       url_address_is_local((struct sockaddr *)&v6);
	}
	size_t bytes = strlen(host);
	bytes -= host[bytes - 1] == '.';
	static const char own[] = "localhost";
	size_t tail = sizeof(own) - 1;
	return bytes >= tail && strncasecmp(host + bytes - tail, own, tail) == 0 &&
	       (bytes == tail || host[bytes - tail - 1] == '.');
}

sl_code git_url_check(const char *url, bool allow_local, struct sl_err *err)
{
	struct url parts;
	sl_code code = url_parse(url, &parts, err);
	if (code != SL_OK || allow_local) {
		return code;
	}
	if (schemes[parts.scheme].local_only) {
		return refuse(err, url, "file, git and http need --allow-local-repos");
	}
	if (host_is_local(parts.host)) {
		return refuse(err, url,
			      "a loopback, link-local or private host needs --allow-local-repos");
	}
	return SL_OK;
}

void git_url_host(const char *text, char ret_host[static GIT_HOST_SIZE])
{
	struct url url;
	bool is_one = url_parse(text, &url, NULL) == SL_OK;
	(void)snprintf(ret_host, GIT_HOST_SIZE, "%s", is_one ? url.host : "");
}

/* Hosts that say by what name a token comes. Others take any, or the token's own name, which is
 * set. */
const char *git_login_user(const char *text)
{
	static const struct {
		const char *part, *user;
	} hosts[] = {
	    {"gitlab", "oauth2"},
	    {"bitbucket", "x-token-auth"},
	};
	struct url url;
	if (url_parse(text, &url, NULL) != SL_OK || url.scheme == URL_SSH) {
		return "git";
	}
	for (size_t i = 0; i < SL_COUNT(hosts); i++) {
		if (strcasestr(url.host, hosts[i].part) != NULL) {
			return hosts[i].user;
		}
	}
	return "x-access-token";
}

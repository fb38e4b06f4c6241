/* url: the parts of a repository's URL, and which URLs Sluice may talk to. */
#ifndef SL_BASE_GIT_URL_INTERNAL_H
#define SL_BASE_GIT_URL_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err/err.h"
#include "base/git/git.h"

enum url_scheme { URL_HTTPS, URL_SSH, URL_GIT, URL_HTTP, URL_FILE, URL_SCHEME_COUNT };

struct url {
	enum url_scheme scheme;
	char host[GIT_HOST_SIZE]; /* "" for file; an IPv6 address without its brackets */
	uint16_t port;            /* the scheme's own when the URL has none; 0 for file */
	const char *path;         /* from its first '/'; points into the text that was parsed */
};

/* Shape only: SL_INVALID_ARGUMENT / URL_NOT_ALLOWED names the rule, never a credential. */
SL_MUST_USE sl_code url_parse(const char *text, struct url *ret_url, struct sl_err *err);

/* Loopback, link-local, private, multicast or otherwise not of the public net. */
bool url_address_is_local(const struct sockaddr *address);

#endif

#include "agent/probe/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Appends; false when it does not fit. */
static bool append(char *out, size_t *length, const char *text, size_t size)
{
	if (*length + size >= PROBE_TEXT_SIZE) {
		return false;
	}
	memcpy(out + *length, text, size);
	*length += size;
	out[*length] = '\0';
	return true;
}

static bool substitute(char out[PROBE_TEXT_SIZE], const char *text, const char *app_id,
		       const char *slug)
{
	size_t length = 0;
	out[0] = '\0';
	while (*text != '\0') {
		bool app = strncmp(text, "{app}", 5) == 0, name = strncmp(text, "{slug}", 6) == 0;
		const char *put = app ? app_id : name ? slug : text;
		size_t size = app || name ? strlen(put) : 1;
		if (!append(out, &length, put, size)) {
			return false;
		}
		text += app ? 5 : name ? 6 : 1;
	}
	return true;
}

static sl_code address_error(const char *text, struct sl_err *err)
{
	return sl_err_set(
	    err, SL_INVALID_ARGUMENT,
	    "'%s' must be HOST:PORT with an IP address or localhost and a port from 1 to "
	    "65535; an IPv6 address stands in brackets",
	    text);
}

static bool parse_host(const char *host, uint16_t port, struct target *target)
{
	struct sockaddr_in *four = (struct sockaddr_in *)&target->address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&target->address;
	if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
		      &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		target->address_size = sizeof(*four);
		return true;
	}
	size_t length = strlen(host);
	char bare[64];
	if (length < 3 || length >= sizeof(bare) || host[0] != '[' || host[length - 1] != ']') {
		return false;
	}
	(void)snprintf(bare, sizeof(bare), "%.*s", (int)(length - 2), host + 1);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	target->address_size = sizeof(*six);
	return inet_pton(AF_INET6, bare, &six->sin6_addr) == 1;
}

static sl_code parse_address(const char *text, size_t size, struct target *target,
			     struct sl_err *err)
{
	if (size == 0 || size >= sizeof(target->authority)) {
		return address_error(text, err);
	}
	(void)snprintf(target->authority, sizeof(target->authority), "%.*s", (int)size, text);
	char host[sizeof(target->authority)];
	memcpy(host, target->authority, sizeof(host));
	char *colon = strrchr(host, ':');
	if (colon == NULL || colon[1] < '1' || colon[1] > '9') {
		return address_error(target->authority, err);
	}
	*colon = '\0';
	char *end = NULL;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port > 65535 || !parse_host(host, (uint16_t)port, target)) {
		return address_error(target->authority, err);
	}
	return SL_OK;
}

static sl_code parse_http(const char *text, struct target *target, struct sl_err *err)
{
	size_t authority = strcspn(text, "/?#");
	const char *path = text + authority;
	for (const char *at = path; *at != '\0'; at++) {
		if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f || *at == '#') {
			return sl_err_set(
			    err, SL_INVALID_ARGUMENT,
			    "'%s' must be a path of printable ASCII without spaces or '#'", path);
		}
	}
	(void)snprintf(target->rest, sizeof(target->rest), "%s%s", *path == '/' ? "" : "/", path);
	return parse_address(text, authority, target, err);
}

sl_code target_parse(const char *text, const char *app_id, const char *slug,
		     struct target *ret_target, struct sl_err *err)
{
	char whole[PROBE_TEXT_SIZE];
	if (!substitute(whole, text, app_id, slug)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "a probe has at most %d bytes",
				  PROBE_TEXT_SIZE - 1);
	}
	*ret_target = (struct target){.kind = TARGET_HTTP};
	if (strncmp(whole, "http://", 7) == 0) {
		return parse_http(whole + 7, ret_target, err);
	}
	if (strncmp(whole, "tcp:", 4) == 0) {
		ret_target->kind = TARGET_TCP;
		return parse_address(whole + 4, strlen(whole + 4), ret_target, err);
	}
	if (strncmp(whole, "cmd:", 4) == 0 && whole[4] != '\0') {
		ret_target->kind = TARGET_COMMAND;
		(void)snprintf(ret_target->rest, sizeof(ret_target->rest), "%s", whole + 4);
		return SL_OK;
	}
	return sl_err_set(err, SL_INVALID_ARGUMENT,
			  "probe '%s' must be http://HOST:PORT/PATH, tcp:HOST:PORT or cmd:WORDS",
			  text);
}

#include "server/rules/source_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"

#define VERIFY(what) SLUICE__V1__SOURCE_VERIFY__SOURCE_VERIFY_##what
#define NOTHING SLUICE__V1__SOURCE_VERIFY__SOURCE_VERIFY_UNSPECIFIED
#define NO_TLS SLUICE__V1__SOURCE_TLS__SOURCE_TLS_UNSPECIFIED
#define AT_ONCE SLUICE__V1__SOURCE_TLS__SOURCE_TLS_AT_ONCE

/* What the words of all kinds say of TLS; those of PostgreSQL as its own library takes them. */
static const struct {
	const char *word;
	bool none, at_once, optional;
	Sluice__V1__SourceVerify verify;
} words[] = {
    {.word = "disable", .none = true},
    {.word = "prefer", .optional = true},
    {.word = "require", .verify = NOTHING},
    {.word = "verify-ca", .verify = VERIFY(CHAIN)},
    {.word = "verify-full", .verify = VERIFY(HOST)},
    {.word = "false", .none = true},
    {.word = "true", .verify = VERIFY(HOST)},
    {.word = "none", .none = true},
    {.word = "tls", .at_once = true, .verify = VERIFY(HOST)},
    {.word = "starttls", .verify = VERIFY(HOST)},
};

static const char wrong_url[] =
    "its URL must be http:// or https:// with a host, and a port from 1 to 65535 if any";

/* --- values -------------------------------------------------------------------------------- */

/* Set, or by default; NULL: neither. */
struct look {
	const struct source_kind *kind;
	source_value *value;
	void *ctx;
};

static const char *value_of(const struct look *look, const char *name)
{
	if (name == NULL) {
		return NULL;
	}
	const char *set = look->value(look->ctx, name);
	const struct source_option *option = source_option_of(look->kind, name);
	const char *value = set == NULL && option != NULL ? option->fallback : set;
	return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool take_host(struct source_target *target, const char *text, size_t size)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
	if (size == 0 || size > SOURCE_HOST_MAX || strspn(text, allowed) < size) {
		return false;
	}
	memcpy(target->host, text, size);
	target->host[size] = '\0';
	return true;
}

/* The text ends where `end` is. */
static bool take_port(struct source_target *target, const char *text, const char *end)
{
	char *after = NULL;
	unsigned long port = *text >= '0' && *text <= '9' ? strtoul(text, &after, 10) : 0;
	if (after != end || port == 0 || port > UINT16_MAX) {
		return false;
	}
	target->port = (uint16_t)port;
	return true;
}

/* --- of a URL -------------------------------------------------------------------------------- */

/* "user@[::1]:8443": who logs in is left out. */
static bool take_authority(struct source_target *target, const char *text, const char *end)
{
	for (const char *at = text; at < end; at++) {
		text = *at == '@' ? at + 1 : text;
	}
	bool bracket = *text == '[';
	const char *host = bracket ? text + 1 : text;
	size_t size = strcspn(host, bracket ? "]" : ":/?#");
	const char *after = host + size + bracket;
	if (after > end || (bracket && host[size] != ']') || !take_host(target, host, size)) {
		return false;
	}
	return after == end || (*after == ':' && take_port(target, after + 1, end));
}

static const char *of_url(const char *url, struct source_target *target)
{
	bool tls = strncmp(url, "https://", 8) == 0;
	if (!tls && strncmp(url, "http://", 7) != 0) {
		return wrong_url;
	}
	const char *authority = url + (tls ? 8 : 7);
	target->port = tls ? 443 : 80;
	target->tls = tls ? AT_ONCE : NO_TLS;
	target->verify = tls ? VERIFY(HOST) : NOTHING;
	return take_authority(target, authority, authority + strcspn(authority, "/?#")) ? NULL
											: wrong_url;
}

/* --- of host and port --- */

static bool take_word(struct source_target *target, Sluice__V1__SourceTls way, const char *word)
{
	for (size_t i = 0; i < SL_COUNT(words); i++) {
		if (strcmp(words[i].word, word) == 0) {
			target->tls = words[i].none ? NO_TLS : words[i].at_once ? AT_ONCE : way;
			target->tls_optional = words[i].optional;
			target->verify = words[i].verify;
			return true;
		}
	}
	return false;
}

static const char *of_host(const struct look *look, const char *host, struct source_target *target)
{
	const struct source_reach *reach = &look->kind->reach;
	const char *port = value_of(look, reach->port), *word = value_of(look, reach->tls);
	if (!take_host(target, host, strlen(host))) {
		return "its host must be a name or an IP address";
	}
	if (port == NULL || !take_port(target, port, port + strlen(port))) {
		return "its port must be a number from 1 to 65535";
	}
	return word == NULL || take_word(target, reach->way, word)
		   ? NULL
		   : "its option for TLS holds a word that is none of the kind";
}

static const char *of_region(const char *region, struct source_target *target)
{
	char host[SOURCE_HOST_MAX + 1];
	int size = snprintf(host, sizeof(host), "s3.%s.amazonaws.com", region);
	target->port = 443;
	target->tls = AT_ONCE;
	target->verify = VERIFY(HOST);
	return size < (int)sizeof(host) && take_host(target, host, (size_t)size)
		   ? NULL
		   : "its region must be one of Amazon's";
}

size_t source_target_needs(const struct source_kind *kind,
			   const char *ret_names[static SOURCE_NEEDED_MAX])
{
	const struct source_reach *reach = &kind->reach;
	const char *const all[SOURCE_NEEDED_MAX] = {reach->url,    reach->host, reach->port,
						    reach->region, reach->tls,  reach->ca};
	size_t count = 0;
	for (size_t i = 0; i < SOURCE_NEEDED_MAX; i++) {
		if (all[i] != NULL) {
			ret_names[count++] = all[i];
		}
	}
	return count;
}

const char *source_target_of(const struct source_kind *kind, source_value *value, void *ctx,
			     struct source_target *ret_target)
{
	const struct look look = {.kind = kind, .value = value, .ctx = ctx};
	const char *url = value_of(&look, kind->reach.url),
		   *host = value_of(&look, kind->reach.host);
	const char *region = value_of(&look, kind->reach.region),
		   *ca = value_of(&look, kind->reach.ca);
	*ret_target = (struct source_target){.ca = ca != NULL ? ca : ""};
	if (url != NULL) {
		return of_url(url, ret_target);
	}
	if (host != NULL) {
		return of_host(&look, host, ret_target);
	}
	return region != NULL ? of_region(region, ret_target) : "it has neither a host nor a URL";
}

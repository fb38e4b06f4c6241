#include "server/rules/source_kinds.h"

#include <string.h>

#include "base/mem/own.h"

#define REQUIRED(name_, type_)                                                                     \
	{                                                                                          \
		.name = name_, .type = type_, .required = true                                     \
	}
#define OPTIONAL(name_, type_)                                                                     \
	{                                                                                          \
		.name = name_, .type = type_                                                       \
	}
#define WITH(name_, type_, default_)                                                               \
	{                                                                                          \
		.name = name_, .type = type_, .fallback = default_                                 \
	}
#define CHOICE(name_, choices_, default_)                                                          \
	{                                                                                          \
		.name = name_, .type = SOURCE_TEXT, .choices = choices_, .fallback = default_      \
	}
#define HIDDEN(name_)                                                                              \
	{                                                                                          \
		.name = name_, .type = SOURCE_TEXT, .secret = true                                 \
	}

/* clang-format off */
static const struct source_option postgres[] = {
	REQUIRED("host", SOURCE_TEXT), WITH("port", SOURCE_NUMBER, "5432"), REQUIRED("database", SOURCE_TEXT),
	REQUIRED("user", SOURCE_TEXT), HIDDEN("password"),
	CHOICE("sslmode", "disable|prefer|require|verify-ca|verify-full", "verify-full"), OPTIONAL("ca", SOURCE_TEXT),
};
static const struct source_option mysql[] = {
	REQUIRED("host", SOURCE_TEXT), WITH("port", SOURCE_NUMBER, "3306"), REQUIRED("database", SOURCE_TEXT),
	REQUIRED("user", SOURCE_TEXT), HIDDEN("password"), WITH("tls", SOURCE_BOOL, "true"), OPTIONAL("ca", SOURCE_TEXT),
};
static const struct source_option mongodb[] = {
	REQUIRED("host", SOURCE_TEXT), WITH("port", SOURCE_NUMBER, "27017"), REQUIRED("database", SOURCE_TEXT),
	OPTIONAL("user", SOURCE_TEXT), HIDDEN("password"), OPTIONAL("replica_set", SOURCE_TEXT),
	WITH("tls", SOURCE_BOOL, "true"), OPTIONAL("ca", SOURCE_TEXT),
};
static const struct source_option redis[] = {
	REQUIRED("host", SOURCE_TEXT), WITH("port", SOURCE_NUMBER, "6379"), WITH("database", SOURCE_NUMBER, "0"),
	OPTIONAL("user", SOURCE_TEXT), HIDDEN("password"), WITH("tls", SOURCE_BOOL, "true"), OPTIONAL("ca", SOURCE_TEXT),
};
static const struct source_option s3[] = {
	OPTIONAL("endpoint", SOURCE_URL), WITH("region", SOURCE_TEXT, "us-east-1"), REQUIRED("bucket", SOURCE_TEXT),
	REQUIRED("access_key", SOURCE_TEXT),
	{.name = "secret_key", .type = SOURCE_TEXT, .required = true, .secret = true},
	WITH("path_style", SOURCE_BOOL, "false"),
};
static const struct source_option rest[] = {
	REQUIRED("url", SOURCE_URL), OPTIONAL("user", SOURCE_TEXT), HIDDEN("password"), HIDDEN("token"),
};
static const struct source_option graphql[] = {
	REQUIRED("url", SOURCE_URL), HIDDEN("token"),
};
static const struct source_option smtp[] = {
	REQUIRED("host", SOURCE_TEXT), WITH("port", SOURCE_NUMBER, "587"), CHOICE("tls", "starttls|tls|none", "starttls"),
	OPTIONAL("user", SOURCE_TEXT), HIDDEN("password"), OPTIONAL("from", SOURCE_TEXT),
};

#define KIND(kind, ...) {.name = #kind, .options = kind, .count = SL_COUNT(kind), .reach = {__VA_ARGS__}}
#define TLS(way_) .way = SLUICE__V1__SOURCE_TLS__SOURCE_TLS_##way_
#define AT_HOST .host = "host", .port = "port"
const struct source_kind source_kinds[] = {
	KIND(postgres, AT_HOST, .tls = "sslmode", TLS(POSTGRES), .ca = "ca"),
	KIND(mysql, AT_HOST, .tls = "tls", TLS(MYSQL), .ca = "ca"),
	KIND(mongodb, AT_HOST, .tls = "tls", TLS(AT_ONCE), .ca = "ca"),
	KIND(redis, AT_HOST, .tls = "tls", TLS(AT_ONCE), .ca = "ca"),
	KIND(s3, .url = "endpoint", .region = "region", TLS(AT_ONCE)),
	KIND(rest, .url = "url", TLS(AT_ONCE)),
	KIND(graphql, .url = "url", TLS(AT_ONCE)),
	KIND(smtp, AT_HOST, .tls = "tls", TLS(SMTP)),
	{.name = "generic", .any = true, .reach = {.url = "url", AT_HOST, .tls = "tls", TLS(AT_ONCE), .ca = "ca"}},
};
/* clang-format on */
const size_t source_kind_count = SL_COUNT(source_kinds);

const struct source_kind *source_kind_of(const char *name)
{
	for (size_t i = 0; i < source_kind_count; i++) {
		if (strcmp(source_kinds[i].name, name) == 0) {
			return &source_kinds[i];
		}
	}
	return NULL;
}

const struct source_option *source_option_of(const struct source_kind *kind, const char *name)
{
	for (size_t i = 0; i < kind->count; i++) {
		if (strcmp(kind->options[i].name, name) == 0) {
			return &kind->options[i];
		}
	}
	return NULL;
}

static bool is_number(const char *value)
{
	size_t digits = strspn(value, "0123456789");
	return digits >= 1 && digits <= 5 && value[digits] == '\0' &&
	       (digits < 5 || strcmp(value, "65535") <= 0);
}

static bool is_choice(const char *choices, const char *value)
{
	size_t size = strlen(value);
	for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
		at += *at == '|';
		if (strncmp(at, value, size) == 0 && (at[size] == '|' || at[size] == '\0')) {
			return true;
		}
	}
	return false;
}

const char *source_value_broken_rule(const struct source_option *option, const char *value)
{
	if (strstr(value, "{{") != NULL) {
		return NULL;
	}
	if (option->choices != NULL && !is_choice(option->choices, value)) {
		return option->choices;
	}
	switch (option->type) {
	case SOURCE_NUMBER:
		return is_number(value) ? NULL : "must be a number from 0 to 65535";
	case SOURCE_BOOL:
		return is_choice("true|false", value) ? NULL : "must be true or false";
	case SOURCE_URL:
		return strncmp(value, "https://", 8) == 0 || strncmp(value, "http://", 7) == 0
			   ? NULL
			   : "must be a URL that begins with https:// or http://";
	case SOURCE_TEXT:
		break;
	}
	return NULL;
}

/* rules/source_target: options of each kind, and what they say of host, port and TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem/own.h"
#include "server/rules/source_target.h"

/* "host=db port=1": one option a word. */
static const char *value_in(void *ctx, const char *name)
{
	static char values[8][300];
	static unsigned next;
	size_t length = strlen(name);
	for (const char *at = ctx; at != NULL && *at != '\0'; at += strspn(at, " ")) {
		size_t size = strcspn(at, " ");
		if (strncmp(at, name, length) == 0 && at[length] == '=') {
			char *value = values[next++ % SL_COUNT(values)];
			(void)snprintf(value, sizeof(values[0]), "%.*s", (int)(size - length - 1),
				       at + length + 1);
			return value;
		}
		at += size;
	}
	return NULL;
}

enum { PLAIN, ONCE, POSTGRES, MYSQL, SMTP }; /* as SourceTls */
enum { NONE, CHAIN, HOST };                  /* as SourceVerify */

static const struct {
	const char *kind, *options;
	const char *host; /* NULL: it is refused */
	unsigned port;
	int tls, verify;
} cases[] = {
    {"postgres", "host=db.example.org", "db.example.org", 5432, POSTGRES, HOST},
    {"postgres", "host=db port=1 sslmode=disable", "db", 1, PLAIN, NONE},
    {"postgres", "host=db sslmode=prefer", "db", 5432, POSTGRES, NONE},
    {"postgres", "host=db sslmode=require", "db", 5432, POSTGRES, NONE},
    {"postgres", "host=db sslmode=verify-ca", "db", 5432, POSTGRES, CHAIN},
    {"postgres", "host=::1 sslmode=verify-full", "::1", 5432, POSTGRES, HOST},
    {"postgres", "host=fe80::1%lo", "fe80::1%lo", 5432, POSTGRES, HOST},
    {"postgres", "database=shop", NULL, 0, 0, 0},
    {"postgres", "host=/var/run/postgresql", NULL, 0, 0, 0},
    {"postgres", "host=a,b", NULL, 0, 0, 0},
    {"postgres", "host=db port=0", NULL, 0, 0, 0},
    {"postgres", "host=db port=65536", NULL, 0, 0, 0},
    {"postgres", "host=db port=5432x", NULL, 0, 0, 0},
    {"postgres", "host=db port=+5432", NULL, 0, 0, 0},
    {"postgres", "host=db sslmode=perhaps", NULL, 0, 0, 0},
    {"mysql", "host=db", "db", 3306, MYSQL, HOST},
    {"mysql", "host=db tls=false", "db", 3306, PLAIN, NONE},
    {"mongodb", "host=db", "db", 27017, ONCE, HOST},
    {"redis", "host=127.0.0.1 tls=false", "127.0.0.1", 6379, PLAIN, NONE},
    {"redis", "host=cache tls=true port=65535", "cache", 65535, ONCE, HOST},
    {"smtp", "host=mail", "mail", 587, SMTP, HOST},
    {"smtp", "host=mail tls=tls port=465", "mail", 465, ONCE, HOST},
    {"smtp", "host=mail tls=none", "mail", 587, PLAIN, NONE},
    {"s3", "bucket=b", "s3.us-east-1.amazonaws.com", 443, ONCE, HOST},
    {"s3", "region=eu-west-1", "s3.eu-west-1.amazonaws.com", 443, ONCE, HOST},
    {"s3", "region=../x", NULL, 0, 0, 0},
    {"s3", "endpoint=http://minio:9000/", "minio", 9000, PLAIN, NONE},
    {"rest", "url=https://api.example.org/v1?a=b:80@c", "api.example.org", 443, ONCE, HOST},
    {"rest", "url=https://user:word@api:8443", "api", 8443, ONCE, HOST},
    {"rest", "url=http://[::1]:80/x", "::1", 80, PLAIN, NONE},
    {"rest", "url=http://[::1", NULL, 0, 0, 0},
    {"rest", "url=http://[/]", NULL, 0, 0, 0},
    {"rest", "url=https://[::1]x", NULL, 0, 0, 0},
    {"rest", "url=https://", NULL, 0, 0, 0},
    {"rest", "url=https://:80", NULL, 0, 0, 0},
    {"rest", "url=https://a:", NULL, 0, 0, 0},
    {"rest", "url=https://a:80:81", NULL, 0, 0, 0},
    {"rest", "url=ftp://a", NULL, 0, 0, 0},
    {"graphql", "url=http://a", "a", 80, PLAIN, NONE},
    {"generic", "host=a port=9", "a", 9, PLAIN, NONE},
    {"generic", "host=a port=9 tls=true", "a", 9, ONCE, HOST},
    {"generic", "host=a", NULL, 0, 0, 0},
    {"generic", "host=a port=9 url=https://b", "b", 443, ONCE, HOST},
    {"generic", "words=x", NULL, 0, 0, 0},
};

static void test_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct source_target target;
		char options[300];
		(void)snprintf(options, sizeof(options), "%s", cases[i].options);
		const char *rule =
		    source_target_of(source_kind_of(cases[i].kind), value_in, options, &target);
		if ((rule == NULL) != (cases[i].host != NULL)) {
			fail_msg("%s %s: %s", cases[i].kind, options, rule != NULL ? rule : "fine");
		}
		if (rule == NULL &&
		    (strcmp(target.host, cases[i].host) != 0 || target.port != cases[i].port ||
		     (int)target.tls != cases[i].tls || (int)target.verify != cases[i].verify)) {
			fail_msg("%s %s: %s %u tls %d verify %d", cases[i].kind, options,
				 target.host, target.port, (int)target.tls, (int)target.verify);
		}
	}
}

static void test_a_server_without_tls_will_do_where_it_is_only_preferred(void **state)
{
	(void)state;
	struct source_target target;
	char prefer[] = "host=a sslmode=prefer", require[] = "host=a sslmode=require ca=PEM";
	assert_null(source_target_of(source_kind_of("postgres"), value_in, prefer, &target));
	assert_true(target.tls_optional);
	assert_string_equal(target.ca, "");
	assert_null(source_target_of(source_kind_of("postgres"), value_in, require, &target));
	assert_false(target.tls_optional);
	assert_string_equal(target.ca, "PEM");
}

static void test_hosts_have_an_end(void **state)
{
	(void)state;
	struct source_target target;
	char options[SOURCE_HOST_MAX + 7] = "host=";
	memset(options + 5, 'a', SOURCE_HOST_MAX + 1);
	assert_non_null(source_target_of(source_kind_of("redis"), value_in, options, &target));
	options[5 + SOURCE_HOST_MAX] = '\0';
	assert_null(source_target_of(source_kind_of("redis"), value_in, options, &target));
}

/* What is needed is an option of the kind, and no secret one: it goes to agents. */
static void test_nothing_secret_is_needed(void **state)
{
	(void)state;
	for (size_t k = 0; k < source_kind_count; k++) {
		const char *names[SOURCE_NEEDED_MAX];
		size_t count = source_target_needs(&source_kinds[k], names);
		assert_true(count > 0);
		for (size_t i = 0; i < count; i++) {
			const struct source_option *option =
			    source_option_of(&source_kinds[k], names[i]);
			assert_true(option != NULL ? !option->secret : source_kinds[k].any);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_targets),
	    cmocka_unit_test(test_a_server_without_tls_will_do_where_it_is_only_preferred),
	    cmocka_unit_test(test_hosts_have_an_end),
	    cmocka_unit_test(test_nothing_secret_is_needed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Logins on disk: written, read back, refused when they are not whole or not alone; in use, locked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/tls/tls.h"
#include "client/cli/context.h"
#include "client/cli/secret_input.h"
#include "tests/lib/tmpdir.h"

enum { HOUR_MS = 3600 * 1000 };
static const uint64_t t0 = UINT64_C(1800000000000);

static int setup(void **state)
{
	char *dir = tmpdir_new();
	assert_true(sl_crypto_init());
	assert_int_equal(setenv("XDG_CONFIG_HOME", dir, 1), 0);
	assert_int_equal(unsetenv("SLUICE_SERVER"), 0);
	assert_int_equal(unsetenv("SLUICE_WORKSPACE"), 0);
	assert_int_equal(unsetenv("SLUICE_CONTEXT"), 0);
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	tmpdir_free(*state);
	return 0;
}

static char *secret(char *text)
{
	char *copy = sl_secret_text(text, strlen(text));
	free(text);
	return copy;
}

/* Of a CA of its own, from t0 on for an hour. */
static struct login_context *login_new(const char *name)
{
	struct login_context *login = NULL;
	struct tls_key *ca_key = NULL, *key = NULL;
	char *ca = NULL, *cert = NULL;
	assert_int_equal(login_context_new(name, &login, NULL), SL_OK);
	assert_int_equal(tls_key_new(&ca_key, NULL), SL_OK);
	assert_int_equal(tls_key_new(&key, NULL), SL_OK);
	assert_int_equal(tls_ca_new(ca_key, "test", t0, t0 + 2 * HOUR_MS, &ca, NULL), SL_OK);
	const struct tls_spec spec = {.use = TLS_CLIENT,
				      .common_name = "alice",
				      .uri = "spiffe://sluice/principal/pri_a/idn_a",
				      .not_before_ms = t0,
				      .not_after_ms = t0 + HOUR_MS};
	assert_int_equal(tls_issue(sl_bytes_text(ca), ca_key, &spec, key, &cert, NULL), SL_OK);
	assert_int_equal(tls_key_pem(key, &login->tls.key, NULL), SL_OK);
	login->tls.ca = secret(ca);
	login->tls.cert = secret(cert);
	login->server = strdup("s:7443");
	login->door = strdup("s:7444");
	login->workspace = strdup("team");
	login->principal = strdup("alice");
	login->identity_id = strdup("idn_a");
	login->taken_ms = t0;
	tls_key_free(ca_key);
	tls_key_free(key);
	assert_int_equal(login_context_check(login, NULL), SL_OK);
	return login;
}

static void keep(struct login_context *login)
{
	SL_AUTO(sl_fd_auto) int lock = -1;
	assert_int_equal(context_lock(login->name, &lock, NULL), SL_OK);
	assert_int_equal(context_save(login, NULL), SL_OK);
}

static void test_contexts_are_read_as_they_were_written(void **state)
{
	(void)state;
	SL_AUTO(login_context_free_auto) struct login_context *in = login_new("prod-1");
	SL_AUTO(login_context_free_auto) struct login_context *out = NULL;
	SL_AUTO(login_context_free_auto) struct login_context *again = NULL;
	keep(in);
	assert_int_equal(context_load("prod-1", &out, NULL), SL_OK);
	assert_string_equal(out->server, "s:7443");
	assert_string_equal(out->tls.key, in->tls.key);
	assert_string_equal(out->tls.cert, in->tls.cert);
	assert_string_equal(out->identity_id, "idn_a");
	assert_false(out->asked);
	assert_int_equal(out->not_after_ms, t0 + HOUR_MS);
	assert_false(login_context_is_due(out, t0 + HOUR_MS / 2 - 1));
	assert_true(login_context_is_due(out, t0 + HOUR_MS / 2));
	assert_false(login_context_is_over(out, t0 + HOUR_MS - 1));
	assert_true(login_context_is_over(out, t0 + HOUR_MS));
	out->asked = true;
	memset(out->nonce, 0xab, sizeof(out->nonce));
	out->renewals = 7;
	assert_int_equal(context_save_notes(out, NULL), SL_OK);
	assert_int_equal(context_load("prod-1", &again, NULL), SL_OK);
	assert_true(again->asked && again->renewals == 7);
	assert_memory_equal(again->nonce, out->nonce, sizeof(out->nonce));
}

static void test_contexts_names_are_names(void **state)
{
	static const char *const bad[] = {
	    "",    ".",   "..",
	    ".x",  "a/b", "A",
	    "a b", "a\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		struct login_context *login = NULL;
		assert_int_equal(context_load(bad[i], &login, &err), SL_INVALID_ARGUMENT);
		assert_int_equal(context_use(bad[i], NULL), SL_INVALID_ARGUMENT);
		assert_int_equal(context_remove(bad[i], NULL), SL_INVALID_ARGUMENT);
	}
	struct login_context *login = NULL;
	assert_int_equal(context_load("none", &login, NULL), SL_NOT_FOUND);
	assert_int_equal(context_remove("none", NULL), SL_NOT_FOUND);
}

/* What was done to a file of a good context, and the word that names it. */
static void spoil(const char *folder, const char *name, const char *text, mode_t mode)
{
	char path[600];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (text != NULL) {
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
	}
	assert_int_equal(chmod(path, mode), 0);
}

static void test_contexts_that_are_not_whole_are_refused_by_name(void **state)
{
	static const struct {
		const char *file, *text;
		mode_t mode;
		const char *says;
	} rows[] = {
	    {"context.json", "{}", 0600, "'server' is missing"},
	    {"context.json", "{\"more\": 1}", 0600, "more"},
	    {"context.json", "[", 0600, "context.json"},
	    {"key.pem", "no key", 0600, "key"},
	    {"key.pem", NULL, 0640, "key.pem"},
	    {"cert.pem", "", 0600, "certificate"},
	    {"ca.pem", NULL, 0604, "ca.pem"},
	};
	(void)state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		SL_AUTO(login_context_free_auto) struct login_context *in = login_new("spoilt");
		struct login_context *out = NULL;
		keep(in);
		spoil(in->folder, rows[i].file, rows[i].text, rows[i].mode);
		assert_int_equal(context_load("spoilt", &out, &err), SL_FAILED_PRECONDITION);
		if (strstr(err.msg, "context 'spoilt'") == NULL ||
		    strstr(err.msg, rows[i].says) == NULL) {
			fail_msg("%s: %s", rows[i].file, err.msg);
		}
	}
	/* Of two logins: the key of the one, the certificate of the other. */
	SL_AUTO(login_context_free_auto) struct login_context *one = login_new("spoilt");
	SL_AUTO(login_context_free_auto) struct login_context *two = login_new("spoilt");
	struct login_context *out = NULL;
	keep(one);
	spoil(one->folder, "key.pem", two->tls.key, 0600);
	assert_int_equal(context_load("spoilt", &out, NULL), SL_FAILED_PRECONDITION);
}

static void test_contexts_in_use(void **state)
{
	SL_AUTO(login_context_free_auto) struct login_context *a = login_new("a");
	SL_AUTO(login_context_free_auto) struct login_context *b = login_new("b");
	struct context_names names;
	char *current = NULL;
	(void)state;
	assert_int_equal(context_names(&names, NULL), SL_OK);
	assert_int_equal(names.count, 0);
	keep(b);
	keep(a);
	assert_int_equal(context_current(&current, NULL), SL_OK);
	assert_null(current);
	assert_int_equal(context_use("a", NULL), SL_OK);
	assert_int_equal(context_use("b", NULL), SL_OK);
	assert_int_equal(context_current(&current, NULL), SL_OK);
	assert_string_equal(current, "b");
	free(current);
	assert_int_equal(context_names(&names, NULL), SL_OK);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.items[0], "a");
	context_names_fini(&names);
	assert_int_equal(context_remove("b", NULL), SL_OK);
	assert_int_equal(context_current(&current, NULL), SL_OK);
	assert_null(current);
}

static void expect(const struct context_wish *wish, const char *server, const char *workspace,
		   const char *login)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(context_fini) struct context found = {0};
	assert_int_equal(context_find(wish, &found, &err), SL_OK);
	assert_string_equal(found.server, server);
	assert_string_equal(found.workspace, workspace);
	assert_int_equal(found.login != NULL, login != NULL);
	if (login != NULL) {
		assert_string_equal(found.login->name, login);
	}
}

static void test_contexts_and_what_commands_are_about(void **state)
{
	SL_AUTO(login_context_free_auto) struct login_context *a = login_new("a");
	SL_AUTO(login_context_free_auto) struct login_context *b = login_new("b");
	SL_AUTO(context_fini) struct context none = {0};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	(void)state;
	keep(a);
	keep(b);
	assert_int_equal(context_use("a", NULL), SL_OK);
	expect(&(struct context_wish){.server = ""}, "s:7443", "team", "a");
	expect(&(struct context_wish){.workspace = "w"}, "s:7443", "w", "a");
	expect(&(struct context_wish){.context = "b"}, "s:7443", "team", "b");
	expect(&(struct context_wish){.context = "b", .server = "tunnel:1"}, "tunnel:1", "team",
	       "b");
	expect(&(struct context_wish){.server = "s:7443"}, "s:7443", "team", "a");
	expect(&(struct context_wish){.server = "other:1"}, "other:1", "", NULL);
	expect(&(struct context_wish){.own_tls = true}, CONTEXT_SERVER_DEFAULT, "", NULL);
	assert_int_equal(setenv("SLUICE_CONTEXT", "b", 1), 0);
	expect(&(struct context_wish){.server = ""}, "s:7443", "team", "b");
	expect(&(struct context_wish){.context = "a"}, "s:7443", "team", "a");
	assert_int_equal(context_find(&(struct context_wish){.context = "c"}, &none, &err),
			 SL_INVALID_ARGUMENT);
}

static void test_contexts_are_locked(void **state)
{
	SL_AUTO(sl_fd_auto) int lock = -1;
	int told[2];
	char byte = 0;
	(void)state;
	assert_int_equal(context_lock("a", &lock, NULL), SL_OK);
	assert_int_equal(pipe(told), 0);
	pid_t child = fork();
	if (child == 0) {
		int mine = -1;
		(void)close(lock);
		_exit(context_lock("a", &mine, NULL) == SL_OK && write(told[1], "x", 1) == 1 ? 0
											     : 1);
	}
	(void)close(told[1]);
	(void)usleep(100000);
	int status = 0;
	assert_int_equal(waitpid(child, &status, WNOHANG), 0); /* it waits */
	(void)close(lock);
	lock = -1;
	assert_int_equal(read(told[0], &byte, 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	(void)close(told[0]);
}

static void test_secrets_of_files_lose_their_space(void **state)
{
	char path[600];
	char *text = NULL;
	(void)snprintf(path, sizeof(path), "%s/secret", (const char *)*state);
	static const struct {
		const char *in, *out;
	} rows[] = {{"", ""}, {" \n\t", ""}, {"\n a b \r\n", "a b"}, {"x", "x"}};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		spoil(*state, "secret", rows[i].in, 0600);
		assert_int_equal(secret_input(path, "it", &text, NULL), SL_OK);
		assert_string_equal(text, rows[i].out);
		sl_secret_free(text);
	}
	assert_int_equal(truncate(path, SECRET_INPUT_MAX + 1), 0);
	assert_int_equal(secret_input(path, "it", &text, NULL), SL_INVALID_ARGUMENT);
	assert_int_equal(secret_input("/nowhere/at/all", "it", &text, NULL), SL_INVALID_ARGUMENT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_contexts_are_read_as_they_were_written),
	    CASE(test_contexts_names_are_names),
	    CASE(test_contexts_that_are_not_whole_are_refused_by_name),
	    CASE(test_contexts_in_use),
	    CASE(test_contexts_and_what_commands_are_about),
	    CASE(test_contexts_are_locked),
	    CASE(test_secrets_of_files_lose_their_space),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The key folder: made whole, refused when others may reach it, renewed, replaced while in use. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "server/ca/ca.h"
#include "server/ca/export.h"
#include "server/ca/folder.h"
#include "server/ca/make.h"
#include "tests/lib/certs.h"
#include "tests/lib/tmpdir.h"

#define DAY_MS (24ULL * 3600 * 1000)

struct fixture {
	char *data;
	uint64_t now_ms, mono_ms;
	struct ca *ca;
	struct tls_key *key;
};

static struct ca_make wish_of(const struct fixture *f)
{
	static const char *const names[] = {"sluice.example.org", "127.0.0.1"};
	return (struct ca_make){
	    .data = f->data,
	    .names = names,
	    .name_count = SL_COUNT(names),
	    .master_key = "",
	    .now_ms = f->now_ms,
	};
}

static int setup(void **state)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(ca_draft_free_auto) struct ca_draft *draft = NULL;
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->data = tmpdir_new();
	f->now_ms = sl_clock_unix_ms() / 1000 * 1000;
	const struct ca_make wish = wish_of(f);
	assert_int_equal(ca_draft_new(&wish, &draft, &err), SL_OK);
	assert_int_equal(ca_draft_keep(draft, &err), SL_OK);
	assert_int_equal(tls_key_new(&f->key, &err), SL_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	ca_free(f->ca);
	tls_key_free(f->key);
	tmpdir_free(f->data);
	free(f);
	return 0;
}

static sl_code try_open(struct fixture *f, struct sl_err *err)
{
	const struct ca_options options = {.data = f->data};
	ca_free(SL_TAKE(f->ca));
	return ca_open(&options, f->now_ms, &f->ca, err);
}

static void open_ca(struct fixture *f)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (try_open(f, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
}

static char *path_of(const struct fixture *f, const char *name)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/keys/%s", f->data, name) > 0);
	return path;
}

static void put(const struct fixture *f, const char *name, const char *text)
{
	SL_AUTO(sl_free_auto) char *path = path_of(f, name);
	(void)unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static char *get(const struct fixture *f, const char *name)
{
	SL_AUTO(sl_free_auto) char *path = path_of(f, name);
	char *text = calloc(1, CA_FILE_MAX);
	FILE *file = fopen(path, "re");
	assert_non_null(text);
	assert_non_null(file);
	assert_true(fread(text, 1, CA_FILE_MAX - 1, file) > 0);
	(void)fclose(file);
	return text;
}

/* What the main port would show. */
static void copy_cert(void *use_ctx, const struct rpc_certificates *certificates)
{
	*(char **)use_ctx = strdup(certificates->cert_pem);
}

static char *in_use(const struct rpc_tls *tls)
{
	char *pem = NULL;
	tls->certificates(tls->ctx, copy_cert, &pem);
	assert_non_null(pem);
	return pem;
}

/* As many looks as a change needs to be taken for finished. */
static void tick(struct fixture *f)
{
	for (int i = 0; i < 3; i++) {
		f->mono_ms += 1000;
		ca_tick(f->ca, f->now_ms, f->mono_ms);
	}
}

/* --- made ------------------------------------------------------------------------------------ */

static void test_ca_folder_is_whole_and_private(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"ca.pem",   "ca.key",   "server.pem", "server.key",
					    "door.pem", "door.key", "master.key", "token.key"};
	struct stat st;
	SL_AUTO(sl_free_auto) char *folder = path_of(f, "");
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		SL_AUTO(sl_free_auto) char *path = path_of(f, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	open_ca(f);
	SL_AUTO(sl_free_auto) char *server = in_use(ca_tls(f->ca));
	SL_AUTO(sl_free_auto) char *door = in_use(ca_door_tls(f->ca));
	assert_string_not_equal(server, door);
	static const char *const hosts[] = {"sluice.example.org", "127.0.0.1", "::1", "localhost"};
	for (size_t i = 0; i < SL_COUNT(hosts); i++) {
		assert_true(tls_cert_is_for(sl_bytes_text(server), hosts[i]));
		assert_true(tls_cert_is_for(sl_bytes_text(door), hosts[i]));
	}
	SL_AUTO(sl_free_auto) char *token_key = get(f, "token.key");
	assert_memory_equal(ca_token_key(f->ca), token_key, sizeof(struct sl_token_key));
}

static void test_ca_keys_are_made_once(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct ca_draft *draft = NULL;
	SL_AUTO(sl_free_auto) char *before = get(f, "ca.key");
	const struct ca_make wish = wish_of(f);
	assert_int_equal(ca_draft_new(&wish, &draft, &err), SL_ALREADY_EXISTS);
	SL_AUTO(sl_free_auto) char *after = get(f, "ca.key");
	assert_string_equal(before, after);
}

static void test_ca_draft_that_is_not_kept_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct ca_draft *draft = NULL;
	SL_AUTO(sl_free_auto) char *data = NULL;
	assert_true(asprintf(&data, "%s/other", f->data) > 0);
	struct ca_make wish = wish_of(f);
	wish.data = data;
	assert_int_equal(ca_draft_new(&wish, &draft, &err), SL_OK);
	ca_draft_free(draft);
	assert_int_equal(rmdir(data), 0); /* empty */
	const char *const bad[] = {"a,DNS:b"};
	wish.names = bad;
	wish.name_count = 1;
	assert_int_equal(ca_draft_new(&wish, &draft, &err), SL_INVALID_ARGUMENT);
	assert_int_equal(rmdir(data), 0);
}

static void test_ca_master_key_may_lie_elsewhere(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) char *made = path_of(f, "master.key");
	assert_int_equal(ca_master_key_check(made, &err), SL_OK);
	SL_AUTO(sl_free_auto) char *named = ca_master_key_elsewhere(made);
	assert_string_equal(named, made);
	assert_null(ca_master_key_elsewhere(""));
	/* A credential of systemd's. */
	SL_AUTO(sl_free_auto) char *text = get(f, "master.key");
	put(f, "sluice-master-key", text);
	SL_AUTO(sl_free_auto) char *folder = path_of(f, "");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
	SL_AUTO(sl_free_auto) char *credential = ca_master_key_elsewhere("");
	assert_non_null(credential);
	assert_int_equal(ca_master_key_check(credential, &err), SL_OK);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	put(f, "master.key", "c2hvcnQ=\n");
	assert_int_equal(ca_master_key_check(made, &err), SL_FAILED_PRECONDITION);
	put(f, "master.key", text);
	assert_int_equal(chmod(made, 0640), 0);
	assert_int_equal(ca_master_key_check(made, &err), SL_FAILED_PRECONDITION);
}

/* --- refused --- */

static void refuse(struct fixture *f, const char *says)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	assert_int_equal(try_open(f, &err), SL_FAILED_PRECONDITION);
	assert_null(f->ca);
	if (strstr(err.msg, says) == NULL) {
		fail_msg("'%s' does not say '%s'", err.msg, says);
	}
}

static void test_ca_refuses_what_others_may_reach(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"", "ca.key", "server.key", "token.key"};
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		SL_AUTO(sl_free_auto) char *path = path_of(f, names[i]);
		struct stat st;
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(chmod(path, st.st_mode | 040), 0);
		refuse(f, "must be open to its owner only");
		assert_int_equal(chmod(path, st.st_mode), 0);
	}
	open_ca(f);
}

static void test_ca_refuses_what_does_not_fit_together(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_free_auto) char *server = get(f, "server.pem");
	SL_AUTO(sl_free_auto) char *door_key = get(f, "door.key");
	SL_AUTO(sl_free_auto) char *server_key = get(f, "server.key");
	put(f, "server.key", door_key);
	refuse(f, "'server.key' is not the key of 'server.pem'");
	put(f, "server.key", "nonsense");
	refuse(f, "'server.key': cannot read");
	put(f, "server.key", server_key);
	SL_AUTO(sl_free_auto) char *ca = get(f, "ca.pem");
	SL_AUTO(sl_free_auto) char *ca_key = get(f, "ca.key");
	put(f, "ca.pem", server);
	put(f, "ca.key", server_key);
	refuse(f, "'ca.pem' is not made for signing");
	put(f, "ca.pem", ca);
	put(f, "ca.key", ca_key);
	put(f, "token.key", "short");
	refuse(f, "'token.key' must have 32 bytes");
	SL_AUTO(sl_free_auto) char *path = path_of(f, "door.pem");
	assert_int_equal(unlink(path), 0);
	refuse(f, "door.pem");
}

static void test_ca_without_a_folder_is_another_answer(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct ca_options options = {.data = "/nowhere"};
	assert_int_equal(ca_open(&options, f->now_ms, &f->ca, &err), SL_NOT_FOUND);
}

/* --- issued --- */

static struct ca_identity agent(void)
{
	struct ca_identity identity = {.kind = CA_AGENT};
	struct sl_id subject = sl_id_new("ins"), id = sl_id_new("idn");
	memcpy(identity.subject, subject.text, SL_ID_SIZE);
	memcpy(identity.identity, id.text, SL_ID_SIZE);
	return identity;
}

static void test_ca_issues_what_its_own_handshake_admits(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	open_ca(f);
	const struct ca_identity identity = agent();
	SL_AUTO(sl_free_auto) char *pem = NULL;
	assert_int_equal(ca_issue(f->ca, &identity, f->key, NULL,
				  (struct ca_life){f->now_ms, f->now_ms + DAY_MS}, &pem, &err),
			 SL_OK);
	assert_int_equal(ca_check(f->ca, sl_bytes_text(pem), &err), SL_OK);
	struct tls_cert cert;
	struct ca_identity read;
	assert_int_equal(tls_cert_read(sl_bytes_text(pem), &cert, &err), SL_OK);
	assert_int_equal(cert.not_after_ms, f->now_ms + DAY_MS);
	assert_true(cert.not_before_ms < f->now_ms);
	assert_true(ca_identity_parse(cert.uri, &read));
	assert_int_equal(read.kind, CA_AGENT);
	assert_string_equal(read.subject, identity.subject);
	assert_string_equal(read.identity, identity.identity);
	const struct rpc_tls *tls = ca_tls(f->ca);
	assert_true(tls->admit(tls->ctx, &cert));
	sl_text_copy(cert.uri, sizeof(cert.uri), "spiffe://sluice/agent/ins_a/idn_b");
	assert_false(tls->admit(tls->ctx, &cert));
	/* Not beyond the CA's own end. */
	SL_AUTO(sl_free_auto) char *ca = NULL;
	SL_AUTO(sl_free_auto) char *lasting = NULL;
	struct tls_cert of_ca;
	assert_int_equal(ca_trust(f->ca, &ca, &err), SL_OK);
	assert_int_equal(tls_cert_read(sl_bytes_text(ca), &of_ca, &err), SL_OK);
	assert_int_equal(ca_issue(f->ca, &identity, f->key, NULL,
				  (struct ca_life){f->now_ms, f->now_ms + (20000 * DAY_MS)},
				  &lasting, &err),
			 SL_OK);
	assert_int_equal(tls_cert_read(sl_bytes_text(lasting), &cert, &err), SL_OK);
	assert_int_equal(cert.not_after_ms, of_ca.not_after_ms);
	/* What is not a name of an identity is not signed. */
	struct ca_identity bad = identity;
	bad.subject[4] = '/';
	char *never = NULL;
	assert_int_equal(ca_issue(f->ca, &bad, f->key, NULL,
				  (struct ca_life){f->now_ms, f->now_ms + DAY_MS}, &never, &err),
			 SL_INTERNAL);
}

static void test_ca_check_refuses_foreign_and_server_certificates(void **state)
{
	struct fixture *f = *state;
	open_ca(f);
	const struct certs_shape shape = {.uris = {"spiffe://sluice/agent/x/y"},
					  .eku = "clientAuth"};
	SL_AUTO(sl_free_auto) char *key = certs_key();
	SL_AUTO(sl_free_auto) char *self = certs_issue(&shape, key, NULL, NULL);
	SL_AUTO(sl_free_auto) char *server = get(f, "server.pem");
	assert_int_equal(ca_check(f->ca, sl_bytes_text(self), NULL), SL_FAILED_PRECONDITION);
	assert_int_equal(ca_check(f->ca, sl_bytes_text(server), NULL), SL_FAILED_PRECONDITION);
}

static void test_ca_identity_has_one_form(void **state)
{
	(void)state;
#define INS "ins_aaaaaaaaaaaaaaaaaaaa"
#define PRI "pri_aaaaaaaaaaaaaaaaaaaa"
#define IDN "idn_bbbbbbbbbbbbbbbbbbbb"
	static const struct {
		const char *uri;
		bool good;
	} rows[] = {
	    {"spiffe://sluice/agent/" INS "/" IDN, true},
	    {"spiffe://sluice/principal/" PRI "/" IDN, true},
	    {"spiffe://sluice/agent/" PRI "/" IDN, false},
	    {"spiffe://sluice/principal/" INS "/" IDN, false},
	    {"spiffe://sluice/agent/" INS "/" IDN "/", false},
	    {"spiffe://sluice/agent/" INS "/" IDN ",URI:x", false},
	    {"spiffe://sluice/agent/" INS "//" IDN, false},
	    {"spiffe://sluice/agent/" INS "/" INS, false},
	    {"spiffe://sluice/agent/" INS, false},
	    {"spiffe://sluice/agent/" INS "x/" IDN, false},
	    {"spiffe://sluice/agents/" INS "/" IDN, false},
	    {"spiffe://Sluice/agent/" INS "/" IDN, false},
	    {"spiffe://other/agent/" INS "/" IDN, false},
	    {"", false},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		struct ca_identity identity;
		char uri[TLS_URI_MAX + 1];
		assert_int_equal(ca_identity_parse(rows[i].uri, &identity), rows[i].good);
		if (rows[i].good) {
			assert_string_equal(ca_identity_uri(uri, &identity), rows[i].uri);
		}
	}
}

/* --- renewed, replaced --- */

static void test_ca_renews_at_a_third_of_life(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) char *first = get(f, "server.pem");
	f->now_ms += 59 * DAY_MS;
	open_ca(f);
	SL_AUTO(sl_free_auto) char *early = in_use(ca_tls(f->ca));
	assert_string_equal(early, first);
	unsigned generation = ca_tls(f->ca)->generation(ca_tls(f->ca)->ctx);
	f->now_ms += 2 * DAY_MS;
	tick(f);
	SL_AUTO(sl_free_auto) char *renewed = in_use(ca_tls(f->ca));
	SL_AUTO(sl_free_auto) char *door = in_use(ca_door_tls(f->ca));
	assert_string_not_equal(renewed, first);
	assert_true(ca_tls(f->ca)->generation(ca_tls(f->ca)->ctx) != generation);
	const char *const pems[] = {renewed, door};
	for (size_t i = 0; i < SL_COUNT(pems); i++) {
		struct tls_cert cert;
		assert_int_equal(tls_cert_read(sl_bytes_text(pems[i]), &cert, &err), SL_OK);
		assert_int_equal(cert.not_after_ms, f->now_ms + (90 * DAY_MS));
		assert_true(tls_cert_is_for(sl_bytes_text(pems[i]), "sluice.example.org"));
		assert_true(tls_cert_is_for(sl_bytes_text(pems[i]), "::1"));
	}
	/* It is on disk, private, and the next start has it. */
	SL_AUTO(sl_free_auto) char *stored = get(f, "server.pem");
	assert_string_equal(stored, renewed);
	open_ca(f);
	/* One that was off for long starts with a good one. */
	f->now_ms += 400 * DAY_MS;
	open_ca(f);
	struct tls_cert cert;
	SL_AUTO(sl_free_auto) char *late = in_use(ca_tls(f->ca));
	assert_int_equal(tls_cert_read(sl_bytes_text(late), &cert, &err), SL_OK);
	assert_true(cert.not_after_ms > f->now_ms);
}

static void assert_good_now(struct fixture *f)
{
	struct tls_cert cert;
	SL_AUTO(sl_free_auto) char *pem = in_use(ca_tls(f->ca));
	assert_int_equal(tls_cert_read(sl_bytes_text(pem), &cert, NULL), SL_OK);
	assert_true(cert.not_before_ms <= f->now_ms && f->now_ms < cert.not_after_ms);
}

static void test_ca_is_well_again_when_the_clock_is(void **state)
{
	struct fixture *f = *state;
	open_ca(f);
	const uint64_t now_ms = f->now_ms;
	/* What was made in a wrong future is not valid yet. */
	f->now_ms = now_ms + (200 * DAY_MS);
	tick(f);
	assert_good_now(f);
	f->now_ms = now_ms;
	tick(f);
	assert_good_now(f);
	/* Beyond the CA's own end nothing can be made; that is not waited for. */
	f->now_ms = now_ms + (200 * DAY_MS);
	tick(f);
	f->now_ms = now_ms + (3653 * DAY_MS);
	tick(f);
	f->now_ms = now_ms;
	tick(f);
	assert_good_now(f);
	f->now_ms = now_ms - (3653 * DAY_MS);
	tick(f);
	f->now_ms = now_ms;
	tick(f);
	assert_good_now(f);
}

static void test_ca_takes_up_replaced_files_and_keeps_the_old_for_broken_ones(void **state)
{
	struct fixture *f = *state;
	open_ca(f);
	SL_AUTO(sl_free_auto) char *first = in_use(ca_tls(f->ca));
	/* Of another CA, as a company has one. */
	const struct certs_shape ca_shape = {.common_name = "Company", .is_ca = true};
	const struct certs_shape shape = {.dns = "sluice.example.org", .eku = "serverAuth"};
	SL_AUTO(sl_free_auto) char *ca_key = certs_key();
	SL_AUTO(sl_free_auto) char *ca = certs_issue(&ca_shape, ca_key, NULL, NULL);
	SL_AUTO(sl_free_auto) char *key = certs_key();
	SL_AUTO(sl_free_auto) char *cert = certs_issue(&shape, key, ca, ca_key);
	put(f, "server.pem", cert); /* the key is still the old one's */
	tick(f);
	SL_AUTO(sl_free_auto) char *half = in_use(ca_tls(f->ca));
	assert_string_equal(half, first);
	put(f, "server.key", key);
	tick(f);
	SL_AUTO(sl_free_auto) char *replaced = in_use(ca_tls(f->ca));
	assert_string_equal(replaced, cert);
	put(f, "server.pem", "nonsense");
	tick(f);
	SL_AUTO(sl_free_auto) char *still = in_use(ca_tls(f->ca));
	assert_string_equal(still, cert);
	/* Somebody else's certificate is somebody else's to renew. */
	put(f, "server.pem", cert);
	f->now_ms += 400 * DAY_MS;
	tick(f);
	SL_AUTO(sl_free_auto) char *expired = in_use(ca_tls(f->ca));
	assert_string_equal(expired, cert);
}

/* --- exported --- */

static void test_ca_export_is_private_and_whole(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) char *file = NULL;
	SL_AUTO(sl_free_auto) char *command = NULL;
	size_t count = 0;
	struct stat st;
	assert_true(asprintf(&file, "%s/keys.tar", f->data) > 0);
	assert_int_equal(ca_export(f->data, file, f->now_ms, &count, &err), SL_OK);
	assert_int_equal(count, 8);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(ca_export(f->data, file, f->now_ms, &count, &err), SL_FAILED_PRECONDITION);
	assert_int_equal(stat(file, &st), 0); /* still there */
	assert_true(asprintf(&command,
			     "mkdir %s/back && tar -xpf %s -C %s/back && diff -r %s/keys "
			     "%s/back/keys",
			     f->data, file, f->data, f->data, f->data) > 0);
	assert_int_equal(system(command), 0);
	assert_int_equal(ca_export("/nowhere", file, f->now_ms, &count, &err), SL_NOT_FOUND);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_FIXTURE(test_ca_folder_is_whole_and_private),
	    WITH_FIXTURE(test_ca_keys_are_made_once),
	    WITH_FIXTURE(test_ca_draft_that_is_not_kept_leaves_nothing),
	    WITH_FIXTURE(test_ca_master_key_may_lie_elsewhere),
	    WITH_FIXTURE(test_ca_refuses_what_others_may_reach),
	    WITH_FIXTURE(test_ca_refuses_what_does_not_fit_together),
	    WITH_FIXTURE(test_ca_without_a_folder_is_another_answer),
	    WITH_FIXTURE(test_ca_issues_what_its_own_handshake_admits),
	    WITH_FIXTURE(test_ca_check_refuses_foreign_and_server_certificates),
	    WITH_FIXTURE(test_ca_identity_has_one_form),
	    WITH_FIXTURE(test_ca_renews_at_a_third_of_life),
	    WITH_FIXTURE(test_ca_is_well_again_when_the_clock_is),
	    WITH_FIXTURE(test_ca_takes_up_replaced_files_and_keeps_the_old_for_broken_ones),
	    WITH_FIXTURE(test_ca_export_is_private_and_whole),
	};
	if (!sl_crypto_init()) {
		return EXIT_FAILURE;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

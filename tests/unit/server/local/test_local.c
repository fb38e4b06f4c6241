/* DIR/admin.sock, over a real store and real keys: who asks gets a token that is good, in a file
 * that says where it is good; strangers' words get nothing, and keep nobody else waiting for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "server/ca/make.h"
#include "server/local/local.h"
#include "server/records/bootstrap.h"
#include "server/records/principals.h"
#include "tests/lib/tmpdir.h"

struct fixture {
	char *data;
	struct ca *ca;
	struct store *store;
	struct local *local;
	struct local_options options;
	struct sl_err err;
};

static void make_keys(struct fixture *f)
{
	static const char *const names[] = {"127.0.0.1"};
	SL_AUTO(ca_draft_free_auto) struct ca_draft *draft = NULL;
	const uint64_t now_ms = sl_clock_unix_ms();
	const struct ca_make wish = {
	    .data = f->data, .names = names, .name_count = 1, .master_key = "", .now_ms = now_ms};
	const struct ca_options options = {.data = f->data};
	assert_int_equal(ca_draft_new(&wish, &draft, &f->err), SL_OK);
	assert_int_equal(ca_draft_keep(draft, &f->err), SL_OK);
	assert_int_equal(ca_open(&options, now_ms, &f->ca, &f->err), SL_OK);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_true(sl_crypto_init());
	f->err = (struct sl_err)SL_ERR_INIT;
	f->data = tmpdir_new();
	make_keys(f);
	const struct store_options store = {.path = f->data,
					    .map_bytes = 16 << 20,
					    .queue_max = 64,
					    .tables = record_table_names,
					    .table_count = TABLE_COUNT};
	assert_int_equal(store_open(&store, &f->store, &f->err), SL_OK);
	assert_int_equal(records_bootstrap(f->store, sl_clock_unix_ms(), &f->err), SL_OK);
	f->options = (struct local_options){
	    .data = f->data,
	    .store = f->store,
	    .ca = f->ca,
	    .server = {.advertised = "", .listen = "0.0.0.0:0", .port = 7443},
	    .door = {.advertised = "door.example.org:443", .listen = "0.0.0.0:0", .port = 7444},
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	local_free(f->local);
	store_free(f->store);
	ca_free(f->ca);
	sl_err_clear(&f->err);
	tmpdir_free(f->data);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	if (local_new(&f->options, &f->local, &f->err) != SL_OK) {
		fail_msg("%s", f->err.msg);
	}
}

/* A connection that says nothing yet. */
static int dial(const struct fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int folder = open(f->data, O_PATH | O_DIRECTORY | O_CLOEXEC); /* of any length */
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/admin.sock",
		       folder);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(folder);
	return fd;
}

static bool logs_in(const struct fixture *f, const char *token, const char **ret_name,
		    struct sl_arena *arena)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct access_token_login login = {.token = NULL};
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, &err), SL_OK);
	sl_code code = access_token_login(view, arena, ca_token_key(f->ca), token,
					  sl_clock_unix_ms(), &login, &err);
	*ret_name = code == SL_OK ? sl_arena_strdup(arena, login.principal->name) : "";
	store_view_end(view);
	return code == SL_OK;
}

static void test_local_hands_out_a_token_that_is_good(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(login_file_fini) struct login_file file = {0};
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	SL_AUTO(sl_free_auto) char *trusted = NULL;
	const char *name = "";
	sl_arena_init(&arena, 0);
	start(f);
	assert_int_equal(local_ask(f->data, &file, &f->err), SL_OK);
	assert_string_equal(file.server, "127.0.0.1:7443"); /* who listens everywhere: here */
	assert_string_equal(file.door, "door.example.org:443");
	assert_int_equal(ca_trust(f->ca, &trusted, &f->err), SL_OK);
	assert_string_equal(file.ca, trusted);
	assert_true(logs_in(f, file.token, &name, &arena));
	assert_string_equal(name, "admin");
	file.token[strlen(file.token) - 1] ^= 1;
	assert_false(logs_in(f, file.token, &name, &arena));
}

static void test_local_says_where_ports_are(void **state)
{
	static const struct {
		struct local_port port;
		const char *want;
	} rows[] = {
	    {{"", "127.0.0.1:0", 40001}, "127.0.0.1:40001"},
	    {{"", "[::1]:7443", 7443}, "[::1]:7443"},
	    {{"", "[::]:7443", 7443}, "127.0.0.1:7443"},
	    {{"", ":7443", 7443}, "127.0.0.1:7443"},
	    {{"", "sluice.example.org:7443", 7443}, "sluice.example.org:7443"},
	    {{"sluice.example.org:443", "0.0.0.0:7443", 7443}, "sluice.example.org:443"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(login_file_fini) struct login_file file = {0};
		f->options.server = rows[i].port;
		start(f);
		assert_int_equal(local_ask(f->data, &file, &f->err), SL_OK);
		assert_string_equal(file.server, rows[i].want);
		local_free(SL_TAKE(f->local));
	}
}

static void test_local_without_a_door_says_so(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(login_file_fini) struct login_file file = {0};
	f->options.door.port = 0;
	start(f);
	assert_int_equal(local_ask(f->data, &file, &f->err), SL_FAILED_PRECONDITION);
	assert_non_null(strstr(f->err.msg, "--door-listen"));
	assert_null(file.token);
}

static void test_local_answers_one_question_and_nothing_else(void **state)
{
	static const char *const questions[] = {"",       "toke",  "token ",
						"tokens", "TOKEN", "{\"token\":1}"};
	struct fixture *f = *state;
	char answer[64];
	start(f);
	for (size_t i = 0; i < SL_COUNT(questions); i++) {
		int fd = dial(f);
		assert_true(send(fd, questions[i], strlen(questions[i]), MSG_NOSIGNAL) >= 0);
		assert_int_equal(recv(fd, answer, sizeof(answer), 0), 0); /* hung up */
		(void)close(fd);
	}
	int gone = dial(f); /* asks, and does not wait */
	assert_int_equal(send(gone, "token", 5, MSG_NOSIGNAL), 5);
	(void)close(gone);
	SL_AUTO(login_file_fini) struct login_file file = {0};
	assert_int_equal(local_ask(f->data, &file, &f->err), SL_OK);
}

static void test_local_socket_is_its_users_and_goes_with_the_server(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(login_file_fini) struct login_file file = {0};
	SL_AUTO(sl_free_auto) char *path = NULL;
	struct stat found;
	assert_true(asprintf(&path, "%s/admin.sock", f->data) > 0);
	assert_int_equal(local_ask(f->data, &file, &f->err), SL_NOT_FOUND);
	sl_err_clear(&f->err);
	int left = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666); /* of one that was killed */
	assert_true(left >= 0 && close(left) == 0);
	start(f);
	assert_int_equal(lstat(path, &found), 0);
	assert_true(S_ISSOCK(found.st_mode));
	assert_int_equal(found.st_mode & 0777, 0600);
	local_free(SL_TAKE(f->local));
	assert_int_equal(lstat(path, &found), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(local_ask(f->data, &file, &f->err), SL_NOT_FOUND);
}

static void test_local_needs_its_folder(void **state)
{
	struct fixture *f = *state;
	f->options.data = "/nonexistent/folder";
	assert_int_equal(local_new(&f->options, &f->local, &f->err), SL_FAILED_PRECONDITION);
	assert_non_null(strstr(f->err.msg, "/nonexistent/folder/admin.sock"));
	assert_null(f->local);
}

static void test_local_lies_in_a_folder_of_any_length(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(login_file_fini) struct login_file file = {0};
	SL_AUTO(sl_free_auto) char *deep = NULL;
	assert_true(asprintf(&deep, "%s/%0120d", f->data, 1) > 0); /* addresses hold 107 bytes */
	assert_int_equal(mkdir(deep, 0700), 0);
	f->options.data = deep;
	start(f);
	assert_int_equal(local_ask(deep, &file, &f->err), SL_OK);
	local_free(SL_TAKE(f->local));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(test_local_hands_out_a_token_that_is_good),
	    WITH(test_local_says_where_ports_are),
	    WITH(test_local_without_a_door_says_so),
	    WITH(test_local_answers_one_question_and_nothing_else),
	    WITH(test_local_socket_is_its_users_and_goes_with_the_server),
	    WITH(test_local_needs_its_folder),
	    WITH(test_local_lies_in_a_folder_of_any_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

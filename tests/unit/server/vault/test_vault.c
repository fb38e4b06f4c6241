/* vault: values open at their own place, at their own revision and with their own key, and nowhere
 * else; keys change at any moment, also when a crash cuts the change off. */
#include "tests/unit/server/records/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "server/logins/logins.h"
#include "server/vault/vault.h"
#include "tests/lib/tmpdir.h"
#include "tests/unit/server/vault/keys.h"

enum { WS = WORKSPACE_DEFAULT };

struct fix {
	struct world *w;
	char *dir; /* with keys/master.key */
	struct vault *vault;
	const char *repository; /* id */
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(world_setup((void **)&f->w), 0);
	f->dir = tmpdir_new();
	f->vault = keys_new(f->dir);
	Sluice__V1__CreateRepositoryRequest request = SLUICE__V1__CREATE_REPOSITORY_REQUEST__INIT;
	request.name = (char *)"app";
	request.url = (char *)"https://git.example.org/app.git";
	const Sluice__V1__CreateRepositoryResponse *made =
	    world_call(f->w, "CreateRepository", &request);
	f->repository = made->repository->id;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;
	void *world = f->w;
	int rc = world_teardown(&world);
	vault_free(f->vault);
	tmpdir_free(f->dir);
	free(f);
	return rc;
}

/* --- through the owner: a repository's credentials ------------------------------------------ */

struct put {
	struct fix *f;
	struct vault *vault;
	const char *token;
};

static sl_code put_token(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct put *put = in;
	SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	const struct login_new wanted = {.user = "", .token = put->token, .ssh_key = ""};
	(void)out;
	sl_code code =
	    repository_get(d->view, d->arena, d->workspace, put->f->repository, &repository, err);
	code = code != SL_OK
		   ? code
		   : logins_set(put->vault, d, repository, LOGIN_PUSH, &wanted, &key, err);
	if (code == SL_OK) {
		repositories_put(d, repository);
	}
	return code;
}

static void set_token(struct fix *f, struct vault *vault, const char *token)
{
	const struct put put = {.f = f, .vault = vault, .token = token};
	if (world_run(f->w, put_token, &put, NULL) != SL_OK) {
		fail_msg("%s", f->w->err.msg);
	}
}

static sl_code get_token(struct fix *f, struct vault *vault, char out[static 100],
			 struct sl_err *err)
{
	SL_AUTO(repository_login_fini) struct repository_login login = {.secret = NULL};
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->w->store, &view, err), SL_OK);
	assert_int_equal(repository_get(view, &f->w->arena, WS, f->repository, &repository, err),
			 SL_OK);
	sl_code code = logins_open(vault, view, WS, repository, (struct login_wish){.push = true},
				   &login, err);
	store_view_end(view);
	out[0] = '\0';
	if (code == SL_OK && login.git.password != NULL) {
		(void)snprintf(out, 100, "%s", login.git.password);
	}
	return code;
}

static void expect_token(struct fix *f, struct vault *vault, const char *token)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char got[100];
	if (get_token(f, vault, got, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	assert_string_equal(got, token);
}

static void expect_code(struct fix *f, struct vault *vault, sl_code code)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char got[100];
	assert_int_equal(get_token(f, vault, got, &err), code);
	assert_null(strstr(err.msg, "first"));
}

static struct record_key sealed_key(struct fix *f)
{
	char name[100];
	(void)snprintf(name, sizeof(name), "%s/push", f->repository);
	return KEY(WS, key_u32(k, SEALED_REPOSITORY_LOGIN), key_text(k, name), key_u32(k, 0));
}

static Sluice__Store__V1__SealedRecord *sealed_record(struct fix *f)
{
	Sluice__Store__V1__SealedRecord *record = world_get(
	    f->w, TABLE_SEALED, sealed_key(f), &sluice__store__v1__sealed_record__descriptor);
	assert_non_null(record);
	return record;
}

static void put_sealed(struct fix *f, const Sluice__Store__V1__SealedRecord *record)
{
	world_put(f->w, TABLE_SEALED, sealed_key(f), &record->base);
}

static void test_vault_keeps_what_is_put(void **state)
{
	struct fix *f = *state;
	set_token(f, f->vault, "first-token");
	expect_token(f, f->vault, "first-token");
	set_token(f, f->vault, "second-token");
	expect_token(f, f->vault, "second-token");
	const Sluice__Store__V1__SealedRecord *record = sealed_record(f);
	assert_null(memmem(record->sealed.data, record->sealed.len, "second-token", 12));
}

static void test_vault_refuses_every_flipped_byte(void **state)
{
	struct fix *f = *state;
	set_token(f, f->vault, "first-token");
	Sluice__Store__V1__SealedRecord *good = sealed_record(f);
	for (size_t i = 0; i < good->sealed.len; i++) {
		Sluice__Store__V1__SealedRecord *bad = sealed_record(f);
		bad->sealed.data[i] ^= (uint8_t)(1u << (i % 8));
		put_sealed(f, bad);
		expect_code(f, f->vault, SL_DATA_LOSS);
		put_sealed(f, good);
	}
	expect_token(f, f->vault, "first-token");
}

static void test_vault_refuses_an_older_value(void **state)
{
	struct fix *f = *state;
	set_token(f, f->vault, "first-token");
	Sluice__Store__V1__SealedRecord *old = sealed_record(f);
	set_token(f, f->vault, "second-token");
	Sluice__Store__V1__SealedRecord *now = sealed_record(f);
	put_sealed(f, old);
	expect_code(f, f->vault, SL_DATA_LOSS);
	old->revision = now->revision; /* and it says that it is the new one */
	put_sealed(f, old);
	expect_code(f, f->vault, SL_DATA_LOSS);
	put_sealed(f, now);
	expect_token(f, f->vault, "second-token");
}

/* --- where a value belongs ------------------------------------------------------------------ */

static const struct vault_place own = {.workspace = WS, .kind = 77, .name = "a", .environment = 1};

static sl_code put_raw(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
	const struct fix *f = in;
	uint64_t *ret_revision = out;
	*ret_revision = d->revision;
	return vault_put(f->vault, d, &own, sl_bytes_text("value"), &key, err);
}

static sl_code remove_raw(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)out, (void)err;
	vault_remove(d, in);
	return SL_OK;
}

static struct record_key key_at(const struct vault_place *at)
{
	return KEY(at->workspace, key_u32(k, at->kind), key_text(k, at->name),
		   key_u32(k, at->environment));
}

static sl_code get_raw(struct fix *f, const struct vault_place *at, uint64_t revision)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_secret_text_auto) char *value = NULL;
	const struct store_view *view = NULL;
	size_t size = 0;
	assert_int_equal(store_view_begin(f->w->store, &view, &err), SL_OK);
	sl_code code = vault_get(f->vault, view, at, revision, &value, &size, &err);
	store_view_end(view);
	assert_true(code != SL_OK || (size == 5 && strcmp(value, "value") == 0));
	return code;
}

static void test_vault_refuses_what_belongs_elsewhere(void **state)
{
	static const struct vault_place places[] = {
	    {.workspace = WS, .kind = 77, .name = "b", .environment = 1},
	    {.workspace = WS, .kind = 77, .name = "a", .environment = 2},
	    {.workspace = WS, .kind = 78, .name = "a", .environment = 1},
	};
	struct fix *f = *state;
	uint64_t revision = 0;
	assert_int_equal(world_run(f->w, put_raw, f, &revision), SL_OK);
	Sluice__Store__V1__SealedRecord *record = world_get(
	    f->w, TABLE_SEALED, key_at(&own), &sluice__store__v1__sealed_record__descriptor);
	for (size_t i = 0; i < SL_COUNT(places); i++) {
		world_put(f->w, TABLE_SEALED, key_at(&places[i]), &record->base);
		assert_int_equal(get_raw(f, &places[i], revision), SL_DATA_LOSS);
		assert_int_equal(world_run(f->w, remove_raw, &places[i], NULL), SL_OK);
		assert_int_equal(get_raw(f, &places[i], revision), SL_NOT_FOUND);
	}
	assert_int_equal(get_raw(f, &own, revision), SL_OK);
	assert_int_equal(world_run(f->w, remove_raw, &own, NULL), SL_OK); /* nobody owns it */
}

/* --- the master key --------------------------------------------------------------------------- */

static sl_code check(struct fix *f, struct vault *vault, struct sl_err *err)
{
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->w->store, &view, err), SL_OK);
	sl_code code = vault_check(vault, view, err);
	store_view_end(view);
	return code;
}

static void test_vault_with_another_master_key_does_not_start(void **state)
{
	struct fix *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	set_token(f, f->vault, "first-token");
	assert_int_equal(check(f, f->vault, &err), SL_OK);
	keys_master(f->dir, "master.key");
	SL_AUTO(vault_free_auto) struct vault *other = keys_open(f->dir);
	assert_int_equal(check(f, other, &err), SL_FAILED_PRECONDITION);
	assert_non_null(strstr(err.msg, "is not the one that this store was written with"));
	expect_code(f, other, SL_FAILED_PRECONDITION);
}

static void test_vault_without_a_master_key_is_locked(void **state)
{
	struct fix *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	set_token(f, f->vault, "first-token");
	assert_int_equal(unlink(keys_path(f->dir, "master.key")), 0);
	SL_AUTO(vault_free_auto) struct vault *locked = keys_open(f->dir);
	assert_true(vault_is_locked(locked));
	assert_int_equal(check(f, locked, &err), SL_OK);
	expect_code(f, locked, SL_FAILED_PRECONDITION);
	const struct put put = {.f = f, .vault = locked, .token = "x"};
	assert_int_equal(world_run(f->w, put_token, &put, NULL), SL_FAILED_PRECONDITION);
	assert_int_equal(f->w->err.reason, SL_REASON_VAULT_LOCKED);
}

static void test_vault_refuses_files_that_others_may_read(void **state)
{
	struct fix *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct vault *vault = NULL;
	assert_int_equal(chmod(keys_path(f->dir, "master.key"), 0644), 0);
	assert_int_equal(vault_open(f->dir, "", &vault, &err), SL_FAILED_PRECONDITION);
	sl_err_clear(&err);
	keys_write(keys_path(f->dir, "master.key"), "not base64\n");
	assert_int_equal(vault_open(f->dir, "", &vault, &err), SL_FAILED_PRECONDITION);
}

/* --- rotation --- */

static sl_code rotate_workspace(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	const struct fix *f = in;
	(void)out;
	return vault_rotate_workspace(f->vault, d, err);
}

static void test_vault_rotates_the_key_of_a_workspace(void **state)
{
	struct fix *f = *state;
	set_token(f, f->vault, "first-token");
	Sluice__Store__V1__SealedRecord *before = sealed_record(f);
	for (int round = 1; round <= 3; round++) {
		assert_int_equal(world_run(f->w, rotate_workspace, f, NULL), SL_OK);
		expect_token(f, f->vault, "first-token");
		assert_int_equal(world_count(f->w, TABLE_WORKSPACE_KEYS, key_of(WS)), 1);
	}
	Sluice__Store__V1__SealedRecord *now = sealed_record(f);
	assert_int_equal(now->key_number, 4);
	put_sealed(f, before); /* its key is gone */
	expect_code(f, f->vault, SL_DATA_LOSS);
	put_sealed(f, now);
	set_token(f, f->vault, "second-token");
	expect_token(f, f->vault, "second-token");
}

static void settle(struct fix *f, struct vault *vault)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (vault_settle(vault, f->w->store, 5, &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	assert_false(vault_is_rotating(f->dir, ""));
}

static void new_master(struct fix *f)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (vault_new_master(f->dir, "", &err) != SL_OK) {
		fail_msg("%s", err.msg);
	}
	assert_true(vault_is_rotating(f->dir, ""));
	assert_int_equal(vault_new_master(f->dir, "", &err), SL_ALREADY_EXISTS);
}

static void test_vault_rotates_the_master_key(void **state)
{
	struct fix *f = *state;
	set_token(f, f->vault, "first-token");
	keys_copy(f->dir, "master.key", "kept");
	new_master(f);
	settle(f, f->vault);
	expect_token(f, f->vault, "first-token");
	SL_AUTO(vault_free_auto) struct vault *now = keys_open(f->dir);
	expect_token(f, now, "first-token");
	keys_copy(f->dir, "kept", "master.key");
	SL_AUTO(vault_free_auto) struct vault *old = keys_open(f->dir);
	expect_code(f, old, SL_FAILED_PRECONDITION); /* nothing opens with the old key */
}

/* A process that was killed after each of the three steps: the next one finds this. */
static void test_vault_master_rotation_goes_on_after_each_step(void **state)
{
	struct fix *f = *state;
	set_token(f, f->vault, "first-token");
	/* Only KEY.next is there. */
	new_master(f);
	keys_copy(f->dir, "master.key", "kept");
	SL_AUTO(vault_free_auto) struct vault *one = keys_open(f->dir);
	expect_token(f, one, "first-token");
	settle(f, one);
	expect_token(f, one, "first-token");
	/* All is wrapped with it, and it is not in its place. */
	keys_copy(f->dir, "master.key", "master.key.next");
	keys_copy(f->dir, "kept", "master.key");
	SL_AUTO(vault_free_auto) struct vault *two = keys_open(f->dir);
	expect_token(f, two, "first-token");
	settle(f, two);
	expect_token(f, two, "first-token");
	/* It is done. */
	SL_AUTO(vault_free_auto) struct vault *three = keys_open(f->dir);
	settle(f, three);
	expect_token(f, three, "first-token");
}

static void test_vault_rotates_while_it_serves(void **state)
{
	struct fix *f = *state;
	set_token(f, f->vault, "first-token");
	new_master(f);
	uint64_t mono = 1;
	for (int i = 0; i < 5000 && vault_is_rotating(f->dir, ""); i++, mono += 100) {
		vault_tick(f->vault, f->w->store, 5, mono);
		expect_token(f, f->vault, "first-token");
		(void)usleep(1000);
	}
	assert_false(vault_is_rotating(f->dir, ""));
	expect_token(f, f->vault, "first-token");
}

static sl_code forget_all(struct decision *d, const void *in, void *out, struct sl_err *err)
{
	(void)in;
	return vault_reset(d, out, err);
}

static void test_vault_reset_forgets_values_and_keeps_names(void **state)
{
	struct fix *f = *state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t count = 0;
	set_token(f, f->vault, "first-token");
	assert_int_equal(world_run(f->w, forget_all, NULL, &count), SL_OK);
	assert_int_equal(count, 1);
	keys_master(f->dir, "master.key"); /* any key will do now */
	SL_AUTO(vault_free_auto) struct vault *fresh = keys_open(f->dir);
	assert_int_equal(check(f, fresh, &err), SL_OK);
	expect_code(f, fresh, SL_NOT_FOUND);
	set_token(f, fresh, "second-token");
	expect_token(f, fresh, "second-token");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_vault_keeps_what_is_put),
	    CASE(test_vault_refuses_every_flipped_byte),
	    CASE(test_vault_refuses_an_older_value),
	    CASE(test_vault_refuses_what_belongs_elsewhere),
	    CASE(test_vault_with_another_master_key_does_not_start),
	    CASE(test_vault_without_a_master_key_is_locked),
	    CASE(test_vault_refuses_files_that_others_may_read),
	    CASE(test_vault_rotates_the_key_of_a_workspace),
	    CASE(test_vault_rotates_the_master_key),
	    CASE(test_vault_master_rotation_goes_on_after_each_step),
	    CASE(test_vault_rotates_while_it_serves),
	    CASE(test_vault_reset_forgets_values_and_keeps_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

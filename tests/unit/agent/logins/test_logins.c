/* logins: what is sealed to this agent, and to no other, for one repository and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/logins/logins.h"
#include "base/crypto/crypto.h"
#include "base/mem/own.h"

enum { ROOM = 400 };

struct box {
	uint8_t secret[SL_BOX_SECRET_BYTES], bytes[ROOM + SL_BOX_EXTRA_BYTES];
	Sluice__V1__AgentLogin message;
};

/* As the server does it. */
static void make(struct box *box, const char *says, const char *inside, uint64_t revision,
		 const char *password)
{
	const struct git_login login = {.user = "robot", .password = password};
	uint8_t public[SL_BOX_PUBLIC_BYTES];
	char text[ROOM];
	size_t packed = git_login_size(&login), size = packed + strlen(inside) + 1;
	sl_box_public(box->secret, public);
	git_login_pack(&login, text);
	memcpy(text + packed, inside, size - packed);
	assert_true(sl_box_seal(public, SL_BYTES(text, size), box->bytes));
	sluice__v1__agent_login__init(&box->message);
	box->message.repository_id = (char *)says;
	box->message.revision = revision;
	box->message.box =
	    (ProtobufCBinaryData){.data = box->bytes, .len = size + SL_BOX_EXTRA_BYTES};
}

static void test_logins_are_taken_and_replaced(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(logins_fini) struct logins logins = {.items = NULL};
	struct git_login login;
	struct box box;
	sl_random(box.secret, sizeof(box.secret));
	assert_int_equal(logins_find(&logins, "rep_a", 0, &login, &err), SL_OK);
	assert_null(login.password);
	assert_int_equal(logins_find(&logins, "rep_a", 3, &login, &err), SL_UNAVAILABLE);
	make(&box, "rep_a", "rep_a", 3, "one");
	assert_int_equal(logins_take(&logins, box.secret, &box.message, &err), SL_OK);
	make(&box, "rep_b", "rep_b", 4, "other");
	assert_int_equal(logins_take(&logins, box.secret, &box.message, &err), SL_OK);
	assert_int_equal(logins_find(&logins, "rep_a", 3, &login, &err), SL_OK);
	assert_string_equal(login.user, "robot");
	assert_string_equal(login.password, "one");
	assert_int_equal(logins_find(&logins, "rep_a", 9, &login, &err), SL_UNAVAILABLE);
	make(&box, "rep_a", "rep_a", 9, "two");
	assert_int_equal(logins_take(&logins, box.secret, &box.message, &err), SL_OK);
	assert_int_equal(logins_find(&logins, "rep_a", 9, &login, &err), SL_OK);
	assert_string_equal(login.password, "two");
	assert_int_equal(logins_find(&logins, "rep_b", 4, &login, &err), SL_OK);
	assert_string_equal(login.password, "other");
}

static void test_logins_of_others_are_refused(void **state)
{
	(void)state;
	SL_AUTO(logins_fini) struct logins logins = {.items = NULL};
	uint8_t other[SL_BOX_SECRET_BYTES];
	struct box box;
	sl_random(box.secret, sizeof(box.secret));
	sl_random(other, sizeof(other));
	make(&box, "rep_a", "rep_a", 3, "one");
	assert_int_equal(logins_take(&logins, other, &box.message, NULL), SL_FAILED_PRECONDITION);
	for (size_t i = 0; i < box.message.box.len; i++) {
		box.bytes[i] ^= 1;
		assert_int_equal(logins_take(&logins, box.secret, &box.message, NULL),
				 SL_FAILED_PRECONDITION);
		box.bytes[i] ^= 1;
	}
	make(&box, "rep_b", "rep_a", 3, "one"); /* another repository's */
	assert_int_equal(logins_take(&logins, box.secret, &box.message, NULL),
			 SL_FAILED_PRECONDITION);
	box.message.box.len = SL_BOX_EXTRA_BYTES;
	assert_int_equal(logins_take(&logins, box.secret, &box.message, NULL),
			 SL_FAILED_PRECONDITION);
	assert_null(logins.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_logins_are_taken_and_replaced),
	    cmocka_unit_test(test_logins_of_others_are_refused),
	};
	return sl_crypto_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

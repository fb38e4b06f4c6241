/* Memory for keys, and a process that cannot be looked into. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"

static void test_secret_is_zeroed_and_holds_a_text(void **state)
{
	(void)state;
	uint8_t zeros[100] = {0};
	uint8_t *secret = sl_secret_new(sizeof(zeros));
	assert_non_null(secret);
	assert_memory_equal(secret, zeros, sizeof(zeros));
	sl_secret_free(secret);
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_text("keys", 3);
	assert_string_equal(text, "key");
	sl_wipe(text, 3);
	assert_memory_equal(text, zeros, 3);
	sl_secret_free(NULL);
}

static void test_secret_base64_is_exact(void **state)
{
	(void)state;
	char text[SL_BASE64_SIZE(5)];
	uint8_t back[5];
	assert_string_equal(sl_base64(text, "\x00\xff key", 4), "AP8gaw==");
	assert_string_equal(sl_base64(text, "12345", 5), "MTIzNDU=");
	assert_true(sl_unbase64(back, 5, " MTIzNDU=\n"));
	assert_memory_equal(back, "12345", 5);
	static const char *const bad[] = {"", "MTIzNA==", "MTIzNDU2", "MTIzNDU", "MTIz*DU="};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		assert_false(sl_unbase64(back, 5, bad[i]));
	}
}

static int harden_and_look(void)
{
	struct rlimit core = {1, 1};
	if (sl_secret_harden(NULL) != SL_OK || getrlimit(RLIMIT_CORE, &core) != 0) {
		return 1;
	}
	return core.rlim_cur == 0 && core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 ? 0 : 2;
}

static void test_secret_harden_forbids_core_files(void **state)
{
	(void)state;
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		_exit(harden_and_look());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_secret_is_zeroed_and_holds_a_text),
	    cmocka_unit_test(test_secret_base64_is_exact),
	    cmocka_unit_test(test_secret_harden_forbids_core_files),
	};
	if (!sl_crypto_init()) {
		return EXIT_FAILURE;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify/notify.h"

/* A service manager: a socket of the abstract space, which leaves nothing behind. */
static int manager_setup(void **state)
{
	static int fd;
	char name[64];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int length = snprintf(name, sizeof(name), "@sluice-test-%ld", (long)getpid());
	memcpy(address.sun_path + 1, name + 1, (size_t)length - 1);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	*state = &fd;
	return 0;
}

static int manager_teardown(void **state)
{
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	return close(*(int *)*state);
}

/* "" when nothing came. */
static const char *heard(void **state)
{
	static char text[128];
	ssize_t size = recv(*(int *)*state, text, sizeof(text) - 1, 0);
	text[size < 0 ? 0 : size] = '\0';
	return text;
}

static void test_notify_says_it_to_the_manager(void **state)
{
	sl_notify("READY=1\nSTATUS=serving");
	assert_string_equal(heard(state), "READY=1\nSTATUS=serving");
	sl_notify("STOPPING=1");
	assert_string_equal(heard(state), "STOPPING=1");
	assert_string_equal(heard(state), "");
}

static void test_notify_without_a_manager_does_nothing(void **state)
{
	static const char *const none[] = {"", "@", "relative", "/no/such/socket", NULL};
	for (size_t i = 0; none[i] != NULL; i++) {
		assert_int_equal(setenv("NOTIFY_SOCKET", none[i], 1), 0);
		sl_notify("READY=1");
	}
	char longer[300];
	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(setenv("NOTIFY_SOCKET", longer, 1), 0);
	sl_notify("READY=1");
	(void)unsetenv("NOTIFY_SOCKET");
	sl_notify("READY=1");
	assert_string_equal(heard(state), "");
}

static void test_watchdog_is_fed_at_half_its_patience(void **state)
{
	struct sl_watchdog watchdog;
	assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
	sl_watchdog_init(&watchdog);
	assert_int_equal(sl_watchdog_step(&watchdog, 1000), 16000);
	assert_string_equal(heard(state), "WATCHDOG=1");
	assert_int_equal(sl_watchdog_step(&watchdog, 15999), 16000);
	assert_string_equal(heard(state), "");
	assert_int_equal(sl_watchdog_step(&watchdog, 16000), 31000);
	assert_string_equal(heard(state), "WATCHDOG=1");
}

static void test_watchdog_of_another_process_is_left_alone(void **state)
{
	struct sl_watchdog watchdog;
	char pid[32];
	sl_watchdog_init(&watchdog);
	assert_int_equal(sl_watchdog_step(&watchdog, 1000), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
	sl_watchdog_init(&watchdog);
	assert_int_equal(sl_watchdog_step(&watchdog, 1000), 0);
	assert_string_equal(heard(state), "");
	(void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	sl_watchdog_init(&watchdog);
	assert_int_equal(sl_watchdog_step(&watchdog, 1000), 16000);
	assert_string_equal(heard(state), "WATCHDOG=1");
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, manager_setup, manager_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(test_notify_says_it_to_the_manager),
	    WITH(test_notify_without_a_manager_does_nothing),
	    WITH(test_watchdog_is_fed_at_half_its_patience),
	    WITH(test_watchdog_of_another_process_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What `sluiced serve` takes, refuses and derives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/config/config.h"

enum { ARGS_MAX = 8 };

static const struct sl_command *const commands[] = {&server_serve_command, NULL};
static const struct sl_program program = {
    .name = "sluiced",
    .version = "0",
    .summary = "Test",
    .commands = commands,
};

/* Parses and settles, as the server's main does. */
static sl_code read_config(const char *const *argv, struct server_config *config,
			   struct sl_args *args, struct sl_err *err)
{
	struct sl_found found = {0};
	struct sl_target none = {0};
	struct sl_target target = {config, sizeof(*config)};
	int argc = 0;
	while (argc < ARGS_MAX && argv[argc] != NULL) {
		argc++;
	}
	sl_code code = sl_command_find(&program, argc, argv, &found, err);
	if (code == SL_OK) {
		code = sl_command_parse(&program, &found, none, target, args, err);
	}
	return code == SL_OK ? server_config_settle(config, err) : code;
}

static void test_config_defaults(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct server_config config = {0};
	enum sl_log_level level = SL_LOG_ERROR;
	const char *argv[ARGS_MAX] = {"serve", "--data", "/d", "--insecure"};
	assert_int_equal(read_config(argv, &config, &args, &err), SL_OK);
	assert_string_equal(config.data, "/d");
	assert_string_equal(config.listen, "127.0.0.1:7443");
	assert_string_equal(config.metrics_listen, "127.0.0.1:9443");
	assert_true(config.map_bytes == 64ULL << 30);
	assert_int_equal(config.disk_reserve_bytes, 256 << 20);
	assert_int_equal(config.queue_max, 4096);
	assert_int_equal(config.requests_max, 100000);
	assert_int_equal(config.requests_keep_ms, 86400000);
	assert_true(config.log_keep_ms == 30ULL * 86400000);
	assert_int_equal(config.heartbeat_ms, 30000);
	assert_int_equal(config.fetches_per_host, 50);
	assert_int_equal(config.git_deadline_ms, 300000);
	assert_int_equal(config.git_jobs, 2);
	assert_int_equal(config.message_max_bytes, 4 << 20);
	assert_int_equal(config.connections_max, 0);
	assert_int_equal(config.accepts_per_second, 300);
	assert_int_equal(config.drain_ms, 4000);
	assert_int_equal(config.watchers_max, 4096);
	assert_int_equal(config.page_max, 1000);
	assert_int_equal(sl_log_level_parse(config.log_level, &level, &err), SL_OK);
	assert_int_equal(level, SL_LOG_INFO);
	assert_true(config.allow_local_repos); /* --insecure implies it */
}

static void test_config_environment(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	struct server_config config = {0};
	const char *argv[ARGS_MAX] = {"serve"};
	(void)setenv("SLUICE_DATA", "/env", 1);
	(void)setenv("SLUICE_INSECURE", "true", 1);
	(void)setenv("SLUICE_MAP_SIZE", "32M", 1);
	(void)setenv("SLUICE_METRICS_LISTEN", "", 1);
	assert_int_equal(read_config(argv, &config, &args, &err), SL_OK);
	(void)unsetenv("SLUICE_DATA");
	(void)unsetenv("SLUICE_INSECURE");
	(void)unsetenv("SLUICE_MAP_SIZE");
	(void)unsetenv("SLUICE_METRICS_LISTEN");
	assert_string_equal(config.data, "/env");
	assert_int_equal(config.map_bytes, 32 << 20);
	assert_string_equal(config.metrics_listen, "");
}

static void test_config_loopback_addresses_pass(void **state)
{
	(void)state;
	static const char *const good[] = {"127.0.0.1:0", "127.255.0.9:65535", "[::1]:7443",
					   "localhost:7443"};
	for (size_t i = 0; i < SL_COUNT(good); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		SL_AUTO(sl_args_fini) struct sl_args args = {0};
		struct server_config config = {0};
		const char *argv[ARGS_MAX] = {"serve", "--data=d",         "--insecure", "--listen",
					      good[i], "--metrics-listen", good[i]};
		assert_int_equal(read_config(argv, &config, &args, &err), SL_OK);
		assert_string_equal(config.listen, good[i]);
	}
}

static void test_config_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *argv[ARGS_MAX];
		const char *text;
	} cases[] = {
	    {{"serve", "--insecure"}, "--data or SLUICE_DATA is required"},
	    {{"serve", "--data=d", "--listen=0.0.0.0"}, "--listen must be HOST:PORT"},
	    {{"serve", "--data=d", "--metrics-listen=0.0.0.0:1"},
	     "--metrics-listen must be on loopback"},
	    {{"serve", "--data=d", "extra"}, "unexpected argument 'extra'"},
	    {{"serve", "--data=d", "--insecure", "--listen=0.0.0.0:1"},
	     "--listen must be on loopback (127.0.0.0/8, [::1] or localhost) with --insecure, is "
	     "'0.0.0.0:1'"},
	    {{"serve", "--data=d", "--insecure", "--listen=10.0.0.1:1"},
	     "--listen must be on loopback"},
	    {{"serve", "--data=d", "--insecure", "--listen=[::]:1"},
	     "--listen must be on loopback"},
	    {{"serve", "--data=d", "--insecure", "--listen=[::ffff:127.0.0.1]:1"},
	     "must be on loopback"},
	    {{"serve", "--data=d", "--insecure", "--listen=localhost.evil:1"},
	     "must be on loopback"},
	    {{"serve", "--data=d", "--insecure", "--listen=127.1:1"},
	     "--listen must be on loopback"},
	    {{"serve", "--data=d", "--insecure", "--listen=127.0.0.1"},
	     "--listen must be HOST:PORT"},
	    {{"serve", "--data=d", "--insecure", "--listen=127.0.0.1:"},
	     "--listen must be HOST:PORT"},
	    {{"serve", "--data=d", "--insecure", "--listen=127.0.0.1:65536"},
	     "--listen must be HOST:PORT"},
	    {{"serve", "--data=d", "--insecure", "--listen=127.0.0.1:1x"},
	     "--listen must be HOST:PORT"},
	    {{"serve", "--data=d", "--insecure", "--listen=:1"}, "--listen must be HOST:PORT"},
	    {{"serve", "--data=d", "--insecure", "--listen=::1:1"}, "--listen must be HOST:PORT"},
	    {{"serve", "--data=d", "--insecure", "--listen=[::1:1"}, "--listen must be HOST:PORT"},
	    {{"serve", "--data=d", "--insecure", "--listen=[]:1"}, "--listen must be HOST:PORT"},
	    {{"serve", "--data=d", "--insecure", "--metrics-listen=0.0.0.0:1"},
	     "--metrics-listen must be on loopback (127.0.0.0/8, [::1] or localhost) always, is "
	     "'0.0.0.0:1'"},
	    {{"serve", "--data=d", "--insecure", "--map-size=1M"},
	     "--map-size must be 16M to 16T, is '1M'"},
	    {{"serve", "--data=d", "--insecure", "--git-jobs=0"},
	     "--git-jobs must be 1 to 64, is '0'"},
	    {{"serve", "--data=d", "--insecure", "--log-level=loud"},
	     "--log-level must be one of debug|info|warn|error, is 'loud'"},
	    {{"serve", "--data=d", "--insecure", "--message-max=1K"},
	     "--message-max must be 64K to 64M, is '1K'"},
	};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		SL_AUTO(sl_args_fini) struct sl_args args = {0};
		struct server_config config = {0};
		assert_int_equal(read_config(cases[i].argv, &config, &args, &err),
				 SL_INVALID_ARGUMENT);
		assert_non_null(strstr(err.msg, cases[i].text));
		assert_false(config.allow_local_repos);
	}
}

static void test_config_every_default_is_within_its_bounds(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	for (const struct sl_flag *flag = server_serve_command.flags; flag->name != NULL; flag++) {
		struct server_config config = {0};
		char arg[128];
		if (flag->fallback == NULL) {
			continue;
		}
		SL_AUTO(sl_args_fini) struct sl_args args = {0};
		(void)snprintf(arg, sizeof(arg), "--%s=%s", flag->name, flag->fallback);
		const char *argv[ARGS_MAX] = {"serve", "--data=d", "--insecure", arg};
		assert_int_equal(read_config(argv, &config, &args, &err), SL_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_config_defaults),
	    cmocka_unit_test(test_config_environment),
	    cmocka_unit_test(test_config_loopback_addresses_pass),
	    cmocka_unit_test(test_config_refusals),
	    cmocka_unit_test(test_config_every_default_is_within_its_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

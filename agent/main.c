/* sluice-agent: keeps one instance as a Sluice server wants it.
 *
 *   sluice-agent enroll --join FILE --state DIR
 *   sluice-agent [run] [--server HOST:PORT --instance NAME] --state DIR
 *   sluice-agent status|check [--state DIR]
 *   sluice-agent reset APP [--state DIR]
 *   sluice-agent import FILE [--state DIR]
 *   sluice-agent man [markdown]
 *   sluice-agent git-worker        the child of a Git job; see base/git/git.h
 *   sluice-agent reach-worker      the child of a look at a data source; see agent/reach/reach.h
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/activate/activate.h"
#include "agent/config/config.h"
#include "agent/identity/identity.h"
#include "agent/import/import.h"
#include "agent/loop/loop.h"
#include "agent/reach/reach.h"
#include "agent/settings/settings.h"
#include "agent/state/state.h"
#include "agent/status/status.h"
#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/git/git.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "base/tls/hooks.h"
#include "client/rpc/rpc.h"

enum { EXIT_FAILED = 3, EXIT_USAGE = 64 };

static int failed(const char *what, const struct sl_err *err, int status)
{
	(void)fprintf(stderr, "sluice-agent%s%s: %s\n", *what != '\0' ? " " : "", what, err->msg);
	return status;
}

/* gRPC's threads inherit the mask: signals come to the loop's descriptor only. */
static void block_signals(void)
{
	sigset_t mask;
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Who the agent is and whom it dials: by its identity, unless the flags say it. */
static sl_code know(struct agent_config *config, struct identity **ret_identity, struct sl_err *err)
{
	sl_code code = config->tls_ca[0] != '\0' || config->tls_cert[0] != '\0'
			   ? SL_NOT_FOUND
			   : identity_load(config->state_dir, ret_identity, err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		bool told = config->server[0] != '\0' && config->instance[0] != '\0';
		return told
			   ? SL_OK
			   : sl_err_set(err, SL_INVALID_ARGUMENT,
					"'%s' has no identity: run `sluice-agent enroll` first, or "
					"give --server and --instance for a server with --insecure",
					config->state_dir);
	}
	if (code != SL_OK) {
		return code;
	}
	const struct identity *identity = *ret_identity;
	config->server = config->server[0] != '\0' ? config->server : identity->server;
	config->instance = config->instance[0] != '\0' ? config->instance : identity->instance;
	config->workspace = identity->workspace;
	return SL_OK;
}

static int enroll(const struct agent_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(join_fini) struct join join = {0};
	SL_AUTO(identity_free_auto) struct identity *identity = NULL;
	char until[SL_CLOCK_TEXT_SIZE];
	sl_code code = join_read(config->join, &join, &err);
	if (code != SL_OK) {
		return failed("enroll", &err, EXIT_USAGE);
	}
	tls_hooks_install();
	crpc_init();
	code = sl_secret_harden(&err);
	code = code != SL_OK ? code : state_make_dir(config->state_dir, &err);
	code = code != SL_OK ? code : identity_enroll(config->state_dir, &join, &identity, &err);
	crpc_shutdown();
	if (code != SL_OK) {
		(void)failed("enroll", &err, EXIT_FAILED);
		if (err.reason == SL_REASON_TOKEN_REFUSED) {
			(void)fprintf(
			    stderr,
			    "  a join file is good once, for 15 minutes; another one: sluice "
			    "instance rejoin %s\n",
			    join.instance);
		}
		return EXIT_FAILED;
	}
	(void)printf("instance %s (%s, %s): identity %s, certificate until %s, renewed by itself\n",
		     identity->instance, identity->instance_id, identity->environment,
		     identity->identity_id, sl_clock_text(until, identity->not_after_ms));
	return EXIT_SUCCESS;
}

static int run(const struct agent_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	enum sl_log_level level = SL_LOG_INFO;
	if (agent_config_check(config, &err) != SL_OK ||
	    sl_log_level_parse(config->log_level, &level, &err) != SL_OK) {
		return failed("run", &err, EXIT_USAGE);
	}
	SL_AUTO(identity_free_auto) struct identity *identity = NULL;
	struct agent_config own = *config;
	if (know(&own, &identity, &err) != SL_OK) {
		return failed("run", &err,
			      err.code == SL_INVALID_ARGUMENT ? EXIT_USAGE : EXIT_FAILED);
	}
	SL_AUTO(overrides_free_auto) struct overrides *overrides = NULL;
	if (overrides_load(own.overrides, &overrides, &err) != SL_OK) {
		return failed("run", &err, EXIT_USAGE);
	}
	sl_log_level_set(level);
	block_signals();
	agent_config_settle(&own, identity != NULL);
	if (own.allow_local) {
		log_info("allow-local-repos", "msg=\"on: %s\"",
			 config->allow_local ? "as told"
					     : "the server is dialled without TLS, on loopback");
	}
	tls_hooks_install();
	crpc_init();
	sl_code code = sl_secret_harden(&err);
	code = code != SL_OK ? code : loop_run(&own, identity, overrides, &err);
	crpc_shutdown();
	return code == SL_OK ? EXIT_SUCCESS : failed("run", &err, EXIT_FAILED);
}

static int show(const struct agent_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = status_show(config, stdout, &err);
	return code == SL_OK ? EXIT_SUCCESS : failed("status", &err, EXIT_FAILED);
}

static int check(const struct agent_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	unsigned count = 0;
	tls_hooks_install();
	crpc_init();
	sl_code code = status_check(config, stdout, &count, &err);
	crpc_shutdown();
	if (code != SL_OK) {
		return failed("check", &err, EXIT_FAILED);
	}
	return count == 0 ? EXIT_SUCCESS : EXIT_FAILED;
}

static int reset(const struct agent_config *config, const char *slug)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	bool name = slug[0] != '\0' && slug[0] != '.' && strchr(slug, '/') == NULL;
	if (!name || !activate_has_work(config->state_dir, slug)) {
		(void)sl_err_set(&err, SL_NOT_FOUND, "'%.64s' has no working copy below '%s/apps'",
				 slug, config->state_dir);
		return failed("reset", &err, EXIT_FAILED);
	}
	sl_code code = activate_set_work_aside(config->state_dir, slug, &err);
	return code == SL_OK ? EXIT_SUCCESS : failed("reset", &err, EXIT_FAILED);
}

static int import(const struct agent_config *config, const char *file)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = import_bundle(config, file, stdout, &err);
	return code == SL_OK ? EXIT_SUCCESS : failed("import", &err, EXIT_FAILED);
}

static int man(const char *form)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = sl_command_page(stdout, &agent_program, 8, form, &err);
	return code == SL_OK ? EXIT_SUCCESS : failed("man", &err, EXIT_USAGE);
}

static const struct {
	const char *name;
	int (*run)(const struct agent_config *config);
} actions[] = {
    {"run", run},
    {"enroll", enroll},
    {"status", show},
    {"check", check},
};

static int act(const struct sl_found *found, const struct agent_config *config,
	       const struct sl_args *args)
{
	if (strcmp(found->command->name, "man") == 0) {
		return man(args->count > 0 ? args->items[0] : NULL);
	}
	if (strcmp(found->command->name, "reset") == 0) {
		return reset(config, args->items[0]);
	}
	if (strcmp(found->command->name, "import") == 0) {
		return import(config, args->items[0]);
	}
	for (size_t i = 0; i < SL_COUNT(actions); i++) {
		if (strcmp(actions[i].name, found->command->name) == 0) {
			return actions[i].run(config);
		}
	}
	return EXIT_USAGE;
}

static int command_line(int argc, const char *const *argv)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct sl_found found = {.command = NULL};
	struct agent_config config = {.server = ""};
	struct sl_args args = {.help = false};
	if (sl_command_find(&agent_program, argc, argv, &found, &err) != SL_OK) {
		return failed("", &err, EXIT_USAGE);
	}
	if (found.version) {
		(void)printf("sluice-agent %s\n", AGENT_VERSION);
		return EXIT_SUCCESS;
	}
	if (found.command == NULL) {
		sl_command_help(stdout, &agent_program, &found, sl_help_width(stdout));
		return EXIT_SUCCESS;
	}
	struct sl_target none = {.config = NULL};
	struct sl_target target = {.config = &config, .size = sizeof(config)};
	if (sl_command_parse(&agent_program, &found, none, target, &args, &err) != SL_OK) {
		return failed(found.command->name, &err, EXIT_USAGE);
	}
	int status = EXIT_SUCCESS;
	config.local_told = sl_args_given(&args, "allow-local-repos");
	if (args.help) {
		sl_command_help(stdout, &agent_program, &found, sl_help_width(stdout));
	} else {
		status = act(&found, &config, &args);
	}
	sl_args_fini(&args);
	return status;
}

/* `run` is what is meant when only flags are there. */
static bool is_bare(int argc, const char *const *argv)
{
	static const char *const own[] = {"-h", "--help", "--version"};
	for (size_t i = 0; argc > 1 && i < SL_COUNT(own); i++) {
		if (strcmp(argv[1], own[i]) == 0) {
			return false;
		}
	}
	return argc < 2 || argv[1][0] == '-';
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "git-worker") == 0) {
		return git_worker_main();
	}
	if (argc > 1 && strcmp(argv[1], "reach-worker") == 0) {
		return reach_worker_main();
	}
	(void)mallopt(M_ARENA_MAX,
		      1); /* gRPC's dozen threads hardly allocate: a heap each is waste */
	if (!sl_crypto_init()) {
		(void)fputs("sluice-agent: the machine gives no random numbers\n", stderr);
		return EXIT_FAILED;
	}
	const char *const *words = (const char *const *)argv;
	if (!is_bare(argc, words)) {
		return command_line(argc - 1, words + 1);
	}
	SL_AUTO(sl_free_auto) const char **with_run = calloc((size_t)argc + 1, sizeof(*with_run));
	if (with_run == NULL) {
		return EXIT_FAILED;
	}
	with_run[0] = "run";
	for (int i = 1; i < argc; i++) {
		with_run[i] = words[i];
	}
	return command_line(argc > 0 ? argc : 1, with_run);
}

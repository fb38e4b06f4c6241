/* sluice wait: until something is there. */
#include "client/cli/commands.h"

struct wait_flags {
	const char *environment, *instance;
	bool content, published, staged, converged, all;
};
#define WAIT(field) offsetof(struct wait_flags, field)
static const struct sl_flag wait_flags[] = {
    {.name = "content",
     .kind = SL_FLAG_BOOL,
     .offset = WAIT(content),
     .help = "Wait for the version's content."},
    {.name = "published",
     .kind = SL_FLAG_BOOL,
     .offset = WAIT(published),
     .help = "Wait until the version is published in Git."},
    {.name = "staged",
     .kind = SL_FLAG_BOOL,
     .offset = WAIT(staged),
     .help = "Wait until instances have the version on disk, verified."},
    {.name = "converged",
     .kind = SL_FLAG_BOOL,
     .offset = WAIT(converged),
     .help = "Wait until instances serve what they are meant to, or V when it is given. The "
	     "default when --env is given."},
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = WAIT(environment),
     .max = 64,
     .help = "The environment; needed for --staged and --converged."},
    {.name = "instance",
     .kind = SL_FLAG_TEXT,
     .offset = WAIT(instance),
     .max = 64,
     .placeholder = "NAME",
     .help = "Only this instance."},
    {.name = "all",
     .kind = SL_FLAG_BOOL,
     .offset = WAIT(all),
     .help = "Also wait for instances whose agent is not connected."},
    {.name = NULL},
};

static Sluice__V1__WaitCondition condition_of(const struct wait_flags *flags)
{
	if (flags->content) {
		return SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONTENT;
	}
	if (flags->published) {
		return SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_PUBLISHED;
	}
	return flags->staged ? SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED
			     : SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONVERGED;
}

/* NULL: all is well. */
static const char *whats_wrong(const struct wait_flags *flags, bool has_version)
{
	int count = flags->content + flags->published + flags->staged + flags->converged;
	bool has_environment = flags->environment[0] != '\0';
	if (count > 1 || (count == 0 && !has_environment)) {
		return "wait takes one of --content, --published, --staged and --converged";
	}
	if ((flags->content || flags->published || flags->staged) && !has_version) {
		return "--content, --published and --staged need a version: sluice wait APP V ...";
	}
	if (!flags->content && !flags->published && !has_environment) {
		return "--staged and --converged need --env";
	}
	return NULL;
}

static int run(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct wait_flags *flags = config;
	Sluice__V1__WaitForResponse *response = NULL;
	const char *wrong = whats_wrong(flags, args->count > 1);
	if (wrong != NULL) {
		return cli_complain(CLI_USAGE, "%s", wrong);
	}
	cli->app = args->items[0];
	cli->version = args->count > 1 ? args->items[1] : NULL;
	cli->environment = flags->environment;
	const struct cli_wait wait = {
	    .condition = condition_of(flags),
	    .app = cli->app,
	    .version = cli->version,
	    .environment = flags->environment,
	    .instance = flags->instance[0] != '\0' ? flags->instance : NULL,
	    .all = flags->all,
	};
	int code = cli_wait(cli, &wait, &response);
	if (response != NULL) {
		(void)cli_printed_json(cli, &response->base);
	}
	return code;
}

const struct cli_command cli_cmd_wait = {
    .about = {.name = "wait",
	      .synopsis = "APP [V]",
	      .summary = "Wait until a version's content, its tag or the instances are there",
	      .description = "Ends with 0 when it is there, 3 when it cannot come (an instance or "
			     "the content failed) and 4 after --timeout (default 5m).",
	      .args_min = 1,
	      .args_max = 2,
	      .flags = wait_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice wait shop v2 --content", "Until Git has been asked."},
		      {"sluice wait shop --env staging --timeout 2m",
		       "Until staging serves what it is meant to."},
		      {NULL, NULL}}},
    .run = run,
    .config_size = sizeof(struct wait_flags),
};

/* sluice select: which version an environment, or one instance of it, runs. */
#include <string.h>

#include "client/cli/commands.h"

struct select_flags {
	const char *environment, *instance;
	bool automatic;
};
#define SELECT(field) offsetof(struct select_flags, field)
static const struct sl_flag select_flags[] = {
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = SELECT(environment),
     .max = 64,
     .required = true,
     .help = "The environment."},
    {.name = "instance",
     .kind = SL_FLAG_TEXT,
     .offset = SELECT(instance),
     .max = 64,
     .placeholder = "NAME",
     .help = "Only this instance of it."},
    {.name = "auto",
     .kind = SL_FLAG_BOOL,
     .offset = SELECT(automatic),
     .help = "Lift the pin: the version that came there last runs again."},
    {.name = NULL},
};

static int lift(struct cli *cli, const struct select_flags *flags)
{
	Sluice__V1__ClearSelectionRequest request = SLUICE__V1__CLEAR_SELECTION_REQUEST__INIT;
	Sluice__V1__ClearSelectionResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	request.environment = cli_str(flags->environment);
	request.instance = cli_str(flags->instance);
	if (!CLI_CALL(cli, clear_selection, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, cli_ref(response->selected))) {
		cli_say(cli, "%s: %s runs %s, no longer pinned\n", cli->app, flags->environment,
			response->selected != NULL ? response->selected->name : "nothing");
	}
	return CLI_DONE;
}

static int run(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct select_flags *flags = config;
	Sluice__V1__SelectVersionRequest request = SLUICE__V1__SELECT_VERSION_REQUEST__INIT;
	Sluice__V1__SelectVersionResponse *response = NULL;
	cli->app = args->items[0];
	cli->environment = flags->environment;
	if ((args->count == 2) == flags->automatic) {
		return cli_complain(CLI_USAGE, "select takes either a version or --auto");
	}
	if (flags->automatic) {
		return lift(cli, flags);
	}
	cli->version = args->items[1];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	request.environment = cli_str(flags->environment);
	request.instance = cli_str(flags->instance);
	if (!CLI_CALL(cli, select_version, &request, &response)) {
		return cli_fail(cli);
	}
	const Sluice__V1__Selection *pin = response->selection;
	if (!cli_printed(cli, &response->base, cli_ref(pin->version))) {
		cli_say(cli, "%s: %s%s%s is pinned to %s\n", cli->app, pin->environment,
			pin->instance[0] != '\0' ? ", instance " : "", pin->instance,
			cli_ref(pin->version));
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_select = {
    .about = {.name = "select",
	      .synopsis = "APP V|--auto --env ENV",
	      .summary = "Pin the version that an environment or instance runs, or lift the pin",
	      .description =
		  "In development and staging. What production runs is what is released.",
	      .args_min = 1,
	      .args_max = 2,
	      .flags = select_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice select shop v1 --env staging",
		       "Staging goes back to v1 until the pin is lifted."},
		      {"sluice select shop --auto --env staging", "Lift it."},
		      {NULL, NULL}}},
    .run = run,
    .config_size = sizeof(struct select_flags),
};

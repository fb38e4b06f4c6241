/* sluice logout: the end of a login, on the server and here. */
#include "client/cli/commands.h"
#include "client/cli/context.h"

/* Another certificate than the context's is nobody's to throw away here. */
static int run(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__WhoAmIRequest who = SLUICE__V1__WHO_AM_IREQUEST__INIT;
	Sluice__V1__WhoAmIResponse *me = NULL;
	Sluice__V1__LogoutRequest request = SLUICE__V1__LOGOUT_REQUEST__INIT;
	Sluice__V1__LogoutResponse *response = NULL;
	if (cli->login == NULL) {
		return cli_complain(
		    CLI_USAGE,
		    "no context is in use: there is no login to end (sluice context ls)");
	}
	if (!CLI_CALL(cli, who_am_i, &who, &me)) {
		return cli_fail(cli);
	}
	request.workspace = me->workspace;
	request.write = &cli->write;
	if (!CLI_CALL(cli, logout, &request, &response)) {
		return cli_fail(cli);
	}
	if (context_remove(cli->login->name, &err) != SL_OK) {
		return cli_fail_here(&err);
	}
	if (!cli_printed(cli, &response->base, cli->login->name)) {
		cli_say(cli, "logged out of %s as %s; context %s is removed with its key\n",
			cli->server, me->principal, cli->login->name);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_logout = {
    .about = {.name = "logout",
	      .synopsis = "[--context NAME]",
	      .summary = "End a login: the server refuses its certificate from now on, and the "
			 "context is removed with its key",
	      .description =
		  "Of --context, else of the one in use. Other logins of the same principal stay. "
		  "When the server cannot be reached nothing is removed; one that has expired has "
		  "nothing to end there: `sluice context rm`.",
	      .examples =
		  (const struct sl_example[]){{"sluice logout", "On a machine that is given "
								"away."},
					      {NULL, NULL}}},
    .run = run,
};

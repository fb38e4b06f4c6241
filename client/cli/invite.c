/* sluice instance add, rejoin, revoke: agents let in and turned out of a server with TLS. */
#include <stdlib.h>
#include <string.h>

#include "base/join/join.h"
#include "client/cli/commands.h"
#include "client/cli/invite.h"

const struct sl_flag cli_rejoin_flags[] = {
    CLI_TTL_FLAG(struct rejoin_flags, ttl_ms),
    {.name = NULL},
};

char *cli_with_port(struct cli *cli, const char *address, uint32_t port)
{
	const char *colon = strrchr(address, ':');
	int length = colon == NULL ? (int)strlen(address) : (int)(colon - address);
	return sl_arena_printf(&cli->arena, "%.*s:%u", length, address, port);
}

static int print_join(struct cli *cli, const Sluice__V1__InviteInstanceResponse *response)
{
	char text[TEXT_SIZE];
	bool knows = response->server[0] != '\0';
	struct join join = {
	    .server = knows ? response->server : cli->server,
	    .ca = response->ca,
	    .workspace = cli_str(cli->workspace[0] != '\0' ? cli->workspace : "default"),
	    .instance = response->instance->name,
	    .token = response->secret,
	};
	join.door = response->door[0] != '\0'
			? response->door
			: cli_with_port(cli, join.server, response->door_port);
	char *file = join.door == NULL ? NULL : join_text(&join);
	if (file == NULL) {
		return cli_complain(CLI_FAILED, "out of memory");
	}
	(void)fputs(file, stdout);
	free(file);
	(void)fprintf(stderr,
		      "instance %s: the join file above is good once, until %s; on its host run: "
		      "sluice-agent enroll --join FILE --state DIR\n",
		      response->instance->name, text_time(text, response->expires_at));
	return CLI_DONE;
}

int cli_invite(struct cli *cli, const char *instance, uint64_t ttl_ms)
{
	Sluice__V1__InviteInstanceRequest request = SLUICE__V1__INVITE_INSTANCE_REQUEST__INIT;
	Sluice__V1__InviteInstanceResponse *response = NULL;
	Google__Protobuf__Duration ttl = GOOGLE__PROTOBUF__DURATION__INIT;
	Sluice__V1__WriteOptions write = cli->write;
	write.request_id = cli_str(""); /* a secret is not shown twice */
	ttl.seconds = (int64_t)(ttl_ms / 1000);
	request.workspace = cli->workspace;
	request.write = &write;
	request.instance = cli_str(instance);
	request.ttl = &ttl;
	return CLI_CALL(cli, invite_instance, &request, &response) ? print_join(cli, response)
								   : cli_fail(cli);
}

static int rejoin(struct cli *cli, const struct sl_args *args, void *config)
{
	return cli_invite(cli, args->items[0], ((const struct rejoin_flags *)config)->ttl_ms);
}

static int revoke(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__RevokeInstanceRequest request = SLUICE__V1__REVOKE_INSTANCE_REQUEST__INIT;
	Sluice__V1__RevokeInstanceResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.instance = cli_str(args->items[0]);
	enum cli_exit go = cli_confirm(
	    cli, "Revoke the agent of instance %s (it keeps serving, and is heard no more)?",
	    args->items[0]);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, revoke_instance, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->instance->name)) {
		cli_say(cli,
			"the agent of instance %s is revoked; `sluice instance rejoin` lets one in "
			"again\n",
			response->instance->name);
	}
	return CLI_DONE;
}

static int clear_alerts(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__ClearInstanceAlertsRequest request =
	    SLUICE__V1__CLEAR_INSTANCE_ALERTS_REQUEST__INIT;
	Sluice__V1__ClearInstanceAlertsResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.instance = cli_str(args->items[0]);
	if (!CLI_CALL(cli, clear_instance_alerts, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->instance->name)) {
		cli_say(cli, "the alerts of instance %s are cleared\n", response->instance->name);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_instance_rejoin = {
    .about = {.name = "instance rejoin",
	      .synopsis = "NAME > join.json",
	      .summary = "Print a join file for an instance that is there",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = cli_rejoin_flags},
    .run = rejoin,
    .config_size = sizeof(struct rejoin_flags),
};
const struct cli_command cli_cmd_instance_revoke = {
    .about = {.name = "instance revoke",
	      .synopsis = "NAME",
	      .summary = "Turn the instance's agent out for good; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = revoke,
};
const struct cli_command cli_cmd_instance_clear = {
    .about = {.name = "instance clear",
	      .synopsis = "NAME",
	      .summary = "Take an instance's alerts as seen",
	      .args_min = 1,
	      .args_max = 1},
    .run = clear_alerts,
};

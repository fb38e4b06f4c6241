/* sluice token: access tokens, which log principals in. */
#include <stdlib.h>

#include "base/clock/clock.h"
#include "base/join/login.h"
#include "client/cli/commands.h"
#include "client/cli/invite.h"

struct create_flags {
	uint64_t life_ms;
	const char *description;
	bool login;
};
static const struct sl_flag create_flags[] = {
    {.name = "life",
     .kind = SL_FLAG_DURATION,
     .offset = offsetof(struct create_flags, life_ms),
     .fallback = "90d",
     .min = 1000,
     .max = UINT64_C(366) * 24 * 3600 * 1000,
     .help = "How long it can be used."},
    {.name = "description",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct create_flags, description),
     .max = 200,
     .help = "For people."},
    {.name = "login",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct create_flags, login),
     .help = "Print a login file instead of the bare token: one line with the server's address and "
	     "CA besides, for `sluice login`."},
    {.name = NULL},
};

static int print_login(struct cli *cli, const Sluice__V1__CreateAccessTokenResponse *response)
{
	struct login_file file = {
	    .server = response->server[0] != '\0' ? response->server : cli->server,
	    .ca = response->ca,
	    .token = response->secret,
	};
	if (response->door_port == 0) {
		return cli_complain(CLI_FAILED, "the server has no door, so nobody can log in: "
						"sluiced serve --door-listen");
	}
	file.door = response->door[0] != '\0'
			? response->door
			: cli_with_port(cli, file.server, response->door_port);
	char *text = file.door == NULL ? NULL : login_file_text(&file);
	if (text == NULL) {
		return cli_complain(CLI_FAILED, "out of memory");
	}
	(void)fputs(text, stdout);
	free(text);
	return CLI_DONE;
}

/* The token alone goes to stdout, so that it can be piped; what is said of it goes elsewhere. */
static int create(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct create_flags *flags = config;
	Sluice__V1__CreateAccessTokenRequest request =
	    SLUICE__V1__CREATE_ACCESS_TOKEN_REQUEST__INIT;
	Sluice__V1__CreateAccessTokenResponse *response = NULL;
	Google__Protobuf__Duration lifetime = GOOGLE__PROTOBUF__DURATION__INIT;
	char text[TEXT_SIZE];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.principal = cli_str(args->items[0]);
	request.description = cli_str(flags->description);
	request.lifetime = &lifetime;
	lifetime.seconds = (int64_t)(flags->life_ms / 1000);
	if (!CLI_CALL(cli, create_access_token, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed(cli, &response->base, response->secret)) {
		return CLI_DONE;
	}
	if (response->secret[0] == '\0') {
		return cli_complain(CLI_FAILED,
				    "the server made %s before, and shows a token once "
				    "only: make another one",
				    response->token->id);
	}
	int code = CLI_DONE;
	if (flags->login) {
		code = print_login(cli, response);
	} else {
		(void)printf("%s\n", response->secret);
	}
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s logs %s in until %s; it is shown this once\n",
		      response->token->id, response->token->principal,
		      text_time(text, response->token->expires_at));
	return code;
}

static const char *state_of(const Sluice__V1__AccessToken *token, uint64_t now_ms)
{
	if (token->revoked_at != NULL) {
		return "revoked";
	}
	bool over =
	    token->expires_at == NULL || (uint64_t)token->expires_at->seconds * 1000 <= now_ms;
	return over ? "expired" : "ok";
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	static const char *const headings[] = {"ID",   "PRINCIPAL", "STATE",       "EXPIRES",
					       "USED", "MADE BY",   "DESCRIPTION", NULL};
	Sluice__V1__ListAccessTokensRequest request = SLUICE__V1__LIST_ACCESS_TOKENS_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.principal = cli_str(args->count > 0 ? args->items[0] : "");
	const Sluice__V1__ListAccessTokensResponse *list =
	    cli_list(cli, SLUICE_RPC_ListAccessTokens, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	uint64_t now_ms = sl_clock_unix_ms();
	for (size_t i = 0; i < list->n_tokens; i++) {
		const Sluice__V1__AccessToken *token = list->tokens[i];
		char text[TEXT_SIZE];
		table_put(table, TEXT_STRONG, "%s", token->id);
		table_put(table, TEXT_PLAIN, "%s", token->principal);
		table_put(table, TEXT_PLAIN, "%s", state_of(token, now_ms));
		table_put(table, TEXT_PLAIN, "%s", text_time(text, token->expires_at));
		table_put(table, TEXT_PLAIN, "%s",
			  token->last_used_at == NULL
			      ? "never"
			      : text_age(text, token->last_used_at, now_ms));
		table_put(table, TEXT_FAINT, "%s", token->created_by);
		table_put(table, TEXT_PLAIN, "%s", token->description);
	}
	return cli_end_table(table);
}

static int revoke(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__RevokeAccessTokenRequest request =
	    SLUICE__V1__REVOKE_ACCESS_TOKEN_REQUEST__INIT;
	Sluice__V1__RevokeAccessTokenResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.token = cli_str(args->items[0]);
	if (!CLI_CALL(cli, revoke_access_token, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->token->id)) {
		cli_say(cli, "access token %s logs nobody in any more\n", response->token->id);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_token_create = {
    .about = {.name = "token create",
	      .synopsis = "PRINCIPAL [--life DURATION] [--login]",
	      .summary = "Make an access token; it is printed once, alone on stdout",
	      .flags = create_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice token create ci --login | ssh ci.example.com sluice login",
		       "Let a bot in without its token being in a command line or file."},
		      {NULL, NULL}},
	      .args_min = 1,
	      .args_max = 1},
    .run = create,
    .config_size = sizeof(struct create_flags),
};
const struct cli_command cli_cmd_token_ls = {
    .about = {.name = "token ls",
	      .synopsis = "[PRINCIPAL]",
	      .summary = "List access tokens, without what is secret of them",
	      .args_max = 1},
    .run = ls,
};
const struct cli_command cli_cmd_token_revoke = {
    .about = {.name = "token revoke",
	      .synopsis = "ID",
	      .summary = "Make an access token useless",
	      .args_min = 1,
	      .args_max = 1},
    .run = revoke,
};

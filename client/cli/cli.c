#include "client/cli/cli.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/own.h"
#include "base/tls/files.h"
#include "base/version.h"
#include "client/cli/context.h"

#define GLOBAL(field) offsetof(struct cli_globals, field)
const struct sl_flag cli_global_flags[] = {
    {.name = "context",
     .kind = SL_FLAG_TEXT,
     .offset = GLOBAL(context),
     .max = CONTEXT_NAME_MAX,
     .placeholder = "NAME",
     .help = "As whom and on which server, of those that `sluice login` made; else "
	     "SLUICE_CONTEXT, else the one in use (`sluice context use`)."},
    {.name = "server",
     .kind = SL_FLAG_TEXT,
     .offset = GLOBAL(server),
     .max = 300,
     .placeholder = "HOST:PORT",
     .help = "The control plane; else SLUICE_SERVER, else the context's, else `server` in "
	     "$XDG_CONFIG_HOME/sluice/context.json or ~/.config/sluice/context.json, else "
	     "" CONTEXT_SERVER_DEFAULT ". Another than the context's is spoken to without it, "
	     "unless --context names one."},
    {.name = "workspace",
     .letter = 'w',
     .kind = SL_FLAG_TEXT,
     .offset = GLOBAL(workspace),
     .max = 64,
     .placeholder = "NAME",
     .help = "The workspace; else SLUICE_WORKSPACE, else the context's, else `workspace` in "
	     "context.json, else default."},
    {.name = "tls-ca",
     .kind = SL_FLAG_TEXT,
     .offset = GLOBAL(tls_ca),
     .placeholder = "FILE",
     .help = "Speak TLS without a context, with a server that this CA (PEM) certifies; else "
	     "SLUICE_TLS_CA."},
    {.name = "tls-cert",
     .kind = SL_FLAG_TEXT,
     .offset = GLOBAL(tls_cert),
     .placeholder = "FILE",
     .help = "The client's own certificate (PEM); else SLUICE_TLS_CERT."},
    {.name = "tls-key",
     .kind = SL_FLAG_TEXT,
     .offset = GLOBAL(tls_key),
     .placeholder = "FILE",
     .help = "Its key (PEM, 0600); else SLUICE_TLS_KEY."},
    {.name = "output",
     .letter = 'o',
     .kind = SL_FLAG_TEXT,
     .offset = GLOBAL(output),
     .fallback = "table",
     .choices = "table|json|name",
     .help =
	 "How the result is printed: for people, as the server's answer in protobuf's JSON mapping "
	 "(64-bit numbers are texts), or just names, one a line. Plans, prompts and progress then "
	 "go to stderr."},
    {.name = "yes",
     .letter = 'y',
     .kind = SL_FLAG_BOOL,
     .offset = GLOBAL(yes),
     .help = "Do not ask. Without a terminal on standard input it is needed where a question would "
	     "be asked."},
    {.name = "timeout",
     .kind = SL_FLAG_DURATION,
     .offset = GLOBAL(timeout_ms),
     .max = 3600000,
     .help = "How long to wait: for an answer 30s, where the command waits for a result 5m, unless "
	     "said otherwise."},
    {.name = "color",
     .kind = SL_FLAG_BOOL,
     .offset = GLOBAL(color),
     .fallback = "true",
     .help = "Colours on a terminal; --no-color, or NO_COLOR in the environment, turns them off."},
    {.name = "reason",
     .kind = SL_FLAG_TEXT,
     .offset = GLOBAL(reason),
     .max = 1000,
     .help = "Why, for the history of what changes."},
    {.name = "request-id",
     .kind = SL_FLAG_TEXT,
     .offset = GLOBAL(request_id),
     .max = 64,
     .placeholder = "ID",
     .help = "Makes a repeated command safe: with the same id and arguments it takes effect once "
	     "and gets the first "
	     "answer again, for 24 hours. Without it every run is a new request."},
    {.name = NULL},
};

bool cli_keep(struct cli *cli, void *message)
{
	void **kept = realloc(cli->kept, (cli->kept_count + 1) * sizeof(*kept));
	if (kept == NULL) {
		abort(); /* a few bytes for a program that is about to end: nobody could hear it */
	}
	kept[cli->kept_count++] = message;
	cli->kept = kept;
	return true;
}

/* Symbols are UTF-8, and a plain C locale would print them as hex. */
static void use_utf8(void)
{
	if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
		(void)setlocale(LC_CTYPE, "C.UTF-8");
	}
}

static bool wants_colors(const struct cli *cli, FILE *out)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	bool dumb = term != NULL && strcmp(term, "dumb") == 0;
	return cli->flags.color && (no_color == NULL || no_color[0] == '\0') && !dumb &&
	       isatty(fileno(out)) != 0;
}

static enum cli_output output_of(const char *name)
{
	if (strcmp(name, "json") == 0) {
		return CLI_JSON;
	}
	return strcmp(name, "name") == 0 ? CLI_NAME : CLI_TABLE;
}

static sl_code read_tls(const struct cli_globals *flags, struct tls_files *ret_files,
			struct sl_err *err)
{
	return tls_files_read(context_or_environment(flags->tls_ca, "SLUICE_TLS_CA"),
			      context_or_environment(flags->tls_cert, "SLUICE_TLS_CERT"),
			      context_or_environment(flags->tls_key, "SLUICE_TLS_KEY"), ret_files,
			      err);
}

static sl_code open_with(struct cli *cli, const struct tls_files *tls, struct sl_err *err)
{
	sluice_client *client = NULL;
	const sluice_options options = {
	    .user_agent = "sluice/" SLUICE_VERSION,
	    .ca_pem = tls->ca,
	    .cert_pem = tls->cert,
	    .key_pem = tls->key,
	};
	if (sluice_client_new(cli->server, &options, &client, &cli->error) != SLUICE_OK) {
		bool over = strcmp(cli->error.reason, "CERTIFICATE_EXPIRED") == 0;
		return sl_err_because(err, (sl_code)cli->error.code,
				      over ? SL_REASON_CERTIFICATE_EXPIRED : SL_REASON_NONE, "%s",
				      cli->error.message);
	}
	sluice_client_free(cli->client);
	cli->client = client;
	cli->secure = tls->ca != NULL;
	return SL_OK;
}

sl_code cli_open_client(struct cli *cli, struct sl_err *err)
{
	return open_with(cli, &cli->login->tls, err);
}

sl_code cli_connect(struct cli *cli, struct sl_err *err)
{
	SL_AUTO(tls_files_fini) struct tls_files tls = {0};
	sl_code code = read_tls(&cli->flags, &tls, err);
	if (code != SL_OK) {
		return code;
	}
	bool own = tls.ca != NULL || tls.cert != NULL || tls.key != NULL;
	const struct context_wish wish = {.context = cli->flags.context,
					  .server = cli->flags.server,
					  .workspace = cli->flags.workspace,
					  .own_tls = own};
	struct context context = {0};
	code = context_find(&wish, &context, err);
	if (code != SL_OK) {
		return code;
	}
	cli->server = context.server;
	cli->workspace = context.workspace;
	if (context.login == NULL || own) {
		login_context_free(context.login);
		return open_with(cli, &tls, err);
	}
	cli->login = context.login;
	return cli_open_client(cli, err);
}

sl_code cli_init(struct cli *cli, const struct cli_globals *flags, bool offline, struct sl_err *err)
{
	*cli = (struct cli){
	    .flags = *flags,
	    .output = output_of(flags->output),
	    .error = SLUICE_ERROR_INIT,
	    .write = SLUICE__V1__WRITE_OPTIONS__INIT,
	    .call = {.timeout_ms = (uint32_t)flags->timeout_ms},
	};
	sl_arena_init(&cli->arena, 0);
	use_utf8();
	cli->talk = cli->output == CLI_TABLE ? stdout : stderr;
	cli->out_colors = wants_colors(cli, stdout);
	cli->talk_colors = wants_colors(cli, cli->talk);
	cli->write.reason = cli_str(flags->reason);
	cli->write.request_id = cli_str(flags->request_id);
	return offline ? SL_OK : cli_connect(cli, err);
}

void cli_fini(struct cli *cli)
{
	for (size_t i = 0; i < cli->kept_count; i++) {
		sluice_message_free(cli->kept[i]);
	}
	free(cli->kept);
	sl_arena_fini(&cli->arena);
	sluice_client_free(cli->client);
	sluice_error_clear(&cli->error);
	login_context_free(cli->login);
	free(cli->server);
	free(cli->workspace);
	*cli = (struct cli){0};
}

static int run_command(const struct cli_command *command, const struct cli_globals *globals,
		       const struct sl_args *args, void *config)
{
	SL_AUTO(cli_fini) struct cli cli = {0};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (cli_init(&cli, globals, command->offline, &err) != SL_OK) {
		return cli_fail_here(&err);
	}
	int code = command->run(&cli, args, config);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		return cli_complain(CLI_FAILED, "the output could not be written");
	}
	return code;
}

static int parse_and_run(const struct sl_found *found)
{
	const struct cli_command *command =
	    SL_CONTAINER_OF(found->command, const struct cli_command, about);
	SL_AUTO(sl_args_fini) struct sl_args args = {0};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) void *config = calloc(1, command->config_size + 1);
	struct cli_globals globals = {0};
	if (config == NULL) {
		return cli_complain(CLI_FAILED, "out of memory");
	}
	sl_code code =
	    sl_command_parse(&cli_program, found, (struct sl_target){&globals, sizeof(globals)},
			     (struct sl_target){config, command->config_size}, &args, &err);
	if (code != SL_OK) {
		(void)cli_complain(CLI_USAGE, "%s", err.msg);
		(void)fprintf(stderr, "  run: sluice %s --help\n", found->command->name);
		return CLI_USAGE;
	}
	if (args.help) {
		sl_command_help(stdout, &cli_program, found, sl_help_width(stdout));
		return CLI_DONE;
	}
	return run_command(command, &globals, &args, config);
}

int cli_main(int argc, const char *const *argv)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct sl_found found;
	if (sl_command_find(&cli_program, argc, argv, &found, &err) != SL_OK) {
		return cli_complain(CLI_USAGE, "%s", err.msg);
	}
	if (found.version) {
		(void)puts("sluice " SLUICE_VERSION);
		return CLI_DONE;
	}
	if (found.command != NULL) {
		return parse_and_run(&found);
	}
	FILE *out = argc > 0 ? stdout : stderr;
	sl_command_help(out, &cli_program, &found, sl_help_width(out));
	return argc > 0 ? CLI_DONE : CLI_USAGE;
}

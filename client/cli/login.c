/* sluice login: a token becomes a certificate, and that a context. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/join/login.h"
#include "base/tls/tls.h"
#include "client/cli/commands.h"
#include "client/cli/context.h"
#include "client/cli/invite.h"
#include "client/cli/secret_input.h"

enum { DOOR_PORT = 7444, DOOR_WAIT_MS = 20000 };

struct login_flags {
	const char *door, *ca, *token_file;
};
#define AT(field) offsetof(struct login_flags, field)
static const struct sl_flag login_flags[] = {
    {.name = "token-file",
     .kind = SL_FLAG_TEXT,
     .offset = AT(token_file),
     .placeholder = "FILE",
     .help = "A file with a login file or an access token; `-`, or without the flag, standard "
	     "input. On a terminal it is asked for, and not shown."},
    {.name = "door",
     .kind = SL_FLAG_TEXT,
     .offset = AT(door),
     .max = 300,
     .placeholder = "HOST:PORT",
     .help = "Where the server lets strangers in; else the login file's, else the context's, else "
	     "--server's host and port 7444."},
    {.name = "ca",
     .kind = SL_FLAG_TEXT,
     .offset = AT(ca),
     .placeholder = "FILE",
     .help = "Whom the server must be certified by (PEM; on its host DIR/keys/ca.pem); else the "
	     "login file's, else the context's."},
    {.name = NULL},
};

/* Where to and with what. */
struct entry {
	struct login_file file;    /* what was handed over: all of it, or the token alone */
	struct tls_files given;    /* --ca */
	char *name;                /* of the context */
	bool named;                /* by its user */
	struct login_context *old; /* the context as it was; NULL: there was none */
	const char *server, *door, *ca;
};

static void entry_fini(struct entry *entry)
{
	login_file_fini(&entry->file);
	tls_files_fini(&entry->given);
	login_context_free(entry->old);
	free(entry->name);
}

/* --- what was handed over ------------------------------------------------------------------- */

static sl_code read_token(const char *text, struct login_file *file, struct sl_err *err)
{
	size_t length = strlen(text);
	if (text[0] == '{') {
		return login_file_parse(SL_BYTES(text, length), file, err);
	}
	if (length == 0) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "nothing was given: a login file or an access token, on standard "
				  "input or by --token-file (sluice token create NAME --login)");
	}
	if (strpbrk(text, " \t\r\n") != NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "what was given is neither a login file nor one access token");
	}
	file->token = strdup(text);
	return file->token != NULL ? SL_OK : sl_err_no_memory(err);
}

static sl_code read_given(const struct login_flags *flags, struct entry *entry, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	sl_code code = tls_files_read(flags->ca, NULL, NULL, &entry->given, err);
	code = code != SL_OK
		   ? code
		   : secret_input(flags->token_file, "Login file or access token", &text, err);
	return code != SL_OK ? code : read_token(text, &entry->file, err);
}

/* --- which context, which server --- */

static sl_code find_name(const struct cli *cli, struct entry *entry, struct sl_err *err)
{
	const char *named = context_or_environment(cli->flags.context, "SLUICE_CONTEXT");
	entry->named = named != NULL;
	sl_code code = SL_OK;
	if (named == NULL) {
		code = context_current(&entry->name, err);
	}
	if (code == SL_OK && entry->name == NULL) {
		entry->name = strdup(named != NULL ? named : "default");
		code = entry->name != NULL ? SL_OK : sl_err_no_memory(err);
	}
	if (code == SL_OK && context_load(entry->name, &entry->old, err) != SL_OK) {
		bool bad_name = err->code == SL_INVALID_ARGUMENT;
		code = bad_name ? SL_INVALID_ARGUMENT : SL_OK; /* none, or one to be made anew */
		if (!bad_name) {
			sl_err_clear(err);
		}
	}
	return code;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
	return a != NULL && a[0] != '\0' ? a : b != NULL ? b : c;
}

static sl_code find_server(struct cli *cli, const struct login_flags *flags, struct entry *entry,
			   struct sl_err *err)
{
	const struct login_context *old = entry->old;
	const char *named = context_or_environment(NULL, "SLUICE_SERVER");
	const char *other = named != NULL ? named : old != NULL ? old->server : NULL;
	entry->server = first_of(cli->flags.server, entry->file.server, other);
	entry->ca = first_of(entry->given.ca, entry->file.ca, old != NULL ? old->tls.ca : NULL);
	if (entry->server == NULL || entry->ca == NULL) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "a token alone does not say %s: give %s, or a login file (sluice "
				  "token create NAME --login)",
				  entry->server == NULL ? "of which server it is"
							: "by whom the server is certified",
				  entry->server == NULL ? "--server HOST:PORT" : "--ca FILE");
	}
	bool same = old != NULL && strcmp(old->server, entry->server) == 0;
	if (old != NULL && !same && !entry->named) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "context '%s' is of server %s, and this is a login to %s: name "
				  "another context by --context",
				  entry->name, old->server, entry->server);
	}
	entry->door = first_of(flags->door, entry->file.door, same ? old->door : NULL);
	entry->door =
	    entry->door != NULL ? entry->door : cli_with_port(cli, entry->server, DOOR_PORT);
	return SL_OK;
}

/* --- the certificate --------------------------------------------------------------- */

static const char *either(const char *first, const char *second)
{
	return first[0] != '\0' ? first : second;
}

static sl_code fill(const struct cli *cli, const struct entry *entry,
		    const Sluice__V1__LoginResponse *response, struct login_context *login,
		    struct sl_err *err)
{
	const char *ca = either(response->ca, entry->ca);
	const char *server = either(cli->flags.server, either(response->server, entry->server));
	login->server = strdup(server);
	login->door = strdup(entry->door);
	login->workspace = strdup(either(cli->flags.workspace, response->workspace));
	login->principal = strdup(response->principal);
	login->identity_id = strdup(response->identity_id);
	login->tls.ca = sl_secret_text(ca, strlen(ca));
	login->tls.cert = sl_secret_text(response->certificate, strlen(response->certificate));
	login->taken_ms = sl_clock_unix_ms();
	bool whole = login->server != NULL && login->door != NULL && login->workspace != NULL &&
		     login->principal != NULL && login->identity_id != NULL &&
		     login->tls.ca != NULL && login->tls.cert != NULL;
	return whole ? login_context_check(login, err) : sl_err_no_memory(err);
}

/* Keeps what came, and puts it in use. */
static sl_code keep(const struct login_context *login, struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int lock = -1;
	sl_code code = context_lock(login->name, &lock, err);
	code = code != SL_OK ? code : context_save(login, err);
	return code != SL_OK ? code : context_use(login->name, err);
}

static int told(const struct cli *cli, const struct login_context *login)
{
	char until[SL_CLOCK_TEXT_SIZE];
	if (context_printed(cli, login)) {
		return CLI_DONE;
	}
	cli_say(cli,
		"logged in to %s as %s, workspace %s; context %s is in use\n"
		"  the certificate is good until %s, and renewed by whatever command is run in the "
		"second half of that time\n",
		login->server, login->principal, login->workspace, login->name,
		sl_clock_text(until, login->not_after_ms));
	return CLI_DONE;
}

static int ask_door(struct cli *cli, const struct entry *entry, struct login_context *login)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	SL_AUTO(sl_free_auto) char *csr = NULL;
	Sluice__V1__LoginRequest request = SLUICE__V1__LOGIN_REQUEST__INIT;
	Sluice__V1__LoginResponse *response = NULL;
	const sluice_call call = {.timeout_ms = DOOR_WAIT_MS};
	const sluice_options options = {.ca_pem = entry->ca};
	sl_code code = tls_key_new(&key, &err);
	code = code != SL_OK ? code : tls_key_pem(key, &login->tls.key, &err);
	code = code != SL_OK ? code : tls_csr_new(key, &csr, &err);
	if (code != SL_OK) {
		return cli_fail_here(&err);
	}
	request.token = entry->file.token;
	request.certificate_request = csr;
	if (sluice_client_new(entry->door, &options, &cli->client, &cli->error) != SLUICE_OK ||
	    sluice_login(cli->client, &call, &request, &response, &cli->error) != SLUICE_OK) {
		return cli_fail(cli);
	}
	(void)cli_keep(cli, response);
	code = fill(cli, entry, response, login, &err);
	code = code != SL_OK ? code : keep(login, &err);
	return code != SL_OK ? cli_fail_here(&err) : told(cli, login);
}

static int run(struct cli *cli, const struct sl_args *args, void *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(entry_fini) struct entry entry = {.name = NULL};
	SL_AUTO(login_context_free_auto) struct login_context *login = NULL;
	const struct login_flags *flags = config;
	(void)args;
	sl_code code = find_name(cli, &entry, &err);
	code = code != SL_OK ? code : login_context_new(entry.name, &login, &err);
	code = code != SL_OK ? code : read_given(flags, &entry, &err);
	code = code != SL_OK ? code : find_server(cli, flags, &entry, &err);
	return code != SL_OK ? cli_fail_here(&err) : ask_door(cli, &entry, login);
}

const struct cli_command cli_cmd_login = {
    .about =
	{.name = "login",
	 .synopsis = "[--context NAME] < LOGIN-FILE",
	 .summary = "Turn an access token into a certificate of this machine, kept as a context",
	 .description =
	     "The token comes from standard input or a file, never from the command line: alone, "
	     "with --server and --ca, or in a login file, one line that has address, CA and token "
	     "(`sluice token create NAME --login`, `sluiced token --login`).\n\nThe key is made "
	     "here and never leaves. The certificate is renewed while the context is used; once it "
	     "has expired, `sluice login` again asks for a token only.",
	 .flags = login_flags,
	 .examples =
	     (const struct sl_example[]){
		 {"sluice login", "Asks for what somebody handed over, and does not show it."},
		 {"sluice login --context prod --token-file alice.login", "From a login file."},
		 {"sluice login --server sluice.example.org:7443 --ca ca.pem < token",
		  "From a bare token."},
		 {NULL, NULL}}},
    .run = run,
    .config_size = sizeof(struct login_flags),
    .offline = true,
};

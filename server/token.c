#include "server/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/mem/own.h"
#include "server/ca/folder.h"
#include "server/first_admin.h"
#include "server/local/local.h"

enum { EXIT_FAILED = 3, EXIT_USAGE = 64 };

#define DEFAULT_SERVER "127.0.0.1:7443"
#define DEFAULT_DOOR "127.0.0.1:7444"

#define AT(field) offsetof(struct token_config, field)
static const struct sl_flag token_flags[] = {
    {.name = "data",
     .kind = SL_FLAG_TEXT,
     .offset = AT(data),
     .min = 1,
     .required = true,
     .placeholder = "DIR",
     .help = "The data folder. A server may run on it: then that one makes the token."},
    {.name = "login",
     .kind = SL_FLAG_BOOL,
     .offset = AT(login),
     .help = "Print a login file, which has the server's address and CA besides, for `sluice "
	     "login`."},
    {.name = "server",
     .kind = SL_FLAG_TEXT,
     .offset = AT(server),
     .max = 255,
     .placeholder = "HOST:PORT",
     .help = "The main port for the login file; else as a running server says (--advertise, or "
	     "where it listens), else " DEFAULT_SERVER "."},
    {.name = "door",
     .kind = SL_FLAG_TEXT,
     .offset = AT(door),
     .max = 255,
     .placeholder = "HOST:PORT",
     .help = "The same of the door; else " DEFAULT_DOOR "."},
    {.name = NULL},
};

static const struct sl_exit_code exit_codes[] = {
    {0, "the token is printed"},
    {EXIT_FAILED, "it could not be made"},
    {EXIT_USAGE, "the command line is wrong"},
    {0, NULL},
};

const struct sl_command server_token_command = {
    .name = "token",
    .synopsis = "--data DIR [--login]",
    .summary = "Make an access token for those who are locked out",
    .description =
	"Makes the principal `admin`, or gives it back what it has lost, and prints a new access "
	"token for it, this once; it is good for a day. To be run as the server's user, while the "
	"server runs or not. It is in the audit as `token` by `sluiced`.",
    .flags = token_flags,
    .examples =
	(const struct sl_example[]){{"sluiced token --data /var/lib/sluice --login | sluice login",
				     "Log in on the server's host; nobody sees the token."},
				    {NULL, NULL}},
    .exit_codes = exit_codes,
};

static sl_code read_keys(const char *data, struct sl_token_key *key, struct login_file *file,
			 struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int folder = -1;
	SL_AUTO(sl_free_auto) char *path = NULL;
	SL_AUTO(sl_secret_text_auto) char *ca = NULL;
	size_t size = 0;
	if (asprintf(&path, "%s/" CA_FOLDER "/token.key", data) < 0) {
		return sl_err_no_memory(err);
	}
	sl_code code = ca_folder_open(data, &folder, err);
	code = code != SL_OK ? code : ca_file_read(folder, "ca.pem", &ca, &size, err);
	code = code != SL_OK ? code : sl_token_key_load(path, false, key, err);
	if (code != SL_OK) {
		return code;
	}
	file->server = strdup(DEFAULT_SERVER);
	file->door = strdup(DEFAULT_DOOR);
	file->ca = strdup(ca);
	return file->server != NULL && file->door != NULL && file->ca != NULL
		   ? SL_OK
		   : sl_err_no_memory(err);
}

/* No server runs on the folder. */
static sl_code make_here(const char *data, struct login_file *file, struct sl_err *err)
{
	struct sl_token_key key;
	sl_code code = read_keys(data, &key, file, err);
	code = code != SL_OK ? code
			     : server_first_admin(data, &key, sl_clock_unix_ms(),
						  LOCAL_TOKEN_LIFE_MS, &file->token, err);
	sl_wipe(&key, sizeof(key));
	return code;
}

static sl_code replace(char **text, const char *with, struct sl_err *err)
{
	if (with[0] == '\0') {
		return SL_OK;
	}
	free(*text);
	*text = strdup(with);
	return *text != NULL ? SL_OK : sl_err_no_memory(err);
}

static sl_code print(const struct token_config *config, struct login_file *file, struct sl_err *err)
{
	sl_code code = replace(&file->server, config->server, err);
	code = code != SL_OK ? code : replace(&file->door, config->door, err);
	if (code != SL_OK) {
		return code;
	}
	if (!config->login) {
		(void)printf("%s\n", file->token);
		return SL_OK;
	}
	char *text = login_file_text(file);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	(void)fputs(text, stdout);
	sl_wipe(text, strlen(text));
	free(text);
	return SL_OK;
}

int server_token(const struct token_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(login_file_fini) struct login_file file = {0};
	sl_code code = sl_secret_harden(&err);
	code = code != SL_OK ? code : local_ask(config->data, &file, &err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(&err);
		code = make_here(config->data, &file, &err);
	}
	code = code != SL_OK ? code : print(config, &file, &err);
	if (code == SL_OK && fflush(stdout) != 0) {
		code = sl_err_set(&err, SL_INTERNAL, "the token could not be written");
	}
	if (code != SL_OK) {
		(void)fprintf(stderr, "sluiced: token: %s\n", err.msg);
		return EXIT_FAILED;
	}
	(void)fprintf(stderr, "an access token of `admin`, good for a day, printed this once\n");
	return EXIT_SUCCESS;
}

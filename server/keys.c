#include "server/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/mem/own.h"
#include "server/ca/export.h"
#include "server/signing/signing.h"

enum { EXIT_FAILED = 3, EXIT_USAGE = 64 };

#define DATA_FLAG                                                                                  \
	{                                                                                          \
		.name = "data", .kind = SL_FLAG_TEXT,                                              \
		.offset = offsetof(struct keys_config, data), .min = 1, .required = true,          \
		.placeholder = "DIR",                                                              \
		.help = "The data folder; its keys are in DIR/keys. A server may run on it."       \
	}

static const struct sl_flag data_flags[] = {DATA_FLAG, {.name = NULL}};
static const struct sl_flag recover_flags[] = {
    DATA_FLAG,
    {.name = "epoch",
     .kind = SL_FLAG_INT,
     .offset = offsetof(struct keys_config, epoch),
     .max = UINT32_MAX,
     .placeholder = "N",
     .help = "Epoch of the new key; 0: the one after the last. Needed only when manifest.chain is "
	     "lost too: above all that agents have pinned (`sluice instance show`)."},
    {.name = NULL},
};

static const struct sl_exit_code change_exit_codes[] = {
    {0, "the new key is in use; a running server sees it within a second"},
    {EXIT_FAILED, "nothing was changed"},
    {EXIT_USAGE, "the command line is wrong"},
    {0, NULL},
};

static const struct sl_exit_code exit_codes[] = {
    {0, "FILE holds all keys"},
    {EXIT_FAILED, "it could not be made, or was there; nothing was left behind"},
    {EXIT_USAGE, "the command line is wrong"},
    {0, NULL},
};

const struct sl_command server_keys_export_command = {
    .name = "keys export",
    .synopsis = "FILE --data DIR",
    .summary = "Copy the server's keys to one file",
    .description = "FILE (0600) is a tar archive of DIR/keys: `tar -xpf FILE -C DIR` puts it back. "
		   "Whoever has it is the server: keep it where secrets are kept.",
    .args_min = 1,
    .args_max = 1,
    .flags = data_flags,
    .env_prefix = "SLUICE_",
    .exit_codes = exit_codes,
};

const struct sl_command server_keys_rotate_command = {
    .name = "keys rotate-manifest",
    .synopsis = "--data DIR",
    .summary = "Sign manifests with a new key",
    .description =
	"Makes the next manifest key, announces it under the one in use, and removes that. Agents "
	"follow the announcement, those that are away when they are back. A running server needs "
	"no restart.",
    .flags = data_flags,
    .env_prefix = "SLUICE_",
    .exit_codes = change_exit_codes,
};

const struct sl_command server_keys_show_command = {
    .name = "keys show-manifest",
    .synopsis = "--data DIR",
    .summary = "Print the public half of the key that manifests are signed with",
    .description = "In the form that `sluice-agent run --manifest-key FILE` takes, for agents that "
		   "do not enrol.",
    .flags = data_flags,
    .env_prefix = "SLUICE_",
};

const struct sl_command server_keys_recover_command = {
    .name = "keys recover-manifest",
    .synopsis = "--data DIR < RECOVERY-KEY",
    .summary = "Replace a manifest key that is lost or stolen",
    .description =
	"Makes the next manifest key and announces it under the recovery key, which `sluiced init` "
	"printed once and which is read from standard input. Agents take it whatever key they "
	"have pinned meanwhile, and forget what order and time that key told them. Nothing of the "
	"old key is needed. A running server needs no restart.",
    .flags = recover_flags,
    .env_prefix = "SLUICE_",
    .exit_codes = change_exit_codes,
};

int server_keys_export(const char *file, const struct keys_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	size_t count = 0;
	if (ca_export(config->data, file, sl_clock_unix_ms(), &count, &err) != SL_OK) {
		(void)fprintf(stderr, "sluiced: keys export: %s\n", err.msg);
		return EXIT_FAILED;
	}
	(void)printf("%s holds the %zu key files of %s\n", file, count, config->data);
	return EXIT_SUCCESS;
}

/* --- manifest keys ------------------------------------------------------------------------- */

static sl_code folder_of(const struct keys_config *config, char **ret_dir, struct sl_err *err)
{
	if (asprintf(ret_dir, "%s/keys", config->data) < 0) {
		*ret_dir = NULL;
		return sl_err_no_memory(err);
	}
	return SL_OK;
}

static int end(const char *command, sl_code code, const struct signing_key *key,
	       const struct sl_err *err)
{
	char text[SL_KEY_TEXT_SIZE];
	if (code != SL_OK) {
		(void)fprintf(stderr, "sluiced: %s: %s\n", command, err->msg);
		return EXIT_FAILED;
	}
	(void)printf("manifest key of epoch %u is in use:\n%s\n", (unsigned)key->epoch,
		     signing_public_text(key, text));
	return EXIT_SUCCESS;
}

int server_keys_rotate(const struct keys_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) char *dir = NULL;
	struct signing_key key;
	sl_code code = sl_secret_harden(&err);
	code = code == SL_OK ? folder_of(config, &dir, &err) : code;
	code = code == SL_OK ? signing_rotate(dir, sl_clock_unix_ms(), &key, &err) : code;
	return end("keys rotate-manifest", code, &key, &err);
}

int server_keys_show(const struct keys_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) char *dir = NULL;
	struct signing *signing = NULL;
	struct signing_key key;
	char text[SL_KEY_TEXT_SIZE];
	sl_code code = folder_of(config, &dir, &err);
	code = code == SL_OK ? signing_open(dir, &signing, &err) : code;
	if (code != SL_OK) {
		(void)fprintf(stderr, "sluiced: keys show-manifest: %s\n", err.msg);
		return EXIT_FAILED;
	}
	signing_current(signing, &key);
	signing_free(signing);
	(void)printf("%s\n", signing_public_text(&key, text));
	return EXIT_SUCCESS;
}

/* One line of standard input, in memory for secrets. */
static sl_code read_line(char **ret_text, struct sl_err *err)
{
	enum { LINE_MAX_BYTES = 1024 };
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new(LINE_MAX_BYTES);
	size_t size = 0;
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	while (size < LINE_MAX_BYTES - 1 && read(STDIN_FILENO, text + size, 1) == 1 &&
	       text[size] != '\n') {
		size++;
	}
	text[size] = '\0';
	if (size == 0) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "no recovery key on standard input: one line is read");
	}
	*ret_text = SL_TAKE(text);
	return SL_OK;
}

int server_keys_recover(const struct keys_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) char *dir = NULL;
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	struct signing_key key;
	sl_code code = sl_secret_harden(&err);
	if (code == SL_OK && isatty(STDIN_FILENO)) {
		(void)fprintf(stderr, "Recovery key: ");
	}
	code = code == SL_OK ? read_line(&text, &err) : code;
	code = code == SL_OK ? folder_of(config, &dir, &err) : code;
	code = code == SL_OK ? signing_recover(dir, text, (uint32_t)config->epoch,
					       sl_clock_unix_ms(), &key, &err)
			     : code;
	return end("keys recover-manifest", code, &key, &err);
}

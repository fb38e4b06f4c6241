#include "server/vault_commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/failpoint/failpoint.h"
#include "base/mem/own.h"
#include "server/offline.h"
#include "server/settings/settings.h"
#include "server/vault/vault.h"

enum { EXIT_FAILED = 3, EXIT_USAGE = 64, WAIT_MS = 60000, LOOK_MS = 100 };

SL_DEFINE_AUTO(struct store *, store_free);

#define DATA_FLAG                                                                                  \
	{                                                                                          \
		.name = "data", .kind = SL_FLAG_TEXT,                                              \
		.offset = offsetof(struct vault_config, data), .min = 1, .required = true,         \
		.placeholder = "DIR", .help = "The data folder."                                   \
	}

static const struct sl_flag rotate_flags[] = {
    DATA_FLAG,
    {.name = "master-key-file",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct vault_config, master_key_file),
     .placeholder = "FILE",
     .help = "Where the master key lies, when that is not DIR/keys/master.key; as the server is "
	     "told. A systemd credential cannot be replaced from here."},
    {.name = NULL},
};

static const struct sl_flag reset_flags[] = {
    DATA_FLAG,
    {.name = "forget-values",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct vault_config, forget),
     .help = "Yes, forget them: without it nothing is done."},
    {.name = NULL},
};

static const struct sl_exit_code exit_codes[] = {
    {0, "done"},
    {EXIT_FAILED, "it was not done; the message says what is left"},
    {EXIT_USAGE, "the command line is wrong"},
    {0, NULL},
};

const struct sl_command server_rotate_master_command = {
    .name = "keys rotate-master",
    .synopsis = "--data DIR",
    .summary = "Wrap all that is sealed with a new master key",
    .description = "Makes the next master key beside the one in use (KEY.next), wraps the "
		   "workspaces' keys with "
		   "it in one step, and puts it in the place of the old one, which opens nothing "
		   "afterwards but "
		   "older backups. A running server does it, and goes on serving; without one this "
		   "command does. "
		   "Cut off at any moment, it is finished by the next start or the next call.",
    .flags = rotate_flags,
    .env_prefix = "SLUICE_",
    .exit_codes = exit_codes,
};

const struct sl_command server_vault_reset_command = {
    .name = "vault reset",
    .synopsis = "--data DIR --forget-values",
    .summary = "Forget all that is sealed, for who has lost the master key",
    .description =
	"Turns every credential, constant and secret into an unset one; what they are called, and "
	"all else, stays. No "
	"server may run on DIR. Afterwards any master key is fine: `sluiced serve` takes the one "
	"that "
	"it finds.",
    .flags = reset_flags,
    .env_prefix = "SLUICE_",
    .exit_codes = exit_codes,
};

static int end(const char *command, sl_code code, const struct sl_err *err, const char *done)
{
	if (code != SL_OK) {
		(void)fprintf(stderr, "sluiced: %s: %s\n", command, err->msg);
		return EXIT_FAILED;
	}
	(void)printf("%s\n", done);
	return EXIT_SUCCESS;
}

/* --- rotate-master ------------------------------------------------------------------------- */

/* The server that has the store looks for the next key by itself. `why`: what became of opening the
 * store here. */
static sl_code wait_for_server(const struct vault_config *config, const struct sl_err *why,
			       struct sl_err *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	uint64_t until = sl_clock_mono_ms() + WAIT_MS;
	while (vault_is_rotating(config->data, config->master_key_file)) {
		if (sl_clock_mono_ms() >= until) {
			return sl_err_set(err, SL_DEADLINE_EXCEEDED,
					  "the next key is there, and nobody has taken it into use "
					  "within a minute: %s. It is taken at the next start",
					  why->msg);
		}
		(void)nanosleep(&pause, NULL);
	}
	return SL_OK;
}

static sl_code settle(const struct vault_config *config, struct store *store, struct sl_err *err)
{
	SL_AUTO(vault_free_auto) struct vault *vault = NULL;
	sl_code code = vault_open(config->data, config->master_key_file, &vault, err);
	return code != SL_OK ? code : vault_settle(vault, store, sl_clock_unix_ms(), err);
}

int server_rotate_master(const struct vault_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_err_clear) struct sl_err why = SL_ERR_INIT;
	struct store *store = NULL;
	sl_code code = sl_secret_harden(&err);
	code = code != SL_OK ? code : vault_new_master(config->data, config->master_key_file, &err);
	if (code == SL_ALREADY_EXISTS) { /* one was cut off: it goes on */
		sl_err_clear(&err);
		code = SL_OK;
	}
	SL_FAILPOINT("master-written");
	if (code == SL_OK) {
		code = server_open_offline(config->data, &store, &why) == SL_OK
			   ? settle(config, store, &err)
			   : wait_for_server(config, &why, &err);
	}
	store_free(store);
	return end("keys rotate-master", code, &err,
		   "a new master key is in use: keep a copy of it (sluiced keys export)");
}

/* --- reset --- */

struct reset {
	struct store_cmd cmd;
	struct sl_arena arena;
	uint64_t now_ms, count;
};

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct reset *r = SL_CONTAINER_OF(cmd, struct reset, cmd);
	struct decision d =
	    decision_own("sluiced", "ResetVault", view, changes, &r->arena, r->now_ms);
	sl_code code = vault_reset(&d, &r->count, err);
	code = code != SL_OK ? code : settings_forget(&d, err);
	return decision_own_end(&d, code, err);
}

static sl_code reset(struct store *store, uint64_t *ret_count, struct sl_err *err)
{
	struct reset r = {.now_ms = sl_clock_unix_ms(), .cmd = {.decide = decide, .shrinks = true}};
	sl_arena_init(&r.arena, 0);
	sl_code code = store_run(store, &r.cmd, err);
	*ret_count = r.count;
	sl_arena_fini(&r.arena);
	return code;
}

int server_vault_reset(const struct vault_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(store_free_auto) struct store *store = NULL;
	uint64_t count = 0;
	char text[100];
	if (!config->forget) {
		(void)fprintf(stderr, "sluiced: vault reset: every credential, constant and secret "
				      "is forgotten for good: "
				      "say --forget-values\n");
		return EXIT_USAGE;
	}
	sl_code code = server_open_offline(config->data, &store, &err);
	code = code != SL_OK ? code : reset(store, &count, &err);
	(void)snprintf(text, sizeof(text), "%lu values are forgotten: set them anew",
		       (unsigned long)count);
	return end("vault reset", code, &err, text);
}

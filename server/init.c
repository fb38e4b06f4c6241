#include "server/init.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/token/token.h"
#include "server/ca/make.h"
#include "server/first_admin.h"
#include "server/records/principals.h"
#include "server/signing/signing.h"

enum { EXIT_FAILED = 3, EXIT_USAGE = 64 };

#define DAY_MS (24ULL * 3600 * 1000)

#define AT(field) offsetof(struct init_config, field)
static const struct sl_flag init_flags[] = {
    {.name = "data",
     .kind = SL_FLAG_TEXT,
     .offset = AT(data),
     .min = 1,
     .required = true,
     .placeholder = "DIR",
     .help = "The data folder; made when it is not there. The keys go to DIR/keys."},
    {.name = "name",
     .kind = SL_FLAG_LIST,
     .offset = AT(names),
     .min = 1,
     .max = 253,
     .placeholder = "HOST",
     .help = "A DNS name or IP address that clients reach the server by; may be given several "
	     "times. Loopback is always there, and this machine's name when no other is given."},
    {.name = "master-key-file",
     .kind = SL_FLAG_TEXT,
     .offset = AT(master_key_file),
     .placeholder = "FILE",
     .help = "Holds the master key (32 bytes, base64) already: then none is made. So does a "
	     "systemd credential sluice-master-key."},
    {.name = NULL},
};

static const struct sl_exit_code exit_codes[] = {
    {0, "the keys are there"},
    {EXIT_FAILED, "they could not be made, or the folder has some; nothing was changed"},
    {EXIT_USAGE, "the command line is wrong"},
    {0, NULL},
};

const struct sl_command server_init_command = {
    .name = "init",
    .synopsis = "--data DIR [--name HOST ...]",
    .summary = "Make the keys of a new server",
    .description =
	"Makes the certificate authority, the certificates of the main port and of the door, and "
	"the master key, the key that manifests are signed with, all in DIR/keys (0600), and the "
	"first principal, `admin`, with an access token. That token, and the recovery key of "
	"manifests, are printed and kept nowhere. A folder that has keys is refused.\n\n"
	"A backup of the store holds none of these: copy them with `sluiced keys export` to a "
	"place that burns down another day.",
    .flags = init_flags,
    .env_prefix = "SLUICE_",
    .examples = (const struct sl_example[]){{"sluiced init --data /var/lib/sluice --name "
					     "sluice.example.org",
					     "Then: sluiced serve --data /var/lib/sluice --listen "
					     "0.0.0.0:7443"},
					    {NULL, NULL}},
    .exit_codes = exit_codes,
};

/* What is shown once. */
struct shown {
	char *token; /* owned */
	char recovery[SL_KEY_TEXT_SIZE];
};

static sl_code make(const struct init_config *config, struct ca_draft *draft, struct shown *shown,
		    struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *path = NULL;
	struct sl_token_key key;
	if (asprintf(&path, "%s/token.key", ca_draft_path(draft)) < 0) {
		return sl_err_no_memory(err);
	}
	sl_code code = sl_token_key_load(path, false, &key, err);
	code = code != SL_OK ? code
			     : server_first_admin(config->data, &key, sl_clock_unix_ms(),
						  ACCESS_TOKEN_DAYS * DAY_MS, &shown->token, err);
	sl_wipe(&key, sizeof(key));
	code = code != SL_OK
		   ? code
		   : signing_init(ca_draft_path(draft), sl_clock_unix_ms(), shown->recovery, err);
	return code != SL_OK ? code : ca_draft_keep(draft, err);
}

static void tell(const struct init_config *config, const struct ca_draft *draft,
		 const struct shown *shown)
{
	const char *master = ca_draft_master_key(draft);
	(void)printf("The keys of this server are in %s/keys.\n", config->data);
	if (master != NULL) {
		(void)printf("The master key stays in %s.\n", master);
	}
	(void)printf(
	    "\nCopy elsewhere, since no backup holds them (sluiced keys export FILE --data %s):\n"
	    "  ca.key ca.pem     without them every agent and person has to be let in anew\n"
	    "%s"
	    "  token.key         without it access and join tokens are worthless\n"
	    "  manifest.key      without it, agents believe this server again only after `sluiced "
	    "keys recover-manifest`\n"
	    "\nRecovery key, printed this once. It replaces a manifest key that is lost or stolen; "
	    "write it down, and keep it away from this machine:\n  %s\n"
	    "\nAccess token of `admin`, for %d days, printed this once:\n  %s\n"
	    "\nNext: sluiced serve --data %s\n"
	    "Then: sluice login --server HOST:7443 --ca %s/keys/ca.pem, which asks for the token; "
	    "or here: sluiced token --data %s --login | sluice login\n",
	    config->data,
	    master != NULL ? "" : "  master.key        without it configured secrets are lost\n",
	    shown->recovery, ACCESS_TOKEN_DAYS, shown->token, config->data, config->data,
	    config->data);
}

int server_init_keys(const struct init_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(ca_draft_free_auto) struct ca_draft *draft = NULL;
	struct shown shown = {.token = NULL};
	const struct ca_make wish = {
	    .data = config->data,
	    .names = config->names.items,
	    .name_count = config->names.count,
	    .master_key = config->master_key_file,
	    .now_ms = sl_clock_unix_ms(),
	};
	sl_code code = sl_secret_harden(&err);
	code = code != SL_OK ? code : ca_draft_new(&wish, &draft, &err);
	code = code != SL_OK ? code : make(config, draft, &shown, &err);
	if (code != SL_OK) {
		(void)fprintf(stderr, "sluiced: init: %s\n", err.msg);
	} else {
		tell(config, draft, &shown);
	}
	sl_wipe(shown.recovery, sizeof(shown.recovery));
	if (shown.token != NULL) {
		sl_wipe(shown.token, strlen(shown.token));
		free(shown.token);
	}
	return code == SL_OK ? EXIT_SUCCESS : EXIT_FAILED;
}

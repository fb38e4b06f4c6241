/* sluice audit verify: of a server's sequence or of an export, and against a head that was kept
 * elsewhere. */
#include "client/cli/audit_verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/crypto/keytext.h"
#include "base/crypto/secret.h"
#include "base/keyfile/keyfile.h"
#include "client/cli/audit_head.h"
#include "client/cli/commands.h"

struct verify_flags {
	const char *against, *file, *manifest_key, *recovery_key;
};
#define AT(field) offsetof(struct verify_flags, field)
static const struct sl_flag verify_flags[] = {
    {.name = "against",
     .kind = SL_FLAG_TEXT,
     .offset = AT(against),
     .placeholder = "HEAD",
     .help = "A head that was kept elsewhere (sluice audit head -o json): its signature must hold, "
	     "and its record must be there as it was."},
    {.name = "file",
     .kind = SL_FLAG_TEXT,
     .offset = AT(file),
     .placeholder = "EXPORT",
     .help = "Check this export instead; no server is asked."},
    {.name = "manifest-key",
     .kind = SL_FLAG_TEXT,
     .offset = AT(manifest_key),
     .placeholder = "FILE",
     .help =
	 "Believe only heads signed by the manifest key in FILE (sluiced keys show-manifest), or "
	 "by one that it leads to; without it the server is asked for its keys."},
    {.name = "recovery-key",
     .kind = SL_FLAG_TEXT,
     .offset = AT(recovery_key),
     .placeholder = "FILE",
     .help =
	 "Public half of the recovery key (recovery.pub), which may have announced a key, too."},
    {.name = NULL},
};

/* --- what both say -------------------------------------------------------------------------- */

void audit_say_fault(void *ctx, uint64_t sequence, const char *what)
{
	cli_say(ctx, "record %llu %s\n", (unsigned long long)sequence, what);
}

int audit_say_result(const struct cli *cli, uint64_t checked, uint64_t faults, uint64_t last)
{
	cli_say(cli, "%llu records checked up to %llu: %llu faults\n", (unsigned long long)checked,
		(unsigned long long)last, (unsigned long long)faults);
	return faults == 0 ? CLI_DONE : CLI_FAILED;
}

/* --- whom a kept head is believed ------------------------------------------------------------ */

struct pins {
	bool manifest_known, recovery_known;
	struct audit_key manifest;
	uint8_t recovery[SL_SIGN_PUBLIC_BYTES];
};

static sl_code read_pin(const char *path, const char *kind, uint8_t *out, size_t size,
			struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	sl_code code = keyfile_read_path(path, KEYFILE_PUBLIC, &text, err);
	code = code != SL_OK ? code : sl_key_parse(text, kind, out, size, err);
	return code != SL_OK ? sl_err_wrap(err, "'%s'", path) : SL_OK;
}

static sl_code read_pins(const struct verify_flags *flags, struct pins *pins, struct sl_err *err)
{
	uint8_t words[4 + SL_SIGN_PUBLIC_BYTES];
	sl_code code = SL_OK;
	*pins = (struct pins){.manifest_known = flags->manifest_key[0] != '\0',
			      .recovery_known = flags->recovery_key[0] != '\0'};
	if (pins->manifest_known) {
		code = read_pin(flags->manifest_key, SL_KEY_MANIFEST_PUBLIC, words, sizeof(words),
				err);
		pins->manifest.epoch = sl_get_be32(words);
		memcpy(pins->manifest.public_key, words + 4, SL_SIGN_PUBLIC_BYTES);
	}
	return code == SL_OK && pins->recovery_known
		   ? read_pin(flags->recovery_key, SL_KEY_RECOVERY_PUBLIC, pins->recovery,
			      sizeof(pins->recovery), err)
		   : code;
}

/* All that the server has; *ret_keys is in cli's arena. CLI_DONE, or all has been said. */
static int ask_keys(struct cli *cli, struct audit_key **ret_keys, size_t *ret_count)
{
	Sluice__V1__GetAuditHeadRequest request = SLUICE__V1__GET_AUDIT_HEAD_REQUEST__INIT;
	Sluice__V1__GetAuditHeadResponse *response = NULL;
	if (!CLI_CALL(cli, get_audit_head, &request, &response)) {
		return cli_fail(cli);
	}
	struct audit_key *keys =
	    SL_ARENA_ARRAY(&cli->arena, struct audit_key, response->n_keys + 1);
	if (keys == NULL) {
		return cli_complain(CLI_FAILED, "out of memory");
	}
	for (size_t i = 0; i < response->n_keys; i++) {
		const Sluice__V1__ManifestKey *key = response->keys[i];
		if (key->public_key.len != SL_SIGN_PUBLIC_BYTES) {
			return cli_complain(CLI_FAILED, "the server's answer is malformed");
		}
		keys[i].epoch = key->epoch;
		memcpy(keys[i].public_key, key->public_key.data, SL_SIGN_PUBLIC_BYTES);
	}
	*ret_keys = keys;
	*ret_count = response->n_keys;
	return CLI_DONE;
}

/* Without a signature a head is as good as the place that it was kept in; that does for a server
 * that signs nothing. */
static int check_signature(struct cli *cli, const char *path, const struct audit_kept *kept,
			   const struct audit_trust *trust)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char hex[2 * SL_HASH_BYTES + 1];
	if (kept->epoch == 0 && trust->pinned == NULL && trust->key_count == 0) {
		cli_say(cli, "'%s' is not signed: it is taken as it says\n", path);
		return CLI_DONE;
	}
	if (audit_kept_check(kept, trust, &err) != SL_OK) {
		return cli_complain(CLI_FAILED, "'%s': %s", path, err.msg);
	}
	cli_say(cli, "the head of record %llu (%s) is signed by the manifest key of epoch %u\n",
		(unsigned long long)kept->head.sequence,
		sl_hex(hex, kept->head.hash, SL_HASH_BYTES), kept->epoch);
	return CLI_DONE;
}

/* --- of a server ------------------------------------------------------------------------------ */

static int verify_here(struct cli *cli, const struct audit_head *kept)
{
	Sluice__V1__VerifyAuditRequest request = SLUICE__V1__VERIFY_AUDIT_REQUEST__INIT;
	Sluice__V1__AuditPoint point = SLUICE__V1__AUDIT_POINT__INIT;
	Sluice__V1__VerifyAuditResponse *response = NULL;
	uint64_t checked = 0, faults = 0;
	if (kept != NULL) {
		point.sequence = kept->sequence;
		point.hash = (ProtobufCBinaryData){.len = sizeof(kept->hash),
						   .data = (uint8_t *)(uintptr_t)kept->hash};
		request.kept = &point;
	}
	do {
		if (!CLI_CALL(cli, verify_audit, &request, &response)) {
			return cli_fail(cli);
		}
		for (size_t i = 0; i < response->n_faults; i++) {
			audit_say_fault(cli, response->faults[i]->sequence,
					response->faults[i]->text);
		}
		checked += response->checked;
		faults += response->fault_count;
		request.after = response->at;
	} while (!response->finished && response->at != NULL);
	return audit_say_result(cli, checked, faults,
				response->at != NULL ? response->at->sequence : 0);
}

/* --- of an export --- */

static int verify_file(struct cli *cli, const char *path, const struct audit_head *kept)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct audit_file file = {.on_fault = audit_say_fault, .ctx = cli, .kept = kept};
	if (audit_file_read(&file, path, &err) != SL_OK) {
		return cli_complain(CLI_FAILED, "%s", err.msg);
	}
	return audit_say_result(cli, file.checked, file.faults, file.last.sequence);
}

/* --- the command --- */

/* Is the kept head to be believed? CLI_DONE, or all has been said. */
static int check_kept(struct cli *cli, const struct verify_flags *flags,
		      const struct audit_kept *kept)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct pins pins;
	if (!sl_crypto_init() || read_pins(flags, &pins, &err) != SL_OK) {
		return cli_complain(CLI_USAGE, "%s", err.msg);
	}
	struct audit_key *keys = NULL;
	struct audit_trust trust = {.pinned = pins.manifest_known ? &pins.manifest : NULL,
				    .recovery = pins.recovery_known ? pins.recovery : NULL};
	bool offline = flags->file[0] != '\0';
	if (offline && kept->epoch != 0 && trust.pinned == NULL) {
		return cli_complain(CLI_USAGE,
				    "'%s' is signed: --manifest-key FILE says by whom it must be, "
				    "since no server is asked",
				    flags->against);
	}
	int code =
	    offline || trust.pinned != NULL ? CLI_DONE : ask_keys(cli, &keys, &trust.key_count);
	trust.keys = keys;
	return code != CLI_DONE ? code : check_signature(cli, flags->against, kept, &trust);
}

static int verify_with(struct cli *cli, const struct verify_flags *flags,
		       const struct audit_kept *kept)
{
	int code = kept != NULL ? check_kept(cli, flags, kept) : CLI_DONE;
	const struct audit_head *head = kept != NULL ? &kept->head : NULL;
	if (code != CLI_DONE) {
		return code;
	}
	return flags->file[0] != '\0' ? verify_file(cli, flags->file, head)
				      : verify_here(cli, head);
}

static int verify(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct verify_flags *flags = config;
	struct audit_kept kept = {.keys = NULL};
	bool has_kept = flags->against[0] != '\0';
	if (flags->file[0] == '\0' && cli_connect(cli, &err) != SL_OK) {
		return cli_complain(CLI_USAGE, "%s", err.msg);
	}
	if (has_kept && audit_kept_read(flags->against, &kept, &err) != SL_OK) {
		return cli_complain(CLI_FAILED, "%s", err.msg);
	}
	int code = verify_with(cli, flags, has_kept ? &kept : NULL);
	audit_kept_fini(&kept);
	return code;
}

const struct cli_command cli_cmd_audit_verify = {
    .about = {.name = "audit verify",
	      .synopsis = "",
	      .summary = "Check that no audit record was cut out, changed or put elsewhere",
	      .description =
		  "Records that were cut off at the end, with all that followed them, and a record "
		  "that was written anew together with all that follow, show only against a head "
		  "that was kept elsewhere.",
	      .flags = verify_flags},
    .run = verify,
    .offline = true,
    .config_size = sizeof(struct verify_flags),
};

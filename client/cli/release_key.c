/* The offline release key: made and used here, never sent. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/crypto/keytext.h"
#include "base/crypto/secret.h"
#include "base/keyfile/keyfile.h"
#include "base/vouch/vouch.h"
#include "client/cli/cli.h"
#include "client/cli/commands.h"

static int refuse(const struct sl_err *err)
{
	(void)fprintf(stderr, "sluice: %s\n", err->msg);
	return CLI_FAILED;
}

static sl_code check_crypto(struct sl_err *err)
{
	return sl_crypto_init()
		   ? SL_OK
		   : sl_err_set(err, SL_INTERNAL, "the machine gives no random numbers");
}

static sl_code make(const char *path, char ret_public[static SL_KEY_TEXT_SIZE], struct sl_err *err)
{
	SL_AUTO(sl_secret_free_auto) void *seed = sl_secret_new(SL_SIGN_SEED_BYTES);
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new(SL_KEY_LINE_SIZE);
	if (seed == NULL || text == NULL) {
		return sl_err_no_memory(err);
	}
	sl_random(seed, SL_SIGN_SEED_BYTES);
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = sl_signer_new(seed);
	if (signer == NULL) {
		return sl_err_no_memory(err);
	}
	(void)sl_key_line(text, SL_KEY_RELEASE, SL_BYTES(seed, SL_SIGN_SEED_BYTES));
	(void)sl_key_text(ret_public, SL_KEY_RELEASE_PUBLIC,
			  SL_BYTES(sl_signer_public(signer), SL_SIGN_PUBLIC_BYTES));
	return keyfile_create_path(path, KEYFILE_SECRET, text, err);
}

static int keygen(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)cli;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	char public[SL_KEY_TEXT_SIZE];
	(void)config;
	if (check_crypto(&err) != SL_OK || make(args->items[0], public, &err) != SL_OK) {
		return refuse(&err);
	}
	(void)printf("%s\n", public);
	return CLI_DONE;
}

static sl_code read_signer(const char *path, struct sl_signer **ret_signer, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	SL_AUTO(sl_secret_free_auto) void *seed = sl_secret_new(SL_SIGN_SEED_BYTES);
	if (seed == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = keyfile_read_path(path, KEYFILE_SECRET, &text, err);
	code = code != SL_OK ? code
			     : sl_key_parse(text, SL_KEY_RELEASE, seed, SL_SIGN_SEED_BYTES, err);
	if (code != SL_OK) {
		return sl_err_wrap(err, "--key");
	}
	*ret_signer = sl_signer_new(seed);
	return *ret_signer != NULL ? SL_OK : sl_err_no_memory(err);
}

static sl_code sign_version(const char *path, const Sluice__V1__Version *version,
			    uint8_t out[static SL_SIGNATURE_BYTES], struct sl_err *err)
{
	SL_AUTO(sl_signer_free_auto) struct sl_signer *signer = NULL;
	uint8_t words[VOUCH_RELEASE_MAX];
	const Sluice__V1__Content *content = version->content;
	if (content == NULL || content->digest.len != SL_HASH_BYTES) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "version '%s' has no content that could be signed",
				  version->name);
	}
	sl_code code = read_signer(path, &signer, err);
	if (code != SL_OK) {
		return code;
	}
	size_t size = vouch_release(version->app_id, version->id, content->digest.data, words);
	return size > 0 && sl_sign(signer, VOUCH_RELEASE, SL_BYTES(words, size), out)
		   ? SL_OK
		   : sl_err_set(err, SL_INTERNAL, "version '%s' cannot be signed", version->name);
}

struct sign_flags {
	const char *key;
};

static int sign(struct cli *cli, const struct sl_args *args, void *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct sign_flags *flags = config;
	Sluice__V1__GetVersionRequest get = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	Sluice__V1__GetVersionResponse *got = NULL;
	Sluice__V1__SignReleaseRequest request = SLUICE__V1__SIGN_RELEASE_REQUEST__INIT;
	Sluice__V1__SignReleaseResponse *response = NULL;
	uint8_t signature[SL_SIGNATURE_BYTES];
	cli->app = args->items[0];
	cli->version = args->items[1];
	get.workspace = request.workspace = cli->workspace;
	get.app = request.app = cli_str(cli->app);
	get.version = cli_str(cli->version);
	if (!CLI_CALL(cli, get_version, &get, &got)) {
		return cli_fail(cli);
	}
	if (check_crypto(&err) != SL_OK ||
	    sign_version(flags->key, got->version, signature, &err) != SL_OK) {
		return refuse(&err);
	}
	request.write = &cli->write;
	request.version = got->version->id;
	request.signature = (ProtobufCBinaryData){.data = signature, .len = sizeof(signature)};
	if (!CLI_CALL(cli, sign_release, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->version->name)) {
		cli_say(cli,
			"version %s of %s is signed: agents that demand this key activate it\n",
			response->version->name, cli->app);
	}
	return CLI_DONE;
}

static const struct sl_flag sign_flags[] = {
    {.name = "key",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct sign_flags, key),
     .min = 1,
     .required = true,
     .placeholder = "FILE",
     .help = "The release key, as `sluice release keygen` made it."},
    {.name = NULL},
};

const struct cli_command cli_cmd_release_keygen = {
    .about = {.name = "release keygen",
	      .synopsis = "FILE",
	      .summary = "Make an offline release key; prints its public half",
	      .description =
		  "FILE (0600) is the key that `sluice release sign` signs with: keep it "
		  "away from servers. What is printed goes into a file on each agent "
		  "that is to demand it: `sluice-agent run --release-key`.",
	      .args_min = 1,
	      .args_max = 1},
    .run = keygen,
};
const struct cli_command cli_cmd_release_sign = {
    .about = {.name = "release sign",
	      .synopsis = "APP V --key FILE",
	      .summary = "Sign a sealed version with the offline release key",
	      .description = "Signs app, version and digest of the content here; the server gets "
			     "the signature, and gives it to agents.",
	      .args_min = 2,
	      .args_max = 2,
	      .flags = sign_flags},
    .run = sign,
    .config_size = sizeof(struct sign_flags),
};

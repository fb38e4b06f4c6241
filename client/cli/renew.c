/* The next certificate of the context in use: asked for on the main port once half of the life of
 * the one that is has gone by, by whichever command makes the next call. */
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/file/file.h"
#include "base/tls/tls.h"
#include "client/cli/cli.h"
#include "client/cli/context_store.h"

enum { CALL_MS = 10000, AGAIN_MS = 10000 };

uint64_t cli_renews_in_ms(const struct cli *cli)
{
	if (cli->login == NULL) {
		return UINT64_MAX;
	}
	uint64_t unix_now = sl_clock_unix_ms(), mono_now = sl_clock_mono_ms();
	uint64_t due = login_context_due_ms(cli->login);
	uint64_t of_life = due > unix_now ? due - unix_now : 0;
	uint64_t of_pause = cli->renew_mono_ms > mono_now ? cli->renew_mono_ms - mono_now : 0;
	return of_life > of_pause ? of_life : of_pause;
}

/* Before it is sent: whoever asks again for a lost answer asks in the same words. */
static sl_code write_down(struct login_context *login, struct sl_err *err)
{
	if (login->asked) {
		return SL_OK;
	}
	sl_random(login->nonce, sizeof(login->nonce));
	login->asked = true;
	return context_save_notes(login, err);
}

static sl_code take(struct login_context *login,
		    const Sluice__V1__RenewCertificateResponse *response, struct sl_err *err)
{
	const char *ca = response->ca[0] != '\0' ? response->ca : login->tls.ca;
	char *fresh_ca = sl_secret_text(ca, strlen(ca));
	char *fresh_cert = sl_secret_text(response->certificate, strlen(response->certificate));
	sl_secret_free(login->tls.ca);
	sl_secret_free(login->tls.cert);
	login->tls.ca = fresh_ca;
	login->tls.cert = fresh_cert;
	if (fresh_ca == NULL || fresh_cert == NULL) {
		return sl_err_no_memory(err);
	}
	login->renewals++;
	login->asked = false;
	login->taken_ms = sl_clock_unix_ms();
	sl_code code = login_context_check(login, err);
	return code != SL_OK ? code : context_save_renewal(login, err);
}

/* `login` is as on disk, and locked. */
static sl_code ask(struct cli *cli, struct login_context *login, struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	SL_AUTO(sl_free_auto) char *csr = NULL;
	Sluice__V1__RenewCertificateRequest request = SLUICE__V1__RENEW_CERTIFICATE_REQUEST__INIT;
	Sluice__V1__RenewCertificateResponse *response = NULL;
	sluice_error error = SLUICE_ERROR_INIT;
	const sluice_call call = {.timeout_ms = CALL_MS};
	sl_code code = write_down(login, err);
	code = code != SL_OK ? code : tls_key_read(sl_bytes_text(login->tls.key), &key, err);
	code = code != SL_OK ? code : tls_csr_new(key, &csr, err);
	if (code != SL_OK) {
		return code;
	}
	request.certificate_request = csr;
	request.counter = login->renewals + 1;
	request.nonce = (ProtobufCBinaryData){.data = login->nonce, .len = sizeof(login->nonce)};
	if (sluice_renew_certificate(cli->client, &call, &request, &response, &error) !=
	    SLUICE_OK) {
		code = sl_err_set(err, (sl_code)error.code, "%s", error.message);
		sluice_error_clear(&error);
		return code;
	}
	code = take(login, response, err);
	sluice_message_free(response);
	return code;
}

/* Another command may have been faster: then its certificate is taken. */
static sl_code renew(struct cli *cli, struct sl_err *err)
{
	SL_AUTO(sl_fd_auto) int lock = -1;
	SL_AUTO(login_context_free_auto) struct login_context *login = NULL;
	sl_code code = context_lock(cli->login->name, &lock, err);
	code = code != SL_OK ? code : context_load_locked(cli->login->name, &login, err);
	if (code == SL_OK && login_context_is_due(login, sl_clock_unix_ms()) &&
	    strcmp(login->identity_id, cli->login->identity_id) == 0) {
		code = ask(cli, login, err);
	}
	if (code != SL_OK) {
		return code;
	}
	struct login_context *before = cli->login;
	cli->login = login;
	login = NULL;
	code = cli_open_client(cli, err);
	if (code != SL_OK) {
		login = cli->login; /* goes; the client of before is still there */
		cli->login = before;
		return code;
	}
	login_context_free(before);
	return SL_OK;
}

/* A server that is away is no reason to fail yet: the command itself will say so. */
static void tell(const struct cli *cli, const struct sl_err *err)
{
	if (err->code == SL_UNAVAILABLE || err->code == SL_DEADLINE_EXCEEDED) {
		return;
	}
	char until[SL_CLOCK_TEXT_SIZE];
	(void)fprintf(stderr, "sluice: the certificate of context %s is not renewed, and ends %s: ",
		      cli->login->name, sl_clock_text(until, cli->login->not_after_ms));
	text_put(stderr, err->msg);
	(void)fputs("\n  run: sluice login\n", stderr);
}

sluice_client *cli_client(struct cli *cli)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (cli_renews_in_ms(cli) == 0 && renew(cli, &err) != SL_OK) {
		cli->renew_mono_ms = sl_clock_mono_ms() + AGAIN_MS;
		tell(cli, &err);
	}
	return cli->client;
}

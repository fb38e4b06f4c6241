/* Waiting for a version's content, after it was asked for. Unlike the server's wait, this
 * ends with every failure, also one that the server tries again by itself: who typed the
 * command wants to know. */
#include <stdio.h>

#include "base/clock/clock.h"
#include "client/cli/cli.h"

enum { SLICE_MS = 1000, GRACE_MS = 10 * 1000 };

static Sluice__V1__Version *look(struct cli *cli, const char *app, const char *version)
{
	Sluice__V1__GetVersionRequest request = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	Sluice__V1__GetVersionResponse *response = NULL;
	request.workspace = cli->workspace;
	request.app = cli_str(app);
	request.version = cli_str(version);
	return CLI_CALL(cli, get_version, &request, &response) ? response->version : NULL;
}

static int tell_failure(const Sluice__V1__Version *version)
{
	const Sluice__V1__Content *c = version->content;
	char reason[TEXT_SIZE];
	(void)cli_complain(
	    CLI_FAILED, "the content of %s %s cannot be had: %s%s%s: %s", version->app,
	    version->name,
	    text_enum(reason, &sluice__v1__content_reason__descriptor, (int)c->reason),
	    c->rule[0] != '\0' ? " " : "", c->rule, c->text);
	if (c->reason == SLUICE__V1__CONTENT_REASON__CONTENT_REASON_REPOSITORY_UNREACHABLE) {
		(void)fprintf(stderr,
			      "  it is tried again by itself: sluice wait %s %s --content; at "
			      "once with: sluice repo refresh NAME\n",
			      version->app, version->name);
		return CLI_FAILED;
	}
	(void)fprintf(stderr, "  mend it, then run: sluice version set %s %s [--commit REV]\n",
		      version->app, version->name);
	return CLI_FAILED;
}

/* True: look again. */
static bool wait_a_slice(struct cli *cli, const char *app, const char *version, uint64_t slice_ms)
{
	Sluice__V1__WaitForRequest request = SLUICE__V1__WAIT_FOR_REQUEST__INIT;
	Sluice__V1__WaitForResponse *response = NULL;
	const sluice_call call = {.timeout_ms = (uint32_t)slice_ms + GRACE_MS};
	request.workspace = cli->workspace;
	request.condition = SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONTENT;
	request.app = cli_str(app);
	request.version = cli_str(version);
	request.timeout_ms = (uint32_t)slice_ms;
	int code = sluice_wait_for(cli_client(cli), &call, &request, &response, &cli->error);
	sluice_message_free(response);
	return code == SLUICE_OK || code == SLUICE_DEADLINE_EXCEEDED;
}

static int resolve(struct cli *cli, const char *app, const char *version)
{
	uint64_t end = sl_clock_mono_ms() + cli_wait_ms(cli);
	for (;;) {
		const Sluice__V1__Version *v = look(cli, app, version);
		if (v == NULL) {
			return cli_fail(cli);
		}
		if (v->content != NULL &&
		    v->content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY) {
			return CLI_DONE;
		}
		if (v->content != NULL &&
		    v->content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED) {
			cli_progress_end(cli);
			return tell_failure(v);
		}
		uint64_t now = sl_clock_mono_ms();
		if (now >= end) {
			return cli_complain(CLI_TIMED_OUT,
					    "the content of %s %s is still being got from Git",
					    v->app, v->name);
		}
		uint64_t left = end - now;
		if (!wait_a_slice(cli, app, version, left < SLICE_MS ? left : SLICE_MS)) {
			return cli_fail(cli);
		}
		cli_progress(cli, "getting the content from Git");
	}
}

int cli_wait_content(struct cli *cli, const char *app, const char *version)
{
	int code = resolve(cli, app, version);
	cli_progress_end(cli);
	return code;
}

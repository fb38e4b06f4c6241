/* What an error means for the exit code, and what can be done about it. */
#include <string.h>

#include "client/cli/cli.h"

const struct sl_exit_code cli_exit_codes[] = {
    {CLI_DONE, "done"},
    {CLI_REFUSED,
     "a rule or a gate says no (FAILED_PRECONDITION, PERMISSION_DENIED): all gates are printed; "
     "also a plan with a gate that holds back, and a prompt that was declined"},
    {CLI_FAILED,
     "failed: NOT_FOUND, ALREADY_EXISTS, ABORTED (look again), UNAVAILABLE and all else; "
     "also content or an instance that failed"},
    {CLI_TIMED_OUT, "not in time (DEADLINE_EXCEEDED)"},
    {CLI_USAGE,
     "usage: the command line, the context file or a value (INVALID_ARGUMENT) breaks its rule; "
     "also a missing --yes without a terminal"},
    {0, NULL},
};

static const struct {
	int code;
	enum cli_exit exit;
} exits[] = {
    {SLUICE_OK, CLI_DONE},
    {SLUICE_FAILED_PRECONDITION, CLI_REFUSED},
    {SLUICE_PERMISSION_DENIED, CLI_REFUSED},
    {SLUICE_DEADLINE_EXCEEDED, CLI_TIMED_OUT},
    {SLUICE_INVALID_ARGUMENT, CLI_USAGE},
};

enum cli_exit cli_exit_of(int code)
{
	for (size_t i = 0; i < SL_COUNT(exits); i++) {
		if (exits[i].code == code) {
			return exits[i].exit;
		}
	}
	return CLI_FAILED;
}

static const struct {
	const char *reason, *advice;
} advices[] = {
    {"NO_DRAFT", "run: sluice version create APP NAME"},
    {"NO_WORKING_COPY", "run: sluice status APP, to see which instance has one"},
    {"LEASE_HELD", "push from that instance; or run: sluice lease break APP"},
    {"AGENT_OFFLINE", "start the agent there; to push without one: sluice push DIR --app APP"},
    {"WORKSPACE_NOT_FOUND", "run: sluice workspace ls"},
    {"ENVIRONMENT_NOT_FOUND", "run: sluice env ls"},
    {"REPOSITORY_NOT_FOUND", "run: sluice repo ls"},
    {"APP_NOT_FOUND", "run: sluice app ls"},
    {"VERSION_NOT_FOUND", "run: sluice version ls APP"},
    {"INSTANCE_NOT_FOUND", "run: sluice instance ls"},
    {"SOURCE_NOT_FOUND", "run: sluice source ls"},
    {"CONFIG_NOT_FOUND", "run: sluice const ls; sluice secret ls"},
    {"RELEASE_NOT_FOUND", "run: sluice release history APP"},
    {"NAME_TAKEN", "choose another name"},
    {"PATH_TAKEN", "run: sluice app ls; or choose another --path"},
    {"REQUEST_ID_REUSED", "use a request id once, for one request"},
    {"STALE_REVISION", "somebody changed it meanwhile: look again, then repeat the command"},
    {"STALE_EXPECTATION", "somebody moved it meanwhile: run: sluice version show APP VERSION"},
    {"STALE_PLAN",
     "something changed since the plan was shown: repeat the command to see the new one"},
    {"GATE_BLOCKED", "run: sluice version show APP VERSION; what each gate waits for stands above"},
    {"NOT_IN_DEVELOPMENT", "to keep it from users: sluice version block APP VERSION --reason TEXT"},
    {"VERSION_SEALED", "make a new version: sluice version create APP NAME --from VERSION"},
    {"VERSION_BLOCKED", "run: sluice version unblock APP VERSION, when the reason is gone"},
    {"VERSION_IN_USE", "run: sluice status APP, to see where"},
    {"LAST_VERSION", "to remove the app itself: sluice app rm APP"},
    {"APP_IN_USE",
     "run: sluice release withdraw APP; sluice select APP --auto --env ENV lifts a pin"},
    {"REPOSITORY_IN_USE", "run: sluice app ls --repo NAME"},
    {"CONTENT_NOT_READY",
     "run: sluice version show APP VERSION; sluice wait --content APP VERSION"},
    {"LAST_ENVIRONMENT", "to make it what users see: sluice release APP VERSION"},
    {"NOT_ELIGIBLE", "promote it there first: sluice plan APP VERSION --to ENV"},
    {"NO_PREVIOUS", "run: sluice release history APP"},
    {"RELEASED_NEEDS_DECISION",
     "add --rollback-to previous (or a version), --withdraw or --keep-serving"},
    {"URL_NOT_ALLOWED",
     "use https or ssh; git, http, file and local hosts need sluiced --allow-local-repos"},
    {"REVISION_COMPACTED", "start from now: sluice watch, or from the floor that the error names"},
    {"REVISION_AHEAD", "the server is not that far; was it restored, or is it another one?"},
    {"WAIT_TIMEOUT", "run: sluice status APP; or wait longer with --timeout"},
    {"PRINCIPAL_NOT_FOUND", "run: sluice principal ls"},
    {"ROLE_NOT_FOUND", "run: sluice role ls"},
    {"TOKEN_NOT_FOUND", "run: sluice token ls"},
    {"CERTIFICATE_EXPIRED", "run: sluice login (with the --context that was named, if any)"},
    {"IDENTITY_REVOKED", "with another token you can come in again: sluice login"},
    {"TOKEN_REFUSED", "ask for another one: who administers makes it by `sluice token create`, who "
		      "is on the server's host by `sluiced token`"},
    {"RENEWAL_REFUSED", "run: sluice login"},
    {"RIGHT_MISSING", "run: sluice whoami, to see what you may do; who administers can grant it"},
    {"RATE_LIMITED", "call less often"},
    {"IN_RECOVERY", "look at sluice status, then run: sluice admin resume"},
    {"QUEUE_FULL", "the server is busy: try again in a moment"},
    {"STORE_FULL", "remove what is no longer needed, or give sluiced a larger --map-size"},
    {"DISK_LOW", "free some disk on the server: until then only removals pass"},
};

const char *cli_advice(const char *reason)
{
	for (size_t i = 0; i < SL_COUNT(advices); i++) {
		if (strcmp(advices[i].reason, reason) == 0) {
			return advices[i].advice;
		}
	}
	return NULL;
}

static const char *filled(const struct cli *cli, const char *at, size_t *ret_length)
{
	const struct {
		const char *word, *value;
	} words[] = {{"APP", cli->app}, {"VERSION", cli->version}, {"ENV", cli->environment}};
	for (size_t i = 0; i < SL_COUNT(words); i++) {
		size_t length = strlen(words[i].word);
		if (words[i].value != NULL && words[i].value[0] != '\0' &&
		    strncmp(at, words[i].word, length) == 0 &&
		    strchr(" ;,", at[length]) != NULL) { /* a whole word, or the text's end */
			*ret_length = length;
			return words[i].value;
		}
	}
	return NULL;
}

static void put_advice(const struct cli *cli, const char *advice)
{
	(void)fputs("  ", stderr);
	for (const char *at = advice; *at != '\0';) {
		size_t length = 1;
		const char *value = filled(cli, at, &length);
		if (value != NULL) {
			text_put(stderr, value);
		} else {
			(void)fputc(*at, stderr);
		}
		at += length;
	}
	(void)fputc('\n', stderr);
}

/* A local failure is one of use, unless it says otherwise. */
int cli_fail_here(const struct sl_err *err)
{
	const char *advice = cli_advice(sl_reason_name(err->reason));
	int code = err->code == SL_UNAUTHENTICATED ? CLI_FAILED : CLI_USAGE;
	(void)cli_complain((enum cli_exit)code, "%s", err->msg);
	if (advice != NULL) {
		(void)fprintf(stderr, "  %s\n", advice);
	}
	return code;
}

static const char *advice_for(const struct cli *cli)
{
	const char *advice = cli_advice(cli->error.reason);
	if (advice != NULL || cli->error.code != SLUICE_UNAVAILABLE) {
		return advice;
	}
	if (cli->server == NULL) { /* it was the door that was asked */
		return "is the door open there, and is it of that CA? --door, --ca or the login "
		       "file name them";
	}
	/* A handshake that the server breaks off says no more than a port that nobody has. */
	return cli->secure
		   ? "is sluiced running there? If it is, it no longer takes this "
		     "certificate, or is another one: sluice login"
		   : "is sluiced running there? --server, SLUICE_SERVER or the context name it; "
		     "one with TLS wants to know who calls: sluice login";
}

int cli_fail(const struct cli *cli)
{
	const sluice_error *error = &cli->error;
	const char *advice = advice_for(cli);
	(void)fflush(stdout); /* what was said before comes before */
	(void)fputs("sluice: ", stderr);
	text_put(stderr,
		 error->message[0] != '\0' ? error->message : sluice_code_name(error->code));
	(void)fputc('\n', stderr);
	for (size_t i = 0; i < sluice_error_violation_count(error); i++) {
		sluice_violation v = sluice_error_violation(error, i);
		if (v.type[0] == '\0' && strstr(error->message, v.description) != NULL) {
			continue; /* said above */
		}
		(void)fputs("  ", stderr);
		text_put(stderr, v.type[0] != '\0' ? v.type : v.subject);
		(void)fputs(": ", stderr);
		text_put(stderr, v.description);
		(void)fputc('\n', stderr);
	}
	if (advice != NULL) {
		put_advice(cli, advice);
	}
	return cli_exit_of(error->code);
}

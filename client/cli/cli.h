/* cli: what every command of `sluice` shares: the server, output, errors, prompts.
 *
 * One process runs one command: replies are kept until it ends and are never
 * freed one by one. Threads: none of its own. */
#ifndef SL_CLIENT_CLI_H
#define SL_CLIENT_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "base/flags/flags.h"
#include "base/mem/arena.h"
#include "base/mem/own.h"
#include "client/cli/table.h"
#include "client/cli/text.h"
#include "sluice/client.h"

enum cli_exit {
	CLI_DONE = 0,
	CLI_REFUSED = 2,   /* a rule or a gate says no, or the prompt was declined */
	CLI_FAILED = 3,    /* it did not work */
	CLI_TIMED_OUT = 4, /* not in time */
	CLI_USAGE = 64,    /* the command line, or a value on it, breaks its rule */
};

enum cli_output { CLI_TABLE, CLI_JSON, CLI_NAME };

/* The program's own flags. */
struct cli_globals {
	const char *context, *server, *workspace, *output, *reason, *request_id;
	const char *tls_ca, *tls_cert, *tls_key; /* files; "": else of the environment */
	uint64_t timeout_ms;                     /* 0: the command's default */
	bool yes, color;
};
extern const struct sl_flag cli_global_flags[];
extern const struct sl_exit_code cli_exit_codes[];

#define CLI_PROGRESS_SIZE 400

struct login_context;

struct cli {
	struct cli_globals flags;
	enum cli_output output;
	FILE *talk; /* plans, prompts, progress: stdout, beside JSON and names stderr */
	bool out_colors, talk_colors;   /* those are terminals, and colours are wanted */
	char *server, *workspace;       /* owned */
	struct login_context *login;    /* owned: as whom; NULL: by flags, or without TLS */
	uint64_t renew_mono_ms;         /* not before: a renewal failed */
	sluice_client *client;          /* owned; cli_client() gives it for a call */
	bool secure;                    /* it speaks TLS */
	sluice_call call;               /* for every call */
	sluice_error error;             /* of the last call */
	Sluice__V1__WriteOptions write; /* reason and request id, for the request of the act */
	const char *app, *version,
	    *environment;     /* what the command is about, for advice; NULL: nothing */
	const char *instance; /* likewise, of those about one */
	void **kept;          /* owned replies */
	size_t kept_count;
	struct sl_arena arena;            /* small things of the command */
	char progress[CLI_PROGRESS_SIZE]; /* the line that was shown last */
};

/* One row of the program: what base/flags knows, and what runs. */
struct cli_command {
	struct sl_command about;
	int (*run)(struct cli *cli, const struct sl_args *args,
		   void *config); /* returns an enum cli_exit */
	size_t config_size;       /* of the struct that about.flags fill */
	bool offline;             /* needs no server */
};

extern const struct sl_program cli_program;

/* --- life ---------------------------------------------------------------------------- */

/* After the flags are parsed: output, colours, the server (client/cli/context.h) and the client.
 * SL_INVALID_ARGUMENT says what is wrong with them, SL_UNAUTHENTICATED that the certificate's time
 * is over. */
SL_MUST_USE sl_code cli_init(struct cli *cli, const struct cli_globals *flags, bool offline,
			     struct sl_err *err);
/* For a command that is offline, when it needs the server after all. */
SL_MUST_USE sl_code cli_connect(struct cli *cli, struct sl_err *err);
/* Another client with the login that cli has now; the one before is freed. */
SL_MUST_USE sl_code cli_open_client(struct cli *cli, struct sl_err *err);
void cli_fini(struct cli *cli);
/* Runs a command line without the program's name. Returns the exit code. */
int cli_main(int argc, const char *const *argv);

/* --- calls ----------------------------------------------------------------------------- */

/* True: *ret_response is there and lives as long as cli. False: cli->error says why. */
#define CLI_CALL(cli, method, request, ret_response)                                               \
	(sluice_##method(cli_client(cli), &(cli)->call, (request), (ret_response),                 \
			 &(cli)->error) == SLUICE_OK &&                                            \
	 cli_keep((cli), *(ret_response)))
/* The client, once the certificate of the context has been renewed if half of its life is over
 * (renew.c). Frees the client from before then: nothing of it may be open. */
sluice_client *cli_client(struct cli *cli);
/* How long until cli_client() would renew; UINT64_MAX: never. */
uint64_t cli_renews_in_ms(const struct cli *cli);
/* Always true. */
bool cli_keep(struct cli *cli, void *message);
/* All pages in one response; request has a `page` field that is unset. NULL: cli->error says why.
 */
void *cli_list(struct cli *cli, enum sluice_rpc rpc, ProtobufCMessage *request);

/* Prints cli->error with its gates or fields and a line of advice on stderr. Returns the exit code
 * for it. */
int cli_fail(const struct cli *cli);
/* The same for an error that was met here. Returns the exit code for it. */
int cli_fail_here(const struct sl_err *err);
/* The same for an error that is only a text. Returns `code`. */
int cli_complain(enum cli_exit code, const char *fmt, ...) SL_PRINTF(2, 3);

/* Which exit code stands for which gRPC code (client/cli/exits.c). */
enum cli_exit cli_exit_of(int code);
/* What to do about a reason; may hold APP, VERSION and ENV, which cli_fail() fills in. NULL:
 * nothing. */
const char *cli_advice(const char *reason);

/* A borrowed text where protobuf-c wants char *; nothing writes to it. */
static inline char *cli_str(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* --- output ------------------------------------------------------------------------------ */

/* With -o json prints the message, with -o name the name (NULL: nothing); true then. */
bool cli_printed(const struct cli *cli, const ProtobufCMessage *message, const char *name);
/* With -o json prints the message. True then. */
bool cli_printed_json(const struct cli *cli, const ProtobufCMessage *message);
/* For lists on stdout: with -o name only the first column is printed. */
struct table *cli_table(const struct cli *cli, const char *const *headings);
/* For tables that belong to the talk. */
struct table *cli_talk_table(const struct cli *cli, const char *const *headings);
/* Text for people, to cli->talk; control characters in it become '?'. */
void cli_say(const struct cli *cli, const char *fmt, ...) SL_PRINTF(2, 3);
void cli_paint(const struct cli *cli, enum text_color color, const char *fmt, ...) SL_PRINTF(3, 4);
/* "Label:      value" on stdout; nothing when the value is empty. */
void cli_fact(const struct cli *cli, const char *label, const char *fmt, ...) SL_PRINTF(3, 4);

/* Asks on a terminal, unless --yes. CLI_DONE: go on. CLI_REFUSED: declined.
 * CLI_USAGE: there is no terminal, and no --yes; both have been said. */
enum cli_exit cli_confirm(const struct cli *cli, const char *fmt, ...) SL_PRINTF(2, 3);

/* --- waiting (progress.c) ----------------------------------------------------------------- */

/* How far things are: one line, updated in place on a terminal; elsewhere a line whenever it
 * changes. The end takes it off the terminal again. */
void cli_progress(struct cli *cli, const char *line);
void cli_progress_end(struct cli *cli);
/* How long commands wait for a result: --timeout, or 5 minutes. */
uint64_t cli_wait_ms(const struct cli *cli);

struct cli_wait {
	Sluice__V1__WaitCondition condition;
	const char *app, *version, *environment, *instance; /* NULL: not given */
	bool all;                                           /* unreachable ones too */
};
/* Waits on the server, showing progress on cli->talk, until it is done, failed or
 * --timeout (default 5 minutes) is over. Returns the exit code; everything has been said.
 * *ret_response (may be NULL) is NULL unless the server decided. */
int cli_wait(struct cli *cli, const struct cli_wait *wait,
	     Sluice__V1__WaitForResponse **ret_response);
/* content.c: waits for a version's content; says what is wrong with it (CLI_FAILED). */
int cli_wait_content(struct cli *cli, const char *app, const char *version);

/* --- shared by nouns ------------------------------------------------------------------------ */

/* Shows the plan with all its gates. Returns CLI_DONE when the act is allowed, else CLI_REFUSED. */
int cli_show_plan(const struct cli *cli, const Sluice__V1__Plan *plan);
/* Asks the server for a plan and shows it. CLI_DONE: *ret_plan allows the act. */
struct cli_plan {
	Sluice__V1__PlanAction action;
	const char *app, *version, *environment; /* NULL: not given */
};
int cli_plan(struct cli *cli, const struct cli_plan *plan, Sluice__V1__Plan **ret_plan);
/* k=v texts as the entries of a map field whose entry type is `entry`; they live as long as cli. */
void *cli_pairs(struct cli *cli, const struct sl_flag_list *pairs,
		const ProtobufCMessageDescriptor *entry);
const char *cli_ref(const Sluice__V1__VersionRef *ref); /* the version's name; "-": none */

#endif

/* sluice version: sealing, blocking, notes, removal. */
#include <string.h>

#include "client/cli/commands.h"

struct block_flags {
	const char *rollback_to;
	bool recall, withdraw, keep_serving;
};
#define BLOCK(field) offsetof(struct block_flags, field)
static const struct sl_flag block_flags[] = {
    {.name = "recall",
     .kind = SL_FLAG_BOOL,
     .offset = BLOCK(recall),
     .help = "Also stop it where it runs; without it what runs keeps running. For the released "
	     "version one of the following is needed."},
    {.name = "rollback-to",
     .kind = SL_FLAG_TEXT,
     .offset = BLOCK(rollback_to),
     .max = 64,
     .placeholder = "V",
     .help = "Roll production back to this version, or to `previous`, in the same step."},
    {.name = "withdraw",
     .kind = SL_FLAG_BOOL,
     .offset = BLOCK(withdraw),
     .help = "Withdraw the release in the same step."},
    {.name = "keep-serving",
     .kind = SL_FLAG_BOOL,
     .offset = BLOCK(keep_serving),
     .help = "Leave it serving though it is blocked."},
    {.name = NULL},
};

static void about(struct cli *cli, const struct sl_args *args)
{
	cli->app = args->items[0];
	cli->version = args->items[1];
}

static int seal(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__SealVersionRequest request = SLUICE__V1__SEAL_VERSION_REQUEST__INIT;
	Sluice__V1__SealVersionResponse *response = NULL;
	about(cli, args);
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	if (!CLI_CALL(cli, seal_version, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->version->name)) {
		cli_say(cli, "version %s of %s is sealed: nothing of it changes any more\n",
			response->version->name, cli->app);
	}
	return CLI_DONE;
}

static int block(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct block_flags *flags = config;
	Sluice__V1__BlockVersionRequest request = SLUICE__V1__BLOCK_VERSION_REQUEST__INIT;
	Sluice__V1__BlockVersionResponse *response = NULL;
	about(cli, args);
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	request.mode = flags->recall ? SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL
				     : SLUICE__V1__BLOCK_MODE__BLOCK_MODE_NO_NEW;
	request.rollback_to = cli_str(flags->rollback_to);
	request.withdraw = flags->withdraw;
	request.keep_serving = flags->keep_serving;
	if (!CLI_CALL(cli, block_version, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->version->name)) {
		cli_say(cli, "version %s of %s is %s; production serves %s\n",
			response->version->name, cli->app, flags->recall ? "recalled" : "blocked",
			response->released != NULL ? response->released->name : "nothing");
	}
	return CLI_DONE;
}

static int unblock(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__UnblockVersionRequest request = SLUICE__V1__UNBLOCK_VERSION_REQUEST__INIT;
	Sluice__V1__UnblockVersionResponse *response = NULL;
	about(cli, args);
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	if (!CLI_CALL(cli, unblock_version, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->version->name)) {
		cli_say(cli, "version %s of %s is not blocked any more\n", response->version->name,
			cli->app);
	}
	return CLI_DONE;
}

static int list_notes(struct cli *cli)
{
	static const char *const headings[] = {"REVISION", "AT", "BY", "ENVIRONMENT", "NOTE", NULL};
	Sluice__V1__ListVersionNotesRequest request = SLUICE__V1__LIST_VERSION_NOTES_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	const Sluice__V1__ListVersionNotesResponse *list =
	    cli_list(cli, SLUICE_RPC_ListVersionNotes, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_notes; i++) {
		const Sluice__V1__VersionNote *n = list->notes[i];
		char at[TEXT_SIZE];
		table_put(table, TEXT_PLAIN, "%llu", (unsigned long long)n->revision);
		table_put(table, TEXT_PLAIN, "%s", text_time(at, n->at));
		table_put(table, TEXT_PLAIN, "%s", n->by);
		table_put(table, TEXT_PLAIN, "%s", n->environment);
		table_put(table, TEXT_PLAIN, "%s", n->text);
	}
	return cli_end_table(table);
}

static int note(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__NoteVersionRequest request = SLUICE__V1__NOTE_VERSION_REQUEST__INIT;
	Sluice__V1__NoteVersionResponse *response = NULL;
	about(cli, args);
	if (args->count == 2) {
		return list_notes(cli);
	}
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	request.text = cli_str(args->items[2]);
	if (!CLI_CALL(cli, note_version, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, cli->version)) {
		cli_say(cli, "noted on version %s of %s, in %s\n", cli->version, cli->app,
			response->note->environment);
	}
	return CLI_DONE;
}

static int rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__DeleteVersionRequest request = SLUICE__V1__DELETE_VERSION_REQUEST__INIT;
	Sluice__V1__DeleteVersionResponse *response = NULL;
	about(cli, args);
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	enum cli_exit go = cli_confirm(cli, "Remove version %s of %s?", cli->version, cli->app);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, delete_version, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, cli->version)) {
		cli_say(cli, "version %s of %s is removed\n", cli->version, cli->app);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_version_seal = {
    .about = {.name = "version seal",
	      .synopsis = "APP V",
	      .summary = "Freeze a draft for ever and publish it in Git",
	      .args_min = 2,
	      .args_max = 2},
    .run = seal,
};
const struct cli_command cli_cmd_version_block = {
    .about = {.name = "version block",
	      .synopsis = "APP V --reason TEXT",
	      .summary = "Keep a version from going further, or recall it from everywhere",
	      .args_min = 2,
	      .args_max = 2,
	      .flags = block_flags,
	      .examples =
		  (const struct sl_example[]){{"sluice version block shop v2 --recall "
					       "--rollback-to previous --reason 'loses orders'",
					       "Take a bad release off production."},
					      {NULL, NULL}}},
    .run = block,
    .config_size = sizeof(struct block_flags),
};
const struct cli_command cli_cmd_version_unblock = {
    .about = {.name = "version unblock",
	      .synopsis = "APP V",
	      .summary = "Lift the block",
	      .args_min = 2,
	      .args_max = 2},
    .run = unblock,
};
const struct cli_command cli_cmd_version_note = {
    .about = {.name = "version note",
	      .synopsis = "APP V [TEXT]",
	      .summary = "Add a tester's note to a version; without a text list the notes",
	      .args_min = 2,
	      .args_max = 3},
    .run = note,
};
const struct cli_command cli_cmd_version_rm = {
    .about = {.name = "version rm",
	      .synopsis = "APP V",
	      .summary =
		  "Remove a version that never left development and runs nowhere; asks first",
	      .args_min = 2,
	      .args_max = 2},
    .run = rm,
};

/* sluice audit: who did what, who was refused, and the proof that nothing of it is missing. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "client/cli/audit_verify.h"
#include "client/cli/commands.h"

/* --- audit ls ---------------------------------------------------------------------------- */

struct ls_flags {
	const char *by, *method, *app, *environment, *since, *until;
	bool refused, denied, all_workspaces;
	uint64_t limit;
};
static const struct sl_flag ls_flags[] = {
    {.name = "by",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct ls_flags, by),
     .placeholder = "PRINCIPAL",
     .help = "Only acts of this principal."},
    {.name = "method",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct ls_flags, method),
     .placeholder = "RPC",
     .help = "Only this method, such as Promote."},
    {.name = "app",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct ls_flags, app),
     .placeholder = "APP",
     .help = "Only what is about this app."},
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct ls_flags, environment),
     .placeholder = "ENV",
     .help = "Only what is about this environment."},
    {.name = "since",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct ls_flags, since),
     .placeholder = "TIME",
     .help = "Only since then: a day, 2026-11-22, or a moment, 2026-11-22T10:43:00, in UTC."},
    {.name = "until",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct ls_flags, until),
     .placeholder = "TIME",
     .help = "Only before then."},
    {.name = "refused",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct ls_flags, refused),
     .help = "Only what a rule or a missing right stopped."},
    {.name = "denied",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct ls_flags, denied),
     .help = "Only what a missing right stopped."},
    {.name = "all-workspaces",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct ls_flags, all_workspaces),
     .help = "Of every workspace, and what belongs to none."},
    {.name = "limit",
     .kind = SL_FLAG_INT,
     .offset = offsetof(struct ls_flags, limit),
     .placeholder = "N",
     .fallback = "100",
     .max = 1000000,
     .help = "At most so many; 0: all."},
    {.name = NULL},
};

/* False: the text is neither a day nor a moment. */
static bool read_time(const char *text, Google__Protobuf__Timestamp *at)
{
	struct tm tm = {.tm_isdst = 0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (end == NULL) {
		tm = (struct tm){.tm_isdst = 0};
		end = strptime(text, "%Y-%m-%d", &tm);
	}
	at->seconds = timegm(&tm);
	return end != NULL && (*end == '\0' || strcmp(end, "Z") == 0);
}

static void put_kind(struct table *table, const Sluice__V1__AuditEntry *entry)
{
	if (entry->refusal == NULL) {
		table_put(table, TEXT_GOOD, "%llu", (unsigned long long)entry->revision);
		return;
	}
	char times[TEXT_SIZE] = "";
	if (entry->refusal->count > 1) {
		(void)snprintf(times, sizeof(times), " x%llu",
			       (unsigned long long)entry->refusal->count);
	}
	table_put(table, TEXT_BAD, "%s%s%s", entry->refusal->denied ? "denied " : "",
		  entry->refusal->reason, times);
}

static void put_object(struct table *table, const Sluice__V1__AuditObject *object)
{
	if (object == NULL) {
		table_put(table, TEXT_FAINT, "-");
		table_put(table, TEXT_FAINT, "-");
		return;
	}
	const char *name = object->name[0] != '\0' ? object->name : object->id;
	name = name[0] != '\0' ? name : object->version_id;
	table_put(table, TEXT_PLAIN, "%s", name[0] != '\0' ? name : object->app_id);
	bool moved = object->from[0] != '\0' || object->to[0] != '\0';
	table_put(table, TEXT_FAINT, "%s%s%s", object->from, moved ? " -> " : "", object->to);
}

static void put_record(struct table *table, const Sluice__V1__AuditRecord *record)
{
	char time[TEXT_SIZE];
	const Sluice__V1__AuditEntry *entry = record->entry;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	at.seconds = (int64_t)(entry->at_ms / 1000u);
	table_put(table, TEXT_FAINT, "%llu", (unsigned long long)record->sequence);
	table_put(table, TEXT_PLAIN, "%s", text_time(time, &at));
	table_put(table, TEXT_STRONG, "%s", entry->principal);
	table_put(table, TEXT_PLAIN, "%s", entry->method);
	put_object(table, entry->object);
	put_kind(table, entry);
	table_put(table, TEXT_FAINT, "%s", entry->reason);
}

/* One JSON object a line, or a row. */
static int put_page(const struct cli *cli, struct table *table,
		    const Sluice__V1__ListAuditRecordsResponse *page, uint64_t room)
{
	for (size_t i = 0; i < page->n_records && i < room; i++) {
		if (table != NULL) {
			put_record(table, page->records[i]);
			continue;
		}
		if (!audit_print_line(stdout, page->records[i])) {
			return cli_complain(CLI_FAILED, "out of memory");
		}
	}
	(void)cli;
	return CLI_DONE;
}

static int list(struct cli *cli, Sluice__V1__ListAuditRecordsRequest *request,
		const struct ls_flags *flags)
{
	static const char *const headings[] = {"#",    "TIME",          "BY",     "METHOD", "WHAT",
					       "MOVE", "REV / REFUSED", "REASON", NULL};
	struct table *table = cli->output == CLI_JSON ? NULL : cli_table(cli, headings);
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	uint64_t left = flags->limit == 0 ? UINT64_MAX : flags->limit;
	request->page = &page;
	int code = CLI_DONE;
	bool more = true;
	while (code == CLI_DONE && more && left > 0) {
		Sluice__V1__ListAuditRecordsResponse *response = NULL;
		page.page_size = left < 1000 ? (int32_t)left : 1000;
		if (!CLI_CALL(cli, list_audit_records, request, &response)) {
			request->page = NULL;
			return cli_fail(cli);
		}
		code = put_page(cli, table, response, left);
		left -= response->n_records < left ? response->n_records : left;
		page.page_token =
		    response->page != NULL ? response->page->next_page_token : cli_str("");
		more = page.page_token[0] != '\0';
	}
	request->page = NULL; /* it was of this function */
	return table != NULL ? cli_end_table(table) : code;
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args;
	const struct ls_flags *flags = config;
	Sluice__V1__ListAuditRecordsRequest request = SLUICE__V1__LIST_AUDIT_RECORDS_REQUEST__INIT;
	Google__Protobuf__Timestamp since = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__Timestamp until = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	const struct {
		const char *text;
		Google__Protobuf__Timestamp *at, **field;
	} times[] = {{flags->since, &since, &request.since},
		     {flags->until, &until, &request.until}};
	for (size_t i = 0; i < SL_COUNT(times); i++) {
		if (times[i].text == NULL || times[i].text[0] == '\0') {
			continue;
		}
		if (!read_time(times[i].text, times[i].at)) {
			return cli_complain(CLI_USAGE,
					    "'%s' is no time: write 2026-11-22 or "
					    "2026-11-22T10:43:00",
					    times[i].text);
		}
		*times[i].field = times[i].at;
	}
	const char *here = cli->workspace[0] != '\0' ? cli->workspace : "default";
	request.in_workspace = cli_str(flags->all_workspaces ? "" : here);
	request.principal = cli_str(flags->by);
	request.method = cli_str(flags->method);
	request.app = cli_str(flags->app);
	request.environment = cli_str(flags->environment);
	request.refused = flags->refused;
	request.denied = flags->denied;
	return list(cli, &request, flags);
}

/* --- audit head ----------------------------------------------------------------------------- */

static int head(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	Sluice__V1__GetAuditHeadRequest request = SLUICE__V1__GET_AUDIT_HEAD_REQUEST__INIT;
	Sluice__V1__GetAuditHeadResponse *response = NULL;
	char hex[2 * SL_HASH_BYTES + 1], time[TEXT_SIZE];
	if (!CLI_CALL(cli, get_audit_head, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &response->base)) {
		return CLI_DONE;
	}
	if (response->head->hash.len != SL_HASH_BYTES) {
		return cli_complain(CLI_FAILED, "the server's answer is malformed");
	}
	cli_fact(cli, "Records:", "%llu", (unsigned long long)response->head->sequence);
	cli_fact(cli, "Hash:", "%s", sl_hex(hex, response->head->hash.data, SL_HASH_BYTES));
	cli_fact(cli, "Cut at:", "%llu", (unsigned long long)response->anchor->sequence);
	cli_fact(cli, "Time:", "%s", text_time(time, response->at));
	if (response->signature != NULL) {
		cli_fact(cli, "Signed by:", "the manifest key of epoch %u",
			 response->signature->key_epoch);
	} else {
		cli_fact(cli, "Signed by:", "nobody: this server has no keys");
	}
	return CLI_DONE;
}

/* --- audit export ----------------------------------------------------------------------------- */

struct export_flags {
	uint64_t after;
};
static const struct sl_flag export_flags[] = {
    {.name = "after",
     .kind = SL_FLAG_INT,
     .offset = offsetof(struct export_flags, after),
     .placeholder = "N",
     .help = "Only records after this number: what an earlier export does not have."},
    {.name = NULL},
};

static int export_pages(struct cli *cli, struct audit_writer *writer, uint64_t after)
{
	Sluice__V1__ExportAuditRequest request = SLUICE__V1__EXPORT_AUDIT_REQUEST__INIT;
	Sluice__V1__ExportAuditResponse *response = NULL;
	request.after = after;
	for (;;) {
		/* Each page is freed: an export may be long. */
		if (sluice_export_audit(cli_client(cli), &cli->call, &request, &response,
					&cli->error) != SLUICE_OK) {
			return cli_fail(cli);
		}
		size_t count = response->n_records;
		bool written = true;
		for (size_t i = 0; i < count && written; i++) {
			written = audit_writer_put(writer, response->records[i]);
			request.after = response->records[i]->sequence;
		}
		sluice_message_free(response);
		if (!written) {
			return cli_complain(CLI_FAILED, "%s", writer->error);
		}
		if (count == 0) {
			return CLI_DONE;
		}
	}
}

static int export(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct export_flags *flags = config;
	SL_AUTO(audit_writer_fini) struct audit_writer writer = {.path = args->items[0]};
	if (!audit_writer_open(&writer)) {
		return cli_complain(CLI_FAILED, "%s", writer.error);
	}
	int code = export_pages(cli, &writer, flags->after);
	if (code != CLI_DONE) {
		return code;
	}
	if (!audit_writer_keep(&writer)) {
		return cli_complain(CLI_FAILED, "%s", writer.error);
	}
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct audit_file file = {.on_fault = audit_say_fault, .ctx = cli};
	if (audit_file_read(&file, args->items[0], &err) != SL_OK) {
		return cli_complain(CLI_FAILED, "%s", err.msg);
	}
	return audit_say_result(cli, file.checked, file.faults, file.last.sequence);
}

/* --- audit cut -------------------------------------------------------------------------------- */

static int cut(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct audit_file file = {.on_fault = audit_say_fault, .ctx = cli};
	if (audit_file_read(&file, args->items[0], &err) != SL_OK) {
		return cli_complain(CLI_FAILED, "%s", err.msg);
	}
	if (file.faults > 0 || file.checked == 0) {
		return cli_complain(CLI_REFUSED, "'%s' is no sound export: nothing is cut",
				    args->items[0]);
	}
	enum cli_exit go = cli_confirm(cli, "Remove the server's audit records up to %llu?",
				       (unsigned long long)file.last.sequence);
	if (go != CLI_DONE) {
		return go;
	}
	Sluice__V1__CutAuditRequest request = SLUICE__V1__CUT_AUDIT_REQUEST__INIT;
	Sluice__V1__CutAuditResponse *response = NULL;
	Sluice__V1__AuditPoint through = SLUICE__V1__AUDIT_POINT__INIT;
	through.sequence = file.last.sequence;
	through.hash = (ProtobufCBinaryData){.len = sizeof(file.last.hash), .data = file.last.hash};
	request.write = &cli->write;
	request.through = &through;
	if (!CLI_CALL(cli, cut_audit, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, NULL)) {
		cli_say(cli, "audit records up to %llu are removed\n",
			(unsigned long long)(response->anchor != NULL ? response->anchor->sequence
								      : 0));
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_audit_ls = {
    .about = {.name = "audit ls",
	      .synopsis = "",
	      .summary = "List who did what, and who was refused, newest first",
	      .description = "-o json prints one object a line.",
	      .flags = ls_flags},
    .run = ls,
    .config_size = sizeof(struct ls_flags),
};
const struct cli_command cli_cmd_audit_head = {
    .about = {.name = "audit head",
	      .synopsis = "",
	      .summary = "Show number and hash of the last audit record, signed",
	      .description =
		  "Kept elsewhere (-o json > FILE), it proves later that nothing up to it "
		  "was cut off or changed (audit verify --against FILE). It is signed by the key "
		  "that manifests are signed with, so that whoever holds it need not be believed."},
    .run = head,
};
const struct cli_command cli_cmd_audit_export = {
    .about = {.name = "audit export",
	      .synopsis = "FILE",
	      .summary =
		  "Write all audit records to a file, one JSON object a line, and check them",
	      .flags = export_flags,
	      .args_min = 1,
	      .args_max = 1},
    .run = export,
    .config_size = sizeof(struct export_flags),
};
const struct cli_command cli_cmd_audit_cut = {
    .about = {.name = "audit cut",
	      .synopsis = "EXPORT",
	      .summary = "Remove the audit records that an export has; asks first",
	      .description = "The hash of the last one stays: what follows goes on from it.",
	      .args_min = 1,
	      .args_max = 1},
    .run = cut,
};

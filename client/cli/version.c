/* sluice version: making versions, looking at them. What changes their fate is in version_acts.c.
 */
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "client/cli/commands.h"

struct create_flags {
	const char *from, *commit, *description;
	bool wait, no_commit;
};
#define CREATE(field) offsetof(struct create_flags, field)
static const struct sl_flag create_flags[] = {
    {.name = "no-commit",
     .kind = SL_FLAG_BOOL,
     .offset = CREATE(no_commit),
     .help = "Make no commit on the repository's branch that says so."},
    {.name = "from",
     .kind = SL_FLAG_TEXT,
     .offset = CREATE(from),
     .max = 64,
     .placeholder = "V",
     .help = "The version that it derives from, whose content it takes unless --commit says "
	     "otherwise; without it the newest one, and the branch's tip."},
    {.name = "commit",
     .kind = SL_FLAG_TEXT,
     .offset = CREATE(commit),
     .max = 255,
     .placeholder = "REV",
     .help = "Branch, tag or full commit id."},
    {.name = "description",
     .kind = SL_FLAG_TEXT,
     .offset = CREATE(description),
     .max = 2000,
     .help = "For people."},
    {.name = "wait",
     .kind = SL_FLAG_BOOL,
     .offset = CREATE(wait),
     .fallback = "true",
     .help = "Wait for the content; --no-wait returns at once."},
    {.name = NULL},
};

struct set_flags {
	const char *commit;
	bool wait;
};
static const struct sl_flag set_flags[] = {
    {.name = "commit",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct set_flags, commit),
     .max = 255,
     .placeholder = "REV",
     .help = "Branch, tag or full commit id; without it the tip of the app's branch now."},
    {.name = "wait",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct set_flags, wait),
     .fallback = "true",
     .help = "Wait for the content; --no-wait returns at once."},
    {.name = NULL},
};

struct ls_flags {
	const char *environment;
};
static const struct sl_flag ls_flags[] = {
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct ls_flags, environment),
     .max = 64,
     .help = "Versions that have come at least as far as this environment."},
    {.name = NULL},
};

struct diff_flags {
	const char *from;
};
static const struct sl_flag diff_flags[] = {
    {.name = "from",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct diff_flags, from),
     .max = 64,
     .placeholder = "V",
     .help = "The older version; without it the one that V derives from."},
    {.name = NULL},
};

/* Waits if wanted, then shows. Both RPCs answer with a version that is RESOLVING. */
static int finish(struct cli *cli, const ProtobufCMessage *message,
		  const Sluice__V1__Version *version, bool wait, const char *done)
{
	int code = wait ? cli_wait_content(cli, version->app, version->id) : CLI_DONE;
	if (cli_printed(cli, message, version->name)) {
		return code;
	}
	const char *content = !wait              ? ""
			      : code == CLI_DONE ? "; its content is READY"
						 : "; its content is not there";
	cli_say(cli, "version %s of %s %s%s\n", version->name, version->app, done, content);
	return code;
}

static int create(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct create_flags *flags = config;
	Sluice__V1__CreateVersionRequest request = SLUICE__V1__CREATE_VERSION_REQUEST__INIT;
	Sluice__V1__CreateVersionResponse *response = NULL;
	cli->app = args->items[0];
	cli->version = flags->from;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(args->items[0]);
	request.name = cli_str(args->items[1]);
	request.from = cli_str(flags->from);
	request.commit = cli_str(flags->commit);
	request.no_commit = flags->no_commit;
	request.description = cli_str(flags->description);
	if (!CLI_CALL(cli, create_version, &request, &response)) {
		return cli_fail(cli);
	}
	return finish(cli, &response->base, response->version, flags->wait,
		      "is there, in development");
}

static int set(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct set_flags *flags = config;
	Sluice__V1__SetVersionContentRequest request =
	    SLUICE__V1__SET_VERSION_CONTENT_REQUEST__INIT;
	Sluice__V1__SetVersionContentResponse *response = NULL;
	cli->app = args->items[0];
	cli->version = args->items[1];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	request.commit = cli_str(flags->commit);
	if (!CLI_CALL(cli, set_version_content, &request, &response)) {
		return cli_fail(cli);
	}
	return finish(cli, &response->base, response->version, flags->wait,
		      "is set to other content");
}

static const char *content_text(char buffer[static TEXT_SIZE], const Sluice__V1__Content *content)
{
	if (content == NULL) {
		return text_copy(buffer, "-");
	}
	if (content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED) {
		return text_enum(buffer, &sluice__v1__content_reason__descriptor,
				 (int)content->reason);
	}
	return text_enum(buffer, &sluice__v1__content_state__descriptor, (int)content->state);
}

static enum text_color content_color(const Sluice__V1__Content *content)
{
	if (content == NULL ||
	    content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_RESOLVING) {
		return TEXT_BUSY;
	}
	return content->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_READY ? TEXT_GOOD
										: TEXT_BAD;
}

static bool is_blocked(const Sluice__V1__Version *v)
{
	return v->block != NULL &&
	       v->block->mode != SLUICE__V1__BLOCK_MODE__BLOCK_MODE_UNSPECIFIED &&
	       v->block->lifted_at == NULL;
}

static const char *mark(const Sluice__V1__Version *v)
{
	if (v->released) {
		return is_blocked(v) ? "released, blocked" : "released";
	}
	return is_blocked(v) ? "blocked" : "";
}

static void put_row(struct table *table, const Sluice__V1__Version *v)
{
	const Sluice__V1__Publication *pub = v->publication;
	bool parked =
	    pub != NULL && pub->state == SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PARKED;
	char text[TEXT_SIZE];
	table_put(table, TEXT_STRONG, "%s", v->name);
	table_put(table, TEXT_PLAIN, "%s", v->environment);
	table_put(table, TEXT_PLAIN, "%s",
		  text_enum(text, &sluice__v1__version_state__descriptor, (int)v->state));
	table_put(table, content_color(v->content), "%s", content_text(text, v->content));
	table_put(table, parked ? TEXT_BAD : TEXT_PLAIN, "%s",
		  text_enum(text, &sluice__v1__publication_state__descriptor,
			    pub != NULL ? (int)pub->state : 0));
	table_put(table, is_blocked(v) ? TEXT_BAD : TEXT_GOOD, "%s", mark(v));
	table_put(table, TEXT_PLAIN, "%s", cli_ref(v->derived_from));
	table_put(table, TEXT_PLAIN, "%s",
		  text_short(text, v->content != NULL ? v->content->commit : ""));
	table_put(table, TEXT_PLAIN, "%s", text_age(text, v->created_at, sl_clock_unix_ms()));
	table_put(table, TEXT_PLAIN, "%s", v->content != NULL ? v->content->subject : "");
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	static const char *const headings[] = {"NAME",   "ENVIRONMENT", "STATE", "CONTENT",
					       "IN GIT", "MARK",        "FROM",  "COMMIT",
					       "AGE",    "SUBJECT",     NULL};
	const struct ls_flags *flags = config;
	Sluice__V1__ListVersionsRequest request = SLUICE__V1__LIST_VERSIONS_REQUEST__INIT;
	cli->app = args->items[0];
	request.workspace = cli->workspace;
	request.app = cli_str(cli->app);
	request.environment = cli_str(flags->environment);
	const Sluice__V1__ListVersionsResponse *list =
	    cli_list(cli, SLUICE_RPC_ListVersions, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_versions; i++) {
		put_row(table, list->versions[i]);
	}
	return cli_end_table(table);
}

static void show_content(const struct cli *cli, const Sluice__V1__Content *c)
{
	char text[TEXT_SIZE];
	char hex[2 * 64 + 1] = "";
	if (c == NULL) {
		return;
	}
	if (c->digest.len <= 64) {
		(void)sl_hex(hex, c->digest.data, c->digest.len);
	}
	bool failed = c->state == SLUICE__V1__CONTENT_STATE__CONTENT_STATE_FAILED;
	cli_fact(cli, "content", "%s%s", failed ? "FAILED: " : "", content_text(text, c));
	cli_fact(cli, "tried", "%s", failed ? text_time(text, c->retried_at) : "");
	cli_fact(cli, "", "%s%s%s", c->rule, c->rule[0] != '\0' ? ": " : "", c->text);
	cli_fact(cli, "asked for", "%s", c->asked);
	cli_fact(cli, "through", "%s", c->ref);
	cli_fact(cli, "commit", "%s", c->commit);
	cli_fact(cli, "subject", "%s", c->subject);
	cli_fact(cli, "author", "%s", c->author);
	cli_fact(cli, "committed", "%s", text_time(text, c->committed_at));
	cli_fact(cli, "path", "%s", c->path);
	cli_fact(cli, "digest", "%s", hex);
	if (c->files > 0) {
		cli_fact(cli, "size", "%llu file%s, %s", (unsigned long long)c->files,
			 c->files == 1 ? "" : "s", text_bytes(text, c->bytes));
	}
}

static void show_names(const struct cli *cli, const char *what, char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		cli_fact(cli, i == 0 ? what : "", "%s", names[i]);
	}
}

static void show_contract(const struct cli *cli, const Sluice__V1__Contract *c)
{
	if (c == NULL) {
		return;
	}
	show_names(cli, "constants", c->constants, c->n_constants);
	show_names(cli, "secrets", c->secrets, c->n_secrets);
	for (size_t i = 0; i < c->n_data_sources; i++) {
		cli_fact(cli, i == 0 ? "data sources" : "", "%s (%s)", c->data_sources[i]->name,
			 c->data_sources[i]->kind);
	}
	show_names(cli, "renders", c->render, c->n_render);
}

static void show_publication(const struct cli *cli, const Sluice__V1__Publication *p)
{
	char text[TEXT_SIZE];
	if (p == NULL) {
		return;
	}
	cli_fact(cli, "in Git", "%s",
		 text_enum(text, &sluice__v1__publication_state__descriptor, (int)p->state));
	cli_fact(cli, "", "%s", p->text);
	cli_fact(cli, "tag", "%s", p->ref);
	cli_fact(cli, "tag's commit", "%s", p->commit);
	cli_fact(cli, "next attempt", "%s", text_time(text, p->next_attempt_at));
}

static void show_version(const struct cli *cli, const Sluice__V1__Version *v)
{
	char text[TEXT_SIZE];
	cli_fact(cli, "version", "%s of %s", v->name, v->app);
	cli_fact(cli, "id", "%s", v->id);
	cli_fact(cli, "description", "%s", v->description);
	cli_fact(cli, "environment", "%s%s", v->environment, v->released ? ", released" : "");
	cli_fact(cli, "state", "%s",
		 text_enum(text, &sluice__v1__version_state__descriptor, (int)v->state));
	cli_fact(cli, "derived from", "%s", v->derived_from != NULL ? v->derived_from->name : "");
	cli_fact(cli, "made", "%s by %s", text_time(text, v->created_at), v->created_by);
	if (v->sealed_at != NULL) {
		cli_fact(cli, "sealed", "%s by %s", text_time(text, v->sealed_at), v->sealed_by);
	}
	if (is_blocked(v)) {
		char at[TEXT_SIZE];
		cli_fact(cli, "blocked", "%s since %s by %s: %s",
			 text_enum(text, &sluice__v1__block_mode__descriptor, (int)v->block->mode),
			 text_time(at, v->block->at), v->block->by, v->block->reason);
	}
	show_content(cli, v->content);
	show_publication(cli, v->publication);
}

static int show(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__GetVersionRequest request = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	Sluice__V1__GetVersionResponse *response = NULL;
	cli->app = args->items[0];
	cli->version = args->items[1];
	request.workspace = cli->workspace;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	if (!CLI_CALL(cli, get_version, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed(cli, &response->base, response->version->name)) {
		return CLI_DONE;
	}
	show_version(cli, response->version);
	show_contract(cli, response->contract);
	for (size_t i = 0; i < response->n_facts; i++) {
		const Sluice__V1__VersionFacts *f = response->facts[i];
		char entered[TEXT_SIZE];
		char released[TEXT_SIZE];
		(void)text_time(released, f->first_released_at);
		cli_fact(cli, i == 0 ? "history" : "",
			 "%s since %s by %s%s%s; blocks %zu, notes %u", f->environment,
			 text_time(entered, f->entered_at), f->entered_by,
			 released[0] != '\0' ? ", first released " : "", released, f->n_blocks,
			 f->note_count);
	}
	return CLI_DONE;
}

static const char *change_sign(Sluice__V1__FileChange change)
{
	switch (change) {
	case SLUICE__V1__FILE_CHANGE__FILE_CHANGE_ADDED:
		return "+";
	case SLUICE__V1__FILE_CHANGE__FILE_CHANGE_DELETED:
		return "-";
	default:
		return "~";
	}
}

static int diff(struct cli *cli, const struct sl_args *args, void *config)
{
	static const char *const headings[] = {" ", "BEFORE", "AFTER", "PATH", NULL};
	static const enum text_color colors[] = {
	    ['+'] = TEXT_GOOD, ['-'] = TEXT_BAD, ['~'] = TEXT_BUSY};
	const struct diff_flags *flags = config;
	Sluice__V1__DiffVersionsRequest request = SLUICE__V1__DIFF_VERSIONS_REQUEST__INIT;
	Sluice__V1__DiffVersionsResponse *response = NULL;
	cli->app = args->items[0];
	cli->version = args->items[1];
	request.workspace = cli->workspace;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	request.from = cli_str(flags->from);
	if (!CLI_CALL(cli, diff_versions, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &response->base)) {
		return CLI_DONE;
	}
	if (cli->output == CLI_TABLE) {
		cli_say(cli, "%s -> %s: %zu files differ%s\n", cli_ref(response->from),
			cli_ref(response->to), response->n_files,
			response->cut ? " (and more, which are left out)" : "");
	}
	struct table *table = cli_table(cli, cli->output == CLI_NAME ? &headings[3] : headings);
	for (size_t i = 0; i < response->n_files; i++) {
		const Sluice__V1__FileDiff *f = response->files[i];
		const char *sign = change_sign(f->change);
		char text[TEXT_SIZE];
		if (cli->output == CLI_TABLE) {
			table_put(table, colors[(unsigned char)sign[0]], "%s", sign);
			table_put(table, TEXT_PLAIN, "%s",
				  sign[0] == '+' ? "" : text_bytes(text, f->old_bytes));
			table_put(table, TEXT_PLAIN, "%s",
				  sign[0] == '-' ? "" : text_bytes(text, f->new_bytes));
		}
		table_put(table, TEXT_PLAIN, "%s", f->path);
	}
	return cli_end_table(table);
}

const struct cli_command cli_cmd_version_create = {
    .about = {.name = "version create",
	      .synopsis = "APP NAME",
	      .summary = "Make a version, a draft in development",
	      .description = "Waits until its content is there, or says what is wrong with it: the "
			     "version exists all the same then.",
	      .args_min = 2,
	      .args_max = 2,
	      .flags = create_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice version create shop v2", "The branch's tip as it is now."},
		      {"sluice version create shop v1.1 --from v1 --commit hotfix",
		       "The tip of the branch hotfix."},
		      {NULL, NULL}}},
    .run = create,
    .config_size = sizeof(struct create_flags),
};
const struct cli_command cli_cmd_version_set = {
    .about = {.name = "version set",
	      .synopsis = "APP V --commit REV",
	      .summary = "Give a draft other content",
	      .args_min = 2,
	      .args_max = 2,
	      .flags = set_flags},
    .run = set,
    .config_size = sizeof(struct set_flags),
};
const struct cli_command cli_cmd_version_ls = {
    .about = {.name = "version ls",
	      .synopsis = "APP",
	      .summary = "List the versions of an app, newest first",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = ls_flags},
    .run = ls,
    .config_size = sizeof(struct ls_flags),
};
const struct cli_command cli_cmd_version_show = {
    .about = {.name = "version show",
	      .synopsis = "APP V",
	      .summary = "Show a version, its content, what that requires, and its history",
	      .args_min = 2,
	      .args_max = 2},
    .run = show,
};
const struct cli_command cli_cmd_version_diff = {
    .about = {.name = "version diff",
	      .synopsis = "APP V",
	      .summary = "List the files that differ between two versions",
	      .args_min = 2,
	      .args_max = 2,
	      .flags = diff_flags},
    .run = diff,
    .config_size = sizeof(struct diff_flags),
};

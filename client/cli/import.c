/* sluice import: what a repository has already, and apps made of it. */
#include <string.h>

#include "base/clock/clock.h"
#include "client/cli/commands.h"

struct import_flags {
	bool list;
	const char *as, *version, *commit;
	struct sl_flag_list place;
};
#define IMPORT(field) offsetof(struct import_flags, field)
static const struct sl_flag import_flags[] = {
    {.name = "list",
     .kind = SL_FLAG_BOOL,
     .offset = IMPORT(list),
     .help = "Only list what there is, as without an APP."},
    {.name = "as",
     .kind = SL_FLAG_TEXT,
     .offset = IMPORT(as),
     .max = 64,
     .placeholder = "NAME",
     .help =
	 "Name of the app here, of one that is imported alone. Default: made of its name there."},
    {.name = "version",
     .kind = SL_FLAG_TEXT,
     .offset = IMPORT(version),
     .max = 64,
     .placeholder = "V",
     .help = "Name of its version here. Default: that of its newest there, else v1."},
    {.name = "commit",
     .kind = SL_FLAG_TEXT,
     .offset = IMPORT(commit),
     .max = 200,
     .placeholder = "REV",
     .help = "Branch, tag or full commit id. Default: the tip of the repository's branch."},
    {.name = "place",
     .kind = SL_FLAG_LIST,
     .offset = IMPORT(place),
     .placeholder = "K=V",
     .help = "Only on instances with this label. Can be repeated."},
    {.name = NULL},
};

static void put_row(struct table *table, const Sluice__V1__Importable *app)
{
	const Sluice__V1__CommitInfo *last = app->last_commit;
	char text[TEXT_SIZE];
	table_put(table, TEXT_STRONG, "%s", app->name);
	table_put(table, TEXT_PLAIN, "%s", app->path);
	table_put(table, app->app[0] != '\0' ? TEXT_GOOD : TEXT_FAINT, "%s",
		  app->app[0] != '\0' ? app->app : "-");
	table_put(table, TEXT_PLAIN, "%s", text_short(text, last != NULL ? last->commit : ""));
	table_put(table, TEXT_PLAIN, "%s",
		  last != NULL ? text_age(text, last->at, sl_clock_unix_ms()) : "");
	table_put(table, TEXT_PLAIN, "%s", last != NULL ? last->author : "");
	table_put(table, TEXT_PLAIN, "%s", last != NULL ? last->message : "");
}

static int show_list(struct cli *cli, const Sluice__V1__ListImportableResponse *list)
{
	static const char *const headings[] = {"NAME", "PATH",   "APP HERE", "LAST COMMIT",
					       "AGE",  "AUTHOR", "MESSAGE",  NULL};
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_apps; i++) {
		put_row(table, list->apps[i]);
	}
	int code = cli_end_table(table);
	if (list->cut) {
		cli_say(cli, "and more than these %zu, which are left out\n", list->n_apps);
	}
	return code;
}

/* By its folder, else by one of its names; NULL: there is none, or there are two. */
static const Sluice__V1__Importable *find(const Sluice__V1__ListImportableResponse *list,
					  const char *name)
{
	const Sluice__V1__Importable *found = NULL;
	unsigned count = 0;
	for (size_t i = 0; i < list->n_apps; i++) {
		const Sluice__V1__Importable *app = list->apps[i];
		if (strcmp(app->path, name) == 0) {
			return app;
		}
		if (strcmp(app->name, name) == 0 || strcmp(app->display_name, name) == 0) {
			found = app;
			count++;
		}
	}
	return count == 1 ? found : NULL;
}

static int import_one(struct cli *cli, const char *repository, const char *commit,
		      const Sluice__V1__Importable *app, const struct import_flags *flags)
{
	Sluice__V1__ImportAppRequest request = SLUICE__V1__IMPORT_APP_REQUEST__INIT;
	Sluice__V1__ImportAppResponse *response = NULL;
	bool named = flags->as != NULL && flags->as[0] != '\0';
	bool versioned = flags->version != NULL && flags->version[0] != '\0';
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.repository = cli_str(repository);
	request.path = app->path;
	request.name = named ? cli_str(flags->as) : app->name;
	request.display_name =
	    strcmp(request.name, app->display_name) != 0 ? app->display_name : request.display_name;
	request.version_name = versioned ? cli_str(flags->version) : app->version_name;
	request.commit = cli_str(commit);
	request.n_placement = flags->place.count;
	request.placement = cli_pairs(cli, &flags->place,
				      &sluice__v1__import_app_request__placement_entry__descriptor);
	cli->app = request.name;
	if (!CLI_CALL(cli, import_app, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->app->name)) {
		char text[TEXT_SIZE];
		cli_say(cli, "app %s is there, with version %s of %s (commit %s), sealed\n",
			response->app->name, response->version->name, app->path,
			text_short(text, response->version->content->commit));
	}
	return CLI_DONE;
}

/* Each is a command of its own: one that is refused keeps no other from being made. */
static int import_all(struct cli *cli, const struct sl_args *args,
		      const Sluice__V1__ListImportableResponse *list,
		      const struct import_flags *flags)
{
	const char *repository = args->items[0];
	int worst = CLI_DONE;
	for (size_t i = 1; i < args->count; i++) {
		const Sluice__V1__Importable *app = find(list, args->items[i]);
		int code = app != NULL
			       ? import_one(cli, repository, list->commit, app, flags)
			       : cli_complain(CLI_FAILED,
					      "repository %s has no app '%s', or more than one of "
					      "that name: sluice import %s lists names and paths",
					      repository, args->items[i], repository);
		worst = code > worst ? code : worst;
	}
	return worst;
}

static int import(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct import_flags *flags = config;
	Sluice__V1__ListImportableRequest request = SLUICE__V1__LIST_IMPORTABLE_REQUEST__INIT;
	Sluice__V1__ListImportableResponse *list = NULL;
	bool several = args->count > 2;
	if (several &&
	    ((flags->as != NULL && flags->as[0] != '\0') || cli->write.request_id[0] != '\0')) {
		return cli_complain(CLI_USAGE, "--as and --request-id are for one APP alone");
	}
	cli->call.timeout_ms = (uint32_t)cli_wait_ms(cli); /* the host may be slow */
	request.workspace = cli->workspace;
	request.repository = cli_str(args->items[0]);
	request.commit = cli_str(flags->commit);
	if (!CLI_CALL(cli, list_importable, &request, &list)) {
		return cli_fail(cli);
	}
	return args->count == 1 || flags->list ? show_list(cli, list)
					       : import_all(cli, args, list, flags);
}

const struct cli_command cli_cmd_import = {
    .about = {.name = "import",
	      .synopsis = "REPO [APP...]",
	      .summary = "Make apps of what a repository has already; without an APP, list that",
	      .description =
		  "What there is: apps that .sluice/apps names, those of a ToolJet repository "
		  "(.meta/meta.json), else the folders in apps/ or those of the root. APP is a "
		  "name or a "
		  "path of the list. Each becomes an app with one sealed version, all or nothing; "
		  "nothing "
		  "is committed to the branch.",
	      .args_min = 1,
	      .args_max = 1000,
	      .flags = import_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice import tools",
		       "What repository tools has, each with its last commit."},
		      {"sluice import tools 'My App' --as my-tool", "App my-tool, called My App."},
		      {NULL, NULL}}},
    .run = import,
    .config_size = sizeof(struct import_flags),
};

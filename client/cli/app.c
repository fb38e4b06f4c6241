/* sluice app: what users use. */
#include <string.h>

#include "base/clock/clock.h"
#include "client/cli/commands.h"

struct create_flags {
	const char *repo, *path, *display_name, *version, *commit;
	struct sl_flag_list place;
	bool wait, no_commit;
};
#define CREATE(field) offsetof(struct create_flags, field)
static const struct sl_flag create_flags[] = {
    {.name = "repo",
     .kind = SL_FLAG_TEXT,
     .offset = CREATE(repo),
     .max = 1023,
     .placeholder = "REPO|URL",
     .required = true,
     .help = "A repository's name or id, or a URL: that finds the repository, or makes it."},
    {.name = "path",
     .kind = SL_FLAG_TEXT,
     .offset = CREATE(path),
     .max = 1023,
     .placeholder = "FOLDER",
     .help = "The app's folder in the repository, `.` for its root; without it apps/NAME."},
    {.name = "place",
     .kind = SL_FLAG_PAIRS,
     .offset = CREATE(place),
     .max = 200,
     .help = "A label that instances must have to get the app; may be repeated, all must match. "
	     "Without it: all instances."},
    {.name = "no-commit",
     .kind = SL_FLAG_BOOL,
     .offset = CREATE(no_commit),
     .help = "Make no commit on the repository's branch that says so."},
    {.name = "display-name",
     .kind = SL_FLAG_TEXT,
     .offset = CREATE(display_name),
     .max = 200,
     .help = "For people; without it the name."},
    {.name = "version",
     .kind = SL_FLAG_TEXT,
     .offset = CREATE(version),
     .max = 64,
     .placeholder = "NAME",
     .help = "Name of the first version; without it v1."},
    {.name = "commit",
     .kind = SL_FLAG_TEXT,
     .offset = CREATE(commit),
     .max = 255,
     .placeholder = "REV",
     .help = "Branch, tag or full commit id of the first version; without it the tip of the "
	     "repository's branch."},
    {.name = "wait",
     .kind = SL_FLAG_BOOL,
     .offset = CREATE(wait),
     .fallback = "true",
     .help = "Wait for the first version's content; --no-wait returns at once."},
    {.name = NULL},
};

struct ls_flags {
	const char *repo;
};
static const struct sl_flag ls_flags[] = {
    {.name = "repo",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct ls_flags, repo),
     .max = 64,
     .help = "Only apps of this repository."},
    {.name = NULL},
};

struct open_flags {
	const char *environment, *version;
};
static const struct sl_flag open_flags[] = {
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct open_flags, environment),
     .max = 64,
     .help = "Open this environment."},
    {.name = "version",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct open_flags, version),
     .max = 64,
     .placeholder = "V",
     .help = "Open this version."},
    {.name = NULL},
};

static int create(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct create_flags *flags = config;
	Sluice__V1__CreateAppRequest request = SLUICE__V1__CREATE_APP_REQUEST__INIT;
	Sluice__V1__CreateAppResponse *response = NULL;
	bool url = strchr(flags->repo, ':') != NULL || strchr(flags->repo, '/') != NULL;
	cli->app = args->items[0];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(args->items[0]);
	request.display_name = cli_str(flags->display_name);
	request.repository = cli_str(url ? "" : flags->repo);
	request.repository_url = cli_str(url ? flags->repo : "");
	request.path = cli_str(flags->path);
	request.version_name = cli_str(flags->version);
	request.commit = cli_str(flags->commit);
	request.no_commit = flags->no_commit;
	request.n_placement = flags->place.count;
	request.placement = cli_pairs(cli, &flags->place,
				      &sluice__v1__create_app_request__placement_entry__descriptor);
	if (!CLI_CALL(cli, create_app, &request, &response)) {
		return cli_fail(cli);
	}
	const char *version = response->version->name;
	int code = flags->wait ? cli_wait_content(cli, response->app->name, response->version->id)
			       : CLI_DONE;
	if (cli_printed(cli, &response->base, response->app->name)) {
		return code;
	}
	cli_say(cli, "app %s is there, with version %s in %s%s\n", response->app->name, version,
		response->version->environment,
		code == CLI_DONE && flags->wait ? ", its content is READY" : "");
	return code;
}

static void put_row(struct table *table, const Sluice__V1__App *app)
{
	char age[TEXT_SIZE];
	table_put(table, TEXT_STRONG, "%s", app->name);
	table_put(table, app->released != NULL ? TEXT_GOOD : TEXT_FAINT, "%s",
		  cli_ref(app->released));
	table_put(table, TEXT_PLAIN, "%u", app->version_count);
	table_put(table, TEXT_PLAIN, "%s", app->repository);
	table_put(table, TEXT_PLAIN, "%s", app->path);
	table_put(table, TEXT_PLAIN, "%s", text_age(age, app->created_at, sl_clock_unix_ms()));
	table_put(table, TEXT_PLAIN, "%s", app->display_name);
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args;
	static const char *const headings[] = {"NAME", "RELEASED", "VERSIONS",     "REPOSITORY",
					       "PATH", "AGE",      "DISPLAY NAME", NULL};
	const struct ls_flags *flags = config;
	Sluice__V1__ListAppsRequest request = SLUICE__V1__LIST_APPS_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.repository = cli_str(flags->repo);
	const Sluice__V1__ListAppsResponse *list =
	    cli_list(cli, SLUICE_RPC_ListApps, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_apps; i++) {
		put_row(table, list->apps[i]);
	}
	return cli_end_table(table);
}

static int show(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__GetAppRequest request = SLUICE__V1__GET_APP_REQUEST__INIT;
	Sluice__V1__GetAppResponse *response = NULL;
	request.workspace = cli->workspace;
	request.app = cli_str(args->items[0]);
	if (!CLI_CALL(cli, get_app, &request, &response)) {
		return cli_fail(cli);
	}
	const Sluice__V1__App *app = response->app;
	char text[TEXT_SIZE];
	if (cli_printed(cli, &response->base, app->name)) {
		return CLI_DONE;
	}
	cli_fact(cli, "name", "%s", app->name);
	cli_fact(cli, "display name", "%s", app->display_name);
	cli_fact(cli, "id", "%s", app->id);
	cli_fact(cli, "slug", "%s", app->slug);
	cli_fact(cli, "repository", "%s", app->repository);
	cli_fact(cli, "path", "%s", app->path);
	for (size_t i = 0; i < app->n_placement; i++) {
		cli_fact(cli, "placed on", "%s=%s", app->placement[i]->key,
			 app->placement[i]->value);
	}
	cli_fact(cli, "placed on", "%s", app->n_placement == 0 ? "all instances" : "");
	cli_fact(cli, "released", "%s", cli_ref(app->released));
	cli_fact(cli, "versions", "%u", app->version_count);
	if (response->lease != NULL) {
		cli_fact(cli, "written by", "%s, for %s, until %s", response->lease->instance,
			 response->lease->by, text_time(text, response->lease->expires_at));
	}
	if (app->news != NULL) {
		cli_fact(cli, "new commits", "%llu%s on %s, as of %s",
			 (unsigned long long)app->news->commits, app->news->more ? " or more" : "",
			 app->news->ref, text_time(text, app->news->at));
	}
	cli_fact(cli, "made", "%s by %s", text_time(text, app->created_at), app->created_by);
	return CLI_DONE;
}

static int rename_app(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__RenameAppRequest request = SLUICE__V1__RENAME_APP_REQUEST__INIT;
	Sluice__V1__RenameAppResponse *response = NULL;
	cli->app = args->items[0];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(args->items[0]);
	request.new_name = cli_str(args->items[1]);
	if (!CLI_CALL(cli, rename_app, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->app->name)) {
		cli_say(cli, "app %s is now called %s; its address stays .../%s\n", args->items[0],
			response->app->name, response->app->slug);
	}
	return CLI_DONE;
}

static int open_app(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct open_flags *flags = config;
	Sluice__V1__OpenAppRequest request = SLUICE__V1__OPEN_APP_REQUEST__INIT;
	Sluice__V1__OpenAppResponse *response = NULL;
	cli->app = args->items[0];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(args->items[0]);
	request.environment = cli_str(flags->environment);
	request.version = cli_str(flags->version);
	if (!CLI_CALL(cli, open_app, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->version->name)) {
		cli_say(cli, "%s: %s in %s\n", args->items[0], response->version->name,
			response->environment);
	}
	return CLI_DONE;
}

static int rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__DeleteAppRequest request = SLUICE__V1__DELETE_APP_REQUEST__INIT;
	Sluice__V1__DeleteAppResponse *response = NULL;
	cli->app = args->items[0];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(args->items[0]);
	enum cli_exit go =
	    cli_confirm(cli, "Remove app %s and its versions (Git and the history are left alone)?",
			args->items[0]);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, delete_app, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli, "app %s is removed; Git and its history are left alone\n",
			args->items[0]);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_app_create = {
    .about =
	{.name = "app create",
	 .synopsis = "NAME --repo REPO|URL",
	 .summary = "Make an app and its first version, in development",
	 .description = "Waits until the first version's content is there, or says what is wrong "
			"with it: the app exists all the same then.",
	 .args_min = 1,
	 .args_max = 1,
	 .flags = create_flags,
	 .examples =
	     (const struct sl_example[]){
		 {"sluice app create shop --repo https://git.example.org/web.git --path apps/shop",
		  "An app from a folder of a repository."},
		 {"sluice app create blog --repo web --place zone=eu",
		  "One for the instances that have the label zone=eu."},
		 {NULL, NULL}}},
    .run = create,
    .config_size = sizeof(struct create_flags),
};
const struct cli_command cli_cmd_app_ls = {
    .about = {.name = "app ls", .synopsis = "", .summary = "List the apps", .flags = ls_flags},
    .run = ls,
    .config_size = sizeof(struct ls_flags),
};
const struct cli_command cli_cmd_app_show = {
    .about = {.name = "app show",
	      .synopsis = "APP",
	      .summary = "Show an app",
	      .args_min = 1,
	      .args_max = 1},
    .run = show,
};
const struct cli_command cli_cmd_app_rename = {
    .about = {.name = "app rename",
	      .synopsis = "APP NEW-NAME",
	      .summary = "Give an app another name; its address stays",
	      .args_min = 2,
	      .args_max = 2},
    .run = rename_app,
};
const struct cli_command cli_cmd_app_open = {
    .about = {.name = "app open",
	      .synopsis = "APP",
	      .summary = "Say where you last worked on an app, or note where you work now",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = open_flags},
    .run = open_app,
    .config_size = sizeof(struct open_flags),
};
const struct cli_command cli_cmd_app_rm = {
    .about = {.name = "app rm",
	      .synopsis = "APP",
	      .summary = "Remove an app that is neither released nor pinned; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = rm,
};

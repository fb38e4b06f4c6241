/* sluice admin: looking after a server. */
#include "base/clock/clock.h"
#include "client/cli/commands.h"

struct compact_flags {
	uint64_t revision;
};
static const struct sl_flag compact_flags[] = {
    {.name = "to",
     .kind = SL_FLAG_INT,
     .offset = offsetof(struct compact_flags, revision),
     .placeholder = "REV",
     .help = "The new floor; without it, or with 0, the last revision."},
    {.name = NULL},
};

static void put_bytes(const struct cli *cli, const char *label, uint64_t bytes)
{
	char text[TEXT_SIZE];
	cli_fact(cli, label, "%s", text_bytes(text, bytes));
}

static void put_store(const struct cli *cli, const Sluice__V1__GetStatsResponse *s)
{
	cli_fact(cli, "Revision:", "%llu", (unsigned long long)s->revision);
	cli_fact(cli, "Floor:", "%llu", (unsigned long long)s->floor);
	cli_fact(cli, "Log records:", "%llu", (unsigned long long)s->log_records);
	put_bytes(cli, "Map:", s->map_bytes);
	put_bytes(cli, "Used:", s->used_bytes);
	put_bytes(cli, "Free disk:", s->free_disk_bytes);
	put_bytes(cli, "Reserve:", s->reserve_bytes);
	cli_fact(cli, "Commits:", "%llu of %llu commands, %llu waiting",
		 (unsigned long long)s->commits, (unsigned long long)s->commands,
		 (unsigned long long)s->queued);
}

static int stats(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	char age[TEXT_SIZE];
	uint64_t now_ms = sl_clock_unix_ms();
	Sluice__V1__GetStatsRequest request = SLUICE__V1__GET_STATS_REQUEST__INIT;
	Sluice__V1__GetStatsResponse *s = NULL;
	if (!CLI_CALL(cli, get_stats, &request, &s)) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &s->base)) {
		return CLI_DONE;
	}
	cli_fact(cli, "Version:", "%s, up for %s", s->version,
		 text_age(age, s->started_at, now_ms));
	cli_fact(cli, "Recovery:", "%s",
		 s->recovery ? "yes: it was restored and waits for sluice admin resume" : "");
	put_store(cli, s);
	cli_fact(cli, "Requests:", "%llu replies kept, the oldest %s old",
		 (unsigned long long)s->requests, text_age(age, s->requests_since, now_ms));
	cli_fact(cli, "Agents:", "%u of %u instances", s->agents, s->instances);
	cli_fact(cli, "Watchers:", "%u", s->watchers);
	cli_fact(cli, "Git:", "%u jobs, %u tags owed, %u of them parked", s->git_jobs, s->owed,
		 s->parked);
	return CLI_DONE;
}

static int compact(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args;
	const struct compact_flags *flags = config;
	Sluice__V1__CompactRequest request = SLUICE__V1__COMPACT_REQUEST__INIT;
	Sluice__V1__CompactResponse *response = NULL;
	request.write = &cli->write;
	request.revision = flags->revision;
	if (!CLI_CALL(cli, compact, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, NULL)) {
		cli_say(cli, "changes up to %llu can no longer be watched\n",
			(unsigned long long)response->floor);
	}
	return CLI_DONE;
}

static void say_differences(const struct cli *cli, const char *workspace,
			    const Sluice__V1__AppStatus *app)
{
	for (size_t i = 0; i < app->n_environments; i++) {
		const Sluice__V1__EnvironmentStatus *e = app->environments[i];
		if (e->ok < e->instances) {
			cli_say(cli,
				"%s/%s in %s: %u of %u instances serve what the backup says (%s), "
				"%u are not connected\n",
				workspace, app->app, e->environment, e->ok, e->instances,
				e->selected != NULL ? cli_ref(e->selected) : "nothing",
				e->unreachable);
		}
	}
}

/* Where instances do not serve what the server would tell them. False: cli->error says why not. */
static bool show_differences(struct cli *cli)
{
	Sluice__V1__ListWorkspacesRequest request = SLUICE__V1__LIST_WORKSPACES_REQUEST__INIT;
	const Sluice__V1__ListWorkspacesResponse *list =
	    cli_list(cli, SLUICE_RPC_ListWorkspaces, &request.base);
	for (size_t i = 0; list != NULL && i < list->n_workspaces; i++) {
		Sluice__V1__GetStatusRequest look = SLUICE__V1__GET_STATUS_REQUEST__INIT;
		look.workspace = list->workspaces[i]->name;
		const Sluice__V1__GetStatusResponse *status =
		    cli_list(cli, SLUICE_RPC_GetStatus, &look.base);
		if (status == NULL) {
			return false;
		}
		for (size_t j = 0; j < status->n_apps; j++) {
			say_differences(cli, look.workspace, status->apps[j]);
		}
	}
	return list != NULL;
}

/* CLI_DONE also when there is nothing to end: the server says so then. */
static enum cli_exit ask_to_resume(struct cli *cli)
{
	Sluice__V1__GetStatsRequest request = SLUICE__V1__GET_STATS_REQUEST__INIT;
	Sluice__V1__GetStatsResponse *stats = NULL;
	if (!CLI_CALL(cli, get_stats, &request, &stats)) {
		return (enum cli_exit)cli_fail(cli);
	}
	if (!stats->recovery) {
		return CLI_DONE;
	}
	if (!show_differences(cli)) {
		return (enum cli_exit)cli_fail(cli);
	}
	return cli_confirm(cli, "Have every agent follow the backup?");
}

static int resume(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	Sluice__V1__ResumeRequest request = SLUICE__V1__RESUME_REQUEST__INIT;
	Sluice__V1__ResumeResponse *response = NULL;
	request.write = &cli->write;
	enum cli_exit go = ask_to_resume(cli);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, resume, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, NULL)) {
		cli_say(cli, "%s\n",
			response->ended ? "the recovery is over: agents are told what to run"
					: "the server is not in recovery");
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_admin_stats = {
    .about = {.name = "admin stats",
	      .synopsis = "",
	      .summary = "Show what the server holds and does"},
    .run = stats,
};
const struct cli_command cli_cmd_admin_compact = {
    .about = {.name = "admin compact",
	      .synopsis = "",
	      .summary =
		  "Give up old changes: they can no longer be watched, and their room is used "
		  "again",
	      .description =
		  "History, promotions and kept replies stay. The server does the same by "
		  "age by itself (sluiced --log-keep).",
	      .flags = compact_flags},
    .run = compact,
    .config_size = sizeof(struct compact_flags),
};
const struct cli_command cli_cmd_admin_resume = {
    .about = {.name = "admin resume",
	      .synopsis = "",
	      .summary = "End the recovery of a server that was restored from a backup; asks first",
	      .description = "Shows where instances differ from what the backup says. Until then "
			     "nothing can be changed and agents are told nothing. From "
			     "then on they follow what the backup says, also where they are ahead "
			     "of it."},
    .run = resume,
};

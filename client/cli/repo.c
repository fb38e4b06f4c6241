/* sluice repo: Git repositories that apps live in. */
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "client/cli/commands.h"
#include "client/cli/repo_login.h"

struct add_flags {
	const char *branch, *publish, *commits;
	struct login_flags login;
};
static const struct sl_flag add_flags[] = {
    {.name = "branch",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct add_flags, branch),
     .max = 255,
     .help = "The branch whose tip new versions take; without it the repository's default branch."},
    {.name = "publish",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct add_flags, publish),
     .fallback = "tags",
     .choices = "tags|none",
     .help = "tags: each sealed version becomes a tag that agents fetch. none: the repository is "
	     "read-only for "
	     "Sluice, agents fetch the commit itself."},
    {.name = "commits",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct add_flags, commits),
     .choices = "automatic|promotions|none",
     .help =
	 "automatic: a commit on the branch for each new or renamed app and version, as is usual "
	 "where tags are published. promotions: those, and one for each promotion to staging. "
	 "none: no commit but those that are asked for."},
    LOGIN_FLAGS(add_flags, login),
    {.name = NULL},
};

/* UNSPECIFIED: as is usual. */
static Sluice__V1__CommitMode commit_mode(const char *name)
{
	static const struct {
		const char *name;
		Sluice__V1__CommitMode mode;
	} modes[] = {
	    {"automatic", SLUICE__V1__COMMIT_MODE__COMMIT_MODE_AUTOMATIC},
	    {"promotions", SLUICE__V1__COMMIT_MODE__COMMIT_MODE_PROMOTIONS},
	    {"none", SLUICE__V1__COMMIT_MODE__COMMIT_MODE_NONE},
	};
	for (size_t i = 0; name != NULL && i < SL_COUNT(modes); i++) {
		if (strcmp(name, modes[i].name) == 0) {
			return modes[i].mode;
		}
	}
	return SLUICE__V1__COMMIT_MODE__COMMIT_MODE_UNSPECIFIED;
}

static const char *contact_text(const Sluice__V1__Repository *repo)
{
	const Sluice__V1__RepositoryContact *contact = repo->contact;
	if (contact == NULL || contact->at == NULL) {
		return "not asked yet";
	}
	if (contact->failure[0] != '\0') {
		return contact->failure;
	}
	return contact->reachable ? "ok" : "unreachable";
}

static enum text_color contact_color(const char *text)
{
	if (strcmp(text, "ok") == 0) {
		return TEXT_GOOD;
	}
	return strcmp(text, "not asked yet") == 0 ? TEXT_FAINT : TEXT_BAD;
}

static void show_login(const struct cli *cli, const char *name,
		       const Sluice__V1__RepositoryLogin *login)
{
	char text[TEXT_SIZE];
	if (login == NULL) {
		return;
	}
	bool key = login->kind == SLUICE__V1__LOGIN_KIND__LOGIN_KIND_KEY;
	cli_fact(cli, name, "%s, set %s by %s", key ? "ssh key" : "token",
		 text_time(text, login->set_at), login->set_by);
	if (login->public_key[0] != '\0') {
		cli_fact(cli, "", "%s", login->public_key);
	}
}

static int show_facts(const struct cli *cli, const ProtobufCMessage *message,
		      const Sluice__V1__Repository *r)
{
	char text[TEXT_SIZE];
	if (cli_printed(cli, message, r->name)) {
		return CLI_DONE;
	}
	cli_fact(cli, "name", "%s", r->name);
	cli_fact(cli, "id", "%s", r->id);
	cli_fact(cli, "url", "%s", r->url);
	cli_fact(cli, "branch", "%s", r->branch[0] != '\0' ? r->branch : "(the default one)");
	cli_fact(cli, "publish", "%s",
		 text_enum(text, &sluice__v1__publish_mode__descriptor, (int)r->publish));
	cli_fact(cli, "commits", "%s",
		 text_enum(text, &sluice__v1__commit_mode__descriptor, (int)r->commits));
	cli_fact(cli, "made", "%s by %s", text_time(text, r->created_at), r->created_by);
	show_login(cli, "push with", r->push);
	show_login(cli, "pull with", r->pull);
	show_login(cli, "waits to push", r->next_push);
	show_login(cli, "waits to pull", r->next_pull);
	for (size_t i = 0; i < r->n_host_keys; i++) {
		cli_fact(cli, i == 0 ? "host keys" : "", "SHA-256 %s", r->host_keys[i]);
	}
	if (r->ca_pem[0] != '\0') {
		cli_fact(cli, "authorities", "of its own");
	}
	cli_fact(cli, "contact", "%s", contact_text(r));
	if (r->contact != NULL) {
		cli_fact(cli, "tags owed", "%u, of them refused by the host: %u", r->contact->owed,
			 r->contact->parked);
		cli_fact(cli, "commits owed", "%u, of them refused: %u", r->contact->owed_commits,
			 r->contact->parked_commits);
	}
	if (r->contact != NULL && r->contact->at != NULL) {
		cli_fact(cli, "asked", "%s", text_time(text, r->contact->at));
		cli_fact(cli, "said", "%s", r->contact->text);
	}
	return CLI_DONE;
}

static int add(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct add_flags *flags = config;
	SL_AUTO(login_files_fini) struct login_files files;
	if (!login_files_read(&flags->login, &files)) {
		return CLI_USAGE;
	}
	Sluice__V1__CreateRepositoryRequest request = SLUICE__V1__CREATE_REPOSITORY_REQUEST__INIT;
	Sluice__V1__CreateRepositoryResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.name = cli_str(args->items[0]);
	request.url = cli_str(args->items[1]);
	request.branch = cli_str(flags->branch);
	request.publish = strcmp(flags->publish, "none") == 0
			      ? SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_NONE
			      : SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS;
	request.commits = commit_mode(flags->commits);
	request.push = files.push;
	request.pull = files.pull;
	request.known_hosts = cli_str(files.known_hosts);
	request.ca_pem = cli_str(files.ca);
	if (!CLI_CALL(cli, create_repository, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->repository->name)) {
		cli_say(cli, "repository %s is known: %s\n", response->repository->name,
			response->repository->url);
	}
	return CLI_DONE;
}

static int ls(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args, (void)config;
	static const char *const headings[] = {"NAME", "BRANCH", "PUBLISH", "CONTACT",
					       "OWED", "AGE",    "URL",     NULL};
	Sluice__V1__ListRepositoriesRequest request = SLUICE__V1__LIST_REPOSITORIES_REQUEST__INIT;
	request.workspace = cli->workspace;
	const Sluice__V1__ListRepositoriesResponse *list =
	    cli_list(cli, SLUICE_RPC_ListRepositories, &request.base);
	if (list == NULL) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &list->base)) {
		return CLI_DONE;
	}
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < list->n_repositories; i++) {
		const Sluice__V1__Repository *r = list->repositories[i];
		const char *contact = contact_text(r);
		char text[TEXT_SIZE];
		table_put(table, TEXT_STRONG, "%s", r->name);
		table_put(table, TEXT_PLAIN, "%s", r->branch[0] != '\0' ? r->branch : "-");
		table_put(table, TEXT_PLAIN, "%s",
			  text_enum(text, &sluice__v1__publish_mode__descriptor, (int)r->publish));
		table_put(table, contact_color(contact), "%s", contact);
		table_put(table, TEXT_PLAIN, "%u", r->contact != NULL ? r->contact->owed : 0);
		table_put(table, TEXT_PLAIN, "%s",
			  text_age(text, r->created_at, sl_clock_unix_ms()));
		table_put(table, TEXT_PLAIN, "%s", r->url);
	}
	return cli_end_table(table);
}

static int show(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__GetRepositoryRequest request = SLUICE__V1__GET_REPOSITORY_REQUEST__INIT;
	Sluice__V1__GetRepositoryResponse *response = NULL;
	request.workspace = cli->workspace;
	request.repository = cli_str(args->items[0]);
	if (!CLI_CALL(cli, get_repository, &request, &response)) {
		return cli_fail(cli);
	}
	return show_facts(cli, &response->base, response->repository);
}

struct refresh_flags {
	bool follow;
};
static const struct sl_flag refresh_flags[] = {
    {.name = "follow",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct refresh_flags, follow),
     .help = "The branch's history was rewritten, and that is meant: write on what it is now."},
    {.name = NULL},
};

static int refresh(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct refresh_flags *flags = config;
	Sluice__V1__RefreshRepositoryRequest request = SLUICE__V1__REFRESH_REPOSITORY_REQUEST__INIT;
	Sluice__V1__RefreshRepositoryResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.repository = cli_str(args->items[0]);
	request.follow = flags->follow;
	if (!CLI_CALL(cli, refresh_repository, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli,
			"repository %s is asked now: %u contents looked up again, %u tags "
			"published again, %u commits made again\n",
			args->items[0], response->resolving, response->publishing,
			response->committing);
	}
	return CLI_DONE;
}

static int rm(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	Sluice__V1__DeleteRepositoryRequest request = SLUICE__V1__DELETE_REPOSITORY_REQUEST__INIT;
	Sluice__V1__DeleteRepositoryResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.repository = cli_str(args->items[0]);
	enum cli_exit go = cli_confirm(cli, "Remove repository %s from Sluice (Git is left alone)?",
				       args->items[0]);
	if (go != CLI_DONE) {
		return go;
	}
	if (!CLI_CALL(cli, delete_repository, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli, "repository %s is removed; Git is left alone\n", args->items[0]);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_repo_add = {
    .about = {.name = "repo add",
	      .synopsis = "NAME URL",
	      .summary = "Make a Git repository known",
	      .args_min = 2,
	      .args_max = 2,
	      .flags = add_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice repo add web https://git.example.org/web.git --branch main",
		       "A repository that versions are published in."},
		      {NULL, NULL}}},
    .run = add,
    .config_size = sizeof(struct add_flags),
};
const struct cli_command cli_cmd_repo_ls = {
    .about = {.name = "repo ls",
	      .synopsis = "",
	      .summary = "List the repositories, and how the last contact with each went"},
    .run = ls,
};
const struct cli_command cli_cmd_repo_show = {
    .about = {.name = "repo show",
	      .synopsis = "NAME",
	      .summary = "Show a repository",
	      .args_min = 1,
	      .args_max = 1},
    .run = show,
};
const struct cli_command cli_cmd_repo_refresh = {
    .about = {.name = "repo refresh",
	      .synopsis = "NAME",
	      .summary = "Ask the Git host now: contents that could not be had, tags and commits "
			 "that are owed",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = refresh_flags},
    .run = refresh,
    .config_size = sizeof(struct refresh_flags),
};
const struct cli_command cli_cmd_repo_rm = {
    .about = {.name = "repo rm",
	      .synopsis = "NAME",
	      .summary = "Remove a repository that no app refers to; asks first",
	      .args_min = 1,
	      .args_max = 1},
    .run = rm,
};

/* sluice repo set, test, keygen, rotate: how the server gets at a repository. */
#include "client/cli/repo_login.h"

#include <string.h>

#include "base/crypto/secret.h"
#include "base/keyfile/keyfile.h"
#include "client/cli/commands.h"

/* --- files ---------------------------------------------------------------------------- */

static bool read_file(const char *path, enum keyfile_kind kind, char **ret_text)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (path[0] == '\0' || keyfile_read_path(path, kind, ret_text, &err) == SL_OK) {
		return true;
	}
	(void)cli_complain(CLI_USAGE, "%s", err.msg);
	return false;
}

static void cut_line_end(char *text)
{
	if (text != NULL) {
		text[strcspn(text, "\r\n")] = '\0';
	}
}

static Sluice__V1__RepositoryCredentials *fill(Sluice__V1__RepositoryCredentials *message,
					       const char *user, char *token, char *key)
{
	sluice__v1__repository_credentials__init(message);
	message->user = cli_str(user);
	message->token = token != NULL ? token : message->token;
	message->ssh_key = key != NULL ? key : message->ssh_key;
	return token != NULL || key != NULL ? message : NULL;
}

bool login_files_read(const struct login_flags *flags, struct login_files *files)
{
	const struct {
		const char *path;
		enum keyfile_kind kind;
	} rows[] = {
	    {flags->push_token, KEYFILE_SECRET},  {flags->push_key, KEYFILE_SECRET},
	    {flags->pull_token, KEYFILE_SECRET},  {flags->pull_key, KEYFILE_SECRET},
	    {flags->known_hosts, KEYFILE_PUBLIC}, {flags->ca, KEYFILE_PUBLIC},
	};
	*files = (struct login_files){.push = NULL};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		if (!read_file(rows[i].path, rows[i].kind, &files->texts[i])) {
			return false;
		}
	}
	cut_line_end(files->texts[0]);
	cut_line_end(files->texts[2]);
	files->push =
	    fill(&files->push_message, flags->push_user, files->texts[0], files->texts[1]);
	files->pull =
	    fill(&files->pull_message, flags->pull_user, files->texts[2], files->texts[3]);
	files->known_hosts = files->texts[4] != NULL ? files->texts[4] : "";
	files->ca = files->texts[5] != NULL ? files->texts[5] : "";
	return true;
}

void login_files_fini(struct login_files *files)
{
	for (size_t i = 0; i < SL_COUNT(files->texts); i++) {
		sl_secret_free(SL_TAKE(files->texts[i]));
	}
}

/* --- repo set --------------------------------------------------------------------------- */

struct set_flags {
	struct login_flags login;
	bool forget_push, forget_pull, forget_ca;
};
static const struct sl_flag set_flags[] = {
    LOGIN_FLAGS(set_flags, login),
    {.name = "forget-push",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct set_flags, forget_push),
     .help = "Forget the credentials to push with."},
    {.name = "forget-pull",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct set_flags, forget_pull),
     .help = "Forget the credentials to read with."},
    {.name = "forget-ca",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct set_flags, forget_ca),
     .help = "Believe the machine's authorities again."},
    {.name = NULL},
};

static int set(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct set_flags *flags = config;
	SL_AUTO(login_files_fini) struct login_files files;
	Sluice__V1__SetRepositoryRequest request = SLUICE__V1__SET_REPOSITORY_REQUEST__INIT;
	Sluice__V1__SetRepositoryResponse *response = NULL;
	if (!login_files_read(&flags->login, &files)) {
		return CLI_USAGE;
	}
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.repository = cli_str(args->items[0]);
	request.url = args->count > 1 ? cli_str(args->items[1]) : request.url;
	request.push = files.push;
	request.pull = files.pull;
	request.known_hosts = cli_str(files.known_hosts);
	request.ca_pem = cli_str(files.ca);
	request.forget_push = flags->forget_push;
	request.forget_pull = flags->forget_pull;
	request.forget_ca = flags->forget_ca;
	if (!CLI_CALL(cli, set_repository, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, response->repository->name)) {
		cli_say(cli, "repository %s is set; try it with: sluice repo test %s\n",
			response->repository->name, response->repository->name);
	}
	return CLI_DONE;
}

/* --- repo test ------------------------------------------------------------------------------ */

struct test_flags {
	bool next;
};
static const struct sl_flag test_flags[] = {
    {.name = "next",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct test_flags, next),
     .help = "Try the keys that wait for `repo rotate`."},
    {.name = NULL},
};

static enum text_color check_color(Sluice__V1__RepositoryCheckState state)
{
	if (state == SLUICE__V1__REPOSITORY_CHECK_STATE__REPOSITORY_CHECK_STATE_OK) {
		return TEXT_GOOD;
	}
	return state == SLUICE__V1__REPOSITORY_CHECK_STATE__REPOSITORY_CHECK_STATE_FAILED
		   ? TEXT_BAD
		   : TEXT_FAINT;
}

static int show_checks(struct cli *cli, const Sluice__V1__TestRepositoryResponse *response)
{
	static const char *const headings[] = {"STEP", "STATE", "WHY", NULL};
	struct table *table = cli_table(cli, headings);
	for (size_t i = 0; i < response->n_checks; i++) {
		const Sluice__V1__RepositoryCheck *check = response->checks[i];
		char text[TEXT_SIZE];
		table_put(table, TEXT_STRONG, "%s", check->name);
		table_put(table, check_color(check->state), "%s",
			  text_enum(text, &sluice__v1__repository_check_state__descriptor,
				    (int)check->state));
		table_put(table, TEXT_PLAIN, "%s%s%s", check->failure,
			  check->failure[0] != '\0' ? ": " : "", check->text);
	}
	int shown = cli_end_table(table);
	return shown != CLI_DONE || response->ok ? shown : CLI_REFUSED;
}

static int test(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct test_flags *flags = config;
	Sluice__V1__TestRepositoryRequest request = SLUICE__V1__TEST_REPOSITORY_REQUEST__INIT;
	Sluice__V1__TestRepositoryResponse *response = NULL;
	request.workspace = cli->workspace;
	request.repository = cli_str(args->items[0]);
	request.next = flags->next;
	if (!CLI_CALL(cli, test_repository, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed_json(cli, &response->base)) {
		return response->ok ? CLI_DONE : CLI_REFUSED;
	}
	return show_checks(cli, response);
}

/* --- repo keygen, repo rotate --- */

struct use_flags {
	bool push, pull;
};
static const struct sl_flag use_flags[] = {
    {.name = "push",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct use_flags, push),
     .help = "The key to push with."},
    {.name = "pull",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct use_flags, pull),
     .help = "The key to read with, which agents get too."},
    {.name = NULL},
};

static bool get_use(const struct use_flags *flags, Sluice__V1__LoginUse *ret_use)
{
	if (flags->push == flags->pull) {
		(void)cli_complain(CLI_USAGE, "say either --push or --pull");
		return false;
	}
	*ret_use = flags->push ? SLUICE__V1__LOGIN_USE__LOGIN_USE_PUSH
			       : SLUICE__V1__LOGIN_USE__LOGIN_USE_PULL;
	return true;
}

static int keygen(struct cli *cli, const struct sl_args *args, void *config)
{
	Sluice__V1__GenerateRepositoryKeyRequest request =
	    SLUICE__V1__GENERATE_REPOSITORY_KEY_REQUEST__INIT;
	Sluice__V1__GenerateRepositoryKeyResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.repository = cli_str(args->items[0]);
	if (!get_use(config, &request.use)) {
		return CLI_USAGE;
	}
	if (!CLI_CALL(cli, generate_repository_key, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli_printed(cli, &response->base, response->public_key)) {
		return CLI_DONE;
	}
	(void)printf("%s\n", response->public_key);
	const char *use = request.use == SLUICE__V1__LOGIN_USE__LOGIN_USE_PUSH ? "push" : "pull";
	if (response->waits) {
		(void)fprintf(
		    stderr,
		    "Give it to the Git host as a deploy key, then: sluice repo rotate %s "
		    "--%s\n",
		    args->items[0], use);
	} else {
		(void)fprintf(
		    stderr,
		    "Give it to the Git host as a deploy key%s, then: sluice repo test %s\n",
		    strcmp(use, "push") == 0 ? " that may write" : "", args->items[0]);
	}
	return CLI_DONE;
}

/* Keys that do not work take nobody's place. */
static int test_next(struct cli *cli, const char *repository)
{
	Sluice__V1__TestRepositoryRequest request = SLUICE__V1__TEST_REPOSITORY_REQUEST__INIT;
	Sluice__V1__TestRepositoryResponse *response = NULL;
	request.workspace = cli->workspace;
	request.repository = cli_str(repository);
	request.next = true;
	if (!CLI_CALL(cli, test_repository, &request, &response)) {
		return cli_fail(cli);
	}
	if (response->ok) {
		return CLI_DONE;
	}
	(void)fprintf(stderr,
		      "sluice: the key that waits does not work yet; nothing was changed\n");
	return show_checks(cli, response);
}

static int rotate(struct cli *cli, const struct sl_args *args, void *config)
{
	Sluice__V1__RotateRepositoryKeyRequest request =
	    SLUICE__V1__ROTATE_REPOSITORY_KEY_REQUEST__INIT;
	Sluice__V1__RotateRepositoryKeyResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.repository = cli_str(args->items[0]);
	if (!get_use(config, &request.use)) {
		return CLI_USAGE;
	}
	int works = test_next(cli, args->items[0]);
	if (works != CLI_DONE) {
		return works;
	}
	if (!CLI_CALL(cli, rotate_repository_key, &request, &response)) {
		return cli_fail(cli);
	}
	if (!cli_printed(cli, &response->base, args->items[0])) {
		cli_say(cli,
			"the new key is in use; the one before can be taken from the Git host\n");
	}
	return CLI_DONE;
}

/* --- rows --- */

const struct cli_command cli_cmd_repo_set = {
    .about =
	{.name = "repo set",
	 .synopsis = "NAME [URL]",
	 .summary = "Change where a repository is, and the credentials for it",
	 .description =
	     "Credentials come from files, never from the command line. They are kept encrypted; "
	     "nothing shows them again. Another host, port or scheme forgets those that are not "
	     "given along.",
	 .args_min = 1,
	 .args_max = 2,
	 .flags = set_flags,
	 .examples =
	     (const struct sl_example[]){
		 {"sluice repo set web --push-token-file push.token --pull-token-file pull.token",
		  "Tokens for https: one that may write, one that may read."},
		 {"sluice repo set web --known-hosts hosts.txt",
		  "The ssh host keys that are accepted."},
		 {NULL, NULL}}},
    .run = set,
    .config_size = sizeof(struct set_flags),
};
const struct cli_command cli_cmd_repo_test = {
    .about = {.name = "repo test",
	      .synopsis = "NAME",
	      .summary = "Try host and credentials: reach, host, login, read, branch, write",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = test_flags},
    .run = test,
    .config_size = sizeof(struct test_flags),
};
const struct cli_command cli_cmd_repo_keygen = {
    .about = {.name = "repo keygen",
	      .synopsis = "NAME --push|--pull",
	      .summary = "Make an Ed25519 deploy key on the server, and print its public half",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = use_flags},
    .run = keygen,
    .config_size = sizeof(struct use_flags),
};
const struct cli_command cli_cmd_repo_rotate = {
    .about = {.name = "repo rotate",
	      .synopsis = "NAME --push|--pull",
	      .summary = "Use the key that `repo keygen` made, once it works",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = use_flags},
    .run = rotate,
    .config_size = sizeof(struct use_flags),
};

/* sluice push: a folder of this machine, or the working copy of a development instance, becomes the
 * content of a draft, as one commit. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/git/archive.h"
#include "base/git/folder.h"
#include "base/mem/own.h"
#include "client/cli/commands.h"

enum { PIECE = 1 << 20 };

struct push_flags {
	const char *app, *version, *instance, *message;
	bool onto, wait;
};
#define PUSH(field) offsetof(struct push_flags, field)
static const struct sl_flag push_flags[] = {
    {.name = "app",
     .kind = SL_FLAG_TEXT,
     .offset = PUSH(app),
     .max = 64,
     .help = "A folder of this machine is pushed: the app whose folder in the repository it "
	     "becomes."},
    {.name = "instance",
     .kind = SL_FLAG_TEXT,
     .offset = PUSH(instance),
     .max = 64,
     .placeholder = "NAME",
     .help = "The development instance whose working copy is pushed; without it the one that holds "
	     "the app's lease, or the only one that has a working copy."},
    {.name = "version",
     .kind = SL_FLAG_TEXT,
     .offset = PUSH(version),
     .max = 64,
     .placeholder = "V",
     .help = "The draft that takes the commit; without it the app's newest draft."},
    {.name = "message",
     .letter = 'm',
     .kind = SL_FLAG_TEXT,
     .offset = PUSH(message),
     .max = 500,
     .required = true,
     .help = "What the commit says, in one line."},
    {.name = "onto",
     .kind = SL_FLAG_BOOL,
     .offset = PUSH(onto),
     .help = "Where others changed the same files meanwhile, put these on top of theirs."},
    {.name = "wait",
     .kind = SL_FLAG_BOOL,
     .offset = PUSH(wait),
     .fallback = "true",
     .help = "Wait until it is in Git; --no-wait returns at once."},
    {.name = NULL},
};

/* --- upload ----------------------------------------------------------------------------- */

struct upload {
	struct cli *cli;
	const char *app;
	char id[64]; /* "": not begun */
	uint64_t sent, files;
	struct sl_buf piece;
	int code; /* the first failure's */
};

static bool failed(struct upload *u, int code)
{
	u->code = code;
	return false;
}

static bool send_piece(struct upload *u, bool last)
{
	Sluice__V1__UploadContentRequest request = SLUICE__V1__UPLOAD_CONTENT_REQUEST__INIT;
	Sluice__V1__UploadContentResponse *response = NULL;
	request.workspace = u->cli->workspace;
	request.app = cli_str(u->app);
	request.upload = u->id;
	request.offset = u->sent;
	request.data = (ProtobufCBinaryData){.data = u->piece.data, .len = u->piece.size};
	request.last = last;
	if (u->piece.failed) {
		return failed(u, cli_complain(CLI_FAILED, "out of memory for an upload"));
	}
	if (!CLI_CALL(u->cli, upload_content, &request, &response)) {
		return failed(u, cli_fail(u->cli));
	}
	sl_text_copy(u->id, sizeof(u->id), response->upload);
	u->sent += u->piece.size;
	sl_buf_clear(&u->piece);
	return true;
}

/* Reads at most `left` bytes behind what the piece has, up to a whole piece. */
static ssize_t read_some(struct upload *u, int fd, uint64_t left)
{
	static uint8_t block[65536];
	size_t room = PIECE - u->piece.size, most = left < room ? (size_t)left : room;
	ssize_t got = -1;
	do {
		got = read(fd, block, most < sizeof(block) ? most : sizeof(block));
	} while (got < 0 && errno == EINTR);
	if (got > 0) {
		sl_buf_append(&u->piece, block, (size_t)got);
	}
	return got;
}

static bool add_file(void *ctx, const char *path, int fd, const struct stat *file)
{
	struct upload *u = ctx;
	uint64_t left = (uint64_t)file->st_size;
	git_archive_head(&u->piece, path, (file->st_mode & S_IXUSR) != 0, left);
	u->files++;
	while (left > 0) {
		ssize_t got = u->piece.size < PIECE ? read_some(u, fd, left) : 0;
		if (got <= 0 && u->piece.size < PIECE) {
			return failed(u, cli_complain(CLI_FAILED, "read '%s': %s", path,
						      got < 0 ? strerror(errno)
							      : "it became shorter meanwhile"));
		}
		left -= (uint64_t)got;
		if (u->piece.size >= PIECE && !send_piece(u, false)) {
			return false;
		}
	}
	return true;
}

/* --- the folder ---------------------------------------------------------------------------- */

static bool upload_folder(struct upload *u, const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return failed(u,
			      cli_complain(CLI_FAILED, "folder '%s': %s", folder, strerror(errno)));
	}
	struct git_folder_walk walk = {.take = add_file, .ctx = u};
	if (!git_folder_walk(&walk, fd)) {
		return walk.fault == GIT_FOLDER_FINE
			   ? false /* it was said why */
			   : failed(u, cli_complain(CLI_FAILED, "%s", walk.text));
	}
	return send_piece(u, true);
}

/* --- the command --- */

/* The newest draft in development; NULL: it was said why not. */
static const char *newest_draft(struct cli *cli, const char *app)
{
	Sluice__V1__ListVersionsRequest request = SLUICE__V1__LIST_VERSIONS_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.app = cli_str(app);
	const Sluice__V1__ListVersionsResponse *list =
	    cli_list(cli, SLUICE_RPC_ListVersions, &request.base);
	if (list == NULL) {
		(void)cli_fail(cli);
		return NULL;
	}
	for (size_t i = 0; i < list->n_versions; i++) {
		if (list->versions[i]->state == SLUICE__V1__VERSION_STATE__VERSION_STATE_DRAFT) {
			return list->versions[i]->id;
		}
	}
	(void)cli_complain(CLI_FAILED,
			   "app %s has no draft that could take a push: make one with "
			   "`sluice version create %s NAME`",
			   app, app);
	return NULL;
}

static void tell_conflicts(struct cli *cli, const char *app, const char *version)
{
	Sluice__V1__GetVersionRequest request = SLUICE__V1__GET_VERSION_REQUEST__INIT;
	Sluice__V1__GetVersionResponse *response = NULL;
	request.workspace = cli->workspace;
	request.app = cli_str(app);
	request.version = cli_str(version);
	if (!CLI_CALL(cli, get_version, &request, &response)) {
		return;
	}
	const Sluice__V1__Content *content = response->version->content;
	for (size_t i = 0; i < content->n_conflicts; i++) {
		const Sluice__V1__CommitInfo *c = content->conflicts[i];
		char when[TEXT_SIZE];
		(void)fprintf(stderr, "  %.12s  %s  %s  %s\n", c->commit, text_time(when, c->at),
			      c->author, c->message);
	}
	if (content->n_conflicts > 0) {
		(void)fprintf(stderr, "  take theirs into the folder and push again, or put it on "
				      "top of theirs: sluice push --onto\n");
	}
}

/* Waits, if it is to, and says what became of it. `what` is "7 files", or "working copy of dev-1".
 */
static int follow(struct cli *cli, const struct push_flags *flags, const ProtobufCMessage *response,
		  const Sluice__V1__Version *version, const char *what)
{
	int code = flags->wait ? cli_wait_content(cli, cli->app, version->id) : CLI_DONE;
	if (code != CLI_DONE) {
		tell_conflicts(cli, cli->app, version->id);
	}
	if (!cli_printed(cli, response, version->name) && code == CLI_DONE) {
		cli_say(cli, "version %s of %s: %s %s\n", version->name, version->app, what,
			flags->wait ? "in Git" : "on the way into Git");
	}
	return code;
}

static int push_folder(struct cli *cli, const struct push_flags *flags, const char *folder)
{
	Sluice__V1__PushVersionRequest request = SLUICE__V1__PUSH_VERSION_REQUEST__INIT;
	Sluice__V1__PushVersionResponse *response = NULL;
	char what[TEXT_SIZE];
	cli->app = flags->app;
	bool named = flags->version != NULL && flags->version[0] != '\0';
	cli->version = named ? flags->version : newest_draft(cli, flags->app);
	if (cli->version == NULL) {
		return CLI_FAILED;
	}
	struct upload upload = {.cli = cli, .app = flags->app};
	bool sent = upload_folder(&upload, folder);
	sl_buf_fini(&upload.piece);
	if (!sent) {
		return upload.code;
	}
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	request.version = cli_str(cli->version);
	request.upload = upload.id;
	request.message = cli_str(flags->message);
	request.onto = flags->onto;
	if (!CLI_CALL(cli, push_version, &request, &response)) {
		return cli_fail(cli);
	}
	(void)snprintf(what, sizeof(what), "%lu files are", (unsigned long)upload.files);
	return follow(cli, flags, &response->base, response->version, what);
}

/* --- of an instance ------------------------------------------------------------------------- */

/* The only one with a working copy of the app; NULL: it was said why none. */
static const char *only_instance(struct cli *cli, const char *app)
{
	Sluice__V1__GetStatusRequest request = SLUICE__V1__GET_STATUS_REQUEST__INIT;
	Sluice__V1__GetStatusResponse *status = NULL;
	const char *found = NULL;
	unsigned count = 0;
	request.workspace = cli->workspace;
	request.app = cli_str(app);
	request.with_instances = true;
	if (!CLI_CALL(cli, get_status, &request, &status)) {
		(void)cli_fail(cli);
		return NULL;
	}
	for (size_t i = 0; i < status->n_instances; i++) {
		if (status->instances[i]->working_copy != NULL) {
			found = status->instances[i]->instance;
			count++;
		}
	}
	if (status->n_apps > 0 && status->apps[0]->lease != NULL) {
		return status->apps[0]->lease->instance;
	}
	if (count != 1) {
		(void)cli_complain(
		    CLI_FAILED, "%s development instance has a working copy of %s: say --instance",
		    count == 0 ? "no" : "more than one", app);
	}
	return count == 1 ? found : NULL;
}

static int push_instance(struct cli *cli, const struct push_flags *flags, const char *app)
{
	Sluice__V1__PushWorkingCopyRequest request = SLUICE__V1__PUSH_WORKING_COPY_REQUEST__INIT;
	Sluice__V1__PushWorkingCopyResponse *response = NULL;
	bool named = flags->instance != NULL && flags->instance[0] != '\0';
	char what[TEXT_SIZE];
	cli->app = app;
	cli->version = flags->version;
	const char *instance = named ? flags->instance : only_instance(cli, app);
	if (instance == NULL) {
		return CLI_FAILED;
	}
	(void)snprintf(what, sizeof(what), "the working copy of %s is", instance);
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(app);
	request.version = cli_str(flags->version);
	request.instance = cli_str(instance);
	request.message = cli_str(flags->message);
	request.onto = flags->onto;
	if (!CLI_CALL(cli, push_working_copy, &request, &response)) {
		return cli_fail(cli);
	}
	return follow(cli, flags, &response->base, response->version, what);
}

static int push(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct push_flags *flags = config;
	bool folder = flags->app != NULL && flags->app[0] != '\0';
	bool instance = flags->instance != NULL && flags->instance[0] != '\0';
	if (folder && instance) {
		return cli_complain(CLI_USAGE, "push takes DIR --app A, or APP --instance I");
	}
	return folder ? push_folder(cli, flags, args->items[0])
		      : push_instance(cli, flags, args->items[0]);
}

const struct cli_command cli_cmd_push = {
    .about = {.name = "push",
	      .synopsis = "DIR --app A | APP [--instance I] -m MESSAGE",
	      .summary =
		  "Commit a folder, or an instance's working copy, as an app's; a draft takes "
		  "it",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = push_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice push build --app shop -m 'New cart'",
		       "What is in build becomes the newest draft of shop."},
		      {"sluice push shop --instance dev-1 -m 'New cart'",
		       "What was edited in apps/shop/work of dev-1 does."},
		      {NULL, NULL}}},
    .run = push,
    .config_size = sizeof(struct push_flags),
};

/* --- leases ----------------------------------------------------------------------------------- */

static int break_lease(struct cli *cli, const struct sl_args *args, void *config)
{
	Sluice__V1__BreakLeaseRequest request = SLUICE__V1__BREAK_LEASE_REQUEST__INIT;
	Sluice__V1__BreakLeaseResponse *response = NULL;
	(void)config;
	cli->app = args->items[0];
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = cli_str(cli->app);
	if (!CLI_CALL(cli, break_lease, &request, &response)) {
		return cli_fail(cli);
	}
	const char *holder = response->lease != NULL ? response->lease->instance : "(gone)";
	if (!cli_printed(cli, &response->base, holder)) {
		cli_say(cli, "%s: %s held the lease; any instance may push now\n", cli->app,
			holder);
	}
	return CLI_DONE;
}

const struct cli_command cli_cmd_lease_break = {
    .about = {.name = "lease break",
	      .synopsis = "APP",
	      .summary = "End the lease of the development instance that writes on an app",
	      .args_min = 1,
	      .args_max = 1},
    .run = break_lease,
};

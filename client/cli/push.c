/* sluice push: a folder of this machine becomes the content of a draft, as one commit. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/git/archive.h"
#include "base/mem/own.h"
#include "client/cli/commands.h"

enum { PIECE = 1 << 20, DEPTH_MAX = 64, PATH_ROOM = 4096 };

struct push_flags {
	const char *app, *version, *message;
	bool onto, wait;
};
#define PUSH(field) offsetof(struct push_flags, field)
static const struct sl_flag push_flags[] = {
    {.name = "app",
     .kind = SL_FLAG_TEXT,
     .offset = PUSH(app),
     .max = 64,
     .required = true,
     .help = "The app whose folder in the repository it becomes."},
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

static bool add_file(struct upload *u, int fd, const char *path, const struct stat *file)
{
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

static bool add_folder(struct upload *u, int fd, const char *path, unsigned depth);

static bool add_entry(struct upload *u, int at, const char *name, const char *path, unsigned depth)
{
	struct stat file;
	int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ELOOP) {
		return failed(u, cli_complain(CLI_FAILED, "'%s' is a link: an app has none", path));
	}
	if (fd < 0 || fstat(fd, &file) != 0) {
		bool told =
		    failed(u, cli_complain(CLI_FAILED, "open '%s': %s", path, strerror(errno)));
		if (fd >= 0) {
			(void)close(fd);
		}
		return told;
	}
	if (S_ISDIR(file.st_mode)) {
		return add_folder(u, fd, path, depth + 1);
	}
	bool fine =
	    S_ISREG(file.st_mode)
		? add_file(u, fd, path, &file)
		: failed(u, cli_complain(CLI_FAILED, "'%s' is neither a file nor a folder", path));
	(void)close(fd);
	return fine;
}

/* Takes the descriptor. The folder's own Git is not of the app. */
static bool add_folder(struct upload *u, int fd, const char *path, unsigned depth)
{
	DIR *dir = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
	bool fine = dir != NULL;
	if (!fine) {
		(void)close(fd);
		return failed(
		    u, cli_complain(CLI_FAILED, "folder '%s' is too deep or cannot be read", path));
	}
	for (struct dirent *entry = readdir(dir); fine && entry != NULL; entry = readdir(dir)) {
		const char *name = entry->d_name;
		bool skipped = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
			       (path[0] == '\0' && strcmp(name, ".git") == 0);
		char full[PATH_ROOM];
		int bytes =
		    snprintf(full, sizeof(full), "%s%s%s", path, path[0] == '\0' ? "" : "/", name);
		if (!skipped && bytes >= (int)sizeof(full)) {
			fine =
			    failed(u, cli_complain(CLI_FAILED, "'%s': a path is too long", path));
		} else if (!skipped) {
			fine = add_entry(u, dirfd(dir), name, full, depth);
		}
	}
	(void)closedir(dir);
	return fine;
}

static bool upload_folder(struct upload *u, const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return failed(u,
			      cli_complain(CLI_FAILED, "folder '%s': %s", folder, strerror(errno)));
	}
	return add_folder(u, fd, "", 0) && send_piece(u, true);
}

/* --- the command ---------------------------------------------------------------------------------
 */

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

static int push(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct push_flags *flags = config;
	Sluice__V1__PushVersionRequest request = SLUICE__V1__PUSH_VERSION_REQUEST__INIT;
	Sluice__V1__PushVersionResponse *response = NULL;
	cli->app = flags->app;
	bool named = flags->version != NULL && flags->version[0] != '\0';
	cli->version = named ? flags->version : newest_draft(cli, flags->app);
	if (cli->version == NULL) {
		return CLI_FAILED;
	}
	struct upload upload = {.cli = cli, .app = flags->app};
	bool sent = upload_folder(&upload, args->items[0]);
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
	int code = flags->wait ? cli_wait_content(cli, cli->app, response->version->id) : CLI_DONE;
	if (code != CLI_DONE) {
		tell_conflicts(cli, cli->app, response->version->id);
	}
	if (!cli_printed(cli, &response->base, response->version->name) && code == CLI_DONE) {
		cli_say(cli, "version %s of %s: %lu files %s\n", response->version->name,
			response->version->app, (unsigned long)upload.files,
			flags->wait ? "are in Git" : "are on their way into Git");
	}
	return code;
}

const struct cli_command cli_cmd_push = {
    .about = {.name = "push",
	      .synopsis = "DIR --app A -m MESSAGE",
	      .summary = "Commit a folder as an app's on its repository's branch; a draft takes it",
	      .args_min = 1,
	      .args_max = 1,
	      .flags = push_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice push build --app shop -m 'New cart'",
		       "What is in build becomes the newest draft of shop."},
		      {NULL, NULL}}},
    .run = push,
    .config_size = sizeof(struct push_flags),
};

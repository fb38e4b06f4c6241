/* sluice backup: what a server holds, in a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/file/file.h"
#include "client/cli/commands.h"

enum { SHOW_EVERY_BYTES = 1 << 20 };

struct part {
	struct cli *cli;
	const char *file;
	char *path; /* owned: FILE.part */
	int fd;     /* -1: closed */
	bool shows; /* the progress, on a terminal */
	uint64_t written, shown;
	int failed; /* errno of what went wrong here; 0: nothing did */
	Sluice__V1__BackupResponse summary;
	uint8_t digest[32];
};

static void part_fini(struct part *part)
{
	if (part->fd >= 0) {
		(void)close(part->fd);
	}
	free(part->path);
}

static bool write_all(struct part *part, const uint8_t *data, size_t size)
{
	if (!sl_file_write(part->fd, data, size)) {
		part->failed = errno;
		return false;
	}
	part->written += size;
	return true;
}

static void show(struct part *part)
{
	char line[CLI_PROGRESS_SIZE], done[TEXT_SIZE], all[TEXT_SIZE];
	if (!part->shows || part->written < part->shown + SHOW_EVERY_BYTES) {
		return;
	}
	part->shown = part->written;
	(void)snprintf(line, sizeof(line), "backup: %s of %s", text_bytes(done, part->written),
		       text_bytes(all, part->summary.size));
	cli_progress(part->cli, line);
}

static int take(void *ctx, const Sluice__V1__BackupResponse *piece)
{
	struct part *part = ctx;
	if (piece->size > 0) {
		part->summary.revision = piece->revision;
		part->summary.size = piece->size;
	}
	if (piece->digest.len == sizeof(part->digest)) { /* it was checked */
		memcpy(part->digest, piece->digest.data, sizeof(part->digest));
		part->summary.digest =
		    (ProtobufCBinaryData){.data = part->digest, .len = sizeof(part->digest)};
	}
	if (!write_all(part, piece->data.data, piece->data.len)) {
		return -1;
	}
	show(part);
	return 0;
}

static int fail_here(const struct part *part, const char *doing)
{
	return cli_complain(CLI_FAILED, "%s: %s: %s", part->path, doing, strerror(errno));
}

/* The name in its folder must last as well. */
static int sync_folder(const struct part *part)
{
	SL_AUTO(sl_free_auto) char *folder = strdup(part->file);
	if (folder == NULL) {
		return -1;
	}
	char *slash = strrchr(folder, '/');
	if (slash != NULL) {
		slash[slash == folder ? 1 : 0] = '\0';
	}
	int fd = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 ? -1 : fsync(fd);
	if (fd >= 0) {
		(void)close(fd);
	}
	return rc;
}

static int keep(struct part *part)
{
	char size[TEXT_SIZE], hex[2 * sizeof(part->digest) + 1];
	if (fsync(part->fd) != 0) {
		return fail_here(part, "sync");
	}
	if (rename(part->path, part->file) != 0 || sync_folder(part) != 0) {
		return fail_here(part, "give it its name");
	}
	if (!cli_printed(part->cli, &part->summary.base, part->file)) {
		cli_say(part->cli, "%s holds revision %llu: %s, BLAKE2b-256 %s\n", part->file,
			(unsigned long long)part->summary.revision,
			text_bytes(size, part->summary.size),
			sl_hex(hex, part->digest, sizeof(part->digest)));
	}
	return CLI_DONE;
}

static int fetch(struct part *part)
{
	struct cli *cli = part->cli;
	int code = sluice_backup(cli_client(cli), &cli->call, take, part, &cli->error);
	cli_progress_end(cli);
	if (code == SLUICE_OK) {
		return keep(part);
	}
	errno = part->failed;
	return part->failed != 0 ? fail_here(part, "write") : cli_fail(cli);
}

static int run(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)config;
	SL_AUTO(part_fini)
	struct part part = {.cli = cli,
			    .file = args->items[0],
			    .fd = -1,
			    .shows = isatty(fileno(cli->talk)) != 0,
			    .summary = SLUICE__V1__BACKUP_RESPONSE__INIT};
	if (asprintf(&part.path, "%s.part", part.file) < 0) {
		part.path = NULL;
		return cli_complain(CLI_FAILED, "out of memory");
	}
	part.fd = open(part.path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		       S_IRUSR | S_IWUSR);
	if (part.fd < 0) {
		return fail_here(&part, "make it");
	}
	int code = fetch(&part);
	if (code != CLI_DONE) {
		(void)unlink(part.path);
	}
	return code;
}

const struct cli_command cli_cmd_backup = {
    .about =
	{.name = "backup",
	 .synopsis = "FILE",
	 .summary = "Copy all that the server holds at one moment to a file",
	 .description =
	     "Reads and writes go on meanwhile. The server makes a copy on its own disk first "
	     "and sends that; FILE.part gets its name when it is whole and its digest is right, "
	     "so FILE is a backup or the one from before. `sluiced restore FILE --data DIR` "
	     "makes a server of it. --timeout bounds the wait for the copy, and for each piece "
	     "of it (10 minutes).",
	 .args_min = 1,
	 .args_max = 1,
	 .examples =
	     (const struct sl_example[]){{"sluice backup /backup/sluice-$(date +%F)", "One a day."},
					 {NULL, NULL}}},
    .run = run,
};

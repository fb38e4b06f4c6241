/* sluice bundle: a version's content in a file. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file/file.h"
#include "client/cli/commands.h"

struct out {
	int fd;
	int failed; /* errno of what went wrong here; 0: nothing did */
	uint64_t written;
};

static int take(void *ctx, const Sluice__V1__ExportBundleResponse *piece)
{
	struct out *out = ctx;
	if (!sl_file_write(out->fd, piece->data.data, piece->data.len)) {
		out->failed = errno;
		return -1;
	}
	out->written += piece->data.len;
	return 0;
}

static int export_run(struct cli *cli, const struct sl_args *args, void *config)
{
	char size[TEXT_SIZE];
	struct out out = {.fd = STDOUT_FILENO};
	(void)config;
	Sluice__V1__ExportBundleRequest request = SLUICE__V1__EXPORT_BUNDLE_REQUEST__INIT;
	request.workspace = cli->workspace;
	request.app = (char *)(uintptr_t)args->items[0];
	request.version = (char *)(uintptr_t)args->items[1];
	cli->app = args->items[0];
	cli->version = args->items[1];
	if (isatty(out.fd) != 0) {
		return cli_complain(CLI_USAGE, "a bundle is no text: write it to a file (> FILE)");
	}
	int code =
	    sluice_export_bundle(cli_client(cli), &cli->call, &request, take, &out, &cli->error);
	if (code == SLUICE_OK) {
		(void)fprintf(stderr, "version %s of %s: %s\n", request.version, request.app,
			      text_bytes(size, out.written));
		return CLI_DONE;
	}
	return out.failed != 0
		   ? cli_complain(CLI_FAILED, "write the bundle: %s", strerror(out.failed))
		   : cli_fail(cli);
}

const struct cli_command cli_cmd_bundle_export = {
    .about = {.name = "bundle export",
	      .synopsis = "APP VERSION > FILE",
	      .summary = "Write a version's content to a file, for instances behind an air gap",
	      .description =
		  "The file says what it is and ends with a digest of itself; `sluice-agent import "
		  "FILE` puts it on an instance's disk, without server and Git, and verifies it as "
		  "if it had been fetched. It is activated when the instance's manifest names it. "
		  "The same version makes the same file as long as its names and its release "
		  "signature stay. Takes the right to edit the app in the environment that the "
		  "version is in.",
	      .args_min = 2,
	      .args_max = 2,
	      .examples =
		  (const struct sl_example[]){{"sluice bundle export shop v1 > shop-v1.bundle",
					       "To be carried to an instance without a network."},
					      {NULL, NULL}}},
    .run = export_run,
};

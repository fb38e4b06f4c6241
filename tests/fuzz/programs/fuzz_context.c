/* Targets: the context file of sluice: context_find.
 * Property: no crash; a file that is taken gives a server and a workspace, and they are no longer
 * than their rule; one that is not names itself and what is wrong; one that is not needed is not
 * read. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem/own.h"
#include "client/cli/context.h"
#include "tests/lib/tmpdir.h"

enum { SERVER_MAX = 300, WORKSPACE_MAX = 64 };

static char *home, file[256];

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void end(void)
{
	tmpdir_free(home);
}

static void begin(void)
{
	char folder[200];
	home = tmpdir_new();
	expect(snprintf(folder, sizeof(folder), "%s/sluice", home) < (int)sizeof(folder) &&
	       mkdir(folder, 0700) == 0);
	expect(snprintf(file, sizeof(file), "%s/context.json", folder) < (int)sizeof(file));
	expect(setenv("XDG_CONFIG_HOME", home, 1) == 0 && unsetenv("SLUICE_SERVER") == 0 &&
	       unsetenv("SLUICE_WORKSPACE") == 0);
	expect(atexit(end) == 0);
}

static void write_file(const uint8_t *data, size_t size)
{
	FILE *out = fopen(file, "wbe");
	expect(out != NULL && fwrite(data, 1, size, out) == size && fclose(out) == 0);
}

static void check_find(const char *server, const char *workspace)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(context_fini) struct context context = {0};
	bool all_given = server != NULL && workspace != NULL;
	const struct context_wish wish = {.server = server, .workspace = workspace};
	if (context_find(&wish, &context, &err) != SL_OK) {
		expect(!all_given && err.code == SL_INVALID_ARGUMENT &&
		       strstr(err.msg, file) != NULL);
		expect(context.server == NULL && context.workspace == NULL);
		return;
	}
	expect(context.server != NULL && context.server[0] != '\0' &&
	       strlen(context.server) <= SERVER_MAX);
	expect(context.workspace != NULL && strlen(context.workspace) <= WORKSPACE_MAX);
	expect(server == NULL || strcmp(context.server, server) == 0);
	expect(workspace == NULL || strcmp(context.workspace, workspace) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (home == NULL) {
		begin();
	}
	write_file(data, size);
	check_find(NULL, NULL);
	check_find("host:1", NULL);
	check_find(NULL, "team");
	check_find("host:1", "team");
	return 0;
}

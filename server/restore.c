#include "server/restore.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem/own.h"
#include "server/records/verify.h"

enum { EXIT_FAILED = 3, EXIT_USAGE = 64, RAISE_MAX = 1 << 16 };

#define AT(field) offsetof(struct restore_config, field)
static const struct sl_flag restore_flags[] = {
    {.name = "data",
     .kind = SL_FLAG_TEXT,
     .offset = AT(data),
     .min = 1,
     .required = true,
     .placeholder = "DIR",
     .help = "The new data folder: not there yet, or empty."},
    {.name = "raise",
     .kind = SL_FLAG_INT,
     .offset = AT(raise),
     .fallback = "1",
     .min = 1,
     .max = RAISE_MAX,
     .placeholder = "N",
     .help = "How many times 2^32 the revision is raised. Raise further when agents or watchers "
	     "have seen an earlier restore of the same backup: one more each time."},
    {.name = NULL},
};

static const struct sl_exit_code exit_codes[] = {
    {0, "the folder is there, whole and checked"},
    {EXIT_FAILED, "it could not be restored; nothing was left behind"},
    {EXIT_USAGE, "the command line is wrong"},
    {0, NULL},
};

const struct sl_command server_restore_command = {
    .name = "restore",
    .synopsis = "FILE --data DIR",
    .summary = "Make a data folder of a backup",
    .description =
	"Checks FILE, which `sluice backup` wrote, reads every record of it, and puts it into DIR, "
	"whole or not at all. The revision is raised by 2^32, so that no revision is used twice "
	"whatever was seen since the backup; changes from before can no longer be watched.\n\n"
	"A server that is started on DIR is in recovery: agents connect and report, `sluice "
	"status` shows where they differ, but nothing changes and nothing is sent to them until "
	"`sluice admin resume`.",
    .args_min = 1,
    .args_max = 1,
    .flags = restore_flags,
    .env_prefix = "SLUICE_",
    .examples = (const struct sl_example[]){{"sluiced restore sluice.backup --data /var/lib/sluice",
					     "Then start the server on it as usual."},
					    {NULL, NULL}},
    .exit_codes = exit_codes,
};

/* Faults are shown; of a sound backup there is nothing to say. */
static sl_code check(void *ctx, const char *path, struct sl_err *err)
{
	uint64_t *checked = ctx, faults = 0;
	SL_AUTO(sl_free_auto) char *found = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&found, &size);
	if (out == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = records_verify(path, out, checked, &faults, err);
	if (fclose(out) == 0 && faults > 0) {
		(void)fputs(found, stderr);
	}
	if (code == SL_OK && faults > 0) {
		return sl_err_set(err, SL_DATA_LOSS, "%lu of its %lu records are not sound (above)",
				  (unsigned long)faults, (unsigned long)*checked);
	}
	return code;
}

int server_restore(const char *file, const struct restore_config *config)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t checked = 0, head = 0;
	const struct store_restore restore = {
	    .file = file,
	    .path = config->data,
	    .raise = (unsigned)config->raise,
	    .check = check,
	    .ctx = &checked,
	};
	if (store_restore(&restore, &head, &err) != SL_OK) {
		(void)fprintf(stderr, "sluiced: restore: %s\n", err.msg);
		return EXIT_FAILED;
	}
	(void)printf("%s holds the backup: %lu records checked, revision %lu\n"
		     "Start the server on it, look at `sluice status`, then: sluice admin resume\n",
		     config->data, (unsigned long)checked, (unsigned long)head);
	return EXIT_SUCCESS;
}

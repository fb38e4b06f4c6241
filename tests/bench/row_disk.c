/* What the disk and LMDB alone can do on this machine, to read the other rows by. */
#include "tests/bench/host.h"
#include "tests/bench/rows.h"

enum { KEYS_OF_A_WRITE = 6, WRITES_OF_A_BATCH = 100, VALUE_BYTES = 200 };

static const struct claim sync_cost = {
    .id = "disk", .what = "write 4 KiB and fdatasync", .unit = "us", .less_is_better = true};
static const struct claim lmdb_one = {
    .id = "disk", .what = "LMDB alone: commits of 6 puts of 200 B", .unit = "commits/s"};
static const struct claim lmdb_batch = {
    .id = "disk", .what = "LMDB alone: writes, 100 of 6 puts a commit", .unit = "writes/s"};

void row_disk(struct bench *bench)
{
	double seconds = bench->options.quick ? 0.5 : 3;
	double sync = host_fdatasync_us(bench->scratch);
	double one = host_lmdb_commits(bench->scratch, KEYS_OF_A_WRITE, VALUE_BYTES, seconds);
	double batch = WRITES_OF_A_BATCH * host_lmdb_commits(bench->scratch,
							     KEYS_OF_A_WRITE * WRITES_OF_A_BATCH,
							     VALUE_BYTES, seconds);
	report_add(bench->report, &sync_cost, "", &sync, NULL, 1);
	report_add(bench->report, &lmdb_one, "", &one, NULL, 1);
	report_add(bench->report, &lmdb_batch, "", &batch, NULL, 1);
}

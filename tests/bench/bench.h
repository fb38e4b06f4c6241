/* bench: what the rows share: the options of this run, the servers that run
 * now, measuring in interleaved pairs, and the report.
 *
 * A row is one function of rows.h and one entry of the table in bench.c; what it
 * claims is one or more struct claim, each with floor and aim from the project's
 * table of measures. Threads: one. */
#ifndef SL_BENCH_BENCH_H
#define SL_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/calls.h"
#include "tests/bench/servers.h"

#define PAIRS_MAX 15
#define SIDES_MAX 3

struct report;

struct bench_options {
	const char *dir;  /* parent of the scratch folder: the filesystem that is measured */
	const char *seed; /* where the seeded store is kept between runs; "": it is not */
	const char *rows; /* "P1,P3"; "": all */
	const char *json; /* file; "": none */
	const char *mode; /* "both", "pinned", "free" */
	uint64_t pairs;
	uint64_t run_ms, warmup_ms;
	uint64_t records;  /* of the seeded store */
	uint64_t agents;   /* of P6 and P10 */
	uint64_t fleet;    /* agents of P7 and P12 */
	uint64_t watchers; /* of P9 */
	bool tls;          /* mTLS, else in the clear */
	bool quick;
};

/* The servers of the rows that compare calls; all run at once, one is called at a time. */
struct bench {
	struct bench_options options;
	const char *scratch;
	const char *keys; /* a folder with keys for servers that have none; NULL: in the clear */
	struct report *report;
	struct bench_server sluiced, etcd, bare;
	struct bench_server clear; /* T: the one that speaks in the clear */
	bool pinned;
	size_t read_bytes; /* of a GetVersion reply */
};

/* A copy of the seeded store (made when there is none yet) as DIR/name, with keys when it is to be
 * served over mTLS; the caller frees it. */
char *bench_store(struct bench *bench, const char *name);
/* The same without keys, whatever is measured. */
char *bench_store_clear(struct bench *bench, const char *name);
/* As the first of another shape; kept beside the usual one. */
struct seed_shape;
char *bench_store_of(struct bench *bench, const char *name, const struct seed_shape *shape);

/* "over mTLS", "in the clear". */
const char *bench_transport(const struct bench *bench);

/* --- claims and the report ------------------------------------------------------------ */

/* What is said of a figure before it is measured. */
struct claim {
	const char *id;      /* "P1" */
	const char *what;    /* "writes, 100 in flight" */
	const char *against; /* "etcd Txn"; NULL: an absolute figure */
	const char *unit;    /* of both figures */
	double floor, aim;   /* of the ratio measured/against, or of the figure; 0, 0: none, for the
				record */
	bool less_is_better;
	bool may_be_zero; /* else a figure that is not above 0 is a fault of the bench */
};

/* Medians are reported, and the ratio's smallest and largest. against is NULL for absolute claims.
 */
void report_add(struct report *report, const struct claim *claim, const char *mode,
		const double *measured, const double *against, size_t count);
/* A remark under the table. */
void report_note(struct report *report, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct report *report_new(void);
void report_free(struct report *report);
/* Prints what is new since the last time, so that a long run can be followed. */
void report_follow(struct report *report);
void report_table(const struct report *report);
/* Dies when the file cannot be written. */
void report_json(const struct report *report, const char *path);
/* How many figures there are, and how many of them are not above 0. */
size_t report_count(const struct report *report, size_t *ret_odd);

/* --- pairs ------------------------------------------------------------------------------ */

/* One side's figures, one per pair that counts. */
struct side {
	double rate[PAIRS_MAX], p50_us[PAIRS_MAX], p99_us[PAIRS_MAX];
	double
	    cpu_us[PAIRS_MAX]; /* of the server, per call: hardly moves with the machine's load */
	uint64_t failed;
};

/* Measures the sides one after the other, `pairs` times, the order turned round each time. Pairs in
 * which the cost of an fdatasync moved by more than a quarter are dropped, unless all were: a note
 * says so. Returns how many count. */
size_t pairs_run(struct bench *bench, const char *row, struct calls *const *calls, size_t count,
		 struct side *ret_sides);

#endif

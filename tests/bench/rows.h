/* rows: one function for each row of the project's table of measures. Each adds
 * its figures to bench->report. Those that need the servers find them running. */
#ifndef SL_BENCH_ROWS_H
#define SL_BENCH_ROWS_H

#include "tests/bench/bench.h"

void row_writes(struct bench *bench);    /* P1, P2 */
void row_one_write(struct bench *bench); /* P3 */
void row_reads(struct bench *bench);     /* P4 */
void row_memory(struct bench *bench);    /* P5, P6 */
void row_fleet(struct bench *bench);     /* P7, P12 */
void row_return(struct bench *bench);    /* P8 */
void row_delivery(struct bench *bench);  /* P9 */
void row_fanout(struct bench *bench);    /* P10 */
void row_bot(struct bench *bench);       /* P11 */
void row_start(struct bench *bench);     /* P13 */
void row_git(struct bench *bench);       /* P14 */
void row_stalled(struct bench *bench);   /* P15 */
void row_plans(struct bench *bench);     /* P16 */
void row_growth(struct bench *bench);    /* G: P1, P4, P10, P13, P16 at 1, 10, 100 x the data */
void row_size(struct bench *bench);      /* P17 */
void row_transport(struct bench *bench); /* T: the clear, mTLS, mTLS and authorisation */
void row_push(struct bench *bench);      /* push: pushes and pulls by size, against git */
void row_updates(struct bench *bench);   /* updates: what a check costs as apps grow */
void row_turns(struct bench *bench);     /* turns: agents that pull from one host at once */
void row_config(struct bench *bench);    /* config: what requiring much costs; a changed constant */
void row_disk(struct bench *bench);      /* what the disk and LMDB alone can do; no claim */

#endif

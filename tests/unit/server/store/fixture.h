/* fixture: a store in a scratch folder, and commands that say in a few fields
 * what they do. Everything aborts when the ground itself fails. */
#ifndef SL_TESTS_STORE_FIXTURE_H
#define SL_TESTS_STORE_FIXTURE_H

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/store/store.h"

enum { APPS, NODES, TABLES };

struct fixture {
	char *path; /* owned */
	struct store_options options;
	struct store *store; /* owned, may be NULL */
};

/* Options of a small store at a new scratch folder; nothing is opened yet. */
void fixture_init(struct fixture *f);
/* Opens with f->options; must succeed. */
void fixture_open(struct fixture *f);
/* Closes and opens again. */
void fixture_reopen(struct fixture *f);
void fixture_fini(struct fixture *f);

int fixture_setup(void **state); /* init and open */
int fixture_teardown(void **state);

/* A command made of fields. What is zero is not done, in this order. */
struct write {
	struct store_cmd cmd;
	const char *must_see, *must_miss; /* keys of APPS; wrong: SL_ABORTED */
	const char *put, *value;          /* in APPS; value NULL: "v" */
	size_t value_bytes;               /* not 0: value is so many 'x' */
	const char *delete;
	const char *refusal;
	const char *meta; /* name and value */
	uint64_t floor;
	sl_code refuse;      /* the answer, unless SL_OK */
	bool nothing;        /* no log record: with put 0 a command that changes nothing */
	bool with_own_check; /* looks for `put` after having put it; SL_ABORTED if it is seen */
	sem_t *hold;         /* decide() waits for it */
	sem_t *entered;      /* posted when decide() is entered */
	/* results */
	int decided;       /* calls of decide() */
	uint64_t saw;      /* store_view_revision() in decide() */
	uint64_t promised; /* store_changes_revision() */
	unsigned order;    /* 1, 2, 3: when it was answered */
	sem_t finished;
};

/* Queues it; `w` is zero but for its fields above. */
sl_code write_submit(struct fixture *f, struct write *w);
/* Waits for done() and returns its code. */
sl_code write_wait(struct write *w);
sl_code write_run(struct fixture *f, struct write *w);
/* Runs them as one batch: the writer is held until all are queued. */
void write_batch(struct fixture *f, struct write *writes, size_t count);
void write_clear(struct write *w);
void write_clear_all(struct write *writes, size_t count);

/* Puts key in APPS, must succeed. Returns its revision. */
uint64_t put(struct fixture *f, const char *key, const char *value);

/* Is key in APPS? With this value, unless NULL. */
bool has(struct fixture *f, const char *key, const char *value);
/* Keys of a table that start with prefix, joined by a space, in the walk's order. Caller frees. */
char *keys(struct fixture *f, unsigned table, const char *prefix, enum store_direction direction);
/* Revisions in the log from `first`, joined by a space. Caller frees. */
char *log_revisions(struct fixture *f, uint64_t first, enum store_direction direction);
size_t count_log(struct fixture *f);
size_t count_refusals(struct fixture *f);
struct store_stats stats(struct fixture *f);
uint64_t view_revision(struct fixture *f);
uint64_t view_floor(struct fixture *f);

#endif

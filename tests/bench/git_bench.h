/* git_bench: bundles in a repository of the bench's own, fetched by an agent's jobs and by git.
 *
 * Threads: one. Whatever fails ends the program with a message. */
#ifndef SL_BENCH_GIT_BENCH_H
#define SL_BENCH_GIT_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/crypto/crypto.h"
#include "base/git/git.h"
#include "tests/lib/gitrepo.h"
#include "tests/lib/gitserver.h"

enum { GIT_BENCH_VERSIONS = 2 };

/* A published version. */
struct git_bundle {
	char commit[GIT_OID_TEXT], tree[GIT_OID_TEXT], ref[GIT_REF_MAX];
	uint8_t digest[SL_HASH_BYTES];
};

/* An app in its repository, which git daemon serves. */
struct git_bench {
	struct gitrepo repo;
	struct gitserver *server;
	char url[GITSERVER_URL_SIZE];
	size_t file_bytes;
	uint64_t part_bytes; /* of what is published from now on; 0: as the server has it */
	char *dir, *mirror;  /* mirror: the one that publishes */
	struct git_bundle bundles[GIT_BENCH_VERSIONS];
	unsigned made;                              /* mirrors and clones so far */
	uint64_t fetched_bytes[GIT_BENCH_VERSIONS]; /* by an agent, the last time */
};

/* In the scratch folder NAME; `files` files of random bytes, published as version 0. */
void git_bench_begin(struct git_bench *g, const char *name, unsigned files, size_t file_bytes);
void git_bench_end(struct git_bench *g);
/* File `number` anew; it is in the next version. */
void git_bench_write(const struct git_bench *g, unsigned number);
/* What the server does when a version is sealed. */
void git_bench_publish(struct git_bench *g, unsigned version);
void git_bench_repack(const struct git_bench *g);

/* A name for the next pair of mirror and clone. */
#define GIT_BENCH_NAME 32
void git_bench_next(struct git_bench *g, char name[static GIT_BENCH_NAME]);
/* Fetched, verified, and on disk, as agent/pull does it. Returns milliseconds. */
double git_bench_by_agent(struct git_bench *g, const char *name, unsigned version);
/* Fetched and checked out. */
double git_bench_by_git(const struct git_bench *g, const char *name, unsigned version);

#endif

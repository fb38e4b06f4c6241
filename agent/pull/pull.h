/* pull: gets one bundle: into the mirror, verified, written to staging.
 *
 *   FETCHING  --------------> VERIFYING --> over       from Git
 *   RECEIVING --> UNPACKING --^                         from the server, or a file that is there
 *      ^              |       |
 *      +--------------+-------+  the mirror is corrupt: made anew, once; or lacks it
 *
 * Each step but RECEIVING is one child process of base/git. Threads: one; never blocks: poll
 * the descriptor until the deadline, then step. */
#ifndef SL_AGENT_PULL_H
#define SL_AGENT_PULL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/activate/activate.h"
#include "base/err/err.h"
#include "base/git/git.h"
#include "client/rpc/rpc.h"
#include "sluice/v1/agent.pb-c.h"

struct pull_options {
	const char *dir;          /* the agent's; absolute */
	struct git_limits limits; /* of bundle and fetch */
	unsigned deadline_ms;     /* of each step */
	uint64_t disk_reserve;    /* bytes that stay free */
	bool sync_each;
	struct git_login login; /* copied, into memory for secrets */
	bool allow_local;       /* file, git and http repositories, private addresses */
	bool from_mirror;       /* it was fetched before: the host is asked only if it got lost */
	const char *file;       /* a bundle file, absolute, instead of Git; NULL: none */
	/* The server instead of Git, and who asks it; NULL: Git. Gives the connection of now; NULL:
	 * there is none. `workspace` and `instance` are borrowed as long as the pull. */
	struct crpc_channel *(*channel)(void *ctx);
	void *channel_ctx;
	const char *workspace, *instance, *app_id;
};

struct pull;

/* The bundle is copied. SL_RESOURCE_EXHAUSTED: the disk is too full to begin;
 * SL_INVALID_ARGUMENT: the URL is not one that may be used; else SL_INTERNAL. */
SL_MUST_USE sl_code pull_start(const struct pull_options *options, const Sluice__V1__Bundle *bundle,
			       struct pull **ret_pull, struct sl_err *err);
int pull_fd(const struct pull *pull);
uint64_t pull_deadline_mono_ms(const struct pull *pull);
bool pull_is_verifying(const struct pull *pull);
uint32_t pull_percent(const struct pull *pull);
/* Where the bundle is written. Borrowed. */
const char *pull_staging(const struct pull *pull);

/* True when it is over: SL_OK in *ret_code means that the bundle lies in
 * pull_staging(), whole, verified and synced. SL_UNAVAILABLE and
 * SL_RESOURCE_EXHAUSTED are worth trying again; SL_FAILED_PRECONDITION is for good. */
bool pull_step(struct pull *pull, sl_code *ret_code, struct sl_err *err);
/* Kills what runs. What it wrote stays in staging for the sweep. NULL is fine. */
void pull_free(struct pull *pull);

#endif

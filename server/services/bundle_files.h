/* bundle_files: bundle files (base/git/bundle_file.h) on the server's disk, for as long as somebody
 * takes them and a minute longer: agents that come one after the other, or again after a cut, share
 * one.
 *
 * A Git worker makes each from the mirror. The same bundle makes the same bytes, so that nothing is
 * lost with a file but the time to make it.
 *
 * Threads: any but the queue thread, unless said; one of its own removes what nobody takes. */
#ifndef SL_SERVER_BUNDLE_FILES_H
#define SL_SERVER_BUNDLE_FILES_H

#include <stdbool.h>

#include "base/err/err.h"
#include "server/gitsync/gitsync.h"
#include "sluice/v1/agent.pb-c.h"

struct bundle_files;
struct bundle_file;

/* Files lie in DATA/bundles; what a server that died has left there is removed. disk_reserve: bytes
 * that stay free. */
SL_MUST_USE sl_code bundle_files_new(struct gitsync *gitsync, const char *data,
				     uint64_t disk_reserve, struct bundle_files **ret_files,
				     struct sl_err *err);
/* Nobody takes a file any more, and gitsync has stopped. NULL is fine. */
void bundle_files_free(struct bundle_files *files);

/* Waits until the file is there, or nobody waits for it any more (SL_CANCELLED): goes_on() is
 * looked at after each bundle_files_wake(). SL_RESOURCE_EXHAUSTED / DISK_LOW; SL_UNAVAILABLE or
 * SL_FAILED_PRECONDITION: the worker could not make it. What is returned is given back. */
struct bundle_waiter {
	bool (*goes_on)(void *ctx);
	void *ctx;
};
SL_MUST_USE sl_code bundle_files_get(struct bundle_files *files, const Sluice__V1__BundleHead *head,
				     const Sluice__V1__Bundle *bundle,
				     const struct bundle_waiter *waiter,
				     struct bundle_file **ret_file, struct sl_err *err);
void bundle_files_give_back(struct bundle_files *files, struct bundle_file *file);
const char *bundle_file_path(const struct bundle_file *file);
/* Who waits looks at goes_on(). Any thread. */
void bundle_files_wake(struct bundle_files *files);

#endif

/* job: what a job may say, and what its operation is like. */
#ifndef SL_BASE_GIT_JOB_INTERNAL_H
#define SL_BASE_GIT_JOB_INTERNAL_H

#include <stdbool.h>

#include "base/err/err.h"
#include "base/git/git.h"

/* Bounds of the limits themselves: the walk's stack and memory stay small. */
enum { JOB_DEPTH_MAX = 256, JOB_FILES_MAX = 1000000, JOB_PATH_BYTES_MAX = 4096 };

/* SL_INVALID_ARGUMENT names field, value and rule. NULL texts count as "". */
SL_MUST_USE sl_code job_check(const struct git_job *job, struct sl_err *err);
bool job_uses_network(enum git_op op);
bool job_makes_mirror(enum git_op op); /* when it is missing: this one fills it */
const char *job_op_name(enum git_op op);
bool job_is_oid(const char *text);
bool job_ref_is_fine(const char *ref);
bool job_path_is_fine(const char *path); /* "": the root, is one too */

#endif

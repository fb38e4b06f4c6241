/* archive: the files of a folder as one file, on their way into Git (GIT_COMMIT).
 *
 * Per file: the length of its path (4 bytes, big-endian), the path, one byte (1: it can be
 * run), the length of its content (8 bytes), the content. Names come from strangers: they
 * are looked at by the worker, and nothing is ever made on the disk under them. */
#ifndef SL_BASE_GIT_ARCHIVE_H
#define SL_BASE_GIT_ARCHIVE_H

#include "base/bytes/bytes.h"

enum { GIT_ARCHIVE_HEAD = 4, GIT_ARCHIVE_MIDDLE = 9 };

/* Appends the head of one file; its `bytes` bytes follow. */
void git_archive_head(struct sl_buf *buf, const char *path, bool runnable, uint64_t bytes);

#endif

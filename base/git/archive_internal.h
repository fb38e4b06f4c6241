/* archive: the files of a folder as one file, on their way into Git.
 *
 * Per file: the length of its path (4 bytes, big-endian), the path, one byte (1: it can be
 * run), the length of its content (8 bytes), the content. Names come from strangers: they
 * are looked at by the worker, and nothing is ever made on the disk under them. */
#ifndef SL_BASE_GIT_ARCHIVE_INTERNAL_H
#define SL_BASE_GIT_ARCHIVE_INTERNAL_H

enum { ARCHIVE_HEAD_BYTES = 4, ARCHIVE_MIDDLE_BYTES = 9 };

#endif

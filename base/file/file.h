/* file: what POSIX leaves to its callers: descriptors and folders that close with their scope, and
 * reads and writes that go on until all is done.
 *
 *   SL_AUTO(sl_fd_auto) int fd = open(...);
 *
 * Threads: any. */
#ifndef SL_BASE_FILE_H
#define SL_BASE_FILE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

/* For SL_AUTO(): closes it unless it is negative. */
void sl_fd_auto(const int *fd);

/* The same of a folder that is read; NULL is fine. */
void sl_dir_auto(DIR **dir);

/* Exactly `size` bytes. False: see errno; EIO when the file ends before. */
bool sl_file_read(int fd, void *data, size_t size);
/* All of them. False: see errno. */
bool sl_file_write(int fd, const void *data, size_t size);

#endif

/* text: makes what strangers said fit to be shown: valid UTF-8, one line, bounded. */
#ifndef SL_BASE_GIT_TEXT_INTERNAL_H
#define SL_BASE_GIT_TEXT_INTERNAL_H

#include <stddef.h>

/* Copies `size` bytes; invalid UTF-8 and control bytes become '?', line ends
 * and tabs a space, trailing space goes; cut at a whole character. `to` has `room` bytes. */
void text_clean(char *to, size_t room, const char *from, size_t size);
/* The same in place, for a NUL-terminated text. */
void text_clean_self(char *text, size_t room);

/* The URL without user name and password. */
void text_url(char *to, size_t room, const char *url);

#endif

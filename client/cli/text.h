/* text: small pieces of text for people. Threads: none needed; all buffers are the caller's. */
#ifndef SL_CLIENT_CLI_TEXT_H
#define SL_CLIENT_CLI_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include <protobuf-c/protobuf-c.h>

#include "google/protobuf/timestamp.pb-c.h"

enum text_color { TEXT_PLAIN, TEXT_GOOD, TEXT_BUSY, TEXT_BAD, TEXT_FAINT, TEXT_STRONG };
/* The terminal's sequence; "" for TEXT_PLAIN. */
const char *text_color_on(enum text_color color);
#define TEXT_COLOR_OFF "\033[0m"

#define TEXT_SIZE 64
/* Cut to TEXT_SIZE. Returns `buffer`. */
const char *text_copy(char buffer[static TEXT_SIZE], const char *text);
/* "now", "40s", "5m", "3h", "12d" before now_ms; "-" when unset. Return `buffer`. */
const char *text_age(char buffer[static TEXT_SIZE], const Google__Protobuf__Timestamp *at,
		     uint64_t now_unix_ms);
/* "2026-11-22 10:43:31" in UTC; "" when unset. */
const char *text_time(char buffer[static TEXT_SIZE], const Google__Protobuf__Timestamp *at);
/* "831 B", "1.4 KiB", "12 MiB". */
const char *text_bytes(char buffer[static TEXT_SIZE], uint64_t bytes);
/* The first twelve digits of a Git id; "-" when empty. */
const char *text_short(char buffer[static TEXT_SIZE], const char *id);
/* "READY" of CONTENT_STATE_READY; "-" for the zero value, the number for one that is not known. */
const char *text_enum(char buffer[static TEXT_SIZE], const ProtobufCEnumDescriptor *descriptor,
		      int value);

/* Prints text without what could drive a terminal: control characters but line breaks and tabs
 * become '?'. */
void text_put(FILE *out, const char *text);

#endif

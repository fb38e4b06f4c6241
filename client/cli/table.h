/* table: rows and columns on a terminal or in a file. Only client/cli/table.c includes
 * <libsmartcols.h>.
 *
 * Cells are put one after the other; a full row begins the next one. Sticky:
 * out of memory shows at table_end(). Threads: one. */
#ifndef SL_CLIENT_CLI_TABLE_H
#define SL_CLIENT_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "client/cli/text.h"

struct table;

enum table_style {
	TABLE_PLAIN,
	TABLE_COLORS,
	TABLE_NAMES, /* only the first column, without heading: for scripts */
};

/* headings: NULL-terminated, borrowed until table_end(). `out` likewise. */
struct table *table_new(FILE *out, enum table_style style, const char *const *headings);
void table_put(struct table *table, enum text_color color, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Prints and frees; an empty table prints nothing, on a terminal "(none)". False: out of memory.
 * NULL is fine. */
bool table_end(struct table *table);

#endif

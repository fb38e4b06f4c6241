#include "client/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libsmartcols/libsmartcols.h>

struct table {
	FILE *out;
	enum table_style style;
	struct libscols_table *cells; /* counted; NULL: none */
	struct libscols_line *line;   /* of cells; the one being filled */
	size_t columns, column, rows;
	bool failed;
};

static bool add_columns(struct table *table, const char *const *headings)
{
	for (; headings[table->columns] != NULL; table->columns++) {
		/* Only the last column may be cut, and only by the edge of a terminal. */
		int flags = headings[table->columns + 1] == NULL ? SCOLS_FL_TRUNC : 0;
		if (scols_table_new_column(table->cells, headings[table->columns], 0, flags) ==
		    NULL) {
			return false;
		}
	}
	return true;
}

static bool set_up(struct table *table, const char *const *headings)
{
	table->cells = scols_new_table();
	bool terminal = isatty(fileno(table->out)) != 0;
	return table->cells != NULL && add_columns(table, headings) &&
	       scols_table_set_stream(table->cells, table->out) == 0 &&
	       scols_table_set_termforce(table->cells, terminal ? SCOLS_TERMFORCE_AUTO
								: SCOLS_TERMFORCE_NEVER) == 0 &&
	       scols_table_enable_minout(table->cells, 1) == 0 &&
	       scols_table_set_column_separator(table->cells, "  ") == 0 &&
	       scols_table_enable_colors(table->cells, table->style == TABLE_COLORS) == 0;
}

struct table *table_new(FILE *out, enum table_style style, const char *const *headings)
{
	struct table *table = calloc(1, sizeof(*table));
	if (table == NULL) {
		return NULL;
	}
	table->out = out;
	table->style = style;
	table->failed = !set_up(table, headings);
	return table;
}

static bool set_cell(struct table *table, enum text_color color, const char *text)
{
	if (table->column == 0) {
		table->line = scols_table_new_line(table->cells, NULL);
		table->rows++;
	}
	if (table->line == NULL || scols_line_set_data(table->line, table->column, text) != 0) {
		return false;
	}
	if (table->style != TABLE_COLORS || color == TEXT_PLAIN || text[0] == '\0') {
		return true;
	}
	struct libscols_cell *cell = scols_line_get_cell(table->line, table->column);
	return scols_cell_set_color(cell, text_color_on(color)) == 0;
}

void table_put(struct table *table, enum text_color color, const char *fmt, ...)
{
	if (table == NULL || table->failed) {
		return;
	}
	char *text = NULL;
	va_list args;
	va_start(args, fmt);
	int length = vasprintf(&text, fmt, args);
	va_end(args);
	if (length < 0) {
		table->failed = true;
		return;
	}
	if (table->style != TABLE_NAMES) {
		table->failed = !set_cell(table, color, text);
	} else if (table->column == 0) {
		text_put(table->out, text);
		(void)fputc('\n', table->out);
	}
	table->column = (table->column + 1) % table->columns;
	free(text);
}

bool table_end(struct table *table)
{
	if (table == NULL) {
		return false;
	}
	bool well = !table->failed;
	if (well && table->rows > 0) {
		well = scols_print_table(table->cells) == 0;
	} else if (well && table->style != TABLE_NAMES && isatty(fileno(table->out)) == 1) {
		(void)fputs("(none)\n", table->out);
	}
	scols_unref_table(table->cells);
	free(table);
	return well;
}

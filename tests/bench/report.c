#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "tests/bench/bench.h"
#include "tests/bench/die.h"

enum { LINES_MAX = 128, NOTES_MAX = 256, CELL = 64, COLUMNS = 9 };

struct line {
	const struct claim *claim;
	char mode[16];
	double measured[PAIRS_MAX], against[PAIRS_MAX], ratio[PAIRS_MAX]; /* sorted */
	size_t count;
};

struct report {
	struct line lines[LINES_MAX];
	size_t line_count, followed;
	char *notes[NOTES_MAX];
	size_t note_count;
	uint64_t started_ms;
};

struct report *report_new(void)
{
	struct report *report = need(calloc(1, sizeof(*report)));
	report->started_ms = sl_clock_unix_ms();
	return report;
}

void report_free(struct report *report)
{
	for (size_t i = 0; i < report->note_count; i++) {
		free(report->notes[i]);
	}
	free(report);
}

/* --- adding ----------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const double *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

static double median(const double *sorted, size_t count)
{
	return count == 0       ? 0
	       : count % 2 == 1 ? sorted[count / 2]
				: (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

void report_add(struct report *report, const struct claim *claim, const char *mode,
		const double *measured, const double *against, size_t count)
{
	if (report->line_count == LINES_MAX || count > PAIRS_MAX) {
		die("the report has no room");
	}
	struct line *line = &report->lines[report->line_count++];
	line->claim = claim;
	line->count = count;
	(void)snprintf(line->mode, sizeof(line->mode), "%s", mode);
	for (size_t i = 0; i < count; i++) {
		line->measured[i] = measured[i];
		line->against[i] = against != NULL ? against[i] : 0;
		line->ratio[i] =
		    against != NULL && against[i] > 0 ? measured[i] / against[i] : measured[i];
	}
	qsort(line->measured, count, sizeof(double), compare);
	qsort(line->against, count, sizeof(double), compare);
	qsort(line->ratio, count, sizeof(double), compare);
}

void report_note(struct report *report, const char *fmt, ...)
{
	char *note = NULL;
	va_list args;
	va_start(args, fmt);
	if (vasprintf(&note, fmt, args) < 0) {
		die("out of memory");
	}
	va_end(args);
	if (report->note_count < NOTES_MAX) {
		report->notes[report->note_count++] = SL_TAKE(note);
	}
	free(note);
}

static bool reaches(const struct claim *claim, double value, double wanted)
{
	return claim->less_is_better ? value <= wanted : value >= wanted;
}

static const char *verdict(const struct line *line)
{
	const struct claim *claim = line->claim;
	double value = median(line->ratio, line->count);
	if (claim->floor == 0) {
		return "-";
	}
	if (reaches(claim, value, claim->aim)) {
		return "aim";
	}
	return reaches(claim, value, claim->floor) ? "floor" : "MISSED";
}

size_t report_count(const struct report *report, size_t *ret_odd)
{
	*ret_odd = 0;
	for (size_t i = 0; i < report->line_count; i++) {
		const struct line *line = &report->lines[i];
		bool odd = !(line->ratio[0] > 0) && !line->claim->may_be_zero;
		*ret_odd += line->count == 0 || odd;
	}
	return report->line_count;
}

/* --- the table ----------------------------------------------------------------------- */

static void number(char cell[static CELL], double value)
{
	int digits = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 1 ? 2 : 3;
	(void)snprintf(cell, CELL, "%.*f", digits, value);
}

static void bound(char cell[static CELL], const struct claim *claim, double value)
{
	char digits[CELL];
	number(digits, value);
	if (claim->floor == 0) {
		(void)snprintf(cell, CELL, "-");
		return;
	}
	(void)snprintf(cell, CELL, "%s %.20s%s", claim->less_is_better ? "<=" : ">=", digits,
		       claim->against != NULL ? " x" : "");
}

static void ratio(char cell[static CELL], const struct line *line)
{
	char middle[CELL], least[CELL], most[CELL];
	number(middle, median(line->ratio, line->count));
	number(least, line->count > 0 ? line->ratio[0] : 0);
	number(most, line->count > 0 ? line->ratio[line->count - 1] : 0);
	(void)snprintf(cell, CELL, "%.18s%s [%.16s .. %.16s]", middle,
		       line->claim->against != NULL ? " x" : "", least, most);
}

static void row_cells(const struct line *line, char cells[static COLUMNS][CELL])
{
	const struct claim *claim = line->claim;
	char digits[CELL];
	(void)snprintf(cells[0], CELL, "%s", claim->id);
	(void)snprintf(cells[1], CELL, "%s", claim->what);
	(void)snprintf(cells[2], CELL, "%s", line->mode);
	number(digits, median(line->measured, line->count));
	(void)snprintf(cells[3], CELL, "%.24s %.30s", digits, claim->unit);
	(void)snprintf(cells[4], CELL, "-");
	if (claim->against != NULL) {
		number(digits, median(line->against, line->count));
		(void)snprintf(cells[4], CELL, "%.24s (%.34s)", digits, claim->against);
	}
	ratio(cells[5], line);
	bound(cells[6], claim, claim->floor);
	bound(cells[7], claim, claim->aim);
	(void)snprintf(cells[8], CELL, "%s", verdict(line));
}

static void table_part(const struct report *report, size_t from)
{
	static const char *const heads[COLUMNS] = {
	    "id", "what", "cores", "measured", "against", "ratio", "floor", "aim at", "reached"};
	static char cells[LINES_MAX + 1][COLUMNS][CELL];
	size_t widths[COLUMNS] = {0};
	size_t rows = 1;
	for (size_t c = 0; c < COLUMNS; c++) {
		(void)snprintf(cells[0][c], CELL, "%s", heads[c]);
	}
	for (size_t i = from; i < report->line_count; i++) {
		row_cells(&report->lines[i], cells[rows++]);
	}
	for (size_t r = 0; r < rows; r++) {
		for (size_t c = 0; c < COLUMNS; c++) {
			size_t width = strlen(cells[r][c]);
			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	for (size_t r = 0; r < rows; r++) {
		for (size_t c = 0; c < COLUMNS; c++) {
			int width = c + 1 < COLUMNS ? (int)widths[c] : 0;
			(void)printf("%-*s%s", width, cells[r][c], c + 1 < COLUMNS ? "  " : "\n");
		}
	}
}

void report_follow(struct report *report)
{
	if (report->followed < report->line_count) {
		table_part(report, report->followed);
		(void)putchar('\n');
		(void)fflush(stdout);
		report->followed = report->line_count;
	}
}

void report_table(const struct report *report)
{
	table_part(report, 0);
	for (size_t i = 0; i < report->note_count; i++) {
		(void)printf("%s%s\n", i == 0 ? "\n" : "", report->notes[i]);
	}
	(void)fflush(stdout);
}

/* --- JSON ------------------------------------------------------------------------------ */

/* Texts here are our own: ASCII without control characters. */
static void json_text(FILE *file, const char *name, const char *text)
{
	(void)fprintf(file, "\"%s\": \"", name);
	for (; *text != '\0'; text++) {
		(void)fprintf(file, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	}
	(void)fputs("\", ", file);
}

static void json_numbers(FILE *file, const char *name, const double *values, size_t count)
{
	(void)fprintf(file, "\"%s\": [", name);
	for (size_t i = 0; i < count; i++) {
		(void)fprintf(file, "%s%.6g", i == 0 ? "" : ", ", values[i]);
	}
	(void)fputs("], ", file);
}

static void json_line(FILE *file, const struct line *line)
{
	const struct claim *claim = line->claim;
	(void)fputs("    {", file);
	json_text(file, "id", claim->id);
	json_text(file, "what", claim->what);
	json_text(file, "cores", line->mode);
	json_text(file, "unit", claim->unit);
	json_text(file, "against", claim->against != NULL ? claim->against : "");
	json_numbers(file, "measured", line->measured, line->count);
	json_numbers(file, "against_measured", line->against,
		     claim->against != NULL ? line->count : 0);
	json_numbers(file, "ratio", line->ratio, line->count);
	json_text(file, "reached", verdict(line));
	(void)fprintf(file,
		      "\"median\": %.6g, \"floor\": %.6g, \"aim\": %.6g, \"less_is_better\": %s}",
		      median(line->ratio, line->count), claim->floor, claim->aim,
		      claim->less_is_better ? "true" : "false");
}

void report_json(const struct report *report, const char *path)
{
	struct utsname host;
	char when[SL_CLOCK_TEXT_SIZE];
	FILE *file = fopen(path, "we");
	if (file == NULL || uname(&host) != 0) {
		die("cannot write '%s'", path);
	}
	(void)fputs("{\n  ", file);
	json_text(file, "started_at", sl_clock_text(when, report->started_ms));
	json_text(file, "kernel", host.release);
	(void)fprintf(file, "\"cores\": %ld,\n  \"figures\": [\n", sysconf(_SC_NPROCESSORS_ONLN));
	for (size_t i = 0; i < report->line_count; i++) {
		json_line(file, &report->lines[i]);
		(void)fputs(i + 1 < report->line_count ? ",\n" : "\n", file);
	}
	(void)fputs("  ],\n  \"notes\": [\n", file);
	for (size_t i = 0; i < report->note_count; i++) {
		(void)fprintf(file, "    \"%s\"%s\n", report->notes[i],
			      i + 1 < report->note_count ? "," : "");
	}
	(void)fputs("  ]\n}\n", file);
	if (fclose(file) != 0) {
		die("cannot write '%s'", path);
	}
}

/* Prometheus' text format, version 0.0.4. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/metrics/metrics_internal.h"

static const char *const type_names[] = {
    [METRICS_COUNTER] = "counter",
    [METRICS_GAUGE] = "gauge",
    [METRICS_HISTOGRAM] = "histogram",
};

__attribute__((unused)) static bool is_name(const char *name) /* asserted only */
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	return strspn(name, letters) > 0 && name[strspn(name, all)] == '\0';
}

/* Backslash and newline are escaped everywhere, quotes in label values only. */
static void put_escaped(struct sl_buf *out, const char *text, bool quotes)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n') {
			sl_buf_append(out, "\\n", 2);
			continue;
		}
		if (*text == '\\' || (quotes && *text == '"')) {
			sl_buf_append(out, "\\", 1);
		}
		sl_buf_append(out, text, 1);
	}
}

static void put_value(struct sl_buf *out, double value)
{
	if (isnan(value)) {
		sl_buf_printf(out, "NaN");
	} else if (isinf(value)) {
		sl_buf_printf(out, value > 0 ? "+Inf" : "-Inf");
	} else if (value == floor(value) && fabs(value) < 1e15) {
		sl_buf_printf(out, "%.0f", value);
	} else {
		sl_buf_printf(out, "%.9g", value);
	}
}

static struct page_family *family_of(struct metrics_page *page, const struct metrics_family *family)
{
	assert(is_name(family->name));
	struct page_family **end = &page->families;
	for (; *end != NULL; end = &(*end)->next) {
		if (strcmp((*end)->name, family->name) == 0) {
			return *end;
		}
	}
	struct page_family *made = calloc(1, sizeof(*made));
	if (made == NULL) {
		page->failed = true;
		return NULL;
	}
	made->name = family->name;
	sl_buf_printf(&made->text, "# HELP %s ", family->name);
	put_escaped(&made->text, family->help, false);
	sl_buf_printf(&made->text, "\n# TYPE %s %s\n", family->name, type_names[family->type]);
	*end = made;
	return made;
}

static void put_labels(struct sl_buf *out, const struct metrics_label *labels, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert(is_name(labels[i].name));
		sl_buf_printf(out, "%s%s=\"", i == 0 ? "{" : ",", labels[i].name);
		put_escaped(out, labels[i].value, true);
		sl_buf_append(out, "\"", 1);
	}
}

static void put_sample(struct page_family *to, const char *suffix,
		       const struct metrics_label *labels, size_t count, double value)
{
	sl_buf_printf(&to->text, "%s%s", to->name, suffix);
	put_labels(&to->text, labels, count);
	sl_buf_printf(&to->text, count > 0 ? "} " : " ");
	put_value(&to->text, value);
	sl_buf_append(&to->text, "\n", 1);
}

void metrics_page_sample(struct metrics_page *page, const struct metrics_family *family,
			 const struct metrics_label *labels, size_t label_count, double value)
{
	struct page_family *to = family_of(page, family);
	if (to != NULL) {
		put_sample(to, "", labels, label_count, value);
	}
}

/* The bucket up to `bound`; le joins the other labels. */
static void put_bucket(struct page_family *to, const struct metrics_label *labels, size_t count,
		       double bound, uint64_t total)
{
	sl_buf_printf(&to->text, "%s_bucket", to->name);
	put_labels(&to->text, labels, count);
	sl_buf_printf(&to->text, "%sle=\"", count > 0 ? "," : "{");
	put_value(&to->text, bound);
	sl_buf_printf(&to->text, "\"} ");
	put_value(&to->text, (double)total);
	sl_buf_append(&to->text, "\n", 1);
}

/* NOLINTNEXTLINE(readability-function-size): one row of a page */
void metrics_page_histogram(struct metrics_page *page, const struct metrics_family *family,
			    const struct metrics_label *labels, size_t label_count,
			    const double *bounds, const uint64_t *counts, size_t bound_count,
			    double sum)
{
	assert(family->type == METRICS_HISTOGRAM);
	struct page_family *to = family_of(page, family);
	if (to == NULL) {
		return;
	}
	uint64_t total = 0;
	for (size_t i = 0; i < bound_count; i++) {
		total += counts[i];
		put_bucket(to, labels, label_count, bounds[i], total);
	}
	total += counts[bound_count];
	put_bucket(to, labels, label_count, INFINITY, total);
	put_sample(to, "_sum", labels, label_count, sum);
	put_sample(to, "_count", labels, label_count, (double)total);
}

bool metrics_page_write(const struct metrics_page *page, struct sl_buf *out)
{
	bool failed = page->failed;
	for (const struct page_family *family = page->families; family != NULL;
	     family = family->next) {
		failed = failed || family->text.failed;
		sl_buf_append(out, family->text.data, family->text.size);
	}
	return !failed && !out->failed;
}

void metrics_page_fini(struct metrics_page *page)
{
	while (page->families != NULL) {
		struct page_family *family = page->families;
		page->families = family->next;
		sl_buf_fini(&family->text);
		free(family);
	}
	page->failed = false;
}

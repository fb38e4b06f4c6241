/* template_internal: what the files of template share. */
#ifndef SL_BASE_TEMPLATE_INTERNAL_H
#define SL_BASE_TEMPLATE_INTERNAL_H

#include <stdbool.h>

#include "base/contract/contract.h"
#include "base/template/template.h"

enum template_quote { QUOTE_NONE, QUOTE_DOUBLE, QUOTE_SINGLE, QUOTE_COMMENT };

/* A walk over a text's pieces, in order. */
struct template_scan {
	const struct template *template;
	size_t at, line;
	enum template_quote quote; /* where `at` stands */
	bool blank;                /* nothing but spaces since the line began */
	/* The piece: */
	struct sl_bytes literal; /* size 0: a reference */
	struct template_ref ref;
	char inside[3 * CONTRACT_NAME_MAX]; /* what stands in the braces */
	enum template_fault fault;
};
void template_scan_begin(struct template_scan *scan, const struct template *template);
/* False at the end, and at a fault. */
bool template_scan_next(struct template_scan *scan);

/* Output that is only counted (at NULL), or written. */
struct template_out {
	char *at;
	size_t size;
};
void template_put(struct template_out *out, const char *text, size_t size);
/* A value where the scan stands. */
enum template_fault template_put_value(struct template_out *out, const struct template_scan *scan,
				       const char *value);

#endif

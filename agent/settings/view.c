/* What a version sees of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/settings/settings_internal.h"
#include "base/mem/arena.h"
#include "base/template/template.h"

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has(const struct contract_names *names, const char *name)
{
	return names->count > 0 && bsearch(&name, names->items, names->count,
					   sizeof(names->items[0]), compare_texts) != NULL;
}

static int compare_sources(const void *a, const void *b)
{
	return strcmp(((const struct contract_source *)a)->name,
		      ((const struct contract_source *)b)->name);
}

static const struct contract_source *required_source(const struct contract *contract,
						     const char *name)
{
	const struct contract_source key = {.name = name};
	return contract->source_count == 0
		   ? NULL
		   : bsearch(&key, contract->sources, contract->source_count, sizeof(key),
			     compare_sources);
}

/* --- look-ups --- */

static enum template_fault find_value(const struct settings_view *view, bool secret,
				      const char *name, const char **ret_value)
{
	const char *mine = overrides_value(view->overrides, secret, name);
	const struct settings_item *told = settings_find(view->settings, false, name, "");
	if (mine == NULL && told == NULL) {
		return TEMPLATE_UNSET;
	}
	if (mine == NULL && told->secret != secret) {
		return TEMPLATE_WRONG_KIND;
	}
	*ret_value = mine != NULL ? mine : told->value;
	return TEMPLATE_FINE;
}

static enum template_fault find_option(const struct settings_view *view,
				       const struct contract_source *required, const char *option,
				       const char **ret_value)
{
	size_t count = 0;
	const struct settings_item *source =
	    settings_source(view->settings, required->name, &count);
	if (source == NULL) {
		return TEMPLATE_UNSET;
	}
	if (strcmp(source->kind, required->kind) != 0) {
		return TEMPLATE_WRONG_KIND;
	}
	const struct settings_item *item =
	    settings_find(view->settings, true, required->name, option);
	*ret_value = item != NULL ? item->value : "";
	return item != NULL ? TEMPLATE_FINE : TEMPLATE_UNKNOWN;
}

/* With values that have no bytes. */
static enum template_fault look_up_any(void *ctx, const struct template_ref *ref,
				       const char **ret_value)
{
	const struct settings_view *view = ctx;
	const struct contract *contract = view->contract;
	if (ref->space == TEMPLATE_SOURCE) {
		const struct contract_source *required = required_source(contract, ref->name);
		return required == NULL ? TEMPLATE_UNDECLARED
					: find_option(view, required, ref->option, ret_value);
	}
	bool secret = ref->space == TEMPLATE_SECRET;
	if (!has(secret ? &contract->secrets : &contract->constants, ref->name)) {
		return has(secret ? &contract->constants : &contract->secrets, ref->name)
			   ? TEMPLATE_WRONG_KIND
			   : TEMPLATE_UNDECLARED;
	}
	return find_value(view, secret, ref->name, ret_value);
}

static enum template_fault look_up(void *ctx, const struct template_ref *ref,
				   const char **ret_value)
{
	enum template_fault fault = look_up_any(ctx, ref, ret_value);
	return fault == TEMPLATE_FINE && (*ret_value)[0] == '\0' ? TEMPLATE_EMPTY : fault;
}

/* --- what is missing --- */

static void say(struct settings_texts *texts, const char *what, const char *name, const char *more)
{
	if (texts->count < SETTINGS_MISSING_MAX) {
		(void)snprintf(texts->items[texts->count], SETTINGS_TEXT_SIZE, "%s %s%s", what,
			       name, more);
	}
	texts->count++;
}

static void missing_values(const struct settings_view *view, bool secret,
			   struct settings_texts *texts)
{
	const struct contract_names *names =
	    secret ? &view->contract->secrets : &view->contract->constants;
	for (size_t i = 0; i < names->count; i++) {
		const char *value = "";
		enum template_fault fault = find_value(view, secret, names->items[i], &value);
		if (fault != TEMPLATE_FINE) {
			const char *other = secret ? " (is a constant)" : " (is a secret)";
			say(texts, secret ? "secret" : "constant", names->items[i],
			    fault == TEMPLATE_WRONG_KIND ? other : "");
		}
	}
}

void settings_missing(const struct settings_view *view, struct settings_texts *ret_texts)
{
	ret_texts->count = 0;
	missing_values(view, false, ret_texts);
	missing_values(view, true, ret_texts);
	for (size_t i = 0; i < view->contract->source_count; i++) {
		const struct contract_source *required = &view->contract->sources[i];
		size_t count = 0;
		const struct settings_item *there =
		    settings_source(view->settings, required->name, &count);
		char kinds[64];
		if (there == NULL || strcmp(there->kind, required->kind) != 0) {
			(void)snprintf(kinds, sizeof(kinds), " (%s%s%s)", required->kind,
				       there != NULL ? ", is " : "",
				       there != NULL ? there->kind : "");
			say(ret_texts, "data source", required->name, kinds);
		}
	}
}

void settings_overridden(const struct settings_view *view, struct settings_texts *ret_texts)
{
	ret_texts->count = 0;
	for (int secret = 0; secret < 2; secret++) {
		const struct contract_names *names =
		    secret != 0 ? &view->contract->secrets : &view->contract->constants;
		for (size_t i = 0; i < names->count; i++) {
			if (overrides_value(view->overrides, secret != 0, names->items[i]) !=
			    NULL) {
				say(ret_texts, secret != 0 ? "secret" : "constant", names->items[i],
				    "");
			}
		}
	}
}

/* --- files --- */

static sl_code fill(const struct settings_view *view, const char *path, struct sl_bytes text,
		    template_look_up *with, char **ret_text, size_t *ret_size, struct sl_err *err)
{
	const struct template template = {.text = text,
					  .format = template_format_of(path),
					  .look_up = with,
					  .ctx = (void *)(uintptr_t)view};
	sl_code code = template_render(&template, ret_text, ret_size, NULL, err);
	return code == SL_OK ? SL_OK : sl_err_wrap(err, "%.200s", path);
}

sl_code settings_render(const struct settings_view *view, const char *path, struct sl_bytes text,
			char **ret_text, size_t *ret_size, struct sl_err *err)
{
	return fill(view, path, text, look_up, ret_text, ret_size, err);
}

/* config.json and env are templates, too: values are escaped in one place. They hold references
 * only, so they need no secret memory. */
static sl_code fill_own(const struct settings_view *view, const char *path, struct sl_buf *text,
			char **ret_text, size_t *ret_size, struct sl_err *err)
{
	sl_code code = text->failed ? sl_err_no_memory(err)
				    : fill(view, path, sl_buf_bytes(text), look_up_any, ret_text,
					   ret_size, err);
	sl_buf_fini(text);
	return code;
}

static void put_json_names(struct sl_buf *text, const char *space,
			   const struct contract_names *names)
{
	sl_buf_printf(text, "  \"%s\": {", space);
	for (size_t i = 0; i < names->count; i++) {
		sl_buf_printf(text, "%s\n    \"%s\": {{%s.%s}}", i > 0 ? "," : "", names->items[i],
			      space, names->items[i]);
	}
	sl_buf_printf(text, "%s},\n", names->count > 0 ? "\n  " : "");
}

/* Beside the kind: an option of that name gives way. */
static void put_json_source(struct sl_buf *text, const struct settings_view *view,
			    const struct contract_source *source)
{
	sl_buf_printf(text, "\n    \"%s\": {\n      \"kind\": \"%s\"", source->name, source->kind);
	size_t count = 0;
	const struct settings_item *items = settings_source(view->settings, source->name, &count);
	for (size_t i = 0; i < count; i++) {
		const char *option = items[i].option;
		if (strcmp(option, "kind") != 0) {
			sl_buf_printf(text, ",\n      \"%s\": {{sources.%s.%s}}", option,
				      source->name, option);
		}
	}
	sl_buf_printf(text, "\n    }");
}

sl_code settings_json(const struct settings_view *view, char **ret_text, size_t *ret_size,
		      struct sl_err *err)
{
	const struct contract *contract = view->contract;
	struct sl_buf text = {.data = NULL};
	sl_buf_printf(&text, "{\n");
	put_json_names(&text, "constants", &contract->constants);
	put_json_names(&text, "secrets", &contract->secrets);
	sl_buf_printf(&text, "  \"sources\": {");
	for (size_t i = 0; i < contract->source_count; i++) {
		sl_buf_printf(&text, "%s", i > 0 ? "," : "");
		put_json_source(&text, view, &contract->sources[i]);
	}
	sl_buf_printf(&text, "%s}\n}\n", contract->source_count > 0 ? "\n  " : "");
	return fill_own(view, "config.json", &text, ret_text, ret_size, err);
}

static void put_env_names(struct sl_buf *text, const char *space,
			  const struct contract_names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		sl_buf_printf(text, "%s={{%s.%s}}\n", names->items[i], space, names->items[i]);
	}
}

/* "MAIN_HOST" of main.host. */
static char *variable_of(struct sl_arena *arena, const struct settings_item *item)
{
	char *name = sl_arena_printf(arena, "%s_%s", item->name, item->option);
	for (char *c = name; c != NULL && *c != '\0'; c++) {
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
	}
	return name;
}

struct variable {
	const char *name;
	const struct settings_item *item;
};

static int compare_variables(const void *a, const void *b)
{
	const struct variable *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order != 0 ? order : (x->item > y->item) - (x->item < y->item);
}

/* A name that is taken already is not there twice. */
static void put_variables(struct sl_buf *text, const struct contract *contract,
			  struct variable *variables, size_t count)
{
	if (count > 0) {
		qsort(variables, count, sizeof(variables[0]), compare_variables);
	}
	for (size_t i = 0; i < count; i++) {
		const struct variable *v = &variables[i];
		bool taken = (i > 0 && strcmp(variables[i - 1].name, v->name) == 0) ||
			     has(&contract->constants, v->name) || has(&contract->secrets, v->name);
		if (!taken) {
			sl_buf_printf(text, "%s={{sources.%s.%s}}\n", v->name, v->item->name,
				      v->item->option);
		}
	}
}

static bool put_env_sources(struct sl_buf *text, const struct settings_view *view,
			    struct sl_arena *arena)
{
	const struct contract *contract = view->contract;
	size_t room = 0, count = 0, of_source = 0;
	(void)settings_items(view->settings, &room);
	struct variable *variables = SL_ARENA_ARRAY(arena, struct variable, room + 1);
	for (size_t i = 0; variables != NULL && i < contract->source_count; i++) {
		const struct settings_item *items =
		    settings_source(view->settings, contract->sources[i].name, &of_source);
		for (size_t j = 0; j < of_source; j++) {
			variables[count++] = (struct variable){
			    .name = variable_of(arena, &items[j]), .item = &items[j]};
		}
	}
	if (!sl_arena_failed(arena)) {
		put_variables(text, contract, variables, count);
	}
	return !sl_arena_failed(arena);
}

sl_code settings_env(const struct settings_view *view, char **ret_text, size_t *ret_size,
		     struct sl_err *err)
{
	struct sl_arena arena;
	struct sl_buf text = {.data = NULL};
	sl_arena_init(&arena, 0);
	put_env_names(&text, "constants", &view->contract->constants);
	put_env_names(&text, "secrets", &view->contract->secrets);
	bool whole = put_env_sources(&text, view, &arena);
	sl_arena_fini(&arena);
	text.failed = text.failed || !whole;
	return fill_own(view, "env", &text, ret_text, ret_size, err);
}

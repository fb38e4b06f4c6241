#include "base/contract/contract.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "base/mem/own.h"

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

struct reader {
	struct sl_arena *arena;
	enum contract_rule rule; /* that was broken */
	struct sl_err *err;
};

static const char *const rule_names[CONTRACT_RULE_COUNT] = {
    [CONTRACT_TOO_BIG] = "CONTRACT_TOO_BIG",   [CONTRACT_NOT_JSON] = "CONTRACT_NOT_JSON",
    [CONTRACT_KEY] = "CONTRACT_KEY",           [CONTRACT_TYPE] = "CONTRACT_TYPE",
    [CONTRACT_TOO_MANY] = "CONTRACT_TOO_MANY", [CONTRACT_NAME] = "CONTRACT_NAME",
    [CONTRACT_KIND] = "CONTRACT_KIND",         [CONTRACT_PATH] = "CONTRACT_PATH",
    [CONTRACT_TWICE] = "CONTRACT_TWICE",       [CONTRACT_NO_FILE] = "CONTRACT_NO_FILE",
};

const char *contract_rule_name(enum contract_rule rule)
{
	return (unsigned)rule < CONTRACT_RULE_COUNT ? rule_names[rule] : "UNKNOWN";
}

static sl_code refuse(struct reader *r, enum contract_rule rule, const char *fmt, ...)
    SL_PRINTF(3, 4);

static sl_code refuse(struct reader *r, enum contract_rule rule, const char *fmt, ...)
{
	char text[SL_ERR_MSG_SIZE];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	r->rule = rule;
	return sl_err_because(r->err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
			      CONTRACT_FILE ": %s", text);
}

/* What base/json says of a key, as ours. `where` "": the root. */
static sl_code refuse_json(struct reader *r, enum contract_rule rule, const char *where,
			   struct sl_err *why)
{
	sl_code code = refuse(r, rule, "%s%s%s", where, where[0] == '\0' ? "" : ": ", why->msg);
	sl_err_clear(why);
	return code;
}

/* --- forms ------------------------------------------------------------------------------- */

bool contract_is_kind(const char *kind)
{
	static const char *const kinds[] = {"postgres", "mysql",   "mongodb", "redis",  "s3",
					    "rest",     "graphql", "smtp",    "generic"};
	for (size_t i = 0; i < SL_COUNT(kinds); i++) {
		if (strcmp(kind, kinds[i]) == 0) {
			return true;
		}
	}
	return false;
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"

bool contract_is_name(const char *name)
{
	size_t size = strnlen(name, CONTRACT_NAME_MAX + 1);
	return size > 0 && size <= CONTRACT_NAME_MAX && strchr(LETTERS, name[0]) != NULL &&
	       strspn(name, LETTERS "0123456789") == size;
}

static bool is_step(const char *step, size_t bytes)
{
	return bytes > 2 || (bytes > 0 && strncmp(step, "..", bytes) != 0);
}

static bool is_path(const char *path)
{
	for (const char *c = path; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '\\') {
			return false;
		}
	}
	for (const char *step = path;; step++) {
		size_t bytes = strcspn(step, "/");
		if (!is_step(step, bytes)) {
			return false;
		}
		step += bytes;
		if (*step == '\0') {
			return step - path <= CONTRACT_PATH_MAX;
		}
	}
}

/* --- lists ------------------------------------------------------------------------------- */

/* A list of the file, and what it may hold. */
struct list {
	const char *key, *where; /* "constants", "requires.constants" */
	size_t max;
	bool (*fits)(const char *text);
	enum contract_rule rule; /* else */
	const char *says;
};

static const struct list constants_list = {
    "constants",      "requires.constants", CONTRACT_NAMES_MAX,
    contract_is_name, CONTRACT_NAME,        "must be [A-Za-z_][A-Za-z0-9_]{0,49}"};
static const struct list secrets_list = {"secrets",          "requires.secrets",
					 CONTRACT_NAMES_MAX, contract_is_name,
					 CONTRACT_NAME,      "must be [A-Za-z_][A-Za-z0-9_]{0,49}"};
static const struct list sources_list = {
    "data_sources",   "requires.data_sources", CONTRACT_SOURCES_MAX,
    contract_is_name, CONTRACT_NAME,           "must be [A-Za-z_][A-Za-z0-9_]{0,49}"};
static const struct list render_list = {
    "render",
    "render",
    CONTRACT_RENDER_MAX,
    is_path,
    CONTRACT_PATH,
    "must be a path within the bundle: relative, at most 1024 bytes, "
    "without '.', '..', backslash and control characters"};

/* NULL in *ret_items: there is no such list. */
static sl_code find_list(struct reader *r, const struct sl_json *object, const struct list *list,
			 const struct sl_json **ret_items)
{
	SL_AUTO(sl_err_clear) struct sl_err why = SL_ERR_INIT;
	if (sl_json_get_list(object, list->key, SIZE_MAX, ret_items, &why) != SL_OK) {
		return refuse_json(r, CONTRACT_TYPE, list->where, &why);
	}
	size_t count = sl_json_count(*ret_items);
	return count <= list->max
		   ? SL_OK
		   : refuse(r, CONTRACT_TOO_MANY, "%s must have at most %zu items, has %zu",
			    list->where, list->max, count);
}

static sl_code check_text(struct reader *r, const struct list *list, const char *text)
{
	return list->fits(text)
		   ? SL_OK
		   : refuse(r, list->rule, "%s: '%.120s' %s", list->where, text, list->says);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static sl_code sort_texts(struct reader *r, const struct list *list, struct contract_names *names)
{
	qsort(names->items, names->count, sizeof(*names->items), compare_texts);
	for (size_t i = 1; i < names->count; i++) {
		if (strcmp(names->items[i - 1], names->items[i]) == 0) {
			return refuse(r, CONTRACT_TWICE, "%s has '%.120s' twice", list->where,
				      names->items[i]);
		}
	}
	return SL_OK;
}

static sl_code read_texts(struct reader *r, const struct sl_json *object, const struct list *list,
			  struct contract_names *ret_names)
{
	const struct sl_json *items = NULL;
	sl_code code = find_list(r, object, list, &items);
	size_t count = sl_json_count(items);
	if (code != SL_OK || count == 0) {
		return code;
	}
	ret_names->items = SL_ARENA_ARRAY(r->arena, const char *, count);
	for (size_t i = 0; code == SL_OK && ret_names->items != NULL && i < count; i++) {
		const char *text = sl_json_text_at(items, i);
		code = text != NULL
			   ? check_text(r, list, text)
			   : refuse(r, CONTRACT_TYPE, "%s[%zu] must be a text", list->where, i);
		ret_names->items[ret_names->count++] =
		    code == SL_OK ? sl_arena_strdup(r->arena, text) : NULL;
	}
	if (code == SL_OK && sl_arena_failed(r->arena)) {
		return sl_err_no_memory(r->err);
	}
	return code != SL_OK ? code : sort_texts(r, list, ret_names);
}

/* --- data sources ------------------------------------------------------------------------ */

static sl_code read_source(struct reader *r, const struct sl_json *item, size_t i,
			   struct contract_source *ret_source)
{
	static const char *const keys[] = {"name", "kind", NULL};
	SL_AUTO(sl_err_clear) struct sl_err why = SL_ERR_INIT;
	char where[64];
	const char *name = NULL, *kind = NULL;
	(void)snprintf(where, sizeof(where), "%s[%zu]", sources_list.where, i);
	if (item == NULL) {
		return refuse(r, CONTRACT_TYPE, "%s must be an object with name and kind", where);
	}
	if (sl_json_check_keys(item, keys, &why) != SL_OK) {
		return refuse_json(r, CONTRACT_KEY, where, &why);
	}
	if (sl_json_get_text(item, "name", SIZE_MAX, &name, &why) != SL_OK ||
	    sl_json_get_text(item, "kind", SIZE_MAX, &kind, &why) != SL_OK) {
		return refuse_json(r, CONTRACT_TYPE, where, &why);
	}
	if (name == NULL || kind == NULL) {
		return refuse(r, CONTRACT_TYPE, "%s must have name and kind, lacks %s", where,
			      name == NULL ? "name" : "kind");
	}
	sl_code code = check_text(r, &sources_list, name);
	if (code == SL_OK && !contract_is_kind(kind)) {
		code = refuse(r, CONTRACT_KIND,
			      "%s: '%s' is of kind '%.64s', must be postgres, mysql, mongodb, "
			      "redis, s3, rest, graphql, smtp or generic",
			      sources_list.where, name, kind);
	}
	ret_source->name = sl_arena_strdup(r->arena, name);
	ret_source->kind = sl_arena_strdup(r->arena, kind);
	return code;
}

static int compare_sources(const void *a, const void *b)
{
	return strcmp(((const struct contract_source *)a)->name,
		      ((const struct contract_source *)b)->name);
}

static sl_code sort_sources(struct reader *r, struct contract *contract)
{
	struct contract_source *sources = contract->sources;
	qsort(sources, contract->source_count, sizeof(*sources), compare_sources);
	for (size_t i = 1; i < contract->source_count; i++) {
		if (strcmp(sources[i - 1].name, sources[i].name) == 0) {
			return refuse(r, CONTRACT_TWICE, "%s has '%s' twice", sources_list.where,
				      sources[i].name);
		}
	}
	return SL_OK;
}

static sl_code read_sources(struct reader *r, const struct sl_json *requires,
			    struct contract *contract)
{
	const struct sl_json *items = NULL;
	sl_code code = find_list(r, requires, &sources_list, &items);
	size_t count = sl_json_count(items);
	if (code != SL_OK || count == 0) {
		return code;
	}
	contract->sources = SL_ARENA_ARRAY(r->arena, struct contract_source, count);
	for (size_t i = 0; code == SL_OK && contract->sources != NULL && i < count; i++) {
		code = read_source(r, sl_json_object_at(items, i), i,
				   &contract->sources[contract->source_count++]);
	}
	if (code == SL_OK && sl_arena_failed(r->arena)) {
		return sl_err_no_memory(r->err);
	}
	return code != SL_OK ? code : sort_sources(r, contract);
}

/* --- the whole ---------------------------------------------------------------------------- */

/* A name is one thing for life, in all of the workspace. */
static sl_code check_apart(struct reader *r, const struct contract *contract)
{
	const struct contract_names *constants = &contract->constants;
	for (size_t i = 0; constants->count > 0 && i < contract->secrets.count; i++) {
		const char **name = &contract->secrets.items[i];
		if (bsearch(name, constants->items, constants->count, sizeof(*name),
			    compare_texts) != NULL) {
			return refuse(r, CONTRACT_TWICE,
				      "'%s' must be either one of requires.constants or one of "
				      "requires.secrets, is both",
				      *name);
		}
	}
	return SL_OK;
}

static sl_code read_requires(struct reader *r, const struct sl_json *root,
			     struct contract *contract)
{
	static const char *const keys[] = {"constants", "secrets", "data_sources", NULL};
	SL_AUTO(sl_err_clear) struct sl_err why = SL_ERR_INIT;
	const struct sl_json *requires = NULL;
	if (sl_json_get_object(root, "requires", &requires, &why) != SL_OK) {
		return refuse_json(r, CONTRACT_TYPE, "", &why);
	}
	if (requires == NULL) {
		return SL_OK;
	}
	if (sl_json_check_keys(requires, keys, &why) != SL_OK) {
		return refuse_json(r, CONTRACT_KEY, "requires", &why);
	}
	sl_code code = read_texts(r, requires, &constants_list, &contract->constants);
	code = code != SL_OK ? code : read_texts(r, requires, &secrets_list, &contract->secrets);
	code = code != SL_OK ? code : check_apart(r, contract);
	return code != SL_OK ? code : read_sources(r, requires, contract);
}

static sl_code read_root(struct reader *r, const struct sl_json *root, struct contract *contract)
{
	static const char *const keys[] = {"$schema", "requires", "render", NULL};
	SL_AUTO(sl_err_clear) struct sl_err why = SL_ERR_INIT;
	const char *schema = NULL;
	if (sl_json_check_keys(root, keys, &why) != SL_OK) {
		return refuse_json(r, CONTRACT_KEY, "", &why);
	}
	if (sl_json_get_text(root, "$schema", SIZE_MAX, &schema, &why) != SL_OK) {
		return refuse_json(r, CONTRACT_TYPE, "",
				   &why); /* for editors; nothing else to us */
	}
	sl_code code = read_requires(r, root, contract);
	return code != SL_OK ? code : read_texts(r, root, &render_list, &contract->render);
}

static sl_code parse(struct reader *r, struct sl_bytes text, struct contract *contract)
{
	SL_AUTO(sl_err_clear) struct sl_err why = SL_ERR_INIT;
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	if (text.size > CONTRACT_BYTES_MAX) {
		return refuse(r, CONTRACT_TOO_BIG, "must have at most %d bytes, has %zu",
			      CONTRACT_BYTES_MAX, text.size);
	}
	if (sl_json_parse(text, &root, &why) != SL_OK) {
		return refuse_json(r, CONTRACT_NOT_JSON, "", &why);
	}
	return read_root(r, root, contract);
}

sl_code contract_parse(struct sl_arena *arena, struct sl_bytes text, struct contract **ret_contract,
		       enum contract_rule *ret_rule, struct sl_err *err)
{
	struct reader r = {.arena = arena, .rule = CONTRACT_RULE_COUNT, .err = err};
	struct contract *contract = SL_ARENA_NEW(arena, struct contract);
	if (contract == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = parse(&r, text, contract);
	if (code == SL_OK) {
		*ret_contract = contract;
	} else if (ret_rule != NULL) {
		*ret_rule = r.rule;
	}
	return code;
}

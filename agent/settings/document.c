/* What the server told: the document in an opened box, read in place. */
#include <stdlib.h>
#include <string.h>

#include "agent/settings/settings_internal.h"
#include "base/crypto/secret.h"

struct settings {
	char *text; /* owned, secret; all items point into it */
	struct settings_item *items;
	size_t count;
};

struct reader {
	const char *at, *end;
	struct sl_err *err;
};

static sl_code refuse(struct sl_err *err, const char *name, const char *rule)
{
	return sl_err_set(err, SL_INVALID_ARGUMENT, "config: '%.60s' %s", name, rule);
}

static bool is_utf8(const char *value)
{
	const unsigned char *at = (const unsigned char *)value;
	size_t length = 0;
	while (*at != '\0' && (length = sl_utf8_length(at)) > 0) {
		at += length;
	}
	return *at == '\0';
}

const char *settings_broken_rule(const char *value)
{
	if (!is_utf8(value)) {
		return "must have a value of UTF-8";
	}
	return strlen(value) <= SETTINGS_VALUE_MAX ? NULL
						   : "must have a value of at most 10000 bytes";
}

/* --- fields ----------------------------------------------------------------------------------- */

/* The next field; NULL: there is none. */
static const char *field(struct reader *r)
{
	const char *begin = r->at;
	const char *nul = begin < r->end ? memchr(begin, '\0', (size_t)(r->end - begin)) : NULL;
	if (nul == NULL) {
		return NULL;
	}
	r->at = nul + 1;
	return begin;
}

static sl_code read_value(struct reader *r, bool secret, struct settings_item *item)
{
	item->secret = secret;
	item->name = field(r);
	item->kind = item->option = "";
	item->value = item->name != NULL ? field(r) : NULL;
	if (item->value == NULL) {
		return refuse(r->err, "document", "must have name and value of each");
	}
	if (!contract_is_name(item->name)) {
		return refuse(r->err, item->name, "must be [A-Za-z_][A-Za-z0-9_]{0,49}");
	}
	const char *rule = settings_broken_rule(item->value);
	return rule == NULL ? SL_OK : refuse(r->err, item->name, rule);
}

static sl_code read_option(struct reader *r, struct settings_item *item)
{
	item->source = true;
	item->name = field(r);
	item->kind = item->name != NULL ? field(r) : NULL;
	item->option = item->kind != NULL ? field(r) : NULL;
	item->value = item->option != NULL ? field(r) : NULL;
	if (item->value == NULL) {
		return refuse(r->err, "document",
			      "must have source, kind, option and value of each");
	}
	if (!contract_is_name(item->name)) {
		return refuse(r->err, item->name, "must be [A-Za-z_][A-Za-z0-9_]{0,49}");
	}
	if (!contract_is_kind(item->kind)) {
		return refuse(r->err, item->name, "must be of a kind of data source");
	}
	if (!contract_is_name(item->option)) {
		return refuse(r->err, item->name, "must have options [A-Za-z_][A-Za-z0-9_]{0,49}");
	}
	return is_utf8(item->value) ? SL_OK : refuse(r->err, item->name, "must be UTF-8");
}

/* Whose it is; nothing follows. */
static sl_code read_end(struct reader *r, const struct settings_owner *owner)
{
	uint8_t stamp[SL_HASH_BYTES];
	const char *app = field(r), *instance = app != NULL ? field(r) : NULL;
	const char *hex = instance != NULL ? field(r) : NULL;
	if (hex == NULL || r->at != r->end || !sl_unhex(stamp, sizeof(stamp), hex)) {
		return refuse(r->err, "document", "must end with its app, instance and stamp");
	}
	bool mine = strcmp(app, owner->app_id) == 0 && strcmp(instance, owner->instance_id) == 0 &&
		    memcmp(stamp, owner->stamp, sizeof(stamp)) == 0;
	return mine ? SL_OK
		    : sl_err_set(r->err, SL_FAILED_PRECONDITION,
				 "config: what is sealed is of another app, instance or stamp");
}

/* SL_OK: another item may follow. */
static sl_code read_item(struct reader *r, const char *tag, struct settings_item *item)
{
	if (strcmp(tag, "c") == 0 || strcmp(tag, "s") == 0) {
		return read_value(r, tag[0] == 's', item);
	}
	return strcmp(tag, "o") == 0
		   ? read_option(r, item)
		   : refuse(r->err, "document", "must be fields that begin with c, s, o or .");
}

static sl_code read_items(struct reader *r, struct settings *settings,
			  const struct settings_owner *owner)
{
	const char *tag = field(r);
	while (tag != NULL && strcmp(tag, ".") != 0) {
		sl_code code = read_item(r, tag, &settings->items[settings->count]);
		if (code != SL_OK) {
			return code;
		}
		settings->count++;
		tag = field(r);
	}
	return read_end(r, owner);
}

/* --- order --- */

static int compare(const void *a, const void *b)
{
	const struct settings_item *x = a, *y = b;
	if (x->source != y->source) {
		return x->source ? 1 : -1;
	}
	int order = strcmp(x->name, y->name);
	return order != 0 ? order : strcmp(x->option, y->option);
}

static sl_code sort(struct settings *settings, struct sl_err *err)
{
	struct settings_item *items = settings->items;
	qsort(items, settings->count, sizeof(*items), compare);
	for (size_t i = 1; i < settings->count; i++) {
		if (compare(&items[i - 1], &items[i]) == 0) {
			return refuse(err, items[i].name, "must be there once");
		}
		if (items[i].source && items[i - 1].source &&
		    strcmp(items[i].name, items[i - 1].name) == 0 &&
		    strcmp(items[i].kind, items[i - 1].kind) != 0) {
			return refuse(err, items[i].name, "must be of one kind");
		}
	}
	return SL_OK;
}

/* --- the whole --- */

void settings_free(struct settings *settings)
{
	if (settings != NULL) {
		sl_secret_free(settings->text);
		free(settings->items);
		free(settings);
	}
}

/* An item has three fields or more. */
static size_t items_at_most(const char *text, size_t size)
{
	size_t fields = 0;
	for (size_t i = 0; i < size; i++) {
		fields += text[i] == '\0';
	}
	return fields / 3 + 1;
}

sl_code settings_parse(char *text, size_t size, const struct settings_owner *owner,
		       struct settings **ret_settings, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *mine = text;
	SL_AUTO(settings_free_auto) struct settings *settings = calloc(1, sizeof(*settings));
	if (settings == NULL) {
		return sl_err_no_memory(err);
	}
	settings->text = SL_TAKE(mine);
	settings->items = calloc(items_at_most(text, size), sizeof(*settings->items));
	if (settings->items == NULL) {
		return sl_err_no_memory(err);
	}
	struct reader r = {.at = text, .end = text + size, .err = err};
	sl_code code = read_items(&r, settings, owner);
	code = code == SL_OK ? sort(settings, err) : code;
	if (code == SL_OK) {
		*ret_settings = SL_TAKE(settings);
	}
	return code;
}

sl_code settings_open(const uint8_t box_secret[static SL_BOX_SECRET_BYTES], struct sl_bytes box,
		      const struct settings_owner *owner, struct settings **ret_settings,
		      struct sl_err *err)
{
	if (box.size <= SL_BOX_EXTRA_BYTES || box.size > CONTRACT_VALUES_MAX + SL_BOX_EXTRA_BYTES) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "config: a box of %zu bytes, must hold 1 to %d", box.size,
				  CONTRACT_VALUES_MAX);
	}
	size_t size = box.size - SL_BOX_EXTRA_BYTES;
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new(size);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	if (!sl_box_open(box_secret, box, (uint8_t *)text)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "config: not sealed to the key of this agent");
	}
	return settings_parse(SL_TAKE(text), size, owner, ret_settings, err);
}

const struct settings_item *settings_items(const struct settings *settings, size_t *ret_count)
{
	*ret_count = settings != NULL ? settings->count : 0;
	return settings != NULL ? settings->items : NULL;
}

const struct settings_item *settings_find(const struct settings *settings, bool source,
					  const char *name, const char *option)
{
	const struct settings_item key = {.source = source, .name = name, .option = option};
	return settings == NULL ? NULL
				: bsearch(&key, settings->items, settings->count,
					  sizeof(settings->items[0]), compare);
}

const struct settings_item *settings_source(const struct settings *settings, const char *name,
					    size_t *ret_count)
{
	size_t low = 0, high = settings != NULL ? settings->count : 0;
	const struct settings_item key = {.source = true, .name = name, .option = ""};
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		bool before = compare(&settings->items[middle], &key) < 0;
		low = before ? middle + 1 : low;
		high = before ? high : middle;
	}
	size_t end = low;
	while (settings != NULL && end < settings->count && settings->items[end].source &&
	       strcmp(settings->items[end].name, name) == 0) {
		end++;
	}
	*ret_count = end - low;
	return end > low ? &settings->items[low] : NULL;
}

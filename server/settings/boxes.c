#include "server/settings/boxes.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/rules/source_kinds.h"
#include "server/settings/sources.h"

enum { FIRST_ROOM = 4096, END_ROOM = 256 };

/* --- a document --- */

/* Fields, each with its NUL, and room behind them for whose they are. */
struct document {
	char *bytes; /* owned; secret memory */
	size_t size, room;
	bool failed; /* out of memory */
};

static void document_fini(struct document *document)
{
	sl_secret_free(SL_TAKE(document->bytes));
	document->size = document->room = 0;
}

/* Secret memory grows by halves: what is copied is wiped. */
static bool make_room(struct document *document, size_t more)
{
	size_t needed = document->size + more + END_ROOM;
	size_t room = document->room == 0 ? FIRST_ROOM : document->room;
	if (needed <= document->room) {
		return true;
	}
	while (room < needed) {
		room *= 2;
	}
	char *bytes = sl_secret_new(room);
	if (bytes == NULL) {
		return false;
	}
	if (document->size > 0) {
		memcpy(bytes, document->bytes, document->size);
	}
	sl_secret_free(document->bytes);
	document->bytes = bytes;
	document->room = room;
	return true;
}

/* Beyond what may be told only the size is counted. */
static void put(struct document *document, const char *text)
{
	size_t size = strlen(text) + 1;
	bool fits = document->size + size <= CONTRACT_VALUES_MAX;
	document->failed = document->failed || (fits && !make_room(document, size));
	if (fits && !document->failed) {
		memcpy(document->bytes + document->size, text, size);
	}
	document->size += size;
}

/* --- what is required, opened ---------------------------------------------------------------- */

struct opening {
	struct vault *vault;
	struct wire in;
	uint32_t environment;
	struct document *document;
	struct sl_hasher stamp;
};

static sl_code open_config(struct opening *o, const struct required_item *item, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *value = NULL;
	bool secret = item->kind == SLUICE__V1__CONFIG_KIND__CONFIG_KIND_SECRET;
	sl_code code = settings_open(o->vault, o->in.view, o->in.workspace, item->config,
				     o->environment, &value, err);
	if (code == SL_OK) {
		put(o->document, secret ? "s" : "c");
		put(o->document, item->name);
		put(o->document, value);
	}
	return code;
}

static void put_option(struct document *document, const struct required_item *item,
		       const char *name, const char *value)
{
	put(document, "o");
	put(document, item->name);
	put(document, item->source_kind);
	put(document, name);
	put(document, value);
}

static sl_code open_source(struct opening *o, const struct required_item *item, struct sl_err *err)
{
	SL_AUTO(source_values_fini) struct source_values values = {.packed = NULL};
	const struct source_kind *kind = source_kind_of(item->source_kind);
	sl_code code =
	    sources_resolve(o->vault, &o->in, item->source, o->environment, &values, err);
	if (code != SL_OK) {
		return code;
	}
	const char *name = NULL, *value = NULL;
	for (size_t at = 0; source_values_next(&values, &at, &name, &value);) {
		put_option(o->document, item, name, value);
	}
	for (size_t i = 0; kind != NULL && i < kind->count; i++) {
		const struct source_option *option = &kind->options[i];
		if (option->fallback != NULL && source_value_of(&values, option->name) == NULL) {
			put_option(o->document, item, option->name, option->fallback);
		}
	}
	return SL_OK;
}

static sl_code open_item(void *ctx, const struct required_item *item, struct sl_err *err)
{
	struct opening *o = ctx;
	required_stamp_add(&o->stamp, item);
	if (item->lacks != NULL) {
		return SL_OK;
	}
	sl_code code = item->source != NULL ? open_source(o, item, err) : open_config(o, item, err);
	/* A source whose references were not noted when it was set: it is not whole. */
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		return SL_OK;
	}
	return code != SL_OK ? sl_err_wrap(err, "%s", item->name) : SL_OK;
}

static sl_code open_document(struct vault *vault, const struct store_view *view,
			     const struct box_wish *wish, struct document *document,
			     struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	uint8_t stamp[SL_HASH_BYTES];
	Sluice__V1__Contract *required = NULL;
	sl_arena_init(&arena, 0);
	struct opening o = {
	    .vault = vault,
	    .in = {.view = view, .arena = &arena, .workspace = wish->workspace},
	    .environment = wish->environment,
	    .document = document,
	};
	sl_hasher_init(&o.stamp);
	sl_code code = record_unpack(&arena, wish->required, &sluice__v1__contract__descriptor,
				     &required, err);
	code = code != SL_OK
		   ? code
		   : required_each(&o.in, required, wish->environment, open_item, &o, err);
	if (code != SL_OK) {
		return code;
	}
	sl_hasher_end(&o.stamp, stamp);
	if (memcmp(stamp, wish->stamp, SL_HASH_BYTES) != 0) {
		return SL_ABORTED;
	}
	if (document->size > CONTRACT_VALUES_MAX) {
		return sl_err_set(err, SL_RESOURCE_EXHAUSTED,
				  "its values have %zu bytes, and an instance is told at most %d "
				  "of one app",
				  document->size, CONTRACT_VALUES_MAX);
	}
	return document->failed || !make_room(document, 0) ? sl_err_no_memory(err) : SL_OK;
}

/* --- those that are open --- */

struct open_box {
	struct document document; /* {0}: nothing is open here */
	uint8_t key[SL_HASH_BYTES];
	bool used; /* since the last look of boxes_tick() */
	uint64_t order;
};

struct boxes {
	struct vault *vault;
	pthread_mutex_t lock;
	struct open_box open[BOXES_OPEN_MAX];
	uint64_t orders, looked_mono_ms;
};

sl_code boxes_new(struct vault *vault, struct boxes **ret_boxes, struct sl_err *err)
{
	struct boxes *boxes = calloc(1, sizeof(*boxes));
	if (boxes == NULL) {
		return sl_err_no_memory(err);
	}
	boxes->vault = vault;
	pthread_mutex_init(&boxes->lock, NULL);
	*ret_boxes = boxes;
	return SL_OK;
}

void boxes_free(struct boxes *boxes)
{
	if (boxes == NULL) {
		return;
	}
	for (size_t i = 0; i < BOXES_OPEN_MAX; i++) {
		document_fini(&boxes->open[i].document);
	}
	pthread_mutex_destroy(&boxes->lock);
	free(boxes);
}

void boxes_tick(struct boxes *boxes, uint64_t mono_ms)
{
	pthread_mutex_lock(&boxes->lock);
	bool due = mono_ms >= boxes->looked_mono_ms + BOXES_OPEN_MS;
	boxes->looked_mono_ms = due ? mono_ms : boxes->looked_mono_ms;
	for (size_t i = 0; due && i < BOXES_OPEN_MAX; i++) {
		if (!boxes->open[i].used) {
			document_fini(&boxes->open[i].document);
		}
		boxes->open[i].used = false;
	}
	pthread_mutex_unlock(&boxes->lock);
}

static void key_for(const struct box_wish *wish, uint8_t out[static SL_HASH_BYTES])
{
	const uint32_t words[] = {wish->workspace, wish->environment};
	struct sl_hasher hasher;
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, words, sizeof(words));
	sl_hasher_add(&hasher, wish->app_id, strlen(wish->app_id) + 1);
	sl_hasher_add(&hasher, wish->stamp, SL_HASH_BYTES);
	sl_hasher_end(&hasher, out);
}

/* The one with this key, else the one to be replaced. */
static struct open_box *slot_for(struct boxes *boxes, const uint8_t key[static SL_HASH_BYTES])
{
	struct open_box *oldest = &boxes->open[0];
	for (size_t i = 0; i < BOXES_OPEN_MAX; i++) {
		struct open_box *box = &boxes->open[i];
		if (box->document.bytes != NULL && memcmp(box->key, key, SL_HASH_BYTES) == 0) {
			return box;
		}
		bool older = box->document.bytes == NULL ||
			     (oldest->document.bytes != NULL && box->order < oldest->order);
		oldest = older ? box : oldest;
	}
	document_fini(&oldest->document);
	memcpy(oldest->key, key, SL_HASH_BYTES);
	return oldest;
}

static sl_code need_open(struct boxes *boxes, const struct store_view *view,
			 const struct box_wish *wish, struct open_box **ret_box, struct sl_err *err)
{
	uint8_t key[SL_HASH_BYTES];
	key_for(wish, key);
	struct open_box *box = slot_for(boxes, key);
	sl_code code = box->document.bytes != NULL
			   ? SL_OK
			   : open_document(boxes->vault, view, wish, &box->document, err);
	if (code != SL_OK) {
		document_fini(&box->document);
		return code;
	}
	box->used = true;
	box->order = ++boxes->orders;
	*ret_box = box;
	return SL_OK;
}

/* Whose it is, behind the fields; not counted as part of the document. Its size. */
static size_t put_end(struct document *document, const struct box_wish *wish)
{
	char *at = document->bytes + document->size;
	int size =
	    snprintf(at, END_ROOM, ".%c%.60s%c%.60s%c", 0, wish->app_id, 0, wish->instance_id, 0);
	(void)sl_hex(at + size, wish->stamp, SL_HASH_BYTES);
	return (size_t)size + 2 * SL_HASH_BYTES + 1;
}

static sl_code seal(struct document *document, const struct box_wish *wish, struct sl_buf *ret_box,
		    struct sl_err *err)
{
	size_t size = document->size + put_end(document, wish);
	SL_AUTO(sl_free_auto) uint8_t *sealed = malloc(size + SL_BOX_EXTRA_BYTES);
	if (sealed == NULL) {
		return sl_err_no_memory(err);
	}
	if (!sl_box_seal(wish->to, SL_BYTES(document->bytes, size), sealed)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the agent's key is one that nothing can be sealed to");
	}
	sl_buf_append(ret_box, sealed, size + SL_BOX_EXTRA_BYTES);
	return ret_box->failed ? sl_err_no_memory(err) : SL_OK;
}

sl_code boxes_seal(struct boxes *boxes, const struct store_view *view, const struct box_wish *wish,
		   struct sl_buf *ret_box, struct sl_err *err)
{
	struct open_box *box = NULL;
	pthread_mutex_lock(&boxes->lock);
	sl_code code = need_open(boxes, view, wish, &box, err);
	code = code != SL_OK ? code : seal(&box->document, wish, ret_box, err);
	pthread_mutex_unlock(&boxes->lock);
	return code;
}
